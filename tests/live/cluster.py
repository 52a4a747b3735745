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
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import httpx
import msgspec
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from connectors.hospital.hospital import START_TIME
from connectors.kafka.admin import declare
from connectors.kafka.faults import NotSentError, UnreachableError
from connectors.kafka.outbox import Outbox
from connectors.kafka.partitioning import partition_for
from connectors.kafka.reading import log_range, read_topic
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.local.ports import free_ports
from connectors.redis.connection import RedisConnectionError, connect
from connectors.redis.settings import RedisSettings
from connectors.sources.arrival import Arrival
from events import Envelope, decode_envelope
from events.encoding import UndecodableEnvelopeError
from stream.control import read_control
from stream.fold import CONTROL_KEY
from stream.identity import IdentityMap, Pseudonyms
from stream.parse import Parser, RecentMessages, spread
from stream.partition_fold import is_passed_on
from stream.settings import Settings
from stream.simulation import arrivals_of, hospital_stream
from tests.live.deaths import Death, read_death

SESSION_TIMEOUT_S = 6.0
"""The shortest that a broker takes by default: a frozen worker's partitions go to others soon."""
DRAIN_S = 120.0
LOOK_S = 0.25
BATCH = 200
HEALTHY_S = 30.0
"""Within which the service must be healthy after a fault, or say that it is not."""
RECOVERED_S = 150.0
"""Until all is well again: a producer that lost its broker is replaced after a minute, on a busy machine later."""
ASK_S = 3.0
BEHIND = "wardstream_stage_behind_records"
AT_WORK_S, AT_WORK_LOOK_S = 1.5, 0.01
"""For how long, and how often, a worker is looked at until it has something to do."""


class Health(msgspec.Struct, frozen=True):
    """What a worker says of itself."""

    answered: bool
    well: bool = False
    problems: tuple[str, ...] = ()


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
        self.ports: dict[str, int] = {}
        self._stages: dict[str, str] = {}
        self._commands: dict[str, str] = {}
        self._told_to_stop: set[str] = set()
        self._killed: set[str] = set()
        """Those whose end is ours, or noted."""
        self._own: dict[str, Mapping[str, str]] = {}
        self.sent = 0
        """Messages written to the ingest topics."""
        self.ended: list[Death] = []
        """Those that ended by themselves and were started again."""
        self._began: dict[str, int] = {}
        """Where in its log each process began."""
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
timeout_s = {self.redis.timeout_s}
[live]
session_timeout_s = {SESSION_TIMEOUT_S}
ticks = false
{self._live}
""",
            encoding="utf-8",
        )
        return path

    # -- processes --------------------------------------------------------------------------------------------------

    def start(
        self,
        name: str,
        stages: str = "parse,patient,ward",
        environment: Mapping[str, str] | None = None,
        *,
        command: str = "worker",
    ) -> None:
        """Start a worker (or a learner), or start it again; with more in its environment, which a restart keeps."""
        assert name not in self.processes or self.processes[name].poll() is not None, f"{name} runs already"
        self._told_to_stop.discard(name)
        self._killed.discard(name)
        self._stages[name] = stages
        self._commands.setdefault(name, command)
        self._own[name] = self._own.get(name, {}) if environment is None else environment
        port = self.ports.setdefault(name, free_ports(1)[0])
        log = (self.folder / f"{name}.log").open("ab")
        self._began[name] = log.tell()
        words = ["-m", "stream.cli", self._commands[name], "--config", str(self.config), "--health-port", str(port)]
        if self._commands[name] == "worker":
            words += ["--name", name, "--stages", stages]
        self.processes[name] = subprocess.Popen(
            [sys.executable, *words],
            stdout=log,
            stderr=log,
            cwd=self.folder,
            env={**self._environment, **self._own[name]},
            start_new_session=True,
        )
        log.close()

    def kill(self, name: str) -> None:
        """Kill -9; one that had ended by itself is noted."""
        process = self.processes[name]
        self._note_end(name)
        self._killed.add(name)
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
        """Stop a worker in order; give its exit code. It stays so until it is started again."""
        self._note_end(name)
        self._told_to_stop.add(name)
        self.processes[name].terminate()
        return self.processes[name].wait(timeout_s)

    def supervise(self) -> None:
        """Start again what has ended by itself, as a supervisor does."""
        for name in list(self.processes):
            if self._note_end(name):
                self.start(name, self._stages[name], self._own[name])

    def _note_end(self, name: str) -> bool:
        """Say whether one has ended that was not told to; note it where nobody killed it either."""
        code = self.processes[name].poll()
        if code is None or name in self._told_to_stop:
            return False
        if name not in self._killed:
            self.ended.append(read_death(name, code, self.log_of(name, self._began[name])))
            self._killed.add(name)
        return True

    @property
    def deaths(self) -> int:
        """How many ended by themselves."""
        return len(self.ended)

    def restart(self, name: str, environment: Mapping[str, str] | None = None) -> None:
        """Start a worker again as it was, or with another environment."""
        self.start(name, self._stages[name], environment)

    def stop(self) -> None:
        """End every process at once."""
        for name, process in self.processes.items():
            if process.poll() is None:
                self.thaw(name)
                self.kill(name)

    def log_of(self, name: str, begin: int = 0) -> str:
        """Give what a worker wrote, from a byte on."""
        return (self.folder / f"{name}.log").read_bytes()[begin:].decode("utf-8", "replace")

    def log_size(self, name: str) -> int:
        """Give how much a worker has written."""
        return (self.folder / f"{name}.log").stat().st_size

    # -- how it is ---------------------------------------------------------------------------------------------------

    def health(self, name: str, kind: str = "ready") -> Health:
        """Ask a worker how it is; `kind` is `ready` or `live`."""
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.ports[name]}/health/{kind}", timeout=ASK_S, trust_env=False)
        except httpx.HTTPError:
            return Health(answered=False)
        said = answer.json()
        return Health(answered=True, well=answer.status_code == 200, problems=tuple(said["problems"]))

    async def healths(self) -> dict[str, Health]:
        """Ask every worker."""
        found = await asyncio.gather(*(asyncio.to_thread(self.health, name) for name in self.processes))
        return dict(zip(self.processes, found, strict=True))

    def metrics(self, name: str) -> list[Sample]:
        """Give what a worker counts; nothing where it does not answer."""
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.ports[name]}/metrics", timeout=ASK_S, trust_env=False)
        except httpx.HTTPError:
            return []
        families = text_string_to_metric_families(answer.text)  # type: ignore[no-untyped-call] # the library's own gap
        return [sample for family in families for sample in family.samples]

    def behind_by(self, name: str) -> dict[tuple[str, int], int]:
        """Give how many records a worker has taken on and not folded yet, by topic (its own name) and partition."""
        return {
            (one.labels["topic"].removeprefix(self.kafka.prefix), int(one.labels["partition"])): int(one.value)
            for one in self.metrics(name)
            if one.name == BEHIND
        }

    async def until_at_work(self, name: str, within_s: float = AT_WORK_S) -> dict[tuple[str, int], int]:
        """Wait until a worker says that it has records to fold, for a moment; give how many of what it held."""
        deadline = time.monotonic() + within_s
        held: dict[tuple[str, int], int] = {}
        while time.monotonic() < deadline:
            held = await asyncio.to_thread(self.behind_by, name)
            if any(held.values()):
                break
            await asyncio.sleep(AT_WORK_LOOK_S)
        return held

    async def until_one_at_work(self, within_s: float) -> str:
        """Wait until any worker says that it has records to fold, for so long; give its name, or else the first one."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            for name in self.processes:
                if any((await asyncio.to_thread(self.behind_by, name)).values()):
                    return name
            await asyncio.sleep(AT_WORK_LOOK_S)
        return next(iter(self.processes))

    async def until_healthy(self, within_s: float = RECOVERED_S) -> float:
        """Wait until every worker says that it is well; give the seconds it took. Dead ones are started again.

        From `HEALTHY_S` on, who is not well has to say why.
        """
        began = time.monotonic()
        last: dict[str, Health] = {}

        async def all_well() -> bool:
            last.update(await self.healths())
            silent = [name for name, one in last.items() if one.answered and not (one.well or one.problems)]
            assert not silent or time.monotonic() - began < HEALTHY_S, f"not well, and without a word: {silent}"
            return all(one.well for one in last.values())

        await self.until(all_well, within_s, lambda: f"not healthy: {last}")
        return time.monotonic() - began

    async def until(
        self,
        holds: Callable[[], Awaitable[bool]],
        within_s: float = HEALTHY_S,
        why: Callable[[], str] = lambda: "did not come to hold",
        *,
        supervised: bool = True,
    ) -> None:
        """Wait until something holds; dead workers are started again meanwhile."""
        deadline = time.monotonic() + within_s
        while not await holds():
            if supervised:
                self.supervise()
            assert time.monotonic() < deadline, f"within {within_s:g} s: {why()}"
            await asyncio.sleep(LOOK_S)

    async def until_said(self, name: str, words: str, within_s: float = HEALTHY_S, *, supervised: bool = True) -> str:
        """Wait until a worker tells a problem with these words; give the problem."""
        found: list[str] = []
        last: list[Health] = []

        async def said() -> bool:
            last[:] = [await asyncio.to_thread(self.health, name)]
            found[:] = [problem for problem in last[0].problems if words in problem]
            return bool(found)

        await self.until(said, within_s, lambda: f"{name} does not say {words!r}: {last}", supervised=supervised)
        return found[0]

    async def let_go_on(self, seconds: float) -> None:
        """Let the load go on for a while; dead workers are started again."""
        self.supervise()
        await asyncio.sleep(seconds)

    # -- the logs ---------------------------------------------------------------------------------------------------

    async def declare(self) -> None:
        """Make the topics."""
        await declare(self.kafka)

    async def ingest(
        self,
        arrivals: Iterable[Arrival],
        *,
        within_s: float = 0.0,
        batch: int = BATCH,
        patience_s: float = 0.0,
    ) -> int:
        """Write messages to the ingest topics as a gateway does; give how many.

        With `within_s` they are spread evenly over so long. A batch that the broker does not take is sent again for
        `patience_s`, as a sender repeats what was not acknowledged.
        """
        records = [ingest_record(arrival) for arrival in arrivals]
        outbox = Outbox(self.kafka, client_id="test-gateway", answer_s=30.0)
        await outbox.start()
        began = time.monotonic()
        try:
            for at in range(0, len(records), batch):
                await self.send_with(outbox, records[at : at + batch], patience_s)
                due = began + within_s * (at + batch) / len(records)
                await asyncio.sleep(max(due - time.monotonic(), 0.0))
            self.sent += len(records)
            return len(records)
        finally:
            await outbox.stop()

    async def send_with(self, outbox: Outbox, records: Sequence[Record], patience_s: float) -> None:
        """Send records; what the broker does not take is sent again for `patience_s`."""
        deadline = time.monotonic() + patience_s
        while True:
            try:
                await outbox.send(records)
            except NotSentError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(LOOK_S)
            else:
                return

    async def put(self, records: Sequence[Record]) -> list[tuple[int, int]]:
        """Write records; give where each lies."""
        outbox = Outbox(self.kafka, client_id="test-writer")
        await outbox.start()
        try:
            return await outbox.send(records)
        finally:
            await outbox.stop()

    def watermark(self, stage: str, partition: int) -> int:
        """Give the last record of a partition whose effect is in Redis; -1 where none."""
        with connect(self.redis) as client:
            found = client.hget(f"{self.redis.prefix}:{{{stage}-{partition}}}:meta", "watermark")
            return -1 if found is None else int(found)

    def epoch(self, stage: str, partition: int) -> int:
        """Give the epoch under which a partition was taken last; 0 where nobody has."""
        with connect(self.redis) as client:
            return int(client.hget(f"{self.redis.prefix}:{{{stage}-{partition}}}:meta", "epoch") or 0)

    def parsed(self, topic: str, partition: int) -> int:
        """Give the last record of an ingest partition that is through [parse]."""
        with connect(self.redis) as client:
            found = client.hget(f"{self.redis.prefix}:{{parse}}:p:{topic}/{partition}", "watermark")
            return -1 if found is None else int(found)

    def decided(self, partition: int) -> int:
        """Give the newest decision that a partition of events.v1 has applied; 0 where none."""
        with connect(self.redis) as client:
            state = client.get(f"{self.redis.prefix}:{{patient-{partition}}}:s:{CONTROL_KEY}")
            return 0 if state is None else read_control(state).sequence

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
        calm = [0]
        lag: dict[str, int] = {}

        async def drained() -> bool:
            try:
                lag.update(await self.behind())
            except (RedisConnectionError, UnreachableError):
                return False  # one of them is away, full, or too busy to answer, at this moment
            calm[0] = 0 if any(lag.values()) else calm[0] + 1
            return calm[0] == 2

        await self.until(drained, timeout_s, lambda: f"not drained: {lag}")

    async def accepted(self) -> list[tuple[str, bytes, bool]]:
        """Give (id, content, whether a fold passed it on) of every record of a patient on `events.v1`."""
        found = []
        async for record in read_topic(self.kafka, "events.v1"):
            try:
                envelope = decode_envelope(record.value or b"")
            except UndecodableEnvelopeError:
                continue  # a letter says so
            if envelope.patient and record.partition == partition_for(envelope.patient.encode(), self.kafka.partitions):
                found.append((envelope.envelope_id, record.value or b"", is_passed_on(envelope)))
        return found


def ingest_record(arrival: Arrival) -> Record:
    """Give the record that a gateway writes of a message."""
    topic = "hl7v2.ingest.v1" if arrival.format == "hl7v2" else "fhir.ingest.v1"
    feed = getattr(arrival.decoded, "feed", "") or "feed"
    return Record(topic, feed.encode(), arrival.data, (("ws_received", str(arrival.received_time).encode()),))


def hospital(beds: int, hours: float, seed: int = 7, *, recent: bool = False) -> list[Arrival]:
    """Give a simulated hospital's messages: of a fixed past, or `recent`, ending about now.

    What workers enter themselves (their release, when they start) has the present's time: beside a past of months ago
    it ends every alert that was open, and has the wards forget what nobody spoke of for so long.
    """
    start = (int(time.time()) - int(hours * 3600)) * 1000 if recent else START_TIME
    return list(arrivals_of(hospital_stream(seed=seed, beds=beds, hours=hours, start_time=start), Settings()))


def expected_ids(arrivals: Sequence[Arrival]) -> set[str]:
    """Give the envelope ids that the messages must come to: ids follow from content alone."""
    parser = Parser(IdentityMap(Pseudonyms()), RecentMessages())
    found = set()
    for arrival in arrivals:
        parsed, _ = parser.step(arrival.decoded, arrival.received_time or 0, arrival.position)
        if isinstance(parsed, Envelope):
            found.update(told.envelope_id for told in spread(parsed))
    return found
