"""One simulated stay, from the door in to the door out, as the messages that tell of it.

Owns what is sent of a stay, and when. Must not know other stays, nor why things go as they go.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from random import Random

import msgspec

from connectors.decoded import Identifier
from connectors.hospital.charting import Chart, chart_bloods, chart_vitals, slip_bloods
from connectors.hospital.physiology import Body
from connectors.hospital.plan import draw_plan
from connectors.hospital.rounds import draw_delay, next_round
from connectors.hospital.slips import Mistake, draw_slips
from connectors.hospital.story import Charted, Story
from connectors.hospital.troubles import LACTATE
from connectors.hospital.wards import identify, place_elsewhere
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, MILLIS_PER_SECOND, Location, Millis, to_iso

RESULT_CORRECTED_SHARE = 0.004
"""Of sets of vital signs, one value of which was miskeyed, and is put right."""
WITHDRAWN_SHARE = 0.25
"""Of corrections that take the value back (W) instead."""
ARTEFACT_CORRECTED_SHARE = 0.5
LAB_TURNAROUND_MS = 55 * MILLIS_PER_MINUTE
LACTATE_FROM_SEVERITY = 0.3
CHILD_ROUND_SCORE = 1
"""Children are not scored by NEWS2; they are looked at as often as a NEWS2 of 1 to 4."""
YEAR_MS = 31_556_952_000
DIED, WENT_HOME = "20", "01"
"""HL7 table 0112."""

_sent_time = attrgetter("sent_time")


class Stay:
    """One stay: `plan` says how it goes, `tell` gives its messages."""

    def __init__(
        self,
        random: Random,
        number: int,
        start_time: Millis,
        bed: Location,
        critical_bed: Location,
        mistake: Mistake | None = None,
    ) -> None:
        """Draw a stay that begins at `start_time`; `number` names it. Number 3 is a child, 5 an old man on oxygen."""
        self._mistake = mistake
        self._random = random
        self._number = number
        self.plan = plan = draw_plan(random, number, start_time)
        self._slips = draw_slips(random, plan)
        person = plan.person
        born = to_iso(start_time - person.age_years * YEAR_MS - random.randrange(365) * 24 * MILLIS_PER_HOUR)
        self._birth_date = born[:10]
        self._body = Body(random, person, plan.courses, plan.oxygen_until_time)
        self._encounter = f"V{number:06d}"
        self._known, self._temporary = identify(number), identify(number, "T")
        self._admitted_time = start_time + (self._slips.wrong_admission_ms or 0)
        self._places = [(0, bed)]
        if self._slips.move_time is not None:
            self._places.append((self._slips.move_time, place_elsewhere(number, bed)))
        if plan.critical_care_time is not None:
            self._places.append((plan.critical_care_time, critical_bed))
        self._prefix = f"{number:06d}-"
        self._told = 0

    def tell(self) -> list[Story]:
        """Give the stay's messages in order of sent time; what is charted after the end is sent then, late."""
        stories = [*self._tell_moves(), *self._tell_clerk(), *self._tell_rounds(), *self._tell_bloods()]
        stories.sort(key=_sent_time)
        return stories

    def _tell_moves(self) -> Iterator[Story]:
        plan, slips = self.plan, self._slips
        if slips.wrong_admission_ms is not None:
            wrong = self._move("A01", plan.start_time, plan.start_time)
            wrong = msgspec.structs.replace(wrong, encounter=f"{self._encounter}X", admitted_time=plan.start_time)
            yield wrong
            yield msgspec.structs.replace(
                wrong, trigger="A11", sent_time=self._admitted_time - MILLIS_PER_MINUTE, control_id=self._next_id()
            )
        yield self._move("A01", self._admitted_time, self._admitted_time)
        if slips.move_time is not None:
            yield self._move("A02", slips.move_time, self._soon(slips.move_time))
        if plan.arrest_time is not None:
            yield self._outcome("cardiac_arrest", plan.arrest_time)
        moved_time = plan.critical_care_time
        if moved_time is not None:
            yield self._move("A02", moved_time, self._soon(moved_time))
            yield self._outcome("critical_care", moved_time)
        if plan.dies:
            yield self._outcome("death", plan.end_time)
        goodbye = self._move("A03", plan.end_time, self._soon(plan.end_time))
        yield msgspec.structs.replace(
            goodbye, deceased=True if plan.dies else None, disposition=DIED if plan.dies else WENT_HOME
        )

    def _tell_clerk(self) -> Iterator[Story]:
        """Tell what is merged, put right and taken back."""
        slips, end_time = self._slips, self.plan.end_time
        for at in (slips.merge_time, *slips.merge_again_times):
            if at is not None and at < end_time:
                yield msgspec.structs.replace(self._move("A40", at, at), retired=self._temporary)
        if slips.merge_inverted_time is not None and slips.merge_inverted_time < end_time:
            inverted = self._move("A40", slips.merge_inverted_time, slips.merge_inverted_time)
            yield msgspec.structs.replace(inverted, patient=self._temporary, retired=self._known)
        mistake = self._mistake
        if mistake is not None and mistake.end_time < end_time:
            neighbour = identify(self._number - 1)
            yield msgspec.structs.replace(self._move("A40", mistake.time, mistake.time), retired=neighbour)
            yield msgspec.structs.replace(self._move("A37", mistake.end_time, mistake.end_time), other=neighbour)
        if slips.demographics_time is not None and slips.demographics_time < end_time:
            yield self._move("A08", slips.demographics_time, slips.demographics_time)
        if slips.false_move_time is not None:
            at, back_time = slips.false_move_time, slips.false_move_time + slips.false_move_ms
            moved = self._move("A02", at, self._soon(at))
            yield msgspec.structs.replace(moved, location=place_elsewhere(self._number, moved.location))
            yield self._move("A12", back_time, self._soon(back_time))
        if slips.false_discharge_time is not None:
            at, back_time = slips.false_discharge_time, slips.false_discharge_time + slips.false_discharge_ms
            yield msgspec.structs.replace(self._move("A03", at, self._soon(at)), disposition=WENT_HOME)
            yield self._move("A13", back_time, self._soon(back_time))

    def _tell_rounds(self) -> Iterator[Story]:
        random, plan, body = self._random, self.plan, self._body
        child, hypercapnic = plan.person.child, plan.person.kind.hypercapnic
        at = self._admitted_time + random.randrange(5, 40) * MILLIS_PER_MINUTE
        while at < plan.end_time:
            place = self._place(at)
            chart = chart_vitals(random, place.ward, body.vitals(at), hypercapnic=hypercapnic)
            story = self._results(at, at + draw_delay(random, place.ward, at), place, chart.results)
            yield story
            if chart.wrong is not None or random.random() < RESULT_CORRECTED_SHARE:
                yield from self._correct(story, chart)
            total, red = (CHILD_ROUND_SCORE, False) if child else (chart.total, chart.red)
            at += next_round(random, place.ward, total, red=red)

    def _tell_bloods(self) -> Iterator[Story]:
        random, end_time, body = self._random, self.plan.end_time, self._body
        at = self._admitted_time + random.randrange(20, 90) * MILLIS_PER_MINUTE
        while at < end_time:
            values = body.bloods(at)
            ill = body.severity(at) > LACTATE_FROM_SEVERITY
            if ill:
                values[LACTATE] = body.lactate(at)
            bloods = slip_bloods(random, chart_bloods(values))
            yield self._results(at, at + LAB_TURNAROUND_MS, self._place(at), bloods)
            at += (6 if ill else 24) * MILLIS_PER_HOUR + random.randrange(-20, 20) * MILLIS_PER_MINUTE

    def _correct(self, story: Story, chart: Chart) -> Iterator[Story]:
        random = self._random
        if chart.wrong is not None and chart.right is not None:
            if random.random() >= ARTEFACT_CORRECTED_SHARE:
                return
            corrected = chart.right
        else:
            first = story.results[0]
            assert isinstance(first.value, float)
            corrected = msgspec.structs.replace(first, value=first.value + random.choice((-10.0, 10.0)))
        status = "W" if random.random() < WITHDRAWN_SHARE else "C"
        later = story.sent_time + random.randrange(5, 60) * MILLIS_PER_MINUTE
        yield msgspec.structs.replace(
            story, sent_time=later, patient=self._patient(later), control_id=self._next_id(),
            results=(msgspec.structs.replace(corrected, status=status),),
        )  # fmt: skip

    def _results(self, at: Millis, sent_time: Millis, place: Location, results: tuple[Charted, ...]) -> Story:
        """Tell results with the place where they were taken: a late chart is the old ward's."""
        control_id = self._next_id()
        return Story(
            "oru", sent_time, at, self._patient(sent_time), self._encounter, place, control_id,
            order="O" + control_id, results=results, admitted_time=self._admitted_time,
        )  # fmt: skip

    def _move(self, trigger: str, at: Millis, sent_time: Millis) -> Story:
        right_time = self._slips.demographics_time
        birth_date = self._birth_date
        if right_time is not None and sent_time < right_time:
            birth_date = f"{int(birth_date[:4]) - 9}{birth_date[4:8]}01"
        return Story(
            "adt", sent_time, at, self._patient(sent_time), self._encounter, self._place(at), self._next_id(),
            trigger=trigger, birth_date=birth_date, sex=self.plan.person.sex, admitted_time=self._admitted_time,
        )  # fmt: skip

    def _outcome(self, kind: str, at: Millis) -> Story:
        return Story(
            "outcome", at, at, self._patient(at), self._encounter, self._place(at), self._next_id(), outcome=kind,
            admitted_time=self._admitted_time,
        )  # fmt: skip

    def _patient(self, at: Millis) -> Identifier:
        merged_time = self._slips.merge_time
        return self._known if merged_time is None or at >= merged_time else self._temporary

    def _place(self, at: Millis) -> Location:
        places = self._places
        if len(places) == 1:
            return places[0][1]
        return next(place for since, place in reversed(places) if at >= since)

    def _soon(self, at: Millis) -> Millis:
        return at + self._random.randrange(30, 300) * MILLIS_PER_SECOND

    def _next_id(self) -> str:
        self._told += 1
        return f"{self._prefix}{self._told:05d}"
