"""Which outcomes a score leaves possible: a set with a stated error rate for either outcome, on any stream.

Owns the two bounds on the logit, how they follow labels that come late, how wide intervals must be, and the states.
Must not know what gives the logit, or what is done about a score that leaves both possible.

The sets are conformal and label-conditional (Mondrian; Vovk, Gammerman and Shafer 2005, chapter 4): "outcome" belongs
to a score's set from a lower bound on, below which a stated share of those *with* the outcome lie; "no outcome" up to
an upper bound, above which a stated share of those *without* it lie. One rate for all would be met by the negatives
alone, who are forty-nine in fifty. Between the bounds the set is "both".

A stream drifts, so exchangeability is not to be had: the bounds are moved by each label, up a little where the told set
held, down a lot where it did not (adaptive conformal inference, Gibbs and Candes 2021, in the form of quantile
tracking, Angelopoulos, Candes and Tibshirani 2023). Whatever the stream, an adversary's too, the share of told sets
that missed differs from the stated one by at most

    (2 * LOGIT_MAX + step * (1 + late)) / (step * labels)

with `late` the most labels of that outcome that were outstanding at once: the sum of the steps is how far the bound has
moved, and it cannot leave its range by more than what was outstanding could push it.

Each is for one outcome alone: a stretch without outcomes moves the upper bound, and leaves the lower where it stands.

`IntervalWidth` does the same for intervals around a probability: it is told what share of a block of them missed.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from models.rows import Refusal

OutcomeSet = Literal["outcome", "no_outcome", "both", "neither"]
"""What a score leaves possible. `neither` where the bounds have crossed: either answer would err more than stated."""

MISSED_RATE = 0.2
"""Stated: of the scores followed by the outcome, the share whose set lacks "outcome". Many hours before it a patient
looks like any other; the figures for other rates are in docs/calibration.md."""

FALSE_RATE = 0.1
"""Stated: of the scores not followed by the outcome, the share whose set lacks "no outcome"."""

STEP_WITH, STEP_WITHOUT = 0.02, 0.001
"""Logits a bound moves by a label that was missed (times one less the rate) or held (times the rate). At 2 % outcomes
both bounds then move as far in a day; a stay's ten rows, all missed, move the lower one by a sixth."""

START_LOWER, START_UPPER = -4.5, -3.0
"""Bounds before the first label: about a base rate of 2 %, "both" is the answer."""

WIDTH_MIN, WIDTH_MAX = 1.959964, 10.0
"""Standard deviations to either side: never less than 95 % asks for where all is well. At the most an interval is the
whole of 0 to 1, which cannot miss."""

WIDTH_STEP = 1.0
"""Standard deviations a width grows by where all of a block missed; twenty blocks without a miss take one off. Thrice
this left half as many again indeterminate for weeks (decision 0030)."""

LOGIT_MAX = 10.0
"""Where a logit is cut; a bound beyond it can leave nothing out, or everything."""


class OutcomeBounds(msgspec.Struct, frozen=True):
    """The two bounds in force: what a version may store, and what is told with a score.

    >>> bounds = OutcomeBounds(-4.5, -3.0)
    >>> bounds.told(-5.0), bounds.told(-4.0), bounds.told(-2.0)
    ('no_outcome', 'both', 'outcome')
    """

    lower: float
    """Logit at and above which "outcome" is possible."""
    upper: float
    """Logit at and below which "no outcome" is possible."""

    def told(self, logit: float) -> OutcomeSet:
        """Give the set of a score. Of what is no number everything is possible."""
        if math.isnan(logit):
            return "both"
        at = _cut(logit)
        if at >= self.lower:
            return "both" if at <= self.upper else "outcome"
        return "no_outcome" if at <= self.upper else "neither"

    def missed(self, logit: float, *, label: bool) -> bool:
        """Say whether the set that was told lacks what happened."""
        return _cut(logit) < self.lower if label else _cut(logit) > self.upper


class OutcomeSetsState(msgspec.Struct, frozen=True):
    """All that is known, as plain numbers."""

    bounds: OutcomeBounds
    missed_rate: float
    false_rate: float
    rows: tuple[int, int]
    """Labels without and with the outcome."""
    missed: tuple[int, int]
    """Of those, the told sets that lacked it."""


class OutcomeSets:
    """The bounds of one stream.

    >>> sets = OutcomeSets()
    >>> for number in range(2000):
    ...     told = sets.bounds
    ...     _ = sets.learn_one(-3.0 - number % 4, number % 40 == 0, told)
    >>> sets.rows, abs(sets.missed[1] / sets.rows[1] - MISSED_RATE) < 0.25
    ((1950, 50), True)
    """

    def __init__(self, missed_rate: float = MISSED_RATE, false_rate: float = FALSE_RATE) -> None:
        """Begin about a usual base rate. Raises `ValueError` where a rate is none."""
        self._take(
            OutcomeSetsState(OutcomeBounds(START_LOWER, START_UPPER), missed_rate, false_rate, (0, 0), (0, 0)),
        )

    def _take(self, state: OutcomeSetsState) -> None:
        problem = problem_of(state)
        if problem:
            raise ValueError(problem)
        self.bounds, self.missed_rate, self.false_rate = state.bounds, state.missed_rate, state.false_rate
        self.rows, self.missed = state.rows, state.missed

    def learn_one(self, logit: float, label: bool, told: OutcomeBounds) -> Refusal:  # noqa: FBT001 - River's own
        """Learn a label of a score and the bounds that were told with it; gives why nothing was learned."""
        if not math.isfinite(logit):
            return "not_finite"
        missed = told.missed(logit, label=label)
        lower, upper = self.bounds.lower, self.bounds.upper
        if label:
            lower += STEP_WITH * (self.missed_rate - missed)
            self.rows = self.rows[0], self.rows[1] + 1
            self.missed = self.missed[0], self.missed[1] + missed
        else:
            upper -= STEP_WITHOUT * (self.false_rate - missed)
            self.rows = self.rows[0] + 1, self.rows[1]
            self.missed = self.missed[0] + missed, self.missed[1]
        self.bounds = OutcomeBounds(lower, upper)
        return ""

    def guarantee(self, late: tuple[int, int] = (0, 0)) -> tuple[float, float]:
        """Give how far the missed share may stand from the stated rate, without and with the outcome.

        `late` are the most labels of either that were outstanding at once. 1 where nothing can be said yet.
        """
        without, having = (
            min(1.0, (2.0 * LOGIT_MAX + step * (1 + outstanding)) / (step * rows)) if rows else 1.0
            for step, outstanding, rows in zip((STEP_WITHOUT, STEP_WITH), late, self.rows, strict=True)
        )
        return without, having

    def state(self) -> OutcomeSetsState:
        """Give everything learned, as plain numbers."""
        return OutcomeSetsState(self.bounds, self.missed_rate, self.false_rate, self.rows, self.missed)

    @classmethod
    def restored(cls, state: OutcomeSetsState) -> OutcomeSets:
        """Go on from a state, bit for bit; raises `ValueError` where it is none."""
        sets = cls()
        sets._take(state)
        return sets


class IntervalWidth(msgspec.Struct, frozen=True):
    """How wide intervals are told: wider after a block that missed more than stated, narrower after one that did not.

    Whatever the stream, the missed share is above the stated by at most `guarantee`. It may be below: the width has a
    floor, so that luck does not make it bold.

    >>> width = IntervalWidth()
    >>> for missed in (0.5, 0.5, 0.0):
    ...     width = width.after(missed)
    >>> round(width.width, 2), width.blocks
    (2.81, 3)
    """

    rate: float = 0.05
    """Stated: the share of told intervals that miss."""
    width: float = WIDTH_MIN
    blocks: int = 0
    missed: float = 0.0
    """The sum of what was missed, in blocks."""

    def after(self, missed: float) -> IntervalWidth:
        """Give the width after a block of whose intervals the share `missed` did; raises `ValueError` if it is none."""
        if not 0.0 <= missed <= 1.0:
            raise ValueError(f"{missed} is no share of a block")
        # Past the greatest width nothing is cut off: what was outstanding when it was reached must be paid for too.
        width = max(WIDTH_MIN, self.width + WIDTH_STEP * (missed - self.rate))
        return IntervalWidth(self.rate, width, self.blocks + 1, self.missed + missed)

    def guarantee(self, late: int = 1) -> float:
        """Give how far the missed share may stand above the stated one, with `late` blocks outstanding at once.

        A block's intervals are told by widths of up to `late` blocks before. At the greatest width none misses, so the
        width cannot pass it by more than the outstanding push; and it rose by at least the steps' sum.
        """
        reach = WIDTH_MAX - WIDTH_MIN + WIDTH_STEP * (1 + late)
        return min(1.0, reach / (WIDTH_STEP * self.blocks)) if self.blocks else 1.0


def width_problem_of(state: IntervalWidth) -> str:
    """Say why a width that was read must not be gone on from, or nothing.

    >>> width_problem_of(IntervalWidth()), width_problem_of(IntervalWidth(width=0.0))
    ('', 'conformal: a width out of range')
    """
    if not (0.0 < state.rate <= 0.5 and WIDTH_MIN <= state.width <= 10.0 * WIDTH_MAX):
        return "conformal: a width out of range"
    return "" if 0.0 <= state.missed <= state.blocks else "conformal: counts that cannot be"


def problem_of(state: OutcomeSetsState) -> str:
    """Say why a state that was read must not be gone on from, or nothing.

    >>> problem_of(OutcomeSets().state())
    ''
    >>> problem_of(OutcomeSetsState(OutcomeBounds(0.0, 0.0), 0.0, 0.1, (0, 0), (0, 0)))
    'conformal: a rate is no share between 0 and one half'
    """
    if not all(0.0 < rate <= 0.5 for rate in (state.missed_rate, state.false_rate)):
        return "conformal: a rate is no share between 0 and one half"
    if not (math.isfinite(state.bounds.lower) and math.isfinite(state.bounds.upper)):
        return "conformal: a bound is not finite"
    if not all(0 <= missed <= rows for missed, rows in zip(state.missed, state.rows, strict=True)):
        return "conformal: counts that cannot be"
    return ""


def _cut(logit: float) -> float:
    return max(-LOGIT_MAX, min(LOGIT_MAX, logit))
