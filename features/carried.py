"""Windows that are carried on from one vector to the next, instead of being summed anew each time.

Owns the sums of the readings that are in each window now, and how they follow the window as it moves. Must not know
units or codes. All is of whole numbers, so a sum that took a value in and let it go again is exactly the sum without
it; a test holds every statistic to the one computed from nothing, bit for bit.

This is no state: it is never encoded, and a series whose readings change in any other way than by a newer one coming
and the oldest going drops it (`Series.carried`), to be summed anew at the next vector.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from operator import mul

import msgspec

from features.series import (
    COUNT,
    GRID_MS,
    HIGHEST,
    HOUR,
    LAST,
    LOWEST,
    ST,
    STT,
    STV,
    SV,
    R,
    W,
    mark_value,
)


class Window(msgspec.Struct, gc=False):
    """The sums of the raw entries in one window, and of the closed buckets before them.

    `first` and `end` are places in `Series.raw`: the entries between them are summed. Times are since `origin`, an
    event time near by; a slope does not depend on which.
    """

    width_ms: int
    sloped: bool
    ranged: bool
    """Whether a lowest or highest is asked for."""
    origin: int
    first: int = 0
    end: int = 0
    v: int = 0
    t: int = 0
    tt: int = 0
    tv: int = 0
    lowest: int = 0
    highest: int = 0
    ranged_from: int = -1
    """`lowest` and `highest` are right while `first` is this; -1 where they must be looked for."""
    buckets: Buckets | None = None


class Buckets(msgspec.Struct, frozen=True, gc=False):
    """The sums of a window's closed buckets: all but the newest row, which still grows.

    They hold while there are `length` words of rows and the window begins at or after `since` and before `until`.
    """

    length: int
    since: int
    until: int
    newest: bool
    """Whether the newest row is in the window too."""
    n: int = 0
    v: int = 0
    t: int = 0
    tt: int = 0
    tv: int = 0
    lowest: int | None = None
    highest: int | None = None


class Carried:
    """The windows of one series, for one plan."""

    __slots__ = ("plan", "windows")

    def __init__(self, plan: object, windows: tuple[Window, ...]) -> None:
        self.plan = plan
        self.windows = windows

    def let_go(self, event_time: int, value: int) -> None:
        """Hear that the oldest raw entry has left: it was (event_time, value)."""
        for window in self.windows:
            if window.first:
                window.first -= W
                window.end -= W
                if window.ranged_from > 0:
                    window.ranged_from -= W
            elif window.end:
                _drop(window, event_time, value)
                window.end -= W


def _drop(window: Window, event_time: int, value: int) -> None:
    """Take a reading out of the sums."""
    window.v -= value
    if window.sloped:
        time = event_time - window.origin
        window.t -= time
        window.tt -= time * time
        window.tv -= time * value
    if value <= window.lowest or value >= window.highest:
        window.ranged_from = -1


def advance(window: Window, raw: array[int], start: int) -> int:
    """Bring a window up to what `raw` holds and to beginning after `start`; give how many raw entries it holds.

    A window never moves back: whoever asks of the past computes from nothing.
    """
    length, end = len(raw), window.end
    while end < length:
        value = raw[end + 1]
        window.v += value
        if window.sloped:
            time = raw[end] - window.origin
            window.t += time
            window.tt += time * time
            window.tv += time * value
        if window.ranged_from >= 0:
            if value > window.highest:
                window.highest = value
            if value < window.lowest:
                window.lowest = value
        end += W
    ...
