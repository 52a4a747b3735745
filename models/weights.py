"""What a learned version is made of: plain numbers, and what may be wrong with them.

Owns the shape of a crossed logistic, of a ring of small trees and of their mixture, the meaning of each number, and the
check that a set of them can be scored with. Must not know how they were learned (models/crossed_logistic.py,
models/boosting.py), nor any file. Scoring one row quickly is models/scorer.py's; `logits` here is the definition that
it is held to, and is vectorised.

Rows are in the order of the version's inputs; NaN is unknown. Everything is a float, an integer or a flag: no object,
no code, so a version is read by any program in any language, and never by a pickle.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Codes = NDArray[np.uint8]

CODES_MAX = 255
"""Codes an input has at most, so that a code is one byte: 0 is unknown, 1 to `len(cuts) + 1` are the bins."""

LEAVES_MAX = 16
"""Leaves of one tree: few enough for a scorer to find the leaf by masks of bits (Lucchese et al. 2015, QuickScorer)."""

TREES_MAX = 2_000
"""Trees of one version: at 16 leaves some 1.2 MB as text."""

PAIRS_MAX = 2_000
"""Pairs of one version."""

WEIGHT_MAX = 1e4
"""A log-odds past this is no result of learning: a probability is 0 or 1 at 40."""


class Crossed(msgspec.Struct, frozen=True):
    """A logistic regression on piecewise linear inputs and on the cells of pairs of them.

    The logit is `bias`, plus for each input what `additive` says, plus for each pair its cell.
    """

    knots: tuple[tuple[float, ...], ...]
    """For each input ascending knots; none where the input has not been seen to vary, and then it says nothing but
    whether it is known."""
    additive: tuple[tuple[float, ...], ...]
    """For each input `len(knots) + 1` log-odds: where it is unknown, then at each knot. Between knots it is linear,
    beyond the ends constant. An input without knots has one: where it is unknown."""
    pairs: tuple[tuple[int, int], ...]
    """Positions of the two inputs of each pair."""
    cuts: tuple[tuple[float, ...], ...]
    """For each input the ascending cuts between its codes in pairs; code 0 is unknown, 1 is at most the first cut."""
    cells: tuple[tuple[float, ...], ...]
    """For each pair `(len(cuts[a]) + 2) * (len(cuts[b]) + 2)` log-odds: that of codes (i, j) at `i * (len(cuts[b]) + 2)
    + j`."""
    bias: float


class Tree(msgspec.Struct, frozen=True):
    """One tree; node 0 is the root. A tree of a single leaf has no nodes.

    At a node a row goes left where its value is unknown and `missing_left`, or known and its code is at most `code`.
    """

    feature: tuple[int, ...]
    """Positions of the inputs."""
    code: tuple[int, ...]
    """A code of 1 or more. `code == len(cuts) + 1` sends every known value left."""
    missing_left: tuple[bool, ...]
    left: tuple[int, ...]
    """A node's number (above this one's), or `-1 - leaf` where it is a leaf."""
    right: tuple[int, ...]
    leaves: tuple[float, ...]
    """Log-odds, already multiplied by the tree's weight."""


class Trees(msgspec.Struct, frozen=True):
    """A sum of small trees over coded inputs; the logit is `bias` plus a leaf of each tree."""

    cuts: tuple[tuple[float, ...], ...]
    """For each input ascending cuts: the code of a known x is 1 and the number of cuts below x, so that code <= c means
    x <= cuts[c - 1]. Code 0 is unknown."""
    trees: tuple[Tree, ...]
    bias: float


class Ensemble(msgspec.Struct, frozen=True):
    """A mixture on the scale of log-odds, calibrated: `intercept + slope * (mix[0] * crossed + mix[1] * trees)`."""

    crossed: Crossed | None
    trees: Trees | None
    mix: tuple[float, float]
    """The weights of the two; that of an absent part is not read."""
    slope: float = 1.0
    intercept: float = 0.0


def codes_of(cuts: Sequence[Sequence[float]], matrix: Matrix) -> Codes:
    """Give the codes of rows, one byte a value: 0 where unknown, else 1 and the number of cuts below the value.

    >>> codes_of([[1.0, 2.0]], np.array([[math.nan], [1.0], [1.5], [9.0]])).tolist()
    [[0], [1], [2], [3]]
    """
    codes = np.empty(matrix.shape, dtype=np.uint8)
    for at, own in enumerate(cuts):
        column = matrix[:, at]
        codes[:, at] = np.where(np.isnan(column), 0, np.searchsorted(np.asarray(own), column, side="left") + 1)
    return codes


def crossed_logits(weights: Crossed, matrix: Matrix) -> NDArray[np.float64]:
    """Give the log-odds of rows of shape (rows, inputs).

    >>> weights = Crossed(((0.0, 10.0),), ((0.5, 1.0, 2.0),), (), ((),), (), bias=0.0)
    >>> crossed_logits(weights, np.array([[math.nan], [-5.0], [5.0], [99.0]])).tolist()
    [0.5, 1.0, 1.5, 2.0]
    """
    logits = np.full(len(matrix), weights.bias)
    for at, (knots, additive) in enumerate(zip(weights.knots, weights.additive, strict=True)):
        column = matrix[:, at]
        unknown = np.isnan(column)
        known = np.interp(np.where(unknown, 0.0, column), knots, additive[1:]) if knots else 0.0
        logits += np.where(unknown, additive[0], known)
    codes = codes_of(weights.cuts, matrix)
    for (first, second), cells in zip(weights.pairs, weights.cells, strict=True):
        place = codes[:, first].astype(np.intp) * (len(weights.cuts[second]) + 2) + codes[:, second]
        logits += np.asarray(cells)[place]
    return logits


def leaf_of(tree: Tree, codes: Codes) -> NDArray[np.intp]:
    """Give the leaf's number for each row of codes.

    >>> leaf_of(Tree((0,), (1,), (True,), (-1,), (-2,), (0.0, 1.0)), np.array([[0], [1], [2]], dtype=np.uint8)).tolist()
    [0, 0, 1]
    """
    node = np.zeros(len(codes), dtype=np.intp)
    if not tree.feature:
        return node
    feature, code = np.asarray(tree.feature), np.asarray(tree.code)
    missing_left, left, right = np.asarray(tree.missing_left), np.asarray(tree.left), np.asarray(tree.right)
    active = np.arange(len(codes))
    for _ in range(len(tree.feature)):
        here = node[active]
        value = codes[active, feature[here]]
        goes_left = np.where(value == 0, missing_left[here], value <= code[here])
        node[active] = np.where(goes_left, left[here], right[here])
        active = active[node[active] >= 0]
        if not len(active):
            break
    return -1 - node


def trees_logits(weights: Trees, matrix: Matrix) -> NDArray[np.float64]:
    """Give the log-odds of rows of shape (rows, inputs); trees are added in their order.

    >>> stump = Tree((0,), (1,), (False,), (-1,), (-2,), (-1.0, 1.0))
    >>> trees_logits(Trees(((3.0,),), (stump,), 0.5), np.array([[3.0], [3.1], [math.nan]])).tolist()
    [-0.5, 1.5, 1.5]
    """
    codes = codes_of(weights.cuts, matrix)
    logits = np.full(len(matrix), weights.bias)
    for tree in weights.trees:
        logits += np.asarray(tree.leaves)[leaf_of(tree, codes)]
    return logits


def ensemble_logits(weights: Ensemble, matrix: Matrix) -> NDArray[np.float64]:
    """Give the calibrated log-odds of rows of shape (rows, inputs).

    >>> part = Crossed(((),), ((0.0,),), (), ((),), (), bias=2.0)
    >>> ensemble_logits(Ensemble(part, None, (0.5, 0.5), 2.0, -1.0), np.zeros((1, 1))).tolist()
    [1.0]
    """
    mixed = np.zeros(len(matrix))
    if weights.crossed is not None:
        mixed += weights.mix[0] * crossed_logits(weights.crossed, matrix)
    if weights.trees is not None:
        mixed += weights.mix[1] * trees_logits(weights.trees, matrix)
    return weights.intercept + weights.slope * mixed


def problem_of(weights: Ensemble, width: int) -> str:
    """Say why these weights cannot score rows of `width` inputs, or nothing.

    >>> problem_of(Ensemble(None, None, (0.0, 0.0)), 3)
    'neither crossed logistic nor trees'
    >>> problem_of(Ensemble(None, Trees(((), ()), (), math.nan), (0.0, 1.0)), 2)
    'a weight of the trees is not finite or beyond all reason'
    """
    if weights.crossed is None and weights.trees is None:
        return "neither crossed logistic nor trees"
    if not _sound((*weights.mix, weights.slope, weights.intercept)):
        return "mixture or calibration is not finite or beyond all reason"
    if weights.crossed is not None and (problem := _problem_of_crossed(weights.crossed, width)):
        return problem
    return _problem_of_trees(weights.trees, width) if weights.trees is not None else ""


def _sound(values: Iterable[float]) -> bool:
    # NaN compares false.
    return all(abs(value) <= WEIGHT_MAX for value in values)


def _ascending(cuts: tuple[float, ...]) -> bool:
    return all(math.isfinite(cut) for cut in cuts) and all(a < b for a, b in pairwise(cuts))


def _problem_of_cuts(cuts: tuple[tuple[float, ...], ...], width: int, what: str) -> str:
    if len(cuts) != width:
        return f"{len(cuts)} lists of {what} for {width} inputs"
    if not all(map(_ascending, cuts)) or max(map(len, cuts), default=0) > CODES_MAX - 2:
        return f"{what} do not ascend, are not finite or too many"
    return ""


def _problem_of_crossed(weights: Crossed, width: int) -> str:
    problem = _problem_of_cuts(weights.knots, width, "knots") or _problem_of_cuts(weights.cuts, width, "cuts")
    if problem:
        return problem
    if [len(own) for own in weights.additive] != [len(own) + 1 for own in weights.knots]:
        return "additive weights do not fit their knots"
    if problem := _problem_of_pairs(weights, width):
        return problem
    if not _sound((weights.bias, *(one for own in (*weights.additive, *weights.cells) for one in own))):
        return "a weight of the crossed logistic is not finite or beyond all reason"
    return ""


def _problem_of_pairs(weights: Crossed, width: int) -> str:
    if len(weights.cells) != len(weights.pairs) or len(weights.pairs) > PAIRS_MAX:
        return "cells do not fit their pairs, or are too many"
    for (first, second), cells in zip(weights.pairs, weights.cells, strict=True):
        if not (0 <= first < width and 0 <= second < width):
            return "a pair names no input"
        if len(cells) != (len(weights.cuts[first]) + 2) * (len(weights.cuts[second]) + 2):
            return "a pair's cells do not fit its cuts"
    return ""


def _problem_of_trees(weights: Trees, width: int) -> str:
    problem = _problem_of_cuts(weights.cuts, width, "cuts")
    if problem:
        return problem
    if len(weights.trees) > TREES_MAX:
        return f"{len(weights.trees)} trees, more than {TREES_MAX}"
    for tree in weights.trees:
        if problem := _problem_of_tree(tree, weights.cuts):
            return problem
    if not _sound((weights.bias, *(leaf for tree in weights.trees for leaf in tree.leaves))):
        return "a weight of the trees is not finite or beyond all reason"
    return ""


def _problem_of_tree(tree: Tree, cuts: tuple[tuple[float, ...], ...]) -> str:
    nodes = len(tree.feature)
    if {len(tree.code), len(tree.missing_left), len(tree.left), len(tree.right)} != {nodes}:
        return "a tree's columns have unequal lengths"
    if len(tree.leaves) != nodes + 1 or nodes >= LEAVES_MAX:
        return "a tree's leaves do not fit its nodes, or are too many"
    for feature, code in zip(tree.feature, tree.code, strict=True):
        if not 0 <= feature < len(cuts):
            return "a tree's node names no input"
        if not 1 <= code <= len(cuts[feature]) + 1:
            return "a tree's node names no code"
    # Each node but the root and each leaf is somebody's child once, and stands after its parent: so it is a tree.
    children = sorted((*tree.left, *tree.right))
    expected = sorted((*range(-nodes - 1, 0), *range(1, nodes))) if nodes else []
    late = all(child < 0 or child > at for side in (tree.left, tree.right) for at, child in enumerate(side))
    return "" if children == expected and late else "a tree's children are no tree"
