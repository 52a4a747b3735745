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


Sums = tuple[int, int, int, int, int]
"""Readings, and sums of values, times, squared times, and times by values."""


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
    lowest: int = 0
    highest: int = 0


class Window:
    """One window of a series: `first` is the place in `Series.raw` of its oldest entry.

    `v`, `t`, `tt`, `tv` are the sums of what was in the series' totals and has left the window.
    """

    __slots__ = ("buckets", "first", "highest", "lowest", "ranged", "t", "tt", "tv", "v")

    def __init__(self) -> None:
        self.first = self.v = self.t = self.tt = self.tv = self.lowest = self.highest = 0
        self.ranged = -1
        """Up to which place `lowest` and `highest` are known; -1 where they must be looked for."""
        self.buckets: Buckets | None = None


class Carried:
    """The totals of all readings that came since it was begun, and the windows, for the plan it was begun for.

    Times are since `origin`, an event time near by. What leaves a window is added up apart, so that a reading that
    comes is added once, however many windows there are.
    """

    __slots__ = ("asked", "end", "origin", "sloped", "t", "tt", "tv", "v", "windows")

    def __init__(self, asked: tuple[Asked, ...], origin: Millis) -> None:
        self.asked = asked
        self.origin = origin
        self.sloped = any(sloped for _, sloped, _ in asked)
        self.end = self.v = self.t = self.tt = self.tv = 0
        self.windows = tuple(Window() for _ in asked)

    def let_go(self, event_time: Millis, value: int) -> None:
        """Hear that the oldest raw entry has left; it was (event_time, value)."""
        if not self.end:
            return
        self.end -= W
        for window in self.windows:
            if window.first:
                window.first -= W
            else:
                self.drop(window, event_time, value)
            if window.ranged > 0:
                window.ranged -= W

    def take(self, raw: array[int], length: int) -> None:
        """Add what has come since to the totals."""
        if self.end == length - W:  # one more than last time, as nearly always
            value = raw[-2]
            self.v += value
            if self.sloped:
                time = raw[-3] - self.origin
                self.t += time
                self.tt += time * time
                self.tv += time * value
        elif not self.sloped:
            self.v += sum(raw[self.end + 1 :: W])
        else:
            for place in range(self.end, length, W):
                value, time = raw[place + 1], raw[place] - self.origin
                self.v += value
                self.t += time
                self.tt += time * time
                self.tv += time * value
        self.end = length

    def drop(self, window: Window, event_time: Millis, value: int) -> None:
        """Let a reading leave a window."""
        window.v += value
        if self.sloped:
            time = event_time - self.origin
            window.t += time
            window.tt += time * time
            window.tv += time * value
        if value <= window.lowest or value >= window.highest:
            window.ranged = -1


def fill_carried(  # noqa: C901, PLR0912 -- one loop over windows and kinds, in one piece because it is hot
    out: list[float], series: Series, asked: tuple[Asked, ...], steps: int, at: Millis
) -> None:
    """Compute the windowed statistics as of `at`, which must not lie before the newest raw entry (hot path)."""
    raw, rows = series.raw, series.rows
    carried = series.carried
    if type(carried) is not Carried or carried.asked is not asked:
        carried = series.carried = Carried(asked, raw[0])
    end = len(raw)
    if carried.end < end:
        carried.take(raw, end)
    oldest, total = raw[0], carried.v
    t = tt = tv = 0
    for window, (width_ms, sloped, wanted) in zip(carried.windows, asked):  # noqa: B905 -- made one for one; hot
        start = at - width_ms
        first = window.first
        if first:
            if raw[first - W] > start or (first < end and raw[first] <= start):
                first = _move(carried, window, raw, start)
        elif oldest <= start:
            first = _move(carried, window, raw, start)
        n, v = (end - first) // W, total - window.v
        if sloped:
            t, tt, tv = carried.t - window.t, carried.tt - window.tt, carried.tv - window.tv
        reached = rows if start < oldest else None
        if reached is not None:
            n, v, t, tt, tv = _with_buckets(carried, window, reached, start, (n, v, t, tt, tv), sloped=sloped)
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
            elif reached is None and window.ranged == end - W:  # as above; `_extreme` says the same
                window.ranged, value = end, raw[-2]
                if value > window.highest:  # noqa: PLR1730 -- a call of max costs four times as much
                    window.highest = value
                if value < window.lowest:  # noqa: PLR1730 -- likewise
                    window.lowest = value
                out[place] = (window.highest if kind == MAX else window.lowest) / steps
            else:
                out[place] = _extreme(window, raw, reached, highest=kind == MAX) / steps


def _move(carried: Carried, window: Window, raw: array[int], start: Millis) -> int:
    """Move a window's beginning to after `start`; give its first place in `raw`."""
    first, end = window.first, carried.end
    while first and raw[first - W] > start:
        # Asked of an earlier instant than before: what had left is in again.
        first -= W
        time, value = raw[first] - carried.origin, raw[first + 1]
        window.v -= value
        window.t -= time
        window.tt -= time * time
        window.tv -= time * value
        window.ranged = -1
    while first < end and raw[first] <= start:
        carried.drop(window, raw[first], raw[first + 1])
        first += W
    window.first = first
    return first


def _with_buckets(
    carried: Carried, window: Window, rows: array[int], start: Millis, sums: Sums, *, sloped: bool
) -> Sums:
    """Add the buckets that hold anything after `start`."""
    n, v, t, tt, tv = sums
    closed = window.buckets
    if closed is None or closed.length != len(rows) or not closed.since <= start < closed.until:
        closed = window.buckets = _close(rows, start, carried.origin, sloped=sloped)
    n, v, t, tt, tv = n + closed.n, v + closed.v, t + closed.t, tt + closed.tt, tv + closed.tv
    if closed.newest:
        newest = len(rows) - R
        count, since = rows[newest + COUNT], rows[newest + HOUR] * GRID_MS - carried.origin
        n, v = n + count, v + rows[newest + SV]
        if sloped:
            st = rows[newest + ST]
            t += st + count * since
            tt += rows[newest + STT] + since * (2 * st + count * since)
            tv += rows[newest + STV] + since * rows[newest + SV]
    return n, v, t, tt, tv


def _extreme(window: Window, raw: array[int], rows: array[int] | None, *, highest: bool) -> int:
    """Give the lowest or highest value of a window that is not empty; `rows` where it reaches into buckets."""
    ranged, length = window.ranged, len(raw)
    found: list[int] = []
    if window.first < length:
        if ranged < 0:
            values = raw[window.first + 1 :: W].tolist()
            window.lowest, window.highest = min(values), max(values)
        else:
            while ranged < length:
                value = raw[ranged + 1]
                window.highest = max(window.highest, value)
                window.lowest = min(window.lowest, value)
                ranged += W
        window.ranged = length
        if rows is None:
            return window.highest if highest else window.lowest
        found.append(window.highest if highest else window.lowest)
    closed = window.buckets
    assert rows is not None
    assert closed is not None
    if closed.n:
        found.append(closed.highest if highest else closed.lowest)
    if closed.newest:
        found.append(mark_value(rows[len(rows) - R + (HIGHEST if highest else LOWEST)]))
    return max(found) if highest else min(found)


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
