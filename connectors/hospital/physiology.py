"""A simulated patient's body: values at rest, the day's rhythm, noise, what its troubles do to it, the oxygen given.

Owns the true numbers. Must not know charting or messages. No figure from this hospital says anything about real
patients.
"""

from __future__ import annotations

import math
from random import Random

import msgspec

from connectors.hospital.course import FORGOTTEN_BELOW, Course
from connectors.hospital.noise import BITS, MASK, NORMAL
from connectors.hospital.person import Person
from connectors.hospital.troubles import (
    CREATININE,
    CRP,
    HAEMOGLOBIN,
    LACTATE,
    PLATELETS,
    POTASSIUM,
    SODIUM,
    UREA,
    WHITE_CELLS,
)
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, Millis

RHYTHM: tuple[float, ...] = tuple(math.cos((quarter / 4 - 16) / 24 * math.tau) for quarter in range(96))
"""The day's rhythm by quarter of an hour: most at four in the afternoon."""
QUARTER_MS = 15 * MILLIS_PER_MINUTE

TARGET_SPO2, TARGET_SPO2_HYPERCAPNIC = 95.0, 90.0
"""The middle of the ward's target: 94-98 %, or 88-92 % (RCP 2017)."""
OXYGEN_GIVEN_BELOW = 2.0
"""Oxygen is begun when the saturation on air is this much below the target."""
OXYGEN_GAIN = 0.72
"""The share of the gap to the target that oxygen makes good."""
FLOW_PER_PERCENT = 0.9
OXYGEN_FLOW_MAX = 15.0
PRECAUTIONARY_FLOW = 2.0
"""What some are left on that were brought in by ambulance."""

ALERT, CONFUSED, VOICE, PAIN = 0, 1, 2, 3
CONFUSED_SLOPE = 1.0
"""The share of sets that find new confusion grows so with severity, above what is the patient's own."""
VOICE_FROM, PAIN_FROM = 0.4, 0.85
COLD_SHARE = 0.12
"""Some septic patients, most of them old, grow cold instead of hot."""
COLD_FACTOR = -0.85

BLOODS_AT_REST: dict[str, tuple[float, float, float]] = {
    WHITE_CELLS: (8.4, 2.0, 1.0),
    PLATELETS: (248, 60, 20.0),
    HAEMOGLOBIN: (125, 15, 45.0),
    CREATININE: (84, 22, 35.0),
    UREA: (6.6, 2.1, 1.5),
    SODIUM: (138.5, 3.2, 110.0),
    POTASSIUM: (4.1, 0.4, 2.2),
    CRP: (28, 20, 1.0),
}
"""Mean, deviation (a patient's own, which the day's noise follows) and least value, by LOINC code, SI units."""
BLOODS_DAILY_NOISE = 0.18
"""Of the standard deviation between patients."""
BLOODS_LAG_MS = 1 * MILLIS_PER_HOUR
"""What is measured in blood follows what happened; haemoglobin not before it is diluted."""
LACTATE_AT_REST, LACTATE_NOISE, LACTATE_MIN = 1.15, 0.25, 0.4


class Vitals(msgspec.Struct, frozen=True, gc=False):
    """One set: rates per minute, % saturation, mmHg, degrees Celsius, L/min of oxygen (0 is air), consciousness 0-3."""

    heart_rate: float
    respiration_rate: float
    spo2: float
    systolic_bp: float
    diastolic_bp: float
    temperature: float
    oxygen_flow: float
    consciousness: int


class Body:
    """One patient's body. Draws from the `random` it is given, in order of calls."""

    def __init__(
        self, random: Random, person: Person, courses: tuple[Course, ...], oxygen_until_time: Millis = 0
    ) -> None:
        """Draw what is this patient's own: blood values at rest, and whether fever or cold is the answer to sepsis."""
        self._oxygen_until_time = oxygen_until_time
        self.person = person
        self.courses = courses
        self._random = random
        self._heat = COLD_FACTOR if random.random() < COLD_SHARE else 1.0
        self._target = TARGET_SPO2_HYPERCAPNIC if person.kind.hypercapnic else TARGET_SPO2
        self._bloods = {
            code: mean + deviation * NORMAL[random.getrandbits(BITS)]
            for code, (mean, deviation, _) in BLOODS_AT_REST.items()
        }

    def severity(self, at: Millis) -> float:
        """Give how bad the worst trouble is at a time, from 0 to 1."""
        return max((course.severity(at) for course in self.courses), default=0.0)

    def vitals(self, at: Millis) -> Vitals:
        """Draw one set of vital signs as they truly are at a time."""
        random, person = self._random, self.person
        bits = random.getrandbits(6 * BITS)
        rhythm = RHYTHM[at // QUARTER_MS % 96]
        heart = person.heart_rate + 3 * rhythm + 6.0 * NORMAL[bits & MASK]
        breath = person.respiration_rate + rhythm / 2 + 1.5 * NORMAL[bits >> BITS & MASK]
        spo2 = person.spo2 + 0.7 * NORMAL[bits >> 2 * BITS & MASK]
        systolic = person.systolic_bp + 4 * rhythm + 10 * NORMAL[bits >> 3 * BITS & MASK]
        heat = person.temperature + 0.18 * rhythm + 0.2 * NORMAL[bits >> 4 * BITS & MASK]
        consciousness = ALERT
        for course in self.courses:
            early, late = course.strength(at)
            if early < FORGOTTEN_BELOW and late < FORGOTTEN_BELOW:
                continue
            trouble = course.trouble
            first, then, early_h = trouble.early, trouble.late, trouble.early_h
            pulse = first.heart_rate * early + then.heart_rate * late
            heart += pulse * person.heart_answer if pulse > 0 and early_h is None else pulse
            breath += first.respiration_rate * early + then.respiration_rate * late
            spo2 += first.spo2 * early + then.spo2 * late
            systolic += first.systolic_bp * early + then.systolic_bp * late
            warmth = first.temperature * early + then.temperature * late
            heat += warmth * self._heat if warmth > 0 else warmth
            if early > (VOICE_FROM if trouble.drowsy else person.confused_from):
                consciousness = max(consciousness, self._clouding(early, drowsy=trouble.drowsy))
        flow = PRECAUTIONARY_FLOW if at < self._oxygen_until_time else person.kind.usual_flow
        gap = self._target - spo2
        if flow or gap > OXYGEN_GIVEN_BELOW:
            flow = min(OXYGEN_FLOW_MAX, max(flow, 1.0, float(math.ceil(gap * FLOW_PER_PERCENT))))
            spo2 += max(0.0, gap) * OXYGEN_GAIN
        systolic = max(48.0, systolic)
        return Vitals(
            max(28.0, heart),
            max(4.0, breath),
            min(100.0, max(50.0, spo2)),
            systolic,
            max(22.0, systolic * 0.58 + 8.0 * NORMAL[bits >> 5 * BITS]),
            heat,
            flow,
            consciousness,
        )

    def _clouding(self, early: float, *, drowsy: bool) -> int:
        if drowsy:
            return PAIN if early > PAIN_FROM else VOICE
        return CONFUSED if self._random.random() < (early - self.person.confused_from) * CONFUSED_SLOPE else ALERT

    def lactate(self, at: Millis) -> float:
        """Draw a lactate in mmol/L."""
        noise = LACTATE_NOISE * NORMAL[self._random.getrandbits(BITS)]
        return max(LACTATE_MIN, LACTATE_AT_REST + self._shifts(at).get(LACTATE, 0.0) + noise)

    def bloods(self, at: Millis) -> dict[str, float]:
        """Draw a day's blood tests, in SI units, by LOINC code."""
        random = self._random
        values: dict[str, float] = {}
        for code, (_, deviation, _) in BLOODS_AT_REST.items():
            noise = BLOODS_DAILY_NOISE * deviation * NORMAL[random.getrandbits(BITS)]
            values[code] = self._bloods[code] + noise
        for code, shift in self._shifts(at).items():
            if code in values:
                values[code] += shift
        return {code: max(BLOODS_AT_REST[code][2], value) for code, value in values.items()}

    def _shifts(self, at: Millis) -> dict[str, float]:
        """Give how far the troubles move the blood tests; these follow the illness some time behind."""
        shifts: dict[str, float] = {}
        for course in self.courses:
            early, late = course.strength(at - BLOODS_LAG_MS)
            if early >= FORGOTTEN_BELOW or late >= FORGOTTEN_BELOW:
                for code, (first, then) in course.trouble.bloods.items():
                    shifts[code] = shifts.get(code, 0.0) + first * early + then * late
        return shifts
