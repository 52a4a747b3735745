"""Criteria at the bedside: a point for each that is met, with what is missing and the bounds that leaves.

Owns how a table of criteria is counted from a patient's state, and from columns of training rows. Must not know which
criteria: qSOFA's and SIRS's tables stand in `models.qsofa` and `models.sirs`. They are comparators for evaluation, not
told to wards.

What counts is settled as for NEWS2 (`models.news2`): a reading counts up to the catalogue's maximum age; values are
rounded half up to the precision they are charted in; of several newest readings at one time, one that meets the
criterion counts; a quarantined value newer than the last good one does not erase it and opens both bounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from events import Millis
from features.catalogue import default_catalogue
from features.newest import Held
from features.state import PatientState
from models.news2_table import HALF_TOLERANCE

Floats = NDArray[np.float64]


class Limit(msgspec.Struct, frozen=True):
    """One way to meet a criterion: a feature's value below `below`, or above `above`, in the catalogue's unit."""

    feature: str
    below: float | None = None
    above: float | None = None

    def is_met_by(self, value: float) -> bool:
        """Compare a value, rounded half up to the precision it is charted in.

        >>> Limit("temperature", above=38.0).is_met_by(38.04), Limit("temperature", above=38.0).is_met_by(38.05)
        (False, True)
        """
        scale = 10.0 ** default_catalogue().by_name(self.feature).charted_decimals
        charted = floor(value * scale + 0.5 + HALF_TOLERANCE) / scale
        return (self.below is not None and charted < self.below) or (self.above is not None and charted > self.above)


class Criterion(msgspec.Struct, frozen=True):
    """One point. By `any`, one limit met is enough and one reading makes it known; by `newest`, the newest decides."""

    name: str
    limits: tuple[Limit, ...]
    decided_by: Literal["any", "newest"] = "any"

    def features(self) -> tuple[str, ...]:
        """Name the features it is read from, each once, in the table's order."""
        return tuple(dict.fromkeys(limit.feature for limit in self.limits))

    def is_met_by(self, feature: str, value: float) -> bool:
        """Tell whether a value of one feature meets one of the limits."""
        return any(limit.feature == feature and limit.is_met_by(value) for limit in self.limits)


POSITIVE_FROM = 2
"""Two points make qSOFA (Seymour and others 2016) and SIRS (Bone and others 1992) positive."""


class CriteriaScore(msgspec.Struct, frozen=True):
    """Points at one time. `low` and `high` bound what they would be if everything were known."""

    total: int
    low: int
    high: int
    met: tuple[str, ...]
    missing: tuple[str, ...] = ()
    """Criteria of which nothing usable is known: they are not met, and open the upper bound."""
    stale: tuple[str, ...] = ()
    """Those of the missing that have an expired reading."""
    quarantined: tuple[str, ...] = ()

    @property
    def positive(self) -> bool:
        """Whether the points reach `POSITIVE_FROM`."""
        return self.total >= POSITIVE_FROM


def score_criteria(
    criteria: Sequence[Criterion], state: PatientState, at: Millis, excluded: Sequence[str] = ()
) -> CriteriaScore:
    """Count a patient's points as of `at` (ms). `excluded` names criteria that cannot be judged now: they are missing.

    >>> score_criteria([Criterion("fast", (Limit("heart_rate", above=90.0),))], PatientState(), 0).missing
    ('fast',)
    """
    met: list[str] = []
    missing: list[str] = []
    stale: list[str] = []
    quarantined: list[str] = []
    for criterion in criteria:
        if criterion.name in excluded:
            missing.append(criterion.name)
            continue
        known = _is_met(criterion, state, at)
        if known is None:
            missing.append(criterion.name)
            if _is_stale(criterion, state, at):
                stale.append(criterion.name)
        elif known:
            met.append(criterion.name)
        if _is_quarantined(criterion, state, at):
            quarantined.append(criterion.name)
    low = len([name for name in met if name not in quarantined])
    open_names = [one.name for one in criteria if one.name in missing or one.name in quarantined]
    return CriteriaScore(
        len(met), low, low + len(open_names), tuple(met), tuple(missing), tuple(stale), tuple(quarantined)
    )


def _max_age_ms(feature: str) -> Millis:
    age = default_catalogue().by_name(feature).max_age_ms
    if age is None:
        raise ValueError(f"{feature} has no maximum age: what a criterion is read from must expire")
    return age


def _is_met(criterion: Criterion, state: PatientState, at: Millis) -> bool | None:
    """Tell whether a criterion is met; None where nothing is known of it."""
    features = criterion.features()
    places = [default_catalogue().index_of[feature] for feature in features]
    held, tied = state.latest_fresh(
        [(place, _max_age_ms(name)) for place, name in zip(places, features, strict=True)], at
    )
    found: list[tuple[Millis, bool]] = []
    for number, (feature, newest) in enumerate(zip(features, held, strict=True)):
        if newest is None:
            continue
        at_once: list[Held] = state.beside(places[number], newest[1]) if number in tied else [newest]
        found.append((newest[1], any(criterion.is_met_by(feature, value) for value, _, _ in at_once)))
    if not found:
        return None
    if criterion.decided_by == "newest":
        return max(found)[1]
    return any(met for _, met in found)


def _is_stale(criterion: Criterion, state: PatientState, at: Millis) -> bool:
    for feature in criterion.features():
        newest = state.latest(feature, at)
        if newest is not None and at - newest.event_time > _max_age_ms(feature):
            return True
    return False


def _is_quarantined(criterion: Criterion, state: PatientState, at: Millis) -> bool:
    for feature in criterion.features():
        intake = state.quarantined(feature)
        if intake is not None and at - intake.event_time <= _max_age_ms(feature):
            return True
    return False


def count_criteria(criteria: Sequence[Criterion], columns: Mapping[str, Sequence[float] | Floats]) -> Floats:
    """Count points over many rows, from columns `FEATURE.last` (NaN unknown or expired) and `FEATURE.age_h`.

    Features without a column are unknown. NaN where nothing is known of any criterion. Where a criterion goes by the
    newest reading and ages are not given, one limit met is enough. Raises `ValueError` for columns of unequal length,
    and where no column is of use.

    >>> fast = Criterion("fast", (Limit("heart_rate", above=90.0),))
    >>> count_criteria([fast], {"heart_rate.last": [91.0, float("nan")]})
    array([ 1., nan])
    """
    wanted = dict.fromkeys(feature for criterion in criteria for feature in criterion.features())
    used = {name: np.asarray(columns[f"{name}.last"], dtype=np.float64) for name in wanted if f"{name}.last" in columns}
    lengths = {len(column) for column in used.values()}
    if len(lengths) != 1:
        raise ValueError(f"the columns {sorted(used)} do not make rows")
    rows = lengths.pop()
    total, known_at_all = np.zeros(rows), np.zeros(rows, dtype=bool)
    for criterion in criteria:
        met, known, youngest = np.zeros(rows, dtype=bool), np.zeros(rows, dtype=bool), np.full(rows, np.inf)
        for feature in criterion.features():
            if feature not in used:
                continue
            here = ~np.isnan(used[feature])
            meets = here & _meets(criterion, feature, used[feature])
            ages = columns.get(f"{feature}.age_h")
            if criterion.decided_by == "newest" and ages is not None:
                age = np.where(here, np.asarray(ages, dtype=np.float64), np.inf)
                met = np.where(age < youngest, meets, np.where(age == youngest, met | meets, met))
                youngest = np.minimum(age, youngest)
            else:
                met |= meets
            known |= here
        total += met
        known_at_all |= known
    return np.where(known_at_all, total, np.nan)


def _meets(criterion: Criterion, feature: str, values: Floats) -> NDArray[np.bool_]:
    scale = 10.0 ** default_catalogue().by_name(feature).charted_decimals
    charted = np.floor(values * scale + 0.5 + HALF_TOLERANCE) / scale
    met = np.zeros(len(values), dtype=bool)
    for limit in criterion.limits:
        if limit.feature == feature:
            met |= charted < (-np.inf if limit.below is None else limit.below)
            met |= charted > (np.inf if limit.above is None else limit.above)
    return met
