"""A broker of one's own: real, secured where asked, and with its log after a kill."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, TopicAuthorizationFailedError

from connectors.kafka.connection import client_options
from connectors.kafka.settings import KafkaSettings
from connectors.local.certificates import Authority
from connectors.local.kafka import MECHANISMS, LocalKafka
from connectors.local.kafka_rights import grant
from connectors.local.processes import LocalError

Own = Callable[..., LocalKafka]
USERS = {"ward": "ward's own", "admin": "the admin's"}


@asynccontextmanager
async def sending(settings: KafkaSettings, password: str = "", **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    """Give a producer with acks=all."""
    producer = AIOKafkaProducer(**client_options(settings, password) | {"acks": "all"} | options)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def create(settings: KafkaSettings, password: str = "", topic: str = "events.v1") -> int:
    """Create a topic of one partition; give the broker's error code."""
    admin = AIOKafkaAdminClient(**client_options(settings, password))
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic(settings.prefix + topic, 1, 1)])
        [code] = [code for _, code, *_ in answer.topic_errors]
        return code
    finally:
        await admin.close()


async def declare(settings: KafkaSettings, password: str = "", topic: str = "events.v1") -> None:
    """Create a topic, which is taken."""
    assert await create(settings, password, topic) == 0


async def read(settings: KafkaSettings, topic: str = "events.v1") -> list[bytes]:
    """Read a whole partition."""
    consumer = AIOKafkaConsumer(**client_options(settings))
    await consumer.start()
    try:
        place = TopicPartition(settings.prefix + topic, 0)
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        end = (await consumer.end_offsets([place]))[place]
        values: list[bytes] = []
        async with asyncio.timeout(20):
            while await consumer.position(place) < end:
                values += [
                    record.value for records in (await consumer.getmany(timeout_ms=100)).values() for record in records
                ]
        return values
    finally:
        await consumer.stop()


def test_acknowledged_records_survive_a_kill(own_kafka: Own) -> None:
    """What acks=all acknowledged before kill -9 is there after a start on the same folder and port."""
    broker = own_kafka()
    settings = broker.settings()

    async def write() -> None:
        await declare(settings)
        async with sending(settings) as producer:
            for n in range(100):
                await producer.send_and_wait("events.v1", str(n).encode())

    asyncio.run(write())
    broker.kill()
    broker.start()
    assert broker.settings() == settings
    assert asyncio.run(read(settings)) == [str(n).encode() for n in range(100)]


def test_a_frozen_broker_acknowledges_nothing_until_it_goes_on(own_kafka: Own) -> None:
    """SIGSTOP makes a broker that keeps its connections and says nothing; after SIGCONT the record arrives once."""
    broker = own_kafka()
    settings = broker.settings()

    async def write() -> None:
        await declare(settings)
        async with sending(settings, enable_idempotence=True) as producer:
            await producer.send_and_wait("events.v1", b"before")
            broker.freeze()
            sent = await producer.send("events.v1", b"while frozen")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(sent), 0.5)
            broker.thaw()
            await asyncio.wait_for(sent, 20)

    asyncio.run(write())
    assert asyncio.run(read(settings)) == [b"before", b"while frozen"]


def test_topics_are_not_made_by_accident(own_kafka: Own) -> None:
    """A record to a topic that was not declared is refused, not kept in one with eight partitions."""
    settings = own_kafka().settings()

    async def write() -> None:
        async with sending(settings, request_timeout_ms=2_000) as producer:
            await producer.send_and_wait("misspelt.v1", b"x")

    with pytest.raises(KafkaError):
        asyncio.run(write())


def test_tls_is_answered_only_to_those_who_trust_its_authority(own_kafka: Own, tmp_path: Path) -> None:
    """Over TLS with client certificates: ours gets in; another authority, none, and no TLS do not."""
    broker = own_kafka(security="ssl", client_certificates=True)
    assert broker.authority is not None
    mine = broker.authority.issue("ward")
    settings = msgspec.structs.replace(broker.settings(), cert_file=str(mine.cert_file), key_file=str(mine.key_file))
    asyncio.run(declare(settings))
    stranger = Authority(tmp_path / "stranger")
    for wrong in (
        {"ca_file": str(stranger.ca_file)},
        {"cert_file": "", "key_file": ""},
        {"security": "plaintext", "ca_file": "", "cert_file": "", "key_file": ""},
    ):
        with pytest.raises(KafkaConnectionError):
            asyncio.run(declare(msgspec.structs.replace(settings, **wrong), topic="other.v1"))


def test_a_login_is_asked_for_and_rights_end_at_the_prefix(own_kafka: Own) -> None:
    """SASL_SSL: each mechanism lets the right password in and no other; what was granted ends at the prefix."""
    broker = own_kafka(security="sasl_ssl", users=USERS, admins=("admin",), acls=True)
    admin = broker.settings(username="admin")
    ours = broker.settings(prefix="ours.", username="ward")
    others = msgspec.structs.replace(ours, prefix="others.")

    async def write(settings: KafkaSettings) -> None:
        async with sending(settings, USERS["ward"], enable_idempotence=True) as producer:
            await asyncio.wait_for(producer.send_and_wait(f"{settings.prefix}events.v1", b"x"), 20)

    async def all_of_it() -> None:
        await declare(msgspec.structs.replace(admin, prefix="others."), USERS["admin"])
        await grant(admin, USERS["admin"], "ward", "ours.")
        async with asyncio.timeout(20):
            while code := await create(ours, USERS["ward"]):  # it answers a grant before it goes by it
                assert code == TopicAuthorizationFailedError.errno
        for mechanism in MECHANISMS:
            login = msgspec.structs.replace(ours, sasl_mechanism=mechanism)
            await write(login)
            with pytest.raises(KafkaConnectionError):
                await declare(login, "wrong")
        with pytest.raises((TopicAuthorizationFailedError, KafkaTimeoutError)):
            await write(others)

    asyncio.run(all_of_it())


def test_a_start_that_fails_says_why(tmp_path: Path, own_kafka: Own) -> None:
    """A broker whose port is taken tells that with the end of its log, and leaves no process behind."""
    broker = own_kafka()
    broker.stop()
    with socket.create_server(("127.0.0.1", broker.port)), pytest.raises(LocalError, match="Address already in use"):
        broker.start()
    assert not broker.child.running
