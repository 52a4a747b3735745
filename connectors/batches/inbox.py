"""A folder that files are put into: which of them are ready, and where each goes when it is done with.

Owns the folder's layout, the rule of readiness and the moves, each of which happens whole or not at all. Must not know
what is in a file. A file stays where it is until its results are on the disk: a crash at any moment leaves it to be
taken again, which changes nothing, for what was taken in of it is known.

    FOLDER/ward.hl7                    waits
    FOLDER/done/ward.hl7               all of it is taken in, or was before
    FOLDER/failed/ward.hl7             something of it is not; its results say what
    FOLDER/done/ward.hl7.results.ndjson
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import Literal

import msgspec

from connectors.durable import sync_file, write_whole

Where = Literal["done", "failed"]
DONE: Where = "done"
FAILED: Where = "failed"
LOCK_FILE = ".wardstream.lock"
RESULTS_SUFFIX = ".results.ndjson"
UNFINISHED_SUFFIXES = (".tmp", ".part", ".partial", ".filepart", ".writing", ".crdownload", ".lock", RESULTS_SUFFIX)
"""What senders name a file while they write it; it is renamed when it is whole."""
FILES_MAX = 10_000
"""Looked at in one go; the rest waits for the next look."""
PRIVATE_MODE = 0o700
NAMES_TRIED_MAX = 10_000
"""Of a file whose name came before."""
NAME_BYTES_MAX = 255 - len(f"..{NAMES_TRIED_MAX}{RESULTS_SUFFIX}")
"""Kept of a file's name where it is moved: a name has 255 bytes, and its results' has more than its own."""


class Candidate(msgspec.Struct, frozen=True):
    """A file as it was found."""

    path: Path
    size: int
    changed_ns: int
    inode: int


class InboxError(OSError):
    """The operator's: the folder cannot be used. The text says why, and what to do."""


class Inbox:
    """One watched folder. `open` takes it for this process; only then files are looked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: int | None = None
        self._seen: dict[str, tuple[Candidate, float]] = {}
        """By name: the file as it was when last it was found changed, and when that was (elapsed seconds)."""

    def open(self) -> bool:
        """Make the folders, and take them for this process; False where another has them. Raises `InboxError`."""
        if self._lock is not None:
            return True
        try:
            for one in (self.folder, self.folder / DONE, self.folder / FAILED):
                one.mkdir(parents=one is self.folder, exist_ok=True, mode=PRIVATE_MODE)
            lock = os.open(self.folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise InboxError(f"batch.folder: {error.strerror}: make it, writable by the service's user") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def close(self) -> None:
        """Give the folder back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def settled(self, elapsed_s: float, settle_s: float) -> list[tuple[Candidate, float]]:
        """Give the files that have not changed for `settle_s`, with for how long, in order of their names."""
        found: dict[str, tuple[Candidate, float]] = {}
        for candidate in self._candidates():
            name = candidate.path.name
            before = self._seen.get(name)
            found[name] = before if before is not None and before[0] == candidate else (candidate, elapsed_s)
        self._seen = found
        ages = [(candidate, elapsed_s - since) for candidate, since in found.values()]
        return [(candidate, age_s) for candidate, age_s in ages if age_s >= settle_s]

    def unchanged(self, candidate: Candidate) -> bool:
        """Say whether a file is still as it was found."""
        return _look(candidate.path) == candidate

    def finish(self, candidate: Candidate, where: Where, results: bytes) -> Path:
        """Write a file's results, then move it; give where it is. What is there by that name stays."""
        folder = self.folder / where
        target = _free_name(folder, candidate.path.name)
        write_whole(folder / f"{target}{RESULTS_SUFFIX}", folder / f".{target}{RESULTS_SUFFIX}", results)
        candidate.path.rename(folder / target)
        for one in (folder, self.folder):
            sync_file(one)
        self._seen.pop(candidate.path.name, None)
        return folder / target

    def _candidates(self) -> list[Candidate]:
        names = sorted(
            name
            for name in (path.name for path in self.folder.iterdir())
            if not name.startswith((".", "~")) and not name.lower().endswith(UNFINISHED_SUFFIXES)
        )
        found = (_look(self.folder / name) for name in names[:FILES_MAX])
        return [candidate for candidate in found if candidate is not None]


def read_plain(path: Path, limit: int) -> bytes:
    """Read a plain file, a byte beyond `limit` at the most; raises `OSError` where something else took its place."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "no plain file")
        return file.read(limit + 1)


def _look(path: Path) -> Candidate | None:
    """Give a plain file as it is; None for a folder, a link, or what has gone."""
    try:
        status = path.lstat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return Candidate(path, status.st_size, status.st_mtime_ns, status.st_ino)


def _free_name(folder: Path, name: str) -> str:
    """Give a name that no file has there; a name whose results were written and no file moved is free."""
    name = os.fsdecode(os.fsencode(name)[:NAME_BYTES_MAX])
    for number in range(NAMES_TRIED_MAX):
        tried = f"{name}.{number}" if number else name
        if not (folder / tried).exists():
            return tried
    raise InboxError(f"batch.folder: {NAMES_TRIED_MAX} files of one name in {folder.name}: remove old ones")
