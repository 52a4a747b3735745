"""Two gateways with one FHIR server as a source: one asks at a time, the other goes on, and Kafka has each resource."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from threading import Event

import msgspec
import pytest
import pytest_asyncio
import structlog
from aiohttp.test_utils import TestServer

from connectors.fhir_sources.settings import FhirServer, FhirSources
from connectors.kafka.admin import declare
from connectors.kafka.settings import KafkaSettings
from connectors.redis.settings import RedisSettings
from connectors.redis.source_turns import RedisTurns
from stream.live.gateway import Gateway
from stream.live_settings import LiveSettings
from stream.service_settings import ServiceSettings
from stream.settings import ConfigurationError, SiteFile
from tests.connectors.fhir_sources.conftest import FakeFhir
from tests.listening import WITHIN_S
from tests.live.gateways import read

pytestmark = pytest.mark.asyncio
LOOK_S = 0.02


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeFhir]:
    """A FHIR server of ours."""
    made = FakeFhir()
    async with TestServer(made.app) as server:
        made.base = str(server.make_url("/fhir"))
        yield made


def gateway(name: str, fake: FakeFhir, kafka: KafkaSettings, redis: RedisSettings, folder: Path | None) -> Gateway:
    """Give a gateway that asks the server."""
    site = SiteFile(
        service=ServiceSettings(mllp_port=0, http_port=0, stop_grace_s=1.0),
        kafka=kafka,
        redis=redis,
        live=LiveSettings(name=name, canary=False, state_folder=str(folder) if folder else ""),
        fhir_sources=FhirSources({"ehr": FhirServer(fake.base, ("Observation",), poll_s=1)}),
    )
    return Gateway(site, version="test", log=structlog.get_logger())


async def test_one_asks_at_a_time_and_the_other_goes_on(
    fake: FakeFhir, kafka: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    """The second gateway leaves the server alone until the first stops; each resource is on the topic once."""
    await declare(kafka)
    first, second = (gateway(name, fake, kafka, redis_settings, tmp_path) for name in ("g1", "g2"))
    await first.start()
    await _until(lambda: _metric(first, "ours") == 1)  # else either may take the turn
    await second.start()
    try:
        fake.vital("before")
        await _until(lambda: _metric(first, "looks_total") >= 2)
        assert _metric(second, "looks_total") == 0
        assert (_metric(first, "ours"), _metric(second, "ours")) == (1, 0)
        await first.stop()
        fake.now += 400_000
        fake.vital("after")
        await _until(lambda: _metric(second, "looks_total") >= 1)
    finally:
        await first.stop()
        await second.stop()
    records = await read(kafka, "fhir.ingest.v1")
    ids = [entry["resource"]["id"] for one in records for entry in msgspec.json.decode(one.value or b"")["entry"]]
    assert set(ids) == {"before", "after"}, "what both have read is known by its content"


async def test_a_source_needs_a_folder(fake: FakeFhir, kafka: KafkaSettings, redis_settings: RedisSettings) -> None:
    """Without one it would begin anew after each restart; the operator is told."""
    with pytest.raises(ConfigurationError, match=r"fhir_sources\.state_folder"):
        gateway("g", fake, kafka, redis_settings, None)


async def test_a_turn_is_one_at_a_time_and_is_given_back(redis_settings: RedisSettings) -> None:
    """It is kept by asking again, passes when it is given back, and counts what was told to everybody."""
    one, two = (RedisTurns(redis_settings, "", "ehr", owner, poll_s=1) for owner in ("one", "two"))
    assert [(await turns.take(told)).mine for turns, told in ((one, 2), (two, 3), (one, 0))] == [True, False, True]
    assert (await two.take(0)).heard == 5
    await one.give_back()
    assert (await two.take(0)).mine
    await two.give_back()


async def test_a_turn_that_cannot_be_known_is_ours() -> None:
    """Redis away: every gateway asks, which is told once, and what was told meanwhile is added later."""
    warnings: list[str] = []
    away = RedisSettings(port=1, timeout_s=0.2)
    turns = RedisTurns(away, "", "ehr", "one", poll_s=1, warn=warnings.append)
    assert [(await turns.take(told)) for told in (2, 3)][-1].heard == 5
    assert len(warnings) == 1


def _metric(running: Gateway, name: str) -> float:
    text = running.metrics.expose()[0].decode()
    lines = [line for line in text.splitlines() if line.startswith(f"wardstream_fhir_source_{name}{{")]
    return float(lines[0].rpartition(" ")[2]) if lines else 0.0


async def _until(claim) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not claim():
            await asyncio.to_thread(Event().wait, LOOK_S)
