"""The monitors in the learner's process, on a real broker: a broken limit takes the version out of force by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

from alerts.monitoring.signal import SignalState, encode_signal, make_signal
from connectors.kafka.reading import read_topic
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import CONTROL, EXAMPLES, SIGNALS
from connectors.redis.settings import RedisSettings
from connectors.signing import generate_key, sign
from events import MILLIS_PER_HOUR, Promotion, Standing
from models.version import ModelVersion, dump
from stream.decisions import Decided, Decisions
from stream.live.examples import Told, decode_example
from stream.live.findings import read_findings
from stream.live.monitor_fold import ToldUsual, encode_word
from stream.live.versions import version_record
from stream.promotion import MONITOR, champion_of
from stream.versions import load_versions, shipped_version
from tests.live.cluster import Cluster, hospital
from tests.live.test_drill import command, decided
from tests.live.verdict import verdict
from tests.stream.live.test_monitor_fold import START, stay
from tests.stream.test_promotion_cli import ensemble

EFFECT_S = 90.0
"""Until a learner that started has read its topics, or has answered what it read: on shared cores."""
STAYS = 250
"""Five days of event time: of these deaths a few dozen are enough to see that one in fifty was promised."""
KEY = generate_key()


@pytest.fixture
def cluster(tmp_path: Path, kafka: KafkaSettings, redis_settings: RedisSettings) -> Iterator[Cluster]:
    """Give an installation that trusts one key for its versions."""
    made = Cluster(tmp_path, kafka, redis_settings, live=f'version_keys = ["{KEY.public}"]')
    yield made
    made.stop()


def miscalibrated(version: str, days: int) -> list[Record]:
    """Give examples of a version that promises little, and six of ten die; from so many days on."""
    generator, begin = np.random.default_rng(days), START + days * 24 * MILLIS_PER_HOUR
    return [
        Record(EXAMPLES, b"p", value)
        for number in range(STAYS)
        for value in stay(number, generator, version, 0.6, begin)
    ]


class Said(msgspec.Struct):
    """What these tests read of a score."""

    model: str
    probability: float | None


async def said(cluster: Cluster) -> list[Said]:
    """Give each score, in order of time."""
    found = [
        (record.record_time, msgspec.json.decode(record.value or b"", type=Said))
        async for record in read_topic(cluster.kafka, "scores.v1")
    ]
    return [one for _, one in sorted(found, key=lambda each: each[0])]


async def decisions_of(cluster: Cluster) -> Decisions:
    """Read all that is decided."""
    found = Decisions()
    async for record in read_topic(cluster.kafka, CONTROL):
        found.take(record.offset, record.value, record.record_time)
    return found


async def answered(cluster: Cluster) -> dict[str, Any]:
    """Ask the learner what it finds; nothing where it does not answer yet."""
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            found: dict[str, Any] = (await client.get(f"http://127.0.0.1:{cluster.ports['l0']}/findings")).json()
    except httpx.HTTPError:
        return {}
    return found


async def watches(cluster: Cluster, version: str) -> bool:
    """Say whether a learner that has caught up watches a version."""
    found = await answered(cluster)
    return bool(found.get("current")) and found["version"] == version


def entered(decisions: Decisions) -> list[Decided]:
    """Give what nobody but the monitor decided."""
    return [one for one in decisions.kept() if one.decision.who == MONITOR]


@pytest.mark.asyncio
async def test_a_broken_limit_demotes_by_itself_once_and_the_former_champion_comes_back(cluster: Cluster) -> None:
    """Calibration breaks: the version is out, the former one is back; it breaks too, and NEWS2 is alone; a learner
    that was killed and started again decides none of it twice, and the run equals its replay.
    """
    shipped = dict(load_versions()[0])
    former, champion = (ensemble(shipped[shipped_version(shipped)], logit) for logit in (-3.0, -2.9))
    versions: dict[str, ModelVersion] = {**shipped, former.version: former, champion.version: champion}
    await cluster.declare()
    await cluster.put([version_record(one, sign(KEY.private_pem, dump(one))) for one in (former, champion)])
    for one in (former, champion):
        await command(cluster, "models", "promote", one.version, "--reason", "reviewed", "--as", "chief")
    cluster.start("w0")
    cluster.start("l0", command="learner")
    await cluster.until(lambda: decided(cluster, 2), EFFECT_S, lambda: "not decided")
    arrivals = hospital(beds=40, hours=48)
    third = len(arrivals) // 3
    await cluster.ingest(arrivals[:third])
    await cluster.drain()
    assert {one.model for one in await said(cluster)} == {champion.version}

    await cluster.put(miscalibrated(champion.version, 0))
    await cluster.until(lambda: decided(cluster, 4), EFFECT_S, lambda: f"no demotion: {cluster.log_of('l0')[-2000:]}")
    demoted, back = entered(await decisions_of(cluster))
    assert isinstance(demoted.decision.event, Standing)
    assert (demoted.decision.event.version, demoted.decision.event.standing) == (champion.version, "demoted")
    assert demoted.decision.figures["monitor"] == "calibration"
    assert isinstance(back.decision.event, Promotion)
    assert back.decision.event.version == former.version

    async def told() -> bool:
        standing = {(one.monitor, one.response, one.version) for one in await read_findings(cluster.kafka, "")}
        return ("calibration", "demote", champion.version) in standing

    await cluster.until(told, EFFECT_S, lambda: "the finding is not told")  # the demotion is entered first
    before = len(await said(cluster))
    await cluster.ingest(arrivals[third : 2 * third])
    await cluster.drain()
    assert {one.model for one in (await said(cluster))[before:]} == {former.version}
    assert None not in {one.probability for one in (await said(cluster))[before:]}

    cluster.kill("l0")
    cluster.start("l0")
    await cluster.until(lambda: watches(cluster, former.version), EFFECT_S, lambda: "the learner does not come back")
    await cluster.until(lambda: told_of(cluster, former.version), EFFECT_S, lambda: "it was told no threshold")
    assert (await decisions_of(cluster)).newest == 4

    await cluster.put(miscalibrated(former.version, 10))
    await cluster.until(lambda: decided(cluster, 5), EFFECT_S, lambda: f"no demotion: {cluster.log_of('l0')[-2000:]}")
    before = len(await said(cluster))
    await cluster.ingest(arrivals[2 * third :])
    await cluster.drain()
    found = await decisions_of(cluster)
    assert {one.probability for one in (await said(cluster))[before:]} == {None}
    assert (found.newest, champion_of(found), found.chain.faults) == (5, "", ())
    assert (await verdict(cluster, versions)).well() == []


async def told_of(cluster: Cluster, version: str) -> bool:
    """Say whether it stands on examples.v1 at which threshold wards are told by a version."""
    return any(
        [
            isinstance(example, Told) and msgspec.json.decode(example.content).get("version") == version
            async for record in read_topic(cluster.kafka, EXAMPLES)
            if (example := decode_example(record.value or b""))
        ]
    )


@pytest.mark.asyncio
async def test_a_person_says_that_a_feed_s_values_are_as_they_are_to_be(cluster: Cluster) -> None:
    """The word stands on examples.v1, for the monitors; of what is no feature none is written."""
    await cluster.declare()
    await command(cluster, "models", "usual", "LAB", "lactate")
    with pytest.raises(AssertionError):
        await command(cluster, "models", "usual", "LAB", "lactat")
    written = [decode_example(record.value or b"") async for record in read_topic(cluster.kafka, EXAMPLES)]
    assert [(one.to, bytes(one.content)) for one in written if isinstance(one, Told)] == [
        ("monitors", encode_word(ToldUsual("LAB", "lactate")))
    ]


@pytest.mark.asyncio
async def test_what_stands_upstream_is_found_until_the_last_partition_clears_it(cluster: Cluster) -> None:
    """Raised by two partitions and cleared by one, before the learner began: written down once, told, and it passes."""
    await cluster.declare()
    await cluster.put([upstream(0, "raised"), upstream(1, "raised"), upstream(0, "cleared")])
    cluster.start("l0", command="learner")

    async def standing() -> list[tuple[str, str]]:
        return [(one.monitor, str(one.figures["subject"])) for one in await read_findings(cluster.kafka, "")]

    async def stands() -> bool:
        return await standing() == [("upstream", "unit_changed|feed|LAB|lactate")]

    async def passed() -> bool:
        return await standing() == []

    await cluster.until(stands, EFFECT_S, lambda: cluster.log_of("l0")[-2000:])
    await cluster.put([upstream(1, "cleared")])
    await cluster.until(passed, EFFECT_S, lambda: cluster.log_of("l0")[-2000:])
    words = [decode_example(record.value or b"") async for record in read_topic(cluster.kafka, EXAMPLES)]
    states = [msgspec.json.decode(word.content)["state"] for word in words if isinstance(word, Told)]
    assert states == ["raised", "cleared"]


def upstream(partition: int, state: SignalState) -> Record:
    """Give what a partition says of a unit."""
    seq = 1 if state == "raised" else 2
    signal = make_signal(
        "unit_changed", "feed|LAB|lactate", state, seq, START, START, partition, feed="LAB", feature="lactate"
    )
    return Record(SIGNALS, b"feed|LAB|lactate", encode_signal(signal))


@pytest.mark.asyncio
async def test_a_plan_that_lets_no_monitor_demote_is_kept_to(cluster: Cluster) -> None:
    """The same finding stands, is told and holds promotions; nobody is demoted."""
    shipped = dict(load_versions()[0])
    name = shipped_version(shipped)
    with cluster.config.open("a") as file:
        file.write("[change_control]\nmonitor_demotes = false\n")
    await cluster.declare()
    await command(cluster, "control", "configure", str(cluster.config), "--reason", "reviewed", "--as", "chief")
    await command(cluster, "models", "promote", name, "--reason", "reviewed", "--as", "chief")
    cluster.start("l0", command="learner")
    await cluster.put(miscalibrated(name, 0))

    async def found() -> bool:
        standing = await read_findings(cluster.kafka, "")
        return "demote" in {one.response for one in standing}

    async def shown() -> bool:
        answer = await answered(cluster)
        return bool(answer.get("current")) and "calibration" in {one["monitor"] for one in answer["findings"]}

    await cluster.until(found, EFFECT_S, lambda: cluster.log_of("l0")[-2000:])
    await cluster.until(shown, EFFECT_S, lambda: "the finding is not answered")
    await cluster.until_healthy()
    counted = {
        (one.labels["monitor"], one.labels["response"]): one.value
        for one in await asyncio.to_thread(cluster.metrics, "l0")
        if one.name == "wardstream_learner_findings"
    }
    assert counted["calibration", "demote"] >= 1
    assert (await decisions_of(cluster)).newest == 2
