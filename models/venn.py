"""An interval around a probability: what happened to held-back patients who were given about the same one.

Owns the table a version carries, how it is made, and its look-up. Must not know thresholds, nor what is done with an
interval.

It is a Venn predictor (Vovk, Gammerman and Shafer 2005, chapter 6): its categories are ranges of the version's own
probability, fixed beforehand (`EDGES`) and joined until each has enough patients, which looks at no label. Of each
category the table has the interval of the share that had the outcome, at `COVERAGE`: Clopper and Pearson's (1934),
which contains Venn's pair of probabilities, on the effective number of rows (Korn and Graubard 1998), for the rows of
one patient are no independent witnesses. Told is that interval, widened to contain the probability itself: where the
number and the record disagree, both stand.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

COVERAGE = 0.95
"""Of an interval, for the share of its category that has the outcome: what clinicians expect of one."""

PATIENTS_MIN = 20
"""In a category: with fewer the clustered variance is itself a guess."""

BOUND_DECIMALS = 6
"""As a probability is told (models/scorer.py): the quantile function's last bits reach no digest."""

EDGES: tuple[float, ...] = (
    0.001, 0.002, 0.004, 0.006, 0.008, 0.01, 0.013, 0.016, 0.02, 0.025, 0.03, 0.035, 0.04, 0.05, 0.06, 0.07, 0.08,
    0.1, 0.12, 0.14, 0.17, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9,
)  # fmt: skip
"""Where one category ends and the next begins: a fifth apart where thresholds lie, wider where none does."""

CATEGORIES_MAX = 256
"""Of a table that is read: more were never made here."""


class Category(msgspec.Struct, frozen=True):
    """What was held back of one range of probabilities."""

    low: float
    high: float
    rows: int
    positives: int
    patients: int


class VennTable(msgspec.Struct, frozen=True):
    """The table: `categories[i]` holds from `edges[i - 1]` up to, not including, `edges[i]`.

    >>> table = VennTable((0.1,), (Category(0.0, 0.02, 900, 9, 90), Category(0.3, 0.5, 90, 36, 20)), 0.95)
    >>> table.interval(0.05), table.interval(0.2)
    ((0.0, 0.05), (0.2, 0.5))
    """

    edges: tuple[float, ...]
    categories: tuple[Category, ...]
    coverage: float

    def interval(self, probability: float) -> tuple[float, float]:
        """Give the interval around a probability; it contains it."""
        category = self.categories[bisect_right(self.edges, probability)]
        low, high = category.low, category.high
        if probability < low:
            return probability, high
        return low, max(probability, high)


def clopper_pearson(positives: float, rows: float, coverage: float = COVERAGE) -> tuple[float, float]:
    """Give the interval of a share (Clopper and Pearson 1934); counts may be fractions of effective rows.

    >>> [round(bound, 4) for bound in clopper_pearson(0, 100)], [round(bound, 3) for bound in clopper_pearson(5, 10)]
    ([0.0, 0.0362], [0.187, 0.813])
    """
    from scipy.special import betaincinv  # type: ignore[import-untyped]  # Read late: only training needs it.

    tail = (1.0 - coverage) / 2.0
    low = 0.0 if positives <= 0 else float(betaincinv(positives, rows - positives + 1.0, tail))
    high = 1.0 if positives >= rows else float(betaincinv(positives + 1.0, rows - positives, 1.0 - tail))
    return low, high


def effective_rows(labels: NDArray[np.bool_], patients: NDArray[np.int64]) -> float:
    """Give how many independent rows would say as much about the share: by its variance between patients.

    >>> effective_rows(np.array([True] * 4 + [False] * 4), np.array([1] * 4 + [2] * 4)) < 2.1
    True
    """
    count, (_, at) = len(labels), np.unique(patients, return_inverse=True)
    clusters = int(at.max()) + 1
    share = float(labels.mean())
    if share in (0.0, 1.0) or clusters < 2:
        # Nothing varies: then each patient is one witness.
        return float(clusters)
    residuals = np.bincount(at, weights=labels - share)
    variance = float((residuals * residuals).sum()) / count**2 * clusters / (clusters - 1)
    return min(float(count), max(1.0, share * (1.0 - share) / variance)) if variance > 0.0 else float(count)


def venn_table(
    probabilities: Sequence[float] | NDArray[np.float64],
    labels: Sequence[bool] | NDArray[np.bool_],
    patients: Sequence[int] | NDArray[np.int64],
    coverage: float = COVERAGE,
) -> VennTable | None:
    """Make the table from rows held back; None where there are not `PATIENTS_MIN` patients at all."""
    p = np.asarray(probabilities, dtype=np.float64)
    y, who = np.asarray(labels, dtype=bool), np.asarray(patients, dtype=np.int64)
    place = np.searchsorted(EDGES, p, side="right")
    spans = spans_of(place, who)
    if not spans:
        return None
    categories = []
    for begin, end in spans:
        inside = (place >= begin) & (place < end)
        categories.append(category_of(y[inside], who[inside], coverage))
    return VennTable(tuple(EDGES[begin - 1] for begin, _ in spans[1:]), tuple(categories), coverage)


def category_of(labels: NDArray[np.bool_], patients: NDArray[np.int64], coverage: float = COVERAGE) -> Category:
    """Sum up the rows of one category; there must be one at least."""
    effective = effective_rows(labels, patients)
    low, high = clopper_pearson(float(labels.mean()) * effective, effective, coverage)
    return Category(
        round(low, BOUND_DECIMALS),
        round(high, BOUND_DECIMALS),
        len(labels),
        int(labels.sum()),
        len(np.unique(patients)),
    )


def spans_of(place: NDArray[np.int64], patients: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Join neighbouring ranges, from the highest down, until each span has enough patients; what is left joins on."""
    spans: list[tuple[int, int]] = []
    end = len(EDGES) + 1
    for begin in range(len(EDGES), -1, -1):
        if len(np.unique(patients[(place >= begin) & (place < end)])) >= PATIENTS_MIN:
            spans.append((begin, end))
            end = begin
    if spans and end > 0:
        spans[-1] = (0, spans[-1][1])
    return spans[::-1]


def problem_of(table: VennTable) -> str:
    """Say why a table that was read must not be looked up in, or nothing."""
    if not 0 < len(table.categories) <= CATEGORIES_MAX or len(table.edges) != len(table.categories) - 1:
        return "venn: categories do not fit the edges"
    if not all(map(math.isfinite, table.edges)) or list(table.edges) != sorted(set(table.edges)):
        return "venn: edges are not finite and rising"
    if not 0.5 <= table.coverage < 1.0:
        return "venn: the coverage is no share between one half and 1"
    if not all(0.0 <= category.low <= category.high <= 1.0 for category in table.categories):
        return "venn: an interval is no interval of probabilities"
    return ""
