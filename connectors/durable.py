"""What is on the disk when a call returns: files, and folders' lists of names.

Owns the sync. Must not know what is in a file.
"""

from __future__ import annotations

import os
from pathlib import Path


def sync_file(path: Path) -> None:
    """Have a file's content, or a folder's list of names, on the disk on return."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
