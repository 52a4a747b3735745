"""Units: every size against pint with ucumvert, every refusal by name."""

from __future__ import annotations

import itertools

import pytest
from ucumvert import PintUcumRegistry

from features.catalogue import default_catalogue
from features.units import MEASURES, SPELLINGS, UnitFault, conversion, to_canonical

CATALOGUE = default_catalogue()
BY_DIMENSION = {
    dimension: [code for code, measure in MEASURES.items() if measure.dimension == dimension]
    for dimension in sorted({measure.dimension for measure in MEASURES.values()})
}
PAIRS = [
    pair
    for dimension, codes in BY_DIMENSION.items()
    if dimension not in ("acidity", "score", "equivalents")
    for pair in itertools.permutations(codes, 2)
]
MERCURY_TOLERANCE = 5e-6
"""UCUM's m[Hg] is 133.3220 kPa by definition, which we follow; pint's mercury column is 133.322387."""
KNOWN_BY_HAND = [
    # Clinical conversions as printed in laboratory handbooks (AMA Manual of Style, SI conversion table).
    ("glucose", "2345-7", 90.0, "mg/dL", 5.0, 0.01),
    ("creatinine", "2160-0", 1.0, "mg/dL", 88.4, 0.1),
    ("urea", "3094-0", 28.0, "mg/dL", 10.0, 0.05),
    ("urea", "3091-6", 60.0, "mg/dL", 10.0, 0.05),
    ("bilirubin", "1975-2", 1.0, "mg/dL", 17.1, 0.05),
    ("lactate", "2524-7", 9.0, "mg/dL", 1.0, 0.01),
    ("calcium", "17861-6", 10.0, "mg/dL", 2.5, 0.01),
    ("magnesium", "19123-9", 2.0, "mg/dL", 0.82, 0.01),
    ("phosphate", "2777-1", 3.1, "mg/dL", 1.0, 0.01),
    ("haemoglobin", "718-7", 13.5, "g/dL", 135.0, 1e-9),
    ("fibrinogen", "3255-7", 300.0, "mg/dL", 3.0, 1e-9),
    ("troponin_i", "10839-9", 0.04, "ng/mL", 40.0, 1e-9),
    ("crp", "1988-5", 1.2, "mg/dL", 12.0, 1e-9),
    ("paco2", "2019-8", 5.3, "kPa", 39.75, 0.01),
    ("temperature", "8310-5", 98.6, "[degF]", 37.0, 1e-9),
    ("temperature", "8310-5", 310.15, "K", 37.0, 1e-9),
    ("fio2", "3150-6", 0.4, "1", 40.0, 1e-9),
    ("calcium", "2000-8", 5.0, "meq/L", 2.5, 1e-9),
    ("sodium", "2951-2", 140.0, "meq/L", 140.0, 1e-9),
    ("platelets", "777-3", 250.0, "10*3/uL", 250.0, 1e-9),
    ("ph", "2744-1", 7.4, "1", 7.4, 1e-9),
]


@pytest.fixture(scope="module")
def ucum() -> PintUcumRegistry:
    return PintUcumRegistry()


def test_every_pair_of_units_of_a_dimension_agrees_with_ucumvert(ucum):
    """Each unit's size relative to each other of its dimension is what a UCUM library says."""
    assert len(PAIRS) > 200
    for source, target in PAIRS:
        value = 37.0
        expected = ucum.Quantity(value, ucum.from_ucum(source)).to(ucum.from_ucum(target)).magnitude
        sent, wanted = MEASURES[source], MEASURES[target]
        actual = (value * float(sent.size) + float(sent.offset) - float(wanted.offset)) / float(wanted.size)
        tolerance = MERCURY_TOLERANCE if "mm[Hg]" in (source, target) else 1e-9
        assert actual == pytest.approx(expected, rel=tolerance), (source, target)


@pytest.mark.parametrize(("name", "code", "value", "unit", "expected", "tolerance"), KNOWN_BY_HAND)
def test_conversions_known_by_hand_come_out(name, code, value, unit, expected, tolerance):
    """Laboratory conversions give the figures of the handbooks, by the code's own molar mass."""
    feature = CATALOGUE.by_name(name)
    found = conversion(unit, feature, feature.molar_mass_by_code.get(code, 0.0))
    assert not isinstance(found, UnitFault)
    assert value * found.factor + found.offset == pytest.approx(expected, abs=tolerance)


def test_millimetres_of_mercury_may_stand_in_two_words():
    """A spelling with a blank in it is one, as laboratories and charts write it."""
    assert to_canonical(120.0, "mm Hg", CATALOGUE.by_name("systolic_bp")) == 120.0


@pytest.mark.parametrize("spelling", ["/nL", "/nl", "X10E3/UL", "THOU/uL"])
def test_counts_as_laboratories_spell_them(spelling):
    """A nanolitre's cells are a litre's thousand millions, as German and American laboratories write them."""
    assert to_canonical(7.2, spelling, CATALOGUE.by_name("white_cells")) == 7.2


def test_a_spelling_that_is_in_no_table_is_unknown():
    """Nothing is guessed from a spelling, however close."""
    temperature = CATALOGUE.by_name("temperature")
    for spelling in ("Cels", "cel", "degrees", "°", "x" * 300):
        assert to_canonical(37.0, spelling, temperature) is UnitFault.UNKNOWN


def test_a_unit_of_another_dimension_is_a_mismatch():
    """A known unit that cannot measure the feature is refused, mass for amount without a molar mass included."""
    assert to_canonical(37.0, "mm[Hg]", CATALOGUE.by_name("temperature")) is UnitFault.MISMATCH
    assert to_canonical(5.0, "mg/dL", CATALOGUE.by_name("urea")) is UnitFault.MISMATCH
    assert to_canonical(5.0, "mg/dL", CATALOGUE.by_name("platelets")) is UnitFault.MISMATCH


def test_a_missing_unit_passes_only_where_the_catalogue_says_so():
    """A pulse without a unit is a pulse a minute; a temperature without one is not used."""
    assert to_canonical(72.0, " ", CATALOGUE.by_name("heart_rate")) == 72.0
    assert to_canonical(37.0, "", CATALOGUE.by_name("temperature")) is UnitFault.MISSING


def test_every_spelling_leads_to_a_unit_and_every_canonical_unit_is_known():
    """The tables are closed: no spelling and no feature points outside them."""
    assert set(SPELLINGS.values()) == set(MEASURES)
    assert {feature.unit for feature in CATALOGUE.features} <= set(MEASURES)
