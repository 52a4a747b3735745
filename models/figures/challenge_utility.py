"""The utility of the PhysioNet/CinC Challenge 2019: what it is worth to be warned of sepsis when.

Owns the challenge's reward by hour and its normalised sum. Must not know how a prediction came about. Source: Reyna and
others, Critical Care Medicine 48 (2020) 210-217; figures are those of the challenge's public scorer.

With d the hours since onset, a flagged hour of a septic stay earns from 0 at d = -12 (never less than a false alarm's
-0.05 before that) up to 1 at d = -6, and from there down to 0 at d = 3; a silent hour costs nothing up to d = -6 and
then up to 2 at d = 3. After that nothing counts. A flagged hour of a stay without sepsis costs 0.05.

The labels are the challenge's own (SepsisLabel: true from six hours before onset on), and an hour is a row: the rows of
a stay must all be there, in order. An hour without a score is an hour that was not flagged.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from models.figures.bootstrap import BOOTSTRAP_ROUNDS, ratio_interval
from models.figures.operating_points import thresholds_along
from models.figures.proportions import LEVEL, Interval
from models.figures.scored_rows import Bools, Floats, Groups, Labels, Scores, Times, beside, checked, runs_of, truths

EARLY_H, OPTIMAL_H, LATE_H = -12, -6, 3
"""Hours from onset: where a warning begins to be worth something, where it is worth most, and where it is too late."""
REWARD_MAX = 1.0
MISS_MIN = -2.0
FALSE_ALARM = -0.05


class Gains(msgspec.Struct, frozen=True):
    """What each row is worth, in the order rows were given: where it is flagged, where it is not, and at best."""

    flagged: Floats
    silent: Floats
    best: Floats


def utility_gains(labels: Labels, groups: Groups, times: Times | None = None) -> Gains:
    """Give what flagging and not flagging each row is worth. A stay's rows are in order, or have `times`.

    >>> gains = utility_gains([False, True], [1, 1])
    >>> gains.flagged.round(4).tolist(), gains.silent.tolist()
    ([0.8333, 1.0], [0.0, 0.0])
    """
    y = truths(labels)
    runs = runs_of(beside(len(y), groups, "groups"), None if times is None else beside(len(y), times, "times"))
    rows, ordered = np.arange(len(y)), y[runs.order]
    lengths = np.diff(np.append(runs.starts, len(y)))
    first_true = np.minimum.reduceat(np.where(ordered, rows, len(y)), runs.starts) if len(y) else rows
    septic = np.repeat(first_true < len(y), lengths)
    since = (rows - np.repeat(first_true, lengths) + OPTIMAL_H).astype(np.float64)
    rising = REWARD_MAX * (since - EARLY_H) / (OPTIMAL_H - EARLY_H)
    falling = REWARD_MAX * (LATE_H - since) / (LATE_H - OPTIMAL_H)
    missed = MISS_MIN * (since - OPTIMAL_H) / (LATE_H - OPTIMAL_H)
    early, over = since <= OPTIMAL_H, since > LATE_H
    told = np.where(early, np.maximum(rising, FALSE_ALARM), np.where(over, 0.0, falling))
    untold = np.where(early | over, 0.0, missed)
    told, untold = np.where(septic, told, FALSE_ALARM), np.where(septic, untold, 0.0)
    # The scorer's best is to flag from 12 hours before onset to 3 after; it is not searched for.
    best = np.where(septic & (since >= EARLY_H) & ~over, told, untold)
    back = np.empty(len(y), dtype=np.int64)
    back[runs.order] = rows
    return Gains(told[back], untold[back], best[back])


class Utility(msgspec.Struct, frozen=True):
    """The challenge's score: what was earned, from silence (0) to every septic stay flagged in time (1)."""

    normalised: float | None
    """None where no stay has sepsis: there is nothing to be earned."""
    observed: float
    best: float
    inaction: float


def challenge_utility(
    labels: Labels, predictions: Sequence[bool] | Bools, groups: Groups, times: Times | None = None
) -> Utility:
    """Score hourly yes-or-no predictions. `labels` are the challenge's own, see above.

    >>> labels, told = [False, False, False, False, True, True], [False, False, True, True, True, True]
    >>> round(challenge_utility(labels, told, [1] * 6).observed, 6)
    3.388889
    """
    gains = utility_gains(labels, groups, times)
    told = _flags(predictions, len(gains.best))
    observed, best = float(np.where(told, gains.flagged, gains.silent).sum()), float(gains.best.sum())
    inaction = float(gains.silent.sum())
    above = best - inaction
    return Utility((observed - inaction) / above if above else None, observed, best, inaction)


def _flags(predictions: Sequence[bool] | Bools, rows: int) -> Bools:
    told = truths(predictions, "predictions")
    if told.shape != (rows,):
        raise ValueError(f"{told.shape} predictions beside {rows} labels")
    return told


def utility_interval(
    labels: Labels,
    predictions: Sequence[bool] | Bools,
    groups: Groups,
    generator: np.random.Generator,
    rounds: int = BOOTSTRAP_ROUNDS,
    level: float = LEVEL,
    times: Times | None = None,
) -> Interval | None:
    """Give the bootstrap interval, by stay, of the normalised utility."""
    gains = utility_gains(labels, groups, times)
    earned = np.where(_flags(predictions, len(gains.best)), gains.flagged - gains.silent, 0.0)
    return ratio_interval(earned, gains.best - gains.silent, groups, generator, rounds, level)


class UtilityPoint(msgspec.Struct, frozen=True):
    """The normalised utility of flagging every row at or above a threshold."""

    threshold: float
    normalised: float


def utility_curve(
    labels: Labels,
    scores: Scores,
    groups: Groups,
    thresholds: Sequence[float] | Floats | None = None,
    points: int = 100,
    times: Times | None = None,
) -> tuple[UtilityPoint, ...]:
    """Give the utility along the threshold, ascending; nothing where no stay has sepsis.

    The highest point is the best threshold for these rows, and so too good for them: choose it on others.

    >>> [point.normalised for point in utility_curve([False, True], [0.2, 0.8], [1, 1], [0.5, 0.9])][1]
    0.0
    """
    y, p = checked(labels, scores)
    gains = utility_gains(y, groups, times)
    above = float((gains.best - gains.silent).sum())
    if not above:
        return ()
    levels = np.sort(np.asarray(thresholds_along(p, points) if thresholds is None else thresholds, dtype=np.float64))
    rising = np.argsort(p, kind="stable")
    ordered = p[rising]
    earned = np.concatenate((np.cumsum((gains.flagged - gains.silent)[rising][::-1])[::-1], [0.0]))
    at = earned[np.searchsorted(ordered, levels, side="left")]
    return tuple(UtilityPoint(level, worth / above) for level, worth in zip(levels.tolist(), at.tolist(), strict=True))
