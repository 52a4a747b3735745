"""Deadlines of patients, earliest first.

Owns the heap. Must not know what a deadline is for. A superseded deadline stays in the heap until it comes; the caller
checks it against the record, so nothing fires on it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from events import Millis


class Timers:
    """A heap of (deadline, patient).

    >>> timers = Timers([(5, "a"), (3, "b"), (5, "a")])
    >>> timers.earliest(10), list(timers.take(4)), list(timers.take(5))
    (3, ['b'], ['a'])
    """

    __slots__ = ("_heap",)

    def __init__(self, waiting: Iterable[tuple[Millis, str]] = ()) -> None:
        self._heap = sorted(waiting)

    def set(self, deadline: Millis, patient: str) -> None:
        """Add a deadline."""
        heapq.heappush(self._heap, (deadline, patient))

    def earliest(self, now: Millis) -> Millis | None:
        """Give the earliest deadline at or before `now`, or None."""
        if self._heap and self._heap[0][0] <= now:
            return self._heap[0][0]
        return None

    def take(self, now: Millis) -> Iterator[str]:
        """Give each patient with a deadline at or before `now` once a deadline, in order of deadline and key."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            taken = heapq.heappop(heap)
            while heap and heap[0] == taken:
                heapq.heappop(heap)
            yield taken[1]
