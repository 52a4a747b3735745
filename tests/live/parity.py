"""Parity: one pre-recorded `events.v1`, and what the embedded fold says of it; for runs of any host to be held against.

`hospital_log` makes the log of a simulated hospital by the pure parse step: admissions, transfers, charts, corrections,
merges across partitions, with a release at the head of each partition and everything that the folds pass on already in
its place, so that no run of it adds a record while its `now` is the log's `end_time`. `write_log` puts it on a broker,
`embedded_outputs` folds it.
`HandHost` is the live service's own stages, worked by hand in one process: a live run without Faust.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from connectors.kafka.admin import declare
from connectors.kafka.outbox import Outbox
from connectors.kafka.partitioning import partition_for
from connectors.kafka.reading import log_range, read_topic
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import CANDIDATES, EVENTS
from events import Envelope, Millis, content_id, encode_envelope
from features.store import MemoryStateStore, PartitionStore
from models.version import ModelVersion
from stream.control import Control
from stream.decisions import Decisions, encode_decision
from stream.effects import Effect, Forward, effect_id, effect_kind, encode_effect
from stream.fold import TICK_MS, tick
from stream.identity import IdentityMap, Pseudonyms
from stream.live.patient_stage import PatientPartition, PatientSettings
from stream.live.stage import LogItem, LogRange, StagePartition
from stream.live.ward_stage import WardPartition
from stream.output_set import OutputSet
from stream.parse import Parser, RecentMessages, spread
from stream.partition_fold import PartitionFold
from stream.release import Release, changes
from stream.settings import Settings
from stream.simulation import arrivals_of, hospital_stream

BEDS = 40
HOURS = 60.0
"""Long enough for discharges, corrections and merges over two partitions."""
SEED = 5
BATCH = 500


class PreRecorded(msgspec.Struct, frozen=True):
    """A log of `events.v1`: of each partition the records, in order; its release; and the time it ends at."""

    partitions: list[list[Envelope]]
    release: Release
    end_time: Millis

    @property
    def records(self) -> int:
        """How many there are."""
        return sum(map(len, self.partitions))


class _Folding:
    """A log being made: what a fold passes on is appended where it belongs, as the live host does."""

    def __init__(self, partitions: int, versions: Mapping[str, ModelVersion]) -> None:
        self.logs: list[list[Envelope]] = [[] for _ in range(partitions)]
        self._folds = [PartitionFold(number, partitions, versions) for number in range(partitions)]

    def append(self, partition: int, envelope: Envelope) -> None:
        waiting = [(partition, envelope)]
        while waiting:
            place, record = waiting.pop(0)
            fold = self._folds[place]
            read = fold.read(encode_envelope(record))
            if read is None:
                continue
            self.logs[place].append(record)
            for effect in fold.fold(read):
                if type(effect) is Forward:
                    passed = effect.envelope
                    waiting.append((partition_for(passed.patient.encode(), len(self.logs)), passed))


def hospital_log(
    partitions: int,
    *,
    seed: int = SEED,
    beds: int = BEDS,
    hours: float = HOURS,
    version: str = "",
    enabled: bool = False,
    versions: Mapping[str, ModelVersion] | None = None,
    code_version: str = "parity",
    settings: Settings | None = None,
) -> PreRecorded:
    """Make the log of a simulated hospital; the same arguments give the same log."""
    release = Release(settings or Settings(), code_version, version, enabled)
    folding = _Folding(partitions, versions or {})
    parser = Parser(IdentityMap(Pseudonyms()), RecentMessages())
    clock: Millis = 0
    head: list[Envelope] = []
    for arrival in arrivals_of(hospital_stream(seed=seed, beds=beds, hours=hours), release.settings):
        clock = max(clock, arrival.received_time or 0)
        if not head:
            head = _head(release, clock)
            for number in range(partitions):
                for envelope in head:
                    folding.append(number, envelope)
        parsed, _known = parser.step(arrival.decoded, clock, arrival.position)
        if isinstance(parsed, Envelope):
            for told in spread(parsed):
                folding.append(partition_for(told.patient.encode(), partitions), told)
    end = -(-clock // TICK_MS) * TICK_MS
    for number in range(partitions):
        folding.append(number, tick(end))
    return PreRecorded(folding.logs, release, end)


def _head(release: Release, at: Millis) -> list[Envelope]:
    return [
        Envelope(content_id("control", repr(event)), "", at, at, (event,), message_id="control")
        for event in changes(release, Control({}), at)
    ]


def embedded_outputs(log: PreRecorded, versions: Mapping[str, ModelVersion] | None = None) -> OutputSet:
    """Fold each partition by itself; give all scores, suppressed and alerts (the gate is open).

    What a ward is told is the candidate as it came, so with an open gate the alerts are the candidates.
    """
    return fold_outputs([[encode_envelope(envelope) for envelope in part] for part in log.partitions], versions or {})


def fold_outputs(values: Sequence[Sequence[bytes]], versions: Mapping[str, ModelVersion]) -> OutputSet:
    """Fold the records of partitions; give scores, suppressed and alerts."""
    outputs = OutputSet()
    for number, part in enumerate(values):
        fold = PartitionFold(number, len(values), versions)
        for value in part:
            envelope = fold.read(value)
            for effect in [] if envelope is None else fold.fold(envelope):
                add_effect(outputs, effect)
    return outputs


def add_effect(outputs: OutputSet, effect: Effect) -> None:
    """Take an effect into a set, where it is one that parity is about."""
    kind = effect_kind(effect)
    if kind in ("scores", "suppressed", "signals", "alerts"):
        outputs.add(kind, effect_id(effect), encode_effect(effect))


async def write_log(settings: KafkaSettings, log: PreRecorded, password: str = "") -> None:
    """Declare the topics and write a log to `events.v1`, each record to its partition."""
    await declare(settings, password)
    outbox = Outbox(settings, client_id="parity", password=password)
    await outbox.start()
    try:
        for number, part in enumerate(log.partitions):
            records = [
                Record(EVENTS, envelope.patient.encode(), encode_envelope(envelope), (), number) for envelope in part
            ]
            for at in range(0, len(records), BATCH):
                await outbox.send(records[at : at + BATCH])
    finally:
        await outbox.stop()


class HandHost:
    """The live service's [patient] and [ward], worked by hand over a real broker until nothing is left to fold.

    `make_store` gives the store of a stage's partition. `decide` is what an operator does; it enters the partitions
    with the next `run`. `now` stands still at `end_time`: no tick of the present falls into a log of the past.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        log: PreRecorded,
        versions: Mapping[str, ModelVersion] | None = None,
        make_store: Callable[[str, int], PartitionStore] = lambda _stage, _partition: MemoryStateStore(),
        password: str = "",
    ) -> None:
        self.decisions = Decisions()
        self.now = log.end_time
        self._settings = settings
        self._password = password
        stage = PatientSettings(settings.partitions, log.release.code_version)
        self._patients: list[Any] = [
            PatientPartition(
                number,
                make_store("patient", number),
                stage,
                versions=versions or {},
                decisions=self.decisions,
                now=lambda: self.now,
                journal="parity",
            )
            for number in range(settings.partitions)
        ]
        self._wards: list[Any] = [
            WardPartition(number, make_store("ward", number), self.decisions) for number in range(settings.partitions)
        ]
        self._at: dict[tuple[str, int], int] = {}

    def decide(self, decision: Any) -> None:
        """Let somebody decide something."""
        self.decisions.take(self.decisions.newest, encode_decision(decision), self.now)

    async def run(self, *, wards: bool = True) -> None:
        """Fold what there is; what is passed on is folded too."""
        outbox = Outbox(self._settings, client_id="hand-host", password=self._password)
        await outbox.start()
        try:
            while await self._sweep(outbox, EVENTS, self._patients):
                pass
            while wards and await self._sweep(outbox, CANDIDATES, self._wards):
                pass
        finally:
            await outbox.stop()

    async def _sweep(self, outbox: Outbox, topic: str, partitions: list[StagePartition]) -> int:
        worked = 0
        ends = await log_range(self._settings, topic, password=self._password)
        for number, partition in enumerate(partitions):
            begin, end = ends[number]
            place = (topic, number)
            if place not in self._at:
                self._at[place] = await asyncio.to_thread(partition.open, LogRange(begin, end))
            entered = partition.idle(self.now)
            await outbox.send(entered)
            worked += len(entered)
            batch: list[LogItem] = []
            since = {number: self._at[place]}
            async for record in read_topic(
                self._settings, topic, password=self._password, partitions=(number,), since=since, until={number: end}
            ):
                item = LogItem(record.offset, record.key, record.value, record.headers, record.record_time)
                batch.append(item)
                if len(batch) == BATCH:
                    worked += await self._work(outbox, place, partition, batch)
                    batch = []
            if batch:
                worked += await self._work(outbox, place, partition, batch)
        return worked

    async def _work(
        self, outbox: Outbox, place: tuple[str, int], partition: StagePartition, batch: list[LogItem]
    ) -> int:
        await outbox.send(await asyncio.to_thread(partition.work, batch))
        await asyncio.to_thread(partition.commit)
        self._at[place] = batch[-1].offset + 1
        return len(batch)
