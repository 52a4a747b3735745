"""Sending to a real broker: acknowledged, in order, once; bounded in time and memory; refusals with their reason."""

from __future__ import annotations

import asyncio
import time
from itertools import count
from typing import Any

import pytest
from aiokafka.admin import NewTopic
from aiokafka.producer.message_accumulator import BatchBuilder

from connectors.kafka import outbox as outbox_module
from connectors.kafka.admin import declare, open_admin, partition_counts
from connectors.kafka.faults import NotSentError, WrongTopicError
from connectors.kafka.outbox import Outbox
from connectors.kafka.reading import log_range, read_topic
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import RECORD_BYTES_MAX
from tests.connectors.kafka.conftest import UNTIL_S


async def stored(settings: KafkaSettings, topic: str = "events.v1") -> list[tuple[int, int, bytes | None]]:
    return [(r.partition, r.offset, r.value) async for r in read_topic(settings, topic)]


@pytest.mark.asyncio
async def test_an_answer_says_where_each_record_lies(
    outbox: Outbox, declared: KafkaSettings, numbered: list[Record]
) -> None:
    """Each record is read back at the partition and offset that the answer named, by its key's partition, once."""
    answers = await outbox.send(numbered)
    assert {(*at, record.value) for at, record in zip(answers, numbered, strict=True)} == set(await stored(declared))
    assert [at[0] for at in answers] == [outbox.partition_of("events.v1", record.key) for record in numbered]
    assert len(set(answers)) == len(numbered)


@pytest.mark.asyncio
async def test_order_holds_within_a_partition(outbox: Outbox, declared: KafkaSettings, numbered: list[Record]) -> None:
    """Calls that follow each other without waiting keep their order, over many batches."""
    calls = [asyncio.create_task(outbox.send(numbered[at : at + 7])) for at in range(0, len(numbered), 7)]
    await asyncio.gather(*calls)
    by_partition: dict[int, list[int]] = {}
    for partition, _, value in await stored(declared):
        by_partition.setdefault(partition, []).append(int(value or b""))
    assert all(values == sorted(values) for values in by_partition.values())
    assert sum(map(len, by_partition.values())) == len(numbered)


@pytest.mark.asyncio
async def test_headers_keys_and_tombstones_arrive(outbox: Outbox, declared: KafkaSettings) -> None:
    """A record arrives with its key and headers; one without a value is a tombstone."""
    headers = (("ce_id", b"1"), ("ws_received", b"5"))
    await outbox.send([Record("alerts.state.v1", b"W1|a", b"{}", headers), Record("alerts.state.v1", b"W1|a", None)])
    found = [record async for record in read_topic(declared, "alerts.state.v1")]
    assert [(r.key, r.value, r.headers) for r in found] == [(b"W1|a", b"{}", headers), (b"W1|a", None, ())]


@pytest.mark.asyncio
async def test_the_longest_record_passes_and_a_longer_one_is_refused(outbox: Outbox, declared: KafkaSettings) -> None:
    """4 MiB of what cannot be compressed arrives; past the limit nothing is sent, and the reason is said."""
    longest = bytes(outbox_module.time.time_ns() >> shift & 255 for shift in range(64)) * 65_536
    await outbox.send([Record("events.v1", b"k", longest)])
    with pytest.raises(NotSentError, match="at the most") as caught:
        await outbox.send([Record("events.v1", b"k", bytes(RECORD_BYTES_MAX))])
    assert caught.value.reason == "refused"
    assert [value for _, _, value in await stored(declared)] == [longest]


@pytest.mark.asyncio
async def test_a_record_the_broker_refuses_stops_nobody_else(kafka: KafkaSettings) -> None:
    """Where a topic takes less than we send, that send fails with its reason, and the next one succeeds."""
    async with open_admin(kafka) as client:
        small = {"max.message.bytes": "1000"}
        await client.create_topics(
            [
                NewTopic(kafka.prefix + "events.v1", kafka.partitions, 1, topic_configs=small),
                NewTopic(kafka.prefix + "scores.v1", kafka.partitions, 1),
            ]
        )
    async with asyncio.timeout(UNTIL_S):
        while len(await partition_counts(kafka)) < 2:
            continue
    outbox = Outbox(kafka, client_id="test")
    await outbox.start()
    noise = b"".join(b"%d" % (n * 7919) for n in range(9_999))
    with pytest.raises(NotSentError, match=r"max\.message\.bytes") as caught:
        await outbox.send([Record("events.v1", b"k", noise)])
    assert caught.value.reason == "refused"
    await outbox.send([Record("events.v1", b"k", b"small"), Record("scores.v1", b"k", noise)])
    assert [value for _, _, value in await stored(kafka)] == [b"small"]
    await outbox.stop()


@pytest.mark.asyncio
async def test_a_topic_that_is_not_there_is_refused_and_not_created(kafka: KafkaSettings) -> None:
    """A send to a missing topic says how to declare it; once declared it works, without a restart."""
    outbox = Outbox(kafka, client_id="test")
    await outbox.start()
    with pytest.raises(WrongTopicError, match="topics declare"):
        outbox.partitions("events.v1")
    with pytest.raises(NotSentError, match="topics declare") as caught:
        await outbox.send([Record("events.v1", b"k", b"v")])
    assert caught.value.reason == "refused"
    await declare(kafka)
    assert await outbox.send([Record("events.v1", b"k", b"v")]) == [(outbox.partition_of("events.v1", b"k"), 0)]
    await outbox.stop()


@pytest.mark.asyncio
async def test_a_partition_that_is_not_there_is_refused(outbox: Outbox) -> None:
    """A record for a partition beyond the last is refused, and the send leaves nothing waiting."""
    with pytest.raises(NotSentError, match="has 4 partitions, and none is 4"):
        await outbox.send([Record("events.v1", b"k", b"v"), Record("events.v1", b"k", b"v", (), 4)])
    assert outbox.waiting_bytes == 0


@pytest.mark.asyncio
async def test_after_a_stop_nothing_is_taken(outbox: Outbox) -> None:
    """A send after the stop is told that the process is stopping."""
    await outbox.stop()
    with pytest.raises(NotSentError) as caught:
        await outbox.send([Record("events.v1", b"k", b"v")])
    assert caught.value.reason == "stopped"


@pytest.mark.asyncio
async def test_a_stop_sends_what_waits(outbox: Outbox, declared: KafkaSettings, numbered: list[Record]) -> None:
    """What was handed over before the stop is acknowledged and stored."""
    sending = asyncio.create_task(outbox.send(numbered))
    await asyncio.wait([sending], timeout=0)
    await outbox.stop()
    assert len(await sending) == len(numbered) == len(await stored(declared))


@pytest.mark.asyncio
async def test_memory_is_bounded(outbox: Outbox, declared: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many callers there are, what waits stays below the bound; the others wait their turn, and all arrive."""
    monkeypatch.setattr(outbox_module, "WAITING_BYTES_MAX", 50_000)
    most = 0
    fill = Outbox._fill

    def watched(self: Outbox, producer: Any, lane: Any) -> tuple[BatchBuilder, Any]:
        nonlocal most
        most = max(most, self.waiting_bytes)
        return fill(self, producer, lane)

    monkeypatch.setattr(Outbox, "_fill", watched)
    await asyncio.gather(*(outbox.send([Record("events.v1", b"%d" % n, bytes(9_000))]) for n in range(200)))
    assert 9_000 < most <= 50_000
    assert outbox.waiting_bytes == 0
    assert len(await stored(declared)) == 200


@pytest.mark.asyncio
async def test_a_broker_that_stands_still_is_said_in_time_and_nothing_comes_twice(own_kafka: Any) -> None:
    """Frozen, the broker costs a sender the named time and no more; thawed, each acknowledged record is there once."""
    broker = own_kafka()
    settings = broker.settings(prefix="t.")
    await declare(settings)
    outbox = Outbox(settings, client_id="test", answer_s=2.0)
    await outbox.start()
    acknowledged: list[int] = []
    refused: list[int] = []
    reasons: set[str] = set()

    async def send(number: int) -> None:
        begun = time.monotonic()
        try:
            await outbox.send([Record("events.v1", b"k", b"%d" % number)])
        except NotSentError as error:
            refused.append(number)
            reasons.add(error.reason)
        else:
            acknowledged.append(number)
        assert time.monotonic() - begun < UNTIL_S / 4

    numbers = count()
    await send(next(numbers))
    broker.freeze()
    async with asyncio.timeout(UNTIL_S):
        while len(refused) < 2:
            await send(next(numbers))
        broker.thaw()
        last = len(acknowledged) + 3
        while len(acknowledged) < last:
            await send(next(numbers))
    values = [int(value or b"") for _, _, value in await stored(settings)]
    assert [value for value in values if value in acknowledged] == acknowledged
    # What was under way when it was refused may have been stored after all: once, and in its place.
    assert set(values) - set(acknowledged) <= set(refused)
    assert values == sorted(set(values))
    assert reasons == {"unreachable"}
    await outbox.stop()


@pytest.mark.asyncio
async def test_sending_outlives_the_broker_being_killed(own_kafka: Any) -> None:
    """Through a kill -9 and a restart of the broker, every record is acknowledged in the end, in order, none twice."""
    broker = own_kafka()
    settings = broker.settings(prefix="t.")
    await declare(settings)
    outbox = Outbox(settings, client_id="test", answer_s=UNTIL_S)
    await outbox.start()
    answered = 0

    async def sender() -> None:
        nonlocal answered
        for n in range(400):
            await outbox.send([Record("events.v1", b"k", b"%d" % (5 * n + i)) for i in range(5)])
            answered += 1

    sending = asyncio.create_task(sender())
    async with asyncio.timeout(UNTIL_S):
        while answered < 50:
            await asyncio.wait([sending], timeout=0.01)
        broker.kill()
        await asyncio.to_thread(broker.start)
        await sending
    assert [int(value or b"") for _, _, value in await stored(settings)] == list(range(2_000))
    await outbox.stop()


@pytest.mark.asyncio
async def test_a_stop_is_bounded_where_the_broker_is_gone(own_kafka: Any) -> None:
    """With the broker dead and a send under way, the stop comes to its end, and the sender is told."""
    broker = own_kafka()
    settings = broker.settings(prefix="t.")
    await declare(settings)
    outbox = Outbox(settings, client_id="test", answer_s=1.5)
    await outbox.start()
    broker.kill()
    sending = asyncio.create_task(outbox.send([Record("events.v1", b"k", b"v")]))
    await asyncio.wait([sending], timeout=0.2)
    async with asyncio.timeout(UNTIL_S / 2):
        await outbox.stop()
    with pytest.raises(NotSentError):
        await sending


@pytest.mark.asyncio
async def test_a_read_past_what_is_kept_is_not_taken_for_empty(outbox: Outbox, declared: KafkaSettings) -> None:
    """The log's range is told by its ends: begin 0, end as many as were sent."""
    await outbox.send([Record("events.v1", b"k", b"v")] * 3)
    partition = outbox.partition_of("events.v1", b"k")
    assert (await log_range(declared, "events.v1"))[partition] == (0, 3)
