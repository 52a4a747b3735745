"""How a stay will go, drawn before it begins: with what a patient comes, what goes wrong, how it ends.

Owns shares and times of endings. Must not know numbers of the body, charts or messages.
"""

from __future__ import annotations

from random import Random

import msgspec

from connectors.hospital.course import Course
from connectors.hospital.person import Person, draw_person
from connectors.hospital.troubles import BROUGHT_IN, TROUBLES, Ending, Treatment, Trouble
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, MILLIS_PER_SECOND, Millis

EMERGENCY_SHARE = 0.79
"""Of admissions (138,133 of them: Griffiths et al., Health Serv Deliv Res 2018)."""
ILL_SHARE = 0.66
"""Of emergency patients, so many come with an illness that shows in the vital signs."""
ILL_PEAK_MAX, ILL_SKEW = 0.66, 2.1
"""How ill: the largest severity, and the power that makes the mild common."""
OXYGEN_KEPT_SHARE, OXYGEN_KEPT_H = 0.19, (6.0, 40.0)
WARD_CARE = Treatment("ward care", 1.0, cause_half_life_h=34.0, circulation_half_life_h=14.0)

TROUBLE_FACTOR_ELDERLY, TROUBLE_FACTOR_YOUNGER = 1.12, 0.86
STAY_MEDIAN_H, STAY_SIGMA, STAY_HOURS_MIN, STAY_HOURS_MAX = 64.0, 0.78, 8.0, 30 * 24.0


class Fate(msgspec.Struct, frozen=True):
    """Shares of how a trouble ends: treated in time on the ward; else death, an arrest call, or critical care."""

    recovers: float
    dies: float
    arrests: float
    dies_in_critical_care: float


ELDERLY = Fate(recovers=0.53, dies=0.30, arrests=0.042, dies_in_critical_care=0.33)
YOUNGER = Fate(recovers=0.56, dies=0.060, arrests=0.023, dies_in_critical_care=0.09)

ARREST_SUDDEN_SHARE = 0.2
"""Of arrests that come without warning."""
ARREST_SUDDEN_AFTER, ARREST_AFTER = (0.02, 0.1), (0.36, 0.72)
"""Of the trouble's ramp, when the arrest comes."""
ARREST_RAMP_FACTOR = 3.0
"""The others have been unwell for long: a median NEWS of 3 a day before (Spångfors et al., Clin Med 2020)."""
ARREST_SURVIVED_SHARE = 0.184
"""To discharge (Nolan et al., Resuscitation 2014)."""
ARREST_DIES_AT_ONCE_SHARE = 0.55
"""Of those who do not survive: the others reach critical care."""


class Plan(msgspec.Struct, frozen=True):
    """How a stay goes. `ward_end_time` is when the ward bed is free again; `arrest_time` when an arrest is called."""

    person: Person
    courses: tuple[Course, ...]
    ending: Ending
    start_time: Millis
    ward_end_time: Millis
    end_time: Millis
    dies: bool
    arrest_time: Millis | None = None
    oxygen_until_time: Millis = 0
    """Some are left on the oxygen they were brought in with."""

    @property
    def critical_care_time(self) -> Millis | None:
        """When the patient is moved to critical care, if ever."""
        return self.ward_end_time if self.end_time > self.ward_end_time else None


def draw_plan(random: Random, number: int, start_time: Millis) -> Plan:
    """Draw how stay `number`, beginning at `start_time`, goes.

    >>> from random import Random
    >>> draw_plan(Random(1), 1, 0) == draw_plan(Random(1), 1, 0)
    True
    """
    person = draw_person(random, number)
    stay_h = STAY_MEDIAN_H * random.lognormvariate(0.0, STAY_SIGMA)
    stay_h = min(STAY_HOURS_MAX, max(STAY_HOURS_MIN, stay_h))
    end_time = _whole_seconds(start_time + stay_h * MILLIS_PER_HOUR)
    courses = () if person.child else _come_ill(random, start_time)
    oxygen_until_time = 0
    if courses and random.random() < OXYGEN_KEPT_SHARE:
        oxygen_until_time = _whole_seconds(start_time + random.uniform(*OXYGEN_KEPT_H) * MILLIS_PER_HOUR)
    trouble = None if person.child else _draw_trouble(random, person)
    plan = Plan(
        person, courses, "home", start_time, end_time, end_time, dies=False, oxygen_until_time=oxygen_until_time
    )
    if trouble is None:
        return plan
    onset_time = _whole_seconds(start_time + random.uniform(2.0, max(3.0, stay_h * 0.6)) * MILLIS_PER_HOUR)
    ramp_h = random.uniform(*trouble.ramp_h)
    course = Course(trouble, _draw_treatment(random, trouble), onset_time, ramp_h)
    fate = ELDERLY if person.elderly else YOUNGER
    if random.random() < fate.recovers:
        treated_time = _after(random, course, 0.3, 0.65)
        course = msgspec.structs.replace(course, treated_time=treated_time)
        end_time = max(end_time, treated_time + 24 * MILLIS_PER_HOUR)
        return _replace(plan, course, "home", end_time, end_time, dies=False)
    return _end_badly(random, plan, course, fate)


def _end_badly(random: Random, plan: Plan, course: Course, fate: Fate) -> Plan:
    draw = random.random()
    if draw < fate.arrests:
        sudden = random.random() < ARREST_SUDDEN_SHARE
        course = msgspec.structs.replace(course, ramp_h=course.ramp_h * (1.0 if sudden else ARREST_RAMP_FACTOR))
        arrest_time = _after(random, course, *(ARREST_SUDDEN_AFTER if sudden else ARREST_AFTER))
        survives = random.random() < ARREST_SURVIVED_SHARE
        decided = arrest_time + random.randrange(20, 50) * MILLIS_PER_MINUTE
        if not survives and random.random() < ARREST_DIES_AT_ONCE_SHARE:
            return _replace(plan, course, "cardiac_arrest", decided, decided, dies=True, arrest_time=arrest_time)
        return _to_critical_care(
            random, plan, course, "cardiac_arrest", decided, dies=not survives, arrest_time=arrest_time
        )
    if draw < fate.arrests + fate.dies:
        crisis_time = _after(random, course, 0.75, 1.1)
        return _replace(plan, course, "death", crisis_time, crisis_time, dies=True)
    dies = random.random() < fate.dies_in_critical_care
    return _to_critical_care(random, plan, course, "critical_care", _after(random, course, 0.45, 0.9), dies=dies)


def _to_critical_care(
    random: Random, plan: Plan, course: Course, ending: Ending, moved_time: Millis, *, dies: bool,
    arrest_time: Millis | None = None,
) -> Plan:  # fmt: skip
    treated_time = None if dies else moved_time + random.randrange(20, 120) * MILLIS_PER_MINUTE
    course = msgspec.structs.replace(course, treated_time=treated_time)
    end_time = _whole_seconds(moved_time + random.uniform(20.0, 70.0) * MILLIS_PER_HOUR)
    return _replace(plan, course, ending, moved_time, end_time, dies=dies, arrest_time=arrest_time)


def _replace(
    plan: Plan, course: Course, ending: Ending, ward_end_time: Millis, end_time: Millis, *, dies: bool,
    arrest_time: Millis | None = None,
) -> Plan:  # fmt: skip
    return msgspec.structs.replace(
        plan, courses=(*plan.courses, course), ending=ending, ward_end_time=ward_end_time, end_time=end_time, dies=dies,
        arrest_time=arrest_time,
    )  # fmt: skip


def _come_ill(random: Random, start_time: Millis) -> tuple[Course, ...]:
    if random.random() >= EMERGENCY_SHARE * ILL_SHARE:
        return ()
    draw = random.random()
    trouble = BROUGHT_IN[-1][0]
    for one, share in BROUGHT_IN:
        if draw < share:
            trouble = one
            break
        draw -= share
    peak = ILL_PEAK_MAX * random.random() ** ILL_SKEW
    ramp_h = trouble.ramp_h[0]
    onset_time = start_time - _whole_seconds(ramp_h * MILLIS_PER_HOUR)
    return (Course(trouble, WARD_CARE, onset_time, ramp_h, start_time, peak),)


def _draw_trouble(random: Random, person: Person) -> Trouble | None:
    draw = random.random() / (TROUBLE_FACTOR_ELDERLY if person.elderly else TROUBLE_FACTOR_YOUNGER)
    for trouble in TROUBLES:
        if draw < trouble.share:
            return trouble
        draw -= trouble.share
    return None


def _draw_treatment(random: Random, trouble: Trouble) -> Treatment:
    draw = random.random()
    for treatment in trouble.treatments:
        if draw < treatment.share:
            return treatment
        draw -= treatment.share
    return trouble.treatments[-1]


def _after(random: Random, course: Course, least: float, most: float) -> Millis:
    """Draw a time so many shares of its ramp after a trouble began."""
    return _whole_seconds(course.onset_time + course.ramp_h * random.uniform(least, most) * MILLIS_PER_HOUR)


def _whole_seconds(instant: float) -> Millis:
    """HL7 feeds send whole seconds; nothing is lost then in any rendering."""
    return int(instant) // MILLIS_PER_SECOND * MILLIS_PER_SECOND
