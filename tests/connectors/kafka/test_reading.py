"""Reading outside every group: from where to where, through transactions, gaps and restarts of the broker."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete

from connectors.kafka.admin import declare, open_admin
from connectors.kafka.faults import LostRecordsError, UnreachableError, WrongTopicError
from connectors.kafka.outbox import Outbox
from connectors.kafka.reading import log_range, read_topic, tail_topic
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from tests.connectors.kafka.conftest import UNTIL_S

DECISIONS = "control.v1"


def decisions(*numbers: int) -> list[Record]:
    return [Record(DECISIONS, b"k", b"%d" % n) for n in numbers]


async def read(settings: KafkaSettings, topic: str = DECISIONS, **places: Any) -> list[int]:
    return [int(record.value or b"") async for record in read_topic(settings, topic, **places)]


@pytest.mark.asyncio
async def test_it_ends_where_the_log_ended(outbox: Outbox, declared: KafkaSettings) -> None:
    """A read ends at the end there was when it began, though more is written meanwhile."""
    await outbox.send(decisions(0, 1, 2))
    found = []
    async with aclosing(read_topic(declared, DECISIONS)) as records:
        async for record in records:
            await outbox.send(decisions(9))
            found.append(int(record.value or b""))
    assert found == [0, 1, 2]


@pytest.mark.asyncio
async def test_an_empty_topic_is_read_at_once(declared: KafkaSettings) -> None:
    """Nothing to read is no reason to wait."""
    async with asyncio.timeout(UNTIL_S):
        assert await read(declared) == []
        assert await log_range(declared, DECISIONS) == {0: (0, 0)}


@pytest.mark.asyncio
async def test_offsets_cut_both_ends(outbox: Outbox, declared: KafkaSettings) -> None:
    """`since` is the first offset read, `until` the first that is not; an `until` past the end is the end."""
    await outbox.send(decisions(*range(10)))
    assert await read(declared, since={0: 3}, until={0: 6}) == [3, 4, 5]
    assert await read(declared, since={0: 8}, until={0: 99}) == [8, 9]


@pytest.mark.asyncio
async def test_times_cut_both_ends(declared: KafkaSettings) -> None:
    """`since_time` and `until_time` go by the records' times."""
    producer = AIOKafkaProducer(bootstrap_servers=declared.bootstrap)
    await producer.start()
    name = declared.prefix + DECISIONS
    for n in range(10):
        await producer.send_and_wait(name, b"%d" % n, key=b"k", partition=0, timestamp_ms=1_000_000 * n)
    await producer.stop()
    assert await read(declared, since_time=3_000_000, until_time=6_000_000) == [3, 4, 5]
    assert await read(declared, since_time=8_500_000) == [9]
    assert await read(declared, until_time=1) == [0]
    assert await read(declared, since_time=99_000_000) == []


@pytest.mark.asyncio
async def test_chosen_partitions_alone_are_read(outbox: Outbox, declared: KafkaSettings) -> None:
    """Only the partitions that are asked for come; one that is not there is refused."""
    await outbox.send([Record("events.v1", b"k", b"%d" % p, (), p) for p in range(4)])
    assert sorted(await read(declared, "events.v1", partitions=[1, 3])) == [1, 3]
    with pytest.raises(WrongTopicError, match="none is 4"):
        await read(declared, "events.v1", partitions=[4])


@pytest.mark.asyncio
async def test_a_missing_topic_is_said_and_not_created(kafka: KafkaSettings) -> None:
    """A topic that is not there is named."""
    with pytest.raises(WrongTopicError, match=r"there is no topic .*control\.v1"):
        await read(kafka)


@pytest.mark.asyncio
async def test_aborted_transactions_are_not_seen(declared: KafkaSettings) -> None:
    """What was aborted never comes, and a log that ends in its markers is still read to its end."""
    producer = AIOKafkaProducer(bootstrap_servers=declared.bootstrap, transactional_id=declared.prefix + "x")
    await producer.start()
    name = declared.prefix + DECISIONS
    for n, aborted in ((0, False), (1, True), (2, False), (3, True)):
        await producer.begin_transaction()
        await producer.send_and_wait(name, b"%d" % n, key=b"k")
        await (producer.abort_transaction() if aborted else producer.commit_transaction())
    await producer.stop()
    async with asyncio.timeout(UNTIL_S):
        assert await read(declared) == [0, 2]


@pytest.mark.asyncio
async def test_an_open_transaction_holds_nobody_up(outbox: Outbox, declared: KafkaSettings) -> None:
    """A transaction that is still open ends the read before it, instead of hanging it."""
    await outbox.send(decisions(0))
    producer = AIOKafkaProducer(bootstrap_servers=declared.bootstrap, transactional_id=declared.prefix + "x")
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(declared.prefix + DECISIONS, b"1", key=b"k")
    async with asyncio.timeout(UNTIL_S):
        assert await read(declared) == [0]
    await producer.abort_transaction()
    await producer.stop()


@pytest.mark.asyncio
async def test_a_log_cut_off_is_said(outbox: Outbox, declared: KafkaSettings) -> None:
    """Asked for what retention took, it raises, and never begins later without a word."""
    await outbox.send(decisions(*range(10)))
    async with open_admin(declared) as client:
        place = TopicPartition(declared.prefix + DECISIONS, 0)
        await client.delete_records({place: RecordsToDelete(before_offset=5)})
    assert await log_range(declared, DECISIONS) == {0: (5, 10)}
    assert await read(declared) == [5, 6, 7, 8, 9]
    with pytest.raises(LostRecordsError, match="asked for from 3 on, kept from 5 on"):
        await read(declared, since={0: 3})
    with pytest.raises(LostRecordsError):
        await anext(tail_topic(declared, DECISIONS, since={0: 3}))


@pytest.mark.asyncio
async def test_reading_leaves_no_group(outbox: Outbox, declared: KafkaSettings) -> None:
    """No consumer group is made by a read or a tail: the broker does not remember that we were here."""
    await outbox.send(decisions(0))
    await read(declared)
    async with open_admin(declared) as client:
        groups = [name for name, _ in await client.list_consumer_groups()]
    assert [name for name in groups if name.startswith((declared.prefix, "wardstream"))] == []


@pytest.mark.asyncio
async def test_a_tail_goes_on_with_what_is_written_later(outbox: Outbox, declared: KafkaSettings) -> None:
    """A tail gives what is there, then what comes; begun at the log's end it gives only that."""
    await outbox.send(decisions(0, 1))
    ends = {partition: end for partition, (_, end) in (await log_range(declared, DECISIONS)).items()}
    async with (
        asyncio.timeout(UNTIL_S),
        aclosing(tail_topic(declared, DECISIONS)) as every,
        aclosing(tail_topic(declared, DECISIONS, since=ends)) as later,
    ):
        assert [int((await anext(every)).value or b"") for _ in range(2)] == [0, 1]
        await outbox.send(decisions(2))
        assert int((await anext(every)).value or b"") == 2
        assert int((await anext(later)).value or b"") == 2


@pytest.mark.asyncio
async def test_a_tail_outlives_the_broker(own_kafka: Any) -> None:
    """Through a kill -9 and a restart of the broker, a tail misses nothing and repeats nothing."""
    broker = own_kafka()
    settings = broker.settings(prefix="t.")
    await declare(settings)
    outbox = Outbox(settings, client_id="test", answer_s=UNTIL_S)
    await outbox.start()
    await outbox.send(decisions(0))
    async with asyncio.timeout(UNTIL_S), aclosing(tail_topic(settings, DECISIONS)) as records:
        assert int((await anext(records)).value or b"") == 0
        waiting = asyncio.create_task(anext(records))
        broker.kill()
        await asyncio.to_thread(broker.start)
        await outbox.send(decisions(1, 2))
        assert int((await waiting).value or b"") == 1
        assert int((await anext(records)).value or b"") == 2
    await outbox.stop()


@pytest.mark.asyncio
async def test_a_read_from_a_dead_broker_is_said(own_kafka: Any) -> None:
    """Where the broker is gone, a read ends with its address and not in silence."""
    broker = own_kafka()
    settings = broker.settings(prefix="t.")
    await declare(settings)
    broker.kill()
    with pytest.raises(UnreachableError, match=settings.bootstrap):
        await read(settings)
