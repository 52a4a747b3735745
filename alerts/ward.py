"""The fold of [ward]: one partition of `candidates.v1` in order, and what of it goes to the wards.

Owns dropping repeats, each ward's own count (`ward_seq`), the delivery gate, when a ward's budget has an alert wait and
when it is told, and which state of an alert stands under its ward. Must not know Kafka, Redis, a clock or what an alert
says beyond its frame.

A candidate goes out at once, and its content as it came: a field that this release does not know passes through. Two
things change words of it. The gate: a model's event that would be `told` is `held`. The budget: a model's first word
of an alert, or that it persists, is `waiting`, with its place; it is told under an id of its own when there is room. So
one `event_id` has one content as long as gate and settings stood the same at its position; alerts/gate.py keeps where
they stood. The floor, worsening, escalations, answers and ends pass whatever the budget.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Literal, NamedTuple, TypeVar

from alerts.budget import LATE_MS_MAX, Allowance, count_telling
from alerts.contract import NO_WARD, AlertEvent
from alerts.lifecycle import TERMINAL
from alerts.telling import EventForm, Form, JsonForm, name_telling
from alerts.waiting import FIRST_OR_PERSISTS, MOVED, PERSISTS, WAITING_MAX, Waiting
from alerts.ward_memory import Ward, WardMemory
from alerts.ward_records import (
    Candidate,
    CandidateError,
    frame_of,
    name_tick,
    read_candidate,
    read_tick,
    routes,
    state_key,
)
from alerts.ward_settings import WardSettings
from alerts.ward_state import Phase, UnreadableWardStateError
from events import Millis

__all__ = [
    "CandidateError",
    "EventWards",
    "UnreadableWardStateError",
    "WardCounts",
    "WardFold",
    "WardOutput",
    "Wards",
    "routes",
    "state_key",
]

Content = TypeVar("Content")


class WardOutput(NamedTuple, Generic[Content]):
    """What one step puts out: at most one record for `alerts.v1`, and one for `alerts.state.v1`."""

    ward: str
    """The key on `alerts.v1`."""
    alert: Content | None
    """The content for `alerts.v1`; None: nothing is said there (the alert left this ward, or is forgotten)."""
    ward_seq: int
    """1, 2, 3 ... without gaps per ward, for the header `ce_wardseq`; 0 where nothing is said."""
    event_id: str
    received_time: Millis
    """Of the record that caused it."""
    state_key: str
    """`ward|alert_id`, the key on `alerts.state.v1`."""
    state: Content | None
    """The alert's newest content, also when it has ended; None is a tombstone."""
    queue: Literal["passes", "waits", "told"] = "passes"
    """Whether it goes out as it came (or held), waits now, or is told now after waiting."""


class WardCounts:
    """What the fold did since it was opened, for metrics; enters no state and no output."""

    __slots__ = ("abandoned", "forgotten", "gaps", "held", "left", "passed", "repeats", "told_later", "waited")

    def __init__(self) -> None:
        """Begin at nothing."""
        self.passed = self.repeats = self.gaps = self.held = self.left = self.forgotten = self.abandoned = 0
        self.waited = self.told_later = 0


class _Step(NamedTuple, Generic[Content]):
    """One candidate at one ward."""

    ward: Ward[Content]
    candidate: Candidate
    received: Millis
    content: Content
    outputs: list[WardOutput[Content]]


class Wards(Generic[Content]):
    """The fold over one partition: candidates in, what the wards are told out; `WardFold` and `EventWards` are it."""

    def __init__(self, form: Form[Content]) -> None:
        """Begin with no ward, an open gate and no budget."""
        self.counts = WardCounts()
        self._form = form
        self._settings: WardSettings | None = None
        self._allowance: Allowance | None = None
        self._memory: WardMemory[Content] = WardMemory(form)
        self.queued = self._memory.queues
        """The wards on which something waits; empty nearly always."""

    @property
    def clock(self) -> Millis:
        """The running maximum of the received times on this partition."""
        return self._memory.clock

    @property
    def closed(self) -> bool:
        """Whether the delivery gate is closed: the model's voice is cut here and now."""
        return self._memory.closed

    def gate(self, closed: bool) -> None:  # noqa: FBT001 - the gate has two positions
        """Close or open the delivery gate, from the next record on. While it is closed, what waits goes on waiting."""
        self._memory.gate(closed)

    def believe(self, until: Millis) -> None:
        """Let the next record move the clock no further than this, whatever it says; what it says of an alert passes.

        Else one record of the far future would end every shift, and have every alert forgotten. No part of the stored
        form, as gate and settings: to be said before each record, by whoever knows when it was written.
        """
        self._memory.believed_until = until

    def use(self, settings: WardSettings | None) -> None:
        """Keep to these settings from the next record on; None is no budget at all. No part of the stored form."""
        if settings is not self._settings and settings != self._settings:
            self._allowance = None if settings is None else Allowance(settings)
        self._settings = settings

    def due(self) -> Millis | None:
        """Give when there is room for something that waits, or None where nothing does; whatever the gate."""
        return min((self._room_at(ward) for ward in self._memory.queues.values()), default=None)

    def pass_time(self, at: Millis, cause: str) -> list[WardOutput[Content]]:
        """Let time pass; give what is told because of it. `cause` is the record's id."""
        outputs = self._advance(cause, at)
        self._tell_waiting(outputs)
        return outputs

    def ward_seq(self, ward: str) -> int:
        """Give how many events a ward has been told of so far."""
        known = self._memory.find(ward)
        return 0 if known is None else known.seq

    def newest(self) -> list[tuple[str, int]]:
        """Give every ward that was told anything, by name, with how many events that is; forgotten ones are left out.

        As `WardMemory` forgets them: after a year in which nobody used the name.
        """
        return self._memory.newest()

    def waiting(self, ward: str) -> list[str]:
        """Give the ids of the alerts that wait on a ward, the next one first."""
        known = self._memory.find(ward)
        return [] if known is None else sorted(known.waiting, key=known.in_rank)

    # -- one record --------------------------------------------------------------------------------------------------

    def _take(self, name: str, candidate: Candidate, received: Millis, content: Content) -> list[WardOutput[Content]]:
        here = candidate.ward or NO_WARD
        # The content names no ward that is left: a record of a move, under another ward's key, is that ward's.
        if name != here and candidate.reason != MOVED:
            raise CandidateError("misrouted")
        outputs = self._advance(candidate.event_id, received)
        ward = self._memory.open(name)
        step = _Step(ward, candidate, received, content, outputs)
        known = ward.alerts.get(candidate.alert_id)
        comes = ""
        if known is not None and candidate.seq < known.seq + (candidate.waited_ms is None):
            self.counts.repeats += 1
        elif name != here:
            self._leave(step)
        else:
            first = candidate.reason == MOVED and (known is None or known.phase == "left")
            comes = self._arrive(step, first=first)
        if self._memory.queues:
            self._tell_waiting(outputs, (name, comes))
        if comes in ward.waiting:
            self.counts.waited += 1
            place = self.waiting(name).index(comes) + 1
            said = self._form.wait(content, place)
            self._put(ward, comes, candidate.event_id, received, said, outputs, "waits")
        return outputs

    def _leave(self, step: _Step[Content]) -> None:
        """Let an alert go with its patient: whether it waited here is nothing to the ward it comes to."""
        candidate = step.candidate
        self.counts.left += 1
        self._remember(step, "left")
        self._memory.release(step.ward, candidate.alert_id)
        step.outputs.append(_silent(step.ward.name, candidate.alert_id, candidate.event_id, step.received))

    def _arrive(self, step: _Step[Content], *, first: bool) -> str:
        """Take an event of an alert of this ward: put it out, or queue it and give its id, for the queue to say.

        `first`: the alert has come from another ward with it.
        """
        ward, candidate = step.ward, step.candidate
        alert_id, entry = candidate.alert_id, step.ward.waiting.get(candidate.alert_id)
        self._remember(step, "ended" if candidate.state in TERMINAL else "open", first=first)
        aloud = candidate.trigger == "model" and candidate.disposition == "told"
        held = aloud and self.closed
        unheard = entry is not None and entry.unheard and candidate.state in TERMINAL
        if aloud and not held and self._may_wait(candidate, first=first or entry is not None):
            if self._waits(step, entry):
                return alert_id
        elif entry is not None:
            over = candidate.state in TERMINAL or candidate.state == "acknowledged"
            if over or (aloud and not held) or candidate.disposition == "shadow":
                self._memory.release(ward, alert_id)
            else:
                self._queue(step, entry)  # The newest that is known of it is what will be told.
        self.counts.passed += 1
        self.counts.held += held
        said = self._form.hold(step.content) if held else step.content
        said = self._form.board(step.content) if aloud and unheard else said
        self._put(ward, alert_id, candidate.event_id, step.received, said, step.outputs)
        return ""

    def _may_wait(self, candidate: Candidate, *, first: bool) -> bool:
        """Whether a model's event that is told may wait. `first`: the alert has come here, or waits here already."""
        if self._allowance is None or candidate.state not in ("raised", "updated") or candidate.waited_ms is not None:
            return False
        return candidate.reason in FIRST_OR_PERSISTS or (candidate.reason == MOVED and first)

    def _waits(self, step: _Step[Content], entry: Waiting[Content] | None) -> bool:
        """Queue it, unless it is late and there was room at its own time: then it counts there."""
        ward, clock = step.ward, self.clock
        at = max(step.received, clock - LATE_MS_MAX)
        if entry is None and at < clock and self._has_room(ward, at):
            count_telling(ward.told, at, clock)
            return False
        self._queue(step, entry)
        return True

    def _queue(self, step: _Step[Content], before: Waiting[Content] | None) -> None:
        candidate = step.candidate
        since = self.clock if before is None else before.since
        # The first word of an alert, or of one that comes with its patient: that it persists was told before.
        unheard = candidate.reason != PERSISTS if before is None else before.unheard
        entry = Waiting(step.content, candidate.event_id, candidate.probability, step.received, since, unheard)
        self._memory.queue(step.ward, candidate.alert_id, entry)

    def _remember(self, step: _Step[Content], phase: Phase, *, first: bool = False) -> None:
        known = step.ward.alerts.get(step.candidate.alert_id)
        if not first and step.candidate.seq != (known.seq if known else 0) + 1:
            self.counts.gaps += 1
        self._memory.remember(step.ward, step.candidate.alert_id, step.candidate.seq, phase)

    def _put(
        self,
        ward: Ward[Content],
        alert_id: str,
        event_id: str,
        received: Millis,
        said: Content,
        outputs: list[WardOutput[Content]],
        queue: Literal["passes", "waits", "told"] = "passes",
    ) -> None:
        number, key = self._memory.number(ward), state_key(ward.name, alert_id)
        outputs.append(WardOutput(ward.name, said, number, event_id, received, key, said, queue))

    # -- what waits --------------------------------------------------------------------------------------------------

    def _has_room(self, ward: Ward[Content], at: Millis) -> bool:
        return self._allowance is None or self._allowance.has_room(ward.name, ward.told, at)

    def _room_at(self, ward: Ward[Content]) -> Millis:
        return self.clock if self._allowance is None else self._allowance.next_room(ward.name, ward.told, self.clock)

    def _tell_waiting(self, outputs: list[WardOutput[Content]], comes: tuple[str, str] = ("", "")) -> None:
        """Tell what there is room for, the riskiest first. `comes` is the one just queued: told, it never waited."""
        if self.closed:
            return
        clock, queues = self.clock, self._memory.queues
        for name in sorted(queues):
            ward = queues[name]
            while ward.waiting:
                counted = self._has_room(ward, clock)
                if not counted and len(ward.waiting) <= WAITING_MAX:
                    break
                if counted:
                    count_telling(ward.told, clock, clock)
                alert_id = min(ward.waiting, key=ward.in_rank)
                entry = ward.waiting[alert_id]
                self._memory.release(ward, alert_id)
                if (name, alert_id) == comes:
                    self.counts.passed += 1
                    self._put(ward, alert_id, entry.event_id, entry.received, entry.content, outputs)
                else:
                    self.counts.told_later += 1
                    said = self._form.tell(entry.content, clock, entry.since)
                    self._put(ward, alert_id, name_telling(entry.event_id), clock, said, outputs, "told")

    def _advance(self, cause: str, received: Millis) -> list[WardOutput[Content]]:
        """Move the clock; forget what is past, with a tombstone for what still has a state."""
        outputs: list[WardOutput[Content]] = []
        for name, alert_id, phase in self._memory.advance(received):
            if phase != "left":
                outputs.append(_silent(name, alert_id, cause, received))
                self.counts.forgotten += 1
                self.counts.abandoned += phase == "open"
        return outputs

    # -- stored form -------------------------------------------------------------------------------------------------

    def encode_changes(self) -> dict[str, bytes | None]:
        """Give what changed since the last call, by store key; None for what is forgotten."""
        return self._memory.encode_changes()

    def encode_whole(self) -> dict[str, bytes]:
        """Give all of it, by store key."""
        return self._memory.encode_whole()

    def restore(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Take over what `encode_changes` gave over time; other keys are none of ours.

        Raises `UnreadableWardStateError`; the fold is then of no use, and a new one is to be made.
        """
        self._memory.restore(items)


class WardFold(Wards[bytes]):
    """The fold over records of `candidates.v1`."""

    def __init__(self) -> None:
        """Begin with no ward, an open gate and no budget."""
        super().__init__(JsonForm())

    def take(self, ward: str, content: bytes) -> list[WardOutput[bytes]]:
        """Fold one record, by its key and value; give what it puts out, in order. Raises `CandidateError`.

        A record that is refused changes nothing.
        """
        if not ward:
            at = read_tick(content)
            return self.pass_time(at, name_tick(at))
        candidate, received = read_candidate(content)
        return self._take(ward, candidate, received, content)


class EventWards(Wards[AlertEvent]):
    """The same fold over alert events that were never encoded: the embedded host's."""

    def __init__(self) -> None:
        """Begin with no ward, an open gate and no budget."""
        super().__init__(EventForm())

    def take(self, event: AlertEvent) -> list[WardOutput[AlertEvent]]:
        """Fold one event, for the ward it is of and the ward it has left."""
        frame = frame_of(event)
        outputs: list[WardOutput[AlertEvent]] = []
        for ward in routes(event):
            outputs += self._take(ward, frame, event.received_time, event)
        return outputs


def _silent(ward: str, alert_id: str, event_id: str, received: Millis) -> WardOutput[Content]:
    """Take an alert's state from a ward's board and say nothing."""
    return WardOutput(ward, None, 0, event_id, received, state_key(ward, alert_id), None)
