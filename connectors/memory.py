"""A journal that remembers nothing once it is read: for replays whose source is already durable.

Owns the hand-over of records from [parse] to the folds inside one process. Must not know files or databases.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from events import Envelope

if TYPE_CHECKING:
    from connectors.sqlite.journal import Batch


class MemoryJournal:
    """The log of one replay: what was appended and not yet read.

    >>> journal = MemoryJournal()
    >>> journal.end()
    0
    """

    def __init__(self, name: str = "", begin: int = 0) -> None:
        """Begin after record `begin` of the log called `name`, where the replay starts from stored states."""
        self.name = name
        self._pending: list[tuple[int, Envelope]] = []
        self._end = begin
        self._counts: dict[str, int] = {}

    def append(self, batch: Batch) -> int:
        """Take a batch's records and counts: its source still holds the dead letters, the parser's map the identities.

        Give the log's end offset.
        """
        for record in batch.records:
            self._end += 1
            self._pending.append((self._end, record.envelope))
        for name, count in batch.counts.items():
            self._counts[name] = self._counts.get(name, 0) + count
        return self._end

    def end(self) -> int:
        """Give the offset of the last record, 0 where there is none."""
        return self._end

    def read(self, after: int = 0) -> Iterator[tuple[int, Envelope]]:
        """Give what is pending after an offset, and forget it."""
        pending, self._pending = self._pending, []
        return (row for row in pending if row[0] > after)

    def counts(self) -> dict[str, int]:
        """Give the message counts so far."""
        return dict(sorted(self._counts.items()))
