"""Which events of a topic subscription were heard, by their numbers: what is missing below the newest is a gap.

Owns the counting. Must not know a notification's form, nor how a gap is filled. Nothing is kept over a restart: what
came while nobody listened is polling's to find.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

GAP_EVENTS_MAX = 10_000
"""A wider gap is not looked into, nor asked for by number: the server is polled instead."""


class Gap(msgspec.Struct, frozen=True):
    """Events of which nothing was heard: the first and the last number, and how many of those between are missing."""

    first: int
    last: int
    events: int


class EventNumbers:
    """Counts the events of one subscription: they are numbered from 1, each one more than the one before.

    >>> numbers = EventNumbers()
    >>> numbers.hear([4], 4), numbers.hear([7], 7), numbers.hear([5, 6], 6), numbers.hear([], 8)
    (None, Gap(first=5, last=6, events=2), None, Gap(first=8, last=8, events=1))
    """

    def __init__(self) -> None:
        self._newest: int | None = None

    def hear(self, numbers: Iterable[int], since_start: int | None) -> Gap | None:
        """Count what a notification brings; give what is missing up to its newest and was not told missing before.

        A number told missing that comes late is no news here. `since_start` is how many events there were in all.
        """
        heard = {number for number in numbers if number > 0}
        newest = max([*heard, since_start or 0])
        before = self._newest
        if before is None:
            # The first that we hear of: only what this very notification should have brought can be missing.
            before = min(heard) - 1 if heard else newest
        self._newest = max(before, newest)
        if newest - before > GAP_EVENTS_MAX:
            return Gap(before + 1, newest, newest - before - len(heard))
        missing = [number for number in range(before + 1, newest + 1) if number not in heard]
        return Gap(missing[0], missing[-1], len(missing)) if missing else None

    def begin_anew(self, since_start: int | None) -> bool:
        """Follow a server that counts from the beginning again; say whether it does.

        >>> numbers = EventNumbers()
        >>> numbers.hear([9], 9), numbers.begin_anew(9), numbers.begin_anew(0), numbers.hear([1], 1)
        (None, False, True, None)
        """
        if since_start is None or self._newest is None or since_start >= self._newest:
            return False
        self._newest = since_start
        return True
