"""The log-odds of one row from an ensemble's weights, quickly: the arithmetic of the hot path for format 3.

Owns the weights made ready to score with. Must not know what they mean or how they were learned (models/weights.py
defines them; its vectorised functions are what this is held to within 1e-12), nor what is done with the log-odds.

The trees are scored all at once, as QuickScorer does (Lucchese et al. 2015): a tree's leaves are numbered from left to
right, each node that sends the row right takes the leaves on its left out of a mask of 16 bits, and the lowest leaf
that is left is the row's. Numpy goes over all nodes of all trees side by side, so the order of work never depends on
the row. No codes are needed: `code <= c` is `x <= cuts[c - 1]`, and where a node sends the unknown is told by what
stands in for it, minus or plus infinity.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.rows import MAGNITUDE_MAX
from models.weights import LEAVES_MAX, Crossed, Ensemble, Tree, Trees

Row = NDArray[np.float64]
Places = NDArray[np.intp]

_UNKNOWN_GOES = np.array([[math.inf], [-math.inf]])
"""What stands in for an unknown value: in the first copy of a row it goes right at every node, in the second left."""


class Bins:
    """Which bin of each input a row is in: 0 where unknown, else 1 and the number of edges below the value.

    >>> Bins(((1.0, 2.0), ())).of(np.array([1.5, math.nan])).tolist()
    [2, 0]
    """

    def __init__(self, edges: Sequence[Sequence[float]]) -> None:
        # One line of edges for all inputs; the first is below every known value, those that fill up are above.
        self._lines = np.full((max(map(len, edges), default=0) + 1, len(edges)), math.inf)
        self._lines[0] = -math.inf
        for place, own in enumerate(edges):
            self._lines[1 : len(own) + 1, place] = own

    def of(self, row: Row) -> NDArray[np.uint8]:
        """Give the bins of a row of shape (inputs,)."""
        # An input has at most 254 edges (weights.CODES_MAX): a byte holds the count.
        bins: NDArray[np.uint8] = np.add.reduce((self._lines < row).view(np.uint8), axis=0, dtype=np.uint8)
        return bins


class Lines:
    """The additive terms of a crossed logistic: linear between knots, constant beyond, one number where unknown.

    >>> weights = Crossed(((0.0, 10.0),), ((0.5, 1.0, 2.0),), (), ((),), (), bias=0.0)
    >>> [Lines(weights).of(np.array([x]), np.nan_to_num([x])).tolist() for x in (math.nan, -5.0, 5.0, 99.0)]
    [[0.5], [1.0], [1.5], [2.0]]
    """

    def __init__(self, weights: Crossed) -> None:
        self.bins = Bins(weights.knots)
        width = max(map(len, weights.knots), default=0) + 2
        shape = (len(weights.knots), width)
        start, level, slope = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        for place, (knots, values) in enumerate(zip(weights.knots, weights.additive, strict=True)):
            level[place, 0] = values[0]
            level[place, 1 : len(knots) + 1] = values[1:2] * len(knots)
            if not knots:
                continue
            level[place, 2 : len(knots) + 1] = values[1:-1]
            level[place, len(knots) + 1] = values[-1]
            start[place, 2 : len(knots) + 1] = knots[:-1]
            slope[place, 2 : len(knots) + 1] = slopes_of(knots, values[1:])
        self._start, self._level, self._slope = start.ravel(), level.ravel(), slope.ravel()
        self._first = np.arange(len(weights.knots), dtype=np.intp) * width

    def of(self, row: Row, filled: Row) -> NDArray[np.float64]:
        """Give the log-odds of each input of a row; `filled` is the row with any number where it is unknown."""
        place = self.bins.of(row) + self._first
        beyond = filled - self._start.take(place)
        beyond *= self._slope.take(place)
        beyond += self._level.take(place)
        return beyond


def slopes_of(knots: Sequence[float], values: Sequence[float]) -> list[float]:
    """Give the slope of each stretch between knots; not finite where two knots are too close to draw a line.

    >>> slopes_of((0.0, 2.0, 3.0), (1.0, 2.0, 2.0))
    [0.5, 0.0]
    """
    return [
        (above - below) / (right - left) if right - left > 0.0 else math.inf
        for left, right, below, above in zip(knots, knots[1:], values, values[1:], strict=False)
    ]


class Cells:
    """The cells of the pairs of a crossed logistic, all pairs in one line.

    >>> weights = Crossed(((), ()), ((0.0,),) * 2, ((0, 1),), ((1.0,), ()), ((0.0, 0.1, 1.0, 1.1, 2.0, 2.1),), 0.0)
    >>> cells = Cells(weights)
    >>> cells.weights.take(cells.of(np.array([7.0, math.nan]))).tolist()
    [2.0]
    """

    def __init__(self, weights: Crossed) -> None:
        self.bins = Bins(weights.cuts)
        self.first = np.array([first for first, _ in weights.pairs], dtype=np.intp)
        self.second = np.array([second for _, second in weights.pairs], dtype=np.intp)
        self.sizes = [(len(weights.cuts[a]) + 2, len(weights.cuts[b]) + 2) for a, b in weights.pairs]
        self.weights = np.array([cell for cells in weights.cells for cell in cells], dtype=np.float64)
        self._stride = np.array([columns for _, columns in self.sizes], dtype=np.intp)
        lengths = [rows * columns for rows, columns in self.sizes]
        self._begin = np.cumsum([0, *lengths], dtype=np.intp)[:-1]

    def of(self, row: Row) -> Places:
        """Give the place, in `weights`, of each pair's cell."""
        code = self.bins.of(row)
        return code.take(self.first) * self._stride + code.take(self.second) + self._begin


class Forest:
    """All trees of a version, node by node side by side.

    >>> stump = Tree((0,), (1,), (False,), (-1,), (-2,), (-1.0, 1.0))
    >>> forest = Forest(Trees(((3.0,),), (stump, stump), 0.5))
    >>> [forest.total(np.array([x])) for x in (3.0, 3.1, math.nan)]
    [-2.0, 2.0, 2.0]
    """

    def __init__(self, weights: Trees) -> None:
        deepest = max((len(tree.feature) for tree in weights.trees), default=0)
        shape = (deepest, len(weights.trees))
        width = len(weights.cuts)
        self._place = np.zeros(shape, dtype=np.intp)
        self._cut = np.zeros(shape)
        # A node that is not there takes no leaf out.
        self._takes_out = np.zeros(shape, dtype=np.uint16)
        leaves = np.zeros((len(weights.trees), LEAVES_MAX))
        for column, tree in enumerate(weights.trees):
            order, lost = leaves_in_order(tree)
            leaves[column, : len(order)] = [tree.leaves[leaf] for leaf in order]
            for node, feature in enumerate(tree.feature):
                self._place[node, column] = feature + (width if tree.missing_left[node] else 0)
                self._cut[node, column] = cut_of(weights.cuts[feature], tree.code[node])
                self._takes_out[node, column] = lost[node]
        self._leaves = leaves.ravel()
        self._begin = np.arange(len(weights.trees), dtype=np.intp) * LEAVES_MAX

    def total(self, row: Row) -> float:
        """Give the sum of the leaves that a row falls into, always added in the same order."""
        both = np.where(row == row, row, _UNKNOWN_GOES).ravel()  # noqa: PLR0124 - NaN
        right = both.take(self._place) > self._cut
        out = np.bitwise_or.reduce(np.multiply(right, self._takes_out, dtype=np.uint16), axis=0)
        # Its lowest bit that is 0 is the leaf: so many bits that are 1 stand below it.
        leaf = np.bitwise_count(out & ~(out + np.uint16(1)))
        return float(self._leaves.take(leaf + self._begin).sum())


def cut_of(cuts: Sequence[float], code: int) -> float:
    """Give the value that a known one must not exceed to go left; the last code lets every known value pass.

    >>> cut_of((1.0, 2.0), 2), cut_of((1.0, 2.0), 3) > 1e300
    (2.0, True)
    """
    return cuts[code - 1] if code <= len(cuts) else sys.float_info.max


def leaves_in_order(tree: Tree) -> tuple[list[int], list[int]]:
    """Give a tree's leaves from left to right, and for each node the mask of those on its left (bit 0 is the leftmost).

    >>> leaves_in_order(Tree((0, 0), (2, 1), (True, True), (1, -1), (-3, -2), (0.1, 0.2, 0.3)))
    ([0, 1, 2], [3, 1])
    """
    order: list[int] = []
    lost = [0] * len(tree.feature)

    def walk(child: int) -> int:
        """Number the leaves below; give the mask of them."""
        if child < 0:
            order.append(-1 - child)
            return 1 << len(order) - 1
        lost[child] = walk(tree.left[child])
        return lost[child] | walk(tree.right[child])

    walk(0 if tree.feature else -1)
    return order, lost


class EnsembleLogit:
    """An ensemble made ready to score with; it must have passed `weights.problem_of`.

    >>> stump = Tree((0,), (1,), (False,), (-1,), (-2,), (-1.0, 1.0))
    >>> quick = EnsembleLogit(Ensemble(None, Trees(((3.0,),), (stump,), 0.0), (0.0, 1.0), slope=2.0, intercept=0.5))
    >>> quick.logit([3.0]), quick.logit([4.0]), quick.logit([math.inf])
    (-1.5, 2.5, nan)
    """

    def __init__(self, weights: Ensemble) -> None:
        crossed, trees = weights.crossed, weights.trees
        self.lines = None if crossed is None else Lines(crossed)
        self.cells = None if crossed is None or not crossed.pairs else Cells(crossed)
        self.forest = None if trees is None or not trees.trees else Forest(trees)
        self.of_crossed, self.of_trees = weights.slope * weights.mix[0], weights.slope * weights.mix[1]
        """What a log-odds of either part comes to in the whole."""
        self.constant = weights.intercept
        """What is the same for every row."""
        if crossed is not None:
            self.constant += self.of_crossed * crossed.bias
        if trees is not None:
            self.constant += self.of_trees * trees.bias

    def logit(self, vector: Sequence[float]) -> float:
        """Give the log-odds of a row; NaN for a row that `Inputs.refusal` refuses for a number in it."""
        row = np.array(vector, dtype=np.float64)
        filled = np.where(row == row, row, 0.0)  # noqa: PLR0124 - NaN
        if np.abs(filled).max() > MAGNITUDE_MAX:
            return math.nan
        logit = self.constant
        if self.lines is not None:
            terms = float(self.lines.of(row, filled).sum())
            if self.cells is not None:
                terms += float(self.cells.weights.take(self.cells.of(row)).sum())
            logit += self.of_crossed * terms
        if self.forest is not None:
            logit += self.of_trees * self.forest.total(row)
        return logit
