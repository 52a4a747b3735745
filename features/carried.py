"""Windows that are carried on from one vector to the next, instead of being summed anew each time.

Owns the sums of the readings that lie in each window now, and how they follow the window as time goes on. Must not know
units or codes. All sums are of whole numbers, so one that took a value in and let it go again is exactly the sum
without it; a law in the tests holds every statistic to the one computed from nothing, bit for bit.

This is no state: it is never encoded, and a series that changes in any other way than by a newer reading coming and the
oldest leaving drops it (`Series.carried`), to be summed anew at the next vector.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from math import nan
from operator import mul

import msgspec

from events import MILLIS_PER_HOUR, Millis
from features.series import (
    COUNT,
    GRID_MS,
    HIGHEST,
    HOUR,
    LOWEST,
    ST,
    STT,
    STV,
    SV,
    R,
    Series,
    W,
    last_time,
    mark_value,
)

MEAN, MIN, MAX, SLOPE, DELTA, COUNTED = range(6)
KINDS = {"mean": MEAN, "min": MIN, "max": MAX, "slope": SLOPE, "delta_baseline": DELTA, "count": COUNTED}
"""The statistics that can be carried on; a window with any other one is computed from nothing."""

Asked = tuple[int, bool, tuple[tuple[int, int], ...]]
"""One window of a plan: width (ms), whether a slope is asked for, ((kind, place in the vector)...)."""


class Buckets(msgspec.Struct, frozen=True, gc=False):
    """The sums of a window's closed buckets: those before the newest row, which still grows.

    They hold while the rows are `length` words and the window begins at or after `since` and before `until`.
    """

    length: int
    since: Millis
    until: Millis
    newest: bool
    """Whether the newest row lies in the window too."""
    n: int = 0
    v: int = 0
    t: int = 0
    tt: int = 0
    tv: int = 0
    lowest: int | None = None
    highest: int | None = None


class Window(msgspec.Struct, gc=False):
    """The sums of the raw entries from place `first` up to `end` of `Series.raw`; times are since `origin`."""

    sloped: bool
    origin: Millis
    first: int = 0
    end: int = 0
    v: int = 0
    t: int = 0
    tt: int = 0
    tv: int = 0
    ranged: bool = False
    """Whether `lowest` and `highest` are right; else they are looked for when they are asked for."""
    lowest: int = 0
    highest: int = 0
    buckets: Buckets | None = None


class Carried:
    """The windows of one series, for the plan they were begun for."""

    __slots__ = ("asked", "windows")

    def __init__(self, asked: tuple[Asked, ...], origin: Millis) -> None:
        self.asked = asked
        self.windows = tuple(Window(sloped, origin) for _, sloped, _ in asked)

    def let_go(self, event_time: Millis, value: int) -> None:
        """Hear that the oldest raw entry has left; it was (event_time, value)."""
        for window in self.windows:
            if window.first:
                window.first -= W
                window.end -= W
            elif window.end:
                window.end -= W
                _drop(window, event_time, value)


def fill_carried(out: list[float], series: Series, asked: tuple[Asked, ...], steps: int, at: Millis) -> None:
    """Compute the windowed statistics as of `at`, which must not lie before the newest raw entry (hot path)."""
    raw, rows = series.raw, series.rows
    carried = series.carried
    if type(carried) is not Carried or carried.asked is not asked:
        carried = series.carried = Carried(asked, raw[0])
    for window, (width_ms, sloped, wanted) in zip(carried.windows, asked, strict=True):
        start = at - width_ms
        n = _advance(window, raw, start)
        v, t, tt, tv = window.v, window.t, window.tt, window.tv
        closed, newest = None, -1
        if rows is not None and start < raw[0]:
            closed = window.buckets
            if closed is None or closed.length != len(rows) or not closed.since <= start < closed.until:
                closed = window.buckets = _close(rows, start, window.origin, sloped=sloped)
            n, v, t, tt, tv = n + closed.n, v + closed.v, t + closed.t, tt + closed.tt, tv + closed.tv
            if closed.newest:
                newest = len(rows) - R
                count, since = rows[newest + COUNT], rows[newest + HOUR] * GRID_MS - window.origin
                n, v = n + count, v + rows[newest + SV]
                if sloped:
                    t += rows[newest + ST] + count * since
                    tt += rows[newest + STT] + since * (2 * rows[newest + ST] + count * since)
                    tv += rows[newest + STV] + since * rows[newest + SV]
        if not n:
            continue
        for kind, place in wanted:
            if kind == MEAN:
                out[place] = v / (n * steps)
            elif kind == DELTA:
                out[place] = (raw[-2] * n - v) / ((n - 1) * steps) if n > 1 else nan
            elif kind == SLOPE:
                below = n * tt - t * t
                out[place] = (n * tv - t * v) * MILLIS_PER_HOUR / (below * steps) if below else nan
            elif kind == COUNTED:
                out[place] = float(n)
            else:
                out[place] = _extreme(window, raw, rows, closed, newest, highest=kind == MAX) / steps


def _advance(window: Window, raw: array[int], start: Millis) -> int:
    """Take in what has come, let go of what is no longer after `start`; give how many raw entries are in."""
    length, end, first = len(raw), window.end, window.first
    if first and raw[first - W] > start:
        # Asked of an earlier instant than before: what was let go counts again.
        window.first = first = window.end = end = window.v = window.t = window.tt = window.tv = 0
        window.ranged = False
    while end < length:
        value = raw[end + 1]
        window.v += value
        if window.sloped:
            time = raw[end] - window.origin
            window.t += time
            window.tt += time * time
            window.tv += time * value
        if value > window.highest:
            window.highest = value
        elif value < window.lowest:
            window.lowest = value
        end += W
    window.end = end
    while first < end and raw[first] <= start:
        _drop(window, raw[first], raw[first + 1])
        first += W
        window.first = first
    return (end - first) // W


def _drop(window: Window, event_time: Millis, value: int) -> None:
    window.v -= value
    if window.sloped:
        time = event_time - window.origin
        window.t -= time
        window.tt -= time * time
        window.tv -= time * value
    if value <= window.lowest or value >= window.highest:
        window.ranged = False


def _extreme(
    window: Window, raw: array[int], rows: array[int] | None, closed: Buckets | None, newest: int, *, highest: bool
) -> int:
    """Give the lowest or highest value of a window that is not empty."""
    found = None
    if window.first < window.end:
        if not window.ranged:
            values = raw[window.first + 1 :: W].tolist()
            window.lowest, window.highest, window.ranged = min(values), max(values), True
        found = window.highest if highest else window.lowest
    if closed is not None and rows is not None:
        held = closed.highest if highest else closed.lowest
        if held is not None and (found is None or (held > found if highest else held < found)):
            found = held
        if newest >= 0:
            held = mark_value(rows[newest + (HIGHEST if highest else LOWEST)])
            if found is None or (held > found if highest else held < found):
                found = held
    assert found is not None, "the window holds something"
    return found


def _close(rows: array[int], start: Millis, origin: Millis, *, sloped: bool) -> Buckets:
    """Sum the buckets that hold anything after `start`, but for the newest."""
    length = len(rows)
    newest = length - R
    low = bisect_right(rows[HOUR::R], start // GRID_MS) * R
    if low and last_time(rows, low - R) > start:
        low -= R
    since = last_time(rows, low - R) if low else start - GRID_MS
    if low >= newest:
        # The newest row may come to reach past `start`: until it does, this is asked again.
        return Buckets(length, since, last_time(rows, newest) if low == newest else since, low == newest)
    part = rows[low:newest]
    count, sv = part[COUNT::R].tolist(), part[SV::R].tolist()
    t = tt = tv = 0
    if sloped:
        st = part[ST::R].tolist()
        begins = [hour * GRID_MS - origin for hour in part[HOUR::R]]
        weights = list(map(mul, begins, count))
        t = sum(weights) + sum(st)
        tt = sum(map(mul, begins, weights)) + 2 * sum(map(mul, begins, st)) + sum(part[STT::R])
        tv = sum(map(mul, begins, sv)) + sum(part[STV::R])
    lowest, highest = mark_value(min(part[LOWEST::R])), mark_value(max(part[HIGHEST::R]))
    return Buckets(length, since, last_time(rows, low), True, sum(count), sum(sv), t, tt, tv, lowest, highest)
