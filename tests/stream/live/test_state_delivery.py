"""What the wards are told has one writer a partition, and its last word is the owner's, on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from alerts.ward_beat import write_beat
from connectors.kafka.admin import declare
from connectors.kafka.faults import NotSentError
from connectors.kafka.outbox import Outbox
from connectors.kafka.reading import read_topic
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import ALERT_STATES, SIGNALS
from connectors.redis.connection import connect
from connectors.redis.partition_store import RedisPartitionStore
from connectors.redis.settings import RedisSettings
from features.store import FencedError, StoreFault, StoreUnavailableError
from stream.decisions import Decisions
from stream.live.holes import open_transactions
from stream.live.stage import LogItem
from stream.live.state_delivery import StateDelivery
from stream.live.ward_stage import WardPartition
from tests.alerts.test_ward import candidate
from tests.stream.live.partitions import LOG, UNTIL_S, until

LIFE = [
    LogItem(0, b"W1", candidate("a", 1, "raised"), (), 0),
    LogItem(1, b"W1", candidate("a", 2, "acknowledged"), (), 0),
    LogItem(2, b"W1", candidate("a", 3, "resolved"), (), 0),
]


class SlowOutbox(Outbox):
    """An outbox whose way to the broker is cut for a while as it connects."""

    def __init__(self, settings: KafkaSettings, name: str) -> None:
        super().__init__(settings, client_id="test", transactional_id=name)
        self.begun, self.cleared = asyncio.Event(), asyncio.Event()

    async def start(self) -> None:
        """Connect, once the way is clear."""
        self.begun.set()
        await self.cleared.wait()
        await super().start()


@pytest_asyncio.fixture
async def plain(kafka: KafkaSettings) -> AsyncIterator[Outbox]:
    """Give an outbox for what needs no owner; every topic is there."""
    await declare(kafka)
    outbox = Outbox(kafka, client_id="test")
    await outbox.start()
    yield outbox
    await outbox.stop()


async def none_told(_number: int) -> int:
    """Nothing was told before."""
    return -1


def delivery(kafka: KafkaSettings, plain: Outbox) -> StateDelivery:
    """Make a worker's own."""
    return StateDelivery(
        plain, lambda name: Outbox(kafka, client_id="test", transactional_id=f"wardstream.{name}"), none_told
    )


def ward(redis: RedisSettings) -> WardPartition:
    """Make a worker's partition."""
    return WardPartition(0, RedisPartitionStore(connect(redis), redis.prefix, "ward", 0), Decisions())


async def last_words(kafka: KafkaSettings) -> dict[bytes | None, bytes | None]:
    """Give what a compacted topic holds in the end, once the marks of all that was committed are there."""
    async with asyncio.timeout(UNTIL_S):
        while await open_transactions(kafka, "", [ALERT_STATES]):
            pass
    return {record.key: record.value async for record in read_topic(kafka, ALERT_STATES)}


class LeftOver(Outbox):
    """An outbox that notes whether it was closed."""

    closed = False

    async def stop(self) -> None:
        """Note it, and close."""
        self.closed = True
        await super().stop()


@pytest.mark.parametrize("fault", [StoreUnavailableError("away"), FencedError("taken")])
@pytest.mark.asyncio
async def test_a_producer_that_does_not_come_to_use_is_closed(
    kafka: KafkaSettings, redis_settings: RedisSettings, plain: Outbox, fault: StoreFault
) -> None:
    """Redis goes away, or somebody takes the partition, as it connects: it is not left open beside the next one."""
    made: list[LeftOver] = []
    answers: list[StoreFault | None] = [None, fault]

    def make(name: str) -> Outbox:
        made.append(LeftOver(kafka, client_id="test", transactional_id=f"wardstream.{name}"))
        return made[-1]

    class Doubtful(WardPartition):
        def still_ours(self) -> bool:
            answer = answers.pop(0)
            if answer is not None:
                raise answer
            return True

    stage = Doubtful(0, RedisPartitionStore(connect(redis_settings), redis_settings.prefix, "ward", 0), Decisions())
    with pytest.raises(type(fault)):
        await StateDelivery(plain, make, none_told).open_way(stage)
    assert [one.closed for one in made] == [True]


@pytest.mark.asyncio
async def test_a_producer_that_is_given_up_as_it_connects_is_closed(
    kafka: KafkaSettings, redis_settings: RedisSettings, plain: Outbox
) -> None:
    """Whoever asked waits no longer: what connects later would shut out what is opened next."""
    made: list[SlowOutbox] = []

    def slow(name: str) -> Outbox:
        made.append(SlowOutbox(kafka, f"wardstream.{name}"))
        return made[-1]

    stage = ward(redis_settings)
    stage.open(LOG)
    asked = asyncio.create_task(StateDelivery(plain, slow, none_told).open_way(stage))
    await until(lambda: made)
    await made[0].begun.wait()
    asked.cancel()
    await asyncio.wait([asked])
    with pytest.raises(NotSentError, match="stopping"):
        await made[0]._open()


@pytest.mark.asyncio
async def test_a_former_owner_that_connects_late_writes_nothing(
    kafka: KafkaSettings, redis_settings: RedisSettings, plain: Outbox
) -> None:
    """Its connection was slow, the partition was taken meanwhile: it must neither write nor shut the owner out."""
    made: list[SlowOutbox] = []

    def slow(name: str) -> Outbox:
        made.append(SlowOutbox(kafka, f"wardstream.{name}"))
        return made[-1]

    former, owner = StateDelivery(plain, slow, none_told), delivery(kafka, plain)
    one, other = ward(redis_settings), ward(redis_settings)
    one.open(LOG)
    late = asyncio.create_task(former(one, one.work(LIFE[:1])))
    async with asyncio.timeout(UNTIL_S):
        while not made:
            await asyncio.to_thread(one.still_ours)
        await made[0].begun.wait()
        other.open(LOG)
        await owner(other, other.work(LIFE[:2]))
        other.commit()
        made[0].cleared.set()
        with pytest.raises(FencedError):
            await late
    # To connect under the id shuts the owner's producer out: he is still the owner, and goes on under another.
    records = other.work(LIFE[2:])
    with pytest.raises(NotSentError):
        await owner(other, records)
    await owner(other, records)
    other.commit()
    await former.stop()
    await owner.stop()
    assert await last_words(kafka) == {b"W1|a": LIFE[2].value}


@pytest.mark.asyncio
async def test_a_heartbeat_is_written_after_what_it_names(
    kafka: KafkaSettings, redis_settings: RedisSettings, plain: Outbox
) -> None:
    """While the alerts of a batch cannot be written, neither is a heartbeat that names them; with them, it is."""
    beat = LogItem(1, b"", write_beat(60_000), (), 0)
    former, owner = ward(redis_settings), ward(redis_settings)
    former.open(LOG)
    late, records = delivery(kafka, plain), former.work([LIFE[0], beat])
    owner.open(LOG)
    with pytest.raises(FencedError):
        await late(former, records)
    assert [record async for record in read_topic(kafka, SIGNALS)] == []
    good = delivery(kafka, plain)
    await good(owner, owner.work([LIFE[0], beat]))
    owner.commit()
    (heartbeat,) = [record async for record in read_topic(kafka, SIGNALS)]
    assert heartbeat.key == b"ward_partition|0"
    assert b'"newest":[["W1",1]]' in (heartbeat.value or b"")
    await good.stop()
