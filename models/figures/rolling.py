"""A figure over time: the same measure on one window of rows after another.

Owns the windows. Must not know the measure. A window holds the rows later than its start and not later than its end, so
a point says nothing that was not known at its end; the times are those a prequential run learned the labels at, or
those it predicted at, as the caller has them.
"""

from __future__ import annotations

import msgspec
import numpy as np

from events import Millis
from models.figures.bootstrap import BOOTSTRAP_ROUNDS, Metric, bootstrap_interval
from models.figures.proportions import LEVEL, Interval
from models.figures.scored_rows import Groups, Labels, Scores, Times, beside, checked

POSITIVES_MIN = 10
"""With fewer positives in a window a figure says more about chance than about the model."""

WINDOWS_MAX = 10_000
"""Points of one curve: a year by the hour. More is a step that was given in the wrong unit."""


class WindowPoint(msgspec.Struct, frozen=True):
    """One window: rows with start < time <= end (ms), and the figure over them."""

    start: Millis
    end: Millis
    rows: int
    positives: int
    figure: float | None
    """None where the window has too few positives, or the figure is undefined on it."""
    interval: Interval | None


def rolling(
    metric: Metric,
    labels: Labels,
    scores: Scores,
    times: Times,
    window_ms: Millis,
    step_ms: Millis,
    positives_min: int = POSITIVES_MIN,
    groups: Groups | None = None,
    generator: np.random.Generator | None = None,
    rounds: int = BOOTSTRAP_ROUNDS,
    level: float = LEVEL,
) -> tuple[WindowPoint, ...]:
    """Give a figure window by window: the first begins with the first row, the last holds the last row.

    With `groups` and `generator` each point has its bootstrap interval by stay. Raises `ValueError` where the window or
    the step is not positive, or where there would be more than `WINDOWS_MAX` points.

    >>> from models.figures.discrimination import auroc
    >>> found = rolling(auroc, [True, False, True, False], [0.9, 0.1, 0.1, 0.9], [1, 2, 3, 4], 2, 2, positives_min=1)
    >>> [(one.start, one.end, one.figure) for one in found]
    [(0, 2, 1.0), (2, 4, 0.0)]
    """
    y, p = checked(labels, scores)
    at = beside(len(y), times, "times")
    members = None if groups is None else beside(len(y), groups, "groups")
    if window_ms <= 0 or step_ms <= 0:
        raise ValueError("a window and its step are longer than nothing")
    if not len(y):
        return ()
    first, last = int(at.min()) - 1, int(at.max())
    count = 1 + max(0, -(-(last - first - window_ms) // step_ms))
    if count > WINDOWS_MAX:
        raise ValueError(f"{count} windows, more than {WINDOWS_MAX}: is the step in ms?")
    order = np.argsort(at, kind="stable")
    ordered = at[order]
    found = []
    for number in range(count):
        end = first + window_ms + number * step_ms
        bounds = np.searchsorted(ordered, [end - window_ms, end], side="right")
        rows = order[bounds[0] : bounds[1]]
        positives = int(y[rows].sum())
        figure = metric(y[rows], p[rows]) if positives >= positives_min else None
        interval = None
        if figure is not None and members is not None and generator is not None:
            interval = bootstrap_interval(metric, y[rows], p[rows], members[rows], generator, rounds, level)
        found.append(WindowPoint(end - window_ms, end, len(rows), positives, figure, interval))
    return tuple(found)
