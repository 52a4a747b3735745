"""What became of what a version said: how often the outcome came, whether as often as promised, and whom it ranked.

Owns the monitors of label rate, calibration and discrimination, and the figures with intervals beside them. Must not
know where labels come from, nor what is done about a finding.

Each has two levels, `notice` and `serious`, by what it tolerates; within that it may go on for ever, and beyond it the
evidence of models/drift/sequential.py grows with each label. Rows are thinned to one a patient in a horizon, so that no
two windows of one patient overlap: then, given the past, an outcome has the promised probability where calibration
holds, which is all that the bound on false alarms asks for (Arnold, Henzi and Ziegel 2023).

- **Label rate**: the odds of the outcome are those of the reference, within a factor.
- **Calibration**: the odds are those promised, within a factor; of all, of the lower half of risk, and of the highest
  tenth. A slope that has gone wrong shows as too few outcomes at one end and too many at the other.
- **Discrimination**: each positive bets on the share of the newest negatives that it stands above. Their mean is the
  AUROC, and may lie below the reference's by a margin.

A positive is known hours before the negatives of its time are. The caller hands in labels when the whole window of
their row has passed (`due`), or the first hours of any change would look like a flood of outcomes.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections import deque
from typing import Literal

import msgspec
import numpy as np

from models.drift.sequential import PROBABILITY_MIN, Detector, DetectorState, Floats, mean_bets
from models.drift.summary import Reference, placements
from models.figures.recalibration import logistic_recalibration

Level = Literal["notice", "serious"]
LEVELS: tuple[Level, ...] = ("notice", "serious")
RiskGroup = Literal["all", "low", "high"]
GROUPS: tuple[RiskGroup, ...] = ("all", "low", "high")
ODDS_STEPS = (1.25, 1.7, 3.0)
"""Odds that are looked for: the tolerated factor times these, and its inverse by these."""
STAKES = (0.3, 0.6)
RECENT_MAX = 4_000
"""Labels behind the figures that people are shown: ten days of a hundred beds."""
NEGATIVES_MAX = 1_000
"""Newest negatives that a positive is ranked among: its share of them is sure to 0.016."""
NEGATIVES_MIN = 100
DISCRIMINATION_LIMIT_MIN = 200.0
"""Positives between two false findings at the least, however seldom the outcome is."""
POSITIVES_MIN = 10
"""With fewer outcomes, or rows without one, neither an AUROC nor a slope is given."""
Z_95 = 1.959964


class LabelLimits(msgspec.Struct, frozen=True):
    """What is tolerated, as (notice, serious)."""

    rate_factors: tuple[float, float] = (1.4, 2.0)
    calibration_factors: tuple[float, float] = (1.25, 1.6)
    auroc_margins: tuple[float, float] = (0.04, 0.08)
    labels_between_alarms: float = 50_000.0
    """Thinned labels between two false findings of one monitor, at the least: half a year of a hundred beds."""


class LabelFinding(msgspec.Struct, frozen=True):
    """What stands beyond its tolerance."""

    monitor: Literal["label_rate", "calibration", "discrimination"]
    group: RiskGroup
    level: Level
    above: bool
    """Whether more came than was to be expected."""


class RiskFigures(msgspec.Struct, frozen=True):
    """Of the newest labels of one group: what was promised and what came."""

    group: RiskGroup
    rows: int
    expected: float
    observed: int
    ratio: float | None
    """Observed by expected; None where nothing was expected."""
    interval: tuple[float, float] | None
    """Of the ratio, 95 %: Byar's approximation to Poisson's limits (Breslow and Day 1987)."""


class LabelFigures(msgspec.Struct, frozen=True):
    """The newest labels, for people."""

    rows: int
    positives: int
    risk: tuple[RiskFigures, ...]
    auroc: float | None
    auroc_interval: tuple[float, float] | None
    """95 %, DeLong, DeLong and Clarke-Pearson 1988; rows are thinned, so nearly one a patient."""
    slope: float | None = None
    """Of the outcome's log-odds on those that were said: 1 is right, below it promises are too extreme."""
    slope_interval: tuple[float, float] | None = None


class LabelState(msgspec.Struct, frozen=True):
    """All that `LabelMonitor` knows, as plain numbers."""

    rate: DetectorState
    calibration: DetectorState
    discrimination: DetectorState
    recent: tuple[tuple[float, bool], ...]
    negatives: tuple[float, ...]
    """Newest last."""


class LabelMonitor:
    """All three, of one version.

    >>> from models.drift.summary import InputSummary
    >>> reference = Reference(InputSummary((), (), (), (), 0, 0.0), base_rate=0.05)
    >>> monitor = LabelMonitor(reference)
    >>> for number in range(600): monitor.hear(0.05, happened=number % 5 == 0)
    >>> sorted({(found.monitor, found.level) for found in monitor.findings()})[:3]
    [('calibration', 'notice'), ('calibration', 'serious'), ('label_rate', 'notice')]
    """

    def __init__(self, reference: Reference | None, limits: LabelLimits | None = None) -> None:
        """Without a reference only calibration in the large is watched: it needs none."""
        self.limits = limits or LabelLimits()
        self.reference = reference
        # Without cuts nothing lies in the lower half, nor in the highest tenth.
        self._cuts = (reference.risk_cuts if reference is not None else None) or (-1.0, 2.0)
        limit = self.limits.labels_between_alarms * len(LEVELS)
        self._rate_bets = _OddsBets(self.limits.rate_factors)
        self._calibration_bets = _OddsBets(self.limits.calibration_factors)
        self._rate = Detector(len(LEVELS), 2 * len(ODDS_STEPS), limit)
        self._calibration = Detector(len(GROUPS) * len(LEVELS), 2 * len(ODDS_STEPS), limit * len(GROUPS))
        # Its steps are the positives among the labels.
        share = (reference.base_rate if reference is not None else None) or 1.0
        self._discrimination = Detector(len(LEVELS), len(STAKES), max(limit * share, DISCRIMINATION_LIMIT_MIN))
        self._recent: deque[tuple[float, bool]] = deque(maxlen=RECENT_MAX)
        self._negatives: deque[float] = deque()
        self._ranked: list[float] = []
        """The negatives, sorted."""

    def hear(self, probability: float, *, happened: bool) -> None:
        """Take in the label of a thinned row that was given `probability`, in the order in which they come due."""
        if not 0.0 <= probability <= 1.0:
            return
        self._recent.append((probability, happened))
        reference = self.reference
        if reference is not None and reference.base_rate is not None:
            self._rate.step(self._rate_bets.of(reference.base_rate, happened=happened))
        self._calibrate(probability, happened=happened)
        if reference is not None and reference.auroc is not None:
            self._rank(probability, reference.auroc, happened=happened)

    def _calibrate(self, probability: float, *, happened: bool) -> None:
        bets = self._calibration_bets.of(probability, happened=happened)
        inside = (True, probability <= self._cuts[0], probability > self._cuts[1])
        self._calibration.step(np.concatenate([bets if taken else np.full_like(bets, np.nan) for taken in inside]))

    def _rank(self, probability: float, expected: float, *, happened: bool) -> None:
        if not happened:
            self._negatives.append(probability)
            insort(self._ranked, probability)
            if len(self._negatives) > NEGATIVES_MAX:
                del self._ranked[bisect_left(self._ranked, self._negatives.popleft())]
            return
        count = len(self._ranked)
        if count < NEGATIVES_MIN:
            return
        share = (bisect_left(self._ranked, probability) + bisect_right(self._ranked, probability)) / (2 * count)
        floors = np.maximum(expected - np.array(self.limits.auroc_margins), 0.0)
        falls = mean_bets(np.full(len(LEVELS), share), floors, np.ones(len(LEVELS)), STAKES)
        self._discrimination.step(falls[:, len(STAKES) :])

    def findings(self) -> tuple[LabelFinding, ...]:
        """Give what stands beyond its tolerance now."""
        found: list[LabelFinding] = []
        for place, level in enumerate(LEVELS):
            if self._rate.raised[place]:
                found.append(LabelFinding("label_rate", "all", level, above=_is_above(self._rate, place)))
            if self._discrimination.raised[place]:
                found.append(LabelFinding("discrimination", "all", level, above=False))
            for number, group in enumerate(GROUPS):
                at = number * len(LEVELS) + place
                if self._calibration.raised[at]:
                    above = _is_above(self._calibration, at)
                    found.append(LabelFinding("calibration", group, level, above=above))
        return tuple(found)

    def figures(self) -> LabelFigures:
        """Give the newest labels' figures with their intervals."""
        pairs = np.array(self._recent, dtype=np.float64).reshape(-1, 2)
        probabilities, labels = pairs[:, 0], pairs[:, 1] > 0.5
        low, high = self._cuts
        inside_of = {"all": probabilities >= 0.0, "low": probabilities <= low, "high": probabilities > high}
        risk = []
        for group in GROUPS:
            inside = inside_of[group]
            expected, observed = float(probabilities[inside].sum()), int(labels[inside].sum())
            ratio = observed / expected if expected > 0.0 else None
            interval = observed_by_expected(observed, expected) if expected > 0.0 else None
            risk.append(RiskFigures(group, int(inside.sum()), expected, observed, ratio, interval))
        banded = auroc_with_band(probabilities[labels], probabilities[~labels])
        enough = min(int(labels.sum()), int((~labels).sum())) >= POSITIVES_MIN
        line = logistic_recalibration(labels, probabilities) if enough else None
        return LabelFigures(
            len(labels),
            int(labels.sum()),
            tuple(risk),
            banded[0] if banded else None,
            banded[1:] if banded else None,
            None if line is None else line.slope,
            None if line is None else line.slope_interval,
        )

    def state(self) -> LabelState:
        """Give everything as plain numbers."""
        return LabelState(
            self._rate.state(),
            self._calibration.state(),
            self._discrimination.state(),
            tuple(self._recent),
            tuple(self._negatives),
        )

    @classmethod
    def restored(
        cls, reference: Reference | None, state: LabelState, limits: LabelLimits | None = None
    ) -> LabelMonitor:
        """Go on from a state, alike; reference and limits are those it was made under."""
        made = cls(reference, limits)
        made._rate = Detector.restored(state.rate)
        made._calibration = Detector.restored(state.calibration)
        made._discrimination = Detector.restored(state.discrimination)
        made._recent.extend(state.recent)
        made._negatives.extend(state.negatives)
        made._ranked = sorted(state.negatives)
        return made


class _OddsBets:
    """The bets of both levels on the odds, shape (levels, bets): each level tolerates its own factor."""

    def __init__(self, factors: tuple[float, float]) -> None:
        steps = np.log([[factor * step for step in ODDS_STEPS] for factor in factors])
        # More and fewer in turn, see `_is_above`.
        self._far = np.stack([steps, -steps], axis=2).reshape(len(factors), -1)
        self._near = np.sign(self._far) * np.log(factors)[:, None]

    def of(self, probability: float, *, happened: bool) -> Floats:
        """Give models/drift/sequential.py's `odds_bets`, for one row and both levels at once."""
        said = min(max(probability, PROBABILITY_MIN), 1.0 - PROBABILITY_MIN)
        logit = math.log(said / (1.0 - said))
        none = np.logaddexp(0.0, logit + self._near) - np.logaddexp(0.0, logit + self._far)
        return np.asarray(none + (self._far - self._near) if happened else none, dtype=np.float64)


def _is_above(detector: Detector, stream: int) -> bool:
    """Whether the strongest bet of a stream is one on more: they alternate."""
    return int(detector.strongest()[stream]) % 2 == 0


def observed_by_expected(observed: int, expected: float) -> tuple[float, float]:
    """Give the 95 % interval of observed by expected: Byar's approximation (Breslow and Day 1987, volume II, 2.10).

    >>> [round(end, 2) for end in observed_by_expected(10, 10.0)], observed_by_expected(0, 5.0)[0]
    ([0.48, 1.84], 0.0)
    """
    low = observed * (1.0 - 1.0 / (9.0 * observed) - Z_95 / (3.0 * math.sqrt(observed))) ** 3 if observed else 0.0
    more = observed + 1
    high = more * (1.0 - 1.0 / (9.0 * more) + Z_95 / (3.0 * math.sqrt(more))) ** 3
    return max(low, 0.0) / expected, high / expected


def auroc_with_band(positives: np.ndarray, negatives: np.ndarray) -> tuple[float, float, float] | None:
    """Give AUROC and its 95 % band by DeLong's variance; None with too few of either.

    >>> auroc_with_band(np.arange(10) + 0.5, np.arange(10.0))[0]
    0.55
    """
    if min(len(positives), len(negatives)) < POSITIVES_MIN:
        return None
    of_positives = placements(positives, np.sort(negatives))
    of_negatives = 1.0 - placements(negatives, np.sort(positives))
    value = float(of_positives.mean())
    error = math.sqrt(
        float(of_positives.var(ddof=1)) / len(positives) + float(of_negatives.var(ddof=1)) / len(negatives)
    )
    return value, max(0.0, value - Z_95 * error), min(1.0, value + Z_95 * error)
