"""The straight line, on the scale of log-odds, that would make promises and outcomes agree.

Owns logistic recalibration as a measure: slope, intercept and calibration in the large, with their intervals. Must not
know how a model is mended; a calibrator that learns is `models.calibration`.
"""

from __future__ import annotations

from math import sqrt

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.figures.proportions import LEVEL, Interval, normal_quantile
from models.figures.scored_rows import (
    Bools,
    Floats,
    Groups,
    Ints,
    Labels,
    Scores,
    beside,
    checked_probabilities,
    numbered,
)

PROBABILITY_MIN = 1e-9
"""A probability nearer to 0 or 1 than this is taken to be this near: 0 and 1 have no log-odds."""

NEWTON_ROUNDS_MAX = 50
"""A logistic likelihood is concave, and Newton with halved steps needs about six; past fifty it has no maximum."""

COEFFICIENT_MAX = 1e4
"""A coefficient beyond this runs off to infinity: the scores part the classes without an error."""

STEP_MIN = 1e-10
"""A step below this, relative to the coefficient, has arrived."""


class Recalibration(msgspec.Struct, frozen=True):
    """How promises must be bent to agree with outcomes. A perfect model has slope 1 and both intercepts 0.

    `slope` and `intercept` are of logit(outcome) = intercept + slope x logit(promise); they are None where the promises
    are all alike or part the classes without an error. `in_the_large` is the intercept where the slope is held at 1:
    above 0, too little was promised. A slope below 1 promises too extremely.
    """

    slope: float | None
    intercept: float | None
    in_the_large: float | None
    slope_interval: Interval | None
    intercept_interval: Interval | None
    in_the_large_interval: Interval | None


def logistic_recalibration(
    labels: Labels, probabilities: Scores, groups: Groups | None = None, level: float = LEVEL
) -> Recalibration | None:
    """Fit slope and intercept by maximum likelihood (Cox 1958; Van Calster and others 2019); None with one class only.

    Intervals are of normal theory; with `groups` the variance is by stay (Liang and Zeger 1986, with the correction
    G / (G - 1)), and None of a single stay.

    >>> found = logistic_recalibration([True, False, False, False] * 2 + [True, False] * 4, [0.25] * 8 + [0.5] * 8)
    >>> round(found.slope, 6), round(abs(found.intercept), 6), round(abs(found.in_the_large), 6)
    (1.0, 0.0, 0.0)
    """
    y, p = checked_probabilities(labels, probabilities)
    positives = int(y.sum())
    members = None if groups is None else beside(len(y), groups, "groups")
    if not positives or positives == len(y):
        return None
    near = np.clip(p, PROBABILITY_MIN, 1.0 - PROBABILITY_MIN)
    logits = np.log(near) - np.log1p(-near)
    ones = np.ones((len(y), 1))
    large = _fit(ones, y, logits, members)
    middle, spread = float(logits.mean()), float(logits.std())
    line = None
    if spread > 0.0:
        # Standardised, so that the two columns are at right angles; turned back below.
        line = _fit(np.column_stack((ones, (logits - middle) / spread)), y, np.zeros(len(y)), members)
    in_the_large, in_the_large_interval = (None, None) if large is None else _of(large, np.array([1.0]), level)
    if line is None:
        return Recalibration(None, None, in_the_large, None, None, in_the_large_interval)
    slope, slope_interval = _of(line, np.array([0.0, 1.0 / spread]), level)
    intercept, intercept_interval = _of(line, np.array([1.0, -middle / spread]), level)
    return Recalibration(slope, intercept, in_the_large, slope_interval, intercept_interval, in_the_large_interval)


class _Fit(msgspec.Struct, frozen=True):
    coefficients: Floats
    covariance: NDArray[np.float64] | None


def _of(fit: _Fit, combination: Floats, level: float) -> tuple[float, Interval | None]:
    value = float(combination @ fit.coefficients)
    if fit.covariance is None:
        return value, None
    half = normal_quantile(level) * sqrt(max(0.0, float(combination @ fit.covariance @ combination)))
    return value, (value - half, value + half)


def _fit(x: NDArray[np.float64], y: Bools, offset: Floats, members: Ints | None) -> _Fit | None:
    """Maximise the logistic likelihood by Newton with halved steps; None where it has no maximum."""
    beta = np.zeros(x.shape[1])
    likelihood = _log_likelihood(offset, y)
    for _ in range(NEWTON_ROUNDS_MAX):
        chance = _expit(x @ beta + offset)
        score = x.T @ (y - chance)
        information = (x * (chance * (1.0 - chance))[:, None]).T @ x
        if np.linalg.cond(information) > 1.0 / np.finfo(np.float64).eps:
            return None
        step: Floats = np.linalg.solve(information, score).astype(np.float64)
        taken, likelihood = _longest_rise(x, y, offset, beta, step, likelihood)
        beta = beta + taken
        if np.abs(beta).max() > COEFFICIENT_MAX:
            return None
        if (np.abs(taken) <= STEP_MIN * (1.0 + np.abs(beta))).all():
            return _Fit(beta, _covariance(x, y, x @ beta + offset, members))
    return None


def _longest_rise(
    x: NDArray[np.float64], y: Bools, offset: Floats, beta: Floats, step: Floats, likelihood: float
) -> tuple[Floats, float]:
    """Halve a step until the likelihood does not fall; the step and the likelihood it leads to."""
    while True:
        reached = _log_likelihood(x @ (beta + step) + offset, y)
        if reached >= likelihood or (np.abs(step) <= STEP_MIN).all():
            return step, reached
        step = step / 2.0


def _expit(logits: Floats) -> Floats:
    return 0.5 * (1.0 + np.tanh(0.5 * logits))


def _log_likelihood(logits: Floats, y: Bools) -> float:
    return -float(np.logaddexp(0.0, np.where(y, -logits, logits)).sum())


def _covariance(x: NDArray[np.float64], y: Bools, logits: Floats, members: Ints | None) -> NDArray[np.float64] | None:
    chance = _expit(logits)
    information = (x * (chance * (1.0 - chance))[:, None]).T @ x
    bread = np.linalg.inv(information).astype(np.float64)
    if members is None:
        return bread
    of_stay, stays = numbered(members)
    if stays == 1:
        return None
    residual = y - chance
    sums = np.column_stack([np.bincount(of_stay, weights=column * residual, minlength=stays) for column in x.T])
    return (stays / (stays - 1.0) * bread @ (sums.T @ sums) @ bread).astype(np.float64)
