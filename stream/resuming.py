"""How far a simulated hospital's traffic has got, counted in order, and kept in a file.

Owns the ledger of what is settled and the bookmark on disk. Must not know a socket or a message.

The file counts the messages before the first one that is not settled. After kill -9 a few that were settled since it
was last written are sent again, in their old order; to a receiver they are duplicates.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Literal

import msgspec

SAVE_EVERY_S = 0.5
"""What a kill can make us send again, beside what is in flight; a save is one fsync."""
BOOKMARK_BYTES_MAX = 64 * 1024
"""A longer file is something else."""
FORMAT = 1

Protocol = Literal["mllp", "fhir"]


class BookmarkError(Exception):
    """The file cannot be gone on from; the words say why. The operator's to mend."""


class Bookmark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which hospital, and how much of it is settled: acknowledged, or refused for good."""

    seed: int
    beds: int
    hours: float
    start_time: str
    """ISO 8601: the hospital's first moment."""
    live: bool
    """Whether that was asked for as `now`."""
    protocol: Protocol
    release: str
    """Another release may tell another hospital by the same seed."""
    settled: int = 0
    refused: int = 0
    format: int = FORMAT

    def differences(self, other: Bookmark) -> list[str]:
        """Name what differs but for the counts.

        >>> one = Bookmark(7, 24, 48.0, "2026-01-05T07:00:00Z", False, "mllp", "0.1.0", 12)
        >>> one.differences(msgspec.structs.replace(one, seed=8, settled=0))
        ['seed (7, now 8)']
        """
        names = [name for name in self.__struct_fields__ if name not in {"settled", "refused"}]
        pairs = [(name, getattr(self, name), getattr(other, name)) for name in names]
        return [f"{name} ({old}, now {new})" for name, old, new in pairs if old != new]


def load_bookmark(path: Path) -> Bookmark | None:
    """Read the bookmark; None where there is no file yet. Raises `BookmarkError`."""
    try:
        with path.open("rb") as file:
            data = file.read(BOOKMARK_BYTES_MAX)
    except FileNotFoundError:
        return None
    try:
        bookmark = msgspec.json.decode(data, type=Bookmark)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BookmarkError(f"{path.name}: not written by `simulate --resume`; name another file") from None
    if bookmark.format != FORMAT or bookmark.settled < bookmark.refused or bookmark.refused < 0:
        raise BookmarkError(f"{path.name}: of another form than this release writes; name another file")
    return bookmark


def save_bookmark(path: Path, bookmark: Bookmark) -> None:
    """Write the bookmark so that a reader, after whatever crash, sees the old one or the new one. Raises `OSError`."""
    written = path.with_name(f"{path.name}.new")
    with written.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(bookmark), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    written.replace(path)


class Ledger:
    """Counts messages settled, in the order of the hospital whatever order they are settled in.

    >>> ledger = Ledger()
    >>> ledger.settle(1, refused=True); ledger.settled, ledger.refused
    (0, 0)
    >>> ledger.settle(0, refused=False); ledger.settled, ledger.refused
    (2, 1)
    """

    def __init__(self, settled: int = 0, refused: int = 0) -> None:
        """Go on from what is settled already."""
        self.settled = settled
        """Messages before the first that is not settled."""
        self.refused = refused
        """Those of them that were refused."""
        self._beyond: dict[int, bool] = {}
        """Settled out of turn; bounded by how far the sender lets one connection run ahead of another."""
        self._moved = asyncio.Event()

    def settle(self, number: int, *, refused: bool) -> None:
        """Settle one message, by its number from 0; a second time says nothing new."""
        if number >= self.settled:
            self._beyond[number] = refused
        while self.settled in self._beyond:
            self.refused += self._beyond.pop(self.settled)
            self.settled += 1
        self._moved.set()

    async def wait_until(self, settled: int) -> None:
        """Wait until so many are settled in order; for one waiter at a time."""
        while self.settled < settled:
            self._moved.clear()
            await self._moved.wait()
