"""Whether a model serves each group of patients alike: the same figures group by group, and when there are too few.

Owns the figures of subgroups and the counts below which none is given. Must not know why groups differ, nor what
follows from it: gates and guardrails read the intervals.

A figure over a handful of stays is chance, and may tell who they were. So below a minimum it is not given at all, and
that is said in words; a reader must not take silence for equality.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from events import Millis
from models.figures.alert_episodes import ROW_MS, days_of, episodes_of, track_of
from models.figures.calibration import CALIBRATION_BINS, expected_calibration_error
from models.figures.proportions import LEVEL, Measured, clustered_interval, clustered_rate_interval
from models.figures.recalibration import logistic_recalibration
from models.figures.scored_rows import Bools, Floats, Groups, Ints, Labels, Scores, Times, beside, checked_probabilities
from models.groups import AGE_BANDS, NOT_RECORDED


class Minimums(msgspec.Struct, frozen=True):
    """Counts of a group below which a figure is not given."""

    stays: int = 50
    """Any figure: a share of fewer has an interval wider than a quarter of the scale."""
    positive_stays: int = 10
    """Sensitivity and PPV, the latter by flagged stays."""
    calibration_positive_stays: int = 20
    """Slope and calibration error. A hundred events are wished for (Vergouwe and others 2005); below twenty stays the
    interval of a slope holds everything."""


class SubgroupFigures(msgspec.Struct, frozen=True):
    """The figures of one group at one threshold. None means not given; `withheld` says why, one sentence a figure."""

    name: str
    rows: int
    stays: int
    positives: int
    positive_stays: int
    sensitivity: Measured | None
    """By hour: of the rows that preceded an outcome, the share at or above the threshold."""
    ppv: Measured | None
    slope: Measured | None
    calibration_error: float | None
    alerts_per_patient_day: Measured | None
    """By alert, with hysteresis."""
    withheld: tuple[str, ...] = ()


def age_band(age_years: Sequence[float] | Floats) -> NDArray[np.str_]:
    """Give the age band of each age in years; "" where it is unknown (NaN) or below 0.

    >>> age_band([44.9, 45.0, float("nan")]).tolist()
    ['18-44', '45-64', '']
    """
    ages = np.asarray(age_years, dtype=np.float64)
    known = ages >= 0.0
    places = np.searchsorted([end for end, _ in AGE_BANDS[:-1]], np.where(known, ages, 0.0), side="right")
    return np.where(known, np.array([name for _, name in AGE_BANDS])[places], "")


class _Rows(msgspec.Struct, frozen=True):
    labels: Bools
    probabilities: Floats
    groups: Ints
    times: Ints


def subgroup_figures(
    labels: Labels,
    probabilities: Scores,
    groups: Groups,
    names: Sequence[str] | NDArray[np.str_],
    times: Times,
    threshold: float,
    release: float | None = None,
    minimums: Minimums | None = None,
    level: float = LEVEL,
    row_ms: Millis = ROW_MS,
) -> tuple[SubgroupFigures, ...]:
    """Give the figures of each group, by ascending name. `names` has one name a row; "" is `NOT_RECORDED`.

    Intervals allow for rows of one stay resembling each other (`models.figures.proportions`). `release` is the level
    below which an alert ends; without it, the threshold.

    >>> found = subgroup_figures([True, False], [0.9, 0.1], [1, 2], ["a", ""], [0, 0], threshold=0.5)
    >>> [(one.name, one.stays, one.sensitivity) for one in found]
    [('a', 1, None), ('not recorded', 1, None)]
    >>> found[0].withheld
    ('every figure: 1 stay, fewer than 50',)
    """
    y, p = checked_probabilities(labels, probabilities)
    members, at = beside(len(y), groups, "groups"), beside(len(y), times, "times")
    of_row = np.asarray(names, dtype=str)
    if of_row.shape != y.shape:
        raise ValueError(f"{of_row.shape} names beside {len(y)} rows")
    of_row = np.where(of_row == "", NOT_RECORDED, of_row)
    found = []
    for name in np.unique(of_row):
        here = of_row == name
        rows = _Rows(y[here], p[here], members[here], at[here])
        found.append(
            _figures(
                str(name),
                rows,
                threshold,
                threshold if release is None else release,
                minimums or Minimums(),
                level,
                row_ms,
            )
        )
    return tuple(found)


def subgroups_by(
    columns: Mapping[str, Sequence[str] | NDArray[np.str_]],
    labels: Labels,
    probabilities: Scores,
    groups: Groups,
    times: Times,
    threshold: float,
    release: float | None = None,
    minimums: Minimums | None = None,
    level: float = LEVEL,
) -> dict[str, tuple[SubgroupFigures, ...]]:
    """Give the figures by each attribute (sex, age band, ward type ...), in the order of `columns`."""
    return {
        attribute: subgroup_figures(labels, probabilities, groups, names, times, threshold, release, minimums, level)
        for attribute, names in columns.items()
    }


def _stays(count: int) -> str:
    return f"{count} stay" if count == 1 else f"{count} stays"


def _figures(
    name: str, rows: _Rows, threshold: float, release: float, minimums: Minimums, level: float, row_ms: Millis
) -> SubgroupFigures:
    stays, positive_stays = len(np.unique(rows.groups)), len(np.unique(rows.groups[rows.labels]))
    told = rows.probabilities >= threshold
    told_stays = len(np.unique(rows.groups[told]))
    withheld: list[str] = []

    def enough(figure: str, have: int, wanted: int, which: str) -> bool:
        if have < wanted:
            withheld.append(f"{figure}: {_stays(have)}{which}, fewer than {wanted}")
        return have >= wanted

    sensitivity = ppv = slope = rate = None
    error: float | None = None
    if enough("every figure", stays, minimums.stays, ""):
        if enough("sensitivity", positive_stays, minimums.positive_stays, " with the outcome"):
            sensitivity = _share(told[rows.labels], rows.groups[rows.labels], level)
        if enough("ppv", told_stays, minimums.positive_stays, " flagged"):
            ppv = _share(rows.labels[told], rows.groups[told], level)
        if enough("calibration", positive_stays, minimums.calibration_positive_stays, " with the outcome"):
            line = logistic_recalibration(rows.labels, rows.probabilities, rows.groups, level)
            if line is None or line.slope is None:
                withheld.append("slope: it is undefined on these rows")
            else:
                slope = Measured(line.slope, line.slope_interval)
            error = expected_calibration_error(rows.labels, rows.probabilities, CALIBRATION_BINS)
        rate = _alert_rate(rows, threshold, release, level, row_ms)
    return SubgroupFigures(
        name=name,
        rows=len(rows.labels),
        stays=stays,
        positives=int(rows.labels.sum()),
        positive_stays=positive_stays,
        sensitivity=sensitivity,
        ppv=ppv,
        slope=slope,
        calibration_error=error,
        alerts_per_patient_day=rate,
        withheld=tuple(withheld),
    )


def _share(hits: Bools, groups: Ints, level: float) -> Measured:
    return Measured(float(hits.mean()), clustered_interval(hits, groups, level))


def _alert_rate(rows: _Rows, threshold: float, release: float, level: float, row_ms: Millis) -> Measured | None:
    track = track_of(rows.probabilities, rows.groups, rows.times)
    episodes = episodes_of(track, threshold, release)
    starts = np.flatnonzero(track.firsts)
    ends = np.append(starts[1:], len(track.times)) - 1
    exposure = (track.times[ends] - track.times[starts] + row_ms).astype(np.float64)
    alerts = np.bincount(np.searchsorted(track.groups[starts], episodes.groups), minlength=len(starts))
    days = days_of(track, row_ms)
    if not days:
        return None
    interval = clustered_rate_interval(alerts, exposure * (days / exposure.sum()), level)
    return Measured(len(episodes.groups) / days, interval)
