"""What a ward is told in a shift, counted against its budget and against a flood.

Owns the count of one ward's tellings and the two limits on it. Must not know an alert, nor what waits for room. Only
tellings that can wait are counted (alerts/waiting.py): what passes straight through takes no room.

A telling counts at its own time, in its own shift: a partition that is behind the others tells what belonged to the
last shift under that one's budget. So as long as a ward is within its limits, the order in which several partitions
come in changes nothing.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from alerts.shifts import SHIFT_MS_MAX, Shifts
from alerts.ward_settings import WardSettings
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, Millis

LATE_MS_MAX = 7 * 24 * MILLIS_PER_HOUR
"""What comes later than this counts as if it were so late: tellings of before are no longer remembered. A partition
that stood still over a long weekend comes in within it."""
REMEMBERED_MS = LATE_MS_MAX + SHIFT_MS_MAX
"""The whole shift that the latest may belong to."""


class Allowance:
    """How much every ward is told at most, as one configuration has it."""

    __slots__ = ("_flood_count", "_flood_ms", "_settings", "_shifts")

    def __init__(self, settings: WardSettings) -> None:
        """Take a configuration that is valid."""
        self._settings = settings
        self._shifts = Shifts(settings.zone, settings.shift_starts)
        self._flood_count = settings.flood_count
        self._flood_ms = settings.flood_minutes * MILLIS_PER_MINUTE

    def has_room(self, ward: str, told: list[Millis], at: Millis) -> bool:
        """Whether one more telling at `at` keeps a ward within its budget and below a flood.

        `told` are the times of those that count, in order.

        >>> allowance = Allowance(WardSettings(budget=2, flood_count=1, flood_minutes=10))
        >>> minute = 60_000
        >>> allowance.has_room("W", [0], 9 * minute), allowance.has_room("W", [0], 10 * minute)
        (False, True)
        >>> allowance.has_room("W", [0, 20 * minute], 60 * minute)
        False
        """
        begin, end = self._shifts.around(at)
        if bisect_left(told, end) - bisect_left(told, begin) >= self._settings.budget_of(ward):
            return False
        return not self._floods(told, at)

    def _floods(self, told: list[Millis], at: Millis) -> bool:
        """Whether any stretch of the flood's length that holds `at` would hold too many; also where `at` is late."""
        count = self._flood_count
        place = bisect_left(told, at)
        near = [*told[max(place - count, 0) : place], at, *told[place : place + count]]
        return any(last - first < self._flood_ms for first, last in zip(near, near[count:], strict=False))

    def next_room(self, ward: str, told: list[Millis], now: Millis) -> Millis:
        """Give when there is room at the soonest; `told` has nothing later than `now`.

        >>> allowance = Allowance(WardSettings(budget=1, flood_minutes=10))
        >>> allowance.next_room("W", [0], 0) // 3_600_000, allowance.next_room("W", [], 5)
        (7, 5)
        """
        at = now
        begin, end = self._shifts.around(at)
        if bisect_left(told, end) - bisect_left(told, begin) >= self._settings.budget_of(ward):
            at = end
        if len(told) >= self._flood_count:
            at = max(at, told[-self._flood_count] + self._flood_ms)
        return at


def count_telling(told: list[Millis], at: Millis, now: Millis) -> None:
    """Add a telling, and forget those of which nothing can depend any more.

    >>> told = [0, 50]
    >>> count_telling(told, 20, 50); told
    [0, 20, 50]
    """
    insort(told, at)
    if told[0] < now - REMEMBERED_MS:
        del told[: bisect_left(told, now - REMEMBERED_MS)]
