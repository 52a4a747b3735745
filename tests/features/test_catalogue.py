"""The catalogue: its rows are sound, its codes unambiguous, its resolution by table only."""

from __future__ import annotations

import re

import pytest

from features.catalogue import Catalogue, UnknownFeatureError, default_catalogue
from features.series import BUCKET_COUNT_MAX, GRID_MS

CATALOGUE = default_catalogue()
CHECK_DIGIT_EXEMPT = {"3150-6"}
"""US Core and many feeds print 3150-6; by the check digit it is 3150-0, and some send that: both are mapped."""
NEWS2_INPUTS = (
    "respiration_rate",
    "spo2",
    "systolic_bp",
    "heart_rate",
    "consciousness",
    "temperature",
    "fio2",
    "o2_flow",
)


def luhn(digits: str) -> int:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = int(digit) * (2 if place % 2 == 0 else 1)
        total += number // 10 + number % 10
    return (10 - total % 10) % 10


def test_no_two_features_claim_one_code():
    """Every code means one feature; a catalogue in which it does not cannot be built."""
    codes = [code for feature in CATALOGUE.features for code in feature.codes]
    assert len(codes) == len(set(codes))
    with pytest.raises(ValueError, match="8867-4"):
        CATALOGUE.with_codes({("loinc", "8867-4"): "temperature"})


def test_loinc_codes_have_their_check_digit():
    """A mistyped LOINC code would be silently unmapped: each has the right check digit."""
    loinc = [code for feature in CATALOGUE.features for system, code in feature.codes if system == "loinc"]
    assert len(loinc) > 60
    for code in {*loinc} - CHECK_DIGIT_EXEMPT:
        number, check = re.fullmatch(r"(\d+)-(\d)", code).groups()
        assert luhn(number) == int(check), code


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("8867-4", "heart_rate"), ("9279-1", "respiration_rate"), ("59408-5", "spo2"), ("2708-6", "spo2"),
        ("8480-6", "systolic_bp"), ("8462-4", "diastolic_bp"), ("8478-0", "mean_bp"), ("8310-5", "temperature"),
        ("3150-6", "fio2"), ("3151-8", "o2_flow"), ("67775-7", "consciousness"), ("9269-2", "gcs_total"),
        ("2524-7", "lactate"), ("32693-4", "lactate"), ("2518-9", "lactate"), ("6690-2", "white_cells"),
        ("777-3", "platelets"), ("718-7", "haemoglobin"), ("2160-0", "creatinine"), ("14682-9", "creatinine"),
        ("22664-7", "urea"), ("3094-0", "urea"), ("1975-2", "bilirubin"), ("14631-6", "bilirubin"),
        ("2345-7", "glucose"), ("14749-6", "glucose"), ("2951-2", "sodium"), ("2823-3", "potassium"),
        ("1963-8", "bicarbonate"), ("2075-0", "chloride"), ("2744-1", "ph"), ("2019-8", "paco2"),
        ("10839-9", "troponin_i"), ("89579-7", "troponin_i"), ("1988-5", "crp"), ("1920-8", "ast"), ("6768-6", "alp"),
        ("3173-2", "ptt"), ("14979-9", "ptt"), ("3255-7", "fibrinogen"), ("17861-6", "calcium"),
        ("19123-9", "magnesium"), ("2601-3", "magnesium"), ("2777-1", "phosphate"), ("4544-3", "haematocrit"),
        ("20570-8", "haematocrit"), ("1925-7", "base_excess"), ("11555-0", "base_excess"), ("19889-5", "etco2"),
    ],
)  # fmt: skip
def test_the_codes_of_the_clinical_page_are_mapped(code, name):
    """Each LOINC code that the clinical facts name means the feature they name."""
    assert CATALOGUE.resolve((("loinc", code),)).name == name


def test_mdc_and_snomed_codes_are_mapped():
    """Monitors' MDC numbers and reference ids, and UK SNOMED CT observables, mean the same features."""
    for system, code, name in (
        ("mdc", "147842", "heart_rate"), ("mdc", "149530", "heart_rate"), ("mdc", "151562", "respiration_rate"),
        ("mdc", "150456", "spo2"), ("mdc", "150021", "systolic_bp"), ("mdc", "150035", "mean_bp"),
        ("mdc", "150344", "temperature"), ("mdc", "MDC_TEMP", "temperature"),
        ("snomed", "86290005", "respiration_rate"),
        ("snomed", "1104441000000107", "consciousness"), ("snomed", "72313002", "systolic_bp"),
    ):  # fmt: skip
        assert CATALOGUE.resolve(((system, code),)).name == name


def test_the_first_known_coding_decides_and_an_unknown_one_is_skipped():
    """All codings are read, best first; a code in no table is unmapped."""
    assert CATALOGUE.resolve((("local", "x"), ("mdc", "150456"), ("loinc", "8867-4"))).name == "spo2"
    assert CATALOGUE.resolve((("local", "x"),)) is None
    assert CATALOGUE.resolve(()) is None


def test_a_saturation_from_a_gas_specimen_is_not_pulse_oximetry():
    """2708-6 with an arterial blood specimen is SaO2, and SpO2 without."""
    assert CATALOGUE.resolve((("loinc", "2708-6"),), (("hl7", "BLDA"),)).name == "sao2"
    assert CATALOGUE.resolve((("loinc", "2708-6"),), (("snomed", "122552005"),)).name == "sao2"
    assert CATALOGUE.resolve((("loinc", "2708-6"),), (("snomed", "7569003"),)).name == "spo2"


def test_a_site_adds_codes_by_configuration():
    """Local codes extend the catalogue, change its hash, and must name a feature that exists."""
    local = CATALOGUE.with_codes({("SIMHOSP", "tt-0005-09"): "temperature"})
    assert local.resolve((("SIMHOSP", "tt-0005-09"),)).name == "temperature"
    assert local.content_hash != CATALOGUE.content_hash
    assert CATALOGUE.with_codes({}).content_hash == CATALOGUE.content_hash
    with pytest.raises(UnknownFeatureError):
        CATALOGUE.with_codes({("a", "b"): "no_such_feature"})


def test_sums_of_squares_of_a_full_bucket_fit_in_63_bits():
    """No possible value, however often charted, overflows a bucket's sums."""
    for feature in CATALOGUE.features:
        extreme = max(abs(feature.possible_min), abs(feature.possible_max)) * feature.steps
        assert extreme**2 * BUCKET_COUNT_MAX < 2**63, feature.name
        assert extreme * GRID_MS * BUCKET_COUNT_MAX < 2**63, feature.name
        assert extreme < 2**31


def test_news2_inputs_expire_after_twelve_hours():
    """A vital sign older than the longest NEWS2 interval does not count."""
    for name in NEWS2_INPUTS:
        assert CATALOGUE.by_name(name).max_age_ms == 12 * 3_600_000


def test_indices_are_places_and_names_are_unique():
    """A feature's index is its place, so that arrays by index and lists by name agree."""
    assert [feature.index for feature in CATALOGUE.features] == list(range(len(CATALOGUE.features)))
    assert len(CATALOGUE.index_of) == len(CATALOGUE.features)


def test_the_cache_of_resolutions_is_bounded(monkeypatch):
    """A feed that invents units without end does not grow the cache without end."""
    monkeypatch.setattr("features.catalogue.RESOLUTIONS_MAX", 8)
    catalogue = Catalogue(CATALOGUE.features)
    for number in range(100):
        catalogue.resolution((("loinc", "8867-4"),), f"unit {number}", ())
    assert len(catalogue.resolutions) <= 8
