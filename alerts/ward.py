"""The fold of [ward]: one partition of `candidates.v1` in order, and what of it goes to the wards.

Owns dropping repeats, each ward's own count (`ward_seq`), the delivery gate, which state of an alert stands under its
ward, and the stored form of all that. Must not know Kafka, Redis, a clock or what an alert says beyond its frame.

A candidate's bytes go out as they came: a field that this release does not know passes through. Only the gate changes
them, and only one word: a model's event that would be `told` is `held`. So one `event_id` has one content as long as
the gate stood the same at its position; alerts/gate.py keeps where it stood.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeVar
from zlib import crc32

import msgspec

from alerts.contract import NO_WARD, AlertEvent
from alerts.lifecycle import TERMINAL, State
from events import MILLIS_PER_HOUR, Millis, from_iso

WARD_SCHEMA = 1
"""The version of the stored form; another is refused, and the partition folded anew from its log."""
FOLD_KEY = "~fold"
WARD_KEY = "w/"
"""A ward's record lies under this and the ward's name: no name can pass for the fold's own key."""
ENDED_REMEMBERED_MS = 24 * MILLIS_PER_HOUR
"""A repeat of an ended alert's event comes within batches done again, or a Redis restored from yesterday."""
UNHEARD_REMEMBERED_MS = 90 * 24 * MILLIS_PER_HOUR
"""An open alert of which nothing is heard for longer has lost its end: longer than a stay whose NEWS2 never changes."""
WARD_REMEMBERED_MS = 366 * 24 * MILLIS_PER_HOUR
"""A ward's name that nobody has used for a year (often a sender's mistake); used again, it is counted from 1."""
SWEEP_MS = MILLIS_PER_HOUR
"""How often, by the fold's clock, what may be forgotten is looked for: one pass over all alerts."""
ALERTS_REMEMBERED_MAX = 200_000
"""Of one partition: some 20 MB. Past it those that ended first are forgotten at the next sweep."""

MOVED = "transferred"
"""The reason of the one event that is also sent to a ward its alert has left."""

Phase = Literal["open", "ended", "left"]


class CandidateError(ValueError):
    """A record of `candidates.v1` that cannot be used: dead-lettered, and the partition goes on. `reason` says why."""

    def __init__(self, reason: Literal["undecodable", "misrouted", "no_key"]) -> None:
        """Name the reason; the text holds nothing of the record."""
        super().__init__(reason)
        self.reason = reason


class UnreadableWardStateError(ValueError):
    """Stored states of this fold that are damaged or of another schema: fold the partition anew from its log."""


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """What the fold reads of an alert event."""

    event_id: str
    alert_id: str
    seq: int
    state: State
    trigger: str
    disposition: str
    ward: str
    received_time: str
    reason: str


class WardOutput(NamedTuple):
    """What one step puts out: at most one record for `alerts.v1`, and one for `alerts.state.v1`."""

    ward: str
    """The key on `alerts.v1`."""
    alert: bytes | None
    """The content for `alerts.v1`; None: nothing is said there (the alert left this ward, or is forgotten)."""
    ward_seq: int
    """1, 2, 3 ... without gaps per ward, for the header `ce_wardseq`; 0 where nothing is said."""
    event_id: str
    received_time: Millis
    """Of the candidate that caused it."""
    state_key: str
    """`ward|alert_id`, the key on `alerts.state.v1`."""
    state: bytes | None
    """The alert's newest content, also when it has ended; None is a tombstone."""


class WardCounts:
    """What the fold did since it was opened, for metrics; enters no state and no output."""

    __slots__ = ("abandoned", "forgotten", "gaps", "held", "left", "passed", "repeats")

    def __init__(self) -> None:
        """Begin at nothing."""
        self.passed = self.repeats = self.gaps = self.held = self.left = self.forgotten = self.abandoned = 0


class _Known(NamedTuple):
    """What is remembered of one alert in one ward."""

    seq: int
    phase: Phase
    heard: Millis


class _Ward:
    """One ward: its count, and its alerts by id."""

    __slots__ = ("alerts", "heard", "seq")

    def __init__(self, seq: int = 0, heard: Millis = 0, alerts: dict[str, _Known] | None = None) -> None:
        self.seq = seq
        self.heard = heard
        self.alerts: dict[str, _Known] = {} if alerts is None else alerts


class _StoredWard(msgspec.Struct, frozen=True, array_like=True):
    seq: int
    heard: Millis
    alerts: dict[str, _Known]


class _StoredFold(msgspec.Struct, frozen=True, array_like=True):
    clock: Millis
    swept: int
    closed: bool


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    schema: int
    checksum: int
    content: bytes


_Stored = TypeVar("_Stored", _StoredWard, _StoredFold)

_candidates = msgspec.json.Decoder(Candidate)
_documents = msgspec.json.Encoder(order="sorted")


def routes(event: AlertEvent) -> tuple[str, ...]:
    """Give the keys a candidate is sent under: its ward, and the ward that its patient has left with it.

    Under the second it is folded too, and says there only that the alert has left.
    """
    ward = event.ward or NO_WARD
    former = ward if event.former_ward is None else event.former_ward or NO_WARD
    return (ward,) if former == ward else (ward, former)


def state_key(ward: str, alert_id: str) -> str:
    """Name an alert's state in a ward.

    >>> state_key("W1", "a")
    'W1|a'
    """
    return f"{ward}|{alert_id}"


class WardFold:
    """The fold over one partition: candidates in, what the wards are told out."""

    def __init__(self) -> None:
        """Begin with no ward and an open gate."""
        self.clock: Millis = 0
        """The running maximum of the received times on this partition."""
        self.closed = False
        """Whether the delivery gate is closed: the model's voice is cut here and now."""
        self.counts = WardCounts()
        self._wards: dict[str, _Ward] = {}
        self._swept = 0
        self._changed: set[str] = set()
        self._fold_changed = False

    def gate(self, closed: bool) -> None:  # noqa: FBT001 - the gate has two positions
        """Close or open the delivery gate, from the next candidate on."""
        if closed != self.closed:
            self.closed = closed
            self._fold_changed = True

    def take(self, ward: str, content: bytes) -> list[WardOutput]:
        """Fold one record, by its key and value; give what it puts out, in order. Raises `CandidateError`.

        A record that is refused changes nothing.
        """
        if not ward:
            raise CandidateError("no_key")
        candidate, received = _read(content)
        here = candidate.ward or NO_WARD
        # The content names no ward that is left: a record of a move, under another ward's key, is that ward's.
        moved = candidate.reason == MOVED
        if ward != here and not moved:
            raise CandidateError("misrouted")
        outputs = self._advance(candidate, received)
        place = self._wards.setdefault(ward, _Ward())
        known = place.alerts.get(candidate.alert_id)
        if known is not None and candidate.seq <= known.seq:
            self.counts.repeats += 1
            return outputs
        arrived = ward == here and moved and (known is None or known.phase == "left")
        if not arrived and candidate.seq != (known.seq if known else 0) + 1:
            self.counts.gaps += 1
        place.heard = self.clock
        self._changed.add(ward)
        if ward != here:
            self.counts.left += 1
            place.alerts[candidate.alert_id] = _Known(candidate.seq, "left", self.clock)
            outputs.append(_silent(ward, candidate.alert_id, candidate.event_id, received))
            return outputs
        place.seq += 1
        phase: Phase = "ended" if candidate.state in TERMINAL else "open"
        place.alerts[candidate.alert_id] = _Known(candidate.seq, phase, self.clock)
        said = self._through_gate(candidate, content)
        key = state_key(ward, candidate.alert_id)
        outputs.append(WardOutput(ward, said, place.seq, candidate.event_id, received, key, said))
        self.counts.passed += 1
        return outputs

    def _through_gate(self, candidate: Candidate, content: bytes) -> bytes:
        if not self.closed or candidate.trigger != "model" or candidate.disposition != "told":
            return content
        self.counts.held += 1
        document = msgspec.json.decode(content)
        document["disposition"] = "held"
        return _documents.encode(document)

    def _advance(self, candidate: Candidate, received: Millis) -> list[WardOutput]:
        """Move the clock; once an hour of it, forget what is past, with a tombstone for what still has a state."""
        if received > self.clock:
            self.clock = received
            self._fold_changed = True
        if self.clock // SWEEP_MS == self._swept:
            return []
        self._swept = self.clock // SWEEP_MS
        self._fold_changed = True
        outputs: list[WardOutput] = []
        for ward, alert_id in self._past():
            phase = self._wards[ward].alerts.pop(alert_id).phase
            self._changed.add(ward)
            if phase != "left":
                outputs.append(_silent(ward, alert_id, candidate.event_id, received))
                self.counts.forgotten += 1
                self.counts.abandoned += phase == "open"
        for ward in [name for name, place in self._wards.items() if not place.alerts]:
            if self._wards[ward].heard + WARD_REMEMBERED_MS <= self.clock:
                del self._wards[ward]
                self._changed.add(ward)
        return outputs

    def _past(self) -> list[tuple[str, str]]:
        """Give the alerts to forget, in an order that no restart changes."""
        every = sorted(
            (known.heard + (UNHEARD_REMEMBERED_MS if known.phase == "open" else ENDED_REMEMBERED_MS), ward, alert_id)
            for ward, place in self._wards.items()
            for alert_id, known in place.alerts.items()
        )
        excess = len(every) - ALERTS_REMEMBERED_MAX
        return [
            (ward, alert_id)
            for number, (due, ward, alert_id) in enumerate(every)
            if due <= self.clock or number < excess
        ]

    def ward_seq(self, ward: str) -> int:
        """Give how many events a ward has been told of so far."""
        place = self._wards.get(ward)
        return 0 if place is None else place.seq

    # -- stored form -------------------------------------------------------------------------------------------------

    def encode_changes(self) -> dict[str, bytes | None]:
        """Give what changed since the last call, by store key; None for a ward that is forgotten."""
        changes: dict[str, bytes | None] = {}
        for ward in sorted(self._changed):
            place = self._wards.get(ward)
            changes[WARD_KEY + ward] = None if place is None else _seal(_stored(place))
        if self._fold_changed or self._changed:
            changes[FOLD_KEY] = _seal(_StoredFold(self.clock, self._swept, self.closed))
        self._changed.clear()
        self._fold_changed = False
        return changes

    def restore(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Take over what `encode_changes` gave over time; other keys are none of ours.

        Raises `UnreadableWardStateError`; the fold is then of no use, and a new one is to be made.
        """
        for key, data in items:
            if key == FOLD_KEY:
                fold = _unseal(data, _StoredFold)
                self.clock, self._swept, self.closed = fold.clock, fold.swept, fold.closed
            elif key.startswith(WARD_KEY):
                stored = _unseal(data, _StoredWard)
                self._wards[key.removeprefix(WARD_KEY)] = _Ward(stored.seq, stored.heard, stored.alerts)


def _read(content: bytes) -> tuple[Candidate, Millis]:
    try:
        candidate = _candidates.decode(content)
        return candidate, from_iso(candidate.received_time)
    except (ValueError, RecursionError):
        raise CandidateError("undecodable") from None


def _silent(ward: str, alert_id: str, event_id: str, received: Millis) -> WardOutput:
    """Take an alert's state from a ward's board and say nothing."""
    return WardOutput(ward, None, 0, event_id, received, state_key(ward, alert_id), None)


def _stored(place: _Ward) -> _StoredWard:
    return _StoredWard(place.seq, place.heard, dict(place.alerts))


def _seal(stored: _StoredWard | _StoredFold) -> bytes:
    content = msgspec.msgpack.encode(stored)
    return msgspec.msgpack.encode(_Sealed(WARD_SCHEMA, crc32(content), content))


def _unseal(data: bytes, form: type[_Stored]) -> _Stored:
    try:
        sealed = msgspec.msgpack.decode(data, type=_Sealed)
        if sealed.schema != WARD_SCHEMA:
            raise UnreadableWardStateError(f"ward schema {sealed.schema}, this release reads {WARD_SCHEMA}")
        if crc32(sealed.content) != sealed.checksum:
            raise UnreadableWardStateError("a ward state's checksum is wrong")
        return msgspec.msgpack.decode(sealed.content, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableWardStateError(type(error).__name__) from None
