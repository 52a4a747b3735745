"""The peer of `live.py` on the same servers: its topics, its patients' day, its workers, and its throughput.

Owns how it is started and measured. Must not know how it works: `peers/live_faust.py`.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from live_bench import Installation, Used, cpu_s
from live_traffic import Traffic
from peer import VITALS

from connectors.redis.connection import connect

PROGRAM = Path(__file__).parent / "peers" / "live_faust.py"
TOPICS = ("peer.ingest", "peer.scores", "peer.alerts")
SETS = 1_000
START_S = 60.0
DAY_MS, HOUR_MS, MINUTE_MS = 86_400_000, 3_600_000, 60_000


class Peer:
    """So many workers of the peer."""

    def __init__(self, installation: Installation, traffic: Traffic, workers: int) -> None:
        self._installation = installation
        self._traffic = traffic
        self._count = workers
        self.processes: list[subprocess.Popen[str]] = []

    def prepare(self, minute_share: float) -> None:
        """Make its topics, and give every patient the same day that ours has."""
        asyncio.run(self._declare())
        ends = int(time.time() * 1_000) // MINUTE_MS * MINUTE_MS - MINUTE_MS
        hourly, minute = _day(ends, HOUR_MS), _day(ends, MINUTE_MS)
        prefix = self._installation.kafka.prefix
        with connect(self._installation.redis) as client:
            states: dict[str, str] = {}
            for number in range(self._traffic.patients):
                often = number * 61 % 1_000 < minute_share * 1_000
                states[f"{prefix}peer:P{number:06d}"] = minute if often else hourly
                if len(states) == SETS:
                    client.mset(states)
                    states.clear()
            if states:
                client.mset(states)

    async def _declare(self) -> None:
        kafka = self._installation.kafka
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(kafka.prefix + name, kafka.partitions, 1) for name in TOPICS])
        finally:
            await admin.close()

    def start(self) -> None:
        """Start its workers and wait for them."""
        installation = self._installation
        words = [installation.kafka.bootstrap, str(installation.redis.port), installation.kafka.prefix]
        for number in range(self._count):
            with (installation.folder / f"peer{number}.log").open("wb") as log:
                command = [sys.executable, str(PROGRAM), *words, "worker"]
                self.processes.append(
                    subprocess.Popen(  # noqa: S603 - the program named above
                        command, cwd=installation.folder, stdout=subprocess.PIPE, stderr=log, text=True
                    )
                )
        for process in self.processes:
            assert process.stdout is not None
            if not any("ready" in line for line in iter(process.stdout.readline, "")):
                raise RuntimeError("the peer did not start: its log is beside the servers' data")

    def measure(self, generator: subprocess.Popen[str]) -> dict[str, Any]:
        """Let it work off what a generator sends; give its throughput over the second half of that time."""
        looks = [(time.perf_counter(), self._scored())]
        used = self._used()
        while generator.poll() is None:
            time.sleep(1.0)
            looks.append((time.perf_counter(), self._scored()))
        spent = self._used().since(used)
        generated = json.loads(generator.communicate()[0])
        (first_at, first), (last_at, last) = looks[len(looks) // 2], looks[-1]
        done = max(last - looks[0][1], 1)
        return {
            "sent": generated["sent"],
            "scored": done,
            "per_s": (last - first) / (last_at - first_at),
            "cpu_us_a_message": {name: seconds / done * 1e6 for name, seconds in spent.cpu_s.items()},
            "workers": self._count,
        }

    def _used(self) -> Used:
        used = self._installation.used()
        used.cpu_s |= {f"peer{number}": cpu_s(process.pid) for number, process in enumerate(self.processes)}
        return used

    def _scored(self) -> int:
        return asyncio.run(self._ends("peer.scores"))

    async def _ends(self, topic: str) -> int:
        kafka = self._installation.kafka
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap)
        await consumer.start()
        try:
            places = [TopicPartition(kafka.prefix + topic, number) for number in range(kafka.partitions)]
            return sum((await consumer.end_offsets(places)).values())
        finally:
            await consumer.stop()

    def stop(self) -> None:
        """End its workers; it keeps nothing that matters."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
        self.processes.clear()


def _day(ends: int, every_ms: int) -> str:
    times = range(ends - DAY_MS + every_ms, ends + 1, every_ms)
    readings = {
        code: [[float(at), normal + (at // every_ms) % 3 * spread / 3] for at in times]
        for code, _, _, normal, spread, _ in VITALS
    }
    return json.dumps({"readings": readings, "news2": 0})
