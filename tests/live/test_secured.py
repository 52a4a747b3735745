"""A secured installation: TLS and SCRAM to Kafka with ACLs, TLS and an ACL user to Redis, real processes all through.

The rights are read out of docs/live.md and docs/redis.md: they are enough, and a right or a secret that is missing is
named with what to do.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import msgspec
import pytest

from connectors.kafka.admin import declare
from connectors.kafka.outbox import Outbox
from connectors.kafka.reading import read_topic
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.local.certificates import Authority
from connectors.local.kafka import LocalKafka
from connectors.local.kafka_rights import DESCRIBE, DESCRIBE_CONFIGS, GROUP, READ, TOPIC, TRANSACTIONAL_ID, WRITE, grant
from connectors.local.redis import LocalRedis
from connectors.redis.settings import RedisSettings
from tests.bench import made
from tests.live.gateways import send
from tests.live.sick import sick_messages

PREFIX = "ward-7."
POOR = ("group", "output", "transactional", "described", "ingest", "examples")
USERS = {
    name: f"{name}-secret" for name in ("admin", "worker", "gateway", "learner", *(f"poor-{name}" for name in POOR))
}
REDIS_SECRET = "PASSWORD"  # noqa: S105 - the word that stands in the document
WITHIN_S = 90.0
LOOK_S = 0.25
Rights = list[tuple[int, str, int]]
"""Of one user: kind of resource, name, operation."""


def documented_rights(user: str) -> Rights:
    """Read a user's rights out of the document."""
    text = Path("docs/live.md").read_text(encoding="utf-8")
    [cells] = [row.split("|")[2:7] for row in text.splitlines() if row.startswith(f"| {user} |")]
    kinds = ((TOPIC, READ), (TOPIC, WRITE), (GROUP, READ), (TRANSACTIONAL_ID, WRITE))
    *named, described = cells
    rights = [(kind, name, operation) for (kind, operation), cell in zip(kinds, named, strict=True)
              for name in cell.split()]  # fmt: skip
    if described.strip() == "all topics":
        rights += [(TOPIC, "", DESCRIBE), (TOPIC, "", DESCRIBE_CONFIGS)]
    return rights


def documented_redis_users() -> dict[str, str]:
    text = Path("docs/redis.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^user (\S+) (.+)$", text, re.MULTILINE))


class Secured:
    """The two servers, and processes that reach them by configuration and environment alone."""

    def __init__(self, folder: Path, broker: LocalKafka, redis: LocalRedis) -> None:
        self.folder = folder
        self.broker = broker
        self.redis = redis
        self.admin = broker.settings(prefix=PREFIX, username="admin", partitions=2)

    async def grant(self, user: str, rights: Rights, prefix: str = PREFIX) -> None:
        """Allow a user what the document says."""
        for kind, name, operation in rights:
            await grant(
                self.admin, USERS["admin"], user, prefix + name, resources=(kind,), operation=operation
            )  # fmt: skip

    async def bring_in(self, mrn: str) -> None:
        """Write a sick patient's messages as a gateway does."""
        outbox = Outbox(self.admin, client_id="test", password=USERS["admin"])
        await outbox.start()
        await outbox.send([Record("hl7v2.ingest.v1", b"feed", message) for message in sick_messages(mrn)])
        await outbox.stop()

    def kafka(self, user: str, **changed: Any) -> KafkaSettings:
        """Give a user's [kafka]."""
        return msgspec.structs.replace(self.broker.settings(prefix=PREFIX, username=user, partitions=2), **changed)

    def of_redis(self, user: str, **changed: Any) -> RedisSettings:
        """Give a user's [redis]."""
        return msgspec.structs.replace(self.redis.settings(username=user), **changed)


class Process:
    """One `wardstream` process with a configuration of its own."""

    def __init__(
        self, folder: Path, command: str, kafka: KafkaSettings, redis: RedisSettings, secrets: Mapping[str, str]
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        site = {"kafka": kafka, "redis": redis}
        tables = {name: msgspec.to_builtins(table) for name, table in site.items()}
        tables["live"] = {"canary": False, "name": command, "session_timeout_s": 6.0}
        tables["service"] = {"mllp_port": 0, "http_port": 0}
        config = folder / f"{command}.toml"
        lines = [f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
                 for name, table in tables.items()]  # fmt: skip
        config.write_text("".join(lines), encoding="utf-8")
        self.log = folder / f"{command}.log"
        self.out = folder / f"{command}.out"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("WARDSTREAM_")}
        options = ["--health-port", "0"] if command == "learner" else []
        with self.log.open("wb") as log, self.out.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stream.cli", command, "--config", str(config), *options],
                env=environment | secrets,
                stdout=out,
                stderr=log,
            )

    def says(self) -> str:
        """Give its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def addresses(self) -> dict[str, str]:
        """Give where it listens; nothing before it does."""
        lines = self.out.read_text(encoding="utf-8").splitlines()
        return json.loads(lines[0]) if lines else {}

    async def listening(self) -> dict[str, str]:
        """Give where it listens; a claim to wait for."""
        return self.addresses()

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


def secrets(user: str, *, redis: str = REDIS_SECRET) -> dict[str, str]:
    return {"WARDSTREAM_KAFKA_PASSWORD": USERS[user], "WARDSTREAM_REDIS_PASSWORD": redis}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, afterwards: None) -> Iterator[Secured]:
    """A broker with TLS, SCRAM and ACLs, and a Redis with TLS and users; topics declared, rights granted."""
    folder = tmp_path_factory.mktemp("secured")
    broker = made(
        lambda: LocalKafka(folder / "kafka", security="sasl_ssl", users=USERS, admins=("admin",), acls=True)
    )  # fmt: skip
    redis = made(
        lambda: LocalRedis(folder / "redis", tls=True, users=documented_redis_users(), admin_password=REDIS_SECRET)
    )  # fmt: skip
    try:
        broker.start()
        redis.start()
        found = Secured(folder, broker, redis)
        asyncio.run(_prepare(found))
        yield found
    finally:
        redis.stop()
        broker.stop()


async def _prepare(secured: Secured) -> None:
    await declare(secured.admin, USERS["admin"])
    for user in ("worker", "gateway", "learner"):
        await secured.grant(user, documented_rights(user))


@pytest.fixture
def start(secured: Secured, tmp_path: Path) -> Iterator[Any]:
    """Give a function that starts a process; all end with the test."""
    running: list[Process] = []

    def run(command: str, kafka: KafkaSettings, redis: RedisSettings, environment: Mapping[str, str]) -> Process:
        running.append(Process(tmp_path, command, kafka, redis, environment))
        return running[-1]

    yield run
    for process in running:
        process.stop()


async def until(claim: Any, what: str) -> Any:
    """Wait until a claim gives something, and give that."""
    deadline = time.monotonic() + WITHIN_S
    while not (found := await claim()):
        assert time.monotonic() < deadline, f"not within {WITHIN_S:g} s: {what}"
        await asyncio.to_thread(Event().wait, LOOK_S)
    return found


async def hears(process: Process, *words: str) -> str:
    """Wait until a process's log has all the words; give the log."""

    async def heard() -> str:
        text = process.says()
        return text if all(word in text for word in words) else ""

    deadline = time.monotonic() + WITHIN_S
    while not (text := await heard()):
        assert time.monotonic() < deadline, f"{words} not said: {process.says()[-3000:]}"
        await asyncio.to_thread(Event().wait, LOOK_S)
    return text


def assert_no_secret(text: str) -> None:
    assert not any(secret in text for secret in USERS.values())
    assert "not-it" not in text


@pytest.mark.asyncio
async def test_the_documented_rights_are_enough(secured: Secured, start: Any) -> None:
    """Messages go in over MLLP, an alert comes out on alerts.v1, and nobody was refused anything on the way."""
    processes = {
        name: start(name, secured.kafka(name), secured.of_redis(f"ward-{name}"), secrets(name))
        for name in ("worker", "gateway", "learner")
    }

    addresses = await until(processes["gateway"].listening, "the gateway listens")
    answers = await send(int(addresses["mllp"].rpartition(":")[2]), sick_messages())
    assert [answer.code for answer in answers] == ["AA"] * len(answers)

    async def alerts() -> list[bytes]:
        return [record.value async for record in read_topic(secured.admin, "alerts.v1", password=USERS["admin"])]

    found = await until(alerts, f"an alert; the worker says {processes['worker'].says()[-2000:]}")
    assert json.loads(found[0])["trigger"]

    async def shown() -> list[Any]:
        address = f"http://{addresses['http']}/patients"
        answer = await asyncio.to_thread(httpx.get, address, trust_env=False, timeout=WITHIN_S)
        return answer.status_code == 200 and answer.json()["patients"]

    assert len(await until(shown, "the gateway's board, read from Redis")) == 1

    async def learned() -> str:
        return processes["learner"].says() if "caught_up" in processes["learner"].says() else ""

    await until(learned, "the learner has read examples.v1")
    for name, process in processes.items():
        assert process.process.poll() is None, process.says()
        said = process.says()
        assert "uthoriz" not in said, f"{name}: {said}"
        assert "tried_again" not in said, f"{name}: {said}"
        assert_no_secret(said)


COMMANDS = ("worker", "gateway", "learner")


@pytest.mark.asyncio
@pytest.mark.parametrize("command", COMMANDS)
async def test_a_wrong_kafka_password_is_named(secured: Secured, start: Any, command: str) -> None:
    """The process ends, and its log names the user, the mechanism and the variable that holds the password."""
    environment = secrets(command) | {"WARDSTREAM_KAFKA_PASSWORD": "not-it"}
    process = start(command, secured.kafka(command), secured.of_redis("ward-worker"), environment)
    said = await hears(process, "refused the login", "WARDSTREAM_KAFKA_PASSWORD", "SCRAM-SHA-512")
    assert await asyncio.to_thread(process.process.wait, WITHIN_S) == 1
    assert_no_secret(said)
    assert "Traceback" not in said


@pytest.mark.asyncio
@pytest.mark.parametrize("command", COMMANDS)
async def test_a_broker_that_is_not_trusted_is_named(
    secured: Secured, start: Any, command: str, tmp_path: Path
) -> None:
    """A certificate of another authority ends the process, with kafka.ca_file named."""
    other = str(Authority(tmp_path / "other").ca_file)
    process = start(command, secured.kafka(command, ca_file=other), secured.of_redis("ward-worker"), secrets(command))
    said = await hears(process, "not trusted", "kafka.ca_file")
    assert await asyncio.to_thread(process.process.wait, WITHIN_S) == 1
    assert "Traceback" not in said


@pytest.mark.asyncio
@pytest.mark.parametrize("command", ["worker", "gateway"])
async def test_a_wrong_redis_password_is_named(secured: Secured, start: Any, command: str) -> None:
    """The log names Redis, the user and the variable."""
    process = start(
        command, secured.kafka(command), secured.of_redis(f"ward-{command}"), secrets(command, redis="not-it")
    )
    said = await _told(process, "WARDSTREAM_REDIS_PASSWORD", f"ward-{command}")
    assert_no_secret(said)


@pytest.mark.asyncio
@pytest.mark.parametrize("command", ["worker", "gateway"])
async def test_a_redis_that_is_not_trusted_is_named(secured: Secured, start: Any, command: str, tmp_path: Path) -> None:
    """A certificate of another authority is named, with [redis] ca_file."""
    other = str(Authority(tmp_path / "other").ca_file)
    process = start(
        command, secured.kafka(command), secured.of_redis(f"ward-{command}", ca_file=other), secrets(command)
    )
    await _told(process, "not trusted", "ca_file")


MISSING: dict[str, tuple[str, tuple[int, str, int], tuple[str, ...]]] = {
    "group": ("worker", (GROUP, "wardstream.patient", READ), ("does not allow", "groups")),
    "output": ("worker", (TOPIC, "scores.v1", WRITE), ("scores.v1", "write access")),
    "transactional": (
        "worker",
        (TRANSACTIONAL_ID, "wardstream.states.", WRITE),
        ("does not allow", "transactional ids"),
    ),
    "described": ("worker", (TOPIC, "", DESCRIBE_CONFIGS), ("does not allow", "grant access")),
    "ingest": (
        "gateway",
        (TOPIC, "hl7v2.ingest.v1", WRITE),
        ("hl7v2.ingest.v1", "grant our user 'poor-ingest' access"),
    ),
    "examples": (
        "learner",
        (TOPIC, "examples.v1", READ),
        ('"topic": "examples.v1"', "does not allow poor-examples", "grant access to topics"),
    ),
}
"""By user `poor-NAME`: whose rights it has but one, and what is told of that."""


@pytest.mark.asyncio
@pytest.mark.parametrize("name", MISSING)
async def test_a_right_that_is_missing_is_named(secured: Secured, start: Any, name: str) -> None:
    """Without one of the documented rights the process says which, and what to do."""
    command, right, words = MISSING[name]
    user = f"poor-{name}"
    rights = documented_rights(command)
    assert right in rights
    await secured.grant(user, [each for each in rights if each != right])
    await secured.bring_in(name)
    process = start(command, secured.kafka(user), secured.of_redis("ward-worker"), secrets(user))
    if command == "gateway":  # It finds out when something is to be written: at the latest by its canary, in a minute.
        addresses = await until(process.listening, "the gateway listens")
        answers = await send(int(addresses["mllp"].rpartition(":")[2]), sick_messages())
        assert "AA" not in {answer.code for answer in answers}
    said = await _told(process, *words)
    assert_no_secret(said)


@pytest.mark.asyncio
async def test_a_redis_user_without_rights_is_named(secured: Secured, start: Any) -> None:
    """A worker with a reader's rights says that it is let in and may not do what is needed."""
    process = start("worker", secured.kafka("worker"), secured.of_redis("ward-reader"), secrets("worker"))
    await _told(process, "ACL", "docs/redis.md")


async def _told(process: Process, *words: str) -> str:
    """Wait until a process says it in its log, or, where it goes on without, on its health."""
    deadline = time.monotonic() + WITHIN_S
    text = ""
    while not all(word in text for word in words):
        assert time.monotonic() < deadline, f"{words} not said: {text[-3000:]}"
        await asyncio.to_thread(Event().wait, LOOK_S)
        text = process.says()
        http = process.addresses().get("http")
        if http:
            with suppress(httpx.HTTPError):  # it may end of what it has to say
                answer = await asyncio.to_thread(httpx.get, f"http://{http}/health/ready", trust_env=False, timeout=10)
                text += answer.text
    return text
