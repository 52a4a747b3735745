"""How sure a share is: Wilson's interval, also where the rows of one stay resemble each other.

Owns the intervals of shares and of rates. Must not know what is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log, sqrt
from statistics import NormalDist

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.figures.scored_rows import Groups, Labels, beside, numbered, truths

LEVEL = 0.95
"""The level of an interval unless another is asked for."""

Interval = tuple[float, float]


class Measured(msgspec.Struct, frozen=True):
    """A figure and its interval. The interval is None where nothing can be said of it."""

    value: float
    interval: Interval | None


def normal_quantile(level: float) -> float:
    """Give the number of standard errors either side of a two-sided interval; raises `ValueError` outside (0, 1).

    >>> round(normal_quantile(0.95), 4)
    1.96
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"a level lies between 0 and 1, not at {level}")
    return NormalDist().inv_cdf(0.5 + level / 2.0)


def wilson_interval(successes: float, trials: float, level: float = LEVEL) -> Interval | None:
    """Give the score interval of a share (Wilson 1927; Newcombe 1998, method 3); None of nothing.

    Both may be fractions: `trials` is then an effective number. Raises `ValueError` where no share is possible.

    >>> [round(end, 4) for end in wilson_interval(81, 263)]
    [0.2553, 0.3662]
    """
    if not 0.0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is no share")
    z = normal_quantile(level)
    if not trials:
        return None
    share = successes / trials
    middle = share + z * z / (2.0 * trials)
    half = z * sqrt(share * (1.0 - share) / trials + z * z / (4.0 * trials * trials))
    below = 1.0 + z * z / trials
    # Where all agree, the share is an end of the scale, and rounding must not leave it outside.
    low = 0.0 if not successes else max(0.0, (middle - half) / below)
    high = 1.0 if successes == trials else min(1.0, (middle + half) / below)
    return low, high


def clustered_interval(successes: Labels, groups: Groups, level: float = LEVEL) -> Interval | None:
    """Give Wilson's interval of the share of true rows with the effective number of rows; None of nothing.

    Rows of one stay resemble each other, so they count as fewer: their number divided by the design effect, which is
    the variance of the share between stays (Taylor's of a ratio, Cochran 1977, 6.11) over that of independent rows
    (Kish 1965; with Wilson's interval, Dean and Pagano 2015). It is never taken to be below 1: a lucky spread earns no
    credit. Where all rows agree the spread shows nothing, and the stays are counted instead of the rows.

    >>> rows, stays = [True, False, True, False], [1, 2, 3, 4]
    >>> [round(end, 6) for end in clustered_interval(rows * 25, stays * 25)]
    [0.125334, 0.874666]
    >>> [round(end, 6) for end in wilson_interval(1.5, 3)]
    [0.125334, 0.874666]
    """
    hits = truths(successes, "successes")
    members, stays = numbered(beside(len(hits), groups, "groups"))
    if not len(hits):
        return None
    share = float(hits.mean())
    if share in (0.0, 1.0) or stays == 1:
        return wilson_interval(share * stays, stays, level)
    rows_of = np.bincount(members, minlength=stays)
    residuals = np.bincount(members, weights=hits, minlength=stays) - share * rows_of
    variance = stays / (stays - 1.0) * float((residuals**2).sum()) / len(hits) ** 2
    effect = max(1.0, variance / (share * (1.0 - share) / len(hits)))
    effective = len(hits) / effect
    return wilson_interval(share * effective, effective, level)


def clustered_rate_interval(
    events: Sequence[int] | NDArray[np.int64], exposure: Sequence[float] | NDArray[np.float64], level: float = LEVEL
) -> Interval | None:
    """Give the interval of sum(events) / sum(exposure), both one entry a stay; None without exposure.

    The variance is Taylor's of a ratio between stays, the interval symmetric on the logarithmic scale, so that no end
    lies below 0. It is never taken to be below Poisson's, which is what a single stay is given. Without an event the
    interval runs from 0 to the rate at which none would be seen as rarely as the level allows.

    >>> [round(end, 3) for end in clustered_rate_interval([1, 0, 2, 1], [2.0, 2.0, 2.0, 2.0])]
    [0.188, 1.332]
    >>> [round(end, 3) for end in clustered_rate_interval([0, 0], [5.0, 5.0])]
    [0.0, 0.369]
    """
    counts, days = np.asarray(events, dtype=np.float64), np.asarray(exposure, dtype=np.float64)
    if counts.shape != days.shape or (len(days) and not (days.min() >= 0.0 and counts.min() >= 0.0)):
        raise ValueError("events and exposure are at least 0, one entry a stay each")
    z = normal_quantile(level)
    stays, total, seen = len(days), float(days.sum()), float(counts.sum())
    if not total:
        return None
    if not seen:
        return 0.0, -log((1.0 - level) / 2.0) / total
    rate = seen / total
    variance = stays / max(1.0, stays - 1.0) * float(((counts - rate * days) ** 2).sum()) / total**2
    factor = exp(z * sqrt(max(variance, rate / total)) / rate)
    return rate / factor, rate * factor
