"""One simulated stay, from the door in to the door out, as the messages that tell of it.

Owns the tale of a stay: who comes, what goes wrong, how it ends, and what is sent of it when. Must not know others.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Literal

import msgspec

from connectors.decoded import Identifier
from connectors.hospital.charting import ARTEFACTS, chart_bloods, chart_vitals, draw_delay, next_round
from connectors.hospital.physiology import Body, Course, Trouble
from connectors.hospital.story import Charted, Story
from connectors.hospital.wards import identify
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, MILLIS_PER_SECOND, Location, Millis, to_iso

Ending = Literal["home", "critical_care", "death"]

TROUBLE_SHARES: tuple[tuple[Trouble, float], ...] = (("sepsis", 0.10), ("respiratory", 0.08))
RECOVERS_SHARE = 0.5
"""Of those in trouble, treated in time; of the others"""
DIES_SHARE = 0.25
"""so many die on the ward, and the rest go to critical care."""
DIES_IN_CRITICAL_CARE_SHARE = 0.15
STAY_MEDIAN_H, STAY_SIGMA, STAY_HOURS_MAX = 60.0, 0.55, 240.0
RESULT_CORRECTED_SHARE = 0.004
"""Of sets of vital signs, one value of which was miskeyed, and is put right (a quarter: taken back)."""
ARTEFACT_CORRECTED_SHARE = 0.5
MERGED_SHARE = 0.03
"""Stays that begin under a temporary number, merged (A40) once it is known who came."""
LAB_TURNAROUND_MS = 55 * MILLIS_PER_MINUTE
LACTATE_FROM_SEVERITY = 0.3
YEAR_MS = 31_556_952_000


class Plan(msgspec.Struct, frozen=True):
    """How a stay will go, drawn before it begins. `ward_end_time` is when the ward bed is free again."""

    course: Course
    ending: Ending
    start_time: Millis
    ward_end_time: Millis
    end_time: Millis
    dies: bool
    age_years: int


class Stay:
    """One stay: `plan` says how it goes, `tell` gives its messages."""

    def __init__(self, random: Random, number: int, start_time: Millis, bed: Location, critical_bed: Location) -> None:
        """Draw a stay that begins at `start_time`; `number` names it. Stay number 3 is a child."""
        self._random = random
        self._number = number
        self._bed = bed
        self._critical_bed = critical_bed
        self.plan = _draw_plan(random, start_time, child=number == 3)
        born = to_iso(start_time - self.plan.age_years * YEAR_MS - random.randrange(365) * 24 * MILLIS_PER_HOUR)
        self._birth_date = born[:10]
        self._sex = random.choice(("female", "male"))
        self._body = Body(random, self.plan.age_years, self.plan.course)
        self._merged_time: Millis | None = None
        if random.random() < MERGED_SHARE:
            self._merged_time = start_time + random.randrange(60, 360) * MILLIS_PER_MINUTE
        self._told = 0

    def tell(self) -> list[Story]:
        """Give the stay's messages in order of sent time; what is charted after the end is sent then, late."""
        stories = [*self._tell_moves(), *self._tell_rounds(), *self._tell_bloods()]
        stories.sort(key=lambda story: story.sent_time)
        return stories

    def _tell_moves(self) -> Iterator[Story]:
        plan = self.plan
        yield self._move("A01", plan.start_time, plan.start_time)
        if self._merged_time is not None and self._merged_time < plan.end_time:
            temporary = identify(self._number, "T")
            merge = self._move("A40", self._merged_time, self._merged_time)
            yield msgspec.structs.replace(merge, retired=temporary)
        if plan.ending == "critical_care":
            yield self._move("A02", plan.ward_end_time, self._soon(plan.ward_end_time))
            yield self._outcome("critical_care", plan.ward_end_time)
        if plan.dies:
            yield self._outcome("death", plan.end_time)
        goodbye = self._move("A03", plan.end_time, self._soon(plan.end_time))
        yield msgspec.structs.replace(
            goodbye, deceased=True if plan.dies else None, disposition="20" if plan.dies else "01"
        )

    def _tell_rounds(self) -> Iterator[Story]:
        random, plan = self._random, self.plan
        at = plan.start_time + random.randrange(5, 40) * MILLIS_PER_MINUTE
        while at < plan.end_time:
            place = self._place(at)
            charted = chart_vitals(random, place.ward, self._body.vitals(at))
            sent = at + draw_delay(random, place.ward, at)
            story = self._results(at, sent, charted)
            yield story
            yield from self._correct(story)
            at += next_round(random, place.ward, plan.course.severity(at))

    def _tell_bloods(self) -> Iterator[Story]:
        random, plan = self._random, self.plan
        at = plan.start_time + random.randrange(20, 90) * MILLIS_PER_MINUTE
        while at < plan.end_time:
            values = self._body.bloods(at)
            if plan.course.severity(at) > LACTATE_FROM_SEVERITY:
                values["2524-7"] = self._body.lactate(at)
            yield self._results(at, at + LAB_TURNAROUND_MS, chart_bloods(values))
            pause_h = 6 if plan.course.severity(at) > LACTATE_FROM_SEVERITY else 24
            at += pause_h * MILLIS_PER_HOUR + random.randrange(-20, 20) * MILLIS_PER_MINUTE

    def _correct(self, story: Story) -> Iterator[Story]:
        random = self._random
        wrong = next((r for r in story.results if ARTEFACTS.get(r.coding[1]) == r.value), None)
        if wrong is not None and random.random() < ARTEFACT_CORRECTED_SHARE:
            right = float(round(wrong.value / 10, 1)) if isinstance(wrong.value, float) else wrong.value
        elif wrong is None and random.random() < RESULT_CORRECTED_SHARE:
            wrong = story.results[0]
            right = wrong.value + random.choice((-10.0, 10.0)) if isinstance(wrong.value, float) else wrong.value
        else:
            return
        withdrawn = random.random() < 0.25
        corrected = msgspec.structs.replace(wrong, value=right, status="W" if withdrawn else "C")
        later = story.sent_time + random.randrange(5, 60) * MILLIS_PER_MINUTE
        yield msgspec.structs.replace(
            story, sent_time=later, patient=self._patient(later), location=self._place(later),
            control_id=self._next_id(), results=(corrected,),
        )  # fmt: skip

    def _results(self, at: Millis, sent_time: Millis, results: tuple[Charted, ...]) -> Story:
        control_id = self._next_id()
        return Story(
            "oru", sent_time, at, self._patient(sent_time), self._encounter, self._place(sent_time), control_id,
            order=f"O{control_id}", results=results, admitted_time=self.plan.start_time,
        )  # fmt: skip

    def _move(self, trigger: str, at: Millis, sent_time: Millis) -> Story:
        return Story(
            "adt", sent_time, at, self._patient(sent_time), self._encounter, self._place(at), self._next_id(),
            trigger=trigger, birth_date=self._birth_date, sex=self._sex, admitted_time=self.plan.start_time,
        )  # fmt: skip

    def _outcome(self, kind: str, at: Millis) -> Story:
        return Story(
            "outcome", at, at, self._patient(at), self._encounter, self._place(at), self._next_id(), outcome=kind,
            admitted_time=self.plan.start_time,
        )  # fmt: skip

    @property
    def _encounter(self) -> str:
        return f"V{self._number:06d}"

    def _patient(self, at: Millis) -> Identifier:
        temporary = self._merged_time is not None and at < self._merged_time
        return identify(self._number, "T" if temporary else "S")

    def _place(self, at: Millis) -> Location:
        moved = self.plan.ending == "critical_care" and at >= self.plan.ward_end_time
        return self._critical_bed if moved else self._bed

    def _soon(self, at: Millis) -> Millis:
        return at + self._random.randrange(30, 300) * MILLIS_PER_SECOND

    def _next_id(self) -> str:
        self._told += 1
        return f"{self._number:06d}-{self._told:05d}"


def _draw_plan(random: Random, start_time: Millis, *, child: bool) -> Plan:
    """Draw how a stay goes: what goes wrong if anything, and how it ends."""
    age_years = random.randint(6, 12) if child else min(101, max(18, round(random.gauss(66, 17))))
    stay_h = min(STAY_HOURS_MAX, max(8.0, STAY_MEDIAN_H * random.lognormvariate(0.0, STAY_SIGMA)))
    end_time = _whole_seconds(start_time + stay_h * MILLIS_PER_HOUR)
    draw = random.random()
    trouble: Trouble = "none"
    for kind, share in TROUBLE_SHARES:
        if trouble == "none" and draw < share and not child:
            trouble = kind
        draw -= share
    if trouble == "none":
        return Plan(Course("none"), "home", start_time, end_time, end_time, dies=False, age_years=age_years)
    onset_time = _whole_seconds(start_time + random.uniform(2.0, stay_h * 0.6) * MILLIS_PER_HOUR)
    ramp_h = random.uniform(8.0, 22.0)
    if random.random() < RECOVERS_SHARE:
        treated_time = _whole_seconds(onset_time + ramp_h * random.uniform(0.35, 0.75) * MILLIS_PER_HOUR)
        course = Course(trouble, onset_time, ramp_h, treated_time)
        end_time = max(end_time, treated_time + 36 * MILLIS_PER_HOUR)
        return Plan(course, "home", start_time, end_time, end_time, dies=False, age_years=age_years)
    crisis_time = _whole_seconds(onset_time + ramp_h * random.uniform(0.75, 1.05) * MILLIS_PER_HOUR)
    if random.random() < DIES_SHARE:
        course = Course(trouble, onset_time, ramp_h)
        return Plan(course, "death", start_time, crisis_time, crisis_time, dies=True, age_years=age_years)
    dies = random.random() < DIES_IN_CRITICAL_CARE_SHARE
    course = Course(trouble, onset_time, ramp_h, None if dies else crisis_time + 2 * MILLIS_PER_HOUR)
    end_time = _whole_seconds(crisis_time + random.uniform(20.0, 70.0) * MILLIS_PER_HOUR)
    return Plan(course, "critical_care", start_time, crisis_time, end_time, dies=dies, age_years=age_years)


def _whole_seconds(instant: float) -> Millis:
    """HL7 feeds send whole seconds; nothing is lost then in any rendering."""
    return int(instant) // MILLIS_PER_SECOND * MILLIS_PER_SECOND
