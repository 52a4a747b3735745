"""Whether records wait before the log: then a silence on the log may be ours, and no feed is called silent for it.

Owns that judgement. Must not know Kafka's or Redis's clients: it is told where the ingest topics end and how far
[parse] is, whoever works it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from events import MILLIS_PER_MINUTE, MILLIS_PER_SECOND, Millis

ASKED_EVERY_MS = 5 * MILLIS_PER_SECOND
"""One answer serves all partitions of a worker that ask at the turn of a minute."""
STILL_MS_MAX = 10 * MILLIS_PER_MINUTE
"""A partition on which nothing has come and nothing was folded for so long holds nobody's silence back: what is left
there may be the marks of a transaction, which are never folded. Where a feed speaks, its end moves."""

Place = tuple[str, int]
"""Topic and partition."""


class Backlog:
    """Asked for each tick that enters the log.

    >>> now, ends = [0], {("hl7v2.ingest.v1", 0): 5}
    >>> backlog = Backlog(list(ends), ends.get, lambda _place: 3, lambda: now[0])
    >>> backlog()
    True
    >>> now[0] += STILL_MS_MAX + ASKED_EVERY_MS
    >>> backlog()
    False
    """

    def __init__(
        self,
        places: Sequence[Place],
        end_of: Callable[[Place], int | None],
        watermark_of: Callable[[Place], int],
        now: Callable[[], Millis],
    ) -> None:
        """`watermark_of` may raise a `StoreFault`."""
        self._places = tuple(places)
        self._end_of = end_of
        self._watermark_of = watermark_of
        self._now = now
        self._moved: dict[Place, tuple[int, int, Millis]] = {}
        """How far each place was, and since when it is."""
        self._asked: Millis | None = None
        self._answer = False

    def __call__(self) -> bool:
        """Say whether records wait."""
        now = self._now()
        if self._asked is None or now - self._asked >= ASKED_EVERY_MS:
            waiting = [place for place in self._places if self._waits(place, now)]
            self._answer = bool(waiting)
            self._asked = now
        return self._answer

    def _waits(self, place: Place, now: Millis) -> bool:
        end, watermark = self._end_of(place) or 0, self._watermark_of(place)
        before = self._moved.get(place)
        if before is None or before[:2] != (end, watermark):
            self._moved[place] = (end, watermark, now)
            return watermark + 1 < end
        return watermark + 1 < end and now - before[2] < STILL_MS_MAX
