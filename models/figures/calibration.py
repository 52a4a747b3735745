"""Whether what was promised happened: Brier score and its parts, calibration error, slope and intercept, reliability.

Owns the figures of calibration and their bins. Must not know how a model was calibrated, nor what is done about it.

Bins hold about equal numbers of rows, not equal widths: at 2 % positives nearly every row would share the first bin of
equal width and the figure would say nothing. Rows with equal probability share a bin, so no figure depends on the order
rows came in. Undefined is None. `groups` number the stays; with them, intervals allow for rows of one stay resembling
each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.figures.proportions import LEVEL, Interval, Measured, clustered_interval, wilson_interval
from models.figures.recalibration import Recalibration, logistic_recalibration
from models.figures.scored_rows import Floats, Groups, Ints, Labels, Scores, Tied, beside, checked_probabilities, tied

CALIBRATION_BINS = 10
"""Ten bins of equal count: the habit of the clinical literature, and at 2 % positives still a few hundred rows each."""

TOP_SHARE = 0.1
"""The tenth of rows with the highest risk: where a threshold will lie, and where an error harms."""


def brier(labels: Labels, probabilities: Scores) -> float | None:
    """Give the mean squared distance of probability from outcome (Brier 1950); None on nothing.

    >>> round(brier([True, False], [0.8, 0.4]), 6)
    0.1
    """
    y, p = checked_probabilities(labels, probabilities)
    return float(np.mean((p - y) ** 2)) if len(y) else None


def bin_edges(ordered: Tied, bins: int, weights: Floats | None = None) -> Ints:
    """Give where each bin begins and the last one ends, as places among the ordered rows; empty bins are left in.

    A run of equal scores goes whole to the bin that its middle rank falls in. `weights` say how often each ordered row
    counts (a bootstrap's draw).

    >>> bin_edges(tied(np.array([0.1, 0.5, 0.5, 0.5])), bins=2)
    array([0, 1, 4])
    """
    rows = len(ordered.order)
    upto = np.arange(rows + 1, dtype=np.float64) if weights is None else np.concatenate(([0.0], np.cumsum(weights)))
    wanted = np.arange(1, bins) * float(upto[-1]) / bins
    # The run in which the running count reaches an edge is the only one whose middle may lie on either side of it.
    runs = np.searchsorted(ordered.starts, np.searchsorted(upto[1:], wanted, side="left"), side="right") - 1
    bounds = np.append(ordered.starts, rows)
    middles = (upto[bounds[runs]] + upto[bounds[runs + 1]]) / 2.0
    return np.concatenate(([0], np.where(middles >= wanted, bounds[runs], bounds[runs + 1]), [rows]))


def expected_calibration_error(labels: Labels, probabilities: Scores, bins: int = CALIBRATION_BINS) -> float | None:
    """Give the mean gap between what was promised and what happened, over bins of equal count; None on nothing.

    The error of a perfect model is not 0 but falls with the rows in a bin (Naeini, Cooper and Hauskrecht 2015).

    >>> expected_calibration_error([True, False], [1.0, 0.0])
    0.0
    """
    y, p = checked_probabilities(labels, probabilities)
    if not len(y):
        return None
    ordered = tied(p)
    gaps = np.concatenate(([0.0], np.cumsum((p - y)[ordered.order])))
    return float(np.abs(np.diff(gaps[bin_edges(ordered, bins)])).sum()) / len(y)


class BrierParts(msgspec.Struct, frozen=True):
    """The Brier score taken apart: `brier` = `reliability` - `resolution` + `uncertainty` + `within_bins`."""

    brier: float
    of_base_rate: float
    """The Brier score of always answering the share of positives: what there is to beat. Equal to `uncertainty`."""
    skill: float | None
    """1 - brier / of_base_rate; above 0 is better than the base rate. None where one class only is present."""
    reliability: float
    """The mean squared gap between promise and outcome over the bins: less is better."""
    resolution: float
    """The mean squared distance of the bins' outcomes from the base rate: more is better."""
    uncertainty: float
    within_bins: float
    """What the bins hide: the spread of the promises inside a bin less twice their covariance with the outcome."""


def brier_parts(labels: Labels, probabilities: Scores, bins: int = CALIBRATION_BINS) -> BrierParts | None:
    """Take the Brier score apart (Murphy 1973), with the rest that bins leave (Stephenson, Coelho and Jolliffe 2008).

    None on nothing.

    >>> parts = brier_parts([True, False], [0.8, 0.4])
    >>> round(parts.reliability - parts.resolution + parts.uncertainty + parts.within_bins, 6), round(parts.skill, 6)
    (0.1, 0.6)
    """
    y, p = checked_probabilities(labels, probabilities)
    if not len(y):
        return None
    ordered = tied(p)
    ys, ps = y[ordered.order].astype(np.float64), p[ordered.order]
    base = float(y.mean())
    uncertainty, score = base * (1.0 - base), float(np.mean((p - y) ** 2))
    reliability = resolution = within = 0.0
    for low, high in _bins(bin_edges(ordered, bins)):
        promised, happened = ps[low:high], ys[low:high]
        gap, rise = promised.mean() - happened.mean(), happened.mean() - base
        reliability += (high - low) * gap**2
        resolution += (high - low) * rise**2
        off = promised - promised.mean()
        within += float((off**2).sum() - 2.0 * (off * (happened - happened.mean())).sum())
    return BrierParts(
        brier=score,
        of_base_rate=uncertainty,
        skill=1.0 - score / uncertainty if uncertainty else None,
        reliability=float(reliability) / len(y),
        resolution=float(resolution) / len(y),
        uncertainty=uncertainty,
        within_bins=within / len(y),
    )


def _bins(edges: Ints) -> list[tuple[int, int]]:
    return [(int(low), int(high)) for low, high in pairwise(edges) if high > low]


class ReliabilityBin(msgspec.Struct, frozen=True):
    """One bin of a reliability table: its lowest and highest probability, and what was promised and happened in it."""

    low: float
    high: float
    rows: int
    positives: int
    promised: float
    happened: float
    interval: Interval | None
    """Of what happened."""


def reliability_table(
    labels: Labels,
    probabilities: Scores,
    groups: Groups | None = None,
    bins: int = CALIBRATION_BINS,
    level: float = LEVEL,
) -> tuple[ReliabilityBin, ...]:
    """Give what was promised and what happened, bin by bin from the lowest risk up; empty bins are left out.

    >>> [(one.promised, one.happened) for one in reliability_table([False, True], [0.25, 0.75], bins=2)]
    [(0.25, 0.0), (0.75, 1.0)]
    """
    y, p = checked_probabilities(labels, probabilities)
    members = None if groups is None else beside(len(y), groups, "groups")
    ordered = tied(p)
    table = []
    for low, high in _bins(bin_edges(ordered, bins)) if len(y) else ():
        rows = ordered.order[low:high]
        table.append(
            ReliabilityBin(
                low=float(p[rows[0]]),
                high=float(p[rows[-1]]),
                rows=len(rows),
                positives=int(y[rows].sum()),
                promised=float(p[rows].mean()),
                happened=float(y[rows].mean()),
                interval=_interval(y[rows], None if members is None else members[rows], level),
            )
        )
    return tuple(table)


def _interval(hits: NDArray[np.bool_], members: Ints | None, level: float) -> Interval | None:
    if members is None:
        return wilson_interval(int(hits.sum()), len(hits), level)
    return clustered_interval(hits, members, level)


class TopOfRisk(msgspec.Struct, frozen=True):
    """The rows with the highest risk: what they were promised, and what happened to them."""

    rows: int
    promised: float
    happened: Measured
    error_share: float | None
    """The gap between the two as a share of what happened; None where nothing did."""


def top_of_risk(
    labels: Labels,
    probabilities: Scores,
    groups: Groups | None = None,
    share: float = TOP_SHARE,
    level: float = LEVEL,
) -> TopOfRisk | None:
    """Give promise and outcome of the `share` of rows with the highest risk; what ties with the lowest of them is in.

    None on nothing.

    >>> top_of_risk([True, True, False, False], [0.8, 0.7, 0.2, 0.1], share=0.5).error_share
    0.25
    """
    if not 0.0 < share <= 1.0:
        raise ValueError(f"a share lies above 0 and is at most 1, not {share}")
    y, p = checked_probabilities(labels, probabilities)
    if not len(y):
        return None
    wanted = max(1, int(np.ceil(share * len(y) - 1e-9)))
    chosen = p >= np.partition(p, len(p) - wanted)[len(p) - wanted]
    promised, happened = float(p[chosen].mean()), float(y[chosen].mean())
    members = None if groups is None else beside(len(y), groups, "groups")[chosen]
    return TopOfRisk(
        rows=int(chosen.sum()),
        promised=promised,
        happened=Measured(happened, _interval(y[chosen], members, level)),
        error_share=abs(promised - happened) / happened if happened else None,
    )


class CalibrationFigures(msgspec.Struct, frozen=True):
    """Every figure of calibration over the same rows. None means undefined on them."""

    rows: int
    positives: int
    recalibration: Recalibration | None
    brier: BrierParts | None
    calibration_error: float | None
    top: TopOfRisk | None
    table: tuple[ReliabilityBin, ...]


def calibration_figures(
    labels: Labels,
    probabilities: Scores,
    groups: Groups | None = None,
    bins: int = CALIBRATION_BINS,
    level: float = LEVEL,
) -> CalibrationFigures:
    """Compute every figure of calibration.

    >>> calibration_figures([], []).brier is None
    True
    """
    y, p = checked_probabilities(labels, probabilities)
    return CalibrationFigures(
        rows=len(y),
        positives=int(y.sum()),
        recalibration=logistic_recalibration(y, p, groups, level),
        brier=brier_parts(y, p, bins),
        calibration_error=expected_calibration_error(y, p, bins),
        top=top_of_risk(y, p, groups, level=level),
        table=reliability_table(y, p, groups, bins, level),
    )


def calibration_by(
    names: Sequence[str] | NDArray[np.str_],
    labels: Labels,
    probabilities: Scores,
    groups: Groups | None = None,
    bins: int = CALIBRATION_BINS,
    level: float = LEVEL,
) -> dict[str, CalibrationFigures]:
    """Compute every figure of calibration for each subgroup, by ascending name. `names` has one name a row.

    No count is too small here: whoever shows the figures asks `models.figures.subgroups` what may be shown.

    >>> sorted(calibration_by(["b", "a"], [True, False], [0.9, 0.1]))
    ['a', 'b']
    """
    y, p = checked_probabilities(labels, probabilities)
    of_row = np.asarray(names, dtype=str)
    if of_row.shape != y.shape:
        raise ValueError(f"{of_row.shape} names beside {len(y)} rows")
    members = None if groups is None else beside(len(y), groups, "groups")
    found = {}
    for name in np.unique(of_row):
        here = of_row == name
        found[str(name)] = calibration_figures(
            y[here], p[here], None if members is None else members[here], bins, level
        )
    return found
