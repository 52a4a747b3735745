"""The groups that patients are told apart by: attributes, their groups, and the age bands.

Owns the names, and the groups of a patient as the scoring core keeps him. Must not know what events make of them
(features/stay.py, stream/facts.py), what is counted by group, or what follows from it.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import get_args

from events import Ethnicity, Sex
from features.stay import Stay

Group = tuple[str, str]
"""Attribute and name: `("sex", "female")`. An empty name is not recorded."""

NOT_RECORDED = "not recorded"
"""The group of those of whom the feed does not say; it is shown like any other."""

AGE_BANDS: tuple[tuple[float, str], ...] = (
    (18.0, "under 18"),
    (45.0, "18-44"),
    (65.0, "45-64"),
    (80.0, "65-79"),
    (float("inf"), "80 and over"),
)
"""Each band by the age (years) below which it ends."""
_BAND_ENDS = [end for end, _ in AGE_BANDS]
_BANDS = [name for _, name in AGE_BANDS]

GROUP_NAMES: dict[str, tuple[str, ...]] = {
    "sex": (*get_args(Sex), NOT_RECORDED),
    "age": (*_BANDS, NOT_RECORDED),
    "ward": (),
    "unit_of_origin": (),
    "ethnicity": (*get_args(Ethnicity), NOT_RECORDED),
}
"""Every attribute, in the order in which a patient's groups are given, with its groups; a ward's are the site's own."""


def age_band_of(age_years: float | None) -> str:
    """Give the age band of an age in years; empty where it is unknown (None, NaN) or below 0.

    >>> age_band_of(44.9), age_band_of(45.0), age_band_of(float("nan")), age_band_of(None)
    ('18-44', '45-64', '', '')
    """
    if age_years is None or not 0.0 <= age_years < float("inf"):
        return ""
    return _BANDS[bisect_right(_BAND_ENDS, age_years)]


def groups_of(sex: str, age: str, ward: str, origin: str, ethnicity: str) -> tuple[Group, ...]:
    """Give a patient's groups, in the order of `GROUP_NAMES`.

    >>> [attribute for attribute, _ in groups_of("", "", "", "", "")] == list(GROUP_NAMES)
    True
    """
    return ("sex", sex), ("age", age), ("ward", ward), ("unit_of_origin", origin), ("ethnicity", ethnicity)


def groups_of_stay(stay: Stay, age_years: float | None) -> tuple[Group, ...]:
    """Give the groups of a patient as the scoring core knows him.

    >>> groups_of_stay(Stay(sex="male", origin="ED"), 44.0)[:2]
    (('sex', 'male'), ('age', '18-44'))
    """
    return groups_of(stay.sex or "", age_band_of(age_years), stay.location.ward, stay.origin, stay.ethnicity or "")
