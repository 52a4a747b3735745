"""The processes of one bench: a broker, a Redis, the gateway, workers and the learner, in one state folder.

Owns which there are, on which ports, in which order they start and stop, and that one which dies is started again.
Must not know the command line, nor what a process does: each of ours is a `wardstream` command with a configuration.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from connectors.kafka.settings import PASSWORD_VARIABLE as KAFKA_PASSWORD
from connectors.local.kafka import LocalKafka
from connectors.local.ports import LOOPBACK, answers, free_ports, is_free
from connectors.local.processes import Child, LocalError, read_mark
from connectors.local.redis import LocalRedis
from connectors.redis.settings import PASSWORD_VARIABLE as REDIS_PASSWORD
from stream.settings import parse_site

WORKERS_MAX = 64
"""More than one machine has a use for."""
START_S = 60.0
"""A process of ours imports for a second or two, joins its group, and reads its logs' ends; the machine may be busy."""
STOP_S = 30.0
"""Beyond the grace that a process has for its own last work (`stop_grace_s`, 20 by default)."""
RESTART_FIRST_S = 1.0
RESTART_LAST_S = 30.0
"""A process that dies again and again is started again ever more slowly: each doubles the pause, up to here."""
CALM_S = 60.0
"""One that ran for so long is started again at once, as if it were the first time."""
WARDSTREAM = (sys.executable, "-m", "stream.cli")
HERE = "live.pid"
SITE_FILE = "wardstream.toml"
PROCESSES = "processes"
_PORTS_FILE = "ports.json"
_WANTED = {"kafka": 9092, "redis": 6379, "mllp": 2575, "http": 8080}
"""The ports that everybody knows, where they are free the first time."""


class Part(msgspec.Struct, frozen=True):
    """One process of the bench: how it is launched, the port on which it then answers, and what is told of it."""

    child: Child
    port: int
    tells: str
    launch: Callable[[], None]


class Bench:
    """Everything in one folder. The same folder has the same ports, data and configuration the next time."""

    def __init__(self, folder: Path, workers: int, *, base: str = "", wardstream: Sequence[str] = WARDSTREAM) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._wardstream = tuple(wardstream)
        parse_site(base)  # a fault in it is told with its line, before anything runs
        self._base = base
        self._ports = Ports(self.folder / _PORTS_FILE)
        known = self._ports.of
        self._kafka = LocalKafka(
            self.folder / "kafka", ports=(known("kafka"), known("kafka-inner"), known("kafka-controller"))
        )
        self._redis = LocalRedis(self.folder / "redis", ports=(known("redis"), known("redis-bus")))
        self._site = self._configure("", 0)
        gateway = f"HL7 v2 mllp://{LOOPBACK}:{known('mllp')}   FHIR and health http://{LOOPBACK}:{known('http')}"
        self.parts: list[Part] = [
            Part(self._kafka.child, self._kafka.port, self._kafka.bootstrap, self._kafka.start),
            Part(self._redis.child, self._redis.port, f"{LOOPBACK}:{self._redis.port}", self._redis.start),
            self._ours("gateway", known("mllp"), gateway, "gateway"),
        ]
        for name in [f"worker-{n + 1}" for n in range(workers)]:
            port = known(name)
            self.parts.append(self._ours(name, port, f"health http://{LOOPBACK}:{port}", "worker"))
        port = known("learner")
        self.parts.append(self._ours("learner", port, f"health http://{LOOPBACK}:{port}", "learner"))
        self._ports.keep()
        self._deaths: dict[str, tuple[int, float]] = {}

    @property
    def site(self) -> Path:
        """The configuration with which any other `wardstream` command finds this bench."""
        return self._site

    def _ours(self, name: str, port: int, tells: str, command: str) -> Part:
        child = Child(name, self.folder)
        health = self._ports.of("gateway-health") if name == "gateway" else port
        words = [*self._wardstream, command, "--config", str(self._configure(name, health))]

        return Part(child, port, tells, lambda: child.start(words, environment=_environment()))

    def _configure(self, name: str, health_port: int) -> Path:
        """Write the configuration of one process, or of whoever else asks."""
        known = self._ports.of
        tables: dict[str, dict[str, Any]] = {
            "kafka": {"bootstrap": self._kafka.bootstrap},
            "redis": {"host": LOOPBACK, "port": self._redis.port},
            "service": {"mllp_port": known("mllp"), "http_port": known("http")},
            "live": {"state_folder": str(self.folder)},
        }
        if name:
            tables["live"] |= {"name": name, "health_port": health_port}
        document = tomllib.loads(self._base)
        for table, values in tables.items():
            # Another broker's and Redis's addresses, users and certificates are not the bench's.
            kept = {} if table in {"kafka", "redis"} else document.get(table, {})
            document[table] = kept | values
        path = self.folder / PROCESSES / f"{name}.toml" if name else self.folder / SITE_FILE
        path.parent.mkdir(exist_ok=True)
        path.write_text("# Written by `wardstream live up`, each time anew.\n" + _toml(document), encoding="utf-8")
        return path

    def start(self, tell: Callable[[str], None], told: Callable[[], bool] = lambda: False) -> None:
        """Start everything, in order, telling where each listens; raises `LocalError` where something does not.

        Begins nothing more once it was `told` to stop.
        """
        for part in self.parts:
            if told():
                return
            if part.child.name == "gateway":
                self._declare(tell)
            part.launch()
            part.child.await_ready(partial(answers, part.port), START_S)
            tell(f"{part.child.name:<10} {part.tells}")

    def _declare(self, tell: Callable[[str], None]) -> None:
        words = [*self._wardstream, "topics", "declare", "--config", str(self._site)]
        done = subprocess.run(  # noqa: S603 - our own words, no shell
            words,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
        )
        if done.returncode:
            raise LocalError(f"the topics could not be declared:\n{done.stdout}{done.stderr}")
        tell(f"{'topics':<10} declared")

    def tend(self, tell: Callable[[str], None]) -> None:
        """Start again whatever has died, unless it is too soon after the last time."""
        now = time.monotonic()
        for part in self.parts:
            name = part.child.name
            if part.child.running:
                continue
            times, last = self._deaths.get(name, (0, 0.0))
            if last and now - last > CALM_S + RESTART_LAST_S:
                times, last = 0, 0.0
            if last and now - last < min(RESTART_FIRST_S * 2 ** (times - 1), RESTART_LAST_S):
                continue
            self._deaths[name] = (times + 1, now)
            tell(f"{name:<10} died; it is started again ({times + 1})")
            try:
                part.launch()
            except LocalError as fault:
                tell(f"{name:<10} {fault}")

    def logs(self) -> Iterator[tuple[str, Path]]:
        """Give the log of each process."""
        return ((part.child.name, part.child.log) for part in self.parts)


class Ports:
    """The ports of one folder by name: chosen once, then kept, so that addresses outlive a restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, int] = (
            msgspec.json.decode(path.read_bytes(), type=dict[str, int]) if path.exists() else {}
        )

    def of(self, name: str) -> int:
        """Give a name's port."""
        if name not in self._known:
            wanted = _WANTED.get(name, 0)
            taken = set(self._known.values())
            free = (
                wanted if wanted and is_free(wanted) else next(p for p in free_ports(len(taken) + 1) if p not in taken)
            )
            self._known[name] = free
        return self._known[name]

    def keep(self) -> None:
        """Write them down."""
        self._path.write_bytes(msgspec.json.encode(self._known, order="sorted") + b"\n")


def processes(folder: Path) -> list[Child]:
    """Give the processes that a folder has pid files of, in the order in which they are stopped."""
    ours = sorted(path.stem for path in folder.glob("*.pid") if path.name != HERE)
    first = sorted(ours, key=lambda name: (name != "gateway", not name.startswith("worker"), name))
    children = [Child(name, folder) for name in first]
    stores = [Child(name, folder / name) for name in ("redis", "kafka")]
    return children + [child for child in stores if child.pid_file.exists()]


def health_port(folder: Path, name: str) -> int:
    """Give the port on which a process of ours says how it is; 0 where it is none of ours."""
    path = folder / PROCESSES / f"{name}.toml"
    return parse_site(path.read_text(encoding="utf-8")).live.health_port if path.exists() else 0


def stop_all(folder: Path, tell: Callable[[str], None]) -> None:
    """Stop every process of a folder that runs: senders first, the broker last. No other process is touched."""
    for child in processes(folder):
        mark = child.mark
        in_order = child.stop(STOP_S)
        if mark is not None:
            tell(f"{child.name:<10} stopped" + ("" if in_order else f", by force: it did not end within {STOP_S:g} s"))


def supervisor(folder: Path) -> Child:
    """Give the process that runs `wardstream live up` in a folder, as a child that may not run."""
    child = Child("live", folder)
    read_mark(child.pid_file)  # raises where it is no pid file of ours
    return child


def _toml(document: dict[str, Any]) -> str:
    """Write what was read from TOML, or would be: plain keys first, then each table, what is nested in it inline.

    >>> print(_toml({"codes": {"W": {"tt 1": "fio2"}}, "scale": ["a"]}))
    "scale" = ["a"]
    [codes]
    "W" = {"tt 1" = "fio2"}
    <BLANKLINE>
    """
    plain = {key: value for key, value in document.items() if not isinstance(value, dict)}
    tables = {key: value for key, value in document.items() if isinstance(value, dict)}
    text = "".join(f"{_value(key)} = {_value(value)}\n" for key, value in plain.items())
    for name, table in tables.items():
        text += f"[{name}]\n" + "".join(f"{_value(key)} = {_value(value)}\n" for key, value in table.items())
    return text


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_value(key)} = {_value(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    return msgspec.json.encode(value).decode()  # JSON's text, number and boolean are TOML's too


def _environment() -> dict[str, str]:
    """Give our environment without the passwords of another broker and Redis: the bench's have none."""
    return {name: value for name, value in os.environ.items() if name not in {KAFKA_PASSWORD, REDIS_PASSWORD}}
