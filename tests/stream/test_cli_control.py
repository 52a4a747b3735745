"""Deciding from the command line: keys, signatures, promotions and the kill switch, over a real broker and Redis."""

from __future__ import annotations

import asyncio
import json
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from connectors.kafka.admin import declare
from connectors.kafka.reading import read_topic
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import CONTROL
from connectors.redis.connection import connect
from connectors.redis.layout import write_layout
from connectors.redis.partition_store import RedisPartitionStore
from connectors.redis.settings import RedisSettings
from events import Availability
from models.version import dump
from stream.control import Control
from stream.decisions import Decisions
from stream.fold import CONTROL_KEY
from stream.versions import load_versions

Cli = Callable[..., Any]
SHIPPED, _WRONG = load_versions()
BASE = next(iter(SHIPPED.values()))
MADE = replace(BASE, intercept=-3.0)
REASON = ("--reason", "tested", "--as", "safety-officer")
UNTIL_S = 60.0


@pytest.fixture
def site(kafka: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path) -> Path:
    """Declare the topics, and give a site's configuration that names broker and Redis."""

    async def prepare() -> None:
        async with asyncio.timeout(UNTIL_S):
            await declare(kafka)

    asyncio.run(prepare())
    path = tmp_path / "wardstream.toml"
    write_site(path, kafka, redis_settings)
    return path


def write_site(path: Path, kafka: KafkaSettings, redis: RedisSettings, keys: str = "") -> None:
    path.write_text(
        f'[kafka]\nbootstrap = "{kafka.bootstrap}"\nprefix = "{kafka.prefix}"\npartitions = {kafka.partitions}\n'
        f'[redis]\nhost = "{redis.host}"\nport = {redis.port}\nprefix = "{redis.prefix}"\n{keys}'
    )


def decided(kafka: KafkaSettings) -> Decisions:
    async def read() -> Decisions:
        decisions = Decisions()
        async for record in read_topic(kafka, CONTROL):
            decisions.take(record.offset, record.value, record.record_time)
        return decisions

    return asyncio.run(read())


def version_file(folder: Path) -> Path:
    path = folder / f"{MADE.version}.json"
    path.write_bytes(dump(MADE))
    return path


def trust(cli: Cli, site: Path, kafka: KafkaSettings, redis: RedisSettings, key: Path) -> None:
    """Make a key, and have the site trust it."""
    printed = cli("models", "keygen", key).out
    write_site(site, kafka, redis, printed[printed.index("[live]") :])


def test_keygen_keeps_the_key_to_its_holder(cli: Cli, tmp_path: Path) -> None:
    """The private key is readable by its owner alone, is not printed, and is never written over."""
    key = tmp_path / "key.pem"
    made = cli("models", "keygen", key)
    assert made.code == 0
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert "PRIVATE" not in made.out
    assert re.search(r'version_keys = \["[0-9a-f]{64}"\]', made.out)
    before = key.read_bytes()
    again = cli("models", "keygen", key)
    assert again.code == 2
    assert key.read_bytes() == before


def test_a_version_goes_from_a_file_to_force_and_back(
    cli: Cli, site: Path, kafka: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    """Signed, published, promoted in shadow, promoted, rolled back twice: each is one decision, with its reason."""
    file = version_file(tmp_path)
    trust(cli, site, kafka, redis_settings, tmp_path / "key.pem")
    assert cli("models", "sign", file, "--key", tmp_path / "key.pem").code == 0
    published = cli("models", "publish", file, "--config", site)
    assert (published.code, published.err) == (0, "")
    listed = cli("models", "list", "--live", "--config", site)
    assert MADE.version in listed.out
    assert cli("models", "promote", BASE.version[:6], "--config", site, *REASON).code == 0
    assert cli("models", "promote", MADE.version, "--shadow", "--config", site, *REASON).code == 0
    rolled = cli("models", "rollback", "--config", site, *REASON)
    assert f"from {MADE.version} in shadow to {BASE.version}" in rolled.out
    assert "to NEWS2 alone" in cli("models", "rollback", "--config", site, *REASON).out
    decisions = decided(kafka)
    events = [each.decision.event for each in decisions.kept()]
    assert [(event.version, event.enabled) for event in events] == [  # type: ignore[union-attr]
        (BASE.version, True),
        (MADE.version, False),
        (BASE.version, True),
        ("", False),
    ]
    assert {(each.decision.who, each.decision.reason) for each in decisions.kept()} == {("safety-officer", "tested")}
    assert cli("models", "promote", "none", "--config", site, *REASON).code == 0


def test_a_version_that_workers_would_refuse_is_not_published(
    cli: Cli, site: Path, kafka: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    """Unsigned, signed for another content, or by a key the site does not trust: said at once, and nothing is sent."""
    file = version_file(tmp_path)
    unsigned = cli("models", "publish", file, "--config", site)
    assert unsigned.code == 2
    assert "models sign" in unsigned.err
    cli("models", "keygen", tmp_path / "stranger.pem")
    stranger = cli("models", "publish", file, "--key", tmp_path / "stranger.pem", "--config", site)
    assert stranger.code == 2
    assert "version_keys" in stranger.err
    trust(cli, site, kafka, redis_settings, tmp_path / "key.pem")
    cli("models", "sign", file, "--key", tmp_path / "key.pem")
    stored = json.loads((file.parent / f"{file.name}.sig").read_text())
    stored["signature"] = "00" * 64
    (file.parent / f"{file.name}.sig").write_text(json.dumps(stored))
    assert "altered" in cli("models", "publish", file, "--config", site).err
    assert MADE.version not in cli("models", "list", "--live", "--config", site).out
    unknown = cli("models", "promote", MADE.version, "--config", site)
    assert unknown.code == 2
    assert decided(kafka).newest == 0


def test_nothing_to_roll_back_is_said(cli: Cli, site: Path, kafka: KafkaSettings) -> None:
    """A rollback where nothing is promoted decides nothing."""
    refused = cli("models", "rollback", "--config", site)
    assert refused.code == 2
    assert "nothing is promoted" in refused.err
    assert decided(kafka).newest == 0


def test_the_kill_switch_and_a_configuration_are_decisions(cli: Cli, site: Path, kafka: KafkaSettings) -> None:
    """Engaging asks for a reason; a configuration is checked before it is decided; a name is no role."""
    switch = ("control", "kill-switch", "engage", "--config", site)
    assert cli(*switch).code == 2
    assert cli(*switch, "--reason", "why", "--as", "Jane Doe").code == 2
    assert cli(*switch, "--reason", "why").code == 0
    assert decided(kafka).kill_switch
    assert cli("control", "kill-switch", "release", "--reason", "mended", "--config", site).code == 0
    assert not decided(kafka).kill_switch
    assert cli("control", "configure", site, *REASON).code == 0
    wrong = site.with_name("wrong.toml")
    wrong.write_text(site.read_text() + "\n[guardrails]\nraise_it = 1\n")
    refused = cli("control", "configure", wrong, *REASON)
    assert refused.code == 2
    assert "raise_it" in refused.err
    assert decided(kafka).newest == 3


def test_status_tells_who_is_behind(cli: Cli, site: Path, kafka: KafkaSettings, redis_settings: RedisSettings) -> None:
    """Status shows each partition, exits with 1 while one lacks a decision, and with 0 once all have it."""
    assert cli("models", "promote", BASE.version, "--config", site, *REASON).code == 0
    nowhere = cli("control", "status", "--config", site)
    assert nowhere.code == 1
    assert "no worker has run" in nowhere.err
    client = connect(redis_settings)
    write_layout(client, redis_settings.prefix, 2)
    control = Control(SHIPPED)
    for number in range(2):
        store = RedisPartitionStore(client, redis_settings.prefix, "patient", number)
        store.commit(store.acquire_epoch(), {CONTROL_KEY: control.encode()}, 0)
    behind = cli("control", "status", "--config", site)
    assert (behind.code, "2 partitions have not applied decision 1" in behind.err) == (1, True)
    for envelope in decided(kafka).lacking(0, 2**45):
        control.apply(envelope.events[0])
    for number in range(2):
        store = RedisPartitionStore(client, redis_settings.prefix, "patient", number)
        store.commit(store.acquire_epoch(), {CONTROL_KEY: control.encode()}, 1)
    alone = cli("control", "status", "--config", site)
    assert alone.code == 0
    assert "NOT AVAILABLE" in alone.out
    control.apply(Availability(0, BASE.version, available=True))
    store.commit(store.acquire_epoch(), {CONTROL_KEY: control.encode()}, 2)
    assert cli("control", "status", "--config", site).out.count("NOT AVAILABLE") == 1


def test_status_tells_of_a_partition_that_goes_by_something_else(
    cli: Cli, site: Path, kafka: KafkaSettings, redis_settings: RedisSettings
) -> None:
    """Two partitions are as far as the decisions; one of them says what nobody decided: it is named, and exit is 1."""
    assert cli("control", "kill-switch", "engage", "--config", site, *REASON).code == 0
    client = connect(redis_settings)
    write_layout(client, redis_settings.prefix, 2)
    for number in range(2):
        control = Control(SHIPPED)
        for envelope in decided(kafka).lacking(0, 2**45):
            control.apply(envelope.events[0])
        control.kill_switch = number == 0
        store = RedisPartitionStore(client, redis_settings.prefix, "patient", number)
        store.commit(store.acquire_epoch(), {CONTROL_KEY: control.encode()}, 0)
    status = cli("control", "status", "--config", site)
    assert status.code == 1
    assert "partitions 1 go by other than what control.v1 says" in status.err


def test_a_version_is_held_demoted_and_restored(
    cli: Cli, site: Path, kafka: KafkaSettings, redis_settings: RedisSettings
) -> None:
    """Each is a decision with who and why; the lists show how the version stands, where it is applied and where not."""
    assert cli("models", "promote", BASE.version, "--config", site, *REASON).code == 0
    for word in ("hold", "demote", "restore", "hold"):
        assert cli("models", word, BASE.version, "--config", site, *REASON).code == 0
    assert cli("models", "hold", BASE.version, "--config", site, "--data-dir", site.parent, *REASON).code == 2
    events = [each.decision.event for each in decided(kafka).kept()][1:]
    assert [event.standing for event in events] == ["held", "demoted", "good", "held"]  # type: ignore[union-attr]
    assert {(each.decision.who, each.decision.reason) for each in decided(kafka).kept()} == {
        ("safety-officer", "tested")
    }
    assert "yes, held" in cli("models", "list", "--live", "--config", site).out
    client = connect(redis_settings)
    write_layout(client, redis_settings.prefix, 1)
    control = Control(SHIPPED)
    for envelope in decided(kafka).lacking(0, 2**45):
        control.apply(envelope.events[0])
    store = RedisPartitionStore(client, redis_settings.prefix, "patient", 0)
    store.commit(store.acquire_epoch(), {CONTROL_KEY: control.encode()}, 0)
    status = cli("control", "status", "--config", site)
    assert status.code == 0
    assert f"version {BASE.version} held" in status.out
    assert f"{BASE.version} (held)" in status.out
