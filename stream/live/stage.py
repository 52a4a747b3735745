"""What every stage of the live host is: one partition's fold, opened, worked and committed in that order.

Owns the port between the Faust app and the stages, and the faults they share. Must not know Faust, nor what is folded.

    open ──► work(batch) ──► [the host produces, and waits for the acks] ──► commit ──► work(batch) ...

A stage never produces by itself: what it wants written it gives back. A crash between any two steps repeats work, and
the repeat gives the same bytes. Everything here may block: the host calls it in a thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from connectors.kafka.record import Record
from events import Millis
from features.store import FencedError, PartitionStore, StoreFault

OWED_MS = 20_000
"""What a partition entered into its own log and that has not come back after so long is entered again; its id makes it
harmless."""


class LogItem(NamedTuple):
    """One record of a partition, as it was read."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    record_time: Millis
    """The broker's or producer's, in milliseconds."""
    skips: int = 0
    """How many offsets right before it are proved to hold no record (`stream.live.holes`)."""


class LogRange(NamedTuple):
    """Which part of a partition the log still has: the first offset kept, and the next one to be written."""

    begin: int
    end: int


class GapError(RuntimeError):
    """The record after the last one folded did not come: ours; the partition is opened anew and read from there."""


class StarvedError(RuntimeError):
    """Records wait on partitions of ours, nothing is under way, and none is handed on: the process begins anew."""


class ForeignLogError(RuntimeError):
    """The states stand for records that the log does not have: the operator's (a topic made anew, another cluster)."""


class HalfFoldedError(RuntimeError):
    """The store failed in the middle of a fold: what is in memory is of no use, and the process begins anew."""


class UnusableStateError(StoreFault):
    """A stored state is damaged or of another release's form: the partition is emptied and folded anew from its log."""


class VersionAwaitedError(StoreFault):
    """A model version that a partition had is not at hand yet: the batch is tried again."""


class StagePartition(Protocol):
    """One partition of one stage."""

    @property
    def number(self) -> int:
        """Which partition of its topic it is."""
        ...

    @property
    def epoch(self) -> int:
        """Under which epoch it was opened."""
        ...

    @property
    def folded(self) -> int:
        """The offset of the last record whose effect is in the store; -1 where none."""
        ...

    @property
    def problems(self) -> tuple[str, ...]:
        """What an operator should know, in words without any patient in them."""
        ...

    def open(self, log: LogRange) -> int:
        """Take the partition: a new epoch, the states of then. Give the offset to read from."""
        ...

    def still_ours(self) -> bool:
        """Whether the store knows nobody who took the partition since it was opened, and stands where we left it."""
        ...

    def work(self, batch: Sequence[LogItem]) -> list[Record]:
        """Fold a batch; give what is to be written. Nothing is stored yet."""
        ...

    def commit(self) -> None:
        """Store the states with the watermark: after what `work` gave is acknowledged."""
        ...

    def idle(self, now: Millis) -> list[Record]:
        """Give what must enter the log by itself (a tick, a decision); called about every second, never during `work`.

        What it gives comes back as records of the log: it changes nothing by itself.
        """
        ...


def first_offset(watermark: int, log: LogRange) -> int:
    """Give the offset to go on from; raises `ForeignLogError` where the log ends before the watermark.

    >>> first_offset(-1, LogRange(0, 10)), first_offset(4, LogRange(0, 10)), first_offset(4, LogRange(7, 10))
    (0, 5, 7)
    """
    if watermark + 1 > log.end:
        raise ForeignLogError(
            f"the states stand at record {watermark}, the log ends at {log.end - 1}: "
            "the topic was made anew, or Redis belongs to another installation (see `wardstream doctor`)"
        )
    return max(watermark + 1, log.begin)


def following(items: Sequence[LogItem], at: int, start: int, place: str) -> Iterator[LogItem]:
    """Give the items past `at`, each the next one but for what it skips; what is worked on already is left out.

    Raises `GapError`, with the partition's `place`, where one does not follow; but for the first since the partition
    was opened at `start`.

    >>> def batch(*offsets): return [LogItem(offset, None, None, (), 0) for offset in offsets]
    >>> [item.offset for item in following(batch(3, 4, 5), 3, 3, "events.v1/0")]
    [4, 5]
    >>> [item.offset for item in following([LogItem(6, None, None, (), 0, skips=2)], 3, 3, "events.v1/0")]
    [6]
    >>> list(following(batch(5), 3, 3, "events.v1/0"))
    Traceback (most recent call last):
    stream.live.stage.GapError: events.v1/0: 5 came after 3
    """
    for item in items:
        if item.offset <= at:
            continue
        if item.offset - item.skips != at + 1 and at >= start:
            raise GapError(f"{place}: {item.offset} came after {at}")
        at = item.offset
        yield item


def holds(store: PartitionStore, key: str) -> bool:
    """Whether the partition is still ours by its store, which stands where we left it; asked by reading `key`."""
    try:
        store.load([key])
    except FencedError:
        return False
    return True


def lost_records(watermark: int, log: LogRange) -> str:
    """Say what the log does not reach back to, or nothing.

    >>> lost_records(4, LogRange(5, 10)), lost_records(-1, LogRange(3, 10))
    ('', '3 records are no longer in the log: states were folded without them')
    """
    missing = log.begin - (watermark + 1)
    return f"{missing} records are no longer in the log: states were folded without them" if missing > 0 else ""
