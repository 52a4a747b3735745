"""Whether a version serves some patients worse than the rest, counted as the labels come.

Owns the counters by group, their figures with intervals and minimum counts, and the gaps beyond a limit. Must not know
where a group's name comes from, nor what is done about a gap. The figures of a finished evaluation, which keeps every
row, are models/figures/subgroups.py's; these are kept as counts, by the day, and forgotten after `DAYS_MAX`.

A gap is the group's share less that of all others of the same attribute. It is a `notice` where it is beyond the limit
and no chance (the interval of the difference excludes 0; Newcombe 1998, method 10), and `serious` where the whole
interval is beyond the limit. It is one of 99.9 %, for dozens of groups are looked at again and again. Rows are thinned,
nearly one a patient, which is what the intervals assume.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from events import MILLIS_PER_DAY, Millis
from models.drift.labels import Level, observed_by_expected
from models.figures.proportions import Interval, Measured, normal_quantile, wilson_interval
from models.groups import NOT_RECORDED, Group

DAYS_MAX = 28
"""Days that count: four weeks, for an outcome is seldom."""
GROUPS_MAX = 128
"""Groups that are told apart; a hospital has some dozens of wards. What is beyond counts as `OTHER`."""
OTHER = "(all others)"
"""No group of any attribute is called so: `other` is a recorded sex and a recorded ethnicity."""

GAP_LEVEL = 0.999
"""Of a gap's interval; figures that are shown have one of 95 %."""

Measure = Literal["sensitivity", "ppv", "calibration", "alert_rate"]


class GapLimits(msgspec.Struct, frozen=True):
    """Gaps that are let be, and counts below which nothing is said."""

    sensitivity: float = 0.10
    """By which the share of outcomes that were seen may be lower."""
    ppv: float = 0.10
    """By which the share of flags that were right may be lower."""
    calibration: float = 1.5
    """The factor by which observed by expected may differ."""
    alert_rate: float = 2.0
    """The factor by which alerts a patient-day may differ."""
    positives_min: int = 20
    flagged_min: int = 20
    alerts_min: int = 20
    expected_min: float = 10.0


class Counts(msgspec.Struct, frozen=True):
    """What was counted of one group on one day."""

    rows: int = 0
    positives: int = 0
    flagged: int = 0
    hits: int = 0
    """Positives that were flagged."""
    expected: float = 0.0
    """The sum of the probabilities."""
    alerts: int = 0
    patient_hours: int = 0

    def plus(self, other: Counts) -> Counts:
        """Give both together.

        >>> Counts(rows=1).plus(Counts(rows=2)).rows
        3
        """
        pairs = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return Counts(*(one + more for one, more in pairs))


NOTHING = Counts()


class GroupFigures(msgspec.Struct, frozen=True):
    """The newest figures of one group. None means not given, for there are too few."""

    attribute: str
    group: str
    rows: int
    positives: int
    sensitivity: Measured | None
    ppv: Measured | None
    calibration: Measured | None
    """Observed by expected."""
    alerts_per_patient_day: Measured | None


class Gap(msgspec.Struct, frozen=True):
    """A group that is served worse, or otherwise, than the rest by more than the limit."""

    attribute: str
    group: str
    measure: Measure
    level: Level
    value: float
    rest: float
    interval: Interval
    """Of the difference of two shares, or of the ratio of two rates, 99.9 %."""


class SubgroupTally:
    """Counts of every group by the day.

    >>> tally = SubgroupTally()
    >>> for number in range(200):
    ...     groups = (("sex", "female" if number % 2 else "male"),)
    ...     tally.label(0, groups, 0.2, label=True, flagged=number % 2 == 0)
    >>> [(gap.group, gap.measure, gap.level) for gap in gaps_of(tally.totals())]
    [('female', 'sensitivity', 'serious')]
    """

    def __init__(self, days_max: int = DAYS_MAX) -> None:
        self._days_max = days_max
        self._days: dict[int, dict[Group, Counts]] = {}
        self._known: dict[Group, None] = {}

    def label(self, at: Millis, groups: Iterable[Group], probability: float, *, label: bool, flagged: bool) -> None:
        """Count the label of a thinned row, and whether the row stood at or above the threshold."""
        hit = label and flagged
        one = Counts(rows=1, positives=int(label), flagged=int(flagged), hits=int(hit), expected=probability)
        self._add(at, groups, one)

    def alert(self, at: Millis, groups: Iterable[Group]) -> None:
        """Count an alert."""
        self._add(at, groups, Counts(alerts=1))

    def heard(self, at: Millis, groups: Iterable[Group]) -> None:
        """Count a patient who was scored within an hour: once each."""
        self._add(at, groups, Counts(patient_hours=1))

    def _add(self, at: Millis, groups: Iterable[Group], more: Counts) -> None:
        """Count; a day that no longer counts is not begun again."""
        day = at // MILLIS_PER_DAY
        if day not in self._days:
            newest = max((day, *self._days))
            if day <= newest - self._days_max:
                return
            self._days = {each: counted for each, counted in self._days.items() if each > newest - self._days_max}
            # A name of which nothing counts any more holds no place: after a restart it is not known either.
            self._known = {group: None for counted in self._days.values() for group in counted}
            self._days[day] = {}
        counted = self._days[day]
        for group in map(self._named, groups):
            counted[group] = counted.get(group, NOTHING).plus(more)

    def _named(self, group: Group) -> Group:
        attribute, name = group
        known = (attribute, name or NOT_RECORDED)
        if known not in self._known:
            if len(self._known) >= GROUPS_MAX:
                known = attribute, OTHER
            self._known[known] = None
        return known

    def totals(self) -> dict[Group, Counts]:
        """Give the counts of all days that count."""
        found: dict[Group, Counts] = {}
        for day in sorted(self._days):
            for group, counts in self._days[day].items():
                found[group] = found.get(group, NOTHING).plus(counts)
        return dict(sorted(found.items()))

    def state(self) -> tuple[tuple[int, str, str, Counts], ...]:
        """Give everything as plain numbers and names."""
        return tuple((day, *group, counts) for day, counted in self._days.items() for group, counts in counted.items())

    @classmethod
    def restored(cls, state: Iterable[tuple[int, str, str, Counts]], days_max: int = DAYS_MAX) -> SubgroupTally:
        """Go on from a state, alike."""
        made = cls(days_max)
        for day, attribute, name, counts in state:
            made._known[attribute, name] = None
            made._days.setdefault(day, {})[attribute, name] = counts
        return made


def figures_of(totals: Mapping[Group, Counts], limits: GapLimits | None = None) -> tuple[GroupFigures, ...]:
    """Give each group's figures with their intervals; what rests on fewer than the minimum counts is not given."""
    least = limits or GapLimits()
    found = []
    for (attribute, name), one in totals.items():
        sensitivity = ppv = calibration = alerts = None
        if one.positives >= least.positives_min:
            sensitivity = Measured(one.hits / one.positives, wilson_interval(one.hits, one.positives))
        if one.flagged >= least.flagged_min:
            ppv = Measured(one.hits / one.flagged, wilson_interval(one.hits, one.flagged))
        if one.expected >= least.expected_min:
            ratio = one.positives / one.expected
            calibration = Measured(ratio, observed_by_expected(one.positives, one.expected))
        days = one.patient_hours / 24.0
        if one.alerts >= least.alerts_min and days:
            alerts = Measured(one.alerts / days, observed_by_expected(one.alerts, days))
        found.append(GroupFigures(attribute, name, one.rows, one.positives, sensitivity, ppv, calibration, alerts))
    return tuple(found)


def gaps_of(totals: Mapping[Group, Counts], limits: GapLimits | None = None) -> tuple[Gap, ...]:
    """Give the gaps beyond a limit, group by group: for the monitor, a gate and a guardrail.

    Where group or rest have fewer than the minimum counts nothing is said, which is no equality: see `figures_of`.
    """
    allowed = limits or GapLimits()
    found: list[Gap] = []
    for (attribute, name), own in totals.items():
        rest = NOTHING
        for (other, member), counts in totals.items():
            if other == attribute and member != name:
                rest = rest.plus(counts)
        shares: tuple[tuple[Measure, int, int, int, int, int, float], ...] = (
            ("sensitivity", own.hits, own.positives, rest.hits, rest.positives, allowed.positives_min,
             allowed.sensitivity),
            ("ppv", own.hits, own.flagged, rest.hits, rest.flagged, allowed.flagged_min, allowed.ppv),
        )  # fmt: skip
        rates: tuple[tuple[Measure, int, float, int, float, float], ...] = (
            ("calibration", own.positives, own.expected, rest.positives, rest.expected, allowed.calibration),
            ("alert_rate", own.alerts, own.patient_hours / 24.0, rest.alerts, rest.patient_hours / 24.0,
             allowed.alert_rate),
        )  # fmt: skip
        for measure, hits, of, rest_hits, rest_of, least, limit in shares:
            if min(of, rest_of) >= least:
                level, interval = _share_gap(hits, of, rest_hits, rest_of, limit)
                if level is not None:
                    found.append(Gap(attribute, name, measure, level, hits / of, rest_hits / rest_of, interval))
        for measure, count, exposure, rest_count, rest_exposure, limit in rates:
            enough = min(exposure, rest_exposure) >= (allowed.expected_min if measure == "calibration" else 1.0)
            seen = min(count, rest_count) >= (1 if measure == "calibration" else allowed.alerts_min)
            if enough and seen:
                of_group, of_rest = count / exposure, rest_count / rest_exposure
                level, interval = _rate_gap(of_group / of_rest, count, rest_count, limit)
                if level is not None:
                    found.append(Gap(attribute, name, measure, level, of_group, of_rest, interval))
    return tuple(found)


def _share_gap(hits: int, of: int, rest_hits: int, rest_of: int, limit: float) -> tuple[Level | None, Interval]:
    """Judge how much lower a share is than that of the rest (Newcombe 1998, method 10)."""
    own, rest = (wilson_interval(*each, GAP_LEVEL) for each in ((hits, of), (rest_hits, rest_of)))
    assert own is not None, "counted"
    assert rest is not None, "counted"
    p, q = hits / of, rest_hits / rest_of
    low = p - q - math.hypot(p - own[0], rest[1] - q)
    high = p - q + math.hypot(own[1] - p, q - rest[0])
    if high < -limit:
        return "serious", (low, high)
    return ("notice" if p - q < -limit and high < 0.0 else None), (low, high)


def _rate_gap(ratio: float, count: int, rest_count: int, limit: float) -> tuple[Level | None, Interval]:
    """Judge how much a ratio of two Poisson rates is off 1, either way (its logarithm's normal interval)."""
    half = normal_quantile(GAP_LEVEL) * math.sqrt(1.0 / count + 1.0 / rest_count)
    low, high = ratio * math.exp(-half), ratio * math.exp(half)
    if low > limit or high < 1.0 / limit:
        return "serious", (low, high)
    beyond = (ratio > limit and low > 1.0) or (ratio < 1.0 / limit and high < 1.0)
    return ("notice" if beyond else None), (low, high)
