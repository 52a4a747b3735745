"""Transactions: all or none is seen, and of two processes with one id only the newer may write."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from connectors.kafka.admin import declare
from connectors.kafka.faults import FencedProducerError, NotSentError
from connectors.kafka.outbox import Outbox
from connectors.kafka.reading import read_topic
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from stream.live.holes import open_transactions
from tests.connectors.kafka.conftest import UNTIL_S

TOPIC = "alerts.state.v1"


def states(*values: bytes) -> list[Record]:
    return [Record(TOPIC, b"W1|" + value, value) for value in values]


async def opened(settings: KafkaSettings, name: str = "ward-0", **options: Any) -> Outbox:
    outbox = Outbox(settings, client_id="test", transactional_id=name, **options)
    await outbox.start()
    return outbox


async def settle(settings: KafkaSettings) -> None:
    """Wait until what was committed can be read: the broker answers a commit before each partition has its marker."""
    async with asyncio.timeout(UNTIL_S):
        while await open_transactions(settings, "", [TOPIC]):
            pass


async def stored(settings: KafkaSettings) -> set[bytes | None]:
    await settle(settings)
    return {record.value async for record in read_topic(settings, TOPIC)}


@pytest.mark.asyncio
async def test_a_transaction_is_read_whole(declared: KafkaSettings) -> None:
    """Transactions over several partitions follow each other, and each record lies where the answer says."""
    outbox = await opened(declared)
    for begin in (0, 50):
        records = states(*(b"%d" % n for n in range(begin, begin + 50)))
        answers = await outbox.transaction(records)
        await settle(declared)
        found = {(r.partition, r.offset): r.value async for r in read_topic(declared, TOPIC)}
        assert [found[at] for at in answers] == [record.value for record in records]
    await outbox.stop()


@pytest.mark.asyncio
async def test_a_zombie_is_fenced_at_the_broker(declared: KafkaSettings) -> None:
    """Once a newer process has the id, the older one's transactions fail, again and again, and leave nothing.

    Nothing of it is logged as an error that nobody heard of.
    """
    unheard: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    old = await opened(declared)
    await old.transaction(states(b"old"))
    new = await opened(declared)
    for _ in range(2):
        with pytest.raises(FencedProducerError, match="another process took over 'ward-0'"):
            await old.transaction(states(b"zombie"))
    await new.transaction(states(b"new"))
    await old.stop()
    await new.transaction(states(b"newer"))  # the zombie's stop took nothing from the rightful one
    assert await stored(declared) == {b"old", b"new", b"newer"}
    await new.stop()
    gc.collect()
    assert unheard == []


@pytest.mark.asyncio
async def test_a_zombie_that_never_wrote_is_fenced_too(declared: KafkaSettings) -> None:
    """A process that was overtaken before its first transaction cannot begin one."""
    old = await opened(declared)
    new = await opened(declared)
    await new.transaction(states(b"new"))
    with pytest.raises(FencedProducerError):
        await old.transaction(states(b"zombie"))
    assert await stored(declared) == {b"new"}
    await old.stop()
    await new.stop()


@pytest.mark.asyncio
async def test_other_ids_are_not_fenced(declared: KafkaSettings) -> None:
    """Each partition has its id: taking over one leaves the others alone."""
    first, second = await opened(declared, "ward-0"), await opened(declared, "ward-1")
    third = await opened(declared, "ward-1")
    await first.transaction(states(b"first"))
    with pytest.raises(FencedProducerError):
        await second.transaction(states(b"second"))
    for outbox in (first, second, third):
        await outbox.stop()


@pytest.mark.asyncio
async def test_a_broken_outbox_never_comes_back_by_itself(own_kafka: Any) -> None:
    """After a transaction whose end is not known, it says so for good: it would fence whoever has taken over."""
    broker = own_kafka()
    settings = broker.settings(prefix="t.")
    await declare(settings)
    outbox = await opened(settings)
    await outbox.transaction(states(b"before"))
    outbox._answer_s = 2.0  # only now: the first transaction of a broker that has just begun may take longer
    broker.freeze()
    with pytest.raises(NotSentError, match="not committed within"):
        await outbox.transaction(states(b"during"))
    broker.thaw()
    with pytest.raises(NotSentError, match="not committed within"):
        await outbox.transaction(states(b"after"))
    async with asyncio.timeout(UNTIL_S):
        successor = await opened(settings)
        await successor.transaction(states(b"successor"))
    assert {b"before", b"successor"} <= await stored(settings) <= {b"before", b"during", b"successor"}
    await outbox.stop()
    await successor.stop()
