"""Files that hold patient data, made so that nobody but their owner reads them.

Owns the mode. Must not know what is in a file.
"""

from __future__ import annotations

import os
from pathlib import Path

PRIVATE_MODE = 0o600
"""Read and written by the service's user alone; SQLite gives its -wal and -shm files the same mode."""


def make_private(path: Path) -> None:
    """Make an empty file of private mode where there is none; one that is there keeps its mode."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, PRIVATE_MODE))
