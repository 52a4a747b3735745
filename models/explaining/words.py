"""What inputs are called at the bedside: the feature an input is about, its name, unit, and each statistic in words.

Owns the words. Must not know a score or a contribution. Units are the catalogue's, written as a ward writes them;
values are given to the precision they are charted in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from features.catalogue import UnknownFeatureError, default_catalogue

MISSING = "missing:"
"""Begins the name of a flag that says a value is unknown (models/rows.py)."""

_PART_OF: Mapping[str, str] = {
    "news2.respiration_rate": "respiration_rate",
    "news2.spo2": "spo2",
    "news2.oxygen": "oxygen",
    "news2.systolic_bp": "systolic_bp",
    "news2.pulse": "heart_rate",
    "news2.consciousness": "consciousness",
    "news2.temperature": "temperature",
    "news2.total": "news2",
    "gcs_total": "consciousness",
    "fio2": "oxygen",
    "o2_flow": "oxygen",
}
"""Inputs, and features, that a clinician takes as part of another: NEWS2's sub-scores with what they score."""

_LABELS: Mapping[str, str] = {
    "spo2": "oxygen saturation",
    "systolic_bp": "systolic blood pressure",
    "diastolic_bp": "diastolic blood pressure",
    "mean_bp": "mean blood pressure",
    "gcs_total": "Glasgow coma score",
    "fio2": "inspired oxygen",
    "o2_flow": "oxygen flow",
    "etco2": "end-tidal CO₂",
    "ph": "arterial pH",
    "paco2": "PaCO₂",
    "pao2": "PaO₂",
    "sao2": "arterial oxygen saturation",
    "troponin_i": "troponin I",
    "bilirubin_direct": "direct bilirubin",
    "crp": "CRP",
    "ast": "AST",
    "alp": "alkaline phosphatase",
    "ptt": "PTT",
}
"""Where the catalogue's name with blanks is not what is said."""

_UNITS: Mapping[str, str] = {
    "mm[Hg]": "mmHg", "Cel": "°C", "10*9/L": "10⁹/L", "umol/L": "µmol/L", "{score}": "", "[pH]": "",
}  # fmt: skip
"""UCUM to what a ward writes."""


class Term(NamedTuple):
    """How one quantity is told."""

    label: str
    unit: str
    decimals: int


_BESIDE_CATALOGUE: Mapping[str, Term] = {
    "age_years": Term("age", "years", 0),
    "hours_since_admission": Term("time since admission", "h", 0),
    "hour_of_day": Term("hour of the day (UTC)", "", 0),
    "news2": Term("NEWS2 total", "", 0),
    "oxygen": Term("oxygen given", "", 0),
    "consciousness": Term("consciousness", "", 0),
    "shock_index": Term("shock index", "", 2),
    "modified_shock_index": Term("modified shock index", "", 2),
    "age_shock_index": Term("age times shock index", "", 0),
    "pulse_pressure": Term("pulse pressure", "mmHg", 0),
    "spo2_to_fio2": Term("SpO₂/FiO₂", "", 0),
    "pao2_to_fio2": Term("PaO₂/FiO₂", "mmHg", 0),
    "rox_index": Term("ROX index", "", 1),
    "urea_to_creatinine": Term("urea to creatinine", "", 0),
    "anion_gap": Term("anion gap", "mmol/L", 0),
    "sirs_known": Term("SIRS criteria met", "", 0),
    "vital_count_24h": Term("vital signs charted in 24 h", "", 0),
    "gas_count_24h": Term("blood gas values in 24 h", "", 0),
    "laboratory_count_24h": Term("blood test values in 24 h", "", 0),
}
"""What is no feature of the catalogue."""


def feature_of(name: str) -> str:
    """Give what an input is about: all that is about one thing is told as one reason.

    >>> [feature_of(name) for name in ("heart_rate.mean_6h", "news2.pulse", "missing:lactate.last", "age_years")]
    ['heart_rate', 'heart_rate', 'lactate', 'age_years']
    """
    name = name.removeprefix(MISSING)
    feature = _PART_OF.get(name) or name.partition(".")[0]
    return _PART_OF.get(feature, feature)


def term_of(feature: str) -> Term:
    """Give how a feature's value is told; a name that is none of ours is told as it stands.

    >>> term_of("systolic_bp").label, term_of("age_years").unit, term_of("some_new_input")
    ('systolic blood pressure', 'years', Term(label='some new input', unit='', decimals=2))
    """
    if feature in _BESIDE_CATALOGUE:
        return _BESIDE_CATALOGUE[feature]
    label = _LABELS.get(feature, feature.replace("_", " "))
    try:
        known = default_catalogue().by_name(feature)
    except UnknownFeatureError:
        return Term(label, "", 2)
    return Term(label, _UNITS.get(known.unit, known.unit), known.charted_decimals)


def number(value: float, decimals: int) -> str:
    """Write a number as it is charted.

    >>> number(28.4, 0), number(-0.04, 1)
    ('28', '0.0')
    """
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if not float(text) else text


def quantity(value: float, term: Term, more_decimals: int = 0) -> str:
    """Write a value with its unit.

    >>> quantity(28.0, term_of("respiration_rate")), quantity(94.0, term_of("spo2"))
    ('28 /min', '94 %')
    """
    return f"{number(value, term.decimals + more_decimals)} {term.unit}".rstrip()


def ago(hours: float) -> str:
    """Say how long ago.

    >>> ago(0.2), ago(0.0), ago(1.0), ago(7.4), ago(50.0)
    ('12 min ago', 'just now', '60 min ago', '7 h ago', '2 days ago')
    """
    minutes = round(hours * 60.0)
    if minutes < 1:
        return "just now"
    if minutes < 120:
        return f"{minutes} min ago"
    return f"{round(hours)} h ago" if hours < 48.0 else f"{round(hours / 24.0)} days ago"


def old(hours: float) -> str:
    """Say how old a value is, as of the score that it went into.

    >>> old(0.2), old(0.0), old(7.4)
    ('12 min old', 'just measured', '7 h old')
    """
    return "just measured" if round(hours * 60.0) < 1 else f"{ago(hours).removesuffix(' ago')} old"


_WINDOWED: Mapping[str, tuple[str, int]] = {"mean": ("mean of", 1), "min": ("lowest in", 0), "max": ("highest in", 0)}
"""Words of a window's statistics, and digits beyond the charted."""


def statistic(name: str, value: float) -> str:
    """Say what an input tells of its feature beside the last value; empty for that itself.

    >>> statistic("heart_rate.mean_6h", 101.26), statistic("lactate.change", 0.8), statistic("heart_rate.last", 90.0)
    ('mean of 6 h 101.3 /min', '+0.8 mmol/L since the reading before', '')
    >>> statistic("spo2.count_24h", 9.0), statistic("news2.pulse", 2.0), statistic("heart_rate.slope_6h", -2.0)
    ('measured 9 times in 24 h', '2 points of NEWS2', 'trend of 6 h -2.0 /min an hour')
    """
    if name.startswith("news2.") and name != "news2.total":
        return f"{number(value, 0)} points of NEWS2" if value == value else "not scored by NEWS2"  # noqa: PLR0124 - NaN
    feature, _, kind = name.partition(".")
    if kind in ("", "last", "total"):
        return ""
    term = term_of(feature)
    what, _, width = kind.rpartition("_")
    hours = width.removesuffix("h")
    if value != value:  # noqa: PLR0124 - NaN
        words = _unknown(what, kind, hours)
    elif what in _WINDOWED:
        words = f"{_WINDOWED[what][0]} {hours} h {quantity(value, term, _WINDOWED[what][1])}"
    elif what == "slope":
        words = f"trend of {hours} h {_signed(value, term)} an hour"
    elif what == "count":
        words = f"measured {number(value, 0)} times in {hours} h"
    elif kind == "change":
        words = f"{_signed(value, term, 0)} since the reading before"
    elif kind == "delta_baseline":
        words = f"{_signed(value, term)} against the day's own mean"
    elif kind == "age_h":
        words = f"that it was measured {ago(value)}"
    elif kind == "previous_age_h":
        words = f"the reading before {ago(value)}"
    else:
        words = f"{kind.replace('_', ' ')} {number(value, term.decimals + 1)}"
    return words


def _unknown(what: str, kind: str, hours: str) -> str:
    """Say that a statistic has no value.

    >>> _unknown("mean", "mean_6h", "6"), _unknown("", "change", ""), _unknown("slope", "slope_24h", "24")
    ('none in 6 h', 'no reading before', 'no trend of 24 h')
    """
    if what in _WINDOWED or what == "count":
        return f"none in {hours} h"
    if what == "slope":
        return f"no trend of {hours} h"
    return {
        "change": "no reading before",
        "previous_age_h": "no reading before",
        "delta_baseline": "no mean of the day",
        "age_h": "of no known age",
    }.get(kind, f"no {kind.replace('_', ' ')}")


def _signed(value: float, term: Term, more_decimals: int = 1) -> str:
    text = quantity(value, term, more_decimals)
    return text if text.startswith("-") else f"+{text}"
