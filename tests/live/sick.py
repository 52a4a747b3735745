"""A patient who is admitted well and is sick a little later, in the present: what an alert is made of."""

from __future__ import annotations

import time

from connectors.decoded import Identifier
from connectors.hl7v2.render import Result, render_adt, render_oru
from events import MILLIS_PER_MINUTE, Location

SICK = (("9279-1", 28.0, "/min"), ("59408-5", 90.0, "%"), ("8480-6", 88.0, "mm[Hg]"), ("8867-4", 132.0, "/min"))
WELL = (("9279-1", 16.0, "/min"), ("59408-5", 98.0, "%"), ("8480-6", 128.0, "mm[Hg]"), ("8867-4", 72.0, "/min"))
FEED = "MONITOR|WARD"


def sick_messages(mrn: str = "4711", *, ward: str = "Ward A", sets: int = 2, now: int = 0) -> list[bytes]:
    """Give an admission, a well set of vital signs, and `sets` sick ones, a minute apart until now."""
    now = now or round(time.time() * 1_000)
    start = now - (sets + 2) * MILLIS_PER_MINUTE
    place, patient = Location(ward, "1", "12"), Identifier("MRN", mrn)
    admitted = render_adt(
        "A01",
        control_id=f"{mrn}-0",
        sent_time=start,
        feed=FEED,
        patient=patient,
        event_time=start,
        encounter=f"V{mrn}",
        location=place,
        birth_date="1950-01-01",
        sex="female",
    )
    messages = [admitted]
    for number, values in enumerate([WELL, *[SICK] * sets], start=1):
        at = start + number * MILLIS_PER_MINUTE
        messages.append(
            render_oru(
                control_id=f"{mrn}-{number}",
                sent_time=at,
                feed=FEED,
                patient=patient,
                encounter=f"V{mrn}",
                location=place,
                observed_time=at,
                order=f"O{mrn}-{number}",
                results=[Result(code=code, value=value, unit=unit) for code, value, unit in values],
            )
        )
    return messages
