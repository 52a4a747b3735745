"""Why one score is what it is, in a clinician's words: what, how much, how old, and whether it raises the risk.

Owns the grouping of contributions by feature and the sentences. Must not know how contributions are computed
(models/explaining/shapley.py; the logistic's are in models/scorer.py) nor who reads them. `base` and the reasons' log-
odds add up to the score's log-odds: a reader who adds up what he is told misses nothing.

They say what moved the number, not what makes the patient ill: correlation, not cause.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from events import MILLIS_PER_HOUR, Millis
from features.state import PatientState
from models.explaining.words import MISSING, Term, ago, feature_of, quantity, statistic, term_of
from models.scorer import Scorer

SENTENCES = 5
"""Reasons told at a glance; what is left is told as one."""

NOTABLE = 0.005
"""A contribution that two decimals show as 0 is no reason."""


class Reason(msgspec.Struct, frozen=True):
    """What one feature did to the score."""

    feature: str
    log_odds: float
    inputs: tuple[tuple[str, float], ...]
    """Its inputs with their own contributions, largest first; they add up to `log_odds`."""
    value: float | None
    """The last value, in `unit`; None where it is unknown or no input of the version."""
    unit: str
    age_h: float | None
    text: str


class Explanation(msgspec.Struct, frozen=True):
    """A score's log-odds, taken apart: `base` and the reasons add up to `logit`."""

    base: float
    """The log-odds where nothing is known of the patient: that of the reference rows, on average."""
    logit: float
    reasons: tuple[Reason, ...]
    """Largest first."""

    def sentences(self, limit: int = SENTENCES) -> tuple[str, ...]:
        """Give the largest reasons, and in one more what all others come to.

        >>> Explanation(-4.0, -3.5, (Reason("lactate", 0.5, (), None, "", None, "lactate 4.1 mmol/L"),)).sentences()
        ('lactate 4.1 mmol/L: raises risk (+0.50)',)
        """
        notable = [reason for reason in self.reasons if abs(reason.log_odds) >= NOTABLE]
        told = [f"{reason.text}: {direction(reason.log_odds)}" for reason in notable[:limit]]
        told_of = {reason.feature for reason in notable[:limit]}
        rest = [reason for reason in self.reasons if reason.feature not in told_of]
        total = math.fsum(reason.log_odds for reason in rest)
        if abs(total) >= NOTABLE:
            told.append(f"{len(rest)} others together: {direction(total)}")
        return tuple(told)


def direction(log_odds: float) -> str:
    """Say what a contribution does.

    >>> direction(0.412), direction(-0.1)
    ('raises risk (+0.41)', 'lowers risk (-0.10)')
    """
    return f"{'raises' if log_odds > 0.0 else 'lowers'} risk ({log_odds:+.2f})"


def explain(scorer: Scorer, vector: Sequence[float], measured: Mapping[str, float] | None = None) -> Explanation:
    """Explain the score of a row of the version's inputs, which must be one that is scored.

    `measured` has hours since each feature was last measured, however long ago (`hours_since`): with it "unknown"
    becomes "never measured" or "too old to count". Raises `UnusableRowError` where a number of the row is refused.
    """
    contributions = scorer.logits(vector)
    grouped: dict[str, list[tuple[str, float]]] = {}
    for name, part in zip(scorer.names, contributions, strict=True):
        grouped.setdefault(feature_of(name), []).append((name, part))
    row = dict(zip(scorer.model.inputs.names, map(float, vector), strict=True))
    reasons = [_reason(feature, parts, row, measured) for feature, parts in grouped.items()]
    # Equal ones keep the order of the inputs.
    reasons.sort(key=lambda reason: -abs(reason.log_odds))
    return Explanation(scorer.base, math.fsum((scorer.base, *contributions)), tuple(reasons))


def hours_since(state: PatientState, at: Millis) -> dict[str, float]:
    """Give how many hours ago each feature was last measured as of `at` (ms); one never measured is left out.

    >>> hours_since(PatientState(), 0)
    {}
    """
    found = {feature.name: state.latest(feature.name, at) for feature in state.catalogue.features}
    return {name: (at - reading.event_time) / MILLIS_PER_HOUR for name, reading in found.items() if reading is not None}


def _reason(
    feature: str, parts: Sequence[tuple[str, float]], row: Mapping[str, float], measured: Mapping[str, float] | None
) -> Reason:
    ordered = sorted(parts, key=lambda part: -abs(part[1]))
    named = _last_value(feature, row)
    term = term_of(named.partition(".")[0] if named and "." in named and named != "news2.total" else feature)
    known = row.get(named, math.nan) if named else math.nan
    value = known if known == known else None  # noqa: PLR0124 - NaN
    age = row.get(f"{named.partition('.')[0]}.age_h", math.nan) if named else math.nan
    age_h = age if age == age and value is not None else None  # noqa: PLR0124 - NaN
    text = _head(named, term, value, age_h, measured)
    log_odds = math.fsum(part for _, part in parts)
    # Of those that pull the way the whole goes: a statistic that pulls against it does not carry it.
    driver = next((name for name, part in ordered if part * log_odds > 0.0), ordered[0][0])
    if not driver.startswith(MISSING):
        more = statistic(driver, row[driver])
        # A value that is unknown has been told so: that its statistics are, too, is no news.
        if more and not (value is None and named and row[driver] != row[driver]):
            text += f" (mainly: {more})" if named else f", {more}"
    return Reason(feature, log_odds, tuple(ordered), value, term.unit, age_h, text)


def _last_value(feature: str, row: Mapping[str, float]) -> str:
    """Name the input that holds a feature's value: of several that make one reason, the first that is known."""
    candidates = {
        "oxygen": ("fio2.last", "o2_flow.last"),
        "consciousness": ("gcs_total.last",),
        "news2": ("news2.total",),
    }.get(feature, (f"{feature}.last", feature))
    there = [name for name in candidates if name in row]
    return next((name for name in there if row[name] == row[name]), there[0] if there else "")


def _head(
    named: str, term: Term, value: float | None, age_h: float | None, measured: Mapping[str, float] | None
) -> str:
    if not named:
        return term.label
    if value is not None:
        return f"{term.label} {quantity(value, term)}" + (f", {ago(age_h)}" if age_h is not None else "")
    if measured is None or not named.endswith(".last"):
        return f"{term.label} not known"
    hours = measured.get(named.partition(".")[0])
    return f"{term.label} " + ("never measured" if hours is None else f"last measured {ago(hours)}, too old to count")
