"""Incremental boosting: a small tree every few hundred labels, on what the trees so far get wrong of a bounded sample.

Owns the two reservoirs, the class counts that fade, the sampling for a tree, the bias, and the ring of trees. Must not
know what inputs mean, when a label came, or what else is asked beside it.

Stochastic gradient boosting (Friedman 2002) made endless. Rows are kept as bytes in two bounded reservoirs, one a
class, since positives are rare. A tree takes all positives kept and a sample of negatives, drawn the likelier the more
is said of them and weighted by the inverse (importance sampling; Ibragimov and Gusev 2019): a thousand rows of which
the trees are sure teach nothing. First the bias takes one Newton step, then the tree is grown on the residuals, every
older one fades a little, and the ring drops the oldest. So it neither grows without bound nor stiffens: where the
stream shifts, what was learned before it fades.

When cuts move, codes and trees are carried to the nearest new cut, and what is said of the sample is computed anew, a
few rows with each label until the next growth.
"""

from __future__ import annotations

import math
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.learners.classifier import Row, refusals_of, sigmoid, usable_row
from models.learners.drawing import mixed, some_of
from models.learners.forest import Forest
from models.learners.histogram_tree import ROWS_MAX, TreeLimits, grown_tree
from models.learners.quantile_bins import SCHEDULE, QuantileBins, QuantileBinsState
from models.learners.reservoir import Reservoir, ReservoirState
from models.rows import Inputs, Refusal
from models.weights import LEAVES_MAX, TREES_MAX, Codes, Ensemble, Matrix, Tree, Trees

SAMPLE_BYTES_MAX = 14_000_000
"""Bytes of both reservoirs' codes: a snapshot stays under 20 MB whatever the number of inputs."""

BASE_RATE = 0.02
"""The share of positives assumed before the first tree."""

BIAS_STEP_MAX = 0.2
"""How far the bias moves at one growth: it must follow a rate that doubles within a day, and no single batch."""

LABELS_BETWEEN_MIN = 25
"""Labels between two growths at the very first."""

LABELS_A_LABEL_BETWEEN = 100
"""Later one label between growths for so many so far, until the setting: some 450 trees in the first 40,000 labels."""

STALE_MAX = 1_024
"""Rows of either class of which nothing is said yet, at a growth: more than come between two of them. New cuts make all
rows such; said anew at once, 300 trees of each took a second and a half."""

STALE_A_LABEL = 512
"""Rows beyond that of which it is said anew with each label: some 20 ms, less than a tree takes, for some 80 labels."""

POSITIVES_MIN = 5
"""Positives kept before the first tree is grown: on one patient's rows a tree would learn that patient."""


class BoostingSettings(msgspec.Struct, frozen=True):
    """What was found best on the first three quarters of hospital A (docs/learning.md)."""

    every_labels: int = 400
    """Labels between two growths; at first a hundredth of the labels so far, so that the ring fills early."""
    negatives: int = 50_000
    positives: int = 12_000
    """Rows kept of each class, at most; fewer where the inputs are many (`SAMPLE_BYTES_MAX`)."""
    least_share: float = 0.25
    """Of the rows that come, at least this share is taken in: a memory of four times the reservoir."""
    negatives_a_tree: int = 8_000
    positives_a_tree: int = 12_000
    sureness: float = 0.3
    """A negative is drawn with a probability that rises with what is said of it plus this share of the mean."""
    inputs_share: float = 0.5
    """Of the inputs each tree may look at."""
    leaves: int = 15
    shrinkage: float = 5.0
    curvature_min: float = 2.0
    rate: float = 0.04
    fade: float = 0.995
    ring: int = 300
    memory_labels: float = 200_000.0
    """Labels over which the classes are counted: what a tree's rows stand for, and with which prior."""
    bins: int = 24
    schedule: tuple[int, ...] = SCHEDULE
    seed: int = 0


def problem_of(settings: BoostingSettings) -> str:
    """Say why nothing can learn with these settings, or nothing: a state's are checked before memory is taken for them.

    >>> problem_of(BoostingSettings()), problem_of(BoostingSettings(ring=10**9))
    ('', 'ring of 1000000000 trees')
    """
    shares = (settings.least_share, settings.inputs_share, settings.rate, settings.fade)
    checks = (
        (1 <= settings.ring <= TREES_MAX, f"ring of {settings.ring} trees"),
        (2 <= settings.leaves <= LEAVES_MAX, f"{settings.leaves} leaves"),
        (settings.every_labels >= 1, f"a growth every {settings.every_labels} labels"),
        (min(settings.negatives, settings.positives) >= POSITIVES_MIN, "reservoirs too small"),
        (max(settings.negatives, settings.positives) <= SAMPLE_BYTES_MAX, "reservoirs too large"),
        (settings.positives_a_tree + 2 * settings.negatives_a_tree <= ROWS_MAX, "too many rows a tree"),
        (min(settings.positives_a_tree, settings.negatives_a_tree) >= 1, "no rows a tree"),
        (all(0.0 < share <= 1.0 for share in shares), "a share, rate or fading outside 0 to 1"),
        (0.0 < settings.shrinkage < math.inf and settings.curvature_min >= 0.0, "a leaf without shrinkage"),
        (settings.sureness > 0.0 and settings.memory_labels > 1.0, "no sureness or memory"),
    )
    return next((words for holds, words in checks if not holds), "")


class BoostingState(msgspec.Struct, frozen=True):
    """All it knows, as plain numbers and bytes."""

    inputs: Inputs
    settings: BoostingSettings
    bins: QuantileBinsState
    rows: int
    positives: int
    counts: tuple[float, float]
    """Of negatives and positives, fading."""
    next_growth: int
    growths: int
    bias: float
    kept: tuple[ReservoirState, ReservoirState]
    trees: tuple[Tree, ...]
    weights: tuple[float, ...]


class Boosting:
    """Incremental boosting of small trees on a bounded sample.

    >>> settings = BoostingSettings(every_labels=50, schedule=(100,), inputs_share=1.0, shrinkage=1.0)
    >>> learner = Boosting(Inputs(("x",)), settings)
    >>> matrix = np.arange(2000.0)[:, None] % 10
    >>> _ = learner.learn_many(matrix, matrix[:, 0] >= 8)
    >>> low, high = learner.predict_proba_many(np.array([[1.0], [9.0]]))
    >>> bool(low < 0.15 < 0.5 < high)
    True
    """

    def __init__(self, inputs: Inputs, settings: BoostingSettings | None = None) -> None:
        """Begin without a tree, at the assumed base rate. Raises ValueError where the settings make no sense."""
        self.inputs = inputs
        self.settings = settings = settings or BoostingSettings()
        if problem := problem_of(settings):
            raise ValueError(problem)
        self.rows = 0
        self.positives = 0
        width = len(inputs.names)
        self.bins = QuantileBins(width, bins=settings.bins, schedule=settings.schedule, seed=settings.seed)
        room = min(1.0, SAMPLE_BYTES_MAX / (width * (settings.negatives + settings.positives)))
        sizes = (max(1, int(settings.negatives * room)), max(1, int(settings.positives * room)))
        self._kept = tuple(
            Reservoir(size, width, least_share=settings.least_share, seed=mixed(settings.seed, number + 1) >> 1)
            for number, size in enumerate(sizes)
        )
        self._counts = [0.0, 0.0]
        self._next_growth = min(settings.every_labels, LABELS_BETWEEN_MIN)
        self._growths = 0
        self._bias = math.log(BASE_RATE / (1.0 - BASE_RATE))
        self._forest = Forest(settings.ring)

    def learn_one(self, vector: Row, label: bool, said: float | None = None) -> Refusal:  # noqa: ARG002, FBT001
        """Take one labelled row into the sample; gives the reason where it was refused. Grows nothing: see `due`."""
        matrix, refusal = usable_row(self.inputs, vector)
        if matrix is not None:
            self.take(matrix, np.array([label]))
        return refusal

    def learn_many(self, matrix: Matrix, labels: NDArray[np.bool_], said: Matrix | None = None) -> list[Refusal]:  # noqa: ARG002
        """Take rows in their order and grow where it is due; gives for each the reason where it was refused."""
        refusals = refusals_of(self.inputs, matrix)
        usable = [at for at, refusal in enumerate(refusals) if not refusal]
        while usable:
            self.grow()
            part = usable[: self.until_due()]
            usable = usable[len(part) :]
            self.take(np.asarray(matrix[part], dtype=np.float64), np.asarray(labels, dtype=bool)[part])
        self.grow()
        return refusals

    def until_due(self) -> int:
        """Give the rows until the next growth; none where it is due."""
        return max(0, self._next_growth - self.rows)

    def take(self, matrix: Matrix, labels: NDArray[np.bool_]) -> None:
        """Take rows that are usable into the sample, in their order."""
        keep = 1.0 - 1.0 / self.settings.memory_labels
        codes, begun = self.bins.codes_of(matrix), 0
        for at, label in enumerate(labels.tolist()):
            before = self.bins.cuts
            if self.bins.learn_one(matrix[at]):
                self._carry(before)
                codes, begun = self.bins.codes_of(matrix[at:]), at
            self._kept[label].offer(codes[at - begun])
            self._counts[0] *= keep
            self._counts[1] *= keep
            self._counts[label] += 1.0
            self.rows += 1
            self.positives += label
            self._catch_up()

    def _catch_up(self) -> None:
        """Say anew what the trees say of some of the rows that new cuts left behind; the next growth does the rest."""
        for kept in self._kept:
            if np.count_nonzero(kept.stale) > STALE_MAX:
                self._say_anew(kept, np.flatnonzero(kept.stale)[:STALE_A_LABEL])

    def _say_anew(self, kept: Reservoir, rows: NDArray[np.intp]) -> None:
        kept.logits[rows] = self._forest.logits(kept.codes[rows])
        kept.stale[rows] = False

    def due(self) -> bool:
        """Tell whether enough labels have come since the last growth."""
        return self.rows >= self._next_growth

    def grow(self) -> None:
        """Move the bias, grow one tree, fade the others: some tens of milliseconds. Nothing where it is not due."""
        if not self.due():
            return
        between = max(LABELS_BETWEEN_MIN, self.rows // LABELS_A_LABEL_BETWEEN)
        self._next_growth = self.rows + min(self.settings.every_labels, between)
        self._growths += 1
        negatives, positives = self._kept
        if positives.size < POSITIVES_MIN or negatives.size < POSITIVES_MIN:
            return
        for kept in self._kept:
            if kept.stale.any():
                self._say_anew(kept, np.flatnonzero(kept.stale))
        settings = self.settings
        width = self.bins.width
        wanted = max(1, round(settings.inputs_share * width))
        features = some_of(settings.seed, 3 * self._growths, width, wanted)
        codes, logits, labels, weights = self._drawn(features)
        if not self._forest.trees:
            self._bias = math.log(max(self._counts[1], 1.0) / max(self._counts[0], 1.0))
        told = sigmoid(logits + self._bias)
        curvature = float((weights * told * (1.0 - told)).sum())
        step = float((weights * (labels - told)).sum()) / max(curvature, 1e-9)
        self._bias += max(-BIAS_STEP_MAX, min(BIAS_STEP_MAX, step))
        told = sigmoid(logits + self._bias)
        limits = TreeLimits(settings.leaves, settings.shrinkage, settings.curvature_min)
        gradients, curvatures = weights * (told - labels), weights * told * (1.0 - told)
        self._add(grown_tree(codes, gradients, curvatures, features, limits))

    def _drawn(
        self, features: NDArray[np.intp]
    ) -> tuple[Codes, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Draw a tree's rows: codes of these inputs, log-odds without the bias, labels, what each row stands for."""
        negatives, positives = self._kept
        settings, number = self.settings, 3 * self._growths
        chosen = some_of(settings.seed, number + 1, positives.size, settings.positives_a_tree)
        told = sigmoid(negatives.logits + self._bias)
        wanted = told + settings.sureness * float(told.mean()) + 1e-12
        share = np.minimum(1.0, wanted * (settings.negatives_a_tree / float(wanted.sum())))
        generator = np.random.default_rng([settings.seed, number + 2])
        drawn = np.flatnonzero(generator.random(negatives.size) < share)
        codes = np.concatenate(
            [kept.codes[np.ix_(some, features)] for kept, some in ((positives, chosen), (negatives, drawn))]
        )
        logits = np.concatenate((positives.logits[chosen], negatives.logits[drawn]))
        labels = np.concatenate((np.ones(len(chosen)), np.zeros(len(drawn))))
        each_positive = self._counts[1] / len(chosen)
        weights = np.concatenate((np.full(len(chosen), each_positive), self._counts[0] / negatives.size / share[drawn]))
        return codes, logits, labels, weights

    def _add(self, tree: Tree) -> None:
        settings = self.settings
        self._forest.fade(settings.fade)
        for kept in self._kept:
            kept.logits[:] *= settings.fade
            if self._forest.full:
                kept.logits[:] -= self._forest.first_logits(kept.codes)
        self._forest.add(tree, settings.rate)
        for kept in self._kept:
            kept.logits[:] += self._forest.last_logits(kept.codes)

    def _carry(self, before: tuple[tuple[float, ...], ...]) -> None:
        """Take the sample's codes and the trees over to the cuts that there are now."""
        after = self.bins.cuts
        values = [_carried_codes(old, new) if old != new else None for old, new in zip(before, after, strict=True)]
        for kept in self._kept:
            for at, own in enumerate(values):
                if own is not None:
                    kept.codes[:, at] = own[kept.codes[:, at]]
            kept.stale[:] = True
        nodes = [_carried_nodes(old, new) if old != new else None for old, new in zip(before, after, strict=True)]
        self._forest.carry(nodes)

    def logits_many(self, matrix: Matrix) -> NDArray[np.float64]:
        """Give the log-odds of rows that are usable."""
        return self._bias + self._forest.logits(self.bins.codes_of(matrix))

    def predict_proba_one(self, vector: Row) -> float | None:
        """Give the probability of the outcome, or None where the row is refused."""
        matrix, _ = usable_row(self.inputs, vector)
        return None if matrix is None else float(sigmoid(self.logits_many(matrix))[0])

    def predict_proba_many(self, matrix: Matrix) -> NDArray[np.float64]:
        """Give the probability for rows of shape (rows, inputs); NaN where a row is refused."""
        usable = np.array([not refusal for refusal in refusals_of(self.inputs, matrix)], dtype=bool)
        told = np.full(len(matrix), np.nan)
        if usable.any():
            told[usable] = sigmoid(self.logits_many(matrix[usable]))
        return told

    def trees(self) -> Trees:
        """Give the trees as plain numbers, leaves multiplied by their weights."""
        return Trees(
            cuts=self.bins.cuts,
            trees=tuple(
                msgspec.structs.replace(tree, leaves=tuple(leaf * weight for leaf in tree.leaves))
                for tree, weight in zip(self._forest.trees, self._forest.weights, strict=True)
            ),
            bias=self._bias,
        )

    def weights(self) -> Ensemble:
        """Give what scores."""
        return Ensemble(None, self.trees(), (0.0, 1.0))

    def state(self) -> BoostingState:
        """Give everything learned."""
        return BoostingState(
            inputs=self.inputs,
            settings=self.settings,
            bins=self.bins.state(),
            rows=self.rows,
            positives=self.positives,
            counts=(self._counts[0], self._counts[1]),
            next_growth=self._next_growth,
            growths=self._growths,
            bias=self._bias,
            kept=(self._kept[0].state(), self._kept[1].state()),
            trees=tuple(self._forest.trees),
            weights=tuple(self._forest.weights),
        )

    @classmethod
    def restored(cls, state: BoostingState) -> Boosting:
        """Go on from a state, alike to the last bit. Raises ValueError where its bytes do not fit."""
        learner = cls(state.inputs, state.settings)
        learner.bins = QuantileBins.restored(state.bins)
        learner.rows, learner.positives = state.rows, state.positives
        learner._counts = list(state.counts)
        learner._next_growth, learner._growths, learner._bias = state.next_growth, state.growths, state.bias
        sizes = [(kept.capacity, kept.width) for kept in learner._kept]
        if [(kept.capacity, kept.width) for kept in state.kept] != sizes or len(state.trees) > state.settings.ring:
            raise ValueError("reservoirs or trees of this state do not fit its settings")
        learner._kept = tuple(Reservoir.restored(kept) for kept in state.kept)
        learner._forest = Forest(state.settings.ring, state.trees, state.weights)
        return learner


def _carried_codes(old: tuple[float, ...], new: tuple[float, ...]) -> Codes:
    """Give for each old code of a value the new one in which the middle of its old bin lies.

    >>> _carried_codes((1.0, 2.0), (0.5, 1.5, 2.0)).tolist(), _carried_codes((), (1.0, 2.0)).tolist()
    ([0, 2, 2, 4], [0, 2])
    """
    codes = np.zeros(len(old) + 2, dtype=np.uint8)
    if not old:
        codes[1] = 1 + (len(new) + 1) // 2
        return codes
    middles = np.array((old[0], *((a + b) / 2.0 for a, b in pairwise(old)), np.nextafter(old[-1], np.inf)))
    codes[1:] = 1 + np.searchsorted(np.array(new), middles, side="left")
    return codes


def _carried_nodes(old: tuple[float, ...], new: tuple[float, ...]) -> NDArray[np.intp]:
    """Give for each old code of a node the new one whose cut is nearest; the last, that sends all known left, stays so.

    >>> _carried_nodes((1.0, 2.0), (0.5, 1.9)).tolist()
    [0, 1, 2, 3]
    """
    last = len(new) + 1
    if not new:
        return np.full(len(old) + 2, last, dtype=np.intp)
    nearest = [1 + int(np.argmin(np.abs(np.array(new) - cut))) for cut in old]
    return np.array((0, *nearest, last), dtype=np.intp)
