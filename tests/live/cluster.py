"""A live installation for tests: real workers as processes of their own, on the run's broker and Redis.

What a test does to it (kill, freeze, restart) it does to processes; what it asks of it, it asks of Kafka and Redis.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from connectors.hospital.hospital import START_TIME
from connectors.kafka.admin import declare
from connectors.kafka.faults import NotSentError, UnreachableError
from connectors.kafka.outbox import Outbox
from connectors.kafka.partitioning import partition_for
from connectors.kafka.reading import log_range, read_topic
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import ALERT_STATES, ALERTS
from connectors.redis.connection import RedisConnectionError, connect
from connectors.redis.settings import RedisSettings
from connectors.sources.arrival import Arrival
from events import Envelope, decode_envelope
from events.encoding import UndecodableEnvelopeError
from stream.control import read_control
from stream.fold import CONTROL_KEY
from stream.identity import IdentityMap, Pseudonyms
from stream.live.holes import open_transactions
from stream.parse import Parser, RecentMessages, spread
from stream.partition_fold import is_passed_on
from stream.settings import Settings
from stream.simulation import arrivals_of, hospital_stream
from tests.live.processes import LOOK_S, Processes

SESSION_TIMEOUT_S = 6.0
"""The shortest that a broker takes by default: a frozen worker's partitions go to others soon."""
DRAIN_S = 120.0
BATCH = 200
IN_TRANSACTIONS = (ALERTS, ALERT_STATES)


class Cluster(Processes):
    """Workers over one prefix of Kafka and of Redis. `stop` ends whatever runs."""

    def __init__(
        self, folder: Path, kafka: KafkaSettings, redis: RedisSettings, *, build: str = "", live: str = ""
    ) -> None:
        super().__init__(folder, folder / "wardstream.toml", kafka.prefix, build)
        self.kafka = kafka
        self.redis = redis
        self.sent = 0
        """Messages written to the ingest topics."""
        self._write_config(live)

    def _write_config(self, live: str) -> None:
        self.config.write_text(
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
{live}
""",
            encoding="utf-8",
        )

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
                behind = await self.behind()
                # A commit is answered before each partition has its marker, and until then its records are not read.
                unread = [] if any(behind.values()) else await open_transactions(self.kafka, "", IN_TRANSACTIONS)
                lag.update(behind, commits=len(unread))
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
