"""A journal that remembers nothing once it is read: for replays whose source is already durable.

Owns the hand-over of records from [parse] to the folds inside one process. Must not know files or databases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from events import Envelope, Millis

if TYPE_CHECKING:
    from connectors.sqlite.journal import DeadLetterRow, LogRecord


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

    def append(
        self,
        records: Sequence[LogRecord],
        dead_letters: Sequence[DeadLetterRow],  # noqa: ARG002 - the source still holds them
        identities: Sequence[tuple[str, str, str, Millis]],  # noqa: ARG002 - the parser's map holds them for the run
        counts: dict[str, int],
        forgotten: Sequence[tuple[str, str]] = (),  # noqa: ARG002 - as the identities
        former: Sequence[tuple[str, str, str]] = (),  # noqa: ARG002 - as the identities
    ) -> int:
        """Take a batch; give the log's end offset."""
        for record in records:
            self._end += 1
            self._pending.append((self._end, record.envelope))
        for name, count in counts.items():
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
