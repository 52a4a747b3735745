"""Signed decisions on a live service: real workers, and records that somebody writes to control.v1 by hand."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from connectors.kafka.reading import read_topic
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import CONTROL
from connectors.redis.connection import connect
from connectors.redis.settings import RedisSettings
from events import KillSwitch, Promotion, Standing
from stream.clock import wall_ms
from stream.control import StoredControl, read_control
from stream.decisions import Decision, DecisionEvent, Decisions, decision_key, encode_decision, signer
from stream.fold import CONTROL_KEY
from stream.versions import load_versions, shipped_version
from tests.live.cluster import Cluster, hospital
from tests.live.verdict import verdict
from tests.stream.signed_cases import OFFICER, OFFICER_KEY, STRANGER

VERSIONS, _WRONG = load_versions()
SHIPPED = shipped_version(VERSIONS)
EFFECT_S, FOLD_S = 60.0, 60.0
CONFIGURATION = f"""[guardrails]
raise_at = 0.02
clear_at = 0.01
[decision_keys.officer]
public_key = "{OFFICER_KEY.public}"
roles = ["{OFFICER}"]
"""


@pytest.fixture
def cluster(tmp_path: Path, kafka: KafkaSettings, redis_settings: RedisSettings) -> Iterator[Cluster]:
    """An installation of two workers' size."""
    made = Cluster(tmp_path, kafka, redis_settings)
    (tmp_path / "keys.toml").write_text(CONFIGURATION)
    (tmp_path / "officer.pem").write_bytes(OFFICER_KEY.private_pem)
    (tmp_path / "stranger.pem").write_bytes(STRANGER.private_pem)
    yield made
    made.stop()


async def command(cluster: Cluster, *words: str, key: str = "") -> tuple[int, str]:
    """Run one command as an operator does; give its end and what it said."""
    where = ("--config", str(cluster.config), "--as", OFFICER, "--reason", "drill")
    signed = ("--key", str(cluster.folder / f"{key}.pem")) if key else ()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stream.cli", *words, *where, *signed,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def decided(cluster: Cluster) -> Decisions:
    """Read control.v1 as everybody does."""
    decisions = Decisions()
    async for record in read_topic(cluster.kafka, CONTROL):
        decisions.take(record.offset, record.value, record.record_time)
    return decisions


async def write(cluster: Cluster, event: DecisionEvent, key: bytes | None = None) -> None:
    """Write a decision by hand, in its place in the chain, as somebody does who may write the topic."""
    decision = Decision(event, OFFICER, "by hand", previous=(await decided(cluster)).chain.tips)
    decision = decision if key is None else signer(key)(decision)
    await cluster.put([Record(CONTROL, decision_key(decision), encode_decision(decision), (), 0)])


def controls(cluster: Cluster) -> list[StoredControl]:
    """Give what each partition goes by."""
    with connect(cluster.redis) as client:
        found = [
            client.get(f"{cluster.redis.prefix}:{{patient-{number}}}:s:{CONTROL_KEY}")
            for number in range(cluster.kafka.partitions)
        ]
    return [read_control(one) for one in found if one is not None]


async def applied(cluster: Cluster, sequence: int) -> None:
    """Wait until every partition has applied a decision."""

    async def there() -> bool:
        found = controls(cluster)
        return len(found) == cluster.kafka.partitions and all(one.sequence >= sequence for one in found)

    await cluster.until(there, FOLD_S, lambda: f"not applied: {[one.sequence for one in controls(cluster)]}")


async def health(cluster: Cluster, name: str, path: str = "health/ready") -> str:
    """Ask a worker."""
    address = f"http://127.0.0.1:{cluster.ports[name]}/{path}"
    return (await asyncio.to_thread(httpx.get, address, timeout=EFFECT_S, trust_env=False)).text


async def until_told(cluster: Cluster, name: str, words: str) -> None:
    """Wait until a worker's health says something."""

    async def there() -> bool:
        return words in await health(cluster, name)

    await cluster.until(there, EFFECT_S, lambda: f"health does not say: {words}")


class Said(msgspec.Struct):
    """What these tests read of an alert."""

    trigger: str
    disposition: str


async def told_by_the_model(cluster: Cluster) -> list[str]:
    """Give the dispositions of the model's alerts, in order of time: a reading mingles partitions."""
    found = [
        (one.record_time, msgspec.json.decode(one.value or b"", type=Said))
        async for one in read_topic(cluster.kafka, "alerts.v1")
    ]
    return [one.disposition for _, one in sorted(found, key=lambda each: each[0]) if one.trigger == "model"]


async def run(cluster: Cluster, *words: str) -> tuple[int, str]:
    """Run a command that decides nothing."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stream.cli", *words, "--config", str(cluster.config),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={"COLUMNS": "400", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def promoted_by_hand(cluster: Cluster) -> None:
    """Write two promotions that do not count; wait until both workers say so."""
    promoted = Promotion(wall_ms(), SHIPPED, enabled=True)
    await write(cluster, promoted)
    await write(cluster, promoted, STRANGER.private_pem)
    for name in ("w0", "w1"):
        await until_told(cluster, name, "decision 2 (Promotion, as safety-officer) does not count")
        await until_told(cluster, name, "decision 3 ")
        metrics = await health(cluster, name, "metrics")
        assert 'wardstream_decisions_refused_total{reason="unsigned"} 1.0' in metrics
        assert 'wardstream_decisions_refused_total{reason="unknown_key"} 1.0' in metrics
    status, said = await run(cluster, "control", "status")
    assert status == 1
    assert "it is not signed" in said
    assert "have not applied" not in said


@pytest.mark.asyncio
async def test_what_is_not_signed_has_no_effect_on_any_worker(cluster: Cluster) -> None:
    """Written by hand, unsigned or by a stranger: no partition enters it, health names it, the run equals its replay.

    The kill switch engaged by hand, unsigned, works at once; its release by hand does not.
    """
    await cluster.declare()
    assert (await command(cluster, "control", "configure", str(cluster.folder / "keys.toml"), key="officer"))[0] == 0
    for name in ("w0", "w1"):
        cluster.start(name)
    await cluster.until_healthy()
    await applied(cluster, 1)
    await promoted_by_hand(cluster)
    arrivals = hospital(beds=60, hours=48)
    await cluster.ingest(arrivals[:500])
    await cluster.drain()
    assert await told_by_the_model(cluster) == []
    assert {(one.version, one.sequence) for one in controls(cluster)} == {("", 1)}

    code, said = await command(cluster, "models", "promote", SHIPPED)
    assert (code, "the private key of one of: officer" in said) == (2, True)
    assert (await decided(cluster)).newest == 3
    assert (await command(cluster, "models", "promote", SHIPPED, key="officer"))[0] == 0
    await applied(cluster, 4)
    await cluster.until_healthy()
    await cluster.ingest(arrivals[500:1_000])
    await cluster.drain()
    spoken = await told_by_the_model(cluster)
    assert "told" in spoken

    await write(cluster, KillSwitch(wall_ms(), engaged=True))
    await applied(cluster, 5)
    await write(cluster, KillSwitch(wall_ms(), engaged=False))
    await write(cluster, Standing(wall_ms(), SHIPPED, "demoted"))
    await write(cluster, Standing(wall_ms(), SHIPPED, "good"))
    await applied(cluster, 7)
    await until_told(cluster, "w0", "decision 8 (Standing")
    await cluster.ingest(arrivals[1_000:])
    await cluster.drain()
    after = (await told_by_the_model(cluster))[len(spoken) :]
    assert "told" not in after
    assert {(one.version, one.kill_switch, one.standings) for one in controls(cluster)} == {
        (SHIPPED, True, ((SHIPPED, "demoted"),))
    }
    code, said = await run(cluster, "audit", "verify")
    assert code == 0, said
    assert "Signed by officer" in said
    assert "as safety-officer): 1" in said
    assert said.count("Without effect: decision") == 4
    found = await verdict(cluster, dict(VERSIONS))
    assert found.well() == []


@pytest.mark.asyncio
async def test_a_worker_that_starts_anew_comes_to_the_same(cluster: Cluster) -> None:
    """Keys handed over since, states lost: what the old key signed stands, what nobody signed does not."""
    await cluster.declare()
    assert (await command(cluster, "control", "configure", str(cluster.folder / "keys.toml"), key="officer"))[0] == 0
    assert (await command(cluster, "models", "promote", SHIPPED, key="officer"))[0] == 0
    await write(cluster, Promotion(wall_ms(), "", enabled=False))
    await write(cluster, Promotion(wall_ms(), SHIPPED, enabled=True))
    assert (await command(cluster, "models", "rollback", key="officer"))[0] == 0
    other = cluster.folder / "other.toml"
    other.write_text(CONFIGURATION.replace(OFFICER_KEY.public, STRANGER.public))
    hand_over = ("control", "configure", str(other), "--new-key", str(cluster.folder / "stranger.pem"))
    assert (await command(cluster, *hand_over, key="officer"))[0] == 0
    cluster.start("w0")
    await applied(cluster, 6)
    before = [(one.version, one.enabled, one.configuration, one.sequence) for one in controls(cluster)]
    assert {(version, enabled, sequence) for version, enabled, _, sequence in before} == {(SHIPPED, True, 6)}
    cluster.terminate("w0")
    with connect(cluster.redis) as client:
        keys = list(client.scan_iter(match=f"{cluster.redis.prefix}:*patient*", count=1_000))
        client.unlink(*keys)
    cluster.start("w1")
    await applied(cluster, 6)
    assert [(one.version, one.enabled, one.configuration, one.sequence) for one in controls(cluster)] == before
    assert (await command(cluster, "control", "kill-switch", "release", key="officer"))[0] == 2
    assert (await command(cluster, "control", "kill-switch", "release", key="stranger"))[0] == 0
