"""A live installation for tests: real workers as processes of their own, on the run's broker and Redis.

What a test does to it (kill, freeze, restart) it does to processes; what it asks of it, it asks of Kafka and Redis.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from connectors.kafka.admin import declare
from connectors.kafka.outbox import Outbox
from connectors.kafka.reading import log_range, read_topic
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.redis.connection import connect
from connectors.redis.settings import RedisSettings
from connectors.sources.arrival import Arrival
from events import decode_envelope
from stream.identity import IdentityMap, Pseudonyms
from stream.parse import Parser, RecentMessages
from stream.partition_fold import is_passed_on
from stream.settings import Settings
from stream.simulation import arrivals_of, hospital_stream

SESSION_TIMEOUT_S = 6.0
"""The shortest that a broker takes by default: a frozen worker's partitions go to others soon."""
DRAIN_S = 120.0
LOOK_S = 0.25
BATCH = 200


class Cluster:
    """Workers over one prefix of Kafka and of Redis. `stop` ends whatever runs."""

    def __init__(
        self, folder: Path, kafka: KafkaSettings, redis: RedisSettings, *, build: str = "", live: str = ""
    ) -> None:
        self.folder = folder
        self.kafka = kafka
        self.redis = redis
        self._live = live
        self._environment = {**os.environ, **({"WARDSTREAM_BUILD": build} if build else {})}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stages: dict[str, str] = {}
        self.deaths = 0
        """Workers that ended by themselves and were started again."""
        self.config = self._write_config()

    def _write_config(self) -> Path:
        path = self.folder / "wardstream.toml"
        path.write_text(
            f"""[kafka]
bootstrap = "{self.kafka.bootstrap}"
prefix = "{self.kafka.prefix}"
partitions = {self.kafka.partitions}
[redis]
host = "{self.redis.host}"
port = {self.redis.port}
prefix = "{self.redis.prefix}"
[live]
session_timeout_s = {SESSION_TIMEOUT_S}
ticks = false
{self._live}
""",
            encoding="utf-8",
        )
        return path

    # -- processes --------------------------------------------------------------------------------------------------

    def start(self, name: str, stages: str = "parse,patient,ward") -> None:
        """Start a worker, or start it again."""
        self._stages[name] = stages
        log = (self.folder / f"{name}.log").open("ab")
        command = ["-m", "stream.cli", "worker", "--config", str(self.config), "--name", name, "--stages", stages]
        self.processes[name] = subprocess.Popen(
            [sys.executable, *command], stdout=log, stderr=log, env=self._environment, start_new_session=True
        )
        log.close()

    def kill(self, name: str) -> None:
        """Kill -9."""
        process = self.processes[name]
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def freeze(self, name: str) -> None:
        """Stop a worker in the middle of whatever it does."""
        self.processes[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let it go on, as if no time had passed."""
        self.processes[name].send_signal(signal.SIGCONT)

    def terminate(self, name: str, timeout_s: float = 30.0) -> int:
        """Stop a worker in order; give its exit code."""
        self.processes[name].terminate()
        return self.processes[name].wait(timeout_s)

    def supervise(self) -> None:
        """Start again what has ended by itself, as a supervisor does."""
        for name, process in list(self.processes.items()):
            if process.poll() is not None:
                self.deaths += 1
                self.start(name, self._stages[name])

    def stop(self) -> None:
        """End every process at once."""
        for name, process in self.processes.items():
            if process.poll() is None:
                self.thaw(name)
                self.kill(name)

    def log_of(self, name: str) -> str:
        """Give what a worker wrote."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    # -- the logs ---------------------------------------------------------------------------------------------------

    async def declare(self) -> None:
        """Make the topics."""
        await declare(self.kafka)

    async def ingest(self, arrivals: Iterable[Arrival], every_s: float = 0.0, during: float | None = None) -> int:
        """Write messages to the ingest topics as a gateway does; give how many. `every_s` waits between batches."""
        outbox = Outbox(self.kafka, client_id="test-gateway")
        await outbox.start()
        count = 0
        try:
            batch: list[Record] = []
            for arrival in arrivals:
                batch.append(ingest_record(arrival))
                if len(batch) == BATCH:
                    await outbox.send(batch)
                    count += len(batch)
                    batch = []
                    await asyncio.sleep(every_s)
            await outbox.send(batch)
            return count + len(batch)
        finally:
            await outbox.stop()

    def watermark(self, stage: str, partition: int) -> int:
        """Give the last record of a partition whose effect is in Redis; -1 where none."""
        with connect(self.redis) as client:
            found = client.hget(f"{self.redis.prefix}:{{{stage}-{partition}}}:meta", "watermark")
            return -1 if found is None else int(found)

    def parsed(self, topic: str, partition: int) -> int:
        """Give the last record of an ingest partition that is through [parse]."""
        with connect(self.redis) as client:
            found = client.hget(f"{self.redis.prefix}:{{parse}}:p:{topic}/{partition}", "watermark")
            return -1 if found is None else int(found)

    async def behind(self) -> dict[str, int]:
        """Give how many records each stage has yet to fold."""
        lag = {"parse": 0, "patient": 0, "ward": 0}
        for topic in ("hl7v2.ingest.v1", "fhir.ingest.v1", "ack.ingest.v1"):
            for number, (_, end) in (await log_range(self.kafka, topic)).items():
                lag["parse"] += end - 1 - self.parsed(topic, number) if end else 0
        for stage, topic in (("patient", "events.v1"), ("ward", "candidates.v1")):
            for number, (_, end) in (await log_range(self.kafka, topic)).items():
                lag[stage] += end - 1 - self.watermark(stage, number) if end else 0
        return lag

    async def drain(self, timeout_s: float = DRAIN_S) -> None:
        """Wait until every stage has folded all there is; dead workers are started again meanwhile."""
        deadline = time.monotonic() + timeout_s
        calm = 0
        while calm < 2:
            self.supervise()
            lag = await self.behind()
            calm = 0 if any(lag.values()) else calm + 1
            assert time.monotonic() < deadline, f"not drained in {timeout_s} s: {lag}"
            await asyncio.sleep(LOOK_S)

    async def accepted(self) -> list[tuple[str, bytes, bool]]:
        """Give (id, content, whether a fold passed it on) of every record of a patient on `events.v1`."""
        found = []
        async for record in read_topic(self.kafka, "events.v1"):
            envelope = decode_envelope(record.value or b"")
            if envelope.patient:
                found.append((envelope.envelope_id, record.value or b"", is_passed_on(envelope)))
        return found


def ingest_record(arrival: Arrival) -> Record:
    """Give the record that a gateway writes of a message."""
    topic = "hl7v2.ingest.v1" if arrival.format == "hl7v2" else "fhir.ingest.v1"
    feed = getattr(arrival.decoded, "feed", "") or "feed"
    return Record(topic, feed.encode(), arrival.data, (("ws_received", str(arrival.received_time).encode()),))


def hospital(beds: int, hours: float, seed: int = 7) -> list[Arrival]:
    """Give a simulated hospital's messages."""
    return list(arrivals_of(hospital_stream(seed=seed, beds=beds, hours=hours), Settings()))


def expected_ids(arrivals: Sequence[Arrival]) -> set[str]:
    """Give the envelope ids that the messages must come to: ids follow from content alone."""
    parser = Parser(IdentityMap(Pseudonyms()), RecentMessages())
    found = set()
    for arrival in arrivals:
        parsed, _ = parser.step(arrival.decoded, arrival.received_time or 0, arrival.position)
        if type(parsed).__name__ == "Envelope":
            found.add(parsed.envelope_id)
    return found
