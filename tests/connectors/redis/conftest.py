"""Stores over a real Redis: a prefix of its own for each test, and a server of its own where one has to suffer."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.local.redis import LocalRedis
from connectors.redis.connection import connect
from connectors.redis.layout import Client
from connectors.redis.partition_store import RedisPartitionStore
from connectors.redis.settings import RedisSettings

STAGE = "patient"


@pytest.fixture
def client(redis_settings: RedisSettings) -> Iterator[Client]:
    """Give a client of the run's Redis."""
    opened = connect(redis_settings)
    yield opened
    opened.close()


@pytest.fixture
def factory(client: Client, redis_settings: RedisSettings) -> Callable[[], RedisPartitionStore]:
    """Give a maker of stores, each of a partition of its own."""
    numbers = itertools.count()
    return lambda: RedisPartitionStore(client, redis_settings.prefix, STAGE, next(numbers))


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Callable[..., LocalRedis]]:
    """Give a maker of servers that a test may kill, freeze and fill; all end with the test."""
    made: list[LocalRedis] = []

    def make(**options: Any) -> LocalRedis:
        made.append(LocalRedis(tmp_path / f"redis-{len(made)}", **options))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.kill()


@pytest.fixture
def opened() -> Iterator[Callable[..., Client]]:
    """Give `connect` with a time-out of a test's; what it opened is closed."""
    clients: list[Client] = []

    def open_client(settings: RedisSettings, password: str = "", timeout_s: float = 10.0) -> Client:
        clients.append(connect(msgspec.structs.replace(settings, timeout_s=timeout_s), password))
        return clients[-1]

    yield open_client
    for one in clients:
        one.close()
