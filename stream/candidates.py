"""Freezing what a learner's fold knows into a version.

Owns which form a version takes, and what of its making the fold can tell. Must not know where a version goes.
"""

from __future__ import annotations

from typing import TypeGuard

import msgspec

from models.drift.served import counts_of
from models.drift.summary import Reference, reference_of
from models.freezing import freeze_weights
from models.learners.classifier import Classifier, Weighted
from models.learners.river_logistic import RiverLogistic
from models.training import (
    COST_OF_MISS,
    FIGURE_DECIMALS,
    POSITIVES_MIN,
    Prequential,
    TooFewExamplesError,
    finish,
    threshold_of,
)
from models.version import Lineage, ModelVersion
from stream.learning import LearnerFold
from stream.outcomes import OutcomeDefinition


def outcome_name(definition: OutcomeDefinition) -> str:
    """Name what is predicted: two versions predict the same where it is equal. What is learned of it is not in it.

    >>> outcome_name(OutcomeDefinition(kinds=("sepsis",)))
    '{"critical_care_wards":[],"horizon_h":12,"kinds":["sepsis"],"planned_from_wards":[],"settle_min":60,"whole_stay":false}'
    """
    named = {name: value for name, value in msgspec.structs.asdict(definition).items() if name != "after_action"}
    return msgspec.json.Encoder(order="deterministic").encode(named).decode()


def frozen(fold: LearnerFold, lineage: Lineage) -> ModelVersion:
    """Freeze what a fold knows now; the same examples give the same version. Raises `TooFewExamplesError`.

    River's logistic makes a version of format 1 or 2, learners with weights one of format 3, whose explanations and
    monitors rest on the newest rows: each was predicted before it was learned. Rows, positives and figures of the
    lineage are the fold's.
    """
    learner = fold.prequential.learner
    horizon_h = fold.join.definition.horizon_h
    if isinstance(learner, RiverLogistic):
        run = Prequential(learner.learner)
        run.accumulator = fold.prequential.accumulator
        return finish(run, lineage, horizon_h=horizon_h, held_back=fold.held_back)
    assert _is_weighted(learner)
    figures = fold.prequential.accumulator.figures()
    if figures.positives < POSITIVES_MIN:
        raise TooFewExamplesError(f"{figures.positives} positives among {figures.rows} rows, need {POSITIVES_MIN}")
    summaries = fold.held_back.summaries(threshold_of(COST_OF_MISS))
    measured = {
        f"prequential_{name}": round(value, FIGURE_DECIMALS) if isinstance(value, float) else value
        for name, value in msgspec.structs.asdict(figures).items()
    }
    made_of = msgspec.structs.replace(
        lineage,
        rows=learner.rows,
        positives=learner.positives,
        evaluation={**lineage.evaluation, **measured, **summaries.measured},
        data_digest=fold.data_digest.hex(),
        learned_until=fold.learned_until,
        outcome=outcome_name(fold.join.definition),
    )
    rows = fold.reference.columns().matrix
    return freeze_weights(
        learner.weights(),
        learner.inputs,
        made_of,
        rows if len(rows) else None,
        horizon_h=horizon_h,
        likeness=summaries.likeness,
        venn=summaries.venn,
        monitored=_monitored(fold),
        groups=counts_of(fold.served.totals()),
    )


def _monitored(fold: LearnerFold) -> Reference | None:
    kept = fold.reference.columns()
    names = fold.prequential.learner.inputs.names
    return reference_of(names, kept.matrix, kept.patients, kept.labels, kept.probabilities)


def _is_weighted(learner: Classifier) -> TypeGuard[Weighted]:
    return hasattr(learner, "weights")
