"""What bedside monitors and wearables call things: MDC codes and MDC units, against published tables."""

from __future__ import annotations

import pytest

from events import Observation
from features.catalogue import default_catalogue
from features.state import PatientState
from features.units import MEASURES, SPELLINGS

PARTITION = 4 << 16
"""MDC_PART_DIM: a unit's number in messages is this and its term code."""
TERM_CODES = {
    # ISO/IEEE 11073-10101:2004, table A.6.3, as the Philips IntelliVue interface guide and Antidote's nomenclature.h
    # print it too.
    "MDC_DIM_DIMLESS": (512, "1"),
    "MDC_DIM_PERCENT": (544, "%"),
    "MDC_DIM_PH": (992, "[pH]"),
    "MDC_DIM_MILLI_L": (1618, "mL"),
    "MDC_DIM_X_G": (1728, "g"),
    "MDC_DIM_KILO_G": (1731, "kg"),
    "MDC_DIM_LB": (1760, "[lb_av]"),
    "MDC_DIM_MILLI_G_PER_DL": (2130, "mg/dL"),
    "MDC_DIM_SEC": (2176, "s"),
    "MDC_DIM_PER_MIN": (2528, "/min"),
    "MDC_DIM_BEAT_PER_MIN": (2720, "/min"),
    "MDC_DIM_PULS_PER_MIN": (2752, "/min"),
    "MDC_DIM_RESP_PER_MIN": (2784, "/min"),
    "MDC_DIM_X_L_PER_MIN": (3072, "L/min"),
    "MDC_DIM_MILLI_L_PER_MIN": (3090, "mL/min"),
    "MDC_DIM_KILO_PASCAL": (3843, "kPa"),
    "MDC_DIM_MMHG": (3872, "mm[Hg]"),
    "MDC_DIM_CM_H2O": (3904, "cm[H2O]"),
    "MDC_DIM_KELVIN": (4384, "K"),
    "MDC_DIM_FAHR": (4416, "[degF]"),
    "MDC_DIM_MILLI_MOLE_PER_L": (4722, "mmol/L"),
    "MDC_DIM_DEGC": (6048, "Cel"),
}


@pytest.mark.parametrize(("name", "term", "ucum"), [(name, *both) for name, both in TERM_CODES.items()])
def test_mdc_units_are_those_of_the_standard(name: str, term: int, ucum: str) -> None:
    """An MDC unit means the same UCUM unit by its name and by its number."""
    assert ucum in MEASURES
    assert SPELLINGS[name] == ucum
    assert SPELLINGS[str(PARTITION + term)] == ucum
    assert SPELLINGS[f"0004-{term:04x}"] == ucum


def test_no_other_mdc_number_is_understood() -> None:
    """Every number in the table of spellings is one of the standard's that is checked above."""
    numbers = {int(spelling) for spelling in SPELLINGS if spelling.isdigit()} - {1}
    assert numbers == {PARTITION + term for term, _ in TERM_CODES.values()}


@pytest.mark.parametrize(
    ("code", "feature"),
    [
        ("147842", "heart_rate"),
        ("149530", "heart_rate"),
        ("151562", "respiration_rate"),
        ("151594", "respiration_rate"),
        ("151578", "respiration_rate"),
        ("150456", "spo2"),
        ("150021", "systolic_bp"),
        ("150301", "systolic_bp"),
        ("150037", "systolic_bp"),
        ("150022", "diastolic_bp"),
        ("150302", "diastolic_bp"),
        ("150023", "mean_bp"),
        ("150039", "mean_bp"),
        ("150344", "temperature"),
        ("150364", "temperature"),
        ("150368", "temperature"),
        ("150372", "temperature"),
        ("150380", "temperature"),
        ("150348", "temperature"),
        ("151708", "etco2"),
        ("152196", "fio2"),
        ("188736", "weight"),
    ],
)
def test_mdc_codes_of_vital_signs(code: str, feature: str) -> None:
    """What monitors tell of the vital signs is read (ISO/IEEE 11073-10101; monitors' interface guides agree)."""
    found = default_catalogue().resolve((("mdc", code),))
    assert found is not None
    assert found.name == feature


@pytest.mark.parametrize("code", ["150388", "188508", "150356", "188440", "150332", "150488", "150087", "0"])
def test_what_is_no_vital_sign_stays_unmapped(code: str) -> None:
    """Skin, room and airway temperature, venous saturation, perfusion and CVP are nothing that NEWS2 asks for."""
    assert default_catalogue().resolve((("mdc", code),)) is None


def test_fahrenheit_by_its_number() -> None:
    """A thermometer's 98.6 in 266560 is 37.0 degrees."""
    state = PatientState()
    told = Observation(1, (("mdc", "150344"),), 98.6, "266560", 1_000)
    assert state.observe(told, 2_000, "m").outcome == "accepted"
    found = state.latest("temperature", 2_000)
    assert found is not None
    assert found.value == pytest.approx(37.0)
