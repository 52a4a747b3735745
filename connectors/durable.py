"""What is on the disk when a call returns: files, and folders' lists of names.

Owns the sync. Must not know what is in a file.
"""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, draft: Path, data: bytes) -> None:
    """Have a file's content on the disk under its name, whole, by way of a draft beside it; raises `OSError`.

    The folder's list of names is the caller's to sync, once with all else that it changes there.
    """
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def sync_file(path: Path) -> None:
    """Have a file's content, or a folder's list of names, on the disk on return."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
