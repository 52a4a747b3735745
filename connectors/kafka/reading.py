"""Reading a topic outside every consumer group: from a place to a place, or on and on.

Owns that, with the places named by offset or by time. Must not know what a record says. Nothing here can write a record
or commit an offset, so a replay over it leaves no trace at the broker; readers see committed records alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from connectors.kafka.admin import partition_counts
from connectors.kafka.connection import client_options, describe_failure, unseen
from connectors.kafka.faults import LostRecordsError, UnreachableError, WrongTopicError
from connectors.kafka.probing import explain_failure
from connectors.kafka.settings import KafkaSettings
from events import Millis

POLL_MS = 500
"""How long one request for more may wait for it."""
STALL_S = 30.0
"""A read to an end that gets no further for so long has lost its broker."""
RETRY_S = 1.0
"""Between two attempts of a tail to reach a broker."""
STOP_S = 5.0
"""How long a consumer may take to stop: aiokafka's own stop can hang."""
FETCH_RECORDS_MAX = 2_000
"""Records handed on at a time."""
PARTITION_FETCH_BYTES = 1024 * 1024
"""What is asked of one partition at a time; a longer record comes all the same, alone."""

Offsets = Mapping[int, int]
"""By partition."""


class KafkaRecord(NamedTuple):
    """One record as it was read."""

    partition: int
    offset: int
    record_time: Millis
    """When it was written, by the broker's clock where the topic is stamped, else its writer's."""
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


async def read_topic(
    settings: KafkaSettings,
    topic: str,
    *,
    password: str = "",
    partitions: Iterable[int] | None = None,
    since: Offsets | None = None,
    since_time: Millis | None = None,
    until: Offsets | None = None,
    until_time: Millis | None = None,
) -> AsyncIterator[KafkaRecord]:
    """Read a topic from its beginning, or from a place, to its end as it is now, or to a place before.

    `since` and `until` are offsets by partition, the first to read and the first not to; the times are Kafka's record
    times. A partition's records come in order; partitions are mingled. Raises `LostRecordsError` where `since` lies
    before what is kept, or where retention overtakes the reading; `WrongTopicError` and `UnreachableError`.
    """
    async with _open(settings, topic, password, partitions) as consumer:
        places = await _ranges(consumer, topic, since)
        if since_time is not None:
            places = await _cut(consumer, places, since_time, begin=True)
        if until_time is not None:
            places = await _cut(consumer, places, until_time, begin=False)
        ends = {place: min(end, (until or {}).get(place.partition, end)) for place, (begin, end) in places.items()}
        for place, (begin, _) in places.items():
            consumer.seek(place, begin)
        left = {place for place, (begin, _) in places.items() if begin < ends[place]}
        consumer.pause(*(set(places) - left))
        async for record in _read_to(consumer, settings, ends, left):
            yield record


async def tail_topic(
    settings: KafkaSettings,
    topic: str,
    *,
    password: str = "",
    partitions: Iterable[int] | None = None,
    since: Offsets | None = None,
) -> AsyncIterator[KafkaRecord]:
    """Read a topic from its beginning, or from given offsets, and go on for as long as it is asked.

    A broker that goes away is waited for. Raises `LostRecordsError` where retention has taken what comes next, and
    `WrongTopicError` or `UnreachableError` where the first connection fails. To begin with what is new, give the ends
    of `log_range` as `since`.
    """
    places: dict[int, int] = dict(since or {})
    first = True
    while True:
        try:
            async with _open(settings, topic, password, partitions) as consumer:
                for place, (begin, _) in (await _ranges(consumer, topic, places)).items():
                    consumer.seek(place, begin)
                    places[place.partition] = begin
                first = False
                while True:
                    for found in (await consumer.getmany(timeout_ms=POLL_MS, max_records=FETCH_RECORDS_MAX)).values():
                        for record in found:
                            places[record.partition] = record.offset + 1
                            yield _record(record)
        except UnreachableError:
            if first:
                raise
        await asyncio.sleep(RETRY_S)


async def log_range(settings: KafkaSettings, topic: str, *, password: str = "") -> dict[int, tuple[int, int]]:
    """Say for each partition which offset is the first that is kept, and which the next record will have.

    Of a topic that is written by transactions, the end is that of the last transaction that is through.
    """
    async with _open(settings, topic, password, None) as consumer:
        return {place.partition: ends for place, ends in (await _ranges(consumer, topic, None)).items()}


@asynccontextmanager
async def _open(
    settings: KafkaSettings, topic: str, password: str, partitions: Iterable[int] | None
) -> AsyncIterator[AIOKafkaConsumer]:
    """Connect and take partitions, without a group; turn the client's errors into ours."""
    name = settings.prefix + topic
    # Asked for among all topics: a consumer that names one that is absent may have it created.
    count = (await partition_counts(settings, password)).get(topic, 0)
    if not count:
        raise WrongTopicError(
            f"there is no topic {name}: check the name, or create it with `wardstream topics declare`{unseen(settings)}"
        )
    chosen = sorted(range(count) if partitions is None else set(partitions))
    if absent := [partition for partition in chosen if not 0 <= partition < count]:
        raise WrongTopicError(f"{name} has {count} partitions, and none is {absent[0]}")
    consumer = AIOKafkaConsumer(
        client_id="wardstream-reader",
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
        fetch_max_wait_ms=POLL_MS,
        **client_options(settings, password),
    )
    try:
        consumer.assign([TopicPartition(name, partition) for partition in chosen])
        await consumer.start()
        yield consumer
    except OffsetOutOfRangeError:
        raise LostRecordsError(
            f"{name}: records were deleted before they were read; its retention is too short"
        ) from None
    except (KafkaError, OSError, TimeoutError) as error:
        raise UnreachableError(await explain_failure(settings, password, error)) from None
    finally:
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(STOP_S):
                await consumer.stop()


_Ranges = dict[TopicPartition, tuple[int, int]]


async def _ranges(consumer: AIOKafkaConsumer, topic: str, since: Offsets | None) -> _Ranges:
    """Give begin and end of each partition; the begin moved to where it is asked for."""
    places = list(consumer.assignment())
    begins = await consumer.beginning_offsets(places)
    ends = await consumer.end_offsets(places)
    ranges: _Ranges = {}
    for place in places:
        begin = (since or {}).get(place.partition, begins[place])
        if begin < begins[place]:
            raise LostRecordsError(
                f"{topic}, partition {place.partition}: asked for from {begin} on, kept from {begins[place]} on; its "
                "retention is too short"
            )
        ranges[place] = (begin, ends[place])
    return ranges


async def _cut(consumer: AIOKafkaConsumer, ranges: _Ranges, at: Millis, *, begin: bool) -> _Ranges:
    """Move begins, or ends, to the first record at an instant or after it."""
    found = await consumer.offsets_for_times(dict.fromkeys(ranges, at))
    cut: _Ranges = {}
    for place, (first, end) in ranges.items():
        place_found = found.get(place)
        offset = end if place_found is None else place_found.offset
        cut[place] = (max(first, offset), end) if begin else (first, min(end, offset))
    return cut


async def _read_to(
    consumer: AIOKafkaConsumer,
    settings: KafkaSettings,
    ends: Mapping[TopicPartition, int],
    left: set[TopicPartition],
) -> AsyncIterator[KafkaRecord]:
    clock = asyncio.get_running_loop()
    positions: dict[TopicPartition, int] = {}
    idle_s = 0.0
    while left:
        asked = clock.time()
        batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=FETCH_RECORDS_MAX)
        idle_s += clock.time() - asked  # our own waiting alone: whoever reads may take as long as they like
        for place, found in batches.items():
            end = ends[place]
            for record in found:
                if record.offset < end:
                    yield _record(record)
        for place in list(left):
            # Not the last record's offset: markers of transactions and compaction leave no record to see.
            position = await consumer.position(place)
            if positions.get(place) != position:
                positions[place], idle_s = position, 0.0
            if position >= ends[place]:
                left.discard(place)
                consumer.pause(place)
        if idle_s > STALL_S:
            raise UnreachableError(describe_failure(settings, TimeoutError()))


def _record(record: ConsumerRecord) -> KafkaRecord:
    return KafkaRecord(
        record.partition, record.offset, record.timestamp, record.key or b"", record.value, record.headers
    )
