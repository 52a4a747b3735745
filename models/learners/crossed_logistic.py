"""The crossed logistic: piecewise linear inputs and the cells of chosen pairs, learned one row at a time.

Owns the coding of a row into weights, AdaGrad's step, the averaged weights that score, and what becomes of weights when
knots move. Must not know which pairs are sensible (models/learners/pairs.py), nor anything of trees.

A straight line through a vital sign cannot say that both ends are bad; a line through each of its quantiles can, an
unknown value has a weight of its own, and pairs say what two values mean together. It is convex, so one pass over
the rows is enough, and no row is kept. AdaGrad (Duchi, Hazan and Singer 2011) starts its sums at 1, so that a rare
cell's first rows do not throw it. What scores is an exponential average of the weights (Polyak and Juditsky 1992): the
last few hundred rows are a handful of patients.

When knots move, nothing is forgotten: the line is read off at the new knots, and a cell takes what the old cell held in
which its own values lie.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.learners.classifier import Row, refusals_of, sigmoid, usable_row
from models.learners.pairs import clinical_pairs
from models.learners.quantile_bins import SCHEDULE, QuantileBins, QuantileBinsState
from models.rows import Inputs, Refusal
from models.weights import Crossed, Ensemble, Matrix

BINS = 10
"""Quantile bins of an input's line: nine knots."""

CELL_EVERY = 2
"""Every second knot is a cut between cells: five bins and the unknown, 36 cells a pair."""

CELL_CODES = 6
_ADDITIVE = BINS
"""Weights of an input's line: the unknown and nine knots."""

RATE = 0.0025
"""AdaGrad's rate; it matters more than anything else here (docs/learning.md)."""

BIAS_RATE = 0.01
ACCUMULATOR_START = 1.0

AVERAGE_EVERY = 64
"""Rows between two steps of the average."""

AVERAGE_SHARE = 1e-4
"""A row's share in the average: at 200 beds scored hourly .02 an hour, a memory of two days."""

BASE_RATE = 0.02
"""The share of positives assumed before the first row."""

CHUNK_ROWS = 256
"""Rows coded at a time."""

Vector = NDArray[np.float64]


class CrossedState(msgspec.Struct, frozen=True):
    """All it knows. The bytes are float64, little-endian."""

    inputs: Inputs
    pairs: tuple[tuple[int, int], ...]
    rate: float
    bins: QuantileBinsState
    rows: int
    positives: int
    biases: tuple[float, float, float]
    """Now, averaged, and its accumulator."""
    weights: bytes
    averaged: bytes
    accumulators: bytes


class CrossedLogistic:
    """An incremental logistic regression on lines and cells.

    >>> learner = CrossedLogistic(Inputs(("x",)), rate=0.1, schedule=(64,))
    >>> for i in range(2000):
    ...     _ = learner.learn_one([float(i % 10)], i % 10 in (0, 9))
    >>> low, middle, high = learner.predict_proba_many(np.array([[0.0], [5.0], [9.0]]))
    >>> bool(low > middle < high)
    True
    """

    def __init__(
        self,
        inputs: Inputs,
        *,
        pairs: tuple[tuple[int, int], ...] | None = None,
        rate: float = RATE,
        schedule: tuple[int, ...] = SCHEDULE,
        seed: int = 0,
    ) -> None:
        """Begin at the assumed base rate; `pairs` are positions, the clinical ones where none are given."""
        self.inputs = inputs
        self.rows = 0
        self.positives = 0
        self.pairs = clinical_pairs(inputs) if pairs is None else pairs
        self.bins = QuantileBins(len(inputs.names), bins=BINS, schedule=schedule, seed=seed)
        self._rate = rate
        size = self.bins.width * _ADDITIVE + len(self.pairs) * CELL_CODES**2
        self._weights, self._averaged = np.zeros(size), np.zeros(size)
        self._accumulators = np.full(size, ACCUMULATOR_START)
        self._bias = self._bias_averaged = math.log(BASE_RATE / (1.0 - BASE_RATE))
        self._bias_accumulator = ACCUMULATOR_START
        self._take_cuts()

    def _take_cuts(self) -> None:
        width, cuts = self.bins.width, self.bins.cuts
        self._knots = np.full((width, BINS - 1), np.inf)
        for at, own in enumerate(cuts):
            self._knots[at, : len(own)] = own
        self._cell_cuts = tuple(_cell_cuts(own) for own in cuts)
        self._cells = np.full((width, CELL_CODES - 2), np.inf)
        for at, own in enumerate(self._cell_cuts):
            self._cells[at, : len(own)] = own
        self._count = np.array([len(own) for own in cuts], dtype=np.intp)
        self._additive_at = np.arange(width, dtype=np.intp) * _ADDITIVE
        places = np.array(self.pairs, dtype=np.intp).reshape(-1, 2)
        self._firsts, self._seconds = places[:, 0], places[:, 1]
        self._cells_at = width * _ADDITIVE + np.arange(len(places), dtype=np.intp) * CELL_CODES**2

    def _coded(self, matrix: Matrix) -> tuple[NDArray[np.intp], Vector]:
        """Give each row's places among the weights, and what it has of each: two a line, one a pair."""
        unknown = np.isnan(matrix)
        known = np.where(unknown, 0.0, matrix)
        last = np.maximum(self._count - 1, 0)
        lower = np.clip((known[:, :, None] > self._knots).sum(axis=2) - 1, 0, last)
        upper = np.minimum(lower + 1, last)
        columns = np.arange(self.bins.width)
        start, end = self._knots[columns, lower], self._knots[columns, upper]
        start, end = np.where(self._count > 0, start, 0.0), np.where(self._count > 0, end, 0.0)
        span = end - start
        part = np.clip((known - start) / np.where(span > 0.0, span, 1.0), 0.0, 1.0) * (span > 0.0)
        part = np.where(unknown, 0.0, part)
        rest = np.where(unknown, 1.0, np.where(self._count > 0, 1.0 - part, 0.0))
        at_lower = self._additive_at + np.where(unknown, 0, 1 + lower)
        # Where there is no second knot its share is 0, and its place another than the first one's.
        at_upper = self._additive_at + np.where(unknown, 1, np.where(upper > lower, 1 + upper, 0))
        codes = np.where(unknown, 0, 1 + (known[:, :, None] > self._cells).sum(axis=2))
        cells = self._cells_at + codes[:, self._firsts] * CELL_CODES + codes[:, self._seconds]
        places = np.concatenate((at_lower, at_upper, cells), axis=1)
        return places, np.concatenate((rest, part, np.ones(cells.shape)), axis=1)

    def learn_one(self, vector: Row, label: bool, said: float | None = None) -> Refusal:  # noqa: ARG002, FBT001
        """Learn one labelled row; gives the reason where it was refused and nothing was learned."""
        matrix, refusal = usable_row(self.inputs, vector)
        if matrix is not None:
            self.take(matrix, np.array([label]))
        return refusal

    def learn_many(self, matrix: Matrix, labels: NDArray[np.bool_], said: Matrix | None = None) -> list[Refusal]:  # noqa: ARG002
        """Learn rows in their order; gives for each the reason where it was refused."""
        refusals = refusals_of(self.inputs, matrix)
        usable = [at for at, refusal in enumerate(refusals) if not refusal]
        for start in range(0, len(usable), CHUNK_ROWS):
            chunk = usable[start : start + CHUNK_ROWS]
            self.take(np.asarray(matrix[chunk], dtype=np.float64), np.asarray(labels)[chunk])
        return refusals

    def take(self, matrix: Matrix, labels: NDArray[np.bool_]) -> None:
        """Learn rows that are usable, in their order."""
        places, shares = self._coded(matrix)
        begun = 0
        for at, label in enumerate(labels.tolist()):
            before = self.bins.cuts
            if self.bins.learn_one(matrix[at]):
                self._carry(before)
                places, shares = self._coded(matrix[at:])
                begun = at
            self._step(places[at - begun], shares[at - begun], 1.0 if label else 0.0)
            self.rows += 1
            self.positives += label
            if self.rows % AVERAGE_EVERY == 0:
                self._average()

    def _step(self, places: NDArray[np.intp], shares: Vector, target: float) -> None:
        weights = self._weights[places]
        logit = self._bias + float((weights * shares).sum())
        gradient = 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, logit)))) - target
        steps = gradient * shares
        accumulators = self._accumulators[places] + steps * steps
        self._accumulators[places] = accumulators
        self._weights[places] = weights - self._rate * steps / np.sqrt(accumulators)
        self._bias_accumulator += gradient * gradient
        self._bias -= BIAS_RATE * gradient / math.sqrt(self._bias_accumulator)

    def _average(self) -> None:
        steps = self.rows // AVERAGE_EVERY
        share = max(1.0 - (1.0 - AVERAGE_SHARE) ** AVERAGE_EVERY, 1.0 / (steps + 1))
        self._averaged += share * (self._weights - self._averaged)
        self._bias_averaged += share * (self._bias - self._bias_averaged)

    def _carry(self, before: tuple[tuple[float, ...], ...]) -> None:
        """Take weights, averages and accumulators over to the cuts that there are now."""
        after, lines = self.bins.cuts, self.bins.width * _ADDITIVE
        for array, empty in ((self._weights, 0.0), (self._averaged, 0.0), (self._accumulators, ACCUMULATOR_START)):
            for at, (old, new) in enumerate(zip(before, after, strict=True)):
                if old != new:
                    line = array[at * _ADDITIVE + 1 : (at + 1) * _ADDITIVE]
                    read = np.interp(new, old, line[: len(old)]) if old and new else np.full(len(new), empty)
                    line[:] = empty
                    line[: len(new)] = read
            cells = array[lines:].reshape(-1, CELL_CODES, CELL_CODES)
            for at, (first, second) in enumerate(self.pairs):
                if before[first] != after[first] or before[second] != after[second]:
                    own = cells[at].copy()
                    rows, columns = (_old_codes(before[one], after[one]) for one in (first, second))
                    cells[at] = own[np.ix_(rows, columns)]
        self._take_cuts()

    def logits_many(self, matrix: Matrix) -> Vector:
        """Give the log-odds of rows that are usable, by the averaged weights."""
        logits = np.empty(len(matrix))
        for start in range(0, len(matrix), CHUNK_ROWS):
            places, shares = self._coded(matrix[start : start + CHUNK_ROWS])
            logits[start : start + len(places)] = (self._averaged[places] * shares).sum(axis=1)
        return logits + self._bias_averaged

    def predict_proba_one(self, vector: Row) -> float | None:
        """Give the probability of the outcome, or None where the row is refused."""
        matrix, _ = usable_row(self.inputs, vector)
        return None if matrix is None else float(sigmoid(self.logits_many(matrix))[0])

    def predict_proba_many(self, matrix: Matrix) -> Vector:
        """Give the probability for rows of shape (rows, inputs); NaN where a row is refused."""
        usable = np.array([not refusal for refusal in refusals_of(self.inputs, matrix)], dtype=bool)
        told = np.full(len(matrix), np.nan)
        if usable.any():
            told[usable] = sigmoid(self.logits_many(matrix[usable]))
        return told

    def due(self) -> bool:
        """Tell that there is never anything to grow."""
        return False

    def grow(self) -> None:
        """Do nothing: all is learned row by row."""

    def crossed(self) -> Crossed:
        """Give the averaged weights as plain numbers."""
        width = self.bins.width
        lines = self._averaged[: width * _ADDITIVE].reshape(width, _ADDITIVE).tolist()
        cells = self._averaged[width * _ADDITIVE :].reshape(-1, CELL_CODES, CELL_CODES)
        return Crossed(
            knots=self.bins.cuts,
            additive=tuple(tuple(line[: len(own) + 1]) for line, own in zip(lines, self.bins.cuts, strict=True)),
            pairs=self.pairs,
            cuts=self._cell_cuts,
            cells=tuple(
                tuple(own[: len(self._cell_cuts[first]) + 2, : len(self._cell_cuts[second]) + 2].ravel().tolist())
                for own, (first, second) in zip(cells, self.pairs, strict=True)
            ),
            bias=self._bias_averaged,
        )

    def weights(self) -> Ensemble:
        """Give what scores."""
        return Ensemble(self.crossed(), None, (1.0, 0.0))

    def state(self) -> CrossedState:
        """Give everything learned."""
        return CrossedState(
            inputs=self.inputs,
            pairs=self.pairs,
            rate=self._rate,
            bins=self.bins.state(),
            rows=self.rows,
            positives=self.positives,
            biases=(self._bias, self._bias_averaged, self._bias_accumulator),
            weights=self._weights.astype("<f8").tobytes(),
            averaged=self._averaged.astype("<f8").tobytes(),
            accumulators=self._accumulators.astype("<f8").tobytes(),
        )

    @classmethod
    def restored(cls, state: CrossedState) -> CrossedLogistic:
        """Go on from a state, alike to the last bit. Raises ValueError where the state does not fit its inputs."""
        learner = cls(state.inputs, pairs=state.pairs, rate=state.rate)
        learner.bins = QuantileBins.restored(state.bins)
        arrays = [np.frombuffer(own, dtype="<f8").copy() for own in (state.weights, state.averaged, state.accumulators)]
        if any(array.shape != learner._weights.shape or not np.isfinite(array).all() for array in arrays):
            raise ValueError("the weights of this state do not fit its inputs and pairs, or are not finite")
        learner._weights, learner._averaged, learner._accumulators = arrays
        learner._bias, learner._bias_averaged, learner._bias_accumulator = state.biases
        learner.rows, learner.positives = state.rows, state.positives
        learner._take_cuts()
        return learner


def _cell_cuts(knots: tuple[float, ...]) -> tuple[float, ...]:
    """Give the cuts between cells: every second knot, or all of them where they are few.

    >>> _cell_cuts((1.0, 2.0, 3.0)), _cell_cuts(tuple(map(float, range(1, 10))))
    ((1.0, 2.0, 3.0), (2.0, 4.0, 6.0, 8.0))
    """
    if len(knots) <= CELL_CODES - 2:
        return knots
    wanted = CELL_CODES - 2
    return tuple(knots[(at + 1) * (len(knots) + 1) // (wanted + 1) - 1] for at in range(wanted))


def _old_codes(before: tuple[float, ...], after: tuple[float, ...]) -> NDArray[np.intp]:
    """Give for each code of an input's new cells the old one in which its values lay."""
    old, new = _cell_cuts(before), _cell_cuts(after)
    if not new:
        middles = np.array([old[len(old) // 2] if old else 0.0])
    else:
        ends = np.array((new[0], *new, np.nextafter(new[-1], np.inf)))
        middles = (ends[:-1] + ends[1:]) / 2.0
        middles[0], middles[-1] = new[0], ends[-1]
    codes = np.zeros(CELL_CODES, dtype=np.intp)
    codes[1 : 1 + len(middles)] = np.searchsorted(np.array(old), middles, side="left") + 1
    codes[1 + len(middles) :] = len(old) + 1
    return codes
