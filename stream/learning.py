"""The learner's fold: scores and what happened later become examples, evaluated before they are learned.

Owns the join of the pipeline's vectors with outcomes, by a definition of what an outcome is. Must not know alerts or
transport. Scoring never learns: this fold hears of scores and is heard by nobody until a version is promoted.
"""

from __future__ import annotations

from collections import Counter, deque
from math import nan
from typing import Literal

import msgspec

from events import (
    MILLIS_PER_HOUR,
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
from models.evaluation import Accumulator
from models.holding import HeldBack
from models.inputs import CLINICAL_INPUTS
from models.labels import DEFAULT_KINDS, LabelJoiner
from models.learning import Learner
from models.training import HORIZON_H, Prequential

FEEDBACK_KEPT_MAX = 10_000
"""What clinicians thought of alerts that is kept whole: a large hospital's of some months. All of it is counted."""


class Judgement(msgspec.Struct, frozen=True):
    """What a clinician thought of one alert: a signal of its own. It says nothing of what happened to the patient."""

    patient: str
    alert_id: str
    at: Millis
    verdict: Literal["agree", "disagree", "dismissed"]
    reason: str
    """The coded reason."""


class OutcomeDefinition(msgspec.Struct, frozen=True):
    """What deterioration means here: clinical.md's default composite, by configuration."""

    kinds: tuple[str, ...] = DEFAULT_KINDS
    horizon_h: int = HORIZON_H
    critical_care_wards: frozenset[str] = frozenset()
    """A transfer to one of these is an outcome; an admission straight to one is not."""


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


class LearnerFold:
    """Hears scores and events in log order; predicts at the score, learns when its outcome is known.

    That is prequential with the true delay: what is evaluated is what the learner would have said at the bedside, from
    what had matured by then. `hold_out_from` ends learning at that time: examples that mature later are not learned,
    and what is scored from then on is evaluated apart, of patients first scored from then on.

    `held_back` is what a version's summaries will rest on: of patients first scored from the border on; without a
    border the newest rows, with what was said of each before it was learned.
    """

    def __init__(self, definition: OutcomeDefinition, hold_out_from: Millis | None = None) -> None:
        self.prequential = Prequential(Learner(CLINICAL_INPUTS))
        self.said: float | None = None
        """What was said of the newest score, before anything is learned of it."""
        self.hold_out = Accumulator()
        self.held_back = HeldBack(CLINICAL_INPUTS, rolling=hold_out_from is None)
        self.news2 = Accumulator()
        """The prequential rows scored by NEWS2's total, for comparison."""
        self.patients: dict[str, Millis] = {}
        """Each patient's first score."""
        self.first_time: Millis | None = None
        self.last_time: Millis = 0
        self.feedback: deque[Judgement] = deque(maxlen=FEEDBACK_KEPT_MAX)
        """What clinicians thought of alerts, the newest last: beside the examples, and in no label."""
        self.judged: Counter[str] = Counter()
        """All of it, by verdict."""
        self.joiner = LabelJoiner(definition.horizon_h * MILLIS_PER_HOUR, definition.kinds)
        self._definition = definition
        self._hold_out_from = hold_out_from
        self._absorbed: dict[str, list[str]] = {}

    def scored(self, patient: str, at: Millis, vector: list[float]) -> None:
        """Hear of a score."""
        self._learn(at)
        self.first_time = at if self.first_time is None else self.first_time
        self.last_time = at
        self.patients.setdefault(patient, at)
        self.said = said = self.prequential.learner.predict_proba_one(vector)
        self.joiner.scored(patient, at, (*vector, nan if said is None else said))

    def happened(self, envelope: Envelope) -> None:
        """Hear of what happened to a patient; and so to every record that was merged into theirs."""
        received = envelope.received_time
        for event in envelope.events:
            if type(event) is Observation:
                continue
            if type(event) is Merge:
                absorbed = self._absorbed.setdefault(envelope.patient, [])
                absorbed += [event.retired, *self._absorbed.pop(event.retired, [])]
                continue
            if type(event) is Feedback:
                self._hear(envelope.patient, event)
            if type(event) is Unmerge:
                absorbed = self._absorbed.get(envelope.patient, [])
                self._absorbed[envelope.patient] = [key for key in absorbed if key != event.restored]
                continue
            for patient in (envelope.patient, *self._absorbed.get(envelope.patient, ())):
                self._note(patient, event, received)

    def _hear(self, patient: str, event: Feedback) -> None:
        """Keep what a clinician thought of an alert."""
        self.judged[event.verdict] += 1
        self.feedback.append(Judgement(patient, event.alert_id, event.event_time, event.verdict, event.reason))

    def _note(self, patient: str, event: Event, received: Millis) -> None:
        joiner = self.joiner
        if type(event) is Admission:
            joiner.admitted(patient, event.event_time, received)
        elif type(event) is Discharge or (type(event) is Cancellation and event.cancelled == "admission"):
            joiner.discharged(patient, event.event_time, received)
        elif type(event) is Acknowledgement or (type(event) is Feedback and event.verdict == "agree"):
            # Marked, not labelled: whoever takes an alert changes what happens next.
            joiner.acted(patient, event.event_time)
        outcome = outcome_of(event, self._definition)
        if outcome is not None:
            joiner.outcome(patient, outcome, received)

    def finish(self) -> None:
        """Let the horizon of the last score pass."""
        self._learn(self.last_time + self.joiner.horizon_ms + self.joiner.settle_ms + 1)

    def _learn(self, now: Millis) -> None:
        """Evaluate what was said of each matured example, then learn it."""
        border = self._hold_out_from
        for example in self.joiner.advance(now):
            vector, said = example.vector[:-1], example.vector[-1]
            probability = None if said != said else said  # noqa: PLR0124 - NaN where nothing could be said
            if border is not None and example.at >= border:
                if self.patients[example.patient] >= border:
                    self.hold_out.add(probability, label=example.label, group=example.patient)
                    self.held_back.hold(vector, probability, label=example.label, patient=example.patient)
                continue
            self.prequential.accumulator.add(probability, label=example.label, group=example.patient)
            if probability is not None:  # The same rows: where the learner could say nothing, NEWS2 is not asked.
                total = vector[NEWS2_TOTAL_AT]
                score = 0.0 if total != total else total / NEWS2_MAX  # noqa: PLR0124 - NaN where nothing was there
                self.news2.add(score, label=example.label, group=example.patient)
            if border is None or example.matured_at < border:
                refusal = self.prequential.learner.learn_one(vector, example.label)
                if border is None:
                    self.held_back.hold(vector, probability, label=example.label, patient=example.patient)
                elif not refusal:
                    self.held_back.learn(vector, label=example.label)


NEWS2_TOTAL_AT = CLINICAL_INPUTS.names.index("news2.total")
NEWS2_MAX = 20.0
