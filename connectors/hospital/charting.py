"""How a ward writes down what it measures: when, how late, what it leaves out and what it gets wrong.

Owns rounds, delays, artefacts and the codes and units of the charts. Must not know why a patient is ill.
"""

from __future__ import annotations

import math
from random import Random

from connectors.hospital.physiology import Vitals
from connectors.hospital.story import Charted
from connectors.hospital.wards import CRITICAL_CARE_WARD, FAHRENHEIT_WARD
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, MILLIS_PER_SECOND, Coding, Millis

DELAY_MEDIAN_MIN = 42.0
DELAY_UPPER_QUARTILE_MIN = 104.0
"""Metitiri et al. 2023."""
_DELAY_SIGMA = math.log(DELAY_UPPER_QUARTILE_MIN / DELAY_MEDIAN_MIN) / 0.674489750196082
"""Of the lognormal law with these two quartiles; 0.674 is the normal law's own."""
DELAY_MAX_MIN = 12 * 60.0
"""Nothing is charted later than its shift."""
BATCH_SHARE = 0.04
"""Rounds that wait for the end of the shift, to be charted together."""
SHIFT_ENDS_H = (7, 19)
MONITOR_DELAY_MS = 1 * MILLIS_PER_MINUTE
"""In critical care the monitor files by itself."""

TEMPERATURE_LEFT_OUT_SHARE = 0.08
CONSCIOUSNESS_LEFT_OUT_SHARE = 0.10
ARTEFACT_SHARE = 0.002
"""Of values that cannot be: a lost decimal point, a slipped probe."""

ALERT: Coding = ("loinc", "LA9340-6")
CONFUSED: Coding = ("loinc", "LA6560-2")

LAB_UNITS = {
    "6690-2": "10*9/L",
    "777-3": "10*9/L",
    "718-7": "g/L",
    "14682-9": "umol/L",
    "22664-7": "mmol/L",
    "2951-2": "mmol/L",
    "2823-3": "mmol/L",
    "1988-5": "mg/L",
    "2524-7": "mmol/L",
}
LAB_DECIMALS = {"6690-2": 1, "22664-7": 1, "2823-3": 1, "2524-7": 1}

ARTEFACTS = {"8867-4": 723.0, "9279-1": 180.0, "59408-5": 960.0, "8480-6": 1200.0, "8462-4": 800.0, "8310-5": 368.0}
"""By LOINC code, impossible in whatever unit is charted."""


def next_round(random: Random, ward: str, severity: float) -> Millis:
    """Draw how long until the next round, in milliseconds: every 1 to 6 h, the oftener the sicker."""
    if ward == CRITICAL_CARE_WARD:
        hours = 1.0
    elif severity < 0.12:
        hours = random.uniform(3.5, 6.0)
    elif severity < 0.4:
        hours = random.uniform(2.0, 4.0)
    else:
        hours = random.uniform(1.0, 1.6)
    return int(hours * 3600) * MILLIS_PER_SECOND


def draw_delay(random: Random, ward: str, at: Millis) -> Millis:
    """Draw how long after a round at `at` its values are charted, in whole seconds of milliseconds."""
    if ward == CRITICAL_CARE_WARD:
        return MONITOR_DELAY_MS
    if random.random() < BATCH_SHARE:
        hour = at / MILLIS_PER_HOUR % 24
        waits = min((end - hour) % 24 for end in SHIFT_ENDS_H)
        return int(waits * 3600 + random.uniform(60, 900)) * MILLIS_PER_SECOND
    minutes = min(DELAY_MAX_MIN, random.lognormvariate(math.log(DELAY_MEDIAN_MIN), _DELAY_SIGMA))
    return int(minutes * 60) * MILLIS_PER_SECOND


def chart_vitals(random: Random, ward: str, vitals: Vitals) -> tuple[Charted, ...]:
    """Write a set of vital signs as the ward does: rounded, in its units, now and then incomplete or wrong."""
    chart = [
        Charted(("loinc", "8867-4"), float(round(vitals.heart_rate)), "/min"),
        Charted(("loinc", "9279-1"), float(round(vitals.respiration_rate)), "/min"),
        Charted(("loinc", "59408-5"), float(round(vitals.spo2)), "%"),
        Charted(("loinc", "8480-6"), float(round(vitals.systolic_bp)), "mm[Hg]"),
        Charted(("loinc", "8462-4"), float(round(vitals.diastolic_bp)), "mm[Hg]"),
    ]
    if random.random() >= TEMPERATURE_LEFT_OUT_SHARE:
        if ward == FAHRENHEIT_WARD:
            chart.append(Charted(("loinc", "8310-5"), round(vitals.temperature * 1.8 + 32, 1), "[degF]"))
        else:
            chart.append(Charted(("loinc", "8310-5"), round(vitals.temperature, 1), "Cel"))
    if vitals.oxygen_flow > 0:
        chart.append(Charted(("loinc", "3151-8"), vitals.oxygen_flow, "L/min"))
    else:
        chart.append(Charted(("loinc", "3150-6"), 21.0, "%"))
    if random.random() >= CONSCIOUSNESS_LEFT_OUT_SHARE:
        chart.append(Charted(("loinc", "67775-7"), CONFUSED if vitals.confused else ALERT))
    if random.random() < ARTEFACT_SHARE * len(chart):
        place = random.randrange(len(chart))
        wrong = ARTEFACTS.get(chart[place].coding[1])
        if wrong is not None:
            chart[place] = Charted(chart[place].coding, wrong, chart[place].unit)
    return tuple(chart)


def chart_bloods(values: dict[str, float]) -> tuple[Charted, ...]:
    """Write blood tests as the laboratory does.

    >>> chart_bloods({"2524-7": 1.234})[0].value
    1.2
    """
    return tuple(
        Charted(("loinc", code), round(value, LAB_DECIMALS.get(code, 0)), LAB_UNITS[code])
        for code, value in values.items()
    )
