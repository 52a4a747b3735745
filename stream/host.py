"""The embedded host: one process that takes messages in, makes them durable, folds them and carries the effects out.

Owns the order of the steps that makes a crash harmless: append (then acknowledge), fold, store outputs, store states
with the watermark. Must not know how anything is decided: that is the pipeline's. See docs/architecture.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from alerts.monitoring import monitor_keys
from connectors.decoded import Decoded, Refusal
from connectors.hl7v2.tolerated import tolerated_type
from connectors.sources.arrival import Arrival
from connectors.sqlite.journal import Batch, DeadLetterRow, LogRecord
from events import Envelope, Millis, content_id
from features.store import StateStore
from models.version import ModelVersion
from stream.control import Control, ForeignStateError
from stream.effects import Effect, Forward
from stream.embedded_wards import WARDS_KEY, EmbeddedWards, ward_keys
from stream.fold import CONTROL_KEY, TICK_MS, fold_record, tick, tick_is_due
from stream.parse import DeadLetter, Parsed, Parser, apart
from stream.pipeline import Pipeline
from stream.records import LIVE_RECORDS_MAX, RecordShelf
from stream.release import Release, changes
from stream.scoring import Learner

CHECKPOINT_RECORDS = 5_000
"""Records folded between two stored states: at most this much work is repeated, byte for byte, after a crash, in about
two seconds. Encoding every changed state is nearly half of what a fold costs at 500, and noise at 5,000."""
CARRY_OUT_RECORDS = 500
"""Records folded before their effects are carried out: bounds what is in memory while a long log is folded."""


class Journal(Protocol):
    """The log, as the host uses it."""

    def append(self, batch: Batch) -> int:
        """Store a batch, durable on return; give the end offset."""
        ...

    @property
    def name(self) -> str:
        """The journal's own name, by which stored states know it."""
        ...

    def end(self) -> int:
        """Give the offset of the last record."""
        ...

    def read(self, after: int = 0) -> Iterator[tuple[int, Envelope]]:
        """Give the records after an offset, in order."""
        ...

    def counts(self) -> dict[str, int]:
        """Give the message counts."""
        ...


CarryOut = Callable[[Sequence[Effect], Sequence[int]], None]
"""Takes effects, and of each the record of the log that it came of."""


class EmbeddedHost:
    """The folds of all patients, over one journal and one store.

    Two threads may use it. One stores: `accept`, `append`, `let_time_pass`. One folds: `fold`, `checkpoint`, and
    whatever reads `shelf` and `pipeline`. They share nothing but the journal, whose reader sees only what is on the
    disk: the fold is never ahead of what is durable.
    """

    def __init__(
        self,
        journal: Journal,
        store: StateStore,
        parser: Parser,
        *,
        versions: Mapping[str, ModelVersion],
        carry_out: CarryOut,
        refuse: Callable[[DeadLetter, bytes | None], None] = lambda _letter, _data: None,
        learner: Learner | None = None,
        live_records_max: int = LIVE_RECORDS_MAX,
        durable: bool = True,
    ) -> None:
        """Open: restore the states, then fold what the log has beyond them. Not `durable`: states are never stored.

        Raises one of `stream.states.UNUSABLE_STATES` where the stored states cannot be used; the log can.
        """
        self._journal = journal
        self._store = store
        self._parser = parser
        self._carry_out = carry_out
        self._refuse = refuse
        self._epoch = store.acquire_epoch()
        self._durable = durable
        control = Control(versions, journal.name)
        stored = store.load([CONTROL_KEY, WARDS_KEY, *ward_keys(store.keys()), *monitor_keys()])
        if CONTROL_KEY in stored:
            control.restore(stored[CONTROL_KEY])
        elif store.watermark() > 0:
            raise ForeignStateError("the states have no control state")
        self.shelf = RecordShelf(store, control.catalogue, live_records_max)
        self.pipeline = Pipeline(self.shelf, control, learner)
        self._wards = EmbeddedWards(control, self.pipeline.tally)
        self._wards.restore(stored)
        self.pipeline.monitor.restore(stored)
        self.folded = self._stored = max(store.watermark(), 0)
        """The last record folded."""
        self._pending: list[Effect] = []
        """Folded and not yet carried out: kept until that has succeeded, for what is not said must not be forgotten."""
        self._pending_of: list[int] = []
        """Of each pending effect, the record it came of."""
        self.fold()
        self._arrival_clock: Millis = control.clock
        """The storing thread's own: the running maximum of the received times of what is in the log."""
        self.end = journal.end()
        """The last record stored."""

    @property
    def lag(self) -> int:
        """How many records are stored and not folded; cheap, and for any thread."""
        return max(self.end - self.folded, 0)

    def release(self, release: Release, at: Millis) -> None:
        """Enter a release into the log: code version, configuration and promotion, each only where it changes.

        Raises `ConfigurationError` where the settings cannot be put into force; nothing is entered then.
        """
        events = changes(release, self.pipeline.control, at)
        self.enter(
            [
                Envelope(content_id("control", repr(event)), "", at, at, (event,), message_id="control")
                for event in events
            ]
        )

    # -- the storing thread -----------------------------------------------------------------------------------------

    def append(self, envelopes: Sequence[Envelope]) -> None:
        """Append records that are events already (control events, a recorded log); durable on return, not folded."""
        if not envelopes:
            return
        self.append_records([LogRecord(envelope) for envelope in envelopes])

    def append_records(self, records: Sequence[LogRecord]) -> None:
        """Append what is ready to be appended; durable on return, not folded."""
        self.end = self._journal.append(Batch(records))
        self._arrival_clock = max(self._arrival_clock, *(record.envelope.received_time for record in records))

    @property
    def arrival_clock(self) -> Millis:
        """The log's clock: nothing is appended as of an earlier time."""
        return self._arrival_clock

    def let_time_pass(self, at: Millis, *, behind: bool = False) -> bool:
        """Append a tick where the log's clock is before `at`, so that timers fire in a silence; not folded here."""
        if at <= self._arrival_clock:
            return False
        self.append([tick(at, behind=behind)])
        return True

    def accept(
        self, arrivals: Sequence[Arrival], forgettable: Sequence[str] = (), forget_before: Millis = 0
    ) -> list[Parsed]:
        """Account for a batch of messages; durable on return, so that the sender may be told. Folds nothing.

        What cannot be stored leaves nothing behind: neither in the journal nor in what is known of identities.
        `forgettable` patients are let go of in the same step, unless they were named since `forget_before`.
        """
        batch = _Intake(self._arrival_clock)
        try:
            gone = self._parser.forget_identities(forgettable, forget_before)
            for arrival in arrivals:
                self._account(arrival, batch)
            links, former = self._parser.take_identities(), self._parser.take_former()
            made = Batch(batch.records, batch.letters, links, batch.counts, gone, former)
            self.end = self._journal.append(made)
        except BaseException:
            self._parser.undo()
            raise
        self._parser.settle()
        self._arrival_clock = batch.clock
        return batch.outcome

    def _account(self, arrival: Arrival, batch: _Intake) -> None:
        """Put one message into one of the three counts, and into the batch."""
        received = max(batch.clock, arrival.received_time or 0)
        counts = batch.counts
        (decoded, position), *others = apart(arrival.decoded, arrival.position)
        parsed, known = self._parser.step(decoded, received, position)
        batch.outcome.append(parsed)
        parts = decoded.parts if type(decoded) is Decoded else 1
        counts["messages"] += parts
        counts["duplicates"] += known
        if type(parsed) is Envelope:
            assert type(decoded) is Decoded
            # Only what is in the log moves the clock, so that it stands where it stood after a restart.
            batch.clock = received
            hashes = decoded.part_hashes or (decoded.content_hash,)
            batch.records.append(LogRecord(parsed, hashes, arrival.data))
            batch.records.extend(self._records_of_others(others, received, arrival.data))
            counts["accepted"] += parts - known
            if not parsed.events and (passed := tolerated_type(decoded)):
                counts[f"tolerated:{passed}"] = counts.get(f"tolerated:{passed}", 0) + 1
        elif type(parsed) is DeadLetter:
            batch.letters.append(DeadLetterRow(received, msgspec.json.encode(parsed), arrival.data))
            self._refuse(parsed, arrival.data)
            counts["dead_letters"] += parts
            reason = f"dead_letters:{parsed.reason}"
            counts[reason] = counts.get(reason, 0) + parts

    def _records_of_others(
        self, others: Sequence[tuple[Decoded | Refusal, str]], received: Millis, message: bytes | None
    ) -> Iterator[LogRecord]:
        """Give the records of what an accepted message says of further patients."""
        for decoded, position in others:
            parsed, _known = self._parser.step(decoded, received, position)
            if type(parsed) is Envelope and type(decoded) is Decoded:
                yield LogRecord(parsed, (decoded.content_hash,), message)

    def enter(self, envelopes: Sequence[Envelope]) -> None:
        """Append records that are events already, and fold them: for a host that one thread uses."""
        self.append(envelopes)
        self.fold()

    # -- the folding thread -----------------------------------------------------------------------------------------

    def fold(self, limit: int | None = None) -> int:
        """Fold the records after the last one folded, at most `limit`; give how many.

        Effects are carried out before this returns. Where that fails, or the states cannot be stored, it raises, and
        the next call does first what is still owed: nothing is skipped, and nothing folded twice.
        """
        folded = 0
        self._carry_out_pending()
        if limit is None or limit > 0:
            for offset, envelope in self._journal.read(self.folded):
                self._put(offset, self._wards.tell(envelope, fold_record(self.pipeline, envelope)))
                folded += 1
                self.folded = offset
                if folded == limit:
                    break
                if folded % CARRY_OUT_RECORDS == 0:
                    self._finish_batch()
        self._finish_batch()
        return folded

    def checkpoint(self) -> None:
        """Store the states with the watermark they stand for; never before their effects are carried out."""
        self._carry_out_pending()
        changes = self.shelf.take_changes()
        heard = self.pipeline.monitor.take_changes()
        told = self._wards.take_changes()
        states = {**changes, **heard, **told, CONTROL_KEY: self.pipeline.control.encode()}
        try:
            self._store.commit(self._epoch, states, self.folded)
        except BaseException:
            self.shelf.put_back(changes)
            self.pipeline.monitor.put_back(heard)
            self._wards.put_back(told)
            raise
        self._stored = self.folded

    def tick_is_due(self, now: Millis) -> bool:
        """Say whether the log needs a tick: a timer's whole minute has come, or room for an alert that waits.

        No record came to say so. For a host that has folded all there is.
        """
        due = self._wards.due()
        return tick_is_due(self.pipeline, now) or (due is not None and max(due, 0) <= now // TICK_MS * TICK_MS)

    def _put(self, offset: int, effects: Sequence[Effect]) -> None:
        # A live run's own log holds what its folds passed on: made anew it is dropped. Our own parse has none.
        effects = [effect for effect in effects if type(effect) is not Forward]
        self._pending.extend(effects)
        self._pending_of.extend([offset] * len(effects))

    def _carry_out_pending(self) -> None:
        if self._pending:
            self._carry_out(self._pending, self._pending_of)
            self._pending, self._pending_of = [], []

    def _finish_batch(self) -> None:
        """Carry effects out first, store states second: a crash in between repeats effects under the same ids."""
        self._carry_out_pending()
        if self._durable and self.folded - self._stored >= CHECKPOINT_RECORDS:
            self.checkpoint()


class _Intake:
    """Messages being accounted for, before they are stored."""

    __slots__ = ("clock", "counts", "letters", "outcome", "records")

    def __init__(self, clock: Millis) -> None:
        self.clock = clock
        self.records: list[LogRecord] = []
        self.letters: list[DeadLetterRow] = []
        self.outcome: list[Parsed] = []
        self.counts = {"messages": 0, "accepted": 0, "dead_letters": 0, "duplicates": 0}
