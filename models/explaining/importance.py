"""What a version listens to on the whole: how far each input moves its scores, and which way at which value.

Owns both summaries of a version as data. Must not know how they are shown (models/card.py). Importance is measured on
reference rows when the version is frozen and travels with it; dependence follows from the weights and the background
alone, so a card can be written from the version.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import numpy as np

from models.explaining.background import Background, without_rows
from models.explaining.shapley import Shapley
from models.version import ModelVersion
from models.weights import Ensemble, Matrix

ROWS_MEASURED = 500
"""So many of the reference rows are explained, evenly spread: half a second, and a mean good to some hundredths."""

IMPORTANCE_DECIMALS = 6
"""As contributions are told."""


class Bin(msgspec.Struct, frozen=True):
    """What values in (low, high] do to the log-odds where they alone are known."""

    low: float
    high: float
    log_odds: float


class Dependence(msgspec.Struct, frozen=True):
    """The partial dependence of the log-odds on one input, from `Shapley.base` (Friedman 2001)."""

    name: str
    unknown: float
    bins: tuple[Bin, ...]

    @property
    def span(self) -> float:
        """From the lowest to the highest that it does, in log-odds."""
        found = [self.unknown, *(one.log_odds for one in self.bins)]
        return max(found) - min(found)


def importance_of(weights: Ensemble, background: Background, matrix: Matrix) -> tuple[float, ...]:
    """Give each input's mean absolute contribution over rows of shape (rows, inputs); there must be one at least.

    >>> from models.explaining.background import background_of
    >>> from models.weights import Crossed
    >>> line = Ensemble(Crossed(((0.0, 2.0),), ((0.0, 0.0, 1.0),), (), ((),), (), 0.0), None, (1.0, 0.0))
    >>> rows = np.array([[0.0], [2.0]])
    >>> importance_of(line, background_of(line, rows), rows)
    (0.5,)
    """
    assert len(matrix), "of no row there is no mean"
    shapley = Shapley(weights, background, matrix.shape[1])
    every = max(1, math.ceil(len(matrix) / ROWS_MEASURED))
    rows = matrix[::every].tolist()
    total = np.zeros(matrix.shape[1])
    for row in rows:
        total += np.abs(shapley.contributions(row))
    return tuple(round(float(one), IMPORTANCE_DECIMALS) for one in total / len(rows))


def dependences(version: ModelVersion, names: Sequence[str] = ()) -> tuple[Dependence, ...]:
    """Give the partial dependence on each input named (on all, where none is), in the order of the version's inputs.

    The version must be an ensemble's. Bins end where a line bends or a cell or a tree parts.
    """
    weights, inputs = version.ensemble, version.inputs.names
    assert weights is not None, "a logistic is told by its weights"
    shapley = Shapley(weights, version.background or without_rows(weights), len(inputs))
    return tuple(
        _dependence(name, place, shapley, edges_of(weights, place))
        for place, name in enumerate(inputs)
        if not names or name in names
    )


def edges_of(weights: Ensemble, place: int) -> list[float]:
    """Give the values at which an input's effect changes, ascending.

    >>> from models.checks_ensemble import random_ensemble
    >>> edges = edges_of(random_ensemble(1, 3), 0)
    >>> edges == sorted(set(edges))
    True
    """
    edges: set[float] = set()
    if weights.crossed is not None:
        edges.update(weights.crossed.knots[place])
        if any(place in pair for pair in weights.crossed.pairs):
            edges.update(weights.crossed.cuts[place])
    if weights.trees is not None:
        cuts = weights.trees.cuts[place]
        for tree in weights.trees.trees:
            asked = zip(tree.feature, tree.code, strict=True)
            edges.update(cuts[code - 1] for feature, code in asked if feature == place and code <= len(cuts))
    return sorted(edges)


def _dependence(name: str, place: int, shapley: Shapley, edges: Sequence[float]) -> Dependence:
    if not edges:
        unknown, known = shapley.alone(place, [math.nan, 0.0])
        return Dependence(name, unknown, (Bin(-math.inf, math.inf, known),))
    # A bin is told by its middle, the lowest by the edge that belongs to it, the highest by what is just above.
    middles = [edges[0], *((low + high) / 2.0 for low, high in pairwise(edges)), math.nextafter(edges[-1], math.inf)]
    unknown, *parts = shapley.alone(place, [math.nan, *middles])
    bounds = zip((-math.inf, *edges), (*edges, math.inf), parts, strict=True)
    return Dependence(name, unknown, tuple(Bin(low, high, part) for low, high, part in bounds))
