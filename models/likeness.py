"""How unlike the rows a version was made on a row is: the summary a version carries, and the distance from it.

Owns the summary (`Likeness`), how it is made from learned and held-back rows, and the squared distance of a row. Must
not know what is done about a row that is unlike, nor River.

The method is conformal and label-conditional (Vovk, Gammerman and Shafer 2005, chapters 2 and 4; for sepsis COMPOSER,
Shashikumar et al. 2021). For each label the learned rows have a mean and a covariance; the nonconformity of a row is
its squared Mahalanobis distance (1936) from that mean, and the limit is the conformal quantile of the distances of
rows that were held back. A row is unlike where it is beyond both limits: whatever its true label, it is called unlike
by mistake at no more than the stated rate. One shape for all would be wrong here, for those who deteriorate are a
hundredth of the rows, lie farthest out, and are whom the model is for (class-conditional shapes: Lee et al. 2018).

The guarantee is exact where rows are exchangeable. Rows of one patient are alike, so it holds as the patients, not the
rows, become many (Dunn, Wasserman and Ramdas 2023); the rate is measured on further patients and stands on the card.

A missing input stands at the mean of each label, as in the model itself: it adds nothing to the distance. The limit is
found with rows that miss inputs in the same way. A row that misses much is never unlike: filter 2 is for that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul

import msgspec
import numpy as np
from numpy.typing import NDArray

FALSE_RATE = 0.005
"""Of the rows of either label, at most this share is called unlike by mistake: at 100 beds scored hourly a dozen a day,
near what one person reviews in passing."""
SHRINKAGE = 0.05
"""Off-diagonal covariances are shrunk by this much, so that near-copies among the inputs cannot make a distance."""
ROWS_MIN = 100
"""Rows a shape is made from, and rows its limit is found with; with fewer there is no shape of that label."""
DEVIATION_MIN = 1e-6
"""Below this an input never varied and says nothing of likeness."""
LIKENESS_INPUTS_MAX = 32
"""The hot path pays for each one with those before it."""


class Shape(msgspec.Struct, frozen=True):
    """Where the rows of one label lie, and how far out the held-back ones of that label lay."""

    label: bool
    """Whether the outcome followed."""
    rows: int
    """Learned rows behind means and whitening."""
    means: tuple[float, ...]
    whitening: tuple[tuple[float, ...], ...]
    """Lower triangle, row by row: times the deviations from the means it gives uncorrelated numbers of variance 1."""
    limit: float
    """The conformal quantile of the squared distances of the held-back rows."""
    false_rate: float
    """The share beyond the limit that is stated: `FALSE_RATE`, or more where few rows were held back."""
    held_back: int
    """Rows behind the limit."""


class Likeness(msgspec.Struct, frozen=True):
    """The version's own summary of what it was made on: a short list of its inputs, and a shape for each label."""

    inputs: tuple[str, ...]
    shapes: tuple[Shape, ...]
    """That of the rows without the outcome first: most rows are of it, and need no second look."""


class Distances:
    """A summary made ready to measure with: plain Python, for at seven inputs numpy's conversion alone costs more.

    >>> shape = Shape(False, 100, (80.0, 16.0), ((0.1,), (0.0, 0.5)), 9.0, 0.005, 200)
    >>> measure = Distances(Likeness(("pulse", "breaths"), (shape,)), ("breaths", "pulse"))
    >>> measure.unlikeness([16.0, 110.0]), measure.unlikeness([float("nan"), 128.0]) > 1.0
    (1.0, True)
    >>> measure.farthest([16.0, 128.0])
    'pulse'
    """

    def __init__(self, likeness: Likeness, names: Sequence[str]) -> None:
        """Prepare for rows whose values stand in the order of `names`."""
        self.inputs = likeness.inputs
        self._places = tuple(names.index(name) for name in likeness.inputs)
        self._shapes = [(shape.means, shape.whitening, 1.0 / shape.limit) for shape in likeness.shapes]

    def unlikeness(self, vector: Sequence[float]) -> float:
        """Give the squared distance as a share of the limit, of the label it is nearest to; above 1 it is unlike.

        Below 1 the first label's is given, though another may be nearer: it is not asked for then.
        """
        row = [vector[place] for place in self._places]
        nearest = math.inf
        for means, whitening, scale in self._shapes:
            apart = [x - mean if x == x else 0.0 for x, mean in zip(row, means, strict=True)]  # noqa: PLR0124 - NaN
            total = 0.0
            for weights in whitening:
                # The triangle's row is shorter than `apart`: `map` stops with it.
                part = sum(map(mul, weights, apart))
                total += part * part
            share = total * scale
            if share <= 1.0:
                return share
            nearest = min(nearest, share)
        return nearest

    def farthest(self, vector: Sequence[float]) -> str:
        """Name the input without which the row would be nearest to the first shape: what makes it unlike, most likely.

        The squared distance falls by (P d)^2 / P_ii where input i is put to what the others make of it (P: precision).
        """
        means, whitening, _ = self._shapes[0]
        known = [vector[place] for place in self._places]
        apart = [x - mean if x == x else 0.0 for x, mean in zip(known, means, strict=True)]  # noqa: PLR0124 - NaN
        parts = [sum(map(mul, weights, apart)) for weights in whitening]
        falls = []
        for place in range(len(apart)):
            column = [weights[place] if place < len(weights) else 0.0 for weights in whitening]
            own = sum(map(mul, column, column))
            falls.append(sum(map(mul, column, parts)) ** 2 / own if own else 0.0)
        return self.inputs[falls.index(max(falls))]


class MomentsState(msgspec.Struct, frozen=True):
    """All that `Moments` has summed, as float64 bytes (little-endian, row by row), so that it goes on bit for bit."""

    width: int
    rows: int
    origin: bytes
    """Empty before the first row."""
    counts: bytes
    sums: bytes
    products: bytes


class Moments:
    """Means and covariances of rows with gaps, one row at a time: each pair of inputs over the rows that have both.

    >>> moments = Moments(2)
    >>> for x in range(200): moments.add([float(x % 5), float("nan") if x % 2 else float(x % 3)])
    >>> moments.rows, [round(float(mean), 2) for mean in moments.shape()[0]]
    (200, [2.0, 0.99])
    """

    def __init__(self, width: int) -> None:
        """Begin with no row of `width` inputs."""
        self.rows = 0
        self._origin: NDArray[np.float64] | None = None
        self._counts = np.zeros((width, width))
        self._sums = np.zeros((width, width))
        self._products = np.zeros((width, width))

    def add(self, row: Sequence[float]) -> None:
        """Take a row in; NaN is unknown."""
        values = np.array(row, dtype=np.float64)
        known = ~np.isnan(values)
        if self._origin is None:
            # Sums about a value that was seen, so that squares of large numbers do not eat the differences.
            self._origin = np.where(known, values, 0.0)
        apart = np.where(known, values - self._origin, 0.0)
        self.rows += 1
        self._counts += np.outer(known, known)
        self._sums += np.outer(apart, known)
        self._products += np.outer(apart, apart)

    def state(self) -> MomentsState:
        """Give everything summed."""
        origin = b"" if self._origin is None else self._origin.astype("<f8").tobytes()
        counts, sums, products = (
            matrix.astype("<f8").tobytes() for matrix in (self._counts, self._sums, self._products)
        )
        return MomentsState(len(self._counts), self.rows, origin, counts, sums, products)

    @classmethod
    def restored(cls, state: MomentsState) -> Moments:
        """Go on from a state; raises `ValueError` where its parts do not fit each other."""
        moments = cls(state.width)
        shape = (state.width, state.width)
        moments.rows = state.rows
        moments._origin = np.frombuffer(state.origin, "<f8").reshape(state.width).copy() if state.origin else None
        moments._counts, moments._sums, moments._products = (
            np.frombuffer(part, "<f8").reshape(shape).copy() for part in (state.counts, state.sums, state.products)
        )
        return moments

    def shape(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give means and covariances (shrunk towards the diagonal); what never varied has variance 0 and no mean."""
        assert self._origin is not None, "no row was added"
        counts = np.maximum(self._counts, 1.0)
        # means[i, j]: that of input i over the rows in which j is known too.
        means = self._sums / counts
        covariances = self._products / counts - means * means.T
        diagonal = np.diag(np.maximum(np.diag(covariances), 0.0))
        return np.diag(means) + self._origin, (1.0 - SHRINKAGE) * covariances + SHRINKAGE * diagonal


def shape_of(moments: Moments, held_back: Sequence[Sequence[float]], *, label: bool) -> Shape | None:
    """Make the shape of one label from learned rows, its limit from rows held back; None with too few of either."""
    if moments.rows < ROWS_MIN or len(held_back) < ROWS_MIN:
        return None
    means, covariances = moments.shape()
    whitening = _whitening(covariances)
    apart = np.array(held_back, dtype=np.float64) - means
    parts = np.where(np.isnan(apart), 0.0, apart) @ whitening.T
    distances = np.sort((parts * parts).sum(axis=1))
    false_rate = max(FALSE_RATE, 1.0 / (len(distances) + 1))
    limit = float(distances[quantile_place(len(distances), false_rate) - 1])
    if not limit > 0.0:
        return None
    return Shape(
        label,
        moments.rows,
        tuple(map(float, means)),
        tuple(tuple(map(float, row[: place + 1])) for place, row in enumerate(whitening)),
        limit,
        false_rate,
        len(distances),
    )


def quantile_place(count: int, false_rate: float) -> int:
    """Give which of `count` ordered distances is the limit: of a new one, at most `false_rate` lie beyond (conformal).

    >>> quantile_place(199, 0.005), quantile_place(10_000, 0.005)
    (199, 9951)
    """
    return min(count, math.ceil((count + 1) * (1.0 - false_rate) - 1e-9))


def _whitening(covariances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Invert the Cholesky factor; pairs from different rows may contradict each other, then more is shrunk."""
    varies = np.sqrt(np.diag(covariances)) > DEVIATION_MIN
    deviations = np.where(varies, np.sqrt(np.diag(covariances)), 1.0)
    correlations = np.where(np.outer(varies, varies), covariances, 0.0) / np.outer(deviations, deviations)
    np.fill_diagonal(correlations, 1.0)
    for _ in range(60):
        try:
            factor = np.linalg.cholesky(correlations)
        except np.linalg.LinAlgError:
            correlations = 0.9 * correlations + 0.1 * np.eye(len(correlations))
            continue
        return np.where(varies, np.linalg.inv(factor) / deviations, 0.0) * varies[:, np.newaxis]
    raise AssertionError("shrunk to the diagonal, every correlation matrix has a factor")


def problem_of(likeness: Likeness, names: Sequence[str]) -> str:
    """Say why a summary that was read must not be measured with, or nothing."""
    width = len(likeness.inputs)
    if not 0 < width <= LIKENESS_INPUTS_MAX or not set(likeness.inputs) <= set(names):
        return "likeness is of no inputs, of too many, or of others than the version's"
    if len(set(likeness.inputs)) != width or not likeness.shapes or len(likeness.shapes) > 2:
        return "likeness has doubled inputs, or not one or two shapes"
    for shape in likeness.shapes:
        if len(shape.means) != width or [len(row) for row in shape.whitening] != list(range(1, width + 1)):
            return "likeness: a shape does not fit its inputs"
        numbers = (*shape.means, *(weight for row in shape.whitening for weight in row), shape.limit)
        if not all(map(math.isfinite, numbers)) or not shape.limit > 0.0 or not 0.0 < shape.false_rate < 1.0:
            return "likeness: a number is not finite, or a limit is not above 0"
    return ""
