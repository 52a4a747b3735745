"""The simulated hospital as a whole: beds that fill and empty, and one stream of all that is sent.

Owns the order of the stream: by sent time. Must not know bodies or charts. Memory is bounded by the stays that go on at
one time, however many hours are simulated.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from random import Random

from connectors.hospital.slips import draw_mistake
from connectors.hospital.stay import Stay
from connectors.hospital.story import Story
from connectors.hospital.wards import place_bed, place_critical_care
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, Millis, from_iso

START_TIME: Millis = from_iso("2026-01-05T07:00:00Z")
"""A Monday morning; no better than another, and never the present."""
FILLING_MIN = 4 * 60
"""The beds fill over the first hours, not in one minute."""
TURNOVER_MIN = (40, 300)
"""A bed stands empty so long between two patients."""
RESENT_SHARE = 0.004
"""Messages that an interface engine sends twice, byte for byte."""


class Hospital:
    """A seeded hospital; iterating it anew tells the same again.

    >>> stories = list(Hospital(seed=1, beds=4, hours=6))
    >>> stories == list(Hospital(seed=1, beds=4, hours=6)), stories[0].trigger
    (True, 'A01')
    """

    def __init__(
        self,
        seed: int,
        beds: int = 24,
        hours: float = 48.0,
        start_time: Millis = START_TIME,
        mistaken_share: float = 0.0,
    ) -> None:
        """Build a hospital of `beds` ward beds, watched for `hours` from `start_time`.

        Of `mistaken_share` of the stays the clerk takes the patient for the one admitted before, merges the two (A40)
        and takes it back (A37). FHIR has no word for the latter: `as_fhir` leaves it out.
        """
        if beds < 1 or hours <= 0:
            raise ValueError("a hospital has a bed at least, and is watched for some time")
        self.seed = seed
        self.beds = beds
        self.start_time = start_time
        self.mistaken_share = mistaken_share
        self.end_time = start_time + int(hours * MILLIS_PER_HOUR)

    def __iter__(self) -> Iterator[Story]:
        """Yield all that is sent until the end, in order of sent time; outcomes stand among the messages."""
        # Its own generator: the ids and times of stays must not shift where a message is sent twice.
        random = Random(f"wardstream resends {self.seed}")  # noqa: S311 - a simulation, seeded
        for story in self._merge():
            yield story
            if story.kind != "outcome" and random.random() < RESENT_SHARE:
                yield story

    def _merge(self) -> Iterator[Story]:
        heap: list[tuple[Millis, int, int, list[Story]]] = []
        for number, (start_time, stories) in enumerate(self._stays()):
            while heap and heap[0][0] < start_time:
                story = _pop(heap)
                if story.sent_time >= self.end_time:
                    return
                yield story
            heapq.heappush(heap, (stories[0].sent_time, number, 0, stories))
        while heap:
            story = _pop(heap)
            if story.sent_time >= self.end_time:
                return
            yield story

    def _stays(self) -> Iterator[tuple[Millis, list[Story]]]:
        """Yield each stay's messages, stays in order of their beginning."""
        random = Random(f"wardstream hospital {self.seed}")  # noqa: S311 - a simulation, seeded
        free = [(self.start_time + random.randrange(FILLING_MIN) * MILLIS_PER_MINUTE, bed) for bed in range(self.beds)]
        heapq.heapify(free)
        number = 0
        while free[0][0] < self.end_time:
            start_time, bed = heapq.heappop(free)
            number += 1
            own = Random(f"wardstream stay {self.seed} {number}")  # noqa: S311 - a simulation, seeded
            # Drawn apart: whoever else comes, and what is sent of them, is the same with and without mistakes.
            wrong = Random(f"wardstream mistake {self.seed} {number}")  # noqa: S311 - a simulation, seeded
            mistaken = number > 1 and wrong.random() < self.mistaken_share
            mistake = draw_mistake(wrong, start_time) if mistaken else None
            stay = Stay(own, number, start_time, place_bed(bed), place_critical_care(number), mistake)
            yield start_time, stay.tell()
            free_time = stay.plan.ward_end_time + random.randrange(*TURNOVER_MIN) * MILLIS_PER_MINUTE
            heapq.heappush(free, (free_time, bed))


def _pop(heap: list[tuple[Millis, int, int, list[Story]]]) -> Story:
    _, number, place, stories = heap[0]
    if place + 1 < len(stories):
        heapq.heapreplace(heap, (stories[place + 1].sent_time, number, place + 1, stories))
    else:
        heapq.heappop(heap)
    return stories[place]
