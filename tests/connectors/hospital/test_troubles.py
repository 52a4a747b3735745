"""What each trouble does to a body, and what its treatment undoes."""

from __future__ import annotations

from random import Random
from statistics import fmean

import pytest

from connectors.hospital.course import Course
from connectors.hospital.person import ORDINARY, Person
from connectors.hospital.physiology import CONFUSED, PAIN, VOICE, Body, Vitals
from connectors.hospital.troubles import (
    ARRHYTHMIA,
    BLEEDING,
    HAEMOGLOBIN,
    LACTATE,
    OPIOID,
    RESPIRATORY,
    SEPSIS,
    TROUBLES,
    UREA,
    WHITE_CELLS,
    Trouble,
)
from events import MILLIS_PER_HOUR, Millis

PERSON = Person(60, "female", ORDINARY, 76.0, 16.0, 97.0, 128.0, 36.7)
NOON = 20_000 * 24 * MILLIS_PER_HOUR + 12 * MILLIS_PER_HOUR
RAMP_H = 10.0
DRAWS = 60


def body_of(course: Course | None) -> Body:
    return Body(Random(1), PERSON, () if course is None else (course,))  # noqa: S311 - a simulation


def ill(trouble: Trouble, treated_h: float | None = None) -> Course:
    treated = None if treated_h is None else NOON + int(treated_h * MILLIS_PER_HOUR)
    return Course(trouble, trouble.treatments[0], NOON, RAMP_H, treated)


def at(course: Course | None, hours: float) -> list[Vitals]:
    """Draw the same body's vital signs so many hours after noon, often, the hour of the day kept out of it."""
    body = body_of(course)
    return [body.vitals(NOON + int(hours * MILLIS_PER_HOUR)) for _ in range(DRAWS)]


def mean(course: Course | None, hours: float, name: str) -> float:
    return fmean(getattr(vitals, name) for vitals in at(course, hours))


def change(course: Course, hours: float, name: str) -> float:
    """Give how far a vital sign has moved from what it would be without the trouble."""
    return mean(course, hours, name) - mean(None, hours, name)


def bloods(course: Course | None, when: Millis, code: str) -> float:
    body = body_of(course)
    if code == LACTATE:
        return fmean(body.lactate(when) for _ in range(DRAWS))
    return fmean(body.bloods(when)[code] for _ in range(DRAWS))


def blood_change(course: Course, hours: float, code: str) -> float:
    when = NOON + int(hours * MILLIS_PER_HOUR)
    return bloods(course, when, code) - bloods(None, when, code)


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda one: one.name)
def test_nothing_shows_before_onset(trouble: Trouble) -> None:
    """A body whose trouble is yet to come has the very vital signs of one without it."""
    assert at(ill(trouble), -1.0) == at(None, -1.0)


def test_sepsis_heats_quickens_and_at_last_lowers_the_pressure() -> None:
    """Fever, fast heart and breath, lactate and white cells rise; the pressure falls late and then far."""
    course = ill(SEPSIS)
    assert change(course, RAMP_H, "temperature") > 1.2
    assert change(course, RAMP_H, "heart_rate") > 30
    assert change(course, RAMP_H, "respiration_rate") > 8
    assert -15 < change(course, RAMP_H / 2, "systolic_bp") < 0
    assert change(course, RAMP_H, "systolic_bp") < -35
    assert blood_change(course, RAMP_H + 2, LACTATE) > 3
    assert blood_change(course, RAMP_H + 2, WHITE_CELLS) > 5


def test_bleeding_quickens_the_heart_before_the_pressure_falls_and_thins_the_blood() -> None:
    """Half way the heart has made most of its way and the pressure little; haemoglobin falls, lactate and urea rise."""
    course = ill(BLEEDING)
    assert change(course, RAMP_H / 2, "heart_rate") > 0.4 * change(course, RAMP_H, "heart_rate") > 15
    assert change(course, RAMP_H / 2, "systolic_bp") > 0.4 * change(course, RAMP_H, "systolic_bp")
    assert change(course, RAMP_H, "systolic_bp") < -45
    assert abs(change(course, RAMP_H, "spo2")) < 3
    assert blood_change(course, RAMP_H + 2, HAEMOGLOBIN) < -40
    assert blood_change(course, RAMP_H + 2, LACTATE) > 3
    assert blood_change(course, RAMP_H + 2, UREA) > 7


def test_respiratory_failure_takes_the_saturation_and_brings_oxygen() -> None:
    """Breath quickens, and oxygen is begun and charted; what it makes good keeps the fall less than the lungs' own."""
    course = ill(RESPIRATORY)
    assert change(course, RAMP_H, "respiration_rate") > 12
    assert mean(None, RAMP_H, "oxygen_flow") == 0
    assert mean(course, RAMP_H, "oxygen_flow") > 4
    assert RESPIRATORY.early.spo2 + RESPIRATORY.late.spo2 < change(course, RAMP_H, "spo2") < -2


def test_arrhythmia_comes_at_once_and_lowers_the_pressure_later() -> None:
    """Within half an hour the heart races while the pressure holds; hours later the pressure has fallen."""
    course = ill(ARRHYTHMIA)
    assert change(course, 0.5, "heart_rate") > 50
    assert change(course, 0.5, "systolic_bp") > -12
    assert change(course, RAMP_H, "systolic_bp") < -35


def test_opioids_slow_the_breath_and_cloud_the_mind() -> None:
    """Breath falls below 9, saturation falls, and the patient answers to voice or pain only, not confused."""
    course = ill(OPIOID)
    assert mean(course, RAMP_H, "respiration_rate") < 9
    assert mean(course, RAMP_H, "spo2") < 94
    assert {vitals.consciousness for vitals in at(course, RAMP_H * 0.55)} == {VOICE}
    assert {vitals.consciousness for vitals in at(course, RAMP_H)} == {PAIN}
    assert CONFUSED not in {vitals.consciousness for hours in range(11) for vitals in at(course, hours)}


def test_naloxone_reverses_within_the_half_hour() -> None:
    """Half an hour after naloxone breath and mind are as they were."""
    course = ill(OPIOID, treated_h=9.0)
    assert mean(course, 9.0, "respiration_rate") < 9
    assert abs(change(course, 9.5, "respiration_rate")) < 1.5
    assert {vitals.consciousness for vitals in at(course, 9.5)} == {0}


@pytest.mark.parametrize(
    ("trouble", "name"),
    [(SEPSIS, "systolic_bp"), (BLEEDING, "systolic_bp"), (RESPIRATORY, "respiration_rate"), (ARRHYTHMIA, "heart_rate")],
    ids=lambda one: getattr(one, "name", one),
)
def test_a_treatment_undoes_half_in_its_own_time(trouble: Trouble, name: str) -> None:
    """One half-life after treatment about half of the change is left, after eight next to nothing."""
    treatment = trouble.treatments[0]
    late = name == "systolic_bp"
    half_h = treatment.circulation_half_life_h if late else treatment.cause_half_life_h
    course = ill(trouble, treated_h=9.0)
    worst = change(course, 9.0, name)
    assert abs(change(course, 9.0 + 8 * max(half_h, treatment.cause_half_life_h), name)) < 0.1 * abs(worst)
    assert 0.35 * abs(worst) < abs(change(course, 9.0 + half_h, name)) < 0.75 * abs(worst)


def test_fluids_lift_the_pressure_before_antibiotics_cool_the_fever() -> None:
    """Six hours after treatment of sepsis the pressure is nearly back while most of the fever is there."""
    course = ill(SEPSIS, treated_h=9.0)
    pressure = change(course, 15.0, "systolic_bp") / change(course, 9.0, "systolic_bp")
    fever = change(course, 15.0, "temperature") / change(course, 9.0, "temperature")
    assert pressure < 0.5 < fever


def test_shares_of_treatments_and_troubles_are_whole() -> None:
    """The treatments of a trouble share out all who are treated, and the troubles leave most stays without one."""
    assert all(abs(sum(one.share for one in trouble.treatments) - 1) < 1e-9 for trouble in TROUBLES)
    assert 0.05 < sum(trouble.share for trouble in TROUBLES) < 0.2
