"""The shifts of a ward: from when to when, in the site's own time.

Owns the arithmetic of shift starts, and what becomes of them when the clocks change. Must not know what is counted in a
shift. A shift begins at an instant and ends where the next one begins: every instant is in exactly one.

When the clocks change, on purpose: the night of the change is one shift of an hour more or less, with one budget like
any other. A start that occurs twice (clocks put back) is the first of the two; one that does not occur (clocks put
forward) is where it would have been had nobody touched the clock. That is PEP 495's `fold=0`, for both.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from events import Millis
from events.times import INSTANT_MAX, INSTANT_MIN

SHIFT_MS_MAX = 25 * 3_600_000
"""One start a day, on the day the clocks are put back."""

_START = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLI = timedelta(milliseconds=1)
_DAY = timedelta(days=1)


def read_start(text: str) -> tuple[int, int]:
    """Read a start as it is configured: hours and minutes of the day; raises `ValueError`.

    >>> read_start("19:30")
    (19, 30)
    >>> read_start("7:30")
    Traceback (most recent call last):
    ValueError: '7:30' is no time of day such as "07:30"
    """
    found = _START.fullmatch(text)
    if found is None:
        raise ValueError(f'{text!r} is no time of day such as "07:30"')
    return int(found.group(1)), int(found.group(2))


def find_zone(name: str) -> ZoneInfo:
    """Give a zone by its IANA name; raises `ValueError`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"unknown time zone {name!r}; expected an IANA name such as 'Europe/London'") from None


class Shifts:
    """The shifts of one site.

    >>> night = Shifts("Europe/London", ("07:00", "19:00"))
    >>> from events import from_iso, to_iso
    >>> [to_iso(edge) for edge in night.around(from_iso("2026-10-25T03:00:00Z"))]  # the clocks go back
    ['2026-10-24T18:00:00Z', '2026-10-25T07:00:00Z']
    """

    __slots__ = ("_begin", "_end", "_starts", "_zone")

    def __init__(self, zone: str, starts: tuple[str, ...]) -> None:
        """Raises `ValueError` where the zone is unknown or a start is no time of day."""
        self._zone = find_zone(zone)
        self._starts = tuple(read_start(start) for start in starts)
        self._begin = self._end = INSTANT_MIN

    def around(self, at: Millis) -> tuple[Millis, Millis]:
        """Give the first instant of the shift that `at` is in, and the first of the next one."""
        if self._begin <= at < self._end:
            return self._begin, self._end
        at = min(max(at, INSTANT_MIN), INSTANT_MAX)
        today = (_EPOCH + at * _MILLI).astimezone(self._zone)
        edges = sorted(self._instant(today + day * _DAY, start) for day in (-2, -1, 0, 1, 2) for start in self._starts)
        self._begin = max(edge for edge in edges if edge <= at)
        self._end = min(edge for edge in edges if edge > at)
        return self._begin, self._end

    def _instant(self, day: datetime, start: tuple[int, int]) -> Millis:
        local = datetime(day.year, day.month, day.day, *start, tzinfo=self._zone)
        return (local - _EPOCH) // _MILLI
