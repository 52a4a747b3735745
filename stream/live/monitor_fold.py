"""The monitors of the version in force as a fold beside the learner: a function of `examples.v1` alone.

Owns the words that are written down for it, and what each comes to. Must not know where versions, limits and signals
come from, nor what is done about a finding. A version's reference and the threshold at which wards are told are kept
from where they were told on: that a version is withdrawn later, or not at hand at the next start, changes nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from alerts.monitoring.signal import SignalKind, make_signal
from events import MILLIS_PER_MINUTE, Envelope, Millis
from models.change_control import MonitorFinding
from models.drift.summary import Reference
from models.inputs import LEARNING_INPUTS
from stream.facts import Facts
from stream.live.beside import Beside
from stream.model_monitors import ModelMonitors
from stream.monitored import MonitoredState, MonitoredVersion
from stream.outcomes import OutcomeDefinition

NAME = "monitors"
"""By which it is told."""
VERSIONS_MAX = 8
"""Versions whose references are kept, 60 kB each, those told last: the one in force, the one before, one in shadow."""


class ToldVersion(msgspec.Struct, frozen=True, tag="version"):
    """What a version is held against from here on."""

    version: str
    threshold: float
    """The probability from which on wards are told."""
    reference: Reference | None = None
    """As the version brings it; None: what it meets first."""
    restored: int = 0
    """The decision by which a person last restored it, 0 where none did: after that its monitors begin anew."""


class ToldUpstream(msgspec.Struct, frozen=True, tag="upstream"):
    """Whether something that `signals.v1` says of upstream stands."""

    kind: SignalKind
    subject: str
    state: Literal["raised", "cleared"]
    received_time: Millis
    since: Millis
    feature: str = ""


class ToldUsual(msgspec.Struct, frozen=True, tag="usual"):
    """A person says that the values of a feed's feature are as they are to be: a new reference is made."""

    feed: str
    feature: str


_KNOWN = frozenset(LEARNING_INPUTS.names)
Word = ToldVersion | ToldUpstream | ToldUsual

_encoder = msgspec.json.Encoder(order="sorted")
_decoder: msgspec.json.Decoder[Word] = msgspec.json.Decoder(Word)


def encode_word(word: Word) -> bytes:
    """Write a word as it is written down."""
    return _encoder.encode(word)


class MonitorFoldState(msgspec.Struct, frozen=True):
    """All that the fold knows."""

    monitored: MonitoredState
    told: tuple[ToldVersion, ...]
    clock: Millis


class Now(msgspec.Struct, frozen=True):
    """What the fold knows, as far as it concerns others."""

    version: str
    """The version in force, by the newest score; empty: NEWS2 alone."""
    clock: Millis
    """The newest score's time."""
    findings: tuple[MonitorFinding, ...]
    told: dict[str, ToldVersion]
    upstream: frozenset[tuple[str, str]]


class MonitorFold(Beside):
    """The monitors, heard from the topic.

    >>> fold = MonitorFold(OutcomeDefinition())
    >>> fold.told(encode_word(ToldVersion("4f1c02aa91be", 0.2)))
    >>> fold.scored("p", 0, [0.0] * len(LEARNING_INPUTS.names), 0.1, "4f1c02aa91be")
    >>> fold.now().version, fold.now().told["4f1c02aa91be"].threshold, fold.now().findings
    ('4f1c02aa91be', 0.2, ())
    """

    def __init__(self, definition: OutcomeDefinition) -> None:
        """`definition` says what an outcome is."""
        self._told: dict[str, ToldVersion] = {}
        groups = Facts()
        self.monitors = ModelMonitors(
            LEARNING_INPUTS.names,
            self._reference_of,
            thresholds=self._threshold_of,
            label_after_ms=definition.horizon_ms + definition.settle_min * MILLIS_PER_MINUTE,
            facts=groups,
        )
        self._monitored = MonitoredVersion(definition, self.monitors, groups)
        self._clock: Millis = 0

    def _reference_of(self, version: str) -> Reference | None:
        found = self._told.get(version)
        if found is None or found.reference is None:
            return None
        # Of inputs that this release's rows do not have: what the version meets first is taken in its place.
        return found.reference if _KNOWN.issuperset(found.reference.inputs.names) else None

    def _threshold_of(self, version: str) -> float:
        # Until it is told no risk is an alert.
        found = self._told.get(version)
        return 1.0 if found is None else found.threshold

    # -- what is heard ------------------------------------------------------------------------------------------------

    def scored(
        self, patient: str, at: Millis, vector: list[float], probability: float | None = None, version: str = ""
    ) -> None:
        """Hear of a score."""
        self._clock = max(self._clock, at)
        self._monitored.scored(patient, at, vector, probability, version)

    def happened(self, envelope: Envelope) -> None:
        """Hear of what happened to a patient."""
        self._monitored.happened(envelope)

    def measured(self, patient: str, at: Millis, feed: str, values: Sequence[tuple[str, float]]) -> None:
        """Hear the values behind a score."""
        self.monitors.measured(patient, at, feed, values)

    def told(self, content: bytes) -> None:
        """Hear a word; raises `msgspec.ValidationError` for one of another release."""
        word = _decoder.decode(content)
        if isinstance(word, ToldVersion):
            self._hear_version(word)
        elif isinstance(word, ToldUpstream):
            signal = make_signal(
                word.kind, word.subject, word.state, 0, word.received_time, word.since, 0, feature=word.feature
            )
            self.monitors.signalled(signal)
        else:
            self.monitors.forget_feed(word.feed, word.feature)

    def _hear_version(self, word: ToldVersion) -> None:
        before = self._told.pop(word.version, None)
        self._told[word.version] = word
        others = [name for name in self._told if name != self.monitors.version]
        for name in others[: max(len(self._told) - VERSIONS_MAX, 0)]:
            del self._told[name]
        if word.version != self.monitors.version:
            return
        if before is not None and before.restored != word.restored:
            self.monitors.begin_anew()
            return
        if before is None or before.reference != word.reference:
            self.monitors.refer_anew()
        if before is None or before.threshold != word.threshold:
            self.monitors.count_alerts_anew()

    # -- what it knows ------------------------------------------------------------------------------------------------

    def now(self) -> Now:
        """Give what others ask of it."""
        return Now(
            self.monitors.version,
            self._clock,
            self.monitors.findings(),
            dict(self._told),
            self.monitors.upstream,
        )

    def state(self) -> bytes:
        """Give all it knows."""
        state = MonitorFoldState(self._monitored.state(), tuple(self._told.values()), self._clock)
        return msgspec.msgpack.encode(state)

    def restore(self, data: bytes) -> None:
        """Go on from a state, alike. Raises `ValueError`."""
        state = msgspec.msgpack.decode(data, type=MonitorFoldState)
        self._clock, self._told = state.clock, {one.version: one for one in state.told}
        self._monitored.restore(state.monitored)
