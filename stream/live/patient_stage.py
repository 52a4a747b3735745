"""[patient]: the fold of one partition of `events.v1`, its states in the online feature store.

Owns the order of a partition's steps and what the fold needs beside the pipeline: repeats dropped, records that cannot
be read kept as letters, ticks and decisions entered. Must not know Faust or Kafka's clients, nor decide anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from alerts.monitoring import monitor_keys
from alerts.monitoring.signal import Signal, make_signal
from connectors.kafka.record import Record
from connectors.kafka.topics import EVENTS, topic_headers
from events import CodeVersion, Envelope, Millis, content_id, encode_envelope
from events.encoding import UndecodableEnvelopeError
from features.store import Entry, LostStateError, PartitionStore, StoreFault
from models.version import ModelVersion
from stream.control import DECISIONS, Control, ForeignStateError, read_control
from stream.decisions import Decisions, availability, is_decision
from stream.effects import Effect, Unheeded
from stream.fold import CONTROL_KEY, TICK_MS, fold_record, tick, tick_is_due
from stream.live.examples import ExampleRecorder
from stream.live.letters import unreadable_record
from stream.live.outputs import records_of
from stream.live.shelf import LiveShelf
from stream.live.stage import (
    OWED_MS,
    ForeignLogError,
    HalfFoldedError,
    LogItem,
    LogRange,
    UnusableStateError,
    VersionAwaitedError,
    first_offset,
    following,
    holds,
    lost_records,
)
from stream.partition_fold import UnbelievableTimeError, check_received, read_envelope
from stream.pipeline import Pipeline
from stream.records import LIVE_RECORDS_MAX
from stream.repeats import RecentRecords, chunk_keys

VERSION_AWAITED_S = 30.0
"""How long a partition waits for a version that it had: the tail of models.v1 may be a little behind."""
CLOCKS_APART = (
    "records are refused that were received more than a day after they were written: set the workers' clocks right and "
    "restart them; what was refused is on deadletters.v1"
)

DECISION_REFUSED = "a decision was entered and took no effect (see deadletters.v1): decide it again"


class PatientSettings(msgspec.Struct, frozen=True):
    """What a worker's partitions share."""

    partitions: int
    """Of `events.v1`: a record on another partition than its key's is refused."""
    code_version: str
    learn: bool = True
    """Whether `examples.v1` is written."""
    live_records_max: int = LIVE_RECORDS_MAX
    ticks: bool = True
    """Whether time passes in the log where nothing comes."""


@dataclass(slots=True)
class PatientCounts:
    """What a partition said beside scores and alerts, for metrics; again where work is repeated."""

    unheeded: Counter[str] = field(default_factory=Counter)
    """Limits that changed nothing, by why."""
    signals: Counter[tuple[str, str]] = field(default_factory=Counter)
    """What the monitoring said, by kind and state."""
    acts: Counter[str] = field(default_factory=Counter)
    """What became of what people decided of patients: `stream.acting` names them."""

    def take(self, effects: Iterable[Effect], acts: Counter[str]) -> None:
        """Count what a batch came to; `acts` are taken out."""
        for effect in effects:
            if type(effect) is Unheeded:
                self.unheeded[effect.fault] += 1
            elif type(effect) is Signal:
                self.signals[effect.kind, effect.state] += 1
        self.acts.update(acts)
        acts.clear()


class PatientPartition:
    """One partition of [patient]; see `stream.live.stage.StagePartition`."""

    def __init__(
        self,
        partition: int,
        store: PartitionStore,
        settings: PatientSettings,
        *,
        versions: Mapping[str, ModelVersion],
        decisions: Decisions,
        now: Callable[[], Millis],
        journal: str,
        behind: Callable[[], bool] = lambda: False,
    ) -> None:
        """`behind` says whether records wait before `events.v1`; it may raise a `StoreFault`."""
        self.folded = -1
        self.problems: tuple[str, ...] = ()
        self.number = partition
        self._store = store
        self._settings = settings
        self._versions = versions
        self._decisions = decisions
        self._now = now
        self._journal = journal
        self._behind = behind
        self._named = f"{EVENTS}/{partition}"
        self._source = f"/wardstream/{self._named}"
        self._start = 0
        self._at = -1
        """The last record worked on; `folded` follows when it is committed."""
        self.epoch = 0
        self.decided = 0
        """The newest decision that this partition has applied."""
        self._lacks_since: Millis | None = None
        self._entries: dict[str, Entry | None] | None = None
        """What is to be committed, until it is."""
        self.counts = PatientCounts()
        self._owed: dict[str, Millis] = {}
        """Ids entered into the log and not yet come back, and when that was."""
        self._refused: dict[str, int] = {}
        """Decisions that came back and took no effect, by id: they are told, and not entered again."""
        self._apart: set[bool] = set()
        """Whose records' times were not believed of late: patients' (true), or what workers entered (false)."""
        self._lack = ""
        """What is told of a version that is lacking."""

    # -- steps ------------------------------------------------------------------------------------------------------

    def open(self, log: LogRange) -> int:
        """Take the partition and read the states of then."""
        store = self._store
        self.epoch = store.acquire_epoch()
        watermark = store.watermark()
        start = first_offset(watermark, log)
        lost = lost_records(watermark, log)
        self.problems = (f"{self._named}: {lost}",) if lost else ()
        stored = store.load([CONTROL_KEY, *chunk_keys(), *monitor_keys()])
        control = Control(self._versions, self._journal)
        if CONTROL_KEY in stored:
            try:
                read_control(stored[CONTROL_KEY])
            except ForeignStateError:
                store.clear(self.epoch)
                return self.open(log)
            try:
                control.restore(stored[CONTROL_KEY])
            except ForeignStateError as fault:
                raise ForeignLogError(f"{self._named}: {fault}: [redis] prefix is another installation's") from None
        self._recent = RecentRecords()
        self._recent.restore(stored)
        self._examples = ExampleRecorder(self._source, lambda: control.catalogue) if self._settings.learn else None
        self._shelf = LiveShelf(store, control.catalogue, self._now, self._settings.live_records_max)
        self.pipeline = Pipeline(self._shelf, control, self._examples, self.number)
        self.pipeline.monitor.restore(stored)
        self.folded, self._start, self._at = watermark, start, start - 1
        self._owed.clear()
        self._refused.clear()
        self._apart.clear()
        self._entries, self.decided = None, control.sequence
        return start

    def still_ours(self) -> bool:
        """Ask the store."""
        return holds(self._store, CONTROL_KEY)

    def work(self, batch: Sequence[LogItem]) -> list[Record]:
        """Fold a batch."""
        self._await_version()
        at = self._at
        records: list[Record] = []
        read = list(self._read(batch, records))
        try:
            self._shelf.prefetch(envelope.patient for _, envelope in read if envelope.patient)
        except UnusableStateError as fault:
            raise self._emptied(fault) from None
        except StoreFault:
            self._at = at  # Nothing is folded yet: the batch may be tried again.
            raise
        effects: list[Effect] = []
        try:
            for item, envelope in read:
                if not self._is_believed(item, envelope, records):
                    continue
                if self._recent.add(envelope.envelope_id):
                    minute = self.pipeline.control.clock // TICK_MS
                    effects.extend(fold_record(self.pipeline, envelope))
                    if self.pipeline.control.clock // TICK_MS > minute:
                        effects.append(self._heartbeat())
                if not envelope.patient:
                    self._came_back(envelope)
        except UnusableStateError as fault:
            raise self._emptied(fault) from None
        except StoreFault as fault:
            raise HalfFoldedError(f"{self._named}: {fault}") from fault
        self.counts.take(effects, self.pipeline.tally.acts)
        records.extend(records_of(effects, self._source))
        if self._examples is not None:
            records.extend(self._examples.take_records())
        return records

    def _emptied(self, fault: UnusableStateError) -> LostStateError:
        """Empty a store with a state that is of no use: a process that begins anew folds the log from its beginning."""
        self._store.clear(self.epoch)
        return LostStateError(f"{self._named}: a stored state cannot be used ({fault}): folded anew from the log")

    def commit(self) -> None:
        """Store the states with the watermark."""
        if self._entries is None:
            control = self.pipeline.control
            entries: dict[str, Entry | None] = self._shelf.take_entries()
            for key, chunk in self._recent.take_changes().items():
                entries[key] = None if chunk is None else Entry(chunk)
            for key, chunk in self.pipeline.monitor.take_changes().items():
                entries[key] = None if chunk is None else Entry(chunk)
            entries[CONTROL_KEY] = Entry(control.encode())
            self._entries = entries
        self._store.commit_entries(self.epoch, self._entries, self._at)
        self._entries = None
        self.folded, self.decided = self._at, self.pipeline.control.sequence

    def idle(self, now: Millis) -> list[Record]:
        """Give the tick, the decisions and the code version that the partition lacks."""
        control = self.pipeline.control
        wanted = [each for each in self._lacking(control, now) if each.envelope_id not in self._refused]
        records = []
        names = {envelope.envelope_id for envelope in wanted}
        self._owed = {name: entered for name, entered in self._owed.items() if name in names}
        due = [envelope for envelope in wanted if self._is_due(envelope, now)]
        # Decisions are entered together: of two, one whose first entry failed would come after the other, and the
        # control state ignores what is not above what it has applied.
        anew = any(is_decision(envelope) for envelope in due)
        for envelope in [each for each in wanted if each in due or (anew and is_decision(each))]:
            self._owed[envelope.envelope_id] = now
            headers = topic_headers(EVENTS, envelope.envelope_id, self._source, envelope.received_time)
            records.append(Record(EVENTS, b"", encode_envelope(envelope), headers, self.number))
        return records

    def _came_back(self, envelope: Envelope) -> None:
        """Note what came back of what was entered, and whether a decision took effect: no second entry would help."""
        self._owed.pop(envelope.envelope_id, None)
        if not is_decision(envelope):
            return
        applied = self.pipeline.control.sequence
        decided = max(event.sequence for event in envelope.events if isinstance(event, DECISIONS))
        self._refused[envelope.envelope_id] = decided
        self._refused = {name: sequence for name, sequence in self._refused.items() if sequence > applied}
        self._tell(DECISION_REFUSED, holds=bool(self._refused))

    def _is_due(self, envelope: Envelope, now: Millis) -> bool:
        entered = self._owed.get(envelope.envelope_id)
        return entered is None or now - entered >= OWED_MS

    def _tell(self, text: str, *, holds: bool) -> None:
        """Tell of something while it holds."""
        told = f"{self._named}: {text}"
        others = tuple(problem for problem in self.problems if problem != told)
        self.problems = (*others, told) if holds else others

    # -- parts ------------------------------------------------------------------------------------------------------

    def _await_version(self) -> None:
        """Wait for the version that the log says this partition has; after a while go on without it, loudly."""
        control = self.pipeline.control
        if control.lacks:
            control.reload()
        if not control.lacks:
            self._lacks_since = None
            self._tell(self._lack, holds=False)
            return
        now = self._now()
        self._lacks_since = now if self._lacks_since is None else self._lacks_since
        text = f"{self._named}: version {control.lacks} is not at hand"
        if now - self._lacks_since < VERSION_AWAITED_S * 1000:
            raise VersionAwaitedError(text)
        # NEWS2 must be told. A replay of this stretch has the version and scores otherwise: an alarm, not a detail.
        self._tell(self._lack, holds=False)
        self._lack = f"version {control.lacks} is not at hand: NEWS2 alone is scored; publish it again, or roll back"
        self._tell(self._lack, holds=True)

    # -- reading ------------------------------------------------------------------------------------------------------

    def _read(self, batch: Sequence[LogItem], letters: list[Record]) -> Iterator[tuple[LogItem, Envelope]]:
        for item in following(batch, self._at, self._start, self._named):
            self._at = item.offset
            try:
                envelope = read_envelope(item.value, self.number, self._settings.partitions)
            except UndecodableEnvelopeError as fault:
                letters.append(unreadable_record(EVENTS, self.number, item, str(fault)))
            else:
                yield item, envelope

    def _is_believed(self, item: LogItem, envelope: Envelope, letters: list[Record]) -> bool:
        """Hold a record's received time against the broker's; one that is not believed is kept as a letter, and told.

        It is told until one of its kind is believed again: one mistake is a letter, a wrong clock an alarm. A patient's
        record was received by a gateway, the others by a worker: that one's clock is right says nothing of the other's.
        """
        try:
            check_received(envelope, item.record_time, self.pipeline.control)
        except UnbelievableTimeError as fault:
            letters.append(unreadable_record(EVENTS, self.number, item, str(fault)))
            self._apart.add(bool(envelope.patient))
            self._tell(CLOCKS_APART, holds=True)
            return False
        if self._apart:
            self._apart.discard(bool(envelope.patient))
            self._tell(CLOCKS_APART, holds=bool(self._apart))
        return True

    def _lacking(self, control: Control, now: Millis) -> Iterator[Envelope]:
        if control.code_version != self._settings.code_version:
            event = CodeVersion(now, self._settings.code_version)
            # The minute stands in for the moment: an entry that must be made again is the same record.
            name = content_id("code", self._settings.code_version, str(now // TICK_MS))
            yield Envelope(name, "", now, now, (event,), message_id="control", position=f"after {self.folded}")
        decided = self._decisions.lacking(control.sequence, now)
        yield from availability(control, self._versions, now, decided)
        yield from decided
        at = now // TICK_MS * TICK_MS
        if self._settings.ticks and (at > control.clock or tick_is_due(self.pipeline, now)):
            yield tick(at, behind=self._behind())

    def _heartbeat(self) -> Signal:
        """Say that all that was received up to the partition's minute is folded, and was put out before this."""
        at = self.pipeline.control.clock // TICK_MS * TICK_MS
        return make_signal("heartbeat", f"partition|{self.number}", "alive", 0, at, at, self.number)
