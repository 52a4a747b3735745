"""What is usual: how long the silences of a subject last at an hour of the day, learned from the stream itself.

Owns the histogram, its forgetting and its upper bound. Must not know whose silences they are. Whole numbers only: the
same gaps in the same order give the same bound, whatever the batches and the hash seed.

A silence weighs as much as it lasts: of a laboratory that sends two hundred results at once each hour, it is the hour
between that is usual. Hours are of UTC, and an hour is judged with the one before and after it, so a night of
daylight-saving change, which moves every habit by one hour, is usual too.
"""

from __future__ import annotations

from events import MILLIS_PER_HOUR, Millis

HOURS = 24
DAY_MS = 24 * MILLIS_PER_HOUR
UNIT_MS = 6_000
"""A silence's weight is counted in tenths of a minute; a shorter one weighs nothing."""
WEIGHT_MAX = DAY_MS // UNIT_MS
"""A silence of more than a day weighs as one of a day."""
ENOUGH = 90 * 60_000 // UNIT_MS
"""Before an hour and a half was heard, nothing is known to be usual."""
TAIL_SHIFT = 6
"""One part in 64 of the time may lie in longer silences than the bound."""
FORGET_SHIFT = 3
"""Each day the days before count an eighth less: half is gone after five days."""
FORGOTTEN_DAYS = 40
"""After which nothing of a day is left."""
UNUSUAL_SHIFT = 4
"""A silence that was told counts a sixteenth: one outage does not become usual, a new habit does within days."""

Stored = tuple[list[int], list[dict[int, int]]]
"""Of each hour the day that it was last heard on, and its bins."""


def bin_of(number: int) -> int:
    """Give the quarter octave of a whole number, 1 or more.

    >>> [bin_of(number) for number in (1, 2, 3, 4, 5, 6, 7, 8)]
    [4, 8, 10, 12, 13, 14, 15, 16]
    """
    length = number.bit_length()
    return (length << 2) | (((number << 2) >> (length - 1)) & 3)


def above(found: int) -> int:
    """Give the least whole number above a quarter octave.

    >>> [above(bin_of(number)) for number in (1, 2, 3, 5, 100)]
    [2, 3, 4, 6, 112]
    """
    length, quarter = found >> 2, found & 3
    return -(-((5 + quarter) << (length - 1)) // 4)


class Usual:
    """The silences of one subject, by the hour of the day in which they began or ended; or all together (`hours` is 1).

    >>> usual = Usual()
    >>> for minute in range(0, 120, 5):
    ...     usual.add((minute + 5) * 60_000, 5 * 60_000)
    >>> usual.bound(0, 1) // 60_000
    5
    """

    __slots__ = ("_days", "_hours")

    def __init__(self, stored: Stored | None = None, hours: int = HOURS) -> None:
        days, bins = stored or ([0] * hours, [{} for _ in range(hours)])
        self._days, self._hours = days, bins

    def add(self, at: Millis, gap: Millis, *, unusual: bool = False) -> None:
        """Learn a silence that ended at an instant."""
        weight = min(gap // UNIT_MS, WEIGHT_MAX)
        if unusual:
            weight >>= UNUSUAL_SHIFT
        if not weight:
            return
        found = bin_of(gap // 1_000)
        last, first = at // MILLIS_PER_HOUR, (at - gap) // MILLIS_PER_HOUR
        for hour in (last,) if first == last or len(self._hours) == 1 else (first, last):
            bins = self._of(hour)
            bins[found] = bins.get(found, 0) + weight

    def _of(self, hour: int) -> dict[int, int]:
        """Give the bins of an hour of a day, what is older forgotten in part."""
        day, at = hour // HOURS, hour % len(self._hours)
        passed = day - self._days[at]
        if passed > 0:
            bins = self._hours[at]
            for _ in range(min(passed, FORGOTTEN_DAYS) if bins else 0):
                bins = {found: left for found, weight in bins.items() if (left := _less(weight))}
            self._hours[at], self._days[at] = {} if passed >= FORGOTTEN_DAYS else bins, day
        return self._hours[at]

    def bound(self, first_hour: int, last_hour: int) -> Millis | None:
        """Give the silence that is seldom exceeded in these hours and their neighbours; None where little is known."""
        weights: dict[int, int] = {}
        worst = None
        if len(self._hours) == 1:
            weights = self._hours[0]
        else:
            for hour in range(first_hour - 1, min(last_hour + 1, first_hour + HOURS - 2) + 1):
                for found, weight in self._hours[hour % HOURS].items():
                    weights[found] = weights.get(found, 0) + weight
        total = sum(weights.values())
        if total < ENOUGH:
            return None
        left = total - (total >> TAIL_SHIFT)
        for found in sorted(weights):
            left -= weights[found]
            worst = found
            if left <= 0:
                break
        assert worst is not None
        return above(worst) * 1_000

    def stored(self) -> Stored:
        """Give what `Usual` takes to be made again: itself and no copy, to be written at once."""
        return self._days, self._hours


def _less(weight: int) -> int:
    return weight - ((weight + (1 << FORGET_SHIFT) - 1) >> FORGET_SHIFT)
