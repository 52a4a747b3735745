"""Topics declared at a real broker, and an outbox on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from connectors.kafka.admin import declare
from connectors.kafka.outbox import Outbox
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings

UNTIL_S = 60.0
"""What has not come about by then, on a machine however busy, does not come about."""


@pytest_asyncio.fixture
async def declared(kafka: KafkaSettings) -> KafkaSettings:
    """Give settings under which every topic is there."""
    async with asyncio.timeout(UNTIL_S):
        await declare(kafka)
    return kafka


@pytest_asyncio.fixture
async def outbox(declared: KafkaSettings) -> AsyncIterator[Outbox]:
    """Give an outbox that runs."""
    box = Outbox(declared, client_id="test")
    await box.start()
    yield box
    await box.stop()


@pytest.fixture
def numbered() -> list[Record]:
    """Give 2,000 records of 40 keys, numbered in their order."""
    return [Record("events.v1", b"key-%d" % (n % 40), b"%d" % n, (("n", b"%d" % n),)) for n in range(2_000)]
