"""How a ward writes down what it measures: codes, units, rounding, what it leaves out and what it gets wrong.

Owns the charts. Must not know why a patient is ill, nor when a chart is sent. Charted values are made once, by table:
there are few whole numbers, and a stream of them is many.
"""

from __future__ import annotations

from functools import lru_cache
from random import Random

import msgspec

from connectors.hospital.physiology import Vitals
from connectors.hospital.story import Charted
from connectors.hospital.troubles import LACTATE
from connectors.hospital.ward_score import RATE_MAX, TENTHS_MAX, TENTHS_MIN, add_up
from connectors.hospital.wards import FAHRENHEIT_WARD
from events import Coding

INCOMPLETE_SHARES = ((0.040, ("8310-5",)), (0.035, ("67775-7",)), (0.012, ("9279-1",)), (0.013, ("8310-5", "67775-7")))
"""What is left out of how many sets; together 10 % are incomplete (Pedersen et al., J Clin Monit Comput 2018)."""
_INCOMPLETE = sum(share for share, _ in INCOMPLETE_SHARES)
ARTEFACT_SHARE = 0.0021
"""Of sets; 0.2 % of records hold an implausible value (the same)."""
BLOODS_SLIP_SHARE = 0.0015
"""Of blood results, in which the haemoglobin stands in g/dL under a label of g/L."""

HEART_RATE: Coding = ("loinc", "8867-4")
RESPIRATION_RATE: Coding = ("loinc", "9279-1")
SPO2: Coding = ("loinc", "59408-5")
SYSTOLIC: Coding = ("loinc", "8480-6")
DIASTOLIC: Coding = ("loinc", "8462-4")
TEMPERATURE: Coding = ("loinc", "8310-5")
OXYGEN_FLOW: Coding = ("loinc", "3151-8")
FIO2: Coding = ("loinc", "3150-6")
CONSCIOUSNESS: Coding = ("loinc", "67775-7")
HAEMOGLOBIN: Coding = ("loinc", "718-7")

ACVPU: tuple[Charted, ...] = tuple(
    Charted(CONSCIOUSNESS, ("loinc", answer)) for answer in ("LA9340-6", "LA6560-2", "LA17108-4", "LA17107-6")
)
"""Alert, confused, responds to voice, to pain: by `Vitals.consciousness`."""

LAB_UNITS = {
    "6690-2": "10*9/L",
    "777-3": "10*9/L",
    "718-7": "g/L",
    "14682-9": "umol/L",
    "22664-7": "mmol/L",
    "2951-2": "mmol/L",
    "2823-3": "mmol/L",
    "1988-5": "mg/L",
    LACTATE: "mmol/L",
}
LAB_VALUES_REMEMBERED_MAX = 8_192
"""Charted laboratory values made once: some 2,000 are usual; at ~150 bytes 1 MB."""
LAB_DECIMALS = {"6690-2": 1, "22664-7": 1, "2823-3": 1, LACTATE: 1}

ARTEFACTS: tuple[tuple[Coding, float], ...] = (
    (HEART_RATE, 723.0),
    (RESPIRATION_RATE, 180.0),
    (SPO2, 960.0),
    (SYSTOLIC, 1200.0),
    (DIASTOLIC, 800.0),
    (TEMPERATURE, 368.0),
)
"""A lost decimal point, a digit too many: impossible in whatever unit is charted."""
SPO2_AS_FRACTION = 0.01
"""A slip of unit: 0.97 under a label of %; and degrees Fahrenheit under one of Celsius."""

COIN = 1 << 30
"""A fine digit of the one draw a set costs serves as a coin."""
PULSE_SCORES_FROM = 91

MASK_FROM_L_MIN = 6.0
FIO2_BY_MASK = ((8.0, 40.0), (11.0, 60.0), (15.0, 85.0))
"""Up to so many litres a minute the chart says this inspired fraction (%); below, it says the flow."""


class Chart(msgspec.Struct, frozen=True, gc=False):
    """One charted set, the ward's own NEWS2 of it, and what a slip in it should have said."""

    results: tuple[Charted, ...]
    total: int
    red: bool
    wrong: Charted | None = None
    right: Charted | None = None


def _whole(coding: Coding, unit: str, most: int) -> tuple[Charted, ...]:
    return tuple(Charted(coding, float(value), unit) for value in range(most + 1))


_HEART = _whole(HEART_RATE, "/min", RATE_MAX)
_BREATH = _whole(RESPIRATION_RATE, "/min", RATE_MAX)
_SATURATION = _whole(SPO2, "%", 100)
_SYSTOLIC = _whole(SYSTOLIC, "mm[Hg]", RATE_MAX)
_DIASTOLIC = _whole(DIASTOLIC, "mm[Hg]", RATE_MAX)
_FLOW = _whole(OXYGEN_FLOW, "L/min", 15)
_INSPIRED = _whole(FIO2, "%", 100)
_AIR = _INSPIRED[21]
_CELSIUS = tuple(Charted(TEMPERATURE, tenths / 10, "Cel") for tenths in range(TENTHS_MAX + 1))
_FAHRENHEIT = tuple(Charted(TEMPERATURE, round(tenths * 0.18 + 32, 1), "[degF]") for tenths in range(TENTHS_MAX + 1))


def chart_vitals(random: Random, ward: str, vitals: Vitals, *, hypercapnic: bool = False) -> Chart:
    """Write a set of vital signs as the ward does: rounded, in its units, now and then incomplete or wrong."""
    draw = random.random()
    heart = min(RATE_MAX, int(vitals.heart_rate + 0.5))
    breath = int(vitals.respiration_rate + 0.5)
    if int(draw * COIN) & 1:
        # Digit preference, and pulses kept just below where NEWS2 begins to count (Pedersen et al. 2018).
        breath -= breath & 1
        if PULSE_SCORES_FROM <= heart < PULSE_SCORES_FROM + 3:
            heart = PULSE_SCORES_FROM - 1
    spo2 = int(vitals.spo2 + 0.5)
    systolic = min(RATE_MAX, int(vitals.systolic_bp + 0.5))
    tenths = max(TENTHS_MIN, min(TENTHS_MAX, int(vitals.temperature * 10 + 0.5)))
    flow = vitals.oxygen_flow
    results = (
        _HEART[heart],
        _BREATH[breath],
        _SATURATION[spo2],
        _SYSTOLIC[systolic],
        _DIASTOLIC[min(RATE_MAX, int(vitals.diastolic_bp + 0.5))],
        (_FAHRENHEIT if ward == FAHRENHEIT_WARD else _CELSIUS)[tenths],
        _chart_oxygen(flow) if flow else _AIR,
        ACVPU[vitals.consciousness],
    )
    total, red = add_up(
        (heart, breath, spo2, systolic, tenths),
        oxygen=flow > 0,
        altered=vitals.consciousness > 0,
        hypercapnic=hypercapnic,
    )
    if draw < _INCOMPLETE:
        return Chart(_leave_out(results, draw), total, red)
    if draw > 1 - ARTEFACT_SHARE:
        return _slip(random, results, total, red=red)
    return Chart(results, total, red)


def _chart_oxygen(flow: float) -> Charted:
    if flow <= MASK_FROM_L_MIN:
        return _FLOW[int(flow)]
    return _INSPIRED[int(next(percent for litres, percent in FIO2_BY_MASK if flow <= litres))]


def _leave_out(results: tuple[Charted, ...], draw: float) -> tuple[Charted, ...]:
    for share, codes in INCOMPLETE_SHARES:
        if draw < share:
            return tuple(charted for charted in results if charted.coding[1] not in codes)
        draw -= share
    return results


def _slip(random: Random, results: tuple[Charted, ...], total: int, *, red: bool) -> Chart:
    """Write one value down wrong: a number that cannot be, or one in another unit than it says."""
    place = random.randrange(len(ARTEFACTS) + 2)
    if place < len(ARTEFACTS):
        coding, value = ARTEFACTS[place]
        right = next(charted for charted in results if charted.coding == coding)
    elif place == len(ARTEFACTS):
        right = results[2]
        value = round(_number(right) * SPO2_AS_FRACTION, 2)
    else:
        right = results[5]
        value = round(_number(right) * 1.8 + 32, 1) if right.unit == "Cel" else round((_number(right) - 32) / 1.8, 1)
    wrong = Charted(right.coding, value, right.unit)
    return Chart(tuple(wrong if charted is right else charted for charted in results), total, red, wrong, right)


def _number(charted: Charted) -> float:
    return charted.value if isinstance(charted.value, float) else 0.0


def chart_bloods(values: dict[str, float]) -> tuple[Charted, ...]:
    """Write blood tests as the laboratory does.

    >>> chart_bloods({"2524-7": 1.234})[0].value
    1.2
    """
    return tuple([_lab(code, round(value, LAB_DECIMALS.get(code, 0))) for code, value in values.items()])


@lru_cache(maxsize=LAB_VALUES_REMEMBERED_MAX)
def _lab(code: str, value: float) -> Charted:
    return Charted(("loinc", code), value, LAB_UNITS[code])


def slip_bloods(random: Random, bloods: tuple[Charted, ...]) -> tuple[Charted, ...]:
    """Now and then give the haemoglobin in g/dL under the label of g/L."""
    if random.random() >= BLOODS_SLIP_SHARE:
        return bloods
    return tuple(
        Charted(one.coding, round(_number(one) / 10, 1), one.unit) if one.coding == HAEMOGLOBIN else one
        for one in bloods
    )
