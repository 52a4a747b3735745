"""The newest alert events of `alerts.v1`, numbered so that a listener can go on where he was, here or elsewhere.

Owns the numbers, the bound of the window and what a listener has missed of it. Must not know a broker or a listener.

A number is the record's time in milliseconds, three decimal places longer; it never repeats and never falls. Two of the
three places are this process's own (`salt`), so that a number of another process is known as such. Partitions are read
side by side: another process, or this one after a restart, may number two records the other way round where they were
written at nearly the same time. So whoever comes with another process's number is given the `OVERLAP_MS` before it once
more: an alert event has an `event_id` and may be heard twice; it is never left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from connectors.http.ports import NumberedAlert
from connectors.kafka.reading import KafkaRecord
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, Millis

WINDOW_EVENTS_MAX = 20_000
"""Events kept, some 40 MB: days of a large hospital."""
WINDOW_MS = 24 * MILLIS_PER_HOUR
"""How far back the window reaches at the start: a listener that was away for longer asks for the open alerts."""
OVERLAP_MS = 2 * MILLIS_PER_MINUTE
"""Given once more to a listener of another process. Longer than a write may take from its record's time to being read:
the producer gives a batch up after a minute."""
NUMBERS_PER_MS = 1_000
"""Below 2**53 until the year 2255, so that JavaScript reads numbers exactly."""
SALTS = 100


class AlertWindow:
    """A bounded window. Records are added in the order in which they are to be heard.

    >>> window = AlertWindow(salt=7)
    >>> window.add(KafkaRecord(0, 0, 5, b"W", b"{}", ()), "e1", "raised"), window.newest
    (True, 5007)
    >>> [alert.number for alert in window.after(0, 10)], window.reaches(5007)
    ([5007], True)
    """

    def __init__(self, salt: int, events_max: int = WINDOW_EVENTS_MAX) -> None:
        self._floor = 0
        self._salt = salt % SALTS
        self._events_max = events_max
        self._numbers: deque[int] = deque()
        self._alerts: dict[int, tuple[NumberedAlert, str]] = {}
        self._names: set[str] = set()
        self.newest = 0
        """The newest number, 0 before the first."""

    def __len__(self) -> int:
        """Give how many events the window holds."""
        return len(self._numbers)

    def begin_at(self, begin: Millis) -> None:
        """Say from which record time on the window holds everything, once that is known."""
        self._floor = max(self._floor, begin * NUMBERS_PER_MS)

    def add(self, record: KafkaRecord, event_id: str, kind: str) -> bool:
        """Add an event; False where it is in the window already (a stage that repeated its work)."""
        if event_id in self._names:
            return False
        number = record.record_time * NUMBERS_PER_MS + self._salt
        if number <= self.newest:
            number = self.newest + SALTS  # the same salt
        self._numbers.append(number)
        self._alerts[number] = (NumberedAlert(number, record.value or b"", kind), event_id)
        self._names.add(event_id)
        self.newest = number
        if len(self._numbers) > self._events_max:
            oldest = self._numbers.popleft()
            self._names.discard(self._alerts.pop(oldest)[1])
            self._floor = oldest
        return True

    def after(self, number: int, limit: int) -> list[NumberedAlert]:
        """Give the events after a number, in order, at most `limit`; after another's number, with the overlap."""
        return [self._alerts[one][0] for one, _ in zip(self._from(self._start(number)), range(limit), strict=False)]

    def reaches(self, number: int) -> bool:
        """Say whether nothing after this number is missing here; 0 asks for what there is."""
        return number == 0 or self._start(number) >= self._floor

    def _start(self, number: int) -> int:
        if number in self._alerts or number in (0, self._floor):
            return number
        return max(0, number - OVERLAP_MS * NUMBERS_PER_MS)

    def _from(self, number: int) -> Iterator[int]:
        numbers = self._numbers
        # Listeners are nearly always near the end; a deque's middle is slow to reach.
        for back, one in enumerate(reversed(numbers)):
            if one <= number:
                yield from list(_last(numbers, back))
                return
        yield from list(numbers)


def _last(numbers: deque[int], count: int) -> Iterator[int]:
    start = len(numbers) - count
    return (numbers[at] for at in range(start, len(numbers)))
