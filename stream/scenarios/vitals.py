"""Clinical words for what is charted: `spo2: 91`, `oxygen: 4 L/min`, `temperature: 98.6 degF`, `rest: normal`.

Owns the words, the codes they are sent under and what is normal. Must not know a message format, nor what a value means
for a score. A word that is in no table is a laboratory value by its catalogue name, under its first LOINC code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from events import Coding
from features.catalogue import default_catalogue
from features.feature_table import FEATURE_ROWS
from stream.scenarios.words import Value

CHARTED: dict[str, tuple[Coding, str]] = {
    "respiration_rate": (("loinc", "9279-1"), "/min"),
    "spo2": (("loinc", "59408-5"), "%"),
    "systolic_bp": (("loinc", "8480-6"), "mm[Hg]"),
    "pulse": (("loinc", "8867-4"), "/min"),
    "consciousness": (("loinc", "67775-7"), ""),
    "gcs": (("loinc", "9269-2"), "{score}"),
    "temperature": (("loinc", "8310-5"), "Cel"),
    "fio2": (("loinc", "3150-6"), "%"),
    "o2_flow": (("loinc", "3151-8"), "L/min"),
    "air_or_oxygen": (("snomed", "371825009"), ""),
}
"""The code and UCUM unit that each word is sent under. `oxygen` is one of the last three, by how it is said."""
NORMAL: dict[str, Value] = {
    "respiration_rate": 16.0, "spo2": 98.0, "oxygen": "air", "systolic_bp": 124.0, "pulse": 76.0,
    "consciousness": "alert", "temperature": 36.8,
}  # fmt: skip
"""`rest: normal`: an adult of whom NEWS2 makes 0, everything charted."""
ANSWERS: dict[str, Coding] = {
    "alert": ("loinc", "LA9340-6"),
    "confused": ("loinc", "LA6560-2"),
    "voice": ("loinc", "LA17108-4"),
    "pain": ("loinc", "LA17107-6"),
    "unresponsive": ("loinc", "LA9343-0"),
}
AIR: Coding = ("snomed", "722742002")
ON_OXYGEN: Coding = ("snomed", "371825009")
NO_UNIT = "no unit"
_QUANTITY = re.compile(r"(?P<value>[-+]?\d+(?:\.\d+)?)(?: (?P<unit>.+))?")


class Finding(msgspec.Struct, frozen=True):
    """One value to be sent."""

    coding: Coding
    value: float | str | Coding | None
    unit: str = ""


class UnknownWordError(ValueError):
    """A word or value that no table has; the text says which are known."""


def findings(charted: Mapping[str, Value]) -> list[Finding]:
    """Give what is to be sent of what is charted; raises `UnknownWordError`.

    >>> [finding.value for finding in findings({"pulse": 120, "oxygen": "28 %"})]
    [120.0, 28.0]
    >>> len(findings({"rest": "normal", "pulse": 120}))
    7
    """
    values = dict(charted)
    rest = values.pop("rest", None)
    if rest is not None:
        if rest != "normal":
            raise UnknownWordError(f"rest: {rest!r}; expected normal")
        instead = {"oxygen": ("fio2", "o2_flow", "air_or_oxygen"), "consciousness": ("gcs",)}
        missing = {
            name: value
            for name, value in NORMAL.items()
            if name not in values and not any(other in values for other in instead.get(name, ()))
        }
        values = missing | values
    return [_finding(name, value) for name, value in values.items()]


def _finding(name: str, value: Value) -> Finding:
    """Give one value to be sent; None is an empty one."""
    if name.startswith("local "):
        return _local(name, value)
    if name == "oxygen":
        return _oxygen(value)
    if name in ("consciousness", "air_or_oxygen"):
        coding, unit = CHARTED[name]
        return Finding(coding, _answer(name, value), unit)
    coding, unit = _code(name)
    if value is None:
        return Finding(coding, None, unit)
    number, said = _quantity(name, value)
    return Finding(coding, number, unit if said is None else said)


def _code(name: str) -> tuple[Coding, str]:
    if name in CHARTED:
        return CHARTED[name]
    row = next((row for row in FEATURE_ROWS if row.name == name and row.loinc), None)
    if row is None:
        known = ", ".join((*CHARTED, "oxygen", "rest"))
        raise UnknownWordError(f"{name}: no vital sign or laboratory value; vital signs are {known}")
    return ("loinc", row.loinc.split()[0]), default_catalogue().by_name(name).unit


def _local(name: str, value: Value) -> Finding:
    """Read a code of the house's own: `local CHART RR-7: 18 /min`."""
    parts = name.split()
    if len(parts) != 3:
        raise UnknownWordError(f"{name}: expected `local SYSTEM CODE`")
    if value is None:
        return Finding((parts[1], parts[2]), None)
    number, said = _quantity(name, value)
    return Finding((parts[1], parts[2]), number, said or "")


def _quantity(name: str, value: float | str) -> tuple[float, str | None]:
    if not isinstance(value, str):
        return float(value), None
    match = _QUANTITY.fullmatch(value)
    if match is None:
        raise UnknownWordError(f"{name}: {value!r}; expected a number, or one with its unit (`98.6 degF`)")
    said = match["unit"]
    return float(match["value"]), "" if said == NO_UNIT else said


def _answer(name: str, value: Value) -> str | Coding | None:
    if value is None:
        return None
    if name == "air_or_oxygen":
        return AIR if value == "air" else ON_OXYGEN if value == "oxygen" else str(value)
    return ANSWERS.get(str(value), str(value))


def _oxygen(value: Value) -> Finding:
    """Send air or oxygen as it was said: an answer, a flow in L/min or a fraction in %."""
    if value in ("air", "oxygen") or value is None:
        return Finding(CHARTED["air_or_oxygen"][0], _answer("air_or_oxygen", value))
    number, unit = _quantity("oxygen", value)
    if unit not in ("L/min", "%"):
        raise UnknownWordError(f"oxygen: {value!r}; expected air, oxygen, a flow (`4 L/min`) or a fraction (`28 %`)")
    word = "o2_flow" if unit == "L/min" else "fio2"
    return Finding(CHARTED[word][0], number, unit)
