"""A simulated patient's body: resting values, the day's rhythm, noise, and two ways of getting worse.

Owns the numbers. Must not know charting or messages. The sizes are plausible, not fitted: resting values after usual
adult reference ranges, deterioration after the course that the RCP's NEWS2 report describes. No figure from this
hospital says anything about real patients.
"""

from __future__ import annotations

import math
from random import Random
from typing import Literal

import msgspec

from events import MILLIS_PER_HOUR, Millis

Trouble = Literal["none", "sepsis", "respiratory"]

TREATED_HALF_LIFE_H = 9.0
"""A treated deterioration is half gone after this long."""
OXYGEN_GIVEN_BELOW = 92.0
OXYGEN_GAIN = 0.55
"""The share of a fall in saturation that oxygen makes good."""
OXYGEN_FLOW_MAX = 15.0


class Course(msgspec.Struct, frozen=True):
    """How a stay goes: what goes wrong, from when, how fast, and when it is treated (None: never, or not in time).

    >>> Course("sepsis", 0, 10.0, None).severity(20 * MILLIS_PER_HOUR)
    1.0
    """

    trouble: Trouble
    onset_time: Millis = 0
    ramp_h: float = 12.0
    treated_time: Millis | None = None

    def severity(self, at: Millis) -> float:
        """Give the severity at a time: 0 well, 1 as bad as it gets."""
        if self.trouble == "none" or at <= self.onset_time:
            return 0.0
        if self.treated_time is None or at <= self.treated_time:
            return self._rise(at)
        hours = (at - self.treated_time) / MILLIS_PER_HOUR
        return self._rise(self.treated_time) * math.exp2(-hours / TREATED_HALF_LIFE_H)

    def _rise(self, at: Millis) -> float:
        share = min(1.0, max(0.0, (at - self.onset_time) / (self.ramp_h * MILLIS_PER_HOUR)))
        return share * share * (3.0 - 2.0 * share)


class Vitals(msgspec.Struct, frozen=True):
    """One set: rates per minute, % saturation, mmHg, degrees Celsius, L/min of oxygen (0 is air), alert or confused."""

    heart_rate: float
    respiration_rate: float
    spo2: float
    systolic_bp: float
    diastolic_bp: float
    temperature: float
    oxygen_flow: float
    confused: bool


class Body:
    """One patient's resting values, and how they move. Draws from the `random` it is given, in order of calls."""

    def __init__(self, random: Random, age_years: int, course: Course) -> None:
        """Draw the resting values for an age; some are never normal (chronic lung disease, a fast arrhythmia)."""
        self.course = course
        self._random = random
        child = age_years < 16
        gauss = random.gauss
        self.heart_rate = gauss(95, 8) if child else gauss(76, 9)
        self.respiration_rate = gauss(20, 1.5) if child else gauss(15.5, 1.3)
        self.spo2 = gauss(97.3, 0.8) - max(0, age_years - 70) * 0.03
        self.systolic_bp = gauss(102, 7) if child else gauss(112 + 0.28 * age_years, 12)
        self.temperature = gauss(36.75, 0.2)
        self.cold = random.random() < 0.12
        """Some septic patients, most of them old, grow cold instead of hot."""
        chronic = random.random()
        if chronic < 0.05:
            self.spo2 -= 4.5
        elif chronic < 0.09:
            self.heart_rate += 24

    def vitals(self, at: Millis) -> Vitals:
        """Draw one set of vital signs as they truly are at a time."""
        gauss = self._random.gauss
        severity = self.course.severity(at)
        septic = severity if self.course.trouble == "sepsis" else 0.0
        breathless = severity if self.course.trouble == "respiratory" else 0.0
        rhythm = math.cos((at / MILLIS_PER_HOUR % 24 - 16) / 24 * math.tau)
        fever = -1.9 if self.cold else 2.1
        spo2 = self.spo2 - 4.5 * septic - 13 * breathless + gauss(0, 0.7)
        flow = 0.0
        if spo2 < OXYGEN_GIVEN_BELOW and severity > 0.15:
            flow = min(OXYGEN_FLOW_MAX, float(math.ceil((OXYGEN_GIVEN_BELOW - spo2) * 1.6)))
            spo2 += (OXYGEN_GIVEN_BELOW + 2 - spo2) * OXYGEN_GAIN
        systolic = max(52.0, self.systolic_bp + 4 * rhythm - 42 * septic - 6 * breathless + gauss(0, 6))
        return Vitals(
            heart_rate=max(32.0, self.heart_rate + 3 * rhythm + 46 * septic + 26 * breathless + gauss(0, 4)),
            respiration_rate=max(
                7.0, self.respiration_rate + rhythm / 2 + 11 * septic + 14 * breathless + gauss(0, 1.2)
            ),
            spo2=min(100.0, max(55.0, spo2)),
            systolic_bp=systolic,
            diastolic_bp=max(25.0, systolic * 0.58 + gauss(0, 4)),
            temperature=self.temperature + 0.2 * rhythm + fever * septic + 0.4 * breathless + gauss(0, 0.15),
            oxygen_flow=flow,
            confused=self._random.random() < max(0.0, severity - 0.55) * 1.3,
        )

    def lactate(self, at: Millis) -> float:
        """Draw a lactate in mmol/L."""
        severity = self.course.severity(at)
        gain = 4.5 if self.course.trouble == "sepsis" else 1.2
        return max(0.4, self._random.gauss(1.1 + gain * severity, 0.25))

    def bloods(self, at: Millis) -> dict[str, float]:
        """Draw a day's blood tests, in SI units, by LOINC code."""
        gauss = self._random.gauss
        septic = self.course.severity(at) if self.course.trouble == "sepsis" else 0.0
        return {
            "6690-2": max(1.0, gauss(8 + 9 * septic, 1.5)),
            "777-3": max(20.0, gauss(250 - 110 * septic, 35)),
            "718-7": max(60.0, gauss(128, 9)),
            "14682-9": max(35.0, gauss(82 + 90 * septic, 14)),
            "22664-7": max(1.5, gauss(6 + 7 * septic, 1.3)),
            "2951-2": gauss(139, 2.5),
            "2823-3": gauss(4.2, 0.3),
            "1988-5": max(1.0, gauss(25 + 190 * septic, 10)),
        }
