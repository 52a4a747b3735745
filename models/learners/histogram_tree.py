"""One small tree on coded rows, grown leaf by leaf on histograms of gradients.

Owns the growing of one tree (Chen and Guestrin 2016 for the gain; Ke et al. 2017 for leaf-wise growth on histograms).
Must not know where rows come from, what a code means, or what a tree is added to. Draws nothing.

Gradient and curvature of a row are rounded to 12 bits and packed into one float64, so that one pass of `bincount` sums
both. Sums are then whole numbers below 2**53: exact, the same in any order and on any machine, and a sibling's
histogram is the parent's minus the other's without a rounding error (quantised training: Shi et al. 2022).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.weights import Codes, Tree

Vector = NDArray[np.float64]

STEPS = 4_095
"""Steps of a gradient's and a curvature's size: rounding errors are a thousandth of the largest, and average out."""

SHIFT = 2.0**27
"""Between the two packed sums."""

ROWS_MAX = 32_000
"""Rows of one tree: their curvatures' sum stays below `SHIFT`, the packed whole below 2**53."""

STEP_MAX = 3.0
"""Of a leaf: where the trees are sure and wrong there is hardly a curvature, and a Newton step would have no bound."""

GAIN_MIN = 1e-9
"""A split that gains no more is none."""


class TreeLimits(NamedTuple):
    """What keeps a tree small."""

    leaves: int = 15
    shrinkage: float = 20.0
    """Above 0; added to every leaf's curvature (lambda): a leaf with less evidence than this says little."""
    curvature_min: float = 2.0
    """A leaf has at least this much."""


class _Split(NamedTuple):
    gain: float
    column: int
    code: int
    missing_left: bool


class _Leaf(NamedTuple):
    rows: NDArray[np.intp]
    sums: Vector
    best: _Split
    parent: int
    is_left: bool


_NO_SPLIT = _Split(0.0, 0, 0, missing_left=False)


class _Histograms:
    """Packed sums by column and code, and the best split of a leaf's."""

    def __init__(self, codes: Codes, gradients: Vector, curvatures: Vector, limits: TreeLimits) -> None:
        rows, self.columns = codes.shape
        if rows > ROWS_MAX:
            raise ValueError(f"{rows} rows for one tree, more than {ROWS_MAX}")
        self.limits = limits
        self.codes_count = int(codes.max(initial=0)) + 1
        self._places = codes.astype(np.int32) + np.arange(self.columns, dtype=np.int32) * self.codes_count
        self._gradient_step = float(np.abs(gradients).max(initial=0.0)) / STEPS or 1.0
        self._curvature_step = float(curvatures.max(initial=0.0)) / STEPS or 1.0
        self._packed = np.rint(gradients / self._gradient_step) * SHIFT + np.rint(curvatures / self._curvature_step)

    def sums(self, rows: NDArray[np.intp]) -> Vector:
        places = self._places[rows].ravel()
        of_places = np.repeat(self._packed[rows], self.columns)
        packed = np.bincount(places, of_places, self.columns * self.codes_count)
        return np.asarray(packed, dtype=np.float64).reshape(self.columns, self.codes_count)

    def best(self, sums: Vector) -> _Split:
        curvatures = np.mod(sums, SHIFT)
        gradients = (sums - curvatures) * (self._gradient_step / SHIFT)
        curvatures = curvatures * self._curvature_step
        if self.codes_count < 2:
            return _NO_SPLIT
        gradient, curvature = float(gradients[0].sum()), float(curvatures[0].sum())
        shrinkage, least = self.limits.shrinkage, self.limits.curvature_min
        before = gradient * gradient / (curvature + shrinkage)
        known_gradients, known_curvatures = gradients[:, 1:].cumsum(axis=1), curvatures[:, 1:].cumsum(axis=1)
        best = _NO_SPLIT
        for missing_left in (False, True):
            left = known_gradients + gradients[:, :1] if missing_left else known_gradients
            left_curvatures = known_curvatures + curvatures[:, :1] if missing_left else known_curvatures
            right_curvatures = curvature - left_curvatures
            gains = left * left / (left_curvatures + shrinkage) - before
            gains += (gradient - left) ** 2 / (right_curvatures + shrinkage)
            gains[(left_curvatures < least) | (right_curvatures < least)] = 0.0
            at = int(gains.argmax())
            column, code = divmod(at, self.codes_count - 1)
            if gains[column, code] > best.gain:
                best = _Split(float(gains[column, code]), column, code + 1, missing_left)
        return best


def grown_tree(
    codes: Codes, gradients: Vector, curvatures: Vector, features: NDArray[np.intp], limits: TreeLimits
) -> Tree:
    """Grow a tree on rows of shape (rows, columns), where column j is input `features[j]`; leaves are Newton steps.

    A leaf is `-sum(gradients) / (sum(curvatures) + shrinkage)`, at most `STEP_MAX` either way. Raises ValueError beyond
    `ROWS_MAX` rows.

    >>> codes = np.array([[1], [1], [2], [2], [0]] * 20, dtype=np.uint8)
    >>> gradients = np.array([1.0, 1.0, -1.0, -1.0, -1.0] * 20)
    >>> tree = grown_tree(codes, gradients, np.ones(100), np.array([7]), TreeLimits(2, 10.0))
    >>> tree.feature, tree.code, tree.missing_left, [round(leaf, 3) for leaf in tree.leaves]
    ((7,), (1,), (False,), [-0.8, 0.857])
    """
    histograms = _Histograms(codes, gradients, curvatures, limits)
    all_rows = np.arange(len(codes))
    sums = histograms.sums(all_rows)
    leaves = [_Leaf(all_rows, sums, histograms.best(sums), -1, is_left=False)]
    nodes: list[_Split] = []
    left: list[int] = []
    right: list[int] = []
    while len(leaves) < limits.leaves:
        at = max(range(len(leaves)), key=lambda at: leaves[at].best.gain)
        rows, sums, best, parent, is_left = leaves[at]
        if best.gain <= GAIN_MIN:
            break
        node = len(nodes)
        nodes.append(best)
        left.append(0)
        right.append(0)
        if parent >= 0:
            (left if is_left else right)[parent] = node
        column = codes[rows, best.column]
        goes_left = np.where(column == 0, best.missing_left, column <= best.code)
        parts = rows[goes_left], rows[~goes_left]
        fewer = len(parts[0]) > len(parts[1])
        few = histograms.sums(parts[fewer])
        both = (sums - few, few) if fewer else (few, sums - few)
        leaves[at] = _Leaf(parts[0], both[0], histograms.best(both[0]), node, is_left=True)
        leaves.append(_Leaf(parts[1], both[1], histograms.best(both[1]), node, is_left=False))
    for number, leaf in enumerate(leaves):
        if leaf.parent >= 0:
            (left if leaf.is_left else right)[leaf.parent] = -1 - number
    return Tree(
        feature=tuple(int(features[split.column]) for split in nodes),
        code=tuple(split.code for split in nodes),
        missing_left=tuple(split.missing_left for split in nodes),
        left=tuple(left),
        right=tuple(right),
        leaves=tuple(_step(gradients[leaf.rows], curvatures[leaf.rows], limits.shrinkage) for leaf in leaves),
    )


def _step(gradients: Vector, curvatures: Vector, shrinkage: float) -> float:
    step = -float(gradients.sum()) / (float(curvatures.sum()) + shrinkage)
    return max(-STEP_MAX, min(STEP_MAX, step))
