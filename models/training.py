"""Training: examples in their order in, a frozen version out; and predicting before learning on the way.

Owns the prequential run and the freezing of a learner into a version. Must not know where examples come from, files, or
whether the version will ever be used. Nothing is drawn at random, so a version's id follows from its examples alone.

Why prequential (predict, then learn, on each example as it matures): every figure is on data the model had not seen, in
the order it would have met it (Gama, Sebastiao and Rodrigues 2013). `labels.LabelJoiner` gives the order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from models.evaluation import Accumulator
from models.holding import HeldBack
from models.inputs import CLINICAL_INPUTS, SCHEMA_HASH
from models.labels import Example
from models.learning import LEARNING_RATE, Learner
from models.rows import Inputs
from models.version import Lineage, ModelVersion

HORIZON_H = 12
"""The default outcome window (clinical.md, "Outcomes")."""

COST_OF_MISS = 25.0
"""One missed deterioration weighs as many false alarms, unless the ward declares otherwise: near the workload accepted
by programmes that lowered mortality (Kaiser AAM, NEJM 2020, set theirs at about one alert in 35 patient-days)."""

RELEASE_SHARE = 0.7
"""Hysteresis: an episode has passed when its probability is below this share of the threshold."""

POSITIVES_MIN = 10
"""With fewer outcomes than this no figure of a version means anything, and no version is made."""


class TooFewExamplesError(ValueError):
    """The examples hold too few outcomes to train on: the operator's data, not our code."""


def threshold_of(cost_of_miss: float) -> float:
    """Give the probability at which telling costs as much as staying silent, for a calibrated model.

    A false alarm costs 1. Silence costs p * cost_of_miss, telling 1 - p (Elkan 2001).

    >>> threshold_of(24.0)
    0.04
    """
    return 1.0 / (1.0 + cost_of_miss)


class Prequential:
    """A run that predicts each example before it learns from it.

    >>> run = Prequential(Learner(Inputs(("x",)), base_rate=0.5))
    >>> for i in range(200):
    ...     _ = run.learn(Example(str(i), i, (float(i % 2),), i % 2 == 1, i + 1))
    >>> run.accumulator.figures().auroc > 0.9
    True
    """

    def __init__(self, learner: Learner, *, learn_after_action: bool = True) -> None:
        self.learner = learner
        self.accumulator = Accumulator()
        self.refused: dict[str, int] = {}
        """Examples that were not learned, by reason."""
        self._learn_after_action = learn_after_action

    def learn(self, example: Example) -> float | None:
        """Predict, note the prediction with its outcome, learn; gives the probability from before learning.

        With `learn_after_action` false an example in whose window somebody acted on an alert is left out: what the
        alert prevented would be learned as harmless (clinical.md, "Outcomes").
        """
        if example.after_action and not self._learn_after_action:
            self._refuse("after_action")
            return None
        probability = self.learner.predict_proba_one(example.vector)
        self.accumulator.add(probability, label=example.label, group=example.patient)
        refusal = self.learner.learn_one(example.vector, example.label)
        if refusal:
            self._refuse(refusal)
        return probability

    def _refuse(self, reason: str) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1


def freeze(
    learner: Learner,
    lineage: Lineage,
    *,
    horizon_h: int = HORIZON_H,
    cost_of_miss: float = COST_OF_MISS,
    schema_hash: str = SCHEMA_HASH,
) -> ModelVersion:
    """Freeze what a learner knows now into a version; rows and positives of the lineage are the learner's own."""
    state = learner.state()
    threshold = threshold_of(cost_of_miss)
    return ModelVersion(
        inputs=state.inputs,
        schema_hash=schema_hash,
        means=state.means,
        deviations=tuple(variance**0.5 for variance in state.variances),
        weights=state.weights,
        intercept=state.intercept,
        clip_sd=state.clip_sd,
        horizon_h=horizon_h,
        threshold=threshold,
        threshold_release=threshold * RELEASE_SHARE,
        cost_of_miss=cost_of_miss,
        lineage=msgspec.structs.replace(lineage, rows=state.rows, positives=state.positives),
        river_version=state.river_version,
    )


def train(
    examples: Iterable[tuple[Sequence[float | None], bool]],
    lineage: Lineage,
    *,
    inputs: Inputs = CLINICAL_INPUTS,
    horizon_h: int = HORIZON_H,
    cost_of_miss: float = COST_OF_MISS,
    schema_hash: str = SCHEMA_HASH,
    learning_rate: float = LEARNING_RATE,
    passes: int = 1,
) -> ModelVersion:
    """Learn (vector, label) pairs in their order, evaluating prequentially, and freeze the result.

    `passes` above 1 goes over the examples again, which must then be a sequence; only the first pass is evaluated.
    Raises `TooFewExamplesError` under `POSITIVES_MIN` positives.
    """
    run = Prequential(Learner(inputs, learning_rate))
    kept = list(examples) if passes > 1 else examples
    for number, (vector, label) in enumerate(kept):
        known = tuple(float("nan") if value is None else float(value) for value in vector)
        run.learn(Example(str(number), number, known, label, number))
    for _ in range(1, passes):
        for vector, label in kept:
            run.learner.learn_one(vector, label)
    return finish(run, lineage, horizon_h=horizon_h, cost_of_miss=cost_of_miss, schema_hash=schema_hash)


def finish(
    run: Prequential,
    lineage: Lineage,
    *,
    horizon_h: int = HORIZON_H,
    cost_of_miss: float = COST_OF_MISS,
    schema_hash: str = SCHEMA_HASH,
    held_back: HeldBack | None = None,
) -> ModelVersion:
    """Freeze a prequential run, its figures in the lineage; raises `TooFewExamplesError`.

    `held_back` are the rows it did not learn: what the version's likeness and its intervals rest on.
    """
    figures = run.accumulator.figures()
    if figures.positives < POSITIVES_MIN:
        raise TooFewExamplesError(f"{figures.positives} positives among {figures.rows} rows, need {POSITIVES_MIN}")
    measured: dict[str, float | int | None] = {
        f"prequential_{name}": round(value, FIGURE_DECIMALS) if isinstance(value, float) else value
        for name, value in msgspec.structs.asdict(figures).items()
    }
    summaries = None if held_back is None else held_back.summaries(threshold_of(cost_of_miss))
    if summaries is not None:
        measured |= summaries.measured
    version = freeze(
        run.learner,
        msgspec.structs.replace(lineage, evaluation={**lineage.evaluation, **measured}),
        horizon_h=horizon_h,
        cost_of_miss=cost_of_miss,
        schema_hash=schema_hash,
    )
    if summaries is None:
        return version
    return msgspec.structs.replace(version, likeness=summaries.likeness, venn=summaries.venn)


FIGURE_DECIMALS = 4
"""Figures are recorded to four digits: beyond their own sampling error, and equal on every machine."""
