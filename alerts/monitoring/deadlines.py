"""When each silence is looked at: a heap of whole minutes.

Owns the heap and the whole minute of a deadline. Must not know what is silent. A subject's entry is never after its
deadline; one whose deadline moved on meanwhile is put back when its entry comes, so hearing it costs nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Protocol

from alerts.monitoring.silence import NEVER
from events import MILLIS_PER_MINUTE, Millis


class Subject(Protocol):
    """Whatever has a deadline."""

    deadline: Millis


class Deadlines:
    """The deadlines of all subjects; `find` gives a subject by its name, or None where it is watched no more.

    >>> from alerts.monitoring.silence import Silence
    >>> one = Silence(0)
    >>> deadlines = Deadlines(lambda name: one)
    >>> one.deadline = 90_000
    >>> deadlines.wait("f|LAB", one)
    >>> [at for at, *_ in deadlines.take(200_000)]  # nobody moved its deadline: looked at again a minute later
    [120000, 180000]
    """

    __slots__ = ("_entries", "_find", "_heap", "earliest")

    def __init__(self, find: Callable[[str], Subject | None]) -> None:
        self._find = find
        self._heap: list[tuple[Millis, str]] = []
        self._entries: dict[str, Millis] = {}
        """By name: which of the heap's entries counts."""
        self.earliest: Millis = NEVER

    def wait(self, name: str, subject: Subject) -> None:
        """Look at a subject when its deadline has come, unless it is looked at by then anyway."""
        deadline = subject.deadline
        if deadline <= self._entries.get(name, NEVER) - MILLIS_PER_MINUTE and deadline != NEVER:
            entry = self._entries[name] = whole_minute(deadline)
            heapq.heappush(self._heap, (entry, name))
            self.earliest = self._heap[0][0]

    def take(self, at: Millis) -> Iterator[tuple[Millis, str, Subject]]:
        """Give the subjects whose deadline has come by an instant, in order of minute and name.

        Whoever takes one sees to its next deadline: `wait` is called for it afterwards.
        """
        heap = self._heap
        while heap and heap[0][0] <= at:
            entry, name = heapq.heappop(heap)
            if self._entries.get(name) != entry:
                continue
            del self._entries[name]
            subject = self._find(name)
            if subject is not None:
                if whole_minute(subject.deadline) == entry:
                    yield entry, name, subject
                    if self._find(name) is not subject:
                        continue
                    subject.deadline = max(subject.deadline, entry + MILLIS_PER_MINUTE)  # It makes progress.
                self.wait(name, subject)
        self.earliest = heap[0][0] if heap else NEVER


def whole_minute(instant: Millis) -> Millis:
    """Give the whole minute at an instant or next after it.

    >>> whole_minute(60_000), whole_minute(60_001)
    (60000, 120000)
    """
    return -(-instant // MILLIS_PER_MINUTE) * MILLIS_PER_MINUTE
