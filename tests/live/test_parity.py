"""Parity (ii): one pre-recorded events.v1 gives the same outputs in the embedded host and under any workers.

And parity (i), over what changes in a service's life: a promotion, a configuration, a release, a merge in a rebalance.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.decoded import Identifier
from connectors.hl7v2.render import Result, render_adt, render_oru
from connectors.hospital import Hospital, as_hl7
from connectors.kafka.reading import read_topic
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import CONTROL
from connectors.redis.settings import RedisSettings
from connectors.sources.arrival import Arrival
from events import CodeVersion, Configuration, Location, Promotion, decode_envelope
from stream.cli.options import code_version
from stream.decisions import Decision, encode_decision
from stream.kafka_log import KafkaLog
from stream.kafka_outcome import check_state, read_outputs
from stream.output_set import OutputSet
from stream.settings import Settings, configuration_hash, configuration_text
from stream.simulation import arrivals_of
from stream.versions import load_versions, shipped_version
from tests.live.cluster import Cluster, expected_ids
from tests.live.parity import PreRecorded, embedded_outputs, hospital_log, write_log
from tests.live.verdict import check_run, verdict

BEDS, HOURS = 120, 60
STAGES = "patient,ward"
RESTARTS = int(os.environ.get("WARDSTREAM_PARITY_RESTARTS", "8"))
SEED = int(os.environ.get("WARDSTREAM_SEED", "11"))
BETWEEN_S = (0.3, 1.2)
SMALL_BATCHES = "batch_records_max = 10"
"""So that the log is folded for longer than the workers live."""
AT = 1_767_225_600_000
MINUTE = 60_000


@pytest.fixture(scope="module")
def log() -> PreRecorded:
    return hospital_log(4, beds=BEDS, hours=HOURS, code_version=code_version())


@pytest.fixture(scope="module")
def embedded(log: PreRecorded) -> OutputSet:
    return embedded_outputs(log)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Make clusters that are stopped when the test ends."""
    made: list[Cluster] = []

    def one(kafka: KafkaSettings, redis: RedisSettings, live: str = "", build: str = "") -> Cluster:
        made.append(Cluster(tmp_path, kafka, redis, live=live, build=build))
        return made[-1]

    yield one
    for cluster in made:
        cluster.stop()


def outputs_of(cluster: Cluster) -> tuple[OutputSet, list[str]]:
    """Give what a run put out, and what contradicts itself in it."""
    with KafkaLog(cluster.kafka) as log:
        return read_outputs(log), check_state(cluster.kafka)


async def check_parity(cluster: Cluster, embedded: OutputSet) -> None:
    """Wait until the log is folded, then hold what came out against the embedded fold's."""
    await cluster.drain()
    live, contradictions = await asyncio.to_thread(outputs_of, cluster)
    assert (live.diverged, live.difference(embedded), contradictions) == ([], [], [])


def test_the_embedded_fold_is_the_same_under_another_hash_seed(embedded: OutputSet) -> None:
    """Two processes under two PYTHONHASHSEEDs make the same log, and of it the same outputs, as this one does."""
    digests = {embedded.hexdigest()}
    for seed in ("1", "4242"):
        told = subprocess.run(
            [sys.executable, "-m", "tests.live.embedded_digest", "4", str(BEDS), str(HOURS)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(told.stdout)
    assert len(digests) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("workers", [1, 3])
async def test_workers_give_what_the_embedded_fold_gives(
    make: Any, kafka: Any, redis_settings: Any, log: PreRecorded, embedded: OutputSet, workers: int
) -> None:
    """One worker, or three under hash seeds of their own, give the same set of scores, suppressed and alerts."""
    cluster = make(kafka, redis_settings)
    await write_log(kafka, log)
    for number in range(workers):
        cluster.start(f"w{number}", STAGES, {"PYTHONHASHSEED": str(number)})
    await check_parity(cluster, embedded)


@pytest.mark.asyncio
async def test_workers_killed_and_rebalanced_throughout_give_the_same(
    make: Any, kafka: Any, redis_settings: Any, log: PreRecorded, embedded: OutputSet
) -> None:
    """Three workers of which one is killed, stopped in order or frozen every second give the same outputs."""
    chance = random.Random(SEED)  # noqa: S311 - faults are drawn, not secrets
    cluster = make(kafka, redis_settings, SMALL_BATCHES)
    await write_log(kafka, log)
    names = ["w0", "w1", "w2"]
    for name in names:
        cluster.start(name, STAGES, {"PYTHONHASHSEED": name[1:]})
    for number in range(RESTARTS):
        await cluster.let_go_on(chance.uniform(*BETWEEN_S))
        name = chance.choice(names)
        if number % 2:
            await asyncio.to_thread(cluster.terminate, name)
        else:
            cluster.kill(name)
        cluster.restart(name)
    await check_parity(cluster, embedded)


def hospital_of_today(beds: int, hours: float) -> list[Arrival]:
    """Give a hospital whose messages were sent up to now: what people decide enters the log at the present."""
    start = int(time.time() * 1_000) - int(hours * 60 * MINUTE)
    stories = Hospital(seed=SEED, beds=beds, hours=hours, start_time=start)
    messages = [(story.sent_time, data) for story in stories if (data := as_hl7(story)) is not None]
    return list(arrivals_of(messages, Settings()))


async def control_events(cluster: Cluster, kind: type[Any]) -> list[Any]:
    """Give the control events of a kind on all partitions of events.v1, repeated records once."""
    found = {}
    async for record in read_topic(cluster.kafka, "events.v1"):
        envelope = decode_envelope(record.value or b"")
        for event in envelope.events:
            if isinstance(event, kind):
                found[record.partition, envelope.envelope_id] = event
    return list(found.values())


async def decide(cluster: Cluster, decision: Decision) -> None:
    """Decide something, as a person does at the command line."""
    await cluster.put([Record(CONTROL, b"decision", encode_decision(decision))])


@pytest.mark.asyncio
async def test_a_run_over_a_promotion_a_configuration_and_a_rolling_upgrade_is_its_replay(
    make: Any, kafka: Any, redis_settings: Any
) -> None:
    """Under load a version is promoted, a threshold changed, and each worker upgraded in turn: parity throughout."""
    versions, _ = load_versions()
    shipped = shipped_version(versions)
    settings = Settings()
    lower = msgspec.structs.replace(settings.guardrails, raise_at=0.02, clear_at=0.01)
    changed = msgspec.structs.replace(settings, guardrails=lower)
    arrivals = hospital_of_today(beds=80, hours=48)
    cut = len(arrivals) // 4
    cluster = make(kafka, redis_settings, build="old")
    await cluster.declare()
    for name in ("w0", "w1"):
        cluster.start(name)
    await cluster.until_healthy()
    await cluster.ingest(arrivals[:cut])
    await decide(cluster, Decision(Promotion(AT, shipped, enabled=True), "role:test"))
    await cluster.ingest(arrivals[cut : 2 * cut], within_s=2.0, batch=20)
    text = configuration_text(changed)
    await decide(cluster, Decision(Configuration(AT, configuration_hash(changed), text), "role:test"))
    feeding = asyncio.create_task(cluster.ingest(arrivals[2 * cut :], within_s=8.0, batch=10))
    for name in ("w0", "w1"):
        await asyncio.to_thread(cluster.terminate, name)
        cluster.restart(name, {"WARDSTREAM_BUILD": "new"})
        healthy_s = await cluster.until_healthy()
    await feeding
    await cluster.drain()
    found = await verdict(cluster, versions)
    expected = expected_ids(arrivals)
    fault = "promotion, configuration and rolling upgrade of two builds under load"
    found.note(cluster, fault, expected, times=4, healthy_s=healthy_s)
    assert (found.ids ^ expected, found.well()) == (set(), [])
    builds = [event.version.rpartition("+")[2] for event in await control_events(cluster, CodeVersion)]
    assert set(builds) == {"old", "new"}
    assert len(await control_events(cluster, Promotion)) == cluster.kafka.partitions
    assert len(await control_events(cluster, Configuration)) == cluster.kafka.partitions


def merging(patients: int) -> list[Arrival]:
    """Give messages of patients under two numbers each, merged amid their charting; some come under the old one too."""
    messages: list[tuple[int, bytes]] = []

    def chart(mrn: str, at: int) -> None:
        render = render_oru(
            control_id=f"R{len(messages)}",
            sent_time=at,
            feed="SIM|HOSP",
            patient=Identifier("HOSP", mrn),
            encounter=f"V{mrn}",
            location=Location("Ward A", "1", "12"),
            observed_time=at,
            order=f"O{len(messages)}",
            results=[Result(code="9279-1", value=26.0, unit="/min"), Result(code="8867-4", value=118.0, unit="/min")],
        )
        messages.append((at, render))

    def adt(trigger: str, mrn: str, at: int, **more: Any) -> None:
        render = render_adt(
            trigger,
            control_id=f"A{len(messages)}",
            sent_time=at,
            feed="SIM|HOSP",
            patient=Identifier("HOSP", mrn),
            event_time=at,
            encounter=f"V{mrn}",
            location=Location("Ward A", "1", "12"),
            **more,
        )
        messages.append((at, render))

    for step, act in enumerate(("admit", "chart", "chart_old", "merge", "chart_old", "chart", "again", "chart_old")):
        for number in range(patients):
            at = AT + step * 30 * MINUTE + number * 1_000
            new, old = f"N{number}", f"T{number}"
            if act == "admit":
                adt("A01", new, at)
                adt("A01", old, at)
            elif act in ("merge", "again"):
                adt("A40", new, at, retired=Identifier("HOSP", old))
            else:
                chart(old if act == "chart_old" else new, at)
    return list(arrivals_of(messages, Settings()))


@pytest.mark.asyncio
async def test_merges_amid_rebalances_are_as_their_replay_has_them(make: Any, kafka: Any, redis_settings: Any) -> None:
    """Patients merged across partitions while workers come, go and are killed: each record is handed over once."""
    arrivals = merging(60)
    cluster = make(kafka, redis_settings, SMALL_BATCHES)
    await cluster.declare()
    cluster.start("w0")
    await cluster.until_healthy()
    feeding = asyncio.create_task(cluster.ingest(arrivals, within_s=10.0, batch=5))
    for name in ("w1", "w2"):
        await cluster.let_go_on(1.0)
        cluster.start(name)
    await cluster.let_go_on(3.0)
    await cluster.until_at_work("w1")
    cluster.kill("w1")
    await asyncio.to_thread(cluster.terminate, "w2")
    cluster.restart("w1")
    await cluster.let_go_on(1.0)
    await cluster.until_at_work("w0")
    cluster.kill("w0")
    cluster.restart("w0")
    cluster.restart("w2")
    healthy_s = await cluster.until_healthy()
    fault = "merges across partitions amid kills and rebalances"
    found = await check_run(cluster, feeding, arrivals, fault, times=3, healthy_s=healthy_s)
    assert found.live.counts()["alerts"] > 0
