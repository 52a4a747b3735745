"""Units by feature: every unit, spelling and code of the catalogue against a UCUM library, and in exact numbers."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from math import floor

import pytest
from pint.errors import DimensionalityError, UndefinedUnitError
from ucumvert import PintUcumRegistry
from ucumvert.parser import InvalidUcumError

from events import Observation
from features import Feature
from features.catalogue import Resolution, default_catalogue
from features.units import MEASURES, SPELLINGS
from features.value import in_steps

Convert = Callable[[str, str], tuple[float, float]]
"""UCUM units sent and wanted to the library's factor and offset."""
CATALOGUE = default_catalogue()
NUMERIC = [feature for feature in CATALOGUE.features if feature.kind == "numeric"]
CODES = [(feature, coding) for feature in NUMERIC for coding in feature.codes]
NO_UCUM = frozenset({"meq/L", "[pH]", "{score}"})
"""What the library has not: equivalents, and arbitrary scales, which are converted by valence and as they stand."""
MERCURY = 5e-6
"""UCUM's m[Hg] is 133.3220 kPa by definition, which we follow; the library's mercury column is 133.322387."""
READ_OTHERWISE = frozenset(
    {"C", "F", "G/L", "G/dL", "G/l", "GL", "K/mm3", "K/uL", "MG/L", "ML", "Mg/dL", "PG/ML", "[IU]/L", "[iU]/L", "b/min"}
    | {"mg%", "u/L", "u/l", "{fraction}", "{ratio}"}
)
"""Spellings that by the letter of UCUM are something else (coulomb, farad, gauss, megalitre, barn) that nobody measures
in a patient, or that the library cannot compare; senders mean by them what the table says."""


@pytest.fixture(scope="module")
def convert() -> Convert:
    """Give the library's factor and offset from one UCUM unit to another of its dimension."""
    registry = PintUcumRegistry()

    @cache
    def pair(source: str, target: str) -> tuple[float, float]:
        unit, wanted = registry.from_ucum(source), registry.from_ucum(target)
        none, one = (registry.Quantity(value, unit).to(wanted).magnitude for value in (0.0, 1.0))
        return one - none, none

    return pair


def by_library(convert: Convert, feature: Feature, code: str, unit: str) -> tuple[float, float] | None:
    """Say by the library, the molar mass and the valence what a unit becomes; None where nothing does."""
    sent, wanted = MEASURES[unit].dimension, MEASURES[feature.unit].dimension
    molar_mass = feature.molar_mass_by_code.get(code, 0.0) or feature.molar_mass
    if unit == feature.unit or (unit == "1" and feature.unit in ("[pH]", "{score}")):
        return 1.0, 0.0
    found = None
    if sent == "equivalents" and feature.valence:
        found = convert("mmol/L", feature.unit)[0] / feature.valence, 0.0
    elif unit in NO_UCUM or feature.unit in NO_UCUM:
        found = None
    elif sent == wanted:
        found = convert(unit, feature.unit)
    elif molar_mass and (sent, wanted) == ("mass_concentration", "substance"):
        found = convert(unit, "g/L")[0] / molar_mass * 1000 * convert("mmol/L", feature.unit)[0], 0.0
    elif molar_mass and (sent, wanted) == ("substance", "mass_concentration"):
        found = convert(unit, "mmol/L")[0] * molar_mass / 1000 * convert("g/L", feature.unit)[0], 0.0
    return found


def stated(feature: Feature, coding: tuple[str, str], unit: str) -> Resolution:
    found = CATALOGUE.resolution((coding,), unit, ())
    assert found is not None
    assert found.name == feature.name
    return found


def test_every_unit_of_every_code_agrees_with_the_library(convert: Convert) -> None:
    """Each UCUM unit, sent with each code, becomes the feature's unit as the library, the code's molar mass and the
    valence have it, to the nearest step; or is a mismatch where they have nothing.
    """
    agreed = refused = 0
    for feature, coding in CODES:
        for unit in MEASURES:
            found, expected = stated(feature, coding, unit), by_library(convert, feature, coding[1], unit)
            if expected is None:
                assert found.fault == "unit_mismatch", (feature.name, coding, unit)
                refused += 1
                continue
            factor, offset = expected
            assert not found.fault, (feature.name, coding, unit)
            room = MERCURY if "mm[Hg]" in (unit, feature.unit) else 1e-9
            for share in (0.1, 0.5, 0.9):
                wanted = feature.possible_min + share * (feature.possible_max - feature.possible_min)
                value = (wanted - offset) / factor
                steps = in_steps(Observation(1, (coding,), value, unit, 0), found, 0)
                assert isinstance(steps, int), (feature.name, coding, unit)
                assert abs(steps - wanted * feature.steps) <= 0.5 + abs(wanted) * feature.steps * room + 1e-6
            agreed += 1
    assert (agreed > 700, refused > 3_000) == (True, True), (agreed, refused)


def test_every_spelling_is_its_unit() -> None:
    """Each spelling that is understood does with every feature what its UCUM unit does."""
    for spelling, unit in SPELLINGS.items():
        for feature in NUMERIC:
            found, plain = (stated(feature, feature.codes[0], one) for one in (spelling, unit))
            assert (found.factor, found.offset, found.fault) == (plain.factor, plain.offset, plain.fault)


def read_size(registry: PintUcumRegistry, spelling: str, unit: str) -> float | None:
    """Give how many of a unit the library takes a spelling for; None where it cannot read it, 0 for another unit."""
    try:
        sent = registry.from_ucum(spelling)
    except InvalidUcumError:
        return None
    try:
        size: float = registry.Quantity(1.0, sent).to(registry.from_ucum(unit)).magnitude
    except (DimensionalityError, UndefinedUnitError):
        return 0.0
    return size


def test_a_spelling_that_ucum_has_is_what_ucum_says() -> None:
    """What the library can read of the spellings has the size that we give it, but for those that are listed."""
    registry = PintUcumRegistry()
    read = 0
    for spelling, unit in sorted(SPELLINGS.items()):
        if unit in NO_UCUM or spelling.isdigit():
            continue  # 266016 is a number to UCUM, and a unit of IEEE 11073-10101.
        size = read_size(registry, spelling, unit)
        if size is None:
            continue
        assert size == pytest.approx(1.0) or spelling in READ_OTHERWISE, (spelling, unit, size)
        read += 1
    assert read > 80


def test_thousandths_are_exact() -> None:
    """What senders chart, in every unit, falls on the step that exact arithmetic gives: no float moves a value over a
    limit of NEWS2.
    """
    looked = 0
    for feature in NUMERIC:
        coding = feature.codes[0]
        molar = Fraction(str(feature.molar_mass_by_code.get(coding[1], 0.0) or feature.molar_mass))
        for unit in MEASURES:
            found = stated(feature, coding, unit)
            if found.fault:
                continue
            sent, wanted = MEASURES[unit], MEASURES[feature.unit]
            ratio = Fraction(1)
            if (sent.dimension, wanted.dimension) == ("mass_concentration", "substance"):
                ratio = 1000 / molar
            elif (sent.dimension, wanted.dimension) == ("substance", "mass_concentration"):
                ratio = molar / 1000
            elif sent.dimension == "equivalents":
                ratio = Fraction(1, feature.valence)
            elif sent.dimension != wanted.dimension:
                sent = wanted  # `1` of pH and of scores
            factor = sent.size * ratio / wanted.size
            offset = (sent.offset * ratio - wanted.offset) / wanted.size
            low, high = (
                (Fraction(str(limit)) - offset) / factor for limit in (feature.possible_min, feature.possible_max)
            )
            for digits in (0, 1, 2):
                first, last = -(-low * 10**digits // 1), high * 10**digits // 1
                for tenths in range(int(first), int(last) + 1, max(1, int(last - first) // 200)):
                    exact = Fraction(tenths, 10**digits) * factor + offset
                    steps = floor(exact * feature.steps + Fraction(1, 2))
                    value = float(f"{tenths}e-{digits}")
                    assert floor(value * found.factor + found.offset) == steps, (feature.name, unit, value)
                    looked += 1
    assert looked > 50_000
