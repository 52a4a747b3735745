"""Freezing weights into a version: with what they are explained against, and what is recommended for their use.

Owns what belongs together in a version of format 3. Must not know how weights are learned (`Weighted.weights` of
models/learners/classifier.py gives them), nor where rows come from. Nothing is drawn at random.
"""

from __future__ import annotations

import numpy as np

from models.drift.served import GroupCounts
from models.drift.summary import Reference
from models.explaining.background import background_of
from models.explaining.importance import importance_of
from models.inputs import schema_hash_of
from models.likeness import Likeness
from models.rows import Inputs
from models.training import COST_OF_MISS, HORIZON_H, RELEASE_SHARE, threshold_of
from models.venn import VennTable
from models.version import ENSEMBLE_FORMAT, Lineage, ModelVersion
from models.weights import Ensemble, Matrix

ROWS_COUNTED_MAX = 20_000
"""Reference rows that are counted, evenly spread: shares to half a percent, within two seconds."""


def freeze_weights(
    weights: Ensemble,
    inputs: Inputs,
    lineage: Lineage,
    rows: Matrix | None,
    *,
    horizon_h: int = HORIZON_H,
    cost_of_miss: float = COST_OF_MISS,
    schema_hash: str = "",
    likeness: Likeness | None = None,
    venn: VennTable | None = None,
    monitored: Reference | None = None,
    groups: tuple[GroupCounts, ...] = (),
) -> ModelVersion:
    """Freeze weights over `inputs` into a version.

    `rows` are the reference of its explanations: recent rows of shape (rows, inputs), NaN where unknown, of patients as
    they come; best those held back. Without any, its scores are explained from no population. `groups` are counts of
    rows that were scored before they were learned. `schema_hash` is this release's unless given; raises
    `UnknownInputError` where it does not compute the inputs.

    >>> from models.checks_ensemble import random_ensemble, random_rows
    >>> inputs = Inputs(("age_years", "lactate.last"))
    >>> made = freeze_weights(random_ensemble(1, 2), inputs, Lineage("example", 0, 0), random_rows(1, 2, 300))
    >>> made.background.rows, len(made.importance), made.threshold > made.threshold_release
    (300, 2, True)
    """
    background = None
    importance: tuple[float, ...] = ()
    if rows is not None and len(rows):
        counted = np.asarray(rows, dtype=np.float64)[:: max(1, -(-len(rows) // ROWS_COUNTED_MAX))]
        background = background_of(weights, counted)
        importance = importance_of(weights, background, counted)
    threshold = threshold_of(cost_of_miss)
    return ModelVersion(
        format=ENSEMBLE_FORMAT,
        inputs=inputs,
        schema_hash=schema_hash or schema_hash_of(inputs),
        ensemble=weights,
        background=background,
        importance=importance,
        monitored=monitored,
        groups=groups,
        horizon_h=horizon_h,
        threshold=threshold,
        threshold_release=threshold * RELEASE_SHARE,
        cost_of_miss=cost_of_miss,
        lineage=lineage,
        river_version="",
        likeness=likeness,
        venn=venn,
    )
