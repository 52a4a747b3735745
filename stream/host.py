"""The embedded host: one process that takes messages in, makes them durable, folds them and carries the effects out.

Owns the order of the steps that makes a crash harmless: append (then acknowledge), fold, store outputs, store states
with the watermark. Must not know how anything is decided: that is the pipeline's. See docs/architecture.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from connectors.decoded import Decoded
from connectors.sources.arrival import Arrival
from connectors.sqlite.journal import DeadLetterRow, LogRecord
from events import (
    MILLIS_PER_MINUTE,
    CodeVersion,
    Configuration,
    Envelope,
    Millis,
    Promotion,
    Tick,
    content_id,
)
from features.catalogue import Catalogue
from features.store import StateStore
from models.version import ModelVersion
from stream.control import Control
from stream.effects import Effect
from stream.parse import DeadLetter, Duplicate, Parsed, Parser
from stream.pipeline import Pipeline
from stream.records import LIVE_RECORDS_MAX, RecordShelf
from stream.scoring import Learner
from stream.settings import Settings, configuration_hash, configuration_text

TICK_MS = MILLIS_PER_MINUTE
"""Timers fire on whole minutes: finer than any clinical interval in use."""
CHECKPOINT_RECORDS = 500
"""Records folded between two stored states: at most this much work is repeated, byte for byte, after a crash."""
CARRY_OUT_RECORDS = 500
"""Records folded before their effects are carried out: bounds what is in memory while a long log is folded."""
CONTROL_KEY = ""
"""The control state lies in the store under the empty patient key."""


class Journal(Protocol):
    """The log, as the host uses it."""

    def append(
        self,
        records: Sequence[LogRecord],
        dead_letters: Sequence[DeadLetterRow],
        identities: Sequence[tuple[str, str, str]],
        counts: dict[str, int],
    ) -> int:
        """Store a batch, durable on return; give the end offset."""
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


class Release(msgspec.Struct, frozen=True):
    """What a host is started with: these enter the log as control events where they differ from what is in force."""

    settings: Settings
    code_version: str
    version: str = ""
    """The model version's content hash; empty for NEWS2 alone."""
    enabled: bool = False
    """False: the version scores in shadow."""


class EmbeddedHost:
    """The folds of all patients, over one journal and one store."""

    def __init__(
        self,
        journal: Journal,
        store: StateStore,
        parser: Parser,
        *,
        catalogue: Catalogue,
        versions: Mapping[str, ModelVersion],
        carry_out: Callable[[Sequence[Effect]], None],
        refuse: Callable[[DeadLetter, bytes | None], None] = lambda _letter, _data: None,
        learner: Learner | None = None,
        live_records_max: int = LIVE_RECORDS_MAX,
        durable: bool = True,
    ) -> None:
        """Open: restore the states, then fold what the log has beyond them. Not `durable`: states are never stored."""
        self._journal = journal
        self._store = store
        self._parser = parser
        self._carry_out = carry_out
        self._refuse = refuse
        self._epoch = store.acquire_epoch()
        self._durable = durable
        self.shelf = RecordShelf(store, catalogue, live_records_max)
        control = Control(catalogue, versions)
        stored = store.load([CONTROL_KEY]).get(CONTROL_KEY)
        if stored is not None:
            control.restore(stored)
        self.pipeline = Pipeline(self.shelf, control, learner)
        self._folded = self._stored = max(store.watermark(), 0)
        self.fold()
        self._arrival_clock: Millis = control.clock

    def release(self, release: Release, at: Millis) -> None:
        """Enter a release into the log: code version, configuration and promotion, each only where it changes."""
        control = self.pipeline.control
        events: list[CodeVersion | Configuration | Promotion] = []
        if control.code_version != release.code_version:
            events.append(CodeVersion(at, release.code_version))
        name = configuration_hash(release.settings)
        if not control.configuration_content or control.configuration_hash != name:
            events.append(Configuration(at, name, configuration_text(release.settings)))
        if (control.version, control.enabled) != (release.version, release.enabled):
            events.append(Promotion(at, release.version, release.enabled))
        self.enter(
            [
                Envelope(content_id("control", repr(event)), "", at, at, (event,), message_id="control")
                for event in events
            ]
        )

    def enter(self, envelopes: Sequence[Envelope]) -> None:
        """Append records that are events already (control events, a recorded log) and fold them."""
        self._journal.append([LogRecord(envelope, None, None) for envelope in envelopes], (), (), {})
        self.fold()

    def accept(self, arrivals: Sequence[Arrival]) -> list[Parsed]:
        """Account for a batch of messages; durable on return, so that the sender may be told. Folds nothing yet."""
        records: list[LogRecord] = []
        letters: list[DeadLetterRow] = []
        counts = {"messages": 0, "accepted": 0, "dead_letters": 0, "duplicates": 0}
        outcome: list[Parsed] = []
        for arrival in arrivals:
            received = self._arrival_clock = max(self._arrival_clock, arrival.received_time or 0)
            decoded = arrival.decoded
            parsed = self._parser.step(decoded, received, arrival.position)
            outcome.append(parsed)
            parts = decoded.parts if type(decoded) is Decoded else 1
            counts["messages"] += parts
            if type(parsed) is Envelope:
                assert type(decoded) is Decoded
                records.append(LogRecord(parsed, decoded.content_hash, arrival.data))
                counts["accepted"] += parts
            elif type(parsed) is Duplicate:
                counts["duplicates"] += parts
            else:
                assert type(parsed) is DeadLetter
                letters.append(DeadLetterRow(received, msgspec.json.encode(parsed), arrival.data))
                self._refuse(parsed, arrival.data)
                counts["dead_letters"] += parts
                reason = f"dead_letters:{parsed.reason}"
                counts[reason] = counts.get(reason, 0) + parts
        self._journal.append(records, letters, self._parser.take_identities(), counts)
        return outcome

    def fold(self) -> int:
        """Fold every record after the last one folded; give how many. Effects are carried out before this returns."""
        folded = 0
        effects: list[Effect] = []
        pipeline = self.pipeline
        for offset, envelope in self._journal.read(self._folded):
            effects.extend(self._fire_timers(envelope))
            effects.extend(pipeline.step(envelope))
            folded += 1
            self._folded = offset
            if folded % CARRY_OUT_RECORDS == 0:
                self._finish_batch(effects)
                effects = []
        if effects or folded:
            self._finish_batch(effects)
        return folded

    def checkpoint(self) -> None:
        """Store the states with the watermark they stand for."""
        states = self.shelf.take_changes()
        states[CONTROL_KEY] = self.pipeline.control.encode()
        self._store.commit(self._epoch, states, self._folded)
        self._stored = self._folded

    def _fire_timers(self, envelope: Envelope) -> list[Effect]:
        """Synthesise the whole-minute ticks up to a record at which a timer is due.

        They are a function of the log alone, so they need no record of their own: the same records fire them again.
        """
        effects: list[Effect] = []
        pipeline = self.pipeline
        while (deadline := pipeline.due(envelope.received_time)) is not None:
            at = -(-max(deadline, 0) // TICK_MS) * TICK_MS
            if at > envelope.received_time:
                break
            effects.extend(pipeline.step(Envelope(content_id("tick", str(at)), "", at, at, (Tick(at),))))
        return effects

    def _finish_batch(self, effects: list[Effect]) -> None:
        """Carry effects out first, store states second: a crash in between repeats effects under the same ids."""
        self._carry_out(effects)
        if self._durable and self._folded - self._stored >= CHECKPOINT_RECORDS:
            self.checkpoint()
