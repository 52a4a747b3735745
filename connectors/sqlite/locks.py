"""Locks on a data folder that end with the process that holds them, however it ends.

Owns the two lock files. Must not know what is done under them.

`lock` is the service's: one process has the folder. `compaction.lock` is shared by whatever reads the folder from
outside over a longer time (a backup, a replay of the journal) and taken alone by the retention: what is being read does
not go away.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from connectors.sqlite.files import PRIVATE_MODE
from connectors.sqlite.journal_schema import JournalError

LOCK_FILE = "lock"
COMPACTION_LOCK_FILE = "compaction.lock"


class FolderLock:
    """A lock that is held, until `close` or the end of a `with` block."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def close(self) -> None:
        """Let it go."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def try_alone(path: Path) -> FolderLock | None:
    """Take a lock alone; None where somebody has it."""
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, PRIVATE_MODE)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return FolderLock(handle)


def lock_folder(folder: Path) -> FolderLock:
    """Take a data folder for this process; raises `JournalError` where another has it. Freed on any death."""
    lock = try_alone(folder / LOCK_FILE)
    if lock is None:
        raise JournalError(f"{folder} is open in another process; stop that one first")
    return lock


def share(path: Path) -> FolderLock:
    """Take a lock together with others, waiting while somebody has it alone.

    The retention has it for one batch at a time. A folder of an older release, or one on a read-only medium, has no
    such file and nobody who removes anything: then there is nothing to hold.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return FolderLock(-1)
    fcntl.flock(handle, fcntl.LOCK_SH)
    return FolderLock(handle)
