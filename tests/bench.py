"""The bench: one real broker and one real Redis for a whole run of tests, started when a test first asks.

Where WARDSTREAM_TEST_KAFKA or WARDSTREAM_TEST_REDIS (host:port) is set, that server is used instead, and never stopped.
Each test has a prefix of its own, and what it left under it is deleted. A test that kills, freezes or secures a server
starts one of its own: `own_kafka`, `own_redis`, `own_redis_cluster`.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest

from connectors.kafka.settings import KafkaSettings
from connectors.local.parts import MissingPartError
from connectors.redis.settings import RedisSettings

KAFKA_VARIABLE = "WARDSTREAM_TEST_KAFKA"
REDIS_VARIABLE = "WARDSTREAM_TEST_REDIS"
PARTITIONS = 4
"""Enough for several workers; few enough that a broker with the topics of many tests stays quick."""


class Server(Protocol):
    """What all servers of connectors.local can do."""

    def start(self) -> None:
        """Start it and wait until it answers."""

    def stop(self) -> None:
        """Stop it; nothing where it does not run."""


S = TypeVar("S", bound=Server)


def made(make: Callable[[], S]) -> S:
    """Make a server; where a part of it is not installed, skip loudly, and fail in CI."""
    try:
        return make()
    except MissingPartError as error:
        message = f"A PART IS MISSING, this claim was NOT tested: {error}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)


AFTERWARDS = """
import signal, sys
from pathlib import Path
from connectors.local.processes import read_mark, send
sys.stdin.read()
for path in Path(sys.argv[1]).rglob("*.pid"):
    mark = read_mark(path)
    if mark is not None:
        send(mark, signal.SIGKILL)
"""
"""Waits until the run of tests has ended, in whatever way, and ends the servers that it left: a run that was killed has
no teardown, and a broker that nobody stops holds half a gigabyte."""


@pytest.fixture(scope="session")
def afterwards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """See to it that no server outlives this run. It hears of our end by the end of its standard input."""
    words = [sys.executable, "-c", AFTERWARDS, str(tmp_path_factory.getbasetemp())]
    with subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True):
        yield


@pytest.fixture(scope="session")
def broker_address(tmp_path_factory: pytest.TempPathFactory, afterwards: None) -> Iterator[str]:
    """Give host:port of the run's broker."""
    given = os.environ.get(KAFKA_VARIABLE)
    if given:
        yield given
        return
    from connectors.local.kafka import LocalKafka

    broker = made(lambda: LocalKafka(tmp_path_factory.mktemp("kafka")))
    try:
        broker.start()
        yield broker.bootstrap
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def redis_address(tmp_path_factory: pytest.TempPathFactory, afterwards: None) -> Iterator[str]:
    """Give host:port of the run's Redis."""
    given = os.environ.get(REDIS_VARIABLE)
    if given:
        yield given
        return
    from connectors.local.redis import LocalRedis

    server = made(lambda: LocalRedis(tmp_path_factory.mktemp("redis")))
    try:
        server.start()
        yield f"127.0.0.1:{server.port}"
    finally:
        server.stop()


@pytest.fixture
def kafka(broker_address: str) -> Iterator[KafkaSettings]:
    """Give settings for the run's broker with a prefix of the test's own; its topics go when it ends."""
    settings = KafkaSettings(bootstrap=broker_address, prefix=f"t-{secrets.token_hex(4)}.", partitions=PARTITIONS)
    yield settings
    with ThreadPoolExecutor(1) as pool:  # a thread has no running loop, whatever the test had
        pool.submit(asyncio.run, _delete_topics(settings)).result()


async def _delete_topics(settings: KafkaSettings) -> None:
    from aiokafka.admin import AIOKafkaAdminClient

    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    try:
        ours = [name for name in await admin.list_topics() if name.startswith(settings.prefix)]
        if ours:
            await admin.delete_topics(ours)
    finally:
        await admin.close()


@pytest.fixture
def redis_settings(redis_address: str) -> Iterator[RedisSettings]:
    """Give settings for the run's Redis with a prefix of the test's own; its keys go when it ends."""
    from redis import Redis

    host, _, port = redis_address.rpartition(":")
    settings = RedisSettings(host=host, port=int(port), prefix=f"t-{secrets.token_hex(4)}")
    yield settings
    with Redis(host=host, port=int(port)) as client:
        keys = list(client.scan_iter(match=f"{settings.prefix}:*", count=1_000))
        if keys:
            client.unlink(*keys)


@pytest.fixture
def _own(tmp_path: Path, afterwards: None) -> Iterator[Callable[[Any, dict[str, Any]], Any]]:
    """Make and start servers in folders of their own; all are stopped when the test ends."""
    numbers = count(1)
    with ExitStack() as ended:

        def start(kind: Callable[..., Any], options: dict[str, Any]) -> Any:
            folder = tmp_path / f"server-{next(numbers)}"
            server = made(lambda: kind(folder, **options))
            ended.callback(server.stop)
            server.start()
            return server

        yield start


@pytest.fixture
def own_kafka(_own: Callable[[Any, dict[str, Any]], Any]) -> Callable[..., Any]:
    """Give a function that starts a broker of the test's own (options of connectors.local.kafka.LocalKafka)."""
    from connectors.local.kafka import LocalKafka

    return lambda **options: _own(LocalKafka, options)


@pytest.fixture
def own_redis(_own: Callable[[Any, dict[str, Any]], Any]) -> Callable[..., Any]:
    """Give a function that starts a Redis of the test's own (options of connectors.local.redis.LocalRedis)."""
    from connectors.local.redis import LocalRedis

    return lambda **options: _own(LocalRedis, options)


@pytest.fixture
def own_redis_cluster(_own: Callable[[Any, dict[str, Any]], Any]) -> Callable[..., Any]:
    """Give a function that starts a Redis Cluster of the test's own (connectors.local.redis.LocalRedisCluster)."""
    from connectors.local.redis import LocalRedisCluster

    return lambda **options: _own(LocalRedisCluster, options)
