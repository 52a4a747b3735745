"""The canary crosses the whole path, real workers and all; where he does not come through, the gateway says so."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from threading import Event

import pytest
import pytest_asyncio
import structlog

from connectors.kafka.admin import declare
from connectors.kafka.settings import KafkaSettings
from connectors.redis.settings import RedisSettings
from stream.live.gateway import Gateway
from stream.live_settings import LiveSettings
from stream.service_settings import ServiceSettings
from stream.settings import SiteFile
from tests.live.gateways import configure, read

UNTIL_S = 60
LATE_S = 2.0
INTERVAL_S = 0.5
LOOK_S = 0.02


@pytest_asyncio.fixture
async def gateway(kafka: KafkaSettings, redis_settings: RedisSettings) -> AsyncIterator[Gateway]:
    """Give a gateway whose canary is sent twice a second, and is late after two."""
    await declare(kafka)
    site = SiteFile(
        service=ServiceSettings(mllp_port=0, http_port=0),
        kafka=kafka,
        redis=redis_settings,
        live=LiveSettings(canary_late_s_max=LATE_S, name="g"),
    )
    running = Gateway(site, version="test", log=structlog.get_logger(), canary_interval_s=INTERVAL_S)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
def worker(gateway: Gateway, kafka: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path) -> Iterator[None]:
    """Run a worker of all stages."""
    config = configure(tmp_path, kafka, redis_settings)
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "stream.cli", "worker", "--config", str(config)], stderr=log, env=dict(os.environ)
        )
    yield
    process.kill()
    process.wait()


def canary_problems(gateway: Gateway) -> list[str]:
    return [problem for problem in gateway.reading.ready().problems if "canary" in problem]


async def until(claim) -> None:
    """Wait until a claim holds."""
    async with asyncio.timeout(UNTIL_S):
        while not claim():
            await asyncio.to_thread(Event().wait, LOOK_S)  # without a pause it would take the worker's own time


@pytest.mark.asyncio
async def test_a_canary_that_does_not_come_through_is_an_alarm(gateway) -> None:
    """Without a worker he is acknowledged and never scored: after the limit the gateway is not ready, and says why."""
    assert canary_problems(gateway) == []
    await until(lambda: canary_problems(gateway))
    assert "has not come through for" in canary_problems(gateway)[0]
    assert b"wardstream_canary_silent_seconds" in gateway.metrics.expose()[0]


@pytest.mark.asyncio
async def test_a_canary_that_comes_through_pages_nobody(gateway, worker, kafka) -> None:
    """With a worker he is scored within the limit, NEWS2 is 0, and no alert is raised for him."""
    rounds = "wardstream_canary_rounds_total"
    await until(lambda: (gateway.metrics.registry.get_sample_value(rounds, {"outcome": "scored"}) or 0) >= 3)
    await until(lambda: not canary_problems(gateway))
    scores = [json.loads(record.value or b"") for record in await read(kafka, "scores.v1")]
    assert {score["news2"]["total"] for score in scores[1:]} == {0}
    assert [record for record in await read(kafka, "candidates.v1") if record.key] == []  # those without one are beats


@pytest.mark.asyncio
async def test_the_canary_is_nobody_to_learn_of_and_nobody_on_the_board(gateway, worker, kafka) -> None:
    """He is in the store and scored; the board has no patient and no ward, and examples.v1 has nothing of him."""
    rounds = "wardstream_canary_rounds_total"
    await until(lambda: (gateway.metrics.registry.get_sample_value(rounds, {"outcome": "scored"}) or 0) >= 3)
    board = json.loads(await gateway.reading.board.patients(0, None))
    assert (board["patients"], board["wards"]) == ([], [])
    assert await read(kafka, "examples.v1") == []


@pytest.mark.asyncio
async def test_a_worker_that_stops_is_heard_by_the_canary(gateway, kafka, redis_settings, tmp_path) -> None:
    """While all is well there is no alarm; the worker dies, and within the limit the gateway is no longer ready."""
    config = configure(tmp_path, kafka, redis_settings)
    with (tmp_path / "worker.log").open("wb") as log:
        process = await asyncio.to_thread(
            subprocess.Popen, [sys.executable, "-m", "stream.cli", "worker", "--config", str(config)], stderr=log
        )
    try:
        rounds = "wardstream_canary_rounds_total"
        await until(lambda: gateway.metrics.registry.get_sample_value(rounds, {"outcome": "scored"}))
        await until(lambda: not canary_problems(gateway))
    finally:
        process.kill()
        process.wait()
    await until(lambda: canary_problems(gateway))
    assert not gateway.reading.ready().well
