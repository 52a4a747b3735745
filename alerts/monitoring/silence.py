"""The silence of one feed or one ward: how long it may last, and whether it was told.

Owns the deadline of a subject that is heard now and then. Must not know what it is, nor what is said when it passes.
A deadline is set when the subject is heard, from what was usual by then, and looked at again when it comes: a silence
that reaches into hours which are quieter may last longer.
"""

from __future__ import annotations

from alerts.monitoring.usual import UNIT_MS, Usual
from events import MILLIS_PER_HOUR, Millis

NEVER: Millis = 1 << 62
"""Later than any deadline."""
FEED_TIMES, WARD_TIMES = 2, 3
"""A silence is told from twice what is seldom exceeded: of messages that come by chance such a one happens once in
200,000 (docs/monitoring.md). A ward's do not come by chance but by rounds, and there are fewer to learn from."""


class Bounds:
    """What a kind of subject may be silent for at the least, at the most, and before anything is learned."""

    __slots__ = ("first", "learning", "least", "most", "times")

    def __init__(self, first: Millis, least: Millis, most: Millis, learning: Millis, times: int = FEED_TIMES) -> None:
        self.first, self.least, self.most, self.learning, self.times = first, least, most, learning, times


class Silence:
    """When a subject was last heard, and until when its silence is usual.

    >>> silence = Silence(0)
    >>> bounds = Bounds(3_600_000, 600_000, 43_200_000, 86_400_000)
    >>> silence.hear(0, bounds); silence.deadline // 60_000
    60
    >>> for minute in range(1, 1441):
    ...     silence.hear(minute * 60_000, bounds)
    >>> (silence.deadline - silence.heard) // 60_000
    10
    """

    __slots__ = ("deadline", "first", "heard", "hour", "limit", "since", "told", "usual")

    def __init__(self, at: Millis) -> None:
        self.first = self.heard = self.since = at
        self.deadline: Millis = NEVER
        self.limit: Millis = 0
        self.hour = -1
        """The hour that `limit` was reckoned in."""
        self.told = False
        self.usual = Usual()

    def hear(self, at: Millis, bounds: Bounds, least: Millis = 0) -> None:
        """Hear the subject; it may be silent for `least` at any rate."""
        gap = at - self.heard
        if gap > 0:
            # What nobody could hear (`excuse`) is not learned from.
            if gap >= UNIT_MS and self.since == self.heard:
                self.usual.add(at, gap, unusual=self.told)
            self.heard = self.since = at
        hour = at // MILLIS_PER_HOUR
        if hour != self.hour:
            self.hour, self.limit = hour, self._limit(at, at, bounds)
        self.deadline = self.since + max(self.limit, least)

    def begin(self, at: Millis, bounds: Bounds) -> None:
        """Count its silence from here on, though it was not heard: only now is there anything to hear of.

        How long it may be silent at any rate is asked when its deadline comes.

        >>> silence = Silence(0)
        >>> silence.begin(0, Bounds(3_600_000, 600_000, 43_200_000, 86_400_000)); silence.deadline // 60_000
        60
        """
        self.since, self.hour = at, -1
        self.deadline = at + self._limit(at, at, bounds)

    def excuse(self, at: Millis) -> None:
        """Count the silence from here on: until now it may have been ours."""
        if not self.told and self.deadline != NEVER:
            self.deadline += at - self.since
            self.since = at

    def lasts(self, at: Millis, bounds: Bounds, least: Millis = 0) -> bool:
        """Say at the deadline whether it is too long; where it is not, the deadline moves."""
        limit = max(self._limit(self.since, at, bounds), least)
        if self.since + limit > at:
            self.deadline = self.since + limit
            return False
        return True

    def _limit(self, since: Millis, at: Millis, bounds: Bounds) -> Millis:
        usual = self.usual.bound(since // MILLIS_PER_HOUR, at // MILLIS_PER_HOUR)
        learned = 0 if usual is None else bounds.times * usual
        if usual is None or since - self.first < bounds.learning:
            learned = max(learned, bounds.first)
        return min(max(learned, bounds.least), bounds.most)
