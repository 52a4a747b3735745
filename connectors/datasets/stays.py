"""Stays on one time line: when each begins, and the messages of all of them in order of time.

Owns the schedule and the merge, and the messages that open and close a stay. Must not know the columns of any data set.

The public sets give each stay its own clock. They are laid onto one: stays are admitted in order of file name,
5.3 an hour, so that about 200 lie in the ICU at once (the mean stay of 2019 lasts 39 h). Starts are whole minutes, the
precision in which the sets chart, so no rendering loses any of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from heapq import heappop, heappush
from typing import Literal

from connectors.decoded import Decoded, Identifier, Refusal
from events import (
    MILLIS_PER_MINUTE,
    Admission,
    Demographics,
    Discharge,
    Event,
    Location,
    Millis,
    Outcome,
    observation_id,
)

ADMISSIONS_PER_HOUR = 5.3
Sex = Literal["male", "female"]
EXPIRED = "20"
"""HL7 table 0112: expired. Where the living went the sets do not say."""
RESULTS_PER_STAY_MAX = 1 << 20
"""The room for numbers of results in an id; the other 43 bits are the stay's hash."""

Item = tuple[Millis, Decoded | Refusal]
"""(received time, what was read)."""


def schedule_start(epoch: Millis, index: int) -> Millis:
    """Give the time at which the stay at `index` (from 0) begins, a whole minute.

    >>> [schedule_start(0, index) // MILLIS_PER_MINUTE for index in range(4)]
    [0, 11, 22, 33]
    """
    return epoch + (index * 600 // 53) * MILLIS_PER_MINUTE


def merge_stays(stays: Iterable[list[Item]]) -> Iterator[Decoded | Refusal]:
    """Merge stays, each in order of time and given in order of their first time, into one stream in order of time.

    Holds only the stays that have begun and not ended. Of equal times the earlier stay comes first.

    >>> [r.position for r in merge_stays([])]
    []
    """
    pending = iter(stays)
    coming = next(pending, None)
    heap: list[tuple[Millis, int, int, list[Item]]] = []
    index = 0
    while heap or coming is not None:
        while coming is not None and (not heap or coming[0][0] <= heap[0][0]):
            heappush(heap, (coming[0][0], index, 0, coming))
            index += 1
            coming = next(pending, None)
        _, number, place, items = heappop(heap)
        yield items[place][1]
        if place + 1 < len(items):
            heappush(heap, (items[place + 1][0], number, place + 1, items))


class StayChart:
    """Writes the messages of one stay: the same patient, encounter and feed on each of them."""

    def __init__(self, feed: str, stay: str) -> None:
        """Chart for `stay`, the file's name without its ending; `feed` names the data set."""
        self.feed = feed
        self.stay = stay
        self.subject = (Identifier(feed, stay),)
        self.first_id = observation_id(feed, stay) & -RESULTS_PER_STAY_MAX
        """Results are numbered upwards from here: unique within a stay, which is all that an id need be."""
        self._hash = blake2b(f"{feed}\x1f{stay}\x1f".encode(), digest_size=16)

    def write(self, name: str, kind: str, time: Millis, events: tuple[Event, ...], content: str = "") -> Item:
        """Make one message named `stay#name`, sent and true at `time`."""
        content_hash = self._hash.copy()
        content_hash.update(f"{name}\x1f{time}\x1f{content}".encode())
        return time, Decoded(
            self.feed,
            f"{self.stay}#{name}",
            content_hash.digest(),
            time,
            time,
            self.subject,
            events,
            self.stay,
            (),
            kind,
        )

    def admit(self, time: Millis, ward: str, birth_date: str | None, sex: Sex | None) -> Item:
        """Open the stay: Admission and Demographics in one message."""
        events: tuple[Event, ...] = (
            Admission(time, Location(ward=ward), "I"),
            Demographics(time, birth_date, sex),
        )
        return self.write("admission", "admission", time, events)

    def discharge(self, time: Millis, *, deceased: bool = False, name: str = "discharge") -> Item:
        """Close the stay; a death also tells its outcome."""
        events: tuple[Event, ...] = (Discharge(time, EXPIRED if deceased else "", deceased),)
        if deceased:
            events += (Outcome(time, "death"),)
        return self.write(name, "discharge", time, events)
