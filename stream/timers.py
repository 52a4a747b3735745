"""Deadlines of patients, earliest first.

Owns the heap. Must not know what a deadline is for. A patient has one entry, the earliest deadline asked for: one that
moves later costs nothing until the entry comes, and the caller sets it anew from the record then.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from events import Millis


class Timers:
    """A heap of (deadline, patient).

    >>> timers = Timers([(5, "a"), (3, "b")])
    >>> timers.set(9, "b")  # later than its entry: taken at 3, for the caller to set again
    >>> timers.earliest(10), list(timers.take(4)), list(timers.take(5)), list(timers.take(9))
    (3, ['b'], ['a'], [])
    """

    __slots__ = ("_heap", "_waiting")

    def __init__(self, waiting: Iterable[tuple[Millis, str]] = ()) -> None:
        self._heap: list[tuple[Millis, str]] = []
        self._waiting: dict[str, Millis] = {}
        for deadline, patient in waiting:
            self.set(deadline, patient)

    def set(self, deadline: Millis, patient: str) -> None:
        """Wait for a patient's deadline; where an earlier one is waited for, that one stands."""
        if deadline < self._waiting.get(patient, deadline + 1):
            self._waiting[patient] = deadline
            heapq.heappush(self._heap, (deadline, patient))

    def earliest(self, now: Millis) -> Millis | None:
        """Give the earliest deadline at or before `now`, or None."""
        if self._heap and self._heap[0][0] <= now:
            return self._heap[0][0]
        return None

    def take(self, now: Millis) -> Iterator[str]:
        """Give each patient with a deadline at or before `now`, in order of deadline and key."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            deadline, patient = heapq.heappop(heap)
            if self._waiting.get(patient) == deadline:
                del self._waiting[patient]
                yield patient
