"""The image and the compose file, as far as they can be held to something without Docker.

What a container would be told is told to the real thing here: Kafka's settings to a broker, Redis's command to a
redis-server, the health check to a health server, and each command to our command line.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
import yaml

from connectors.http.ports import Condition
from connectors.kafka.connection import client_options
from connectors.local.kafka import LocalKafka
from connectors.local.parts import MissingPartError, find_redis
from connectors.local.ports import free_ports
from connectors.local.processes import Child
from connectors.redis.connection import RedisConnectionError, connect
from connectors.redis.settings import RedisSettings
from stream.cli import wardstream
from stream.live.health import HealthServer
from stream.settings import SiteFile, parse_site

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("wardstream:")}
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
INSTRUCTIONS = [
    (line.split(maxsplit=1)[0], line.split(maxsplit=1)[1])
    for line in re.sub(r"\\\n\s*", "", DOCKERFILE).splitlines()
    if line and not line.startswith("#")
]
PROJECT = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text(encoding="utf-8"))
SECRET = "a secret: of 3 words"  # noqa: S105 - of servers that live for a test


def site() -> SiteFile:
    """Read the configuration that the containers get."""
    return parse_site((DEPLOY / "compose.toml").read_text(encoding="utf-8"), "compose.toml")


@pytest.mark.parametrize("name", OURS)
def test_each_command_is_one_of_ours(name: str) -> None:
    """What a container of ours is told to run is a command of `wardstream`, with options that it has."""
    command: click.Command | None = wardstream
    words = list(OURS[name]["command"])
    while isinstance(command, click.Group):
        word = words.pop(0)
        command = command.get_command(click.Context(command), word)
        assert command is not None, f"no such command: {word}"
    known = {option for parameter in command.params for option in parameter.opts} if command else set()
    assert {word for word in words if word.startswith("-")} <= known


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_looked_at_and_started_again(name: str) -> None:
    """A service that runs has a health check and is always started again; one that ends is, until it succeeds."""
    service = SERVICES[name]
    if service["restart"] == "on-failure":
        assert service["healthcheck"] == {"disable": True}
        waiting = [other for other in OURS.values() if name in other["depends_on"]]
        assert all(other["depends_on"][name]["condition"] == "service_completed_successfully" for other in waiting)
        assert waiting
    else:
        assert service["restart"] == "always"
        assert {"test", "interval", "timeout", "retries", "start_period"} <= service["healthcheck"].keys()


def test_ports_are_published_on_loopback_only() -> None:
    """Nothing listens beyond this machine, and only what senders and readers need is published."""
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert list(ports) == ["gateway"]
    assert all(port.startswith("127.0.0.1:") for port in ports["gateway"])


def test_secrets_come_from_the_environment() -> None:
    """Each secret is a variable without which nothing starts; no value stands in the file."""
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|TOKEN|KEY|JAAS", name):
                assert re.search(r"\$\{\w+:\?[^}]+\}", str(value)), name
                assert not re.search(r"\$\{\w+:-", str(value)), name


def test_images_are_pinned_by_version() -> None:
    """Each image names its whole version, in the compose file and the Dockerfile."""
    bases = [rest.split()[0] for word, rest in INSTRUCTIONS if word == "FROM"]
    images = [*bases, *(service["image"] for service in SERVICES.values())]
    assert all(re.search(r":\d+\.\d+\.\d+", image) for image in images), images
    assert OURS["worker"]["image"] == f"wardstream:{PROJECT['project']['version']}"


def test_ours_may_do_nothing_but_their_work() -> None:
    """Our containers have no capabilities, a file system that they cannot write, and bounded logs."""
    for service in OURS.values():
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert service["logging"]["options"]["max-size"]


def test_the_configuration_fits_the_compose_file() -> None:
    """The addresses of the configuration are those of the compose file's services, and the whole of it is read."""
    kafka, _, port = site().kafka.bootstrap.partition(":")
    assert f"CLIENTS://{kafka}:{port}" in SERVICES[kafka]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert site().redis.host in SERVICES
    published = [int(port.rsplit(":", 1)[1]) for port in SERVICES["gateway"]["ports"]]
    assert published == [site().service.mllp_port, site().service.http_port]
    assert f":{site().live.health_port}/" in SERVICES["worker"]["healthcheck"]["test"][-1]
    assert f"WARDSTREAM_HEALTH_PORT={site().live.health_port}" in DOCKERFILE
    grace = int(SERVICES["worker"]["stop_grace_period"].removesuffix("s"))
    assert grace > max(site().live.stop_grace_s, site().service.stop_grace_s)


def test_the_image_is_not_roots() -> None:
    """The last stage runs as a numbered user, is looked at, and starts without a shell."""
    last = INSTRUCTIONS[max(n for n, (word, _) in enumerate(INSTRUCTIONS) if word == "FROM") :]
    words = dict(last)
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", words["USER"])
    assert words["ENTRYPOINT"].startswith("[")
    assert words["CMD"].startswith("[")
    assert "HEALTHCHECK" in words
    assert not [word for word, _ in INSTRUCTIONS if word == "ADD"]
    assert all(rest.startswith("/") for word, rest in INSTRUCTIONS if word == "WORKDIR")
    assert not re.search(r"\bsudo\b|\bcurl\b|\bwget\b|apt-get|:latest", DOCKERFILE)


def test_the_image_gets_every_package_and_nothing_else() -> None:
    """What is copied is what the wheel is made of, and what may be sent to the engine is what is copied."""
    copied = [
        part for word, rest in INSTRUCTIONS if word == "COPY" and "--from" not in rest for part in rest.split()[:-1]
    ]
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert copied == ["pyproject.toml", "README.md", "LICENSE", *packages]
    ignore = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert [line[1:] for line in ignore if line.startswith("!")] == copied


def test_the_image_gets_the_pins() -> None:
    """The line of the Dockerfile that reads what is pinned gives exactly the project's dependencies."""
    line = re.search(r'python -c "(import tomllib.*?)" >', DOCKERFILE)
    assert line is not None
    done = subprocess.run(
        [sys.executable, "-c", line[1]], cwd=DEPLOY.parent, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == PROJECT["project"]["dependencies"]


@pytest.fixture
def health() -> Iterator[Callable[[bool], int]]:
    """Give a function that serves a well or an ill process's health, and gives the port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    servers: list[HealthServer] = []

    def serve(well: bool) -> int:  # noqa: FBT001
        condition = Condition(well, () if well else ("no progress",))
        servers.append(HealthServer(lambda: condition, lambda: condition))
        return asyncio.run_coroutine_threadsafe(servers[-1].start("127.0.0.1", 0), loop).result(10)

    yield serve
    for server in servers:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_the_health_checks_ask_the_process(health: Callable[[bool], int]) -> None:
    """The checks of the compose file and the image succeed for a well process, and fail for an ill one."""
    image = re.search(r'CMD \["python", "-c", "(import os.*)"\]', DOCKERFILE)
    assert image is not None
    for well in (True, False):
        port = health(well)
        compose = SERVICES["worker"]["healthcheck"]["test"][-1].replace(":8081/", f":{port}/")
        for code in (compose, image[1].replace('\\"', '"')):
            environment = os.environ | {"WARDSTREAM_HEALTH_PORT": str(port)}
            done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
            assert (done.returncode == 0) == well


def test_kafkas_settings_start_a_broker_that_asks_for_the_password(own_kafka: Callable[..., LocalKafka]) -> None:
    """A real broker takes what the compose file tells Kafka, and lets in only who has the password."""
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaConnectionError

    ports = free_ports(3)
    told = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): str(value)
        for name, value in SERVICES["kafka"]["environment"].items()
        if name.startswith("KAFKA_") and name not in {"KAFKA_HEAP_OPTS", "KAFKA_LOG_DIRS"}
    }
    told = {
        name: re.sub(r"\$\{[^}]*\}", SECRET, value).replace("//kafka:", "//127.0.0.1:") for name, value in told.items()
    }
    for inside, here in zip(("9092", "9094", "9093"), ports, strict=True):
        told = {name: value.replace(f":{inside}", f":{here}") for name, value in told.items()}
    told["controller.quorum.bootstrap.servers"] = ""
    own_kafka(ports=tuple(ports), settings=told)
    settings = msgspec.structs.replace(site().kafka, bootstrap=f"127.0.0.1:{ports[0]}")

    async def ask(password: str) -> list[str]:
        client = AIOKafkaAdminClient(**client_options(settings, password))
        await client.start()
        try:
            return await client.list_topics()
        finally:
            await client.close()

    assert asyncio.run(ask(SECRET)) == []
    with pytest.raises(KafkaConnectionError):
        asyncio.run(ask("wrong"))


def test_rediss_command_starts_one_that_asks_for_the_password(tmp_path: Path) -> None:
    """A real redis-server takes what the compose file tells Redis, keeps a log of writes, and asks for the password."""
    try:
        find_redis()
    except MissingPartError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"this claim was NOT tested: {error}")
    port = free_ports(1)[0]
    words = [
        word.replace("$$", "$").replace("dir /data", f"dir {tmp_path}\nport {port}")
        for word in SERVICES["redis"]["command"]
    ]
    child = Child("redis", tmp_path)
    child.start(words, environment=os.environ | {"WARDSTREAM_REDIS_PASSWORD": "not-in-ps"})
    try:
        settings = RedisSettings(port=port)
        child.await_ready(lambda: "Ready to accept connections" in child.tail(), 20)
        mark = child.mark
        assert mark is not None
        assert b"not-in-ps" not in Path(f"/proc/{mark.pid}/cmdline").read_bytes()
        assert connect(settings, "not-in-ps").config_get("appendonly") == {"appendonly": "yes"}
        with pytest.raises(RedisConnectionError):
            connect(settings, "wrong")
    finally:
        child.kill()
