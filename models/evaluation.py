"""How good the probabilities were: discrimination, calibration, and how sure we may be of either.

Owns the figures (AUROC, average precision, Brier score, expected calibration error), a bootstrap over patients, and the
accumulator that a prequential run fills. Must not know what was predicted, by which model, or why. Random numbers come
only from the generator a caller seeds and passes in.

Labels are truthy where the outcome happened; probabilities lie in [0, 1]. A figure that is undefined on its input (one
class only, nothing at all) is None, never a made-up number.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

CALIBRATION_BINS = 10
"""Ten bins of equal count: the habit of the clinical literature, and at 2 % positives still a few hundred rows each."""

EVALUATED_MAX = 20_000_000
"""Rows one accumulator keeps (13 bytes each, 260 MB): a year of a large hospital at one score an hour and patient."""

BOOTSTRAP_ROUNDS = 200
"""Enough for a 95 % interval's ends to two digits (Efron and Tibshirani 1993, chapter 13)."""

Metric = Callable[[Sequence[bool] | NDArray[np.bool_], Sequence[float] | NDArray[np.float64]], float | None]


def _arrays(
    labels: Sequence[bool] | NDArray[np.bool_], probabilities: Sequence[float] | NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    y = np.asarray(labels, dtype=bool)
    p = np.asarray(probabilities, dtype=np.float64)
    if y.shape != p.shape or y.ndim != 1:
        raise ValueError(f"{y.shape} labels beside {p.shape} probabilities")
    if not np.isfinite(p).all():
        raise ValueError("a probability is not finite")
    return y, p


def auroc(
    labels: Sequence[bool] | NDArray[np.bool_], probabilities: Sequence[float] | NDArray[np.float64]
) -> float | None:
    """Give the chance that a positive scores above a negative, ties counting half (Hanley and McNeil 1982).

    None where only one class is present.

    >>> auroc([False, True, False, True], [0.1, 0.4, 0.4, 0.8])
    0.875
    """
    y, p = _arrays(labels, probabilities)
    positives = int(y.sum())
    negatives = len(y) - positives
    if not positives or not negatives:
        return None
    _, inverse, counts = np.unique(p, return_inverse=True, return_counts=True)
    mid_ranks = np.cumsum(counts) - (counts - 1) / 2.0
    rank_sum = float(mid_ranks[inverse[y]].sum())
    return (rank_sum - positives * (positives + 1) / 2.0) / (positives * negatives)


def average_precision(
    labels: Sequence[bool] | NDArray[np.bool_], probabilities: Sequence[float] | NDArray[np.float64]
) -> float | None:
    """Give the precision averaged over the recall gained at each distinct threshold, highest first.

    Rows with equal probability enter together, so their order cannot matter. None without a positive.

    >>> round(average_precision([False, True, False, True], [0.1, 0.4, 0.4, 0.8]), 4)
    0.8333
    """
    y, p = _arrays(labels, probabilities)
    positives = int(y.sum())
    if not positives:
        return None
    order = np.argsort(-p, kind="stable")
    hits = np.cumsum(y[order])
    ends = np.flatnonzero(np.append(np.diff(p[order]) != 0, True))
    hits_at_ends = hits[ends]
    gained = np.diff(np.concatenate(([0], hits_at_ends)))
    return float((gained * (hits_at_ends / (ends + 1.0))).sum() / positives)


def brier(
    labels: Sequence[bool] | NDArray[np.bool_], probabilities: Sequence[float] | NDArray[np.float64]
) -> float | None:
    """Give the mean squared distance of probability from outcome (Brier 1950); None on nothing.

    >>> round(brier([True, False], [0.8, 0.4]), 6)
    0.1
    """
    y, p = _arrays(labels, probabilities)
    return float(np.mean((p - y) ** 2)) if len(y) else None


def expected_calibration_error(
    labels: Sequence[bool] | NDArray[np.bool_],
    probabilities: Sequence[float] | NDArray[np.float64],
    bins: int = CALIBRATION_BINS,
) -> float | None:
    """Give the mean gap between what was promised and what happened, over bins of equal count; None on nothing.

    Equal counts, not equal widths: at 2 % positives nearly every row would share the first bin of equal width and the
    figure would say nothing.

    >>> expected_calibration_error([True, False], [1.0, 0.0])
    0.0
    """
    y, p = _arrays(labels, probabilities)
    if not len(y):
        return None
    order = np.argsort(p, kind="stable")
    parts = np.array_split(order, min(bins, len(y)))
    gaps = [len(part) * abs(float(p[part].mean()) - float(y[part].mean())) for part in parts]
    return sum(gaps) / len(y)


def bootstrap_interval(
    metric: Metric,
    labels: Sequence[bool] | NDArray[np.bool_],
    probabilities: Sequence[float] | NDArray[np.float64],
    groups: Sequence[int] | NDArray[np.int64],
    generator: np.random.Generator,
    rounds: int = BOOTSTRAP_ROUNDS,
    level: float = 0.95,
) -> tuple[float, float] | None:
    """Give the percentile interval of a figure when whole groups (patients) are drawn with replacement.

    Rows of one patient resemble each other, so rows are not drawn one by one. Rounds in which the figure is undefined
    are left out; None where fewer than half are defined. Uses `generator` only.

    >>> ends = bootstrap_interval(brier, [True, False], [0.9, 0.1], [1, 2], np.random.default_rng(0), rounds=10)
    >>> [round(end, 6) for end in ends]
    [0.01, 0.01]
    """
    y, p = _arrays(labels, probabilities)
    names, members = np.unique(np.asarray(groups), return_inverse=True)
    if len(members) != len(y):
        raise ValueError(f"{len(members)} groups beside {len(y)} labels")
    if not len(names):
        return None
    order = np.argsort(members, kind="stable")
    rows_of = np.split(order, np.flatnonzero(np.diff(members[order])) + 1)
    figures: list[float] = []
    for _ in range(rounds):
        drawn = np.concatenate([rows_of[g] for g in generator.integers(0, len(names), len(names))])
        figure = metric(y[drawn], p[drawn])
        if figure is not None:
            figures.append(figure)
    if len(figures) * 2 < rounds:
        return None
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(figures, [tail, 1.0 - tail])
    return float(low), float(high)


class Figures(msgspec.Struct, frozen=True):
    """What a run showed. None means undefined on these rows (one class only, or none)."""

    rows: int
    positives: int
    groups: int
    unscored: int
    """Rows for which the model had no usable input and gave no probability; they enter no figure."""
    auroc: float | None
    average_precision: float | None
    brier: float | None
    brier_of_base_rate: float | None
    """The Brier score of always answering the share of positives: what there is to beat."""
    calibration_error: float | None


class Accumulator:
    """The rows of one evaluation, in order: probability, label and the group (patient) each belongs to.

    >>> run = Accumulator()
    >>> run.add(0.2, label=False, group="a"); run.add(0.9, label=True, group="b"); run.add(None, label=True, group="b")
    >>> run.figures().auroc, run.figures().unscored
    (1.0, 1)
    """

    def __init__(self) -> None:
        self._probabilities = array("d")
        self._labels = array("b")
        self._groups = array("l")
        self._group_numbers: dict[str, int] = {}
        self._unscored = 0

    def add(self, probability: float | None, *, label: bool, group: str) -> None:
        """Take one row in; `probability` None counts as unscored. Raises `OverflowError` past `EVALUATED_MAX`."""
        if probability is None:
            self._unscored += 1
            return
        if len(self._labels) >= EVALUATED_MAX:
            raise OverflowError(f"more than {EVALUATED_MAX} rows in one evaluation: split it by time")
        self._probabilities.append(probability)
        self._labels.append(label)
        self._groups.append(self._group_numbers.setdefault(group, len(self._group_numbers)))

    def rows(self) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.int64]]:
        """Give labels, probabilities and group numbers as arrays of equal length, in the order they came."""
        return (
            np.array(self._labels, dtype=bool),
            np.array(self._probabilities, dtype=np.float64),
            np.array(self._groups, dtype=np.int64),
        )

    def figures(self) -> Figures:
        """Compute every figure over the rows so far."""
        labels, probabilities, _ = self.rows()
        base = float(labels.mean()) if len(labels) else 0.0
        return Figures(
            rows=len(labels),
            positives=int(labels.sum()),
            groups=len(self._group_numbers),
            unscored=self._unscored,
            auroc=auroc(labels, probabilities),
            average_precision=average_precision(labels, probabilities),
            brier=brier(labels, probabilities),
            brier_of_base_rate=base * (1.0 - base) if len(labels) else None,
            calibration_error=expected_calibration_error(labels, probabilities),
        )

    def interval(
        self, metric: Metric, generator: np.random.Generator, rounds: int = BOOTSTRAP_ROUNDS
    ) -> tuple[float, float] | None:
        """Give the 95 % bootstrap interval of one figure, drawing whole groups."""
        labels, probabilities, groups = self.rows()
        return bootstrap_interval(metric, labels, probabilities, groups, generator, rounds)
