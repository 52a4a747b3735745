"""Why one score is what it is, in a clinician's words: what, how much, how old, and whether it raises the risk.

Owns the grouping of contributions by feature and the sentences. Must not know how contributions are computed
(models/explaining/shapley.py; the logistic's are in models/scorer.py) nor who reads them. `base` and the reasons' log-
odds add up to the score's log-odds: a reader who adds up what he is told misses nothing.

They say what moved the number, not what makes the patient ill: correlation, not cause.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from events import MILLIS_PER_HOUR, Millis
from features.state import PatientState
from models.explaining.told import NOTABLE, ToldExplanation, ToldReason, add_up, direction
from models.explaining.words import MISSING, Term, ago, feature_of, old, quantity, statistic, term_of
from models.scorer import Scorer

SENTENCES = 5
"""Reasons told at a glance; what is left is told as one."""


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


def explain(scorer: Scorer, vector: Sequence[float], measured: Mapping[str, float] | None = None) -> Explanation:
    """Explain the score of a row of the version's inputs, which must be one that is scored.

    `measured` has hours since each feature was last measured, however long ago (`hours_since`): with it "unknown"
    becomes "never measured" or "too old to count". Raises `UnusableRowError` where a number of the row is refused.
    """
    logit, groups = _grouped(scorer, scorer.logits(vector))
    row = _named(scorer, vector)
    reasons = tuple(_reason(feature, log_odds, parts, row, measured) for feature, log_odds, parts in groups)
    return Explanation(scorer.base, logit, reasons)


def tell(
    scorer: Scorer,
    contributions: Sequence[float],
    vector: Sequence[float],
    measured: Mapping[str, float],
    at: Millis,
    limit: int = SENTENCES,
) -> ToldExplanation:
    """Explain a score that was made at `at` as a ward is told it: the words of `explain` for its largest reasons only.

    `contributions` are the scorer's `logits` of the row, `measured` is `hours_since` of the patient's state at `at`.
    """
    logit, groups = _grouped(scorer, contributions)
    row = _named(scorer, vector)
    told = [group for group in groups[:limit] if abs(group[1]) >= NOTABLE]
    base, log_odds, parts, others = add_up(scorer.base, logit, [group[1] for group in told])
    reasons = []
    for (feature, _, inputs), part in zip(told, parts, strict=True):
        reason = _reason(feature, part, inputs, row, measured)
        age_ms = None if reason.age_h is None else round(reason.age_h * MILLIS_PER_HOUR)
        direction: Literal["raises", "lowers"] = "raises" if part > 0.0 else "lowers"
        reasons.append(ToldReason(feature, reason.text, direction, part, reason.value, reason.unit, age_ms))
    return ToldExplanation(at, base, log_odds, tuple(reasons), len(groups) - len(told), others)


_Parts = list[tuple[str, float]]


def _grouped(scorer: Scorer, contributions: Sequence[float]) -> tuple[float, list[tuple[str, float, _Parts]]]:
    """Give the log-odds and what each feature and each of its inputs adds, largest first."""
    grouped: dict[str, _Parts] = {}
    for name, part in zip(scorer.names, contributions, strict=True):
        grouped.setdefault(feature_of(name), []).append((name, part))
    groups = [(feature, math.fsum(part for _, part in parts), parts) for feature, parts in grouped.items()]
    # Equal ones keep the order of the inputs.
    groups.sort(key=lambda group: -abs(group[1]))
    return math.fsum((scorer.base, *contributions)), groups


def _named(scorer: Scorer, vector: Sequence[float]) -> dict[str, float]:
    return dict(zip(scorer.model.inputs.names, map(float, vector), strict=True))


def hours_since(state: PatientState, at: Millis) -> dict[str, float]:
    """Give how many hours ago each feature was last measured as of `at` (ms); one never measured is left out.

    >>> hours_since(PatientState(), 0)
    {}
    """
    found = {feature.name: state.latest(feature.name, at) for feature in state.catalogue.features}
    return {name: (at - reading.event_time) / MILLIS_PER_HOUR for name, reading in found.items() if reading is not None}


def _reason(
    feature: str, log_odds: float, parts: _Parts, row: Mapping[str, float], measured: Mapping[str, float] | None
) -> Reason:
    ordered = sorted(parts, key=lambda part: -abs(part[1]))
    named = _last_value(feature, row)
    term = term_of(named.partition(".")[0] if named and "." in named and named != "news2.total" else feature)
    known = row.get(named, math.nan) if named else math.nan
    value = known if known == known else None  # noqa: PLR0124 - NaN
    age_h = _age_h(named, row, measured)
    text = _head(named, term, value, age_h, measured)
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


def _age_h(named: str, row: Mapping[str, float], measured: Mapping[str, float] | None) -> float | None:
    """Give the age of the last reading: by the state, else by the row, which has it where the reading counts."""
    feature, _, kind = named.partition(".")
    if kind != "last":
        return None
    if measured is not None:
        return measured.get(feature)
    age = row.get(f"{feature}.age_h", math.nan)
    return age if age == age else None  # noqa: PLR0124 - NaN


def _head(
    named: str, term: Term, value: float | None, age_h: float | None, measured: Mapping[str, float] | None
) -> str:
    if not named:
        return term.label
    if value is not None:
        return f"{term.label} {quantity(value, term)}" + ("" if age_h is None else f", {old(age_h)}")
    if measured is None or not named.endswith(".last"):
        return f"{term.label} not known"
    return f"{term.label} " + ("never measured" if age_h is None else f"last measured {ago(age_h)}, too old to count")
