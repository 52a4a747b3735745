"""The laws every ensemble's arithmetic obeys, and random ensembles to try them on.

Owns both. Must not know how weights are learned. In the manner of models/checks.py: a breach raises `BrokenLawError`
with the law's words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from models.checks import BrokenLawError
from models.ensemble_scorer import EnsembleLogit
from models.explaining.background import background_of, without_rows
from models.explaining.shapley import Shapley
from models.rows import Inputs
from models.version import ENSEMBLE_FORMAT, Lineage, ModelVersion
from models.weights import Crossed, Ensemble, Matrix, Tree, Trees, codes_of, ensemble_logits, leaf_of

TOLERANCE = 1e-12
"""How far a log-odds may stand from its definition for each unit of its size: some hundreds of roundings."""


def _hold(claim: str, *, holds: bool) -> None:
    if not holds:
        raise BrokenLawError(claim)


def random_tree(draw: np.random.Generator, cuts: Sequence[Sequence[float]], leaves: int) -> Tree:
    """Draw a tree with so many leaves, split after split anywhere.

    >>> tree = random_tree(np.random.default_rng(1), ((0.0,), (0.0, 1.0)), 4)
    >>> len(tree.feature), len(tree.leaves)
    (3, 4)
    """
    left, right = [0] * (leaves - 1), [0] * (leaves - 1)
    ends: list[tuple[list[int], int]] = []
    for node in range(leaves - 1):
        if ends:
            side, parent = ends.pop(int(draw.integers(len(ends))))
            side[parent] = node
        ends += [(left, node), (right, node)]
    for leaf, (side, parent) in enumerate(ends):
        side[parent] = -1 - leaf
    feature = [int(one) for one in draw.integers(len(cuts), size=leaves - 1)]
    return Tree(
        tuple(feature),
        tuple(int(draw.integers(1, len(cuts[place]) + 2)) for place in feature),
        tuple(bool(one) for one in draw.random(leaves - 1) < 0.5),
        tuple(left),
        tuple(right),
        tuple(draw.normal(0.0, 0.05, leaves).tolist()),
    )


def random_ensemble(
    seed: int, width: int, *, trees: int = 20, leaves_max: int = 15, pairs: int = 10, edges_max: int = 6, parts: int = 3
) -> Ensemble:
    """Draw a valid ensemble; `parts` is 1 for a crossed logistic alone, 2 for trees alone, 3 for both.

    >>> from models.weights import problem_of
    >>> problem_of(random_ensemble(1, 4), 4)
    ''
    """
    draw = np.random.default_rng(seed)

    def edges() -> tuple[tuple[float, ...], ...]:
        counts = draw.integers(edges_max + 1, size=width)
        return tuple(tuple(np.sort(draw.normal(size=count)).tolist()) for count in counts)

    crossed = forest = None
    if parts & 1:
        knots, cuts = edges(), edges()
        chosen = tuple((int(a), int(b)) for a, b in draw.integers(width, size=(pairs, 2)))
        sizes = [(len(cuts[a]) + 2) * (len(cuts[b]) + 2) for a, b in chosen]
        additive = tuple(tuple(draw.normal(0.0, 0.2, len(own) + 1).tolist()) for own in knots)
        cells = tuple(tuple(draw.normal(0.0, 0.05, size).tolist()) for size in sizes)
        crossed = Crossed(knots, additive, chosen, cuts, cells, float(draw.normal(-3.0, 1.0)))
    if parts & 2:
        cuts = edges()
        grown = tuple(random_tree(draw, cuts, int(draw.integers(1, leaves_max + 1))) for _ in range(trees))
        forest = Trees(cuts, grown, float(draw.normal(-3.0, 1.0)))
    slope, intercept = float(draw.uniform(0.7, 1.3)), float(draw.normal(0.0, 0.3))
    return Ensemble(crossed, forest, (0.4, 0.6), slope, intercept)


def random_rows(seed: int, width: int, count: int) -> Matrix:
    """Draw rows with gaps, far values, and values that lie on whole numbers and so, now and then, on an edge.

    >>> random_rows(1, 3, 5).shape
    (5, 3)
    """
    draw = np.random.default_rng(seed)
    rows = draw.normal(0.0, 1.5, (count, width))
    rows[draw.random(rows.shape) < 0.1] *= 1e6
    rows[draw.random(rows.shape) < 0.3] = math.nan
    return rows


def on_the_edges(seed: int, weights: Ensemble, width: int, count: int) -> Matrix:
    """Draw rows whose known values are, half of them, edges of the ensemble's own: where left and right part."""
    draw = np.random.default_rng(seed)
    rows = random_rows(seed, width, count)
    for place in range(width):
        own = [edge for one in _edges(weights) for edge in one[place]]
        if own:
            on = draw.random(count) < 0.5
            rows[on, place] = draw.choice(own, size=int(on.sum()))
    return rows


def _edges(weights: Ensemble) -> Iterator[Sequence[Sequence[float]]]:
    if weights.crossed is not None:
        yield weights.crossed.knots
        yield weights.crossed.cuts
    if weights.trees is not None:
        yield weights.trees.cuts


def random_version(seed: int, inputs: Inputs, schema_hash: str = "", **shape: int) -> ModelVersion:
    """Draw a version of format 3, explained against 200 rows.

    >>> random_version(1, Inputs(("a", "b"))).format
    3
    """
    weights = random_ensemble(seed, len(inputs.names), **shape)
    return ModelVersion(
        format=ENSEMBLE_FORMAT,
        inputs=inputs,
        schema_hash=schema_hash,
        ensemble=weights,
        background=background_of(weights, random_rows(seed, len(inputs.names), 200)),
        horizon_h=12,
        threshold=0.04,
        threshold_release=0.03,
        cost_of_miss=24.0,
        lineage=Lineage("random weights", 0, 0, seed=seed),
        river_version="",
    )


def quick_equals_definition(weights: Ensemble, width: int, seed: int = 1) -> None:
    """The hot path's log-odds are those that the weights define, also on the very edges of their bins."""
    quick = EnsembleLogit(weights)
    rows = on_the_edges(seed, weights, width, 200)
    for row, logit in zip(rows.tolist(), ensemble_logits(weights, rows).tolist(), strict=True):
        _hold("quick equals definition", holds=abs(quick.logit(row) - logit) <= TOLERANCE * max(1.0, abs(logit)))


def contributions_add_up(weights: Ensemble, width: int, seed: int = 2) -> None:
    """Base and contributions are the log-odds, with background rows and without."""
    rows = on_the_edges(seed, weights, width, 50)
    logits = ensemble_logits(weights, rows).tolist()
    for background in (background_of(weights, rows[:20]), without_rows(weights)):
        shapley = Shapley(weights, background, width)
        for row, logit in zip(rows.tolist(), logits, strict=True):
            total = math.fsum((shapley.base, *shapley.contributions(row)))
            _hold("contributions add up", holds=abs(total - logit) <= TOLERANCE * 10 * max(1.0, abs(logit)))


def base_is_the_mean(weights: Ensemble, width: int, seed: int = 3) -> None:
    """Without pairs the base is the mean log-odds of the background rows."""
    if weights.crossed is not None and weights.crossed.pairs:
        return
    rows = random_rows(seed, width, 200)
    base = Shapley(weights, background_of(weights, rows), width).base
    mean = float(ensemble_logits(weights, rows).mean())
    _hold("the base is the mean", holds=abs(base - mean) <= TOLERANCE * 10 * max(1.0, abs(mean)))


def unused_moves_nothing(weights: Ensemble, width: int, seed: int = 4) -> None:
    """An input that no part asks for contributes nothing (Shapley's dummy)."""
    rows = random_rows(seed, width, 20)
    wider = np.hstack([rows, rows[:, :1]])
    shapley = Shapley(_widened(weights), background_of(_widened(weights), wider), width + 1)
    for row in wider.tolist():
        _hold("an unused input moves nothing", holds=shapley.contributions(row)[-1] == 0.0)


def _widened(weights: Ensemble) -> Ensemble:
    crossed, trees = weights.crossed, weights.trees
    if crossed is not None:
        crossed = Crossed(
            (*crossed.knots, ()), (*crossed.additive, (0.0,)), crossed.pairs, (*crossed.cuts, ()), crossed.cells,
            crossed.bias,
        )  # fmt: skip
    if trees is not None:
        trees = Trees((*trees.cuts, ()), trees.trees, trees.bias)
    return Ensemble(crossed, trees, weights.mix, weights.slope, weights.intercept)


def each_row_has_one_leaf(weights: Ensemble, width: int, seed: int = 5) -> None:
    """Of a tree's leaves a row passes the gates of one, and it is the one that going down the tree comes to."""
    from models.explaining.shapley import gates_of

    if weights.trees is None:
        return
    rows = on_the_edges(seed, weights, width, 50)
    codes = codes_of(weights.trees.cuts, rows)
    for tree in weights.trees.trees:
        gates = gates_of(tree, weights.trees.cuts, [1] * len(tree.leaves))
        for row, leaf in zip(rows.tolist(), leaf_of(tree, codes).tolist(), strict=True):
            passed = [
                all(gate.missing if row[at] != row[at] else gate.low < row[at] <= gate.high for at, gate in own.items())
                for own in gates
            ]
            _hold("each row has one leaf", holds=[place for place, one in enumerate(passed) if one] == [leaf])


def laws() -> Iterator[tuple[str, Callable[[Ensemble, int], None]]]:
    """Give every law with its name.

    >>> [name for name, _ in laws()][0]
    'quick_equals_definition'
    """
    for law in (
        quick_equals_definition,
        contributions_add_up,
        base_is_the_mean,
        unused_moves_nothing,
        each_row_has_one_leaf,
    ):
        yield law.__name__, law
