"""Running it through change: another number of partitions, and a feed that sends a whole day again; real workers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from connectors.kafka.outbox import Outbox
from connectors.kafka.reading import log_range, read_topic
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.local.processes import await_that
from connectors.redis.connection import connect
from connectors.redis.settings import RedisSettings
from events import Carried, KillSwitch, Retirement, decode_envelope
from stream.decisions import Decision, decision_key, encode_decision
from stream.kafka_log import KafkaLog
from stream.kafka_outcome import read_outputs
from stream.output_set import OutputSet
from stream.partition_fold import is_passed_on
from tests.live.cluster import DRAIN_S, Cluster, expected_ids, hospital
from tests.live.verdict import verdict

BEDS, HOURS = 40, 40
MORE_PARTITIONS = 7
MADE = (Carried, Retirement)
"""Records that come of no message of their own."""
RESENT = 40
"""Of the last messages before the change: their senders did not hear the answer, and send them again."""


@pytest.fixture
def cluster(tmp_path: Path, kafka: KafkaSettings, redis_settings: RedisSettings) -> Iterator[Cluster]:
    """The installation as it is."""
    folder = tmp_path / "old"
    folder.mkdir()
    made = Cluster(folder, kafka, redis_settings)
    yield made
    made.stop()


@pytest.fixture
def successor(tmp_path: Path, kafka: KafkaSettings, redis_settings: RedisSettings) -> Iterator[Cluster]:
    """The installation as it is to be: another prefix at both servers, another number of partitions."""
    folder = tmp_path / "new"
    folder.mkdir()
    made = Cluster(
        folder,
        msgspec.structs.replace(kafka, prefix=f"{kafka.prefix}n.", partitions=MORE_PARTITIONS),
        msgspec.structs.replace(redis_settings, prefix=f"{redis_settings.prefix}-n"),
    )
    yield made
    made.stop()
    with connect(made.redis) as client:
        keys = list(client.scan_iter(match=f"{made.redis.prefix}:*", count=1_000))
        if keys:
            client.unlink(*keys)


def repartition(old: Cluster, new: Cluster, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command as an operator does."""
    words = ["topics", "repartition", "--config", str(old.config), "--to", str(new.config), *options]
    return subprocess.run(
        [sys.executable, "-m", "stream.cli", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
        env=dict(os.environ),
    )


async def decide(cluster: Cluster, *, engaged: bool) -> None:
    """Write a decision to control.v1."""
    decision = Decision(KillSwitch(0, engaged), "role:test")
    outbox = Outbox(cluster.kafka, client_id="test")
    await outbox.start()
    await outbox.send([Record("control.v1", decision_key(decision), encode_decision(decision), (), 0)])
    await outbox.stop()


async def in_force(cluster: Cluster, decisions: int) -> None:
    """Wait until every partition has its release and the decisions.

    They stand at the present, the hospital's messages in the past: after those, they would make all of it old at once.
    """
    async with asyncio.timeout(DRAIN_S):
        while (await ends(cluster, "events.v1"))["events.v1"] < cluster.kafka.partitions * (decisions + 1):
            cluster.supervise()
    await cluster.drain()


def outputs_of(cluster: Cluster) -> OutputSet:
    """Read all that an installation put out."""
    with KafkaLog(cluster.kafka) as log:
        return read_outputs(log)


async def messages_of(cluster: Cluster) -> set[str]:
    """Give the ids of the records that came of messages."""
    found = set()
    async for record in read_topic(cluster.kafka, "events.v1"):
        envelope = decode_envelope(record.value or b"")
        if (
            envelope.patient
            and not is_passed_on(envelope)
            and type(envelope.events[0] if envelope.events else None) not in MADE
        ):
            found.add(envelope.envelope_id)
    return found


async def ends(cluster: Cluster, *topics: str) -> dict[str, int]:
    """Give how many records topics have had."""
    return {name: sum(end for _, end in (await log_range(cluster.kafka, name)).values()) for name in topics}


@pytest.mark.asyncio
async def test_another_number_of_partitions_loses_and_contradicts_nothing(cluster: Cluster, successor: Cluster) -> None:
    """From 4 partitions to 7 in the middle of a run: every message is taken once, and open alerts go on as they were.

    A gateway of the new prefix takes messages before the change; some senders send again what was taken before it. What
    the new installation says is the embedded fold of its own log.
    """
    arrivals = hospital(BEDS, HOURS)
    half = len(arrivals) // 2
    await cluster.declare()
    cluster.start("w")
    await decide(cluster, engaged=True)
    await decide(cluster, engaged=False)
    await in_force(cluster, 2)
    await cluster.ingest(arrivals[:half])
    await cluster.drain()
    await successor.declare()
    await successor.ingest(arrivals[half - RESENT : half + RESENT])
    refused = await asyncio.to_thread(repartition, cluster, successor)
    assert refused.returncode == 1
    assert "worker(s) of the old installation run: stop them first" in refused.stderr
    cluster.terminate("w")
    done = await asyncio.to_thread(repartition, cluster, successor)
    assert done.returncode == 0, done.stdout + done.stderr

    for name in ("x", "y"):
        successor.start(name)
    await successor.ingest(arrivals[half + RESENT :])
    await successor.drain()
    before, after = await messages_of(cluster), await messages_of(successor)
    assert before.isdisjoint(after)
    assert before | after == expected_ids(arrivals)
    found = await verdict(successor)
    assert found.well() == []
    said, anew = await asyncio.to_thread(outputs_of, cluster), await asyncio.to_thread(outputs_of, successor)
    assert said.ids("scores")
    assert said.ids("scores").isdisjoint(anew.ids("scores"))
    assert said.changed(anew, "alerts") == []
    compared = await asyncio.to_thread(repartition, cluster, successor, "--verify")
    assert compared.returncode == 0, compared.stderr
    told = int(compared.stdout.split()[0])
    assert told == len(said.ids("alerts") & anew.ids("alerts")) > 0


@pytest.mark.asyncio
async def test_an_engaged_kill_switch_is_refused(cluster: Cluster, successor: Cluster) -> None:
    """What is told again of open alerts would be held: otherwise than it was told."""
    await cluster.declare()
    await successor.declare()
    cluster.start("w")
    await decide(cluster, engaged=True)
    await in_force(cluster, 1)
    await cluster.ingest(hospital(4, 2))
    await cluster.drain()
    cluster.terminate("w")
    refused = await asyncio.to_thread(repartition, cluster, successor)
    assert refused.returncode == 1
    assert "the kill switch is engaged" in refused.stderr


@pytest.mark.asyncio
async def test_what_is_not_drained_is_refused(cluster: Cluster, successor: Cluster) -> None:
    """With a message that no worker has folded nothing is carried, and the count of what is left is told."""
    arrivals = hospital(4, 6)
    await cluster.declare()
    await successor.declare()
    cluster.start("w")
    await cluster.ingest(arrivals[:-1])
    await cluster.drain()
    cluster.terminate("w")
    await cluster.ingest(arrivals[-1:])
    refused = await asyncio.to_thread(repartition, cluster, successor)
    assert refused.returncode == 1
    assert "not drained" in refused.stderr
    assert "hl7v2.ingest.v1/" in refused.stderr
    assert ": 1 records to fold" in refused.stderr
    assert not any((await ends(successor, "events.v1", "control.v1", "identities.v1")).values())


@pytest.mark.asyncio
async def test_a_prefix_that_is_in_use_is_refused(cluster: Cluster, successor: Cluster) -> None:
    """A second carrying over into the same prefix is refused: its log would hold everything twice."""
    await cluster.declare()
    await successor.declare()
    cluster.start("w")
    await cluster.ingest(hospital(4, 2))
    await cluster.drain()
    cluster.terminate("w")
    first = await asyncio.to_thread(repartition, cluster, successor)
    assert first.returncode == 0, first.stderr
    second = await asyncio.to_thread(repartition, cluster, successor)
    assert second.returncode == 1
    assert "holds records: take a prefix that nobody has used" in second.stderr
    same = await asyncio.to_thread(repartition, cluster, cluster)
    assert "same [kafka] prefix" in same.stderr


@pytest.mark.asyncio
async def test_a_feed_that_sends_a_day_again_changes_nothing(cluster: Cluster) -> None:
    """All messages of a day a second time, after everything: nothing is said anew, and each is counted as a duplicate.

    A worker that was started in between counts them: what it knows of them it has from Redis.
    """
    arrivals = hospital(20, 24)
    outputs = ("events.v1", "scores.v1", "suppressed.v1", "candidates.v1", "alerts.v1", "examples.v1")
    await cluster.declare()
    cluster.start("w")
    await cluster.ingest(arrivals)
    await cluster.drain()
    cluster.terminate("w")
    before = await ends(cluster, *outputs)
    cluster.start("w")
    await cluster.ingest(arrivals)
    await cluster.drain()
    samples = await asyncio.to_thread(cluster.metrics, "w")
    parsed = {one.labels["outcome"]: one.value for one in samples if one.name == "wardstream_parsed_total"}
    assert parsed["duplicates"] == len(arrivals)
    assert await ends(cluster, *outputs) == before
    found = await verdict(cluster)
    assert found.ids == expected_ids(arrivals)
    assert found.well() == []


@pytest.mark.asyncio
async def test_a_stay_longer_than_the_log_is_told_by_the_worker(cluster: Cluster) -> None:
    """A worker that starts finds who is here since before the log's retention, and logs what to set."""
    await cluster.declare()
    cluster.start("w")
    await in_force(cluster, 0)
    await cluster.ingest(hospital(6, 8))
    await cluster.drain()
    cluster.terminate("w")
    cluster.start("w")
    assert await asyncio.to_thread(await_that, lambda: "set kafka.events_days above it" in cluster.log_of("w"), DRAIN_S)
    [line] = [line for line in cluster.log_of("w").splitlines() if "the longest stay is" in line]
    assert "redis_finding" in line
    assert "set kafka.events_days above it" in line
