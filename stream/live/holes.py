"""Holes in a partition's offsets, and what proves that no record is missing there.

Owns the proof, which is a second reading, and what follows of it for the order of records. Must not know what a record
says, nor who folds it.

A writer with transactions leaves offsets that no reader of committed records is given: the marks that end them, and
what was aborted. A record that our consumer lost looks the same to us. So a hole is believed only where another
consumer, in no group and made for this one question, is given nothing before the very record that we hold.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from connectors.kafka.admin import partition_counts
from connectors.kafka.connection import client_options, describe_failure
from connectors.kafka.faults import UnreachableError
from connectors.kafka.settings import KafkaSettings
from stream.live.stage import LogItem

TRIES_MAX = 2
TRY_S = 4.0
"""How long one second reading may take that does not get on. The partition waits for it, so no longer than a broker's
election. One that gets on goes on: what was aborted is read too, and may be a backlog of many hundred megabytes."""
CLOSE_S = 2.0
POLL_MS = 100
"""How long one request for more waits: where nothing but marks comes, this is how soon we see that they are past."""


class Seen(NamedTuple):
    """What a second reading was given of a partition."""

    begin: int
    end: int
    """The first offset that it did not get to."""
    offsets: tuple[int, ...]
    """Of the records that it was given, in order."""

    def first_from(self, at: int) -> int | None:
        """Give where the first record stands from an offset on: `end` where none does, None where it did not look.

        >>> seen = Seen(10, 16, (10, 11, 14))
        >>> seen.first_from(11), seen.first_from(12), seen.first_from(15), seen.first_from(9)
        (11, 14, 16, None)
        """
        if not self.begin <= at <= self.end:
            return None
        place = bisect_left(self.offsets, at)
        return self.offsets[place] if place < len(self.offsets) else self.end


Look = Callable[[str, int, int, int | None], Awaitable[Seen | None]]
"""A second reading of (topic, partition, begin, until); see `look_again`. Raises `UnreachableError`."""


async def looks_nowhere(_topic: str, _partition: int, _begin: int, _until: int | None) -> None:
    """Prove nothing: every hole is a lost record."""


def in_turn(items: Sequence[LogItem], at: int, seen: Seen | None = None) -> list[LogItem]:
    """Give those of a batch that follow each other from an offset on, without a gap but for holes that are proved.

    The others were buffered before the partition was opened anew: they are folded already, or the consumer was sent
    back before them and reads them again. To fold them now would leave out what lies between.

    >>> def batch(*offsets): return [LogItem(offset, None, None, (), 0) for offset in offsets]
    >>> [item.offset for item in in_turn(batch(8, 9, 5, 6), 5)], in_turn(batch(8, 9), 5)
    ([5, 6], [])
    >>> [(item.offset, item.skips) for item in in_turn(batch(5, 8, 9), 5, Seen(6, 10, (8, 9)))]
    [(5, 0), (8, 2), (9, 0)]
    >>> [item.offset for item in in_turn(batch(5, 8, 9), 5, Seen(6, 10, (7, 8, 9)))]
    [5]
    """
    found: list[LogItem] = []
    for item in items:
        if item.offset == at:
            found.append(item)
        elif item.offset > at and seen is not None and seen.first_from(at) == item.offset:
            found.append(item._replace(skips=item.offset - at))
        else:
            continue
        at = item.offset + 1
    return found


async def look_again(
    settings: KafkaSettings, password: str, topic: str, partition: int, begin: int, until: int | None = None
) -> Seen | None:
    """Read a partition a second time, from an offset to before another, over a connection of its own.

    Without `until` it ends at the first record, or where the transactions end that are through (the last stable
    offset). `topic` is named as the broker names it. None where the log begins later, or does not reach so far: then
    nothing is proved. Raises `UnreachableError` where nobody answers: no word on the log, and to be asked again.
    """
    place, seen, tries = TopicPartition(topic, partition), _Reading(begin), 0
    while True:
        reached, seen.end = seen.reached, -1
        try:
            async with asyncio.timeout(TRY_S):
                await _read(settings, password, place, seen, until)
        except OffsetOutOfRangeError:
            return None
        except (KafkaError, OSError, TimeoutError) as fault:
            tries = 0 if seen.reached > reached else tries + 1
            if tries >= TRIES_MAX:
                if until is not None and 0 <= seen.end < until:
                    return None
                raise UnreachableError(describe_failure(settings, fault)) from None
        else:
            return Seen(begin, seen.reached, tuple(seen.offsets))


class _Reading:
    """How far a second reading has got: one that is broken off is gone on with."""

    def __init__(self, begin: int) -> None:
        self.reached = begin
        self.offsets: list[int] = []
        self.end = -1
        """Where the log ends, by the broker's word in this try; -1 before any."""


async def _read(
    settings: KafkaSettings, password: str, place: TopicPartition, seen: _Reading, until: int | None
) -> None:
    async with _reader(settings, password, [place], "read_committed") as consumer:
        seen.end = (await consumer.end_offsets([place]))[place]
        end = seen.end if until is None else until
        consumer.seek(place, seen.reached)
        # Not the last record's offset: where marks follow it the position has gone past them.
        while seen.reached < end and not (seen.offsets and until is None):
            found = await consumer.getmany(place, timeout_ms=POLL_MS)
            reached = await consumer.position(place)
            # Together, with no turn of anybody's between: broken off, neither is ahead of the other.
            seen.offsets += [record.offset for records in found.values() for record in records]
            seen.reached = reached


async def holds_nothing(settings: KafkaSettings, password: str, topic: str, partition: int, begin: int) -> bool:
    """Whether it is proved that a partition has no record from an offset on; `topic` is a short name.

    Raises `UnreachableError`.
    """
    seen = await look_again(settings, password, settings.prefix + topic, partition, begin)
    return seen is not None and seen.first_from(begin) == seen.end


async def open_transactions(settings: KafkaSettings, password: str, topics: Iterable[str]) -> list[tuple[str, int]]:
    """Give the (topic, partition) on which a writer's transaction is open; `topics` are short names.

    Raises `BrokerError`.
    """
    counts = await partition_counts(settings, password)
    places = [TopicPartition(settings.prefix + name, n) for name in topics for n in range(counts.get(name, 0))]
    ends = []
    try:
        # In this order: a record that comes in between is in the second answer alone.
        for isolation in ("read_uncommitted", "read_committed"):
            async with asyncio.timeout(TRY_S), _reader(settings, password, places, isolation) as consumer:
                ends.append(await consumer.end_offsets(places))
    except (KafkaError, OSError, TimeoutError) as fault:
        raise UnreachableError(describe_failure(settings, fault)) from None
    last, stable = ends
    return [
        (place.topic.removeprefix(settings.prefix), place.partition) for place in places if stable[place] < last[place]
    ]


@asynccontextmanager
async def _reader(
    settings: KafkaSettings, password: str, places: Sequence[TopicPartition], isolation: str
) -> AsyncIterator[AIOKafkaConsumer]:
    """Make a consumer in no group for a question, and close it."""
    consumer = AIOKafkaConsumer(
        client_id="wardstream-holes",
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level=isolation,
        fetch_max_wait_ms=POLL_MS,
        **client_options(settings, password),
    )
    try:
        consumer.assign(places)
        await consumer.start()
        yield consumer
    finally:
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await consumer.stop()
