"""A hospital made for contests: patients at a known risk, whom each version sees through more or less noise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from events import Admission, Discharge, Envelope, Location, Millis, Outcome, content_id
from models.figures.recalibration import logistic_recalibration
from models.inputs import LEARNING_INPUTS, schema_hash_of
from models.scorer import Scorer
from models.version import ENSEMBLE_FORMAT, Lineage, ModelVersion
from models.weights import Crossed, Ensemble
from stream.candidates import outcome_name
from stream.live.beside import Beside
from stream.live.examples import Happened, Scored, happened, scored
from stream.outcomes import OutcomeDefinition

HOUR = 3_600_000
START = 1_767_225_600_000
DEFINITION = OutcomeDefinition()
ROWS_A_PATIENT = 6
WIDTH = len(LEARNING_INPUTS.names)
NEWS2_AT, AGE_AT = LEARNING_INPUTS.names.index("news2.total"), LEARNING_INPUTS.names.index("age_years")
CHAMPION_AT, CHALLENGER_AT = 0, 1
"""The inputs by which either sees the risk."""
NOISE = {CHAMPION_AT: 0.8, CHALLENGER_AT: 0.3}
REACH = 8.0
"""What a version sees is linear to there."""
KNOWN = {
    "outcome": outcome_name(DEFINITION), "data_digest": "d" * 64, "code_commit": "c0ffee", "lock_digest": "10cc",
    "configuration_hash": "sha256:0",
}  # fmt: skip


def version(
    at: int, slope: float = 1.0, intercept: float = 0.0, *, learned_until: Millis | None = START, made: int = 0
) -> ModelVersion:
    """Give a version that says the log-odds `intercept + slope * row[at]`."""
    none: tuple[tuple[float, ...], ...] = ((),) * WIDTH
    knots = tuple((-REACH, REACH) if place == at else () for place in range(WIDTH))
    additive = tuple((0.0, -REACH * slope, REACH * slope) if place == at else (0.0,) for place in range(WIDTH))
    part = Crossed(knots, additive, (), none, (), bias=intercept)
    lineage = Lineage(
        "examples.v1", 20_000, 2_400, first_time=START - 1_000 * HOUR, last_time=START - HOUR, patients=3_000,
        outcome_kinds=DEFINITION.kinds, code_version="0.test", learned_until=learned_until,
        note=f"made {made}", **KNOWN,
    )  # fmt: skip
    return ModelVersion(
        inputs=LEARNING_INPUTS, schema_hash=schema_hash_of(LEARNING_INPUTS), ensemble=Ensemble(part, None, (1.0, 0.0)),
        horizon_h=12, threshold=0.3, threshold_release=0.2, cost_of_miss=9.0, lineage=lineage, river_version="",
        format=ENSEMBLE_FORMAT,
    )  # fmt: skip


def hospital(
    patients: int = 300, seed: int = 3, *, champion: ModelVersion | None = None, first: int = 0
) -> Iterator[Scored | Happened]:
    """Give examples in the order of time: six hourly scores each, then death soon after, or a discharge a day later.

    Some 12 % deteriorate. The champion, where one is given, says what its scorer says.
    """
    scorer = None if champion is None else Scorer(champion)
    timed: list[tuple[Millis, int, Scored | Happened]] = []
    draw = np.random.default_rng(seed)
    risk = -2.6 + 1.3 * draw.normal(size=patients)
    sick = draw.random(patients) < 1 / (1 + np.exp(-risk))
    seen = {
        CHAMPION_AT: risk + 0.8 * draw.normal(size=patients),
        CHALLENGER_AT: risk + 0.3 * draw.normal(size=patients),
    }
    for number in range(patients):
        patient, begin = content_id("contest", str(seed), str(number)), START + (first + number) * HOUR
        ward = Location(f"W{number % 2}")
        told = happened(Envelope(content_id("in", patient), patient, begin, begin, (Admission(begin, ward),)))
        assert told is not None
        timed.append((begin, 0, told))
        for hour in range(ROWS_A_PATIENT):
            row = np.round(draw.normal(size=WIDTH), 2).astype(np.float32)
            for at, column in seen.items():
                row[at] = column[number] + 0.05 * draw.normal()
            row[NEWS2_AT], row[AGE_AT] = draw.integers(0, 4) + 5 * sick[number], 30 + number % 60
            at_time, vector = begin + hour * HOUR + 60_000, [float(value) for value in row]
            said = None if scorer is None else scorer.score(vector, explain=False).probability
            name = "" if champion is None else champion.version
            timed.append((at_time, 1, scored(patient, at_time, vector, said, name)))
        end = begin + (8 if sick[number] else 26) * HOUR
        event = Outcome(end, "death") if sick[number] else Discharge(end)
        told = happened(Envelope(content_id("end", patient), patient, end, end, (event,)))
        assert told is not None
        timed.append((end, 0, told))
    for _at, _kind, example in sorted(timed, key=lambda one: (one[0], one[1], one[2].example_id)):
        yield example


def calibrated(at: int, *, made: int = 0, learned_until: Millis | None = START, flipped: bool = False) -> ModelVersion:
    """Give a version of an input that keeps what it promises in such hospitals; `flipped`, the contrary of it."""
    draw = np.random.default_rng(17)
    risk = -2.6 + 1.3 * draw.normal(size=40_000)
    seen = risk + NOISE[at] * draw.normal(size=len(risk))
    labels = draw.random(len(risk)) < 1 / (1 + np.exp(-risk))
    line = logistic_recalibration(labels, 1 / (1 + np.exp(-seen)))
    assert line is not None
    assert line.slope is not None
    assert line.intercept is not None
    slope, intercept = (line.slope, line.intercept) if not flipped else (-line.slope, -line.intercept - 2 * 2.6)
    return version(at, slope, intercept, learned_until=learned_until, made=made)


def tell(fold: Beside, examples: list[Scored | Happened]) -> None:
    """Let a fold hear examples, as the learner's process does."""
    for one in examples:
        if isinstance(one, Scored):
            vector = [float("nan") if value is None else value for value in one.vector]
            fold.scored(one.patient, one.at, vector, one.probability, one.version)
        else:
            fold.happened(one.envelope)
