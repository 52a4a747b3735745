"""The learner's fold: scores and what happened later become examples, evaluated before they are learned.

Owns the join of the pipeline's vectors with outcomes, by a definition of what an outcome is. Must not know alerts or
transport. Scoring never learns: this fold hears of scores and is heard by nobody until a version is promoted.
"""

from __future__ import annotations

import msgspec

from events import MILLIS_PER_HOUR, Admission, Cancellation, Discharge, Envelope, Millis, Outcome, Transfer
from models.evaluation import Accumulator
from models.inputs import CLINICAL_INPUTS
from models.labels import DEFAULT_KINDS, Example, LabelJoiner
from models.learning import Learner
from models.training import HORIZON_H, Prequential


class OutcomeDefinition(msgspec.Struct, frozen=True):
    """What deterioration means here: clinical.md's default composite, by configuration."""

    kinds: tuple[str, ...] = DEFAULT_KINDS
    horizon_h: int = HORIZON_H
    critical_care_wards: frozenset[str] = frozenset()
    """A transfer to one of these is an outcome; an admission straight to one is not."""


class LearnerFold:
    """Hears scores and events in log order; learns each example as it matures.

    `hold_out_after` stops learning from that time on: what matures of later scores is only evaluated.
    """

    def __init__(self, definition: OutcomeDefinition, hold_out_after: Millis | None = None) -> None:
        self.prequential = Prequential(Learner(CLINICAL_INPUTS))
        self.hold_out = Accumulator()
        self.news2 = Accumulator()
        """The same rows scored by NEWS2's total, for comparison."""
        self.patients: set[str] = set()
        self.first_time: Millis | None = None
        self.last_time: Millis = 0
        self.joiner = LabelJoiner(definition.horizon_h * MILLIS_PER_HOUR, definition.kinds)
        self._definition = definition
        self._hold_out_after = hold_out_after

    def scored(self, patient: str, at: Millis, vector: list[float]) -> None:
        """Hear of a score."""
        self.first_time = at if self.first_time is None else self.first_time
        self.last_time = at
        self.patients.add(patient)
        self.joiner.scored(patient, at, vector)
        self._learn(at)

    def happened(self, envelope: Envelope) -> None:
        """Hear of what happened to a patient."""
        patient, received = envelope.patient, envelope.received_time
        joiner = self.joiner
        for event in envelope.events:
            if type(event) is Outcome:
                joiner.outcome(patient, event, received)
            elif type(event) is Admission:
                joiner.admitted(patient, event.event_time, received)
            elif type(event) is Transfer:
                if event.location.ward in self._definition.critical_care_wards:
                    joiner.outcome(patient, Outcome(event.event_time, "critical_care"), received)
            elif type(event) is Discharge:
                if event.deceased:
                    joiner.outcome(patient, Outcome(event.event_time, "death"), received)
                joiner.discharged(patient, event.event_time, received)
            elif type(event) is Cancellation and event.cancelled == "admission":
                joiner.discharged(patient, event.event_time, received)

    def finish(self) -> None:
        """Let the horizon of the last score pass."""
        self._learn(self.last_time + self.joiner.horizon_ms + self.joiner.settle_ms + 1)

    def _learn(self, now: Millis) -> None:
        for example in self.joiner.advance(now):
            self._evaluate_news2(example)
            if self._hold_out_after is not None and example.at >= self._hold_out_after:
                probability = self.prequential.learner.predict_proba_one(example.vector)
                self.hold_out.add(probability, label=example.label, group=example.patient)
            else:
                self.prequential.learn(example)

    def _evaluate_news2(self, example: Example) -> None:
        total = example.vector[NEWS2_TOTAL_AT]
        score = 0.0 if total != total else total / NEWS2_MAX  # noqa: PLR0124 - NaN where nothing was there
        self.news2.add(score, label=example.label, group=example.patient)


NEWS2_TOTAL_AT = CLINICAL_INPUTS.names.index("news2.total")
NEWS2_MAX = 20.0
