"""Rows and their labels: what was known at each score waits for its outcome, with the facts of its patient.

Owns that join, for who exports rows (stream/rows.py) and for who weighs versions on them as they come
(stream/live/contest.py): the two have the same rows of the same records. Must not know what a row's numbers mean.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from events import Envelope, Millis
from models.labels import Example
from stream.facts import UNKNOWN, Facts, Known, PatientFacts
from stream.outcomes import JoinState, OutcomeDefinition, OutcomeJoin

WORDS_MAX = 4_096
"""Distinct wards and sexes that get a number; the rest are unknown. A hospital has some hundreds of wards."""
BESIDE = 2 + len(PatientFacts.__struct_fields__)
"""Numbers that wait with a row: its patient's, its own, and those of the facts."""


class TrainingRow(msgspec.Struct, frozen=True, gc=False):
    """One labelled row."""

    vector: tuple[float, ...]
    """As it was heard: in the order of `LEARNING_INPUTS`, NaN where unknown, or what the contest keeps of it."""
    label: bool
    at: Millis
    matured_at: Millis
    after_action: bool
    patient: int
    """Counted by first score."""
    row: int
    """Counted over all scores of the run, those without a label too."""
    facts: PatientFacts


class RecorderState(msgspec.Struct, frozen=True):
    """All that a recorder knows, as plain values; for MessagePack: a number may be NaN."""

    counts: tuple[int, int, int, int]
    """Rows, positive ones, scores, patients."""
    times: tuple[Millis, Millis]
    join: JoinState
    facts: dict[str, Known]
    patients: dict[str, int]
    words: list[str]
    held: list[Example]


class RowRecorder:
    """A `stream.scoring.Learner` that learns nothing: it joins rows with labels and gives them in learning order.

    `keep` is given rows in the order of (matured_at, at, patient), some at a time. Patients are numbered by their first
    score; where `patients_max` is given, the one who was scored first is forgotten past it, and counts anew.

    >>> kept: list[TrainingRow] = []
    >>> recorder = RowRecorder(OutcomeDefinition(settle_min=0), kept.extend)
    >>> recorder.scored("p", 0, [0.0]); recorder.finish()
    >>> [(row.label, row.patient, row.matured_at // 3_600_000) for row in kept]
    [(False, 0, 12)]
    """

    def __init__(
        self,
        definition: OutcomeDefinition,
        keep: Callable[[list[TrainingRow]], None],
        *,
        patients_max: int | None = None,
    ) -> None:
        self.join = OutcomeJoin(definition)
        self.facts = Facts()
        self.rows = 0
        self.positives = 0
        self.scores = 0
        self._keep = keep
        self.patients = 0
        """How many patients were scored."""
        self._patients: dict[str, int] = {}
        self._patients_max = patients_max
        self._words: list[str] = [UNKNOWN]
        self._numbers: dict[str, int] = {UNKNOWN: 0}
        self._held: list[Example] = []
        self._clock: Millis = 0
        self._given: Millis = 0

    def scored(
        self,
        patient: str,
        at: Millis,
        vector: list[float],
        probability: float | None = None,  # noqa: ARG002 - what was said is no input
        version: str = "",  # noqa: ARG002 - likewise
    ) -> None:
        """Hear of a score's row."""
        self._advance(at)
        number, facts = self.number_of(patient), self.facts.of(patient)
        beside = (number, self.scores, *(self._number(word) for word in msgspec.structs.astuple(facts)))
        self.scores += 1
        self.join.joiner.scored(patient, at, (*vector, *map(float, beside)))

    def happened(self, envelope: Envelope) -> None:
        """Hear of what happened to a patient."""
        self._clock = max(envelope.received_time, self._clock)
        self.facts.hear(envelope)
        self.join.happened(envelope)

    def finish(self) -> None:
        """Let the horizon of the last score pass."""
        joiner = self.join.joiner
        end = self._clock + joiner.horizon_ms + joiner.settle_ms + 1
        self._advance(end)
        self._advance(end + 1)

    def number_of(self, patient: str) -> int:
        """Give a patient's number: by the first score, or the first time it is asked for."""
        number = self._patients.get(patient)
        if number is None:
            number = self._patients[patient] = self.patients
            self.patients += 1
            if self._patients_max is not None and len(self._patients) > self._patients_max:
                del self._patients[next(iter(self._patients))]
        return number

    def _number(self, word: str) -> int:
        number = self._numbers.get(word)
        if number is None:
            if len(self._words) >= WORDS_MAX:
                return 0
            number = self._numbers[word] = len(self._words)
            self._words.append(word)
        return number

    def _advance(self, now: Millis) -> None:
        """Give out what matured before now: of the present instant more may come, which belongs between."""
        self._clock = now = max(now, self._clock)
        self._held += self.join.joiner.advance(now)
        due = [example for example in self._held if example.matured_at < now]
        if not due:
            return
        self._held = [example for example in self._held if example.matured_at >= now]
        rows = [self._row(example) for example in due]
        rows.sort(key=lambda row: (row.matured_at, row.at, row.patient))
        self._given = rows[-1].matured_at
        self.rows += len(rows)
        self.positives += sum(row.label for row in rows)
        self._keep(rows)

    def _row(self, example: Example) -> TrainingRow:
        patient, number, *words = map(int, example.vector[-BESIDE:])
        return TrainingRow(
            example.vector[:-BESIDE],
            example.label,
            example.at,
            # Of a log whose records come out of order: never before what has been given out already.
            max(example.matured_at, self._given),
            example.after_action,
            patient,
            number,
            PatientFacts(*(self._words[word] for word in words)),
        )

    def state(self) -> RecorderState:
        """Give all it knows; it goes on, and what was given changes with it: encode it at once."""
        counts = (self.rows, self.positives, self.scores, self.patients)
        times = (self._clock, self._given)
        join, facts = self.join.state(), self.facts.state()
        return RecorderState(counts, times, join, facts, self._patients, self._words, self._held)

    def restore(self, state: RecorderState) -> None:
        """Go on from a state of a recorder of the same definition, alike."""
        self.rows, self.positives, self.scores, self.patients = state.counts
        self._clock, self._given = state.times
        self.join.restore(state.join)
        self.facts.restore(state.facts)
        self._patients, self._words, self._held = state.patients, state.words, state.held
        self._numbers = {word: number for number, word in enumerate(state.words)}
