"""Tests that may be looked at after every row: evidence of a change, with a stated rate of false alarms.

Owns the evidence (an e-detector) and the three bets that feed it: on the odds of an outcome, on a mean, on a rate. Must
not know what is watched, nor what is done about a change.

Why these. A monitor is looked at all the time, so a test of fixed size at each look would alarm at random, and a bound
for rows drawn independently of one known law says nothing of patients. An e-detector needs neither (Shin, Ramdas and
Rinaldo 2024, New England Journal of Statistics in Data Science 2(2)): each step multiplies by a bet e >= 0 whose mean,
given the past, is at most 1 while nothing has changed, and

    evidence <- e * (1 + evidence)        (Shiryaev-Roberts)

is then at most the number of steps on average. So evidence reaches `limit` by chance once in `limit` steps or less
often, whatever the data are otherwise. Nothing changed is a band, not a point: what lies within the tolerance may go on
for ever. Several bets of one stream are averaged, which keeps the bound.

All state is plain numbers: a few for each stream, whatever it has heard.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CLEAR_SHARE = 0.05
"""A change that was told has passed when its evidence is a twentieth of the limit: more than the limit of a stream that
lies still has by its newest bets alone."""
LOG_NONE = -700.0
"""The logarithm of no evidence: finite, so that a state is plain numbers in any form."""
PROBABILITY_MIN = 1e-4
"""A probability is taken as at least this far from 0 and 1: one outcome there must not be proof by itself."""


class DetectorState(msgspec.Struct, frozen=True):
    """All that `Detector` knows, as plain numbers."""

    streams: int
    bets: int
    limit: float
    log_evidence: tuple[float, ...]
    """Of each stream and bet, row by row; the natural logarithm."""
    raised: tuple[bool, ...]


class Detector:
    """The evidence against `streams` streams, each by `bets` bets.

    >>> evidence = Detector(1, 2, limit=1_000.0)
    >>> bets = odds_bets(0.02, happened=True, tolerance=0.4, shifts=(1.0, -1.0))
    >>> [bool(evidence.step(bets[None, :])[0]) for _ in range(20)].index(True)
    11
    """

    def __init__(self, streams: int, bets: int, limit: float) -> None:
        """`limit`: steps between two false alarms, at the least and on average."""
        if streams < 0 or bets < 1 or not limit > 1.0:
            raise ValueError("streams and bets are counted, and a limit is above 1")
        self.limit = limit
        self._log = np.full((streams, bets), LOG_NONE)
        self.raised: NDArray[np.bool_] = np.zeros(streams, dtype=bool)
        # What is past proof is not kept, so that a change that has passed is not remembered for as long as it lasted.
        self._log_max = math.log(limit * bets)

    def step(self, log_bets: Floats) -> NDArray[np.bool_]:
        """Take one bet a stream and kind, shape (streams, bets), as logarithms; NaN is none for that stream.

        Gives which streams were raised by this step.
        """
        after = np.minimum(log_bets + np.logaddexp(0.0, self._log), self._log_max)
        self._log = np.where(np.isnan(log_bets), self._log, after)
        total = self.total()
        rising = (total >= self.limit * (1.0 - 1e-9)) & ~self.raised
        self.raised = (self.raised & (total > self.limit * CLEAR_SHARE)) | rising
        return rising

    def total(self) -> Floats:
        """Give each stream's evidence: the mean over its bets."""
        return np.asarray(np.exp(self._log).mean(axis=1), dtype=np.float64)

    def strongest(self) -> NDArray[np.int64]:
        """Give the number of each stream's strongest bet: in which direction it changed."""
        return np.asarray(self._log.argmax(axis=1), dtype=np.int64)

    def state(self) -> DetectorState:
        """Give everything as plain numbers."""
        streams, bets = self._log.shape
        return DetectorState(
            streams, bets, self.limit, tuple(map(float, self._log.ravel())), tuple(map(bool, self.raised))
        )

    @classmethod
    def restored(cls, state: DetectorState) -> Detector:
        """Go on from a state, alike."""
        made = cls(state.streams, state.bets, state.limit)
        made._log = np.array(state.log_evidence, dtype=np.float64).reshape(state.streams, state.bets)
        made.raised = np.array(state.raised, dtype=bool)
        return made


def _logit(p: Floats) -> Floats:
    clipped = np.clip(p, PROBABILITY_MIN, 1.0 - PROBABILITY_MIN)
    return np.asarray(np.log(clipped / (1.0 - clipped)), dtype=np.float64)


def odds_bets(
    probability: float | Floats, *, happened: bool | NDArray[np.bool_], tolerance: float, shifts: Sequence[float]
) -> Floats:
    """Bet that the log-odds of an outcome stand off what was said by each of `shifts` and not within `tolerance`.

    `probability` in [0, 1] and `happened` have one shape; the result has one more dimension, of the shifts. Each bet is
    the likelihood ratio of shift and tolerance; where the true shift is within the tolerance its mean is at most 1, for
    the ratio rises (falls) with the probability. For forecasts: Arnold, Henzi and Ziegel 2023, "Sequentially valid
    tests for forecast calibration". Raises `ValueError` where a shift is not beyond the tolerance.

    >>> bets = [np.exp(odds_bets(0.2, happened=label, tolerance=0.0, shifts=(1.0, -1.0))) for label in (True, False)]
    >>> [round(float(0.2 * yes + 0.8 * no), 12) for yes, no in zip(*bets)]
    [1.0, 1.0]
    """
    by = np.asarray(shifts, dtype=np.float64)
    if tolerance < 0.0 or not (np.abs(by) > tolerance).all():
        raise ValueError("a shift that is looked for lies beyond the tolerance")
    said = _logit(np.asarray(probability, dtype=np.float64))[..., None]
    # log(1 + exp(x)) of either side: what a logit says of no outcome.
    low, far = said + np.sign(by) * tolerance, said + by
    none = np.logaddexp(0.0, low) - np.logaddexp(0.0, far)
    return np.asarray(np.where(np.asarray(happened, dtype=bool)[..., None], none + far - low, none), dtype=np.float64)


def mean_bets(value: float | Floats, low: float | Floats, high: float | Floats, stakes: Sequence[float]) -> Floats:
    """Bet that the mean of something within [0, 1] has left [low, high]: first above, then below, by each stake.

    `stakes` are shares (within 0 and 1) of what may be lost at once. The bet is the bounded mean's (Waudby-Smith and
    Ramdas 2024): 1 + stake * (value - high) / high has a mean of at most 1 where the mean is at most `high`. A NaN
    value gives NaN. Where `low` is 0 or `high` is 1 nothing can lie beyond, and that bet loses all.

    >>> [round(float(bet), 3) for bet in np.exp(mean_bets(0.9, 0.4, 0.6, (0.5,)))]
    [1.25, 0.583]
    """
    found = np.asarray(value, dtype=np.float64)[..., None]
    bottom, top = np.asarray(low, dtype=np.float64)[..., None], np.asarray(high, dtype=np.float64)[..., None]
    by = np.asarray(stakes, dtype=np.float64)
    if not ((by > 0.0) & (by < 1.0)).all():
        raise ValueError("a stake lies within 0 and 1")
    above = np.log1p(by * (found - top) / np.maximum(top, PROBABILITY_MIN))
    below = np.log1p(by * (bottom - found) / np.maximum(1.0 - bottom, PROBABILITY_MIN))
    unknown = np.isnan(found)
    above = np.where((top >= 1.0) & ~unknown, LOG_NONE, above)
    below = np.where((bottom <= 0.0) & ~unknown, LOG_NONE, below)
    return np.concatenate([above, below], axis=-1)


def rate_bets(count: int, expected: float, tolerance: float, ratios: Sequence[float]) -> Floats:
    """Bet that events come at each of `ratios` times the rate expected, and not within `tolerance` times it.

    `count` events came where `expected` (> 0) would; `tolerance` >= 1. The bet is Poisson's likelihood ratio, whose
    mean is at most 1 up to the tolerated rate (for a ratio below 1: down to it).

    >>> bool(rate_bets(6, 2.0, 1.5, (3.0, 1 / 3))[0] > 0 > rate_bets(2, 2.0, 1.5, (3.0,))[0])
    True
    """
    by = np.asarray(ratios, dtype=np.float64)
    near = np.where(by > 1.0, tolerance, 1.0 / tolerance)
    if tolerance < 1.0 or not (np.maximum(by, 1.0 / by) > tolerance).all() or not expected > 0.0:
        raise ValueError("a ratio that is looked for lies beyond the tolerance, and something is expected")
    return np.asarray(count * np.log(by / near) - (by - near) * expected, dtype=np.float64)
