"""An online calibrator: a slope and an intercept on the logit, learned from labels that come hours late.

Owns the two numbers, how they are learned and forgotten, and their state. Must not know what gives the logit, when a
label came, or what is done with a probability.

The method is logistic recalibration (Cox 1958) as a dynamic model (McCormick, Raftery, Madigan and Burd 2012): a
Gaussian belief in (intercept, slope) takes each label by one Newton step, and forgets by drawing near to its prior,
"nothing to mend" (stabilised forgetting, Kulhavy and Zarrop 1993), so that it can neither run away in a month of one
class nor wind up. How long to remember is not known beforehand: a few memories learn side by side, with one that never
mends, and are averaged by how well each did of late (dynamic model averaging, Raftery, Karny and Ettler 2010). An
average of lines is a line: what a version stores is two numbers, and contributions to a logit still add up.

Only a line is learned. It cannot change the order of scores while it stands still, and a frozen version's does; a curve
(beta calibration, Kull et al. 2017; isotonic) mended no more on real rows (docs/calibration.md) and could not be
explained by its parts. It is slow on purpose: while it moves it mixes scores of different times, which costs average
precision, and the rows of one patient are no independent witnesses.

The logit of a label must be the one that was said at the time, before any label of that patient's window was learned.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.rows import Refusal

MEMORIES: tuple[float, ...] = (20_000.0, 100_000.0, 500_000.0)
"""Labels a memory rests on, at most: at 200 beds scored hourly four days, three weeks, and a season. The shortest holds
some 400 outcomes at 2 %, of some 50 patients, and its intercept varies by .15: shorter is noise."""

MEMORIES_MAX = 8
"""Of a state that is read: each is a step a label."""

CENTRE = math.log(0.02 / 0.98)
"""The logit about which the slope turns: at a usual base rate slope and intercept are then nearly independent."""

INTERCEPT_SD, SLOPE_SD = 0.5, 0.25
"""Of the prior belief, about nothing to mend: most models of one hospital are off by no more in another."""

INTERCEPT_MAX = 3.0
"""Of the shift at the centre, either way: a rate twenty times the told one is no matter of calibration."""

SLOPE_MIN, SLOPE_MAX = 0.2, 5.0
"""A slope below has lost the order's meaning, one above is beyond what labels can show."""

LOGIT_MAX = 30.0
"""Where a logit is cut before it is mended: beyond it the scorer says 0 or 1 (models/scorer.py)."""

LEVERAGE_MAX = 10.0
"""Where a logit is cut before it is learned from: one wild score must not turn the line."""

WITNESSES = 0.1
"""What a label weighs in the choice between memories: a patient's rows repeat each other, about ten times (see
`models.venn.effective_rows`)."""

CHOICE_MEMORY = 20_000.0
"""Labels the choice between memories looks back on: what the shortest memory can tell."""

STILL_SHARE = 0.01
"""Every memory's least share of the choice: one that was poor for a year must be heard within days of a shift."""


class Memory(msgspec.Struct, frozen=True):
    """One belief: the shift at the centre and the slope, and the precision of both (symmetric, positive definite)."""

    labels: float
    """How many labels it remembers."""
    shift: float
    slope: float
    precision: tuple[float, float, float]
    """Of shift, of both, of slope."""


class CalibratorState(msgspec.Struct, frozen=True):
    """All a calibrator knows, as plain numbers."""

    memories: tuple[Memory, ...]
    log_weights: tuple[float, ...]
    """Of the line that mends nothing, then of each memory."""
    centre: float
    rows: int
    positives: int


class Calibrator:
    """Learns (logit, label) pairs and mends logits.

    >>> calibrator = Calibrator()
    >>> for number in range(3000):
    ...     _ = calibrator.learn_one(-3.0, number % 5 == 0)
    >>> calibrator.transform(-3.0) > -2.6
    True
    >>> calibrator.learn_one(float("nan"), True), calibrator.rows
    ('not_finite', 3000)
    """

    def __init__(self, memories: tuple[float, ...] = MEMORIES, centre: float = CENTRE) -> None:
        """Begin with nothing to mend. Raises `ValueError` where a memory or the centre is out of range."""
        prior = (INTERCEPT_SD**-2, 0.0, SLOPE_SD**-2)
        beliefs = tuple(Memory(labels, 0.0, 1.0, prior) for labels in memories)
        self._take(CalibratorState(beliefs, (0.0,) * (len(memories) + 1), centre, 0, 0))

    def _take(self, state: CalibratorState) -> None:
        problem = problem_of(state)
        if problem:
            raise ValueError(problem)
        self.centre, self.rows, self.positives = state.centre, state.rows, state.positives
        self._keep = [1.0 - 1.0 / memory.labels for memory in state.memories]
        self._labels = [memory.labels for memory in state.memories]
        self._beliefs = [(memory.shift, memory.slope, *memory.precision) for memory in state.memories]
        self._log_weights = list(state.log_weights)
        self._choose()

    def _choose(self) -> None:
        """Average the lines by their weights, into the intercept and the slope that are in force."""
        top = max(self._log_weights)
        weights = [math.exp(weight - top) for weight in self._log_weights]
        total = sum(weights)
        shift, slope = 0.0, weights[0]
        for weight, belief in zip(weights[1:], self._beliefs, strict=True):
            shift += weight * belief[0]
            slope += weight * belief[1]
        self.slope = slope / total
        self.intercept = shift / total + self.centre * (1.0 - self.slope)

    def learn_one(self, logit: float, label: bool) -> Refusal:  # noqa: FBT001 - River's own signature
        """Learn one label of a score that was told as `logit`; gives the reason where nothing was learned."""
        if not math.isfinite(logit):
            return "not_finite"
        at = max(-LEVERAGE_MAX, min(LEVERAGE_MAX, logit)) - self.centre
        target = 1.0 if label else 0.0
        fade = 1.0 - 1.0 / CHOICE_MEMORY
        log_weights = self._log_weights
        log_weights[0] = fade * log_weights[0] - WITNESSES * _loss(self.centre + at, target)
        for number, belief in enumerate(self._beliefs):
            loss = _loss(self.centre + belief[0] + belief[1] * at, target)
            log_weights[number + 1] = fade * log_weights[number + 1] - WITNESSES * loss
            self._beliefs[number] = _learned(belief, at, target, self.centre, self._keep[number])
        top = max(log_weights)
        least = math.log(STILL_SHARE)
        self._log_weights = [max(least, weight - top) for weight in log_weights]
        self.rows += 1
        self.positives += bool(label)
        self._choose()
        return ""

    def transform(self, logit: float) -> float:
        """Give the mended logit: rising in `logit`, finite where that is; NaN stays NaN, for others to refuse."""
        if math.isnan(logit):
            return logit
        return self.intercept + self.slope * max(-LOGIT_MAX, min(LOGIT_MAX, logit))

    def transform_many(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the mended logits of an array, of its shape.

        >>> Calibrator().transform_many(np.array([-2.0, 1.0])).tolist()
        [-2.0, 1.0]
        """
        return self.intercept + self.slope * np.clip(logits, -LOGIT_MAX, LOGIT_MAX)

    def shares(self) -> tuple[float, ...]:
        """Give what share each has in what is said: the line that mends nothing, then each memory.

        >>> [round(share, 2) for share in Calibrator((1000.0,)).shares()]
        [0.5, 0.5]
        """
        weights = [math.exp(weight) for weight in self._log_weights]
        return tuple(weight / sum(weights) for weight in weights)

    def state(self) -> CalibratorState:
        """Give everything learned, as plain numbers."""
        memories = tuple(
            Memory(labels, shift, slope, (first, both, second))
            for labels, (shift, slope, first, both, second) in zip(self._labels, self._beliefs, strict=True)
        )
        return CalibratorState(memories, tuple(self._log_weights), self.centre, self.rows, self.positives)

    @classmethod
    def restored(cls, state: CalibratorState) -> Calibrator:
        """Go on from a state, bit for bit; raises `ValueError` where it is none that a calibrator could have had."""
        calibrator = cls(tuple(memory.labels for memory in state.memories), state.centre)
        calibrator._take(state)
        return calibrator


_Belief = tuple[float, float, float, float, float]
_PRIOR_SHIFT, _PRIOR_SLOPE = INTERCEPT_SD**-2, SLOPE_SD**-2


def _sigmoid(logit: float) -> float:
    if logit < 0.0:
        small = math.exp(max(logit, -700.0))
        return small / (1.0 + small)
    return 1.0 / (1.0 + math.exp(-min(logit, 700.0)))


def _loss(logit: float, target: float) -> float:
    """Give the log loss, in nats."""
    return math.log1p(math.exp(-abs(logit))) + max(logit, 0.0) - target * logit


def _learned(belief: _Belief, at: float, target: float, centre: float, keep: float) -> _Belief:
    """Forget a little, then take one Newton step: the posterior of one label, by its Gaussian approximation."""
    shift, slope, first, both, second = belief
    lost = 1.0 - keep
    # Forgetting mixes the belief's natural parameters with the prior's: the precision, and precision times mean.
    pull_shift = lost * _PRIOR_SHIFT * (0.0 - shift)
    pull_slope = lost * _PRIOR_SLOPE * (1.0 - slope)
    probability = _sigmoid(centre + shift + slope * at)
    spread = probability * (1.0 - probability)
    first = keep * first + lost * _PRIOR_SHIFT + spread
    both = keep * both + spread * at
    second = keep * second + lost * _PRIOR_SLOPE + spread * at * at
    error = target - probability
    pull_shift += error
    pull_slope += error * at
    determinant = first * second - both * both
    shift += (second * pull_shift - both * pull_slope) / determinant
    slope += (first * pull_slope - both * pull_shift) / determinant
    return (
        max(-INTERCEPT_MAX, min(INTERCEPT_MAX, shift)),
        max(SLOPE_MIN, min(SLOPE_MAX, slope)),
        first,
        both,
        second,
    )


def problem_of(state: CalibratorState) -> str:
    """Say why a state that was read must not be gone on from, or nothing.

    >>> problem_of(CalibratorState((), (0.0,), 0.0, 0, 0)), problem_of(Calibrator().state())
    ('calibration: no memories, or too many', '')
    """
    if not 0 < len(state.memories) <= MEMORIES_MAX or len(state.log_weights) != len(state.memories) + 1:
        return "calibration: no memories, or too many"
    if not all(-1e3 <= weight <= 0.0 for weight in state.log_weights) or not abs(state.centre) <= LEVERAGE_MAX:
        return "calibration: a weight or the centre is out of range"
    if not 0 <= state.positives <= state.rows:
        return "calibration: counts that cannot be"
    for memory in state.memories:
        first, both, second = memory.precision
        if not (
            100.0 <= memory.labels <= 1e9
            and abs(memory.shift) <= INTERCEPT_MAX
            and SLOPE_MIN <= memory.slope <= SLOPE_MAX
            and 0.0 < first < 1e12
            and 0.0 < second < 1e12
            and both * both < first * second
        ):
            return "calibration: a memory is no belief"
    return ""
