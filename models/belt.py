"""Intervals around a probability from one line through all held-back patients, and whether such intervals held.

Owns the calibration belt, the table a version carries of it (the shape of models/venn.py), and the comparison of told
intervals with what was found. Must not know thresholds, time, or how wide a belt ought to be (models/conformal.py).

A Venn table estimates each range of probabilities by its own few outcomes, so its intervals are wide: that alone makes
two fifths of what it leaves indeterminate (docs/calibration.md). A belt borrows strength: the outcome's log-odds are
taken to be a line in the told log-odds (the calibration belt, Nattino, Finazzi and Bertolini 2014), with the covariance
of intercept and slope between patients, not rows (Liang and Zeger 1986), by Student's t on as many degrees of freedom
as patients had the outcome. Where the line and the record of a range contradict each other the interval reaches from
one to the other: the line may be wrong, and then that is what is known.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.conformal import WIDTH_MAX, WIDTH_MIN
from models.venn import (
    BOUND_DECIMALS,
    COVERAGE,
    EDGES,
    Category,
    VennTable,
    category_of,
    spans_of,
    venn_table,
)

PATIENTS_WITH_MIN = 20
"""Patients with the outcome, for a line with a covariance between them; with fewer the table is Venn's."""

RECORD_COVERAGE = 0.5
"""Of the record's interval that a belt must at least reach: one wider would seldom contradict a line."""

NEWTON_STEPS = 30
"""Far more than the six that a line takes: it stops when it stands still."""

PROBABILITY_MIN = 1e-6
"""A told probability is rounded to a millionth; nought has no log-odds."""


def _edges() -> tuple[float, ...]:
    tenths = (*range(-80, -50, 5), *range(-50, 0), *range(0, 26, 5))
    return tuple(round(1.0 / (1.0 + math.exp(-tenth / 10.0)), BOUND_DECIMALS) for tenth in tenths)


BELT_EDGES = _edges()
"""Where a belt's table steps: a tenth of a logit where thresholds lie (0.7 % to 50 %), half of one elsewhere."""

Floats = NDArray[np.float64]


class Belt(msgspec.Struct, frozen=True):
    """The line: log-odds of the outcome = `intercept` + `slope` * (told log-odds - `centre`)."""

    centre: float
    intercept: float
    slope: float
    covariance: tuple[float, float, float]
    """Of intercept, of both, of slope; between patients."""
    patients_with: int
    """Patients with the outcome behind it."""

    def interval(self, probabilities: Floats, width: float) -> tuple[Floats, Floats]:
        """Give lower and upper bounds, `width` standard deviations (of a normal) to either side of the line."""
        from scipy.special import expit, stdtrit  # type: ignore[import-untyped]  # Read late: only learning needs it.

        apart = _logits(probabilities) - self.centre
        middle = self.intercept + self.slope * apart
        of_intercept, of_both, of_slope = self.covariance
        deviation = np.sqrt(np.maximum(of_intercept + 2.0 * apart * of_both + apart * apart * of_slope, 0.0))
        few = float(stdtrit(self.patients_with - 1, 0.975)) / WIDTH_MIN
        return expit(middle - width * few * deviation), expit(middle + width * few * deviation)


def belt_of(probabilities: Floats, labels: NDArray[np.bool_], patients: NDArray[np.int64]) -> Belt | None:
    """Fit the line to rows held back; None with too few patients with or without the outcome, or without a line.

    >>> generator = np.random.default_rng(1)
    >>> told = generator.beta(0.5, 9.0, 4000)
    >>> belt = belt_of(told, generator.random(4000) < told, np.arange(4000))
    >>> abs(belt.slope - 1.0) < 0.15
    True
    """
    from scipy.special import expit

    if min(len(np.unique(patients[labels])), len(np.unique(patients[~labels]))) < PATIENTS_WITH_MIN:
        return None
    logits = _logits(probabilities)
    centre = float(logits.mean())
    rows = np.stack([np.ones_like(logits), logits - centre], axis=1)
    share = float(labels.mean())
    line = np.array([math.log(share / (1.0 - share)), 0.0])
    if float(rows[:, 1].std()) < 1e-3:
        return None  # All were told the same: one range, no line.
    for _ in range(NEWTON_STEPS):
        expected = expit(rows @ line)
        hessian = (rows * (expected * (1.0 - expected))[:, np.newaxis]).T @ rows
        step = np.linalg.solve(hessian, rows.T @ (labels - expected))
        line = line + step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-300))
        if float(np.abs(step).max()) < 1e-10:
            break
    else:
        return None
    _, at = np.unique(patients, return_inverse=True)
    clusters = int(at.max()) + 1
    apart = labels - expit(rows @ line)
    scores = np.stack([np.bincount(at, rows[:, column] * apart, clusters) for column in (0, 1)], axis=1)
    inverse = np.linalg.inv(hessian)
    covariance = inverse @ (scores.T @ scores) @ inverse * clusters / (clusters - 1)
    found = (float(covariance[0, 0]), float(covariance[0, 1]), float(covariance[1, 1]))
    return Belt(centre, float(line[0]), float(line[1]), found, len(np.unique(patients[labels])))


def belt_table(
    probabilities: Floats,
    labels: NDArray[np.bool_],
    patients: NDArray[np.int64],
    width: float = WIDTH_MIN,
    coverage: float = COVERAGE,
) -> VennTable | None:
    """Make the table a version carries; Venn's where there is no line, None where there is not even that.

    `width` is in standard deviations: at least `WIDTH_MIN`, at `WIDTH_MAX` every interval is the whole of 0 to 1.
    """
    belt = belt_of(probabilities, labels, patients)
    if belt is None:
        table = venn_table(probabilities, labels, patients, coverage)
        return table if table is None or width < WIDTH_MAX else _whole(table)
    edges = np.array(BELT_EDGES)
    lows, highs = belt.interval(edges, width)
    # Of a range, what its two ends allow; the first reaches down to 0 and the last up to 1.
    low = np.concatenate(([0.0], np.minimum(lows[:-1], lows[1:]), [lows[-1]]))
    high = np.concatenate(([highs[0]], np.maximum(highs[:-1], highs[1:]), [1.0]))
    place = np.searchsorted(edges, probabilities, side="right")
    wide = np.searchsorted(EDGES, probabilities, side="right")
    middles = np.concatenate(([edges[0] / 2.0], np.sqrt(edges[:-1] * edges[1:]), [(edges[-1] + 1.0) / 2.0]))
    of_middle = np.searchsorted(EDGES, middles, side="right")
    for begin, end in spans_of(wide, patients):
        inside, cells = (wide >= begin) & (wide < end), (of_middle >= begin) & (of_middle < end)
        record = category_of(labels[inside], patients[inside], RECORD_COVERAGE)
        low[cells] = np.minimum(low[cells], record.high)
        high[cells] = np.maximum(high[cells], record.low)
    if width >= WIDTH_MAX:
        low, high = np.zeros_like(low), np.ones_like(high)
    who = [patients[place == cell] for cell in range(len(low))]
    categories = tuple(
        Category(
            round(float(low[cell]), BOUND_DECIMALS),
            round(float(high[cell]), BOUND_DECIMALS),
            len(who[cell]),
            int(labels[place == cell].sum()),
            len(np.unique(who[cell])),
        )
        for cell in range(len(low))
    )
    return VennTable(BELT_EDGES, categories, coverage)


def _whole(table: VennTable) -> VennTable:
    """Tell of everything all of 0 to 1: what at the greatest width cannot miss, whatever made the table."""
    whole = tuple(msgspec.structs.replace(category, low=0.0, high=1.0) for category in table.categories)
    return VennTable(table.edges, whole, table.coverage)


def told_by(table: VennTable, probabilities: Floats) -> tuple[Floats, Floats]:
    """Give the intervals of many probabilities, each as `VennTable.interval` gives it.

    >>> table = VennTable((0.1,), (Category(0.0, 0.02, 900, 9, 90), Category(0.3, 0.5, 90, 36, 20)), 0.95)
    >>> [bounds.tolist() for bounds in told_by(table, np.array([0.05, 0.2]))]
    [[0.0, 0.2], [0.05, 0.5]]
    """
    place = np.searchsorted(table.edges, probabilities, side="right")
    lows = np.array([category.low for category in table.categories])[place]
    highs = np.array([category.high for category in table.categories])[place]
    return np.minimum(lows, probabilities), np.maximum(highs, probabilities)


def held_true(
    probabilities: Floats,
    bounds: tuple[Floats, Floats],
    labels: NDArray[np.bool_],
    patients: NDArray[np.int64],
    coverage: float = COVERAGE,
) -> NDArray[np.bool_] | None:
    """Say of each row whether the interval told with it agrees with what was found; None with too few patients.

    Rows are put together by what they were told, as a Venn table's are. The share found has an interval of its own, so
    told and found agree where their difference may be none at that coverage (Newcombe 1998, from the two intervals).
    """
    place = np.searchsorted(EDGES, probabilities, side="right")
    spans = spans_of(place, patients)
    if not spans:
        return None
    agrees = np.zeros(len(labels), dtype=bool)
    for begin, end in spans:
        inside = (place >= begin) & (place < end)
        found = category_of(labels[inside], patients[inside], coverage)
        agrees[inside] = _agrees(float(bounds[0][inside].mean()), float(bounds[1][inside].mean()), found)
    return agrees


def _agrees(low: float, high: float, found: Category) -> bool:
    share = found.positives / found.rows
    if low <= share <= high:
        return True
    # The middle of the told interval, on the scale on which belts are even.
    ends = _logits(np.array([max(low, 1e-4), min(high, 1.0 - 1e-4)]))
    middle = 1.0 / (1.0 + math.exp(-float(ends.mean())))
    if share > high:
        return (share - middle) ** 2 <= (high - middle) ** 2 + (share - found.low) ** 2
    return (middle - share) ** 2 <= (middle - low) ** 2 + (found.high - share) ** 2


def _logits(probabilities: Floats) -> Floats:
    kept = np.clip(np.asarray(probabilities, dtype=np.float64), PROBABILITY_MIN, 1.0 - PROBABILITY_MIN)
    logits: Floats = np.log(kept / (1.0 - kept))
    return logits
