"""The doctor: each likely fault of a live configuration is found at a real server, named, and told what to do."""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from connectors.kafka.admin import declare, inspect, open_admin
from connectors.kafka.connection import client_options
from connectors.kafka.outbox import Outbox
from connectors.kafka.record import Record
from connectors.kafka.settings import PASSWORD_VARIABLE, KafkaSettings
from connectors.kafka.topics import CONTROL
from connectors.local.certificates import Authority
from connectors.local.kafka import LocalKafka
from connectors.local.ports import free_ports
from connectors.local.redis import LocalRedis
from connectors.redis.connection import connect
from connectors.redis.layout import write_layout
from connectors.redis.partition_store import RedisPartitionStore
from connectors.redis.settings import RedisSettings
from connectors.signing import generate_key, sign
from events import Promotion
from features import Catalogue
from models.version import ModelVersion, dump
from stream.catalogues import catalogue_for
from stream.cli import main
from stream.decisions import Decision, encode_decision
from stream.live.doctor import Finding, KafkaDoctor
from stream.live.redis_doctor import RedisDoctor
from stream.live.versions import version_record
from stream.live_settings import LiveSettings
from stream.settings import Settings
from stream.versions import load_versions
from tests.live.parity import HandHost, hospital_log, write_log
from tests.stream.signed_cases import configuration, keyed

USERS = {"ward": "the-password"}


def now() -> int:
    """Give the present."""
    return time.time_ns() // 1_000_000


def ask_kafka(kafka: KafkaSettings, password: str = "", live: LiveSettings | None = None, at: int = 0) -> list[Finding]:
    """Let the doctor look at Kafka."""
    shipped = load_versions()[0]
    return asyncio.run(KafkaDoctor(kafka, live or LiveSettings(), password, shipped, now=at or now()).examine())


def ask_redis(
    redis: RedisSettings, kafka: KafkaSettings | None = None, password: str = "", ahead: int = 0
) -> list[Finding]:
    """Let the doctor look at Redis."""
    catalogue: Catalogue = catalogue_for(Settings())
    return RedisDoctor(redis, kafka or KafkaSettings(), password, catalogue, lambda: now() + ahead).examine()


def wrong(findings: list[Finding]) -> list[Finding]:
    """Give what is not well."""
    return [finding for finding in findings if not finding.well]


def only(findings: list[Finding]) -> Finding:
    """Give the one that is not well."""
    found = wrong(findings)
    assert len(found) == 1, found
    return found[0]


# -- Kafka ------------------------------------------------------------------------------------------------------------


def test_a_sound_installation_is_well(kafka: KafkaSettings, redis_settings: RedisSettings) -> None:
    """Where all is as it should be nothing is found."""
    asyncio.run(declare(kafka))
    assert wrong(ask_kafka(kafka)) == []
    assert [finding for finding in wrong(ask_redis(redis_settings, kafka)) if "appendonly" not in finding.subject] == []


def test_no_broker(kafka: KafkaSettings) -> None:
    """Where nothing listens, that is said."""
    [port] = free_ports(1)
    found = only(ask_kafka(msgspec.structs.replace(kafka, bootstrap=f"127.0.0.1:{port}")))
    assert "nothing listens" in found.remedy


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """Give a broker with TLS and SASL."""
    broker = LocalKafka(tmp_path_factory.mktemp("secured"), security="sasl_ssl", users=USERS)
    broker.start()
    yield broker
    broker.stop()


def test_plaintext_to_a_tls_port(secured: LocalKafka) -> None:
    """A client without TLS at a port with TLS is told which setting to change."""
    found = only(ask_kafka(KafkaSettings(bootstrap=secured.bootstrap)))
    assert "speaks TLS" in found.remedy
    assert "kafka.security" in found.remedy


def test_tls_to_a_plaintext_port(kafka: KafkaSettings, secured: LocalKafka) -> None:
    """A client with TLS at a port without it is told so."""
    settings = secured.settings(username="ward")
    found = only(ask_kafka(msgspec.structs.replace(settings, bootstrap=kafka.bootstrap), USERS["ward"]))
    assert "does not speak TLS" in found.remedy


def test_a_wrong_password(secured: LocalKafka) -> None:
    """A refused login names the user, the mechanism and the variable; and no password."""
    found = only(ask_kafka(secured.settings(username="ward"), "wrong-secret"))
    assert PASSWORD_VARIABLE in found.remedy
    assert "'ward'" in found.remedy
    assert "wrong-secret" not in found.remedy


def test_an_authority_that_is_not_trusted(secured: LocalKafka, tmp_path: Path) -> None:
    """A certificate of another authority, and a file that is not there, each name kafka.ca_file."""
    settings = secured.settings(username="ward")
    other = msgspec.structs.replace(settings, ca_file=str(Authority(tmp_path / "other").ca_file))
    missing = msgspec.structs.replace(settings, ca_file=str(tmp_path / "none.pem"))
    for asked, words in ((other, "not trusted"), (missing, "there is no file")):
        found = only(ask_kafka(asked, USERS["ward"]))
        assert words in found.remedy
        assert "kafka.ca_file" in found.remedy


def test_a_secured_broker_rightly_asked_is_reached(secured: LocalKafka) -> None:
    """With the right authority and password the broker is reached; what is missing then is topics alone."""
    findings = ask_kafka(secured.settings(prefix="none.", username="ward"), USERS["ward"])
    assert findings[0].well
    assert all(finding.subject.startswith("topic ") for finding in wrong(findings))


def test_missing_topics(kafka: KafkaSettings) -> None:
    """Each topic that is missing is named, with the command that makes it."""
    found = wrong(ask_kafka(kafka))
    assert f"topic {kafka.prefix}events.v1" in {finding.subject for finding in found}
    assert all("wardstream topics declare" in finding.remedy for finding in found)


def test_a_wrong_partition_count(kafka: KafkaSettings) -> None:
    """A topic with another number of partitions than configured is named with both numbers."""

    async def make() -> None:
        async with open_admin(kafka) as client:
            await client.create_topics([NewTopic(f"{kafka.prefix}events.v1", 3, 1)])
        await declare(msgspec.structs.replace(kafka, partitions=3), alter=True)

    asyncio.run(make())
    found = {finding.subject: finding.remedy for finding in wrong(ask_kafka(kafka))}
    assert "has 3 partitions, 4 wanted" in found[f"topic {kafka.prefix}events.v1"]


async def configure(kafka: KafkaSettings, topic: str, config: dict[str, str]) -> None:
    """Declare the topics, then set one of them otherwise."""
    await declare(kafka)
    async with open_admin(kafka) as client:
        resource = ConfigResource(ConfigResourceType.TOPIC, kafka.prefix + topic, config)
        await client.alter_configs([resource])
    async with asyncio.timeout(30):
        # The controller has it at once, a broker a moment later.
        while not any(change.differences for change in await inspect(kafka)):
            pass


def test_a_state_topic_that_is_not_compacted(kafka: KafkaSettings) -> None:
    """alerts.state.v1 without compaction is named, with the command that mends it."""
    asyncio.run(configure(kafka, "alerts.state.v1", {"cleanup.policy": "delete"}))
    found = only(ask_kafka(kafka))
    assert found.subject == f"topic {kafka.prefix}alerts.state.v1"
    assert "cleanup.policy=delete, compact wanted" in found.remedy
    assert "--alter" in found.remedy


def test_a_retention_below_the_declared(kafka: KafkaSettings) -> None:
    """events.v1 kept for less than it was declared to be is named."""
    asyncio.run(configure(kafka, "events.v1", {"retention.ms": "86400000"}))
    assert "retention.ms=86400000" in only(ask_kafka(kafka)).remedy


def test_a_retention_below_any_stay(kafka: KafkaSettings) -> None:
    """A declared retention of events.v1 that is shorter than states live is told, with the setting."""
    short = msgspec.structs.replace(kafka, events_days=7.0)
    asyncio.run(declare(short))
    assert "kafka.events_days" in only(ask_kafka(short)).remedy


def test_a_clock_that_is_ahead(kafka: KafkaSettings) -> None:
    """Where the log has records from our future, two clocks disagree."""
    asyncio.run(write_log(kafka, hospital_log(4, beds=2, hours=4)))
    found = only(ask_kafka(kafka, at=now() - 600_000))
    assert "in the future" in found.remedy
    assert "NTP" in found.remedy


async def put(kafka: KafkaSettings, *records: Record) -> None:
    """Write records."""
    outbox = Outbox(kafka, client_id="test")
    await outbox.start()
    try:
        await outbox.send(records)
    finally:
        await outbox.stop()


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    """Give a version that does not ship."""
    return msgspec.structs.replace(next(iter(load_versions()[0].values())), intercept=-1.5)


def promotion(version: str) -> Record:
    """Make the record of a promotion."""
    return Record(CONTROL, b"promotion", encode_decision(Decision(Promotion(0, version, True), "role:test")))


def test_a_promoted_version_that_is_nowhere(kafka: KafkaSettings, another: ModelVersion) -> None:
    """A version that was promoted and is not on models.v1 is named."""
    asyncio.run(declare(kafka))
    asyncio.run(put(kafka, promotion(another.version)))
    found = only(ask_kafka(kafka))
    assert another.version in found.subject
    assert "models publish" in found.remedy


def test_a_decision_that_does_not_count(kafka: KafkaSettings, another: ModelVersion) -> None:
    """With a key declared, a promotion that nobody signed is named, and is not what is looked for as promoted."""
    asyncio.run(declare(kafka))
    declared = encode_decision(configuration(keyed()))
    asyncio.run(put(kafka, Record(CONTROL, b"configuration", declared), promotion(another.version)))
    [found] = wrong(ask_kafka(kafka))
    assert found.subject == "decisions: signed by learner, officer"
    assert "decision 2 (Promotion, as role:test) does not count" in found.remedy


def test_a_promoted_version_that_nobody_trusted_signed(kafka: KafkaSettings, another: ModelVersion) -> None:
    """A promoted version whose signer is not trusted is told with the setting; with the key trusted all is well."""
    pair = generate_key()
    record = version_record(another, sign(pair.private_pem, dump(another)))
    asyncio.run(declare(kafka))
    asyncio.run(put(kafka, record, promotion(another.version)))
    found = only(ask_kafka(kafka))
    assert "no key is trusted: set [live] version_keys" in found.remedy
    assert wrong(ask_kafka(kafka, live=LiveSettings(version_keys=(pair.public,)))) == []


def test_two_workers_of_one_name(kafka: KafkaSettings) -> None:
    """Where two processes take one name of a group from each other, the name is told."""

    async def fight(stop: asyncio.Event) -> None:
        while not stop.is_set():
            consumer = AIOKafkaConsumer(
                f"{kafka.prefix}events.v1",
                group_id=f"{kafka.prefix}wardstream.patient",
                group_instance_id="twin.patient",
                **client_options(kafka),
            )
            try:
                await consumer.start()
                async with asyncio.timeout(1.0):
                    await consumer.getone()
            except (KafkaError, TimeoutError):
                pass
            finally:
                await consumer.stop()

    async def run() -> list[Finding]:
        await declare(kafka)
        stop = asyncio.Event()
        twins = [asyncio.create_task(fight(stop)) for _ in range(2)]
        async with asyncio.timeout(60):
            doctor = KafkaDoctor(kafka, LiveSettings(), "", load_versions()[0], now=now())
            while not wrong(findings := await doctor.examine()):
                pass
        stop.set()
        await asyncio.gather(*twins)
        return findings

    found = only(asyncio.run(run()))
    assert "twin.patient" in found.remedy
    assert "--name" in found.remedy


# -- Redis ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Callable[..., LocalRedis]]:
    """Give a maker of Redis servers; all end with the test."""
    made: list[LocalRedis] = []

    def make(**how: Any) -> LocalRedis:
        made.append(LocalRedis(tmp_path / f"redis-{len(made)}", **how))
        made[-1].start()
        return made[-1]

    yield make
    for server in made:
        server.stop()


def test_no_redis() -> None:
    """Where nothing listens, the address is named."""
    [port] = free_ports(1)
    assert f"127.0.0.1:{port}" in only(ask_redis(RedisSettings(port=port))).remedy


def test_redis_with_a_wrong_password(own_redis: Callable[..., LocalRedis]) -> None:
    """A refused password names the user and the variable; and no password."""
    server = own_redis(users={"ward": "on >secret ~ws:* +@all"}, admin_password=secrets.token_hex(4))
    found = only(ask_redis(server.settings(username="ward"), password="wrong-one"))  # noqa: S106 - of a test's server
    assert "WARDSTREAM_REDIS_PASSWORD" in found.remedy
    assert "wrong-one" not in found.remedy


def test_redis_that_wants_tls(own_redis: Callable[..., LocalRedis]) -> None:
    """A server with TLS that is asked without is told by the setting."""
    server = own_redis(tls=True)
    plain = msgspec.structs.replace(server.settings(), tls=False, ca_file="", cert_file="", key_file="")
    assert "[redis] tls = true" in only(ask_redis(plain)).remedy
    assert wrong(ask_redis(server.settings())) == []


def test_redis_that_throws_states_out(own_redis: Callable[..., LocalRedis]) -> None:
    """Eviction and a missing append-only file are named, each with its setting."""
    server = own_redis(settings={"maxmemory-policy": "allkeys-lru", "appendonly": "no"})
    found = [finding.remedy for finding in wrong(ask_redis(server.settings()))]
    assert any("maxmemory-policy noeviction" in remedy for remedy in found)
    assert any("appendonly yes" in remedy for remedy in found)
    assert len(found) == 2


def test_redis_that_is_nearly_full(own_redis: Callable[..., LocalRedis]) -> None:
    """A server near its memory's limit is told before it is full."""
    server = own_redis(memory_max_mib=1)
    assert "maxmemory" in only(ask_redis(server.settings())).remedy


def test_a_clock_apart_from_redis(redis_settings: RedisSettings) -> None:
    """A skew between this machine and Redis is measured and told."""
    found = [finding for finding in wrong(ask_redis(redis_settings, ahead=60_000)) if "clocks" in finding.subject]
    assert len(found) == 1
    assert "60.0 s apart" in found[0].subject


def test_states_of_another_partition_count(redis_settings: RedisSettings) -> None:
    """A Redis whose states are of another number of partitions than configured is told with both."""
    client = connect(redis_settings)
    write_layout(client, redis_settings.prefix, 4)
    client.close()
    found = [finding.remedy for finding in wrong(ask_redis(redis_settings, KafkaSettings(partitions=8)))]
    assert any("they are of 4" in remedy for remedy in found)


def test_a_stay_longer_than_the_log(kafka: KafkaSettings, redis_settings: RedisSettings) -> None:
    """A patient who is here for longer than the log is kept is found in the states."""
    client = connect(redis_settings)
    log = hospital_log(4, beds=6, hours=8)

    async def run() -> None:
        await write_log(kafka, log)
        host = HandHost(
            kafka, log, make_store=lambda stage, n: RedisPartitionStore(client, redis_settings.prefix, stage, n)
        )
        await host.run()

    asyncio.run(run())
    client.close()
    stays = [one for one in ask_redis(redis_settings, kafka) if "longest stay" in one.subject]
    assert [one.well for one in stays] == [False]
    assert "kafka.events_days" in stays[0].remedy
    assert not [one for one in ask_redis(redis_settings, msgspec.structs.replace(kafka, events_days=3_660.0))
                if "longest stay" in one.subject and not one.well]  # fmt: skip


# -- the command ------------------------------------------------------------------------------------------------------


def test_the_command_tells_all_of_it(
    kafka: KafkaSettings,
    redis_settings: RedisSettings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`wardstream doctor --config` looks at Kafka and Redis where the file names them; exit 1 where one is wrong."""
    site = tmp_path / "wardstream.toml"
    site.write_text(
        f'[kafka]\nbootstrap = "{kafka.bootstrap}"\nprefix = "{kafka.prefix}"\npartitions = 4\n'
        f'[redis]\nhost = "{redis_settings.host}"\nport = {redis_settings.port}\nprefix = "{redis_settings.prefix}"\n'
    )
    monkeypatch.setattr(sys, "argv", ["wardstream", "doctor", "--config", str(site)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().out
    assert ended.value.code == 1
    assert "WRONG" in said
    assert "wardstream topics declare" in said.replace("\n", " ")
    assert "Redis at" in said
