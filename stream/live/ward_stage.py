"""[ward]: the fold of one partition of `candidates.v1`, with the delivery gate and the ward settings that stand in it.

Owns the order of a partition's steps, where the positions of gate and settings are kept (in the partition's states,
fenced, before anything goes out under them; then on `gates.v1`, for replay), the tick that is entered where something
waits, and each minute's beat with the heartbeat that answers it. Must not know Faust or Kafka's clients, nor decide
anything: gate and settings are what people decided (`stream.decisions`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from alerts.gate import GateChange, GatePositions, encode_change
from alerts.monitoring import encode_signal
from alerts.ward import CandidateError, UnreadableWardStateError, WardCounts, WardFold, WardOutput
from alerts.ward_beat import heartbeats, name_beat, read_beat, write_beat
from alerts.ward_records import name_tick, write_tick
from alerts.ward_settings import WardSettings, subscribers_of
from connectors.kafka.headers import cloud_headers
from connectors.kafka.record import Record
from connectors.kafka.topics import ALERT_STATES, ALERTS, CANDIDATES, GATES, SIGNALS, topic_headers
from events import Millis, content_id
from features.store import Entry, PartitionStore
from stream.decisions import Decisions
from stream.fold import TICK_MS
from stream.live.decided_wards import DecidedWards
from stream.live.letters import unreadable_record
from stream.live.stage import OWED_MS, LogItem, LogRange, first_offset, following, holds, lost_records
from stream.partition_fold import believed_until

GATE_KEY = "~gate"
TICK_TYPE = "wardstream.ward_tick.v1"
"""The CloudEvents type of a tick on `candidates.v1`: it is no alert event."""
BEAT_TYPE = "wardstream.ward_beat.v1"
"""Likewise of a beat."""


class WardPartition:
    """One partition of [ward]; see `stream.live.stage.StagePartition`."""

    def __init__(
        self,
        partition: int,
        store: PartitionStore,
        decisions: Decisions,
        recorded: Callable[[int], Sequence[GateChange]] = lambda _partition: (),
        newest_told: Callable[[WardPartition], int] = lambda _partition: -1,
        *,
        open_way: Callable[[WardPartition], object] = lambda _partition: None,
        ticks: bool = True,
    ) -> None:
        """`recorded` gives the changes that `gates.v1` holds of a partition now: the store may have lost them.

        `newest_told` gives the offset of the newest candidate of the partition that is on `alerts.v1`, and sees to it
        that no former owner tells another; -1 where there is none. `open_way` opens what the partition's alerts go out
        by, which may take seconds. Both may raise a `StoreFault` or a `NotSentError`. `ticks`: whether time passes
        where nothing comes.
        """
        self.folded = -1
        self.problems: tuple[str, ...] = ()
        self.number = partition
        self._store = store
        self._decisions = decisions
        self._decided = DecidedWards(decisions)
        self._ticks = ticks
        self._recorded = recorded
        self._newest_told = newest_told
        self._open_way = open_way
        self._is_open = False
        self._told_through: int | None = None
        """The newest candidate that may be told already, by us or a former owner; None until it is asked for."""
        self._named = f"{CANDIDATES}/{partition}"
        self._source = f"/wardstream/{self._named}"
        self.epoch = 0
        self._start = 0
        self._at = -1
        self._entries: dict[str, Entry | None] | None = None
        self._unpublished: list[GateChange] = []
        self._unrecorded = False
        self._settings: WardSettings | None = None
        """In force for the record at hand."""
        self._ticked: Millis = 0
        """When a tick was entered last, by the clock of whoever asks."""
        self._beat: Millis | None = None
        """The beat that was entered last,"""
        self._beaten: Millis = 0
        """when,"""
        self._beat_back = False
        """and whether it has come back as a record of the log."""
        self.counts: Counter[str] = Counter()
        """What was done here and is stored (`alerts.ward.WardCounts`), for metrics."""
        self.signals: Counter[tuple[str, str]] = Counter()
        """What was said here, by kind and state; again where work is repeated."""

    def open(self, log: LogRange) -> int:
        """Take the partition and read the states of then."""
        store = self._store
        self.epoch = store.acquire_epoch()
        watermark = store.watermark()
        start = first_offset(watermark, log)
        lost = lost_records(watermark, log)
        self.problems = (f"{self._named}: {lost}",) if lost else ()
        stored = dict(store.items())
        self._fold = WardFold()
        try:
            self._fold.restore(stored.items())
        except UnreadableWardStateError:
            store.clear(self.epoch)
            return self.open(log)
        kept = GatePositions.decode(self.number, stored.get(GATE_KEY)).changes
        known = dict.fromkeys((*kept, *self._recorded(self.number)))
        self._gate = GatePositions(self.number, tuple(known))
        self._unpublished = list(kept)  # Published anew: the ids are the same, and one may not have got there.
        self.folded, self._start, self._at = watermark, start, start - 1
        self._entries, self._unrecorded, self._told_through = None, False, None
        self._is_open = False
        self._ticked, self._beat = 0, None
        self._stand(start)
        return start

    def still_ours(self) -> bool:
        """Ask the store."""
        return holds(self._store, GATE_KEY)

    def work(self, batch: Sequence[LogItem]) -> list[Record]:
        """Fold a batch, under the gate as it stands at each record."""
        fresh = list(following(batch, self._at, self._start, self._named))
        if fresh and not self._is_open:
            # First: what is computed and waits for that would be told however long people have since decided otherwise.
            self._open_way(self)
            self._is_open = True
        if fresh:
            self._move_gate()
        records = [_gate_record(change) for change in self._unpublished]
        for item in fresh:
            self._at = item.offset
            self._stand(item.offset)
            beat = None if item.key else read_beat(item.value or b"")
            if beat is not None:
                records.extend(self._answer(beat))
                continue
            self._fold.believe(believed_until(item.record_time))
            try:
                outputs = self._fold.take((item.key or b"").decode("utf-8", "replace"), item.value or b"")
            except CandidateError as fault:
                records.append(unreadable_record(CANDIDATES, self.number, item, fault.reason))
            else:
                for output in outputs:
                    records.extend(self._records_of(output, item.offset))
        return records

    def _stand(self, offset: int) -> None:
        """Have gate and settings stand in the fold as they did at a record."""
        self._fold.gate(self._gate.closed_at(offset))
        self._settings = self._gate.wards_at(offset)
        self._fold.use(self._settings)

    def _move_gate(self) -> None:
        """Let gate and settings follow what people decided, from the next record on; recorded before anything goes out.

        Past what a former owner may have told and not noted: one event has one content, also where work is repeated.
        """
        closed, wards = self._decided.closed, self._decided.wards
        if closed != self._gate.closed or wards != self._gate.wards:
            if self._told_through is None:
                self._told_through = self._newest_told(self)
            position = max(self._at, self._told_through) + 1
            change = self._gate.change(position, closed=closed, sequence=self._decided.sequence, wards=wards)
            if change is not None:
                self._unpublished.append(change)
                self._unrecorded = True
        if self._unrecorded:
            self._store.commit_entries(self.epoch, {GATE_KEY: Entry(self._gate.encode())}, self.folded)
            self._unrecorded = False

    def commit(self) -> None:
        """Store the states with the watermark."""
        if self._entries is None:
            self._entries = {
                key: None if data is None else Entry(data) for key, data in self._fold.encode_changes().items()
            }
            self._entries[GATE_KEY] = Entry(self._gate.encode())
        self._store.commit_entries(self.epoch, self._entries, self._at)
        self._entries = None
        self._unpublished.clear()
        self.folded = self._at
        done, self._fold.counts = self._fold.counts, WardCounts()
        self.counts.update({name: getattr(done, name) for name in WardCounts.__slots__})

    def idle(self, now: Millis) -> list[Record]:
        """Give what the partition lacks of time: a tick that lets something be told, and the minute's beat."""
        return [*self._lacking_tick(now), *self._lacking_beat(now)] if self._ticks else []

    def _lacking_tick(self, now: Millis) -> list[Record]:
        """Give a tick where something waits and there is room for it by now, and no record came to say so."""
        due = self._fold.due()
        if due is None or self._decided.closed or now - self._ticked < OWED_MS:
            return []
        # Room may also have come by a decision: that is found out as the tick is folded.
        at = now // TICK_MS * TICK_MS
        if at < due and self._decided.wards == self._gate.wards:
            return []
        self._ticked = now
        headers = cloud_headers(name_tick(at), TICK_TYPE, self._source, at)
        return [Record(CANDIDATES, b"", write_tick(at), headers, self.number)]

    def _lacking_beat(self, now: Millis) -> list[Record]:
        """Give the minute's beat, whatever the gate and whether or not anything comes; once more where it is owed."""
        at = now // TICK_MS * TICK_MS
        if at == self._beat and (self._beat_back or now - self._beaten < OWED_MS):
            return []
        self._beat, self._beaten, self._beat_back = at, now, False
        headers = cloud_headers(name_beat(at), BEAT_TYPE, self._source, at)
        return [Record(CANDIDATES, b"", write_beat(at), headers, self.number)]

    def _answer(self, beat: Millis) -> list[Record]:
        """Say which numbers the wards stand at: all that was written here before the beat is told by then."""
        self._beat_back = self._beat_back or beat == self._beat
        said = heartbeats(self.number, beat, self._fold.newest())
        self.signals.update((signal.kind, signal.state) for signal in said)
        return [
            Record(
                SIGNALS,
                signal.subject.encode(),
                encode_signal(signal),
                topic_headers(SIGNALS, signal.signal_id, self._source, signal.received_time),
            )
            for signal in said
        ]

    def _records_of(self, output: WardOutput[bytes], offset: int) -> list[Record]:
        records = []
        event_id, at = output.event_id, output.received_time
        if output.alert is not None:
            # `candidateoffset` says which record of candidates.v1 it came of; the partition is the same.
            heard = ",".join(subscribers_of(output.ward, self._settings or _NOTHING_DECIDED))
            headers = topic_headers(
                ALERTS, event_id, self._source, at, wardseq=output.ward_seq, candidateoffset=offset, subscribers=heard
            )
            records.append(Record(ALERTS, output.ward.encode(), output.alert, headers))
        headers = topic_headers(ALERT_STATES, event_id, self._source, at)
        records.append(Record(ALERT_STATES, output.state_key.encode(), output.state, headers))
        return records


_NOTHING_DECIDED = WardSettings()


def _gate_record(change: GateChange) -> Record:
    wards = () if change.wards is None else (change.wards,)
    name = content_id("gate", str(change.partition), str(change.position), str(change.closed), *wards)
    headers = topic_headers(GATES, name, f"/wardstream/{CANDIDATES}/{change.partition}", 0)
    return Record(GATES, str(change.partition).encode(), encode_change(change), headers)
