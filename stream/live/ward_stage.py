"""[ward]: the fold of one partition of `candidates.v1`, and the delivery gate that stands in it.

Owns the order of a partition's steps and where the gate's positions are kept: in the partition's states, fenced, before
anything goes out under them; then on `gates.v1`, for replay. Must not know Faust or Kafka's clients, nor decide
anything: whether the gate is closed is what people decided (`stream.live.decisions`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from alerts.gate import GateChange, GatePositions, encode_change
from alerts.ward import CandidateError, UnreadableWardStateError, WardFold, WardOutput
from connectors.kafka.record import Record
from connectors.kafka.topics import ALERT_STATES, ALERTS, CANDIDATES, GATES, topic_headers
from events import Millis, content_id
from features.store import Entry, PartitionStore
from stream.live.decisions import Decisions
from stream.live.letters import unreadable_record
from stream.live.stage import LogItem, LogRange, first_offset, following, holds, lost_records

GATE_KEY = "~gate"


class WardPartition:
    """One partition of [ward]; see `stream.live.stage.StagePartition`."""

    def __init__(
        self,
        partition: int,
        store: PartitionStore,
        decisions: Decisions,
        recorded: Callable[[int], Sequence[GateChange]] = lambda _partition: (),
        newest_told: Callable[[WardPartition], int] = lambda _partition: -1,
    ) -> None:
        """`recorded` gives the changes that `gates.v1` holds of a partition now: the store may have lost them.

        `newest_told` gives the offset of the newest candidate of the partition that is on `alerts.v1`, and sees to it
        that no former owner tells another; -1 where there is none. It may raise a `StoreFault`.
        """
        self.folded = -1
        self.problems: tuple[str, ...] = ()
        self.number = partition
        self._store = store
        self._decisions = decisions
        self._recorded = recorded
        self._newest_told = newest_told
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
        known = {(change.position, change.sequence): change for change in (*kept, *self._recorded(self.number))}
        self._gate = GatePositions(self.number, tuple(known.values()))
        self._unpublished = list(kept)  # Published anew: the ids are the same, and one may not have got there.
        self.folded, self._start, self._at = watermark, start, start - 1
        self._entries, self._unrecorded, self._told_through = None, False, None
        return start

    def still_ours(self) -> bool:
        """Ask the store."""
        return holds(self._store, GATE_KEY)

    def work(self, batch: Sequence[LogItem]) -> list[Record]:
        """Fold a batch, under the gate as it stands at each record."""
        fresh = list(following(batch, self._at, self._start, self._named))
        if fresh:
            self._move_gate()
        records = [_gate_record(change) for change in self._unpublished]
        for item in fresh:
            self._at = item.offset
            self._fold.gate(self._gate.closed_at(item.offset))
            try:
                outputs = self._fold.take((item.key or b"").decode("utf-8", "replace"), item.value or b"")
            except CandidateError as fault:
                records.append(unreadable_record(CANDIDATES, self.number, item, fault.reason))
            else:
                for output in outputs:
                    records.extend(self._records_of(output, item.offset))
        return records

    def _move_gate(self) -> None:
        """Let the gate follow what people decided, from the next record on; recorded before anything goes out.

        Past what a former owner may have told and not noted: one event has one content, also where work is repeated.
        """
        closed = self._decisions.kill_switch
        if closed != self._gate.closed:
            if self._told_through is None:
                self._told_through = self._newest_told(self)
            position = max(self._at, self._told_through) + 1
            change = self._gate.change(position, closed=closed, sequence=self._decisions.kill_switch_sequence)
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

    def idle(self, now: Millis) -> list[Record]:  # noqa: ARG002 - a stage's signature
        """Nothing enters `candidates.v1` by itself."""
        return []

    def _records_of(self, output: WardOutput, offset: int) -> list[Record]:
        records = []
        event_id, at = output.event_id, output.received_time
        if output.alert is not None:
            # `candidateoffset` says which record of candidates.v1 it came of; the partition is the same.
            headers = topic_headers(ALERTS, event_id, self._source, at, wardseq=output.ward_seq, candidateoffset=offset)
            records.append(Record(ALERTS, output.ward.encode(), output.alert, headers))
        headers = topic_headers(ALERT_STATES, event_id, self._source, at)
        records.append(Record(ALERT_STATES, output.state_key.encode(), output.state, headers))
        return records


def _gate_record(change: GateChange) -> Record:
    name = content_id("gate", str(change.partition), str(change.position), str(change.closed))
    headers = topic_headers(GATES, name, f"/wardstream/{CANDIDATES}/{change.partition}", 0)
    return Record(GATES, str(change.partition).encode(), encode_change(change), headers)
