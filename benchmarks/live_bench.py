"""The installation that `live.py` measures: its own broker and Redis, workers, and what the kernel says of each.

Owns starting and stopping, CPU time and memory by process, and how far each stage is. Must not know what is sent.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.kafka.admin import declare
from connectors.kafka.reading import log_range
from connectors.local.kafka import LocalKafka
from connectors.local.processes import Child
from connectors.local.redis import LocalRedis
from connectors.redis.connection import connect
from stream.versions import load_versions, shipped_version

ROOT = Path(__file__).resolve().parents[1]
WORKER_START_S = 60.0
STOP_S = 40.0
LOOK_S = 0.25
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
INGEST = "hl7v2.ingest.v1"
HEAP_MIB = 1_024
AFTERWARDS = """
import shutil, signal, sys
from pathlib import Path
from connectors.local.processes import read_mark, send
sys.stdin.read()
for path in Path(sys.argv[1]).rglob("*.pid"):
    mark = read_mark(path)
    if mark is not None:
        send(mark, signal.SIGKILL)
shutil.rmtree(sys.argv[1], ignore_errors=True)
"""
"""Waits until the benchmark has ended, and ends the processes that it left: one that was killed has stopped nothing."""


@dataclass
class Used:
    """CPU seconds by process, at a moment or between two."""

    at: float
    cpu_s: dict[str, float]

    def since(self, before: Used) -> Used:
        """Give what was used since."""
        return Used(
            self.at - before.at, {name: used - before.cpu_s.get(name, 0.0) for name, used in self.cpu_s.items()}
        )


class Installation:
    """A broker, a Redis, and workers over one prefix of each. `stop` ends all of it."""

    def __init__(self, folder: Path, partitions: int, live: Mapping[str, Any], *, profiled: bool = False) -> None:
        self.folder = folder
        self.broker = LocalKafka(folder / "kafka", heap_mib=HEAP_MIB)
        self.redis_server = LocalRedis(folder / "redis")
        prefix = f"b-{secrets.token_hex(3)}"
        self.kafka = self.broker.settings(prefix=f"{prefix}.", partitions=partitions)
        self.redis = self.redis_server.settings(prefix=prefix)
        self.workers: dict[str, Child] = {}
        self._live = dict(live)
        self._profiled = profiled
        self._watcher: subprocess.Popen[bytes] | None = None
        self.config = folder / "wardstream.toml"

    # -- life -------------------------------------------------------------------------------------------------------

    def start_servers(self) -> None:
        """Start the broker and Redis, and declare the topics. They end with us, in whatever way we do."""
        self._watcher = subprocess.Popen(  # noqa: S603 - the program below
            [sys.executable, "-c", AFTERWARDS, str(self.folder)], stdin=subprocess.PIPE, start_new_session=True
        )
        self.broker.start()
        self.redis_server.start()
        self.configure({})
        asyncio.run(declare(self.kafka))

    def configure(self, live: Mapping[str, Any]) -> None:
        """Write the configuration that workers started from now on have."""
        table = "".join(f"{key} = {json.dumps(value)}\n" for key, value in {**self._live, **live}.items())
        self.config.write_text(
            f"""[kafka]
bootstrap = "{self.kafka.bootstrap}"
prefix = "{self.kafka.prefix}"
partitions = {self.kafka.partitions}
[redis]
host = "{self.redis.host}"
port = {self.redis.port}
prefix = "{self.redis.prefix}"
[live]
{table}""",
            encoding="utf-8",
        )

    def promote(self) -> None:
        """Put the version that ships in force, as an operator does."""
        versions, _wrong = load_versions(None)
        self._run("models", "promote", shipped_version(versions), "--as", "bench", "--reason", "benchmark")

    def _run(self, *words: str) -> None:
        command = [sys.executable, "-m", "stream.cli", *words, "--config", str(self.config)]
        done = subprocess.run(  # noqa: S603 - our own command line
            command, cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"wardstream {' '.join(words)}: {done.stdout}{done.stderr}")

    def start_workers(self, stages_of: Mapping[str, str]) -> None:
        """Start workers by name with their stages, and wait until each has started."""
        for name, stages in stages_of.items():
            program = [str(ROOT / "benchmarks" / "live_profile.py")] if self._profiled else ["-m", "stream.cli"]
            words = [*program, "worker", "--config", str(self.config), "--name", name, "--stages", stages]
            child = self.workers[name] = Child(name, self.folder)
            child.log.unlink(missing_ok=True)
            child.start([sys.executable, *words], cwd=ROOT, environment=os.environ)
        deadline = time.monotonic() + WORKER_START_S
        for name in stages_of:
            while b'"started"' not in self.log_of(name):
                if not self.workers[name].running or time.monotonic() > deadline:
                    raise RuntimeError(f"worker {name} did not start: {self.log_of(name)[-2_000:].decode()}")
                time.sleep(LOOK_S)

    def log_of(self, name: str) -> bytes:
        """Give what a worker wrote."""
        return (self.folder / f"{name}.log").read_bytes()

    def dead(self) -> dict[str, str]:
        """Give the last words of workers that have ended by themselves."""
        return {name: child.tail() for name, child in self.workers.items() if not child.running}

    def stop_workers(self) -> None:
        """Stop the workers in order; one that does not stop is killed."""
        for name, child in self.workers.items():
            if not child.stop(STOP_S):
                print(f"worker {name} did not stop in {STOP_S:.0f} s: {child.tail()}", file=sys.stderr)
        self.workers.clear()

    def stop(self) -> None:
        """Stop everything."""
        self.stop_workers()
        self.redis_server.stop()
        self.broker.stop()
        if self._watcher is not None:
            self._watcher.communicate()

    # -- what the kernel says ---------------------------------------------------------------------------------------

    def _pids(self) -> dict[str, int]:
        children = {"broker": self.broker.child, "redis": self.redis_server.child, **self.workers}
        marks = {name: child.mark for name, child in children.items()}
        return {name: mark.pid for name, mark in marks.items() if mark is not None}

    def used(self) -> Used:
        """Give the CPU time that each process has used so far."""
        return Used(time.perf_counter(), {name: cpu_s(pid) for name, pid in self._pids().items()})

    def resident_mb(self) -> dict[str, float]:
        """Give the memory that each process holds."""
        return {name: _resident_mb(pid) for name, pid in self._pids().items()}

    # -- how far ----------------------------------------------------------------------------------------------------

    def done(self) -> dict[str, int]:
        """Give how many records each stage has committed, over all partitions."""
        tag = self.redis.prefix
        partitions = range(self.kafka.partitions)
        with connect(self.redis) as client:
            marks = {
                "parse": [client.hget(f"{tag}:{{parse}}:p:{INGEST}/{number}", "watermark") for number in partitions],
                "patient": [client.hget(f"{tag}:{{patient-{number}}}:meta", "watermark") for number in partitions],
                "ward": [client.hget(f"{tag}:{{ward-{number}}}:meta", "watermark") for number in partitions],
            }
        return {stage: sum(int(mark or -1) + 1 for mark in found) for stage, found in marks.items()}

    async def ends(self, *topics: str) -> dict[str, int]:
        """Give how many records each topic has."""
        return {topic: sum(end for _, end in (await log_range(self.kafka, topic)).values()) for topic in topics}

    def drain(self, timeout_s: float) -> float:
        """Wait until every stage has committed all there is; give the moment (perf_counter) when that was so."""
        deadline = time.monotonic() + timeout_s
        while True:
            at = time.perf_counter()
            done = self.done()
            ends = asyncio.run(self.ends(INGEST, "events.v1", "candidates.v1"))
            if tuple(done.values()) == tuple(ends.values()):
                return at
            dead = self.dead()
            if dead or time.monotonic() > deadline:
                raise RuntimeError(f"not drained: {done} of {ends}; {dead}")
            time.sleep(LOOK_S)


def cpu_s(pid: int) -> float:
    """Give the CPU time of a process so far; the kernel counts in hundredths."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def _resident_mb(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def quantile(values: Iterable[float], share: float) -> float:
    """Give a quantile, the greatest at 1; 0 where there is none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
