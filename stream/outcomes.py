"""What deterioration means here, and the join of scores with it: the outcome definition and how events are read by it.

Owns the definition (the `[outcome]` table of wardstream.toml), what an event says of an outcome by it, and which
records speak of whom after a merge. Must not know what a score's vector means, nor who learns.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from events import (
    MILLIS_PER_HOUR,
    MILLIS_PER_MINUTE,
    Acknowledgement,
    Admission,
    Cancellation,
    Demographics,
    Discharge,
    Envelope,
    Event,
    Feedback,
    Merge,
    Millis,
    Observation,
    Outcome,
    Transfer,
    Unmerge,
)
from models.labels import DEFAULT_KINDS, PATIENTS_MAX, JoinerState, LabelJoiner

HORIZON_H_DEFAULT = 12
"""clinical.md's composite is of 12 h, as is the alert horizon of the programme that lowered mortality (AAM, 2020)."""
HORIZON_H_MAX = 168
"""A week: past it an outcome is another illness."""
SETTLE_MIN_DEFAULT = 60
"""Charting delay has a median of 42 min (Metitiri et al. 2023)."""
SETTLE_MIN_MAX = 366 * 24 * 60
"""A year: a death in hospital may be told long after the recording of a public data set ended."""
KINDS_MAX = 16
WARDS_MAX = 256
NAME_MAX = 64
"""Kinds, wards and the length of their names: a large site has some dozens."""

MERGED_MAX = 64
"""Records merged into one that are still told what happens to him: a person has some few numbers."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_MAX)]
AfterAction = Literal["learn", "leave_out"]


class OutcomeDefinition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What deterioration means at this site: clinical.md's default composite, until clinicians agree on another."""

    kinds: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=KINDS_MAX)] = DEFAULT_KINDS
    """Outcomes that count: death, critical_care, cardiac_arrest, sepsis, or a name of the site's own."""
    horizon_h: Annotated[int, msgspec.Meta(ge=1, le=HORIZON_H_MAX)] = HORIZON_H_DEFAULT
    """A score predicts an outcome within so many hours."""
    critical_care_wards: Annotated[frozenset[Name], msgspec.Meta(max_length=WARDS_MAX)] = frozenset()
    """A transfer to one of these, from none of these, is an outcome; an admission straight to one is not."""
    planned_from_wards: Annotated[frozenset[Name], msgspec.Meta(max_length=WARDS_MAX)] = frozenset()
    """A transfer to critical care from one of these (theatre, recovery) was planned, and is no outcome."""
    whole_stay: bool = False
    """Predict an outcome at any time of the stay: no horizon; a stay that ends without one is negative."""
    settle_min: Annotated[int, msgspec.Meta(ge=0, le=SETTLE_MIN_MAX)] = SETTLE_MIN_DEFAULT
    """Time in which an outcome may still be charted, after the horizon or a discharge, before a label is given."""
    after_action: AfterAction = "learn"
    """What becomes of examples in whose window somebody acted on an alert: they are marked, and learned or not."""

    @property
    def horizon_ms(self) -> Millis:
        """The horizon in ms."""
        return self.horizon_h * MILLIS_PER_HOUR


def outcome_of(event: Event, definition: OutcomeDefinition) -> Outcome | None:
    """Give what an event says of the outcome, by the definition; a ward told in passing is no transfer.

    >>> outcome_of(Discharge(0, deceased=True), OutcomeDefinition()).kind
    'death'
    """
    if type(event) is Outcome:
        return event
    if type(event) is Transfer and not event.incidental:
        critical = event.location.ward in definition.critical_care_wards
        return Outcome(event.event_time, "critical_care") if critical else None
    if isinstance(event, Discharge | Demographics) and event.deceased:
        return Outcome(event.event_time, "death")
    return None


class JoinState(msgspec.Struct, frozen=True):
    """All that a join knows, as plain values: what a snapshot of a learner keeps."""

    joiner: JoinerState
    absorbed: dict[str, list[str]]
    wards: dict[str, tuple[str, str]]
    encounters: dict[str, str] = {}


class OutcomeJoin:
    """Reads what happened by a definition, and lets it label the scores that wait.

    What is told of a patient counts for every record that was merged into theirs. Of patients who are in hospital the
    ward is remembered, to tell a transfer to critical care from a move within it and from a planned one.

    >>> join = OutcomeJoin(OutcomeDefinition(settle_min=0))
    >>> join.joiner.scored("p", 0, (1.0,))
    True
    >>> join.happened(Envelope("e", "p", 5, 5, (Discharge(5, deceased=True),)))
    >>> [example.label for example in join.joiner.advance(5)]
    [True]
    """

    def __init__(self, definition: OutcomeDefinition) -> None:
        self.definition = definition
        self.joiner = LabelJoiner(
            definition.horizon_ms,
            definition.kinds,
            settle_ms=definition.settle_min * MILLIS_PER_MINUTE,
            whole_stay=definition.whole_stay,
        )
        self._absorbed: dict[str, list[str]] = {}
        self._wards: dict[str, tuple[str, str]] = {}
        """Of each patient in hospital: the ward now, and the one before."""
        self._encounters: dict[str, str] = {}
        """Of each patient the encounter of the newest admission: told again, it begins no stay."""

    def state(self) -> JoinState:
        """Give all it knows; it goes on, and what was given changes with it: encode it at once."""
        return JoinState(self.joiner.state(), self._absorbed, self._wards, self._encounters)

    def restore(self, state: JoinState) -> None:
        """Go on from a state of a join of the same definition."""
        self.joiner.restore(state.joiner)
        self._absorbed, self._wards, self._encounters = state.absorbed, state.wards, state.encounters

    def happened(self, envelope: Envelope) -> None:
        """Take in what happened to a patient."""
        patient, received = envelope.patient, envelope.received_time
        for event in envelope.events:
            if type(event) is Observation:
                continue
            if type(event) is Merge:
                absorbed = self._absorbed.setdefault(patient, [])
                absorbed += [event.retired, *self._absorbed.pop(event.retired, [])]
                del absorbed[:-MERGED_MAX]
                if len(self._absorbed) > PATIENTS_MAX:
                    del self._absorbed[next(iter(self._absorbed))]
                where = self._wards.pop(event.retired, None)
                if where is not None and patient not in self._wards:
                    self._place(patient, *where)
                continue
            if type(event) is Unmerge:
                if patient in self._absorbed:
                    self._absorbed[patient] = [key for key in self._absorbed[patient] if key != event.restored]
                continue
            begins = type(event) is Admission and self._begins_stay(patient, event, envelope.encounter)
            undoes_onset = type(event) is Cancellation and self._was_onset(patient, event)
            outcome = self._outcome(patient, event)
            for whose in (patient, *self._absorbed.get(patient, ())):
                # First the outcome: a discharge of the deceased must not censor what it labels.
                if outcome is not None:
                    self.joiner.outcome(whose, outcome, received)
                if type(event) is Admission and not begins:
                    continue
                self._note(whose, event, received, undoes_onset=undoes_onset)

    def _begins_stay(self, patient: str, event: Admission, encounter: str) -> bool:
        """Say whether an admission is news: every Encounter resource tells its beginning again, and so do A04 and A01.

        A further one of the same encounter begins a stay only where the former has ended before it.
        """
        same = bool(encounter) and self._encounters.get(patient) == encounter
        if not same and encounter:
            self._encounters.pop(patient, None)
            self._encounters[patient] = encounter
            if len(self._encounters) > PATIENTS_MAX:
                del self._encounters[next(iter(self._encounters))]
        ended = self.joiner.ended(patient)
        return not same or (ended is not None and event.event_time > ended)

    def _was_onset(self, patient: str, event: Cancellation) -> bool:
        """Say whether the transfer that is taken back was the outcome: not a move within critical care, nor out of it.

        Of a patient whose wards are not known it is taken to be.
        """
        definition = self.definition
        now, before = self._wards.get(patient, ("", ""))
        unplanned = before not in definition.critical_care_wards and before not in definition.planned_from_wards
        stays_there = event.location.ward in definition.critical_care_wards
        return not stays_there and (not now or (now in definition.critical_care_wards and unplanned))

    def _place(self, patient: str, ward: str, before: str = "") -> None:
        if patient not in self._wards and len(self._wards) >= PATIENTS_MAX:
            del self._wards[next(iter(self._wards))]
        self._wards[patient] = (ward, before)

    def _outcome(self, patient: str, event: Event) -> Outcome | None:
        """Give the outcome that an event is, seeing where the patient lay; follow him to where he lies now."""
        outcome = outcome_of(event, self.definition)
        if not self.definition.critical_care_wards:
            return outcome
        if isinstance(event, Admission | Transfer) and not (type(event) is Transfer and event.incidental):
            return outcome if self._is_unplanned(patient, event.location.ward) else None
        if type(event) is Cancellation and event.cancelled == "transfer":
            _, before = self._wards.get(patient, ("", ""))
            self._place(patient, event.location.ward or before)
        elif type(event) is Cancellation and event.cancelled == "discharge":
            # Where he lies again, if it is said: from theatre, or within critical care, a transfer is no outcome.
            if event.location.ward and patient not in self._wards:
                self._place(patient, event.location.ward)
        elif type(event) is Discharge or (type(event) is Cancellation and event.cancelled == "admission"):
            self._wards.pop(patient, None)
        return outcome

    def _is_unplanned(self, patient: str, ward: str) -> bool:
        former = self._wards.get(patient, ("", ""))
        now = former[0]
        if ward and ward != now:
            self._place(patient, ward, now)
        return now not in self.definition.critical_care_wards and now not in self.definition.planned_from_wards

    def _note(self, patient: str, event: Event, received: Millis, *, undoes_onset: bool) -> None:
        joiner = self.joiner
        if type(event) is Admission:
            joiner.admitted(patient, event.event_time, received)
        elif type(event) is Discharge:
            joiner.discharged(patient, event.event_time, received)
        elif type(event) is Cancellation:
            self._take_back(patient, event, received, undoes_onset=undoes_onset)
        elif type(event) is Demographics and event.deceased is False:
            joiner.withdrawn(patient, "death", received)
        elif type(event) is Acknowledgement or (type(event) is Feedback and event.verdict == "agree"):
            # Marked, not labelled: whoever takes an alert changes what happens next.
            joiner.acted(patient, event.event_time, received)

    def _take_back(self, patient: str, event: Cancellation, received: Millis, *, undoes_onset: bool) -> None:
        joiner = self.joiner
        if event.cancelled == "admission":
            joiner.discharged(patient, event.event_time, received)
        elif event.cancelled == "discharge":
            # With a discharge goes the death that it told; where none stands, there is nothing to take back (each
            # Encounter under way says that it was not ended).
            if joiner.ended(patient) is not None:
                joiner.withdrawn(patient, "death", received)
            joiner.resumed(patient, received)
        elif undoes_onset:
            joiner.withdrawn(patient, "critical_care", received)
