"""What the wards were told, from recorded candidates; or would have been, from those of a what-if.

Owns the fold of [ward] over a recorded partition with the gate and the ward settings where they stood, and the order
that a what-if's candidates are given. Must not know how candidates came about, nor Kafka's clients.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from alerts.gate import GateChange, GatePositions
from alerts.ward import WardFold, WardOutput
from alerts.ward_beat import read_beat
from alerts.ward_settings import WardSettings
from events import Millis
from stream.partition_fold import believed_until

INSERTED_TOGETHER = 1_000
"""Candidates put into the temporary table at once."""


class RecordedWards:
    """The fold over one partition of `candidates.v1` as it is recorded."""

    def __init__(self, partition: int, changes: Iterable[GateChange] = ()) -> None:
        self._fold = WardFold()
        self._positions = GatePositions(partition, tuple(changes))

    def take(self, offset: int, ward: str, content: bytes, record_time: Millis = 0) -> list[WardOutput[bytes]]:
        """Fold the record at an offset; raises `alerts.ward.CandidateError`. `record_time` as for `PartitionFold`.

        A beat is passed by: it changes nothing, and its heartbeat is the live stage's own.
        """
        if not ward and read_beat(content) is not None:
            return []
        self._fold.believe(believed_until(record_time))
        self._fold.gate(self._positions.closed_at(offset))
        self._fold.use(self._positions.wards_at(offset))
        return self._fold.take(ward, content)


class WhatIfWards:
    """Candidates of a what-if, told in order of (received time, event id): no order is recorded of them.

    They are put into a temporary table on disk, so that their number is bounded by the disk and not by memory.

    >>> wards = WhatIfWards(WardSettings())
    >>> list(wards.tell())
    []
    """

    def __init__(self, settings: WardSettings) -> None:
        self._settings = settings
        self._table = sqlite3.connect("")
        self._table.execute("CREATE TABLE candidate (received INTEGER, event_id TEXT, ward TEXT, content BLOB)")
        self._pending: list[tuple[Millis, str, str, bytes]] = []

    def add(self, received: Millis, event_id: str, ward: str, content: bytes) -> None:
        """Take a candidate for a ward."""
        self._pending.append((received, event_id, ward, content))
        if len(self._pending) >= INSERTED_TOGETHER:
            self._put()

    def _put(self) -> None:
        self._table.executemany("INSERT INTO candidate VALUES (?, ?, ?, ?)", self._pending)
        self._pending.clear()

    def tell(self) -> Iterator[WardOutput[bytes]]:
        """Fold all of them; give what the wards are told."""
        self._put()
        fold = WardFold()
        fold.use(self._settings)
        ordered = "SELECT ward, content FROM candidate ORDER BY received, event_id, ward"
        for ward, content in self._table.execute(ordered):
            yield from fold.take(ward, content)
        self._table.close()
