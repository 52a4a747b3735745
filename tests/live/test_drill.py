"""What people decide, on a live service under a backlog: promotion, kill switch, rollback, each by its one command.

The kill-switch drill: from the command, once given, to silence under 5 s though workers are far behind; NEWS2 goes on.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from connectors.kafka.reading import KafkaRecord, read_topic
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import CONTROL
from connectors.redis.settings import RedisSettings
from stream.versions import load_versions, shipped_version
from tests.live.cluster import Cluster, hospital
from tests.live.verdict import verdict

SILENCE_S = 5.0
BACKLOG_BEDS = 800
"""Some 18,000 messages: a worker folds them for several times as long as a command takes to start."""
BACKLOG_BATCH = 4_000
"""Written together, so that they lie there long before they are folded."""
EFFECT_S = 10.0
MODEL_S = 60.0
CONFIGURATION = """[guardrails]
raise_at = 0.02
clear_at = 0.01
"""
"""So low that the model has much to say."""


class Said(msgspec.Struct):
    """What these tests read of an alert."""

    trigger: str
    disposition: str
    model_version: str = ""


@pytest.fixture
def cluster(tmp_path: Path, kafka: KafkaSettings, redis_settings: RedisSettings) -> Iterator[Cluster]:
    made = Cluster(tmp_path, kafka, redis_settings)
    yield made
    made.stop()


async def command(cluster: Cluster, *words: str) -> None:
    """Run one command as an operator does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stream.cli", *words, "--config", str(cluster.config), stdout=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0


async def given(cluster: Cluster) -> float:
    """Give when the newest command reached the service: that a process starts before is not the service's time."""
    return [record.record_time / 1000 async for record in read_topic(cluster.kafka, CONTROL)][-1]


async def told(cluster: Cluster) -> list[tuple[KafkaRecord, Said]]:
    """Give what is on alerts.v1, in order of time."""
    found = [
        (record, msgspec.json.decode(record.value or b"", type=Said))
        async for record in read_topic(cluster.kafka, "alerts.v1")
    ]
    return sorted(found, key=lambda each: each[0].record_time)


async def model_speaks(cluster: Cluster) -> bool:
    return any(said.trigger == "model" and said.disposition == "told" for _, said in await told(cluster))


@pytest.mark.asyncio
async def test_kill_switch_silences_the_model_within_seconds_under_a_backlog(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """After the command the model is told nothing more within 5 s, NEWS2 is, and the run still equals its replay."""
    versions, _ = load_versions()
    site = cluster.folder / "thresholds.toml"
    site.write_text(CONFIGURATION)
    await cluster.declare()
    await command(cluster, "control", "configure", str(site), "--reason", "drill")
    await command(cluster, "models", "promote", shipped_version(versions), "--reason", "drill")
    cluster.start("w0")
    await cluster.until_healthy()
    await cluster.until(lambda: decided(cluster, 2), MODEL_S, lambda: "not decided")
    arrivals = hospital(beds=BACKLOG_BEDS, hours=72)
    await cluster.ingest(arrivals[:2_000])
    await cluster.until(lambda: model_speaks(cluster), MODEL_S, lambda: "the model says nothing")
    await cluster.ingest(arrivals[2_000:], batch=BACKLOG_BATCH)
    await command(cluster, "control", "kill-switch", "engage", "--reason", "drill")
    done = time.time()
    behind = await cluster.behind()
    engaged = await given(cluster)
    await cluster.drain(300)
    alerts = await told(cluster)
    last = max(
        record.record_time / 1000 for record, said in alerts if said.trigger == "model" and said.disposition == "told"
    )
    floor = [record for record, said in alerts if said.trigger == "news2_floor" and record.record_time / 1000 > done]
    held = [said for _, said in alerts if said.disposition == "held"]
    with capsys.disabled():
        sys.stdout.write(f"\nsilent {last - engaged:.2f} s after the command, {behind} behind; {len(held)} held\n")
    assert sum(behind.values()) > 0
    assert last - engaged < SILENCE_S
    assert floor
    assert held
    found = await verdict(cluster, dict(versions))
    assert found.well() == []


@pytest.mark.asyncio
async def test_rollback_takes_effect_within_seconds_without_a_restart(cluster: Cluster) -> None:
    """Promoted, then rolled back: scores from some seconds after on are NEWS2's alone, by the same process."""
    versions, _ = load_versions()
    version = shipped_version(versions)
    await cluster.declare()
    cluster.start("w0")
    await cluster.until_healthy()
    await command(cluster, "models", "promote", "none", "--reason", "begin")
    await command(cluster, "models", "promote", version, "--shadow", "--reason", "trial")
    await cluster.until(lambda: decided(cluster, 2), MODEL_S, lambda: "not decided")
    arrivals = hospital(beds=40, hours=48)
    await cluster.ingest(arrivals[:300])
    await cluster.drain()
    before = await scores(cluster)
    await command(cluster, "models", "rollback", "--reason", "trial ended")
    await cluster.until(lambda: decided(cluster, 3), EFFECT_S, lambda: "the rollback took no effect")
    await cluster.ingest(arrivals[300:600])
    await cluster.drain()
    after = (await scores(cluster))[len(before) :]
    assert set(before) == {version}
    assert set(after) == {""}
    assert cluster.deaths == 0
    assert (await verdict(cluster, dict(versions))).well() == []


async def scores(cluster: Cluster) -> list[str]:
    """Give each score's model version, in order of time."""
    found = [
        (record.record_time, msgspec.json.decode(record.value or b"", type=_Scored).model)
        async for record in read_topic(cluster.kafka, "scores.v1")
    ]
    return [model for _, model in sorted(found, key=lambda each: each[0])]


class _Scored(msgspec.Struct):
    model: str


async def decided(cluster: Cluster, sequence: int) -> bool:
    """Say whether every partition has applied a decision."""
    return all(cluster.decided(number) >= sequence for number in range(cluster.kafka.partitions))
