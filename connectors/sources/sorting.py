"""An external sort: arrivals in order of received time, however many there are, in bounded memory.

Owns the sorted runs on disk and their merge. Must not know where arrivals come from. Equal times keep the order in
which they were read. A source that is in order already is written once and read once, never merged; one that fits in
memory touches no disk.
"""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO

import msgspec

from connectors.decoded import Decoded, Refusal
from connectors.sources.arrival import BYTES_IN_MEMORY, RECORDS_IN_MEMORY, Arrival, Format
from events import Millis

RUNS_MAX = 64
"""Open files at most: past it the runs so far are merged into one. Well below the usual limit of 256 or 1,024."""
RECORD_OVERHEAD_BYTES = 1_024
"""What a record weighs in memory beside its bytes, for the bound: a struct, its position and its share of events."""

_LENGTH_BYTES = 4

Keyed = tuple[Millis, int, Arrival]
"""(received time, ordinal of reading, arrival)."""


class _Stored(msgspec.Struct, array_like=True):
    """An arrival as it lies in a run."""

    ordinal: int
    time: Millis
    position: str
    data: bytes | None
    format: Format
    decoded: Decoded | None
    refusal: Refusal | None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Stored).decode


class _Run:
    """One sorted run in a temporary file that is gone when it is closed."""

    def __init__(self) -> None:
        self.file: IO[bytes] = tempfile.TemporaryFile(prefix="wardstream-sort-")  # noqa: SIM115 - closed by `close`
        self.last_time: Millis | None = None

    def append(self, record: Keyed) -> None:
        time, ordinal, arrival = record
        decoded = arrival.decoded if isinstance(arrival.decoded, Decoded) else None
        refusal = arrival.decoded if isinstance(arrival.decoded, Refusal) else None
        stored = _Stored(ordinal, time, arrival.position, arrival.data, arrival.format, decoded, refusal)
        body = _encode(stored)
        self.file.write(len(body).to_bytes(_LENGTH_BYTES, "big"))
        self.file.write(body)
        self.last_time = time

    def read(self) -> Iterator[Keyed]:
        self.file.seek(0)
        while head := self.file.read(_LENGTH_BYTES):
            stored = _decode(self.file.read(int.from_bytes(head, "big")))
            decoded = stored.decoded if stored.decoded is not None else stored.refusal
            assert decoded is not None, "a run holds either"
            yield (
                stored.time,
                stored.ordinal,
                Arrival(stored.position, stored.time, stored.data, stored.format, decoded),
            )

    def close(self) -> None:
        self.file.close()


def sort_arrivals(
    arrivals: Iterable[Arrival],
    records_in_memory: int = RECORDS_IN_MEMORY,
    bytes_in_memory: int = BYTES_IN_MEMORY,
) -> Iterator[Arrival]:
    """Yield `arrivals` in order of received time (None counts as 0), stably; at most so many are in memory at once.

    >>> refusal = Refusal("garbage", "byte 0", "")
    >>> late, early = (Arrival(str(t), t, b"", "hl7v2", refusal) for t in (2, 1))
    >>> [a.position for a in sort_arrivals([late, early], records_in_memory=1)]
    ['1', '2']
    """
    runs: list[_Run] = []
    held: list[Keyed] = []
    size = 0
    try:
        for ordinal, arrival in enumerate(arrivals):
            held.append((arrival.received_time or 0, ordinal, arrival))
            size += RECORD_OVERHEAD_BYTES + len(arrival.data or b"")
            if len(held) >= records_in_memory or size >= bytes_in_memory:
                _spill(held, runs)
                held, size = [], 0
        held.sort(key=_order)
        if not runs:
            yield from (arrival for _, _, arrival in held)
            return
        streams = [run.read() for run in runs]
        merged = streams[0] if len(streams) == 1 and _follows(held, runs[0]) else None
        if merged is not None:
            yield from (arrival for _, _, arrival in merged)
            yield from (arrival for _, _, arrival in held)
            return
        for _, _, arrival in heapq.merge(*streams, held, key=_order):
            yield arrival
    finally:
        for run in runs:
            run.close()


def _order(record: Keyed) -> tuple[Millis, int]:
    return record[0], record[1]


def _follows(records: list[Keyed], run: _Run) -> bool:
    """Say whether sorted records all belong after a run: then it need not be merged with them."""
    return not records or run.last_time is None or records[0][0] >= run.last_time


def _spill(records: list[Keyed], runs: list[_Run]) -> None:
    """Write records to the run that they continue, else to a new one; too many runs are merged into one first."""
    records.sort(key=_order)
    if len(runs) >= RUNS_MAX:
        whole = _Run()
        for record in heapq.merge(*[run.read() for run in runs], key=_order):
            whole.append(record)
        for run in runs:
            run.close()
        runs[:] = [whole]
    if not runs or not _follows(records, runs[-1]):
        runs.append(_Run())
    for record in records:
        runs[-1].append(record)
