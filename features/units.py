"""Units as senders write them, and the one way to a feature's own unit.

Owns the table of spellings, the table of UCUM units with their dimension and size, and the conversion between them,
molar conversions included. Must not know any feature by name: a feature brings its canonical unit, molar mass and
valence. Nothing is guessed: a spelling that is not in the table, a unit of another dimension, or a missing unit where
the catalogue does not allow it, is a fault that quarantines the value.

Sources: UCUM 2.1 (ucum.org) for the sizes; ISO/IEEE 11073-10101:2004, table A.6.3, for the MDC_DIM_* names and their
numbers (partition 4: 262144 and the term code). tests/features/test_units.py checks every pair of units of a dimension
against pint with ucumvert.
"""

from __future__ import annotations

from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from features.catalogue import Feature


class UnitFault(StrEnum):
    """Why a value's unit could not be used; the value is quarantined with this as its reason."""

    UNKNOWN = "unknown_unit"
    MISMATCH = "unit_mismatch"
    MISSING = "missing_unit"


class Measure(msgspec.Struct, frozen=True):
    """A unit's dimension, and `base = size * value + offset` to that dimension's base unit."""

    dimension: str
    size: Fraction
    offset: Fraction = Fraction(0)


class Conversion(msgspec.Struct, frozen=True):
    """`canonical = factor * value + offset`."""

    factor: float
    offset: float


_BY_DIMENSION: dict[str, dict[str, str]] = {
    "frequency": {"/min": "1", "/s": "60", "Hz": "60", "/h": "1/60"},
    # UCUM: m[Hg] is 133.3220 kPa, m[H2O] is 9.80665 kPa.
    "pressure": {"mm[Hg]": "1", "kPa": "500000/66661", "Pa": "500/66661", "cm[H2O]": "980665/1333220"},
    "fraction": {"%": "1", "1": "100", "L/L": "100"},
    "flow": {"L/min": "1", "mL/min": "1/1000", "L/h": "1/60"},
    "substance": {"mmol/L": "1", "umol/L": "1/1000", "nmol/L": "1/1000000", "mol/m3": "1"},
    "equivalents": {"meq/L": "1"},
    "mass_concentration": {
        "g/L": "1", "g/dL": "10", "mg/dL": "1/100", "mg/L": "1/1000", "ug/dL": "1/100000", "ug/mL": "1/1000",
        "ug/L": "1/1000000", "ng/mL": "1/1000000", "ng/dL": "1/100000000", "ng/L": "1/1000000000",
        "pg/mL": "1/1000000000",
    },
    "count_concentration": {
        "10*9/L": "1", "10*3/uL": "1", "10*6/L": "1/1000", "/uL": "1/1000", "10*3/mm3": "1", "/mm3": "1/1000",
        "10*6/mL": "1", "/nL": "1",
    },
    "catalytic": {"U/L": "1", "ukat/L": "60", "nkat/L": "3/50"},
    "time": {"s": "1", "min": "60", "ms": "1/1000"},
    "volume": {"mL": "1", "L": "1000", "dL": "100"},
    "mass": {"kg": "1", "g": "1/1000", "[lb_av]": "45359237/100000000"},
    "acidity": {"[pH]": "1"},
    "score": {"{score}": "1"},
}  # fmt: skip
"""UCUM unit to its size in the dimension's base unit, as exact fractions."""

MEASURES: dict[str, Measure] = {
    code: Measure(dimension, Fraction(size))
    for dimension, sizes in _BY_DIMENSION.items()
    for code, size in sizes.items()
} | {
    "Cel": Measure("temperature", Fraction(1)),
    "[degF]": Measure("temperature", Fraction(5, 9), Fraction(-160, 9)),
    "K": Measure("temperature", Fraction(1), Fraction(-27315, 100)),
}
"""Every UCUM unit that is understood."""

_SAME_AS: dict[str, str] = {
    "/min": "min-1 1/min {beats}/min {breaths}/min {beat}/min {breath}/min bpm BPM beats/min beats/minute "
    "breaths/min breaths/minute brpm rpm resp/min br/min b/min {counts}/min "
    "MDC_DIM_BEAT_PER_MIN MDC_DIM_PULS_PER_MIN MDC_DIM_RESP_PER_MIN MDC_DIM_PER_MIN 264864 264896 264928 264672",
    "mm[Hg]": "mmHg mmhg MMHG mm(hg) mm(Hg) MDC_DIM_MMHG 266016",
    "kPa": "kpa KPA MDC_DIM_KILO_PASCAL MDC_DIM_X_PASCAL_KILO 265987",
    "cm[H2O]": "cmH2O MDC_DIM_CM_H2O 266048",
    "%": "percent PERCENT pct MDC_DIM_PERCENT 262688 %{saturation} %{vol} %[vol] {%} Vol% vol%",
    "1": "{fraction} {ratio} MDC_DIM_DIMLESS 262656",
    "L/L": "l/l l/L",
    "Cel": "C DegC degC deg_C DEGC \u00b0C \u00baC oC Celsius celsius MDC_DIM_DEGC 268192",
    "[degF]": "F DegF degF deg_F DEGF \u00b0F \u00baF oF Fahrenheit fahrenheit MDC_DIM_FAHR 266560",
    "K": "Kelvin kelvin MDC_DIM_KELVIN 266528",
    "L/min": "l/min lpm LPM L/Min MDC_DIM_X_L_PER_MIN MDC_DIM_L_PER_MIN 265216",
    "mL/min": "ml/min MDC_DIM_MILLI_L_PER_MIN 265234",
    "mmol/L": "mmol/l MMOLL MMOL/L mM mmol/dm3 MDC_DIM_MILLI_MOLE_PER_L 266866",
    "umol/L": "umol/l UMOLL UMOL/L \u00b5mol/L \u03bcmol/L \u00b5mol/l \u03bcmol/l mcmol/L uM",
    "nmol/L": "nmol/l",
    "meq/L": "mEq/L meq/l MEQ/L mEq/l",
    "g/L": "g/l G/L GL gm/L",
    "g/dL": "g/dl G/DL gm/dL gm/dl G/dL gm%",
    "mg/dL": "mg/dl MG/DL Mg/dL mg% mgs/dl MDC_DIM_MILLI_G_PER_DL 264274",
    "mg/L": "mg/l MG/L MGL",
    "ug/L": "ug/l UG/L mcg/L \u00b5g/L \u03bcg/L",
    "ug/mL": "ug/ml mcg/mL mcg/ml",
    "ug/dL": "ug/dl mcg/dL",
    "ng/mL": "ng/ml NG/ML",
    "ng/L": "ng/l NG/L NGL",
    "pg/mL": "pg/ml PG/ML",
    "10*9/L": "x10*9/L x10^9/L 10^9/L 10e9/L 10E9/L x10e9/L x10E9/L *10^9/L 10*9/l x10*9/l 10^9/l Giga/L G/l",
    "10*3/uL": "K/uL k/uL K/UL x10*3/uL 10^3/uL x10^3/uL 10e3/uL 10E3/uL 10*3/\u00b5L 10*3/\u03bcL K/mcL "
    "thou/uL THOU/uL THOU/UL Thousand/uL "
    "x10E3/uL x10e3/uL X10E3/UL X10E3/uL 10E3/UL {cells}*10*3/uL",
    "10*3/mm3": "K/mm3 10^3/mm3 x10*3/mm3",
    "/uL": "{cells}/uL cells/uL {Cells}/uL /\u00b5L",
    "/nL": "/nl",
    "/mm3": "cells/mm3 {cells}/mm3",
    "U/L": "u/L U/l u/l IU/L IU/l iu/L [iU]/L [IU]/L UL units/L",
    "ukat/L": "\u00b5kat/L ukat/l",
    "s": "sec secs seconds second SEC MDC_DIM_SEC 264320 {s}",
    "mL": "ml ML cc MDC_DIM_MILLI_L 263762",
    "L": "l",
    "kg": "Kg KG kgs kilogram MDC_DIM_KILO_G 263875",
    "g": "gram grams MDC_DIM_G MDC_DIM_X_G 263872",
    "[lb_av]": "lb lbs LB [lb_us] MDC_DIM_LB MDC_DIM_X_LB 263904",
    "[pH]": "pH PH units pH_units {pH} MDC_DIM_PH 263136",
    "{score}": "score {Score} {points} points (score) /15",
}
SPELLINGS: dict[str, str] = (
    {code: code for code in MEASURES}
    | {spelling: code for code, spellings in _SAME_AS.items() for spelling in spellings.split()}
    | {"mm Hg": "mm[Hg]"}
)
"""Every spelling that is understood, to its UCUM unit. Case counts: `K` is a kelvin and `mM` is no metre."""
_PART_DIM = 4 << 16
"""IEEE 11073-10101's partition of units."""
SPELLINGS |= {
    f"0004-{int(spelling) - _PART_DIM:04x}": code
    for spelling, code in SPELLINGS.items()
    if spelling.isdigit() and int(spelling) > _PART_DIM
}
"""Philips' monitors write the same numbers as two hexadecimal halves (MDIL: `0004-17a0` is 268192, degrees Celsius)."""


def conversion(unit_as_sent: str, feature: Feature, molar_mass: float = 0.0) -> Conversion | UnitFault:
    """Find how a value sent in a unit becomes one in the feature's unit.

    `molar_mass` (g/mol) belongs to the code the value came under (mg/dL of urea nitrogen and of urea differ by 2.14); 0
    leaves it to the feature. A mass is never made an amount without one.

    >>> from features.catalogue import default_catalogue
    >>> conversion("kPa", default_catalogue().by_name("paco2")).factor
    7.500637554192107
    """
    spelling = unit_as_sent.strip()
    if not spelling:
        return Conversion(1.0, 0.0) if feature.unit_optional else UnitFault.MISSING
    code = SPELLINGS.get(spelling)
    if code is None:
        return UnitFault.UNKNOWN
    sent, canonical = MEASURES[code], MEASURES[feature.unit]
    if code == "1" and canonical.dimension in ("acidity", "score"):
        # pH and scores are of dimension one; LOINC's example unit for pH is `[pH]`, that of many senders `1`.
        return Conversion(1.0, 0.0)
    ratio = _ratio(sent, canonical, molar_mass or feature.molar_mass, feature.valence)
    if ratio is None:
        return UnitFault.MISMATCH
    factor = sent.size * ratio / canonical.size
    offset = (sent.offset * ratio - canonical.offset) / canonical.size
    return Conversion(float(factor), float(offset))


def _ratio(sent: Measure, canonical: Measure, molar_mass: float, valence: int) -> Fraction | None:
    """Base units of the canonical dimension in one base unit of the sent one; None where they do not meet."""
    if sent.dimension == canonical.dimension:
        return Fraction(1)
    between = (sent.dimension, canonical.dimension)
    if molar_mass and between == ("mass_concentration", "substance"):
        return 1000 / Fraction(str(molar_mass))
    if molar_mass and between == ("substance", "mass_concentration"):
        return Fraction(str(molar_mass)) / 1000
    if valence and between == ("equivalents", "substance"):
        return Fraction(1, valence)
    return None


def to_canonical(value: float, unit_as_sent: str, feature: Feature) -> float | UnitFault:
    """Convert one value into the feature's unit, or say why not.

    >>> from features.catalogue import default_catalogue
    >>> to_canonical(98.6, "[degF]", default_catalogue().by_name("temperature"))
    37.0
    >>> to_canonical(37.0, "", default_catalogue().by_name("temperature")).value
    'missing_unit'
    """
    found = conversion(unit_as_sent, feature)
    if isinstance(found, UnitFault):
        return found
    return round(value * found.factor + found.offset, 9)
