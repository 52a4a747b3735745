"""Replay of a live run's log: it says what the run said, finds what disagrees, and can write nothing."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import TopicAuthorizationFailedError
from redis import Redis

from alerts.ward_settings import WardSettings
from connectors.kafka.admin import declare, open_admin
from connectors.kafka.connection import client_options
from connectors.kafka.faults import BrokerError
from connectors.kafka.outbox import Outbox
from connectors.kafka.reading import log_range
from connectors.kafka.record import Record
from connectors.kafka.settings import PASSWORD_VARIABLE, KafkaSettings
from connectors.kafka.topics import TOPICS
from connectors.local.kafka import LocalKafka
from connectors.local.kafka_rights import READ, TOPIC, grant
from connectors.redis.connection import connect
from connectors.redis.partition_store import RedisPartitionStore
from connectors.redis.settings import RedisSettings
from events import Configuration, KillSwitch, encode_envelope, to_iso
from models.version import ModelVersion
from stream.cli import main
from stream.decisions import Decision
from stream.digest import DivergedOutputError
from stream.kafka_log import KafkaLog
from stream.kafka_outcome import check_state, live_digest, read_outputs
from stream.kafka_replay import EventsReplay
from stream.release import Release
from stream.settings import Settings, configuration_hash, configuration_text
from stream.simulation import hospital_stream
from stream.versions import load_versions
from tests.live.parity import HandHost, PreRecorded, embedded_outputs, hospital_log, write_log

HOUR_MS = 3_600_000
GRANTED_S = 30.0


@pytest.fixture(scope="module")
def shipped() -> dict[str, ModelVersion]:
    """Give the version that ships, by its id."""
    return load_versions()[0]


@pytest.fixture(scope="module")
def log(shipped: dict[str, ModelVersion]) -> PreRecorded:
    """Give a hospital's log over four partitions, the shipped version enabled."""
    return hospital_log(4, version=next(iter(shipped)), enabled=True, versions=shipped)


async def live_run(kafka: KafkaSettings, log: PreRecorded, versions: dict[str, ModelVersion], **how: Any) -> HandHost:
    """Put a log on the broker and let the live stages fold it."""
    await write_log(kafka, log)
    host = HandHost(kafka, log, versions, **how)
    await host.run()
    return host


async def put(kafka: KafkaSettings, *records: Record) -> None:
    """Write records."""
    outbox = Outbox(kafka, client_id="test")
    await outbox.start()
    try:
        await outbox.send(records)
    finally:
        await outbox.stop()


def replay(kafka: KafkaSettings, folder: Path, versions: dict[str, ModelVersion], **how: Any) -> EventsReplay:
    """Replay `events.v1` to a folder."""
    with KafkaLog(kafka) as source:
        run = EventsReplay(source, folder, versions, **how)
        run.run()
    run.finish(0.0)
    return run


def summary_of(folder: Path) -> dict[str, Any]:
    """Read a replay's summary."""
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


def ends_of(kafka: KafkaSettings) -> dict[str, Any]:
    """Give where every partition of every topic ends."""

    async def ask() -> dict[str, Any]:
        return {topic: await log_range(kafka, topic) for topic in TOPICS}

    return asyncio.run(ask())


def test_a_replay_says_what_the_live_run_said(
    kafka: KafkaSettings, tmp_path: Path, log: PreRecorded, shipped: dict[str, ModelVersion]
) -> None:
    """Scores, suppressed and alerts of a live run have the digest of a replay of its logs; beats are in neither."""
    asyncio.run(live_run(kafka, log, shipped))
    with KafkaLog(kafka) as source:
        assert any(b'"beat"' in (record.value or b"") for record in source.read_all("candidates.v1"))
    run = replay(kafka, tmp_path, shipped)
    assert summary_of(tmp_path)["dead_letters"] == 0
    assert run.outputs.counts()["alerts"] > 20
    assert (tmp_path / "digest.txt").read_text().strip() == live_digest(kafka)
    assert run.disagreements() == []
    assert run.not_yet() == {"candidates": 0, "forwards": 0}


def test_the_live_stages_say_what_the_embedded_fold_says(
    kafka: KafkaSettings, log: PreRecorded, shipped: dict[str, ModelVersion]
) -> None:
    """One pre-recorded log gives the same outputs in the live stages and in the embedded fold of each partition."""
    asyncio.run(live_run(kafka, log, shipped))
    with KafkaLog(kafka) as source:
        assert read_outputs(source).difference(embedded_outputs(log, shipped)) == []


def test_the_pre_recorded_log_has_what_parity_is_about(log: PreRecorded) -> None:
    """The log holds corrections, merges and what is handed over between partitions."""
    kinds = {type(event).__name__ for part in log.partitions for envelope in part for event in envelope.events}
    assert {"Merge", "Retirement", "Handover", "Correction", "Discharge", "Promotion"} <= kinds


def test_alerts_and_their_states_agree(
    kafka: KafkaSettings, log: PreRecorded, shipped: dict[str, ModelVersion]
) -> None:
    """After a run nothing contradicts between alerts.v1 and alerts.state.v1, and no seq is missing."""
    asyncio.run(live_run(kafka, log, shipped))
    assert check_state(kafka) == []


def test_a_contradicting_state_is_named(
    kafka: KafkaSettings, log: PreRecorded, shipped: dict[str, ModelVersion]
) -> None:
    """A state that is not its alert's newest event is found, and so is one of an alert that nobody was told."""
    asyncio.run(live_run(kafka, log, shipped))
    with KafkaLog(kafka) as source:
        told = next(iter(source.read_all("alerts.v1")))
    alert = json.loads(told.value or b"")
    key = f"{alert['ward'] or '-'}|{alert['alert_id']}".encode()
    asyncio.run(put(kafka, Record("alerts.state.v1", key, b"{}"), Record("alerts.state.v1", b"W|x", b"{}")))
    found = check_state(kafka)
    assert len(found) == 2
    assert alert["alert_id"] in found[0]
    assert found[1] == "alert x has a state, and was never told on alerts.v1"


def test_a_missing_seq_is_named(kafka: KafkaSettings, log: PreRecorded, shipped: dict[str, ModelVersion]) -> None:
    """An alert of whose events one was never told is found."""
    asyncio.run(live_run(kafka, log, shipped))
    with KafkaLog(kafka) as source:
        told = json.loads(next(iter(source.read_all("alerts.v1"))).value or b"")
    late = msgspec.json.encode({**told, "alert_id": "another", "seq": 3, "event_id": "another-3"})
    asyncio.run(put(kafka, Record("alerts.v1", b"W", late)))
    assert "alert another: of seq 1 to 3, [1, 2] is not on alerts.v1" in check_state(kafka)


def test_a_divergent_duplicate_is_named(
    kafka: KafkaSettings, log: PreRecorded, shipped: dict[str, ModelVersion]
) -> None:
    """The live digest fails, and names the id, where an id came with two contents; twice the same is harmless."""
    asyncio.run(live_run(kafka, log, shipped))
    with KafkaLog(kafka) as source:
        score = next(iter(source.read_all("scores.v1"))).value or b""
    before = live_digest(kafka)
    asyncio.run(put(kafka, Record("scores.v1", b"p", score)))
    assert live_digest(kafka) == before
    name = json.loads(score)["score_id"]
    asyncio.run(put(kafka, Record("scores.v1", b"p", score.replace(b'"encounter":"', b'"encounter":"x'))))
    with pytest.raises(DivergedOutputError, match=f"scores {name}"):
        live_digest(kafka)


def test_a_closed_gate_is_replayed_where_it_closed(
    kafka: KafkaSettings, tmp_path: Path, log: PreRecorded, shipped: dict[str, ModelVersion]
) -> None:
    """What the delivery gate held back live is held in the replay, and what it let through before is told."""

    async def run() -> None:
        await write_log(kafka, log)
        host = HandHost(kafka, log, shipped)
        await host.run(wards=False)
        host.decide(Decision(KillSwitch(log.end_time, True, "test"), "role:test"))
        await host.run()

    asyncio.run(run())
    replay(kafka, tmp_path, shipped)
    alerts = [json.loads(line) for line in (tmp_path / "alerts.ndjson").read_text().splitlines()]
    assert {alert["disposition"] for alert in alerts if alert["trigger"] == "model"} >= {"held"}
    assert (tmp_path / "digest.txt").read_text().strip() == live_digest(kafka)


def test_what_waited_live_waits_and_is_told_in_the_replay(
    kafka: KafkaSettings, tmp_path: Path, shipped: dict[str, ModelVersion]
) -> None:
    """Wards past a decided budget: alerts wait, ticks let them be told, and the replay says the same of both."""
    name, version = next(iter(shipped.items()))
    eager = {name: msgspec.structs.replace(version, weights=(0.0,) * len(version.weights), intercept=2.0)}
    log = hospital_log(4, beds=16, hours=24, version=name, enabled=True, versions=eager)
    decided = Settings(wards=WardSettings(budget=2, flood_count=1, flood_minutes=30))

    async def run() -> None:
        await write_log(kafka, log)
        host = HandHost(kafka, log, eager)
        event = Configuration(log.end_time, configuration_hash(decided), configuration_text(decided))
        host.decide(Decision(event, "role:test"))
        await host.run()
        host.now += 12 * HOUR_MS
        await host.run()

    asyncio.run(run())
    replayed = replay(kafka, tmp_path, eager)
    alerts = [json.loads(line) for line in (tmp_path / "alerts.ndjson").read_text().splitlines()]
    waits = [alert for alert in alerts if alert["disposition"] == "waiting"]
    told_later = [alert for alert in alerts if "waited_ms" in alert]
    assert len(waits) > 5
    assert told_later
    with KafkaLog(kafka) as source:
        assert read_outputs(source).difference(replayed.outputs) == []
        assert any(b'"tick"' in (record.value or b"") for record in source.read_all("candidates.v1"))
    assert (replayed.disagreements(), check_state(kafka)) == ([], [])
    assert summary_of(tmp_path)["ward_budget"] == {"waited": len(waits), "told_later": len(told_later)}


def test_repeats_and_poison_do_not_stop_a_partition(
    kafka: KafkaSettings, tmp_path: Path, log: PreRecorded, shipped: dict[str, ModelVersion]
) -> None:
    """A record written twice is folded once; undecodable ones are dead letters; the rest is as it was."""
    head = log.partitions[0][0]
    elsewhere = next(envelope for envelope in log.partitions[1] if envelope.patient)

    async def write() -> None:
        await write_log(kafka, log)
        poison = (b"{", b"\xff", b"", encode_envelope(elsewhere))
        await put(kafka, *(Record("events.v1", b"x", value, (), 0) for value in (*poison, encode_envelope(head))))

    asyncio.run(write())
    run = replay(kafka, tmp_path, shipped)
    summary = summary_of(tmp_path)
    assert (summary["dead_letters"], summary["duplicates"]) == (4, 1)
    assert run.outputs.ids("scores") == embedded_outputs(log, shipped).ids("scores")
    letters = (tmp_path / "dead_letters.ndjson").read_text().splitlines()
    assert {json.loads(line)["source"].rpartition("/")[0] for line in letters} == {"events.v1/0"}


def test_a_run_that_is_behind_is_told(kafka: KafkaSettings, tmp_path: Path, log: PreRecorded) -> None:
    """Where nobody has folded the log yet, the replay says how much is not on record, and calls nothing wrong."""
    asyncio.run(write_log(kafka, hospital_log(4)))
    run = replay(kafka, tmp_path, {})
    assert run.disagreements() == []
    assert run.not_yet()["candidates"] > 20


def test_a_foreign_candidate_is_a_disagreement(
    kafka: KafkaSettings, tmp_path: Path, log: PreRecorded, shipped: dict[str, ModelVersion]
) -> None:
    """A candidate that follows from nothing in the log is named."""
    asyncio.run(live_run(kafka, log, shipped))
    with KafkaLog(kafka) as source:
        candidate = next(iter(source.read_all("candidates.v1")))
    foreign = msgspec.json.encode({**json.loads(candidate.value or b""), "alert_id": "x", "event_id": "foreign-1"})
    asyncio.run(put(kafka, Record("candidates.v1", candidate.key, foreign)))
    run = replay(kafka, tmp_path, shipped)
    assert run.disagreements() == ["candidates foreign-1: recorded, and nothing here gives it"]


def test_a_forward_is_regenerated_as_it_stands(
    kafka: KafkaSettings, tmp_path: Path, shipped: dict[str, ModelVersion]
) -> None:
    """What a fold hands to another partition is on the log as it is regenerated, and is not carried out again."""
    merging = hospital_log(4)
    asyncio.run(live_run(kafka, merging, {}))
    before = ends_of(kafka)["events.v1"]
    run = replay(kafka, tmp_path, {})
    assert len(run.regenerated.ids("forwards")) >= 1
    assert run.regenerated.ids("forwards") == run.recorded.ids("forwards")
    assert ends_of(kafka)["events.v1"] == before


def test_a_stretch_says_what_was_said_then(
    kafka: KafkaSettings, tmp_path: Path, log: PreRecorded, shipped: dict[str, ModelVersion]
) -> None:
    """With --from and --to the outputs are those of the whole run whose received times lie between."""
    asyncio.run(live_run(kafka, log, shipped))
    since, end = log.end_time - 20 * HOUR_MS, log.end_time - 6 * HOUR_MS
    whole = replay(kafka, tmp_path / "whole", shipped)
    part = replay(kafka, tmp_path / "part", shipped, since=since, end=end)
    for kind in ("scores", "alerts"):
        lines = (tmp_path / "whole" / f"{kind}.ndjson").read_text().splitlines()
        expected = [line for line in lines if iso(since) <= json.loads(line)["received_time"] < iso(end)]
        found = (tmp_path / "part" / f"{kind}.ndjson").read_text().splitlines()
        assert sorted(found) == sorted(expected)
        assert 0 < len(found) < len(lines)
    assert part.outputs.ids("scores") < whole.outputs.ids("scores")


def iso(instant: int) -> str:
    """Write an instant as outputs do."""
    return to_iso(instant)


def test_a_what_if_decides_anew_and_says_in_which_order(
    kafka: KafkaSettings, tmp_path: Path, log: PreRecorded, shipped: dict[str, ModelVersion]
) -> None:
    """Another release decides in the place of the recorded one, and in which order the alerts are told is said."""
    asyncio.run(live_run(kafka, log, shipped))
    run = replay(kafka, tmp_path, {}, release=Release(Settings(), "what-if"))
    summary = summary_of(tmp_path)
    alerts = [json.loads(line) for line in (tmp_path / "alerts.ndjson").read_text().splitlines()]
    assert summary["candidates_ordered_by"] == "received time, event id"
    assert summary["versions"]["code"] == "what-if"
    assert 0 < len(run.outputs.ids("scores")) < len(embedded_outputs(log, shipped).ids("scores"))
    assert {alert["trigger"] for alert in alerts} == {"news2_floor"}
    assert [(a["received_time"], a["event_id"]) for a in alerts] == sorted(
        (a["received_time"], a["event_id"]) for a in alerts
    )


def test_the_release_is_followed(
    kafka: KafkaSettings, tmp_path: Path, log: PreRecorded, shipped: dict[str, ModelVersion]
) -> None:
    """The summary says from which record of each partition which release computes."""
    asyncio.run(write_log(kafka, log))
    replay(kafka, tmp_path, shipped)
    releases = summary_of(tmp_path)["releases"]
    assert [(one["code"], one["from"]) for one in releases] == [("parity", f"events.v1/{p}/0") for p in range(4)]


# -- it can write nothing ---------------------------------------------------------------------------------------------


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Give the command line in this process; gives its exit code."""

    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["wardstream", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return run


def site_file(folder: Path, kafka: KafkaSettings, **more: Any) -> Path:
    """Write a wardstream.toml that says where Kafka is."""
    tables = {"kafka": {name: getattr(kafka, name) for name in kafka.__struct_fields__}, **more}
    lines = []
    for table, values in tables.items():
        lines.append(f"[{table}]")
        lines += [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    path = folder / "wardstream.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def redis_client(redis_settings: RedisSettings) -> Iterator[Redis]:
    """Give a client of the run's Redis."""
    opened = connect(redis_settings)
    assert isinstance(opened, Redis)
    yield opened
    opened.close()


def test_a_replay_leaves_no_trace(
    kafka: KafkaSettings,
    redis_settings: RedisSettings,
    redis_client: Redis,
    tmp_path: Path,
    log: PreRecorded,
    shipped: dict[str, ModelVersion],
    cli: Callable[..., int],
) -> None:
    """After `wardstream replay` no topic has a record more, Redis no key more or another, and no group was made."""

    def make(stage: str, partition: int) -> RedisPartitionStore:
        return RedisPartitionStore(redis_client, redis_settings.prefix, stage, partition)

    asyncio.run(live_run(kafka, log, shipped, make_store=make))

    def everything() -> tuple[Any, ...]:
        keys = sorted(redis_client.scan_iter(match=f"{redis_settings.prefix}:*", count=1_000))
        return ends_of(kafka), [(key, redis_client.dump(key)) for key in keys], asyncio.run(groups(kafka))

    before = everything()
    assert len(before[1]) > 20
    code = cli("replay", "kafka:events.v1", "--config", str(site_file(tmp_path, kafka)), "--out", str(tmp_path / "out"))
    assert code == 0
    assert (tmp_path / "out" / "digest.txt").read_text().strip() == live_digest(kafka)
    assert everything() == before


async def groups(kafka: KafkaSettings) -> list[str]:
    """Give the consumer groups of the installation's prefix."""
    async with open_admin(kafka) as client:
        return sorted(name for name, *_ in await client.list_consumer_groups() if name.startswith(kafka.prefix))


def test_messages_of_a_topic_are_a_source(kafka: KafkaSettings, tmp_path: Path, cli: Callable[..., int]) -> None:
    """What a gateway wrote to hl7v2.ingest.v1 replays as the same messages from a file do."""
    messages = list(hospital_stream(seed=3, beds=6, hours=12))

    async def write() -> None:
        await declare(kafka)
        records = [
            Record("hl7v2.ingest.v1", b"PAS|MAIN", data, (("ws_received", b"%d" % sent),)) for sent, data in messages
        ]
        await put(kafka, *records)

    asyncio.run(write())
    feed = tmp_path / "feed.hl7"
    feed.write_bytes(b"\r".join(data.rstrip(b"\r") for _, data in messages) + b"\r")
    site = str(site_file(tmp_path, kafka))
    assert cli("replay", "kafka:hl7v2.ingest.v1", "--config", site, "--out", str(tmp_path / "a"), "--quiet") == 0
    assert cli("replay", str(feed), "--out", str(tmp_path / "b"), "--quiet") == 0
    assert (tmp_path / "a" / "digest.txt").read_text() == (tmp_path / "b" / "digest.txt").read_text()


@pytest.mark.parametrize("source", ["kafka:scores.v1", "kafka:", "kafka:ack.ingest.v1"])
def test_another_topic_is_refused(source: str, kafka: KafkaSettings, tmp_path: Path, cli: Callable[..., int]) -> None:
    """A topic that is no log and no messages is wrong usage."""
    config = str(site_file(tmp_path, kafka))
    assert cli("replay", source, "--config", config, "--out", str(tmp_path / "out")) == 2


def test_nothing_that_writes_is_loaded() -> None:
    """Whoever replays the live log has loaded neither a producer of ours nor a Redis client."""
    words = (
        "import stream.cli.replay_log, stream.kafka_source, stream.kafka_outcome, sys;"
        "print([name for name in sys.modules if name in {'redis', 'connectors.kafka.outbox', 'connectors.kafka.lanes',"
        "'connectors.kafka.producing', 'connectors.redis.connection'}])"
    )
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_a_reader_without_the_right_to_write_can_replay(
    tmp_path: Path, log: PreRecorded, shipped: dict[str, ModelVersion], monkeypatch: pytest.MonkeyPatch, cli: Any
) -> None:
    """On a broker that lets a user only read topics, a replay works, and a write is refused."""
    prefix = f"t-{secrets.token_hex(4)}."
    broker = LocalKafka(
        tmp_path / "broker",
        security="sasl_ssl",
        users={"admin": "admin-pw", "reader": "reader-pw"},
        admins=("admin",),
        acls=True,
    )
    broker.start()
    try:
        admin = broker.settings(prefix=prefix, username="admin")
        reader = broker.settings(prefix=prefix, username="reader")

        async def run() -> None:
            await write_log(admin, log, "admin-pw")
            await HandHost(admin, log, shipped, password="admin-pw").run()  # noqa: S106 - of a test's broker
            await grant(admin, "admin-pw", "reader", prefix, resources=(TOPIC,), operation=READ)
            async with asyncio.timeout(GRANTED_S):
                while not await is_granted():
                    pass

        async def is_granted() -> bool:
            """Say whether the broker goes by it: it answers a grant before."""
            try:
                return bool([await log_range(reader, topic, password="reader-pw") for topic in TOPICS])  # noqa: S106
            except BrokerError:
                return False

        asyncio.run(run())
        monkeypatch.setenv(PASSWORD_VARIABLE, "reader-pw")
        config = str(site_file(tmp_path, reader))
        assert cli("replay", "kafka:events.v1", "--config", config, "--out", str(tmp_path / "out"), "--quiet") == 0
        assert (tmp_path / "out" / "digest.txt").read_text().strip() == live_digest(reader, "reader-pw")

        async def write() -> None:
            producer = AIOKafkaProducer(**client_options(reader, "reader-pw"), enable_idempotence=False)
            await producer.start()
            try:
                await producer.send_and_wait(f"{prefix}events.v1", b"x")
            finally:
                await producer.stop()

        with pytest.raises(TopicAuthorizationFailedError):
            asyncio.run(write())
    finally:
        broker.stop()
