"""The learner's fold: scores and what happened later become examples, evaluated before they are learned.

Owns the join of the pipeline's vectors with outcomes, by a definition of what an outcome is, and what must be kept to
go on from here. Must not know alerts, transport or files. Scoring never learns: this fold hears of scores and is heard
by nobody until a version is promoted.
"""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Callable
from hashlib import sha256
from math import nan
from typing import Literal

import msgspec
import numpy as np

from events import Envelope, Feedback, Millis
from models.drift.subgroups import Counts, SubgroupTally
from models.evaluation import EVALUATED_MAX, Accumulator, AccumulatorState
from models.holding import HeldBack, HeldBackState
from models.inputs import CLINICAL_INPUTS, LEARNING_INPUTS, row_spec_of
from models.labels import Example
from models.learners.classifier import Classifier, sigmoid, usable_row
from models.learners.ensemble import CrossedBoosted
from models.learners.factory import from_bytes, to_bytes
from models.learners.river_logistic import RiverLogistic
from models.training import COST_OF_MISS, threshold_of
from stream.facts import Facts, Known
from stream.outcomes import JoinState, OutcomeDefinition, OutcomeJoin
from stream.prequential import InForce, InForceState, NewestRows, Run, newest_rows
from stream.reference_rows import ReferenceRows, ReferenceRowsState

FEEDBACK_KEPT_MAX = 10_000
"""What clinicians thought of alerts that is kept whole: a large hospital's of some months. All of it is counted."""

PATIENTS_KEPT_MAX = 200_000
"""First scores remembered without a border, as many as the joiner's patients. Whoever comes back later counts anew."""

SERVED_DAYS_MAX = 91
"""Days of rows that a version's figures by group are of, the newest: a quarter, for an outcome is seldom."""
FACTS_MAX = 20_000
"""Patients whose groups are remembered: all whose labels may still come, of a very large hospital, several times."""

NOTES = 4
"""Numbers that wait with a row: what the learner said, its log-odds before calibration, and what the version in force
said, and which one that was."""


class Judgement(msgspec.Struct, frozen=True):
    """What a clinician thought of one alert: a signal of its own. It says nothing of what happened to the patient."""

    patient: str
    alert_id: str
    at: Millis
    verdict: Literal["agree", "disagree", "dismissed"]
    reason: str
    """The coded reason."""


class FoldState(msgspec.Struct, frozen=True):
    """All that a fold without a border knows, as plain values."""

    learner: bytes
    """As `models.learners.factory.to_bytes` gives it: its name and its state."""
    said: AccumulatorState
    news2: AccumulatorState
    refused: dict[str, int]
    held_back: HeldBackState
    in_force: InForceState
    reference: ReferenceRowsState
    patients: dict[str, Millis]
    patients_seen: int
    first_time: Millis | None
    last_time: Millis
    learned_until: Millis | None
    data_digest: bytes
    feedback: list[Judgement]
    judged: dict[str, int]
    join: JoinState
    facts: dict[str, Known] = {}
    served: tuple[tuple[int, str, str, Counts], ...] = ()


class LearnerFold:
    """Hears scores and events in log order; predicts at the score, learns when its outcome is known.

    That is prequential with the true delay: what is evaluated is what the learner would have said at the bedside, from
    what had matured by then. All scores of a stay that matures were so predicted before any of them is learned, and
    calibration is learned from what was said then. `hold_out_from` ends learning at that time: examples that mature
    later are not learned, and what is scored from then on is evaluated apart, of patients first scored from then on.

    `held_back` is what a version's summaries will rest on: of patients first scored from the border on; without a
    border the newest rows, with what was said of each before it was learned.
    """

    def __init__(
        self,
        definition: OutcomeDefinition,
        hold_out_from: Millis | None = None,
        *,
        learner: Classifier | None = None,
        rows_max: int = EVALUATED_MAX,
        grow: Callable[[Classifier], None] = lambda learner: learner.grow(),
    ) -> None:
        """`learner` is River's logistic on `CLINICAL_INPUTS` unless given; `rows_max` bounds the rows of the figures.

        `grow` is what is called where something of the learner is due: it must call the learner's own.
        """
        self.prequential = Run(learner or RiverLogistic(CLINICAL_INPUTS), rows_max)
        inputs = self.prequential.learner.inputs
        self.said: float | None = None
        """What was said of the newest score, before anything is learned of it."""
        self.hold_out = Accumulator()
        self.held_back = HeldBack(inputs, rolling=hold_out_from is None)
        self.news2: Accumulator = NewestRows(rows_max)
        """The prequential rows scored by NEWS2's total, for comparison."""
        self.in_force = InForce()
        """The same rows by what the version in force said of them at the time."""
        self.reference = ReferenceRows(len(inputs.names))
        self.facts = Facts(FACTS_MAX)
        """By which group each patient is counted."""
        self.served = SubgroupTally(SERVED_DAYS_MAX)
        """The reference rows by group: what a version brings of how it served each (models/drift/served.py)."""
        self._flagged_from = threshold_of(COST_OF_MISS)
        self.patients: dict[str, Millis] = {}
        """Each patient's first score; without a border of the newest alone."""
        self.patients_seen = 0
        self.first_time: Millis | None = None
        self.last_time: Millis = 0
        self.learned_until: Millis | None = None
        self.data_digest = bytes(32)
        """SHA-256 of the digest before and the row learned, row by row."""
        self.feedback: deque[Judgement] = deque(maxlen=FEEDBACK_KEPT_MAX)
        """What clinicians thought of alerts, the newest last: beside the examples, and in no label."""
        self.judged: Counter[str] = Counter()
        """All of it, by verdict."""
        self.join = OutcomeJoin(definition)
        self.joiner = self.join.joiner
        self._hold_out_from = hold_out_from
        self._rows_max = rows_max
        self._grow = grow
        self._row = row_spec_of(inputs)
        self._news2_at = inputs.names.index("news2.total") if "news2.total" in inputs.names else None

    def scored(
        self, patient: str, at: Millis, vector: list[float], probability: float | None = None, version: str = ""
    ) -> None:
        """Hear of a score; the learner's own inputs are taken out of the row of `LEARNING_INPUTS`.

        `probability` is what the version in force said, and `version` its id.
        """
        self.facts.aged(patient, vector[AGE_AT])
        vector = self._row.pick(vector)
        self._learn(at)
        self.first_time = at if self.first_time is None else self.first_time
        self.last_time = at
        if patient not in self.patients:
            self.patients[patient] = at
            self.patients_seen += 1
            if self._hold_out_from is None and len(self.patients) > PATIENTS_KEPT_MAX:
                del self.patients[next(iter(self.patients))]
        said, note = self._ask(vector)
        self.said = None if said != said else said  # noqa: PLR0124 - NaN where nothing could be said
        told = nan if probability is None else probability
        self.joiner.scored(patient, at, (*vector, said, note, told, self.in_force.number(version)))

    def _ask(self, vector: list[float]) -> tuple[float, float]:
        """Give what the learner says of a row, and the log-odds behind it that it wants back; NaN where nothing."""
        learner = self.prequential.learner
        if not isinstance(learner, CrossedBoosted):
            said = learner.predict_proba_one(vector)
            return (nan if said is None else said), nan
        # As `predict_proba_one` does, but its trees are asked once for both numbers.
        matrix, _ = usable_row(learner.inputs, vector)
        if matrix is None:
            return nan, nan
        raw = learner.raw_logits(matrix)
        line = learner.calibrator
        return float(sigmoid(line.intercept + line.slope * raw)[0]), float(raw[0])

    def happened(self, envelope: Envelope) -> None:
        """Hear of what happened to a patient; and so to every record that was merged into theirs."""
        for event in envelope.events:
            if type(event) is Feedback:
                self._hear(envelope.patient, event)
        self.facts.hear(envelope)
        self.join.happened(envelope)

    def _hear(self, patient: str, event: Feedback) -> None:
        """Keep what a clinician thought of an alert."""
        self.judged[event.verdict] += 1
        self.feedback.append(Judgement(patient, event.alert_id, event.event_time, event.verdict, event.reason))

    def finish(self) -> None:
        """Let the horizon of the last score pass."""
        self._learn(self.last_time + self.joiner.horizon_ms + self.joiner.settle_ms + 1)

    def _learn(self, now: Millis) -> None:
        """Evaluate what was said of each matured example, then learn it."""
        border = self._hold_out_from
        for example in self.joiner.advance(now):
            vector, (said, note, told, number) = example.vector[:-NOTES], example.vector[-NOTES:]
            probability, label, patient = _known(said), example.label, example.patient
            if border is not None and example.at >= border:
                if self.patients[patient] >= border:
                    self.hold_out.add(probability, label=label, group=patient)
                    self.held_back.hold(vector, probability, label=label, patient=patient)
                continue
            self._evaluate(example, vector, probability)
            self.in_force.add(int(number), _known(told), label=label, group=patient)
            if example.after_action and self.join.definition.after_action == "leave_out":
                self.prequential.refuse("after_action")
                continue
            if border is None or example.matured_at < border:
                refusal = self._take(example, vector, note)
                if border is None:
                    self.held_back.hold(vector, probability, label=label, patient=patient)
                elif not refusal:
                    self.held_back.learn(vector, label=label)

    def _evaluate(self, example: Example, vector: tuple[float, ...], probability: float | None) -> None:
        """Note what the learner said, and NEWS2 beside it: where the learner could say nothing, NEWS2 is not asked."""
        label, patient = example.label, example.patient
        self.prequential.accumulator.add(probability, label=label, group=patient)
        if probability is None:
            return
        total = nan if self._news2_at is None else vector[self._news2_at]
        score = 0.0 if total != total else total / NEWS2_MAX  # noqa: PLR0124 - NaN where nothing was there
        self.news2.add(score, label=label, group=patient)
        if self._hold_out_from is None and self.reference.add(
            vector, probability, label=label, patient=patient, at=example.at
        ):
            groups = self.facts.groups_of(patient, example.at)
            self.served.label(
                example.matured_at, groups, probability, label=label, flagged=probability >= self._flagged_from
            )

    def _take(self, example: Example, vector: tuple[float, ...], note: float) -> str:
        """Learn one example, and grow what is due: before the next one, or a replay would give other bits."""
        run = self.prequential
        refusal = run.learner.learn_one(vector, example.label, _known(note))
        run.refuse(refusal)
        if not refusal:
            row = array("d", (*vector, example.label)).tobytes()
            self.data_digest = sha256(self.data_digest + row).digest()
            self.learned_until = max(example.matured_at, self.learned_until or 0)
        while run.learner.due():
            self._grow(run.learner)
        return refusal

    # -- going on ---------------------------------------------------------------------------------------------------

    def state(self) -> FoldState:
        """Give all it knows; it goes on, and what was given changes with it: encode it at once."""
        assert self._hold_out_from is None, "a run with a border is finished in one go"
        return FoldState(
            learner=to_bytes(self.prequential.learner),
            said=self.prequential.accumulator.state(),
            news2=self.news2.state(),
            refused=self.prequential.refused,
            held_back=self.held_back.state(),
            in_force=self.in_force.state(),
            reference=self.reference.state(),
            patients=self.patients,
            patients_seen=self.patients_seen,
            first_time=self.first_time,
            last_time=self.last_time,
            learned_until=self.learned_until,
            data_digest=self.data_digest,
            feedback=list(self.feedback),
            judged=dict(self.judged),
            join=self.join.state(),
            facts=self.facts.state(),
            served=self.served.state(),
        )

    @classmethod
    def restored(
        cls,
        definition: OutcomeDefinition,
        state: FoldState,
        *,
        rows_max: int = EVALUATED_MAX,
        grow: Callable[[Classifier], None] = lambda learner: learner.grow(),
    ) -> LearnerFold:
        """Go on from a state of a fold of the same definition: the two are alike from here on, bit for bit.

        Raises `ValueError` for a state that no fold gave.
        """
        fold = cls(definition, learner=from_bytes(state.learner), rows_max=rows_max, grow=grow)
        inputs = fold.prequential.learner.inputs
        fold.prequential.accumulator = newest_rows(state.said, rows_max)
        fold.prequential.refused = state.refused
        fold.news2 = newest_rows(state.news2, rows_max)
        fold.held_back = HeldBack.restored(inputs, state.held_back)
        fold.in_force = InForce.restored(state.in_force)
        fold.reference = ReferenceRows.restored(len(inputs.names), state.reference)
        fold.patients, fold.patients_seen = state.patients, state.patients_seen
        fold.first_time, fold.last_time = state.first_time, state.last_time
        fold.learned_until, fold.data_digest = state.learned_until, state.data_digest
        fold.feedback.extend(state.feedback)
        fold.judged.update(state.judged)
        fold.join.restore(state.join)
        fold.facts.restore(state.facts)
        fold.served = SubgroupTally.restored(state.served, SERVED_DAYS_MAX)
        return fold


def state_digest(state: FoldState) -> str:
    """Name a state by its content: what a fold knows, bit for bit.

    >>> state_digest(LearnerFold(OutcomeDefinition()).state()) == state_digest(LearnerFold(OutcomeDefinition()).state())
    True
    """
    return sha256(msgspec.msgpack.encode(state)).hexdigest()


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


AGE_AT = LEARNING_INPUTS.names.index("age_years")
NEWS2_TOTAL_AT = LEARNING_INPUTS.names.index("news2.total")
"""In the row that is heard."""
NEWS2_MAX = 20.0
