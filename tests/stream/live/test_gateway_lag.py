"""What a gateway says of how far the workers are."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from connectors.kafka.admin import declare
from connectors.kafka.outbox import Outbox
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import EVENTS
from connectors.redis.connection import connect
from connectors.redis.layout import PATIENT_STAGE
from connectors.redis.partition_store import RedisPartitionStore
from connectors.redis.settings import RedisSettings
from stream.live.gateway import Gateway
from stream.live_settings import LiveSettings
from stream.service_settings import ServiceSettings
from stream.settings import SiteFile
from tests.stream.live.partitions import UNTIL_S

STUCK, LIVELY = 0, 1
BEHIND_S = 0.05


@pytest.mark.asyncio
async def test_a_partition_that_stands_still_is_told_beside_others_that_get_on(
    kafka: KafkaSettings, redis_settings: RedisSettings
) -> None:
    """What is behind in all rises and falls with the lively one; the one that nobody folds is named all the same."""
    await declare(kafka)
    service = ServiceSettings(mllp_port=0, http_port=0, behind_s_max=BEHIND_S)
    site = SiteFile(service=service, kafka=kafka, redis=redis_settings, live=LiveSettings(canary=False, name="g"))
    store = RedisPartitionStore(connect(redis_settings), redis_settings.prefix, PATIENT_STAGE, LIVELY)
    epoch = store.acquire_epoch()
    gateway, outbox = Gateway(site, version="test", log=structlog.get_logger()), Outbox(kafka, client_id="test")
    await outbox.start()
    await gateway.start()
    try:
        await outbox.send([Record(EVENTS, b"k", b"v", (), STUCK)])
        told: list[str] = []
        async with asyncio.timeout(UNTIL_S):
            while not told:
                placed = await outbox.send([Record(EVENTS, b"k", b"v", (), LIVELY)] * 5)
                await gateway.reading._look()
                store.commit_entries(epoch, {}, placed[-1][1])
                await gateway.reading._look()
                told = [one for one in gateway.reading.ready().problems if "stands still" in one]
        assert [f"{EVENTS}/{STUCK} stands still since" in one for one in told] == [True]
    finally:
        await gateway.stop()
        await outbox.stop()
