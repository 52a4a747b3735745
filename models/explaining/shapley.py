"""How much each input moved one score: Shapley values of an ensemble's log-odds, exact.

Owns their computation from weights and background counts. Must not know words or units (models/explaining).

The contributions and the base add up to the log-odds. Each part is explained in the way that is exact for it, and the
parts are added, for Shapley values are linear in the game (Shapley 1953):

- a line contributes what it says less its mean over the background rows;
- a pair's cell is shared out between its two inputs by Shapley's rule, an input that is not known being drawn from its
  own codes: half of what each adds alone and half of what it adds after the other;
- a tree by the path-dependent TreeSHAP game (Lundberg et al. 2020): at a node whose input is not known a row goes each
  way in the share of the background rows that went so. The value of a leaf is then a product over the inputs on its
  path, each 0 or 1 where known and that share where not. The Shapley value of a product is an integral over how likely
  it is that another input is known (Owen 1972), of a polynomial: Gauss and Legendre's rule gives it exactly with half
  as many points as inputs. So all leaves are computed side by side, with no recursion and no approximation.

Off the hot path: only a score that is told is explained.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.ensemble_scorer import Cells, EnsembleLogit, Row
from models.explaining.background import Background
from models.weights import Ensemble, Tree, Trees

Numbers = NDArray[np.float64]


class Gate(msgspec.Struct, frozen=True):
    """What one input must be for a row to reach a leaf: in (low, high], or unknown where `missing`."""

    low: float = -math.inf
    high: float = math.inf
    missing: bool = True
    share: float = 1.0
    """Of the background rows that come as far as its nodes, those that go on towards the leaf."""


def gates_of(tree: Tree, cuts: Sequence[Sequence[float]], covers: Sequence[int]) -> list[dict[int, Gate]]:
    """Give, for each leaf of a tree, the gates on its path by input.

    A node that no background row reached sends half each way.

    >>> tree = Tree((0, 0), (2, 1), (True, False), (1, -1), (-3, -2), (0.1, 0.2, 0.3))
    >>> [(gate.low, gate.high, gate.missing, gate.share) for gate in
    ...     [leaf[0] for leaf in gates_of(tree, ((1.0, 2.0),), (1, 2, 1))]]
    [(-inf, 1.0, False, 0.25), (1.0, 2.0, True, 0.5), (2.0, inf, False, 0.25)]
    """
    found: list[dict[int, Gate]] = [{} for _ in tree.leaves]
    below = _covers_below(tree, covers)

    def walk(child: int, gates: dict[int, Gate]) -> None:
        if child < 0:
            found[-1 - child] = gates
            return
        feature, code = tree.feature[child], tree.code[child]
        own = gates.get(feature, Gate())
        cut = cuts[feature][code - 1] if code <= len(cuts[feature]) else math.inf
        left, right = tree.left[child], tree.right[child]
        total = below[left] + below[right]
        share = below[left] / total if total else 0.5
        missing = tree.missing_left[child]
        goes_left = Gate(own.low, min(own.high, cut), own.missing and missing, own.share * share)
        goes_right = Gate(max(own.low, cut), own.high, own.missing and not missing, own.share * (1.0 - share))
        walk(left, {**gates, feature: goes_left})
        walk(right, {**gates, feature: goes_right})

    walk(0 if tree.feature else -1, {})
    return found


def _covers_below(tree: Tree, covers: Sequence[int]) -> dict[int, int]:
    """Give the background rows that reach each child, node or leaf."""
    below = {-1 - leaf: cover for leaf, cover in enumerate(covers)}
    # A child's number is above its parent's.
    for node in range(len(tree.feature) - 1, -1, -1):
        below[node] = below[tree.left[node]] + below[tree.right[node]]
    return below


class Leaves:
    """Leaves of trees that have the same number of inputs on their paths; arrays of shape (inputs on path, leaves)."""

    def __init__(self, entries: Sequence[tuple[float, dict[int, Gate]]]) -> None:
        """`entries` are (log-odds, gates) of leaves with equally many gates."""
        self.values = np.array([value for value, _ in entries])
        depth = len(entries[0][1])
        shape = (depth, len(entries))
        gates = [gate for place in range(depth) for _, gates in entries for gate in [list(gates.values())[place]]]
        places = [place for at in range(depth) for _, gates in entries for place in [list(gates)[at]]]
        self.places = np.array(places, dtype=np.intp).reshape(shape)
        self.low = np.array([gate.low for gate in gates]).reshape(shape)
        self.high = np.array([gate.high for gate in gates]).reshape(shape)
        self.missing = np.array([gate.missing for gate in gates], dtype=bool).reshape(shape)
        self.share = np.array([gate.share for gate in gates]).reshape(shape)
        self.base = float((self.values * self.share.prod(axis=0)).sum())
        """What the leaves come to where nothing is known."""
        points, weights = np.polynomial.legendre.leggauss((depth + 1) // 2)
        self._known = ((points + 1.0) / 2.0).reshape(-1, 1, 1)
        self._weights = (weights / 2.0).reshape(-1, 1, 1)

    def passed(self, row: Row) -> Numbers:
        """Say of each gate whether a row passes it: 0 or 1."""
        x = row.take(self.places)
        return np.where(np.isnan(x), self.missing, (x > self.low) & (x <= self.high)).astype(np.float64)

    def contributions(self, row: Row) -> Numbers:
        """Give each gate's contribution."""
        passed = self.passed(row)
        factors = self._known * passed + (1.0 - self._known) * self.share
        others = (self._weights * _product_of_others(factors, axis=1)).sum(axis=0)
        parts: Numbers = self.values * (passed - self.share) * others
        return parts

    def alone(self, place: int, values: Numbers) -> Numbers:
        """Give what all gates of one input add for each value, where no other input is known."""
        own = self.places == place
        passed = np.where(
            np.isnan(values)[:, np.newaxis],
            self.missing[own],
            (values[:, np.newaxis] > self.low[own]) & (values[:, np.newaxis] <= self.high[own]),
        )
        others = (self.values * _product_of_others(self.share, axis=0))[own]
        total: Numbers = ((passed - self.share[own]) * others).sum(axis=1)
        return total


def _product_of_others(factors: Numbers, axis: int) -> Numbers:
    """Multiply all but each one, along an axis; no division, for a factor may be 0.

    >>> _product_of_others(np.array([2.0, 0.0, 5.0]), 0).tolist()
    [0.0, 10.0, 0.0]
    """
    factors = np.moveaxis(factors, axis, 0)
    product = np.ones_like(factors)
    before, after = product[0].copy(), product[0].copy()
    for place in range(1, len(factors)):
        before *= factors[place - 1]
        after *= factors[-place]
        product[place] *= before
        product[-1 - place] *= after
    return np.moveaxis(product, 0, axis)


class _SharedCells:
    """The cells of pairs, shared out between the two inputs of each."""

    def __init__(self, cells: Cells, counts: Sequence[Sequence[int]]) -> None:
        self.cells = cells
        self.base = 0.0
        first, second, alone_first, alone_second = [], [], [], []
        end = 0
        for (rows, columns), a, b in zip(cells.sizes, cells.first.tolist(), cells.second.tolist(), strict=True):
            begin, end = end, end + rows * columns
            matrix = cells.weights[begin:end].reshape(rows, columns)
            of_first, of_second = _shares(counts[a]), _shares(counts[b])
            alone_a, alone_b = matrix @ of_second, of_first @ matrix
            base = float(of_first @ alone_a)
            part = (alone_a[:, np.newaxis] - base + matrix - alone_b) / 2.0
            first.append(part.ravel())
            second.append((matrix - base - part).ravel())
            alone_first.append(alone_a - base)
            alone_second.append(alone_b - base)
            self.base += base
        self.of_first, self.of_second = np.concatenate(first), np.concatenate(second)
        self.alone = list(zip(cells.first.tolist(), cells.second.tolist(), alone_first, alone_second, strict=True))


def _shares(counts: Sequence[int]) -> Numbers:
    total = sum(counts)
    return np.array(counts, dtype=np.float64) / total if total else np.full(len(counts), 1.0 / len(counts))


def leaves_of(trees: Trees, covers: Sequence[Sequence[int]], width: int) -> tuple[list[Leaves], float]:
    """Group the leaves of all trees by the number of inputs on their paths; with them what no input moves."""
    groups: dict[int, list[tuple[float, dict[int, Gate]]]] = {}
    for tree, own in zip(trees.trees, covers, strict=True):
        for value, gates in zip(tree.leaves, gates_of(tree, trees.cuts, own), strict=True):
            groups.setdefault(len(gates), []).append((value, gates))
    fixed = sum(value for value, _ in groups.pop(0, []))
    assert max(groups, default=0) <= width, "a path has no more inputs than there are"
    return [Leaves(groups[depth]) for depth in sorted(groups)], fixed


class Shapley:
    """An ensemble made ready to explain.

    >>> stump = Tree((0,), (1,), (True,), (-1,), (-2,), (-1.0, 1.0))
    >>> weights = Ensemble(None, Trees(((3.0,),), (stump,), 0.5), (0.0, 1.0))
    >>> shapley = Shapley(weights, Background(4, (), (), ((3, 1),)), 1)
    >>> shapley.base, shapley.contributions([4.0]), shapley.contributions([float("nan")])
    (0.0, [1.5], [-0.5])
    """

    def __init__(self, weights: Ensemble, background: Background, width: int) -> None:
        """`background` must have passed `background.problem_of`, or be `without_rows`."""
        self._quick = EnsembleLogit(weights)
        self._width = width
        self._means = np.array(background.additive)
        self._shared = None if self._quick.cells is None else _SharedCells(self._quick.cells, background.codes)
        self._groups: list[Leaves] = []
        self.base = self._quick.constant
        """The log-odds where nothing is known: over the background rows its mean, but for how pairs occur together."""
        if weights.crossed is not None:
            self.base += self._quick.of_crossed * (
                float(self._means.sum()) + (self._shared.base if self._shared else 0.0)
            )
        if weights.trees is not None:
            self._groups, fixed = leaves_of(weights.trees, background.covers, width)
            self.base += self._quick.of_trees * (fixed + sum(group.base for group in self._groups))

    def contributions(self, vector: Sequence[float]) -> list[float]:
        """Give what each input adds to `base`, in log-odds; with it they add up to the row's log-odds."""
        row = np.array(vector, dtype=np.float64)
        total = np.zeros(self._width)
        if self._quick.lines is not None:
            filled = np.where(np.isnan(row), 0.0, row)
            total += self._quick.of_crossed * (self._quick.lines.of(row, filled) - self._means)
        if self._shared is not None:
            cells = self._shared.cells
            place = cells.of(row)
            for side, part in ((cells.first, self._shared.of_first), (cells.second, self._shared.of_second)):
                total += self._quick.of_crossed * np.bincount(side, part.take(place), self._width)
        for group in self._groups:
            parts = group.contributions(row)
            total += self._quick.of_trees * np.bincount(group.places.ravel(), parts.ravel(), self._width)
        return [float(one) for one in total]

    def alone(self, place: int, values: Sequence[float]) -> list[float]:
        """Give what one input adds to `base` where it alone is known: its partial dependence (Friedman 2001).

        Of trees it is the weighted traversal, of pairs the mean over the other's codes; NaN asks for the unknown.
        """
        asked = np.array(values, dtype=np.float64)
        total = np.array([self._alone_in_crossed(place, value) for value in values])
        for group in self._groups:
            total += self._quick.of_trees * group.alone(place, asked)
        return [float(one) for one in total]

    def _alone_in_crossed(self, place: int, value: float) -> float:
        row = np.full(self._width, math.nan)
        row[place] = value
        total = 0.0
        if self._quick.lines is not None:
            line = self._quick.lines.of(row, np.where(np.isnan(row), 0.0, row))[place]
            total += self._quick.of_crossed * float(line - self._means[place])
        if self._shared is not None:
            code = int(self._shared.cells.bins.of(row)[place])
            for first, second, of_first, of_second in self._shared.alone:
                if first == place:
                    total += self._quick.of_crossed * float(of_first[code])
                if second == place:
                    total += self._quick.of_crossed * float(of_second[code])
        return total
