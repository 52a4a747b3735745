"""One producer of aiokafka, as we need it: idempotent, acknowledged by all, started and stopped in bounded time.

Owns its options, what it knows of the topics, and how its errors read. Must not know what is sent, nor in which order.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)
from aiokafka.producer.message_accumulator import BatchBuilder

from connectors.kafka.connection import client_options, describe_failure
from connectors.kafka.faults import UnreachableError, WrongTopicError
from connectors.kafka.lanes import hush
from connectors.kafka.probing import explain_failure
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import BATCH_BYTES_MAX, TOPICS, partitions_of
from events import Millis

START_S = 20.0
"""How long the first connection may take: two request time-outs."""
STOP_S = 5.0
"""How long a producer may take to stop: aiokafka's own stop can hang where a broker is gone."""
PRODUCER_BATCH_BYTES = 512 * 1024
"""One batch: some 800 records, so that a stage's batch of 500 goes in one request, and memory stays bounded."""
TRANSACTION_TIMEOUT_MS = 15_000
"""How long the transaction of a killed process may hold up readers of committed records."""

FENCED = (ProducerFenced, InvalidProducerEpoch)
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
STARTING_FAULTS = (KafkaError, OSError, TimeoutError)


async def open_producer(
    settings: KafkaSettings, *, client_id: str, password: str = "", transactional_id: str | None = None
) -> AIOKafkaProducer:
    """Start a producer; raises `UnreachableError` or `ConnectionSettingsError` saying what to do."""
    options: dict[str, Any] = client_options(settings, password)
    if transactional_id is not None:
        options |= {
            "transactional_id": settings.prefix + transactional_id,
            "transaction_timeout_ms": TRANSACTION_TIMEOUT_MS,
        }
    producer = AIOKafkaProducer(
        client_id=client_id,
        acks="all",
        enable_idempotence=True,
        compression_type=None if settings.compression == "none" else settings.compression,
        max_batch_size=PRODUCER_BATCH_BYTES,
        max_request_size=BATCH_BYTES_MAX,
        **options,
    )
    try:
        async with asyncio.timeout(START_S):
            await producer.start()
    except STARTING_FAULTS as error:
        await close_producer(producer)
        raise UnreachableError(await explain_failure(settings, password, error)) from None
    except BaseException:
        await close_producer(producer)
        raise
    return producer


async def close_producer(producer: AIOKafkaProducer) -> None:
    """Stop a producer, in bounded time; what it still holds after that is given up."""
    # Its own stop waits for what is under way, without end where the broker is gone; then its task is to go as well.
    for stop in (producer.stop, producer._sender.close, producer.client.close):  # noqa: SLF001 - no public way
        _hush_rest(producer)
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(STOP_S):
                await stop()
    _hush_rest(producer)


def _hush_rest(producer: AIOKafkaProducer) -> None:
    """Take note of what a failed producer left in futures that nobody waits for: else each is logged as unheard."""
    # There is no public way to them. What these names hold may change with aiokafka, whose version is pinned.
    futures = [producer._txn_manager._transaction_waiter]  # noqa: SLF001
    accumulator = producer._message_accumulator  # noqa: SLF001
    for batches in (*accumulator._batches.values(), accumulator._pending_batches):  # noqa: SLF001
        futures += [batch._drain_waiter for batch in batches]  # noqa: SLF001
    for future in futures:
        if future is not None:
            future.add_done_callback(hush)


Placed = tuple[Record, int]
"""A record and its partition."""


async def send_transaction(producer: AIOKafkaProducer, prefix: str, placed: Sequence[Placed]) -> list[tuple[int, int]]:
    """Send records as one transaction, and give where each lies once it is committed; raises what aiokafka raises.

    Nothing is aborted on the way out: that could wait without end. Whoever starts next under the same id does it, or
    the broker after `TRANSACTION_TIMEOUT_MS`.
    """
    now = round(time.time() * 1_000)
    groups: dict[tuple[str, int], list[int]] = {}
    for place, (record, partition) in enumerate(placed):
        groups.setdefault((prefix + record.topic, partition), []).append(place)
    answers: list[tuple[int, int]] = [(-1, -1)] * len(placed)
    sent: list[tuple[asyncio.Future[Any], int, list[int]]] = []
    await producer.begin_transaction()
    for (name, partition), places in groups.items():
        begin = 0
        while begin < len(places):
            batch = producer.create_batch()
            end = begin
            while end < len(places) and append(batch, placed[places[end]][0], now):
                end += 1
            batch.close()
            future = await producer.send_batch(batch, name, partition=partition)
            future.add_done_callback(hush)  # of several that fail together only the first is waited for
            sent.append((future, partition, places[begin:end]))
            begin = end
    for future, partition, places in sent:
        base = (await future).offset
        for index, place in enumerate(places):
            answers[place] = (partition, base + index)
    await producer.commit_transaction()
    return answers


def append(batch: BatchBuilder, record: Record, now: Millis) -> bool:
    """Put a record into a batch; False where the batch is full. The first record of a batch always fits."""
    return batch.append(timestamp=now, key=record.key, value=record.value, headers=list(record.headers)) is not None


async def count_partitions(producer: AIOKafkaProducer, settings: KafkaSettings, names: Iterable[str]) -> dict[str, int]:
    """Say how many partitions each of these topics has; one that is absent is left out.

    Raises `WrongTopicError` where a topic of ours has another number than is configured: its keys would lie elsewhere
    than readers expect. Asks for all topics, because asking a broker for one that is absent may create it.
    """
    try:
        cluster = await producer.client.fetch_all_metadata()
    except KafkaError as error:
        raise UnreachableError(describe_failure(settings, error)) from None
    found: dict[str, int] = {}
    for name in names:
        ids = cluster.partitions_for_topic(settings.prefix + name)
        if not ids:
            continue
        wanted = partitions_of(TOPICS[name], settings) if name in TOPICS else len(ids)
        if len(ids) != wanted:
            raise WrongTopicError(
                f"topic {settings.prefix + name} has {len(ids)} partitions, but {wanted} are configured "
                f"(kafka.partitions): see `wardstream topics check`"
            )
        found[name] = len(ids)
    if found:
        await producer.client.set_topics([settings.prefix + name for name in found])
    return found


def describe_refusal(error: BaseException, topic: str) -> str:
    """Say why a broker did not take records, without a word of what they say."""
    if isinstance(error, TOO_LARGE):
        return (
            f"a record for {topic} is larger than the broker takes: check max.message.bytes (`wardstream topics check`)"
        )
    if isinstance(error, TopicAuthorizationFailedError):
        return f"the broker does not let us write to {topic}: grant our user write access to it"
    return f"the broker did not take records for {topic} ({type(error).__name__})"
