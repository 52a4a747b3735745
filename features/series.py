"""One feature of one patient through time: recent readings in full, older ones in hourly buckets.

Owns the window's memory and its laws. Must not know units, codes or statistics: a value here is a whole number of
steps.

`raw` holds the newest readings as (event_time ms, value, id) triples in one array, sorted by (event_time, id): at most
`RAW_ENTRIES_MAX`. What spills out of it is folded into `rows`, one an hour of event time on a fixed grid. All sums are
of whole numbers, so they are exact and the order of arrival does not enter. The bound for one feature is
64 * 24 + 27 * 120 bytes, 4.8 kB, however often it is charted.

What is lost in a bucket: which readings it held, but for the first, last, lowest and highest by (time, value, id).
A withdrawal or correction of one of those four is exact in all sums; the mark it leaves open is filled from the other
three and the series says `inexact`. A correction of any other can only widen the marks, and says so too.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from enum import IntEnum
from itertools import chain
from typing import Protocol

RAW_ENTRIES_MAX = 64
"""A day of hourly charting is 26 and stays exact; of once-a-minute charting this is the last hour."""
GRID_MS = 3_600_000
"""An hour a bucket; a bucket's times fit in `_TIME_BITS`."""
RETENTION_MS = 25 * GRID_MS
"""The longest window is 24 h; one hour more, so that a vector asked for slightly in the past is still whole."""
KEPT_ALWAYS = 2
"""The last reading and the one before it are kept with their age, however old."""
CLOCK_PLAY_MS = 10 * 60_000
"""Clocks of monitors and of the gateway differ by minutes. A reading from ahead was stored as of its receipt; sent
again, its own time has come, up to this much later than the stored one: it is the same reading."""
BUCKET_COUNT_MAX = 1 << 14
"""Readings summed in one bucket: 4.5 a second. It keeps the sums within 63 bits; a test holds the catalogue to it."""

W = 3
"""Words of a raw entry: event_time, value, id."""
R = 15
"""Words of a bucket row; the columns follow."""
HOUR, COUNT, SV, SVV, ST, STT, STV, FIRST, LAST, LOWEST, HIGHEST, FIRST_ID, LAST_ID, LOWEST_ID, HIGHEST_ID = range(R)

_TIME_BITS = 22
_VALUE_BIAS = 1 << 31
_VALUE_MASK = (1 << 32) - 1
_TIME_MASK = (1 << _TIME_BITS) - 1
_RAW_LENGTH_MAX = RAW_ENTRIES_MAX * W
_KEPT_LENGTH = KEPT_ALWAYS * W
ORDER = sys.byteorder
ID_BYTES = 8

Mark = tuple[int, int, int]
"""(time since the bucket's hour, value, id)."""


class Put(IntEnum):
    """What `Series.put` did."""

    STORED = 0
    DUPLICATE = 1
    UPDATED = 2
    TOO_OLD = 3


STORED, DUPLICATE = Put.STORED, Put.DUPLICATE
"""Named once: looking a member up costs as much as the comparison."""


class Removal(IntEnum):
    """What `Series.remove` did."""

    REMOVED = 0
    NOT_FOUND = 1
    COARSE = 2


def _by_time(mark: Mark) -> tuple[int, int]:
    return (mark[0] << 32 | (mark[1] + _VALUE_BIAS), mark[2])


def _by_value(mark: Mark) -> tuple[int, int]:
    return ((mark[1] + _VALUE_BIAS) << _TIME_BITS | mark[0], mark[2])


def mark_value(packed: int) -> int:
    """Read the value of a LOWEST or HIGHEST column."""
    return (packed >> _TIME_BITS) - _VALUE_BIAS


def last_time(rows: array[int], base: int) -> int:
    """Read the event time of the last reading of the row at `base`."""
    return rows[base + HOUR] * GRID_MS + (rows[base + LAST] >> 32)


def mark_time_value(packed: int) -> tuple[int, int]:
    """Read the time since the hour, and the value, of a FIRST or LAST column."""
    return packed >> 32, (packed & _VALUE_MASK) - _VALUE_BIAS


class Carries(Protocol):
    """What a series tells that its oldest raw entry leaves (see `features.carried`)."""

    def let_go(self, event_time: int, value: int) -> None:
        """Hear that the oldest raw entry has left."""


class Series:
    """The readings of one feature. `carried` is derived from them and dropped with any change but the usual ones.

    >>> series = Series()
    >>> series.put(2_000, 72_000, 1), series.put(1_000, 70_000, 2), series.put(2_000, 72_000, 1)
    (<Put.STORED: 0>, <Put.STORED: 0>, <Put.DUPLICATE: 1>)
    >>> series.raw.tolist()
    [1000, 70000, 2, 2000, 72000, 1]
    """

    __slots__ = ("carried", "inexact", "raw", "rows")

    def __init__(self) -> None:
        self.raw: array[int] = array("q")
        self.rows: array[int] | None = None
        self.inexact = False
        self.carried: Carries | None = None

    def put(self, event_time: int, value: int, identity: int) -> Put:
        """Take a reading where its event time belongs.

        The same id again is a duplicate if value and time (by `CLOCK_PLAY_MS`) are, else an update that moves it.
        """
        raw = self.raw
        result = STORED
        # A byte search over at most 1.5 kB is six times as quick as comparing boxed ids.
        if raw and identity.to_bytes(ID_BYTES, ORDER, signed=True) in raw.tobytes():
            at = self._raw_index(identity)
            if at >= 0:
                if raw[at + 1] == value and 0 <= event_time - raw[at] <= CLOCK_PLAY_MS:
                    return DUPLICATE
                del raw[at : at + W]
                self.carried = None
                result = Put.UPDATED
        if not raw or event_time > raw[-3] or (event_time == raw[-3] and identity > raw[-1]):
            if not raw and self.rows and event_time <= self._bucketed_through():
                return self._put_in_bucket(event_time, value, identity, result)
            raw.fromlist([event_time, value, identity])
        elif self._put_late(event_time, value, identity):
            return self._put_in_bucket(event_time, value, identity, result)
        length, rows = len(raw), self.rows
        if length > _KEPT_LENGTH:
            oldest_kept = raw[-3] - RETENTION_MS
            if (
                raw[0] < oldest_kept or (rows is not None and rows[HOUR] * GRID_MS < oldest_kept)
            ) and self._forget_before(oldest_kept // GRID_MS * GRID_MS, event_time, identity):
                return Put.TOO_OLD
            if length > _RAW_LENGTH_MAX and len(raw) > _RAW_LENGTH_MAX:
                oldest = raw[0], raw[1], raw[2]
                del raw[:W]
                if self.carried is not None:
                    self.carried.let_go(oldest[0], oldest[1])
                self._fold(*oldest)
        return result

    def remove(self, identity: int, event_time: int, *, by_time: bool = True) -> tuple[Removal, int, int, int]:
        """Take a result back: by id, else the only reading at that very time. Gives (what, time, value, id) of it.

        Where not `by_time`, an id that is not there removes nothing.
        """
        raw = self.raw
        self.carried = None
        at = self._raw_index(identity)
        if at < 0:
            marked = self._remove_marked(identity)
            if marked is not None:
                return Removal.REMOVED, *marked
            times = raw[0::W]
            low = bisect_left(times, event_time)
            if by_time and bisect_right(times, event_time) - low == 1 and (raw[low * W + 2] < 0) == (identity < 0):
                at = low * W
        if at >= 0:
            gone = raw[at], raw[at + 1], raw[at + 2]
            del raw[at : at + W]
            return Removal.REMOVED, *gone
        if self.rows and event_time <= self._bucketed_through() and self._row_of(event_time // GRID_MS) >= 0:
            return Removal.COARSE, event_time, 0, identity
        return Removal.NOT_FOUND, event_time, 0, identity

    def holds(self, identity: int) -> bool:
        """Say whether a reading of this id is held in full or marks a bucket."""
        return self._raw_index(identity) >= 0 or self._is_marked(identity)

    def held_at(self, event_time: int) -> list[Mark]:
        """Give (time, value, id) of every reading held in full at this very time."""
        raw = self.raw
        return [(raw[at], raw[at + 1], raw[at + 2]) for at in range(0, len(raw), W) if raw[at] == event_time]

    def widen(self, event_time: int, value: int, identity: int) -> None:
        """Let an hour's extremes take in a corrected value whose old one can no longer be told apart."""
        rows = self.rows
        assert rows is not None
        self.carried = None
        base = self._row_of(event_time // GRID_MS)
        self._mark(base, (event_time % GRID_MS, value, identity))
        self.inexact = True

    def absorb(self, other: Series) -> None:
        """Take in another patient's readings of the same feature (a merge)."""
        theirs = other.rows
        self.carried = None
        if theirs:
            for base in range(0, len(theirs), R):
                self._absorb_row(theirs[base : base + R])
            # What was full here may now be older than what is in buckets: it follows it there.
            through = self._bucketed_through()
            while self.raw and self.raw[0] <= through:
                oldest = self.raw[0], self.raw[1], self.raw[2]
                del self.raw[:W]
                self._fold(*oldest)
        for at in range(0, len(other.raw), W):
            self.put(other.raw[at], other.raw[at + 1], other.raw[at + 2])
        self.inexact = self.inexact or other.inexact

    def _raw_index(self, identity: int) -> int:
        """Give where in `raw` the entry of this id begins, or -1."""
        try:
            return self.raw[2::W].index(identity) * W
        except ValueError:
            return -1

    def _put_late(self, event_time: int, value: int, identity: int) -> bool:
        """Insert out of order; true where the place is in a bucket instead."""
        raw = self.raw
        self.carried = None
        times = raw[0::W]
        place = bisect_right(times, event_time)
        while place and times[place - 1] == event_time and raw[place * W - 1] > identity:
            place -= 1
        if place == 0 and self.rows and event_time <= self._bucketed_through():
            return True
        raw[place * W : place * W] = array("q", (event_time, value, identity))
        return False

    def _put_in_bucket(self, event_time: int, value: int, identity: int, result: Put) -> Put:
        self.carried = None
        if self.raw and event_time < (self.raw[-3] - RETENTION_MS) // GRID_MS * GRID_MS:
            return Put.TOO_OLD
        base = self._row_of(event_time // GRID_MS)
        rows = self.rows
        if base >= 0 and rows is not None and identity in rows[base + FIRST_ID : base + R]:
            held = self._held_mark(base, identity)
            if held == (event_time % GRID_MS, value, identity):
                return Put.DUPLICATE
            self._remove_marked(identity)
            result = Put.UPDATED
        self._fold(event_time, value, identity)
        return result

    def _forget_before(self, limit: int, event_time: int, identity: int) -> bool:
        """Drop what is older than the limit, save the newest two; true if the entry just put was dropped."""
        raw, gone = self.raw, False
        while len(raw) > KEPT_ALWAYS * W and raw[0] < limit:
            gone = gone or (raw[0] == event_time and raw[2] == identity)
            if self.carried is not None:
                self.carried.let_go(raw[0], raw[1])
            del raw[:W]
        rows = self.rows
        if rows and rows[HOUR] * GRID_MS < limit:
            self.carried = None
            while rows and rows[HOUR] * GRID_MS < limit:
                del rows[:R]
            if not rows:
                self.rows = None
        return gone

    def _bucketed_through(self) -> int:
        """Give the newest event time in any bucket."""
        rows = self.rows
        assert rows
        return last_time(rows, len(rows) - R)

    def _row_of(self, hour: int) -> int:
        """Give where the row of this hour begins, or -1."""
        rows = self.rows
        if not rows:
            return -1
        if rows[-R] == hour:
            return len(rows) - R
        hours = rows[HOUR::R]
        place = bisect_left(hours, hour)
        return place * R if place < len(hours) and hours[place] == hour else -1

    def _fold(self, event_time: int, value: int, identity: int) -> None:
        """Add a reading to its hour's sums and marks."""
        hour, time = divmod(event_time, GRID_MS)
        rows = self.rows
        base = self._row_of(hour)
        if rows is None or base < 0:
            by_time, by_value = _by_time((time, value, identity))[0], _by_value((time, value, identity))[0]
            row = array("q", (hour, 1, value, value * value, time, time * time, time * value, by_time, by_time))
            row.fromlist([by_value, by_value, identity, identity, identity, identity])
            if rows is None:
                self.rows = row
            else:
                place = bisect_left(rows[HOUR::R], hour) * R
                rows[place:place] = row
            return
        if rows[base + COUNT] < BUCKET_COUNT_MAX:
            rows[base + COUNT] += 1
            rows[base + SV] += value
            rows[base + SVV] += value * value
            rows[base + ST] += time
            rows[base + STT] += time * time
            rows[base + STV] += time * value
        else:
            self.inexact = True
        self._mark(base, (time, value, identity))

    def _mark(self, base: int, mark: Mark) -> None:
        """Let a row's four marks take in a reading."""
        rows = self.rows
        assert rows is not None
        identity = mark[2]
        by_time = mark[0] << 32 | (mark[1] + _VALUE_BIAS)
        by_value = (mark[1] + _VALUE_BIAS) << _TIME_BITS | mark[0]
        held = rows[base + LAST]
        if by_time > held or (by_time == held and identity > rows[base + LAST_ID]):
            rows[base + LAST], rows[base + LAST_ID] = by_time, identity
        held = rows[base + FIRST]
        if by_time < held or (by_time == held and identity < rows[base + FIRST_ID]):
            rows[base + FIRST], rows[base + FIRST_ID] = by_time, identity
        held = rows[base + LOWEST]
        if by_value < held or (by_value == held and identity < rows[base + LOWEST_ID]):
            rows[base + LOWEST], rows[base + LOWEST_ID] = by_value, identity
        held = rows[base + HIGHEST]
        if by_value > held or (by_value == held and identity > rows[base + HIGHEST_ID]):
            rows[base + HIGHEST], rows[base + HIGHEST_ID] = by_value, identity

    def _marks(self, base: int) -> list[Mark]:
        """Give the distinct readings that a row still knows."""
        rows = self.rows
        assert rows is not None
        first, last = mark_time_value(rows[base + FIRST]), mark_time_value(rows[base + LAST])
        marks = [(*first, rows[base + FIRST_ID]), (*last, rows[base + LAST_ID])]
        for column, identity in ((LOWEST, LOWEST_ID), (HIGHEST, HIGHEST_ID)):
            packed = rows[base + column]
            marks.append((packed & _TIME_MASK, mark_value(packed), rows[base + identity]))
        return sorted(dict.fromkeys(marks))

    def _held_mark(self, base: int, identity: int) -> Mark | None:
        return next((mark for mark in self._marks(base) if mark[2] == identity), None)

    def _is_marked(self, identity: int) -> bool:
        rows = self.rows or ()
        return identity in chain.from_iterable(rows[column::R] for column in range(FIRST_ID, R))

    def _remove_marked(self, identity: int) -> tuple[int, int, int] | None:
        """Take a marked reading out of its row; gives its (event_time, value, id), or None if no row marks it."""
        rows = self.rows
        if not rows or not self._is_marked(identity):
            return None
        base = next(at for at in range(0, len(rows), R) if identity in rows[at + FIRST_ID : at + R])
        hour, marks = rows[base + HOUR], self._marks(base)
        gone = next(mark for mark in marks if mark[2] == identity)
        others = [mark for mark in marks if mark[2] != identity]
        time, value, _ = gone
        if rows[base + COUNT] <= 1 or not others:
            del rows[base : base + R]
            if not rows:
                self.rows = None
            return hour * GRID_MS + time, value, identity
        rows[base + COUNT] -= 1
        rows[base + SV] -= value
        rows[base + SVV] -= value * value
        rows[base + ST] -= time
        rows[base + STT] -= time * time
        rows[base + STV] -= time * value
        if rows[base + COUNT] > len(others):
            self.inexact = True
        first, last = min(others, key=_by_time), max(others, key=_by_time)
        lowest, highest = min(others, key=_by_value), max(others, key=_by_value)
        packed = [_by_time(first)[0], _by_time(last)[0], _by_value(lowest)[0], _by_value(highest)[0]]
        ids = [first[2], last[2], lowest[2], highest[2]]
        rows[base + FIRST : base + R] = array("q", packed + ids)
        return hour * GRID_MS + time, value, identity

    def _absorb_row(self, row: array[int]) -> None:
        rows = self.rows
        base = self._row_of(row[HOUR])
        if rows is None:
            self.rows = row
        elif base < 0:
            place = bisect_left(rows[HOUR::R], row[HOUR]) * R
            rows[place:place] = row
        else:
            for column in (COUNT, SV, SVV, ST, STT, STV):
                rows[base + column] += row[column]
            for column, identity in ((FIRST, FIRST_ID), (LAST, LAST_ID)):
                self._mark(base, (*mark_time_value(row[column]), row[identity]))
            for column, identity in ((LOWEST, LOWEST_ID), (HIGHEST, HIGHEST_ID)):
                self._mark(base, (row[column] & _TIME_MASK, mark_value(row[column]), row[identity]))
