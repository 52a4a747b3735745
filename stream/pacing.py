"""When each message of a simulated hospital is meant to go out.

Owns the schedule: at a rate, at a speed of the hospital's own time, or as fast as messages are acknowledged. Must not
know a clock or a socket: it is arithmetic on seconds that are given.

The schedule is open loop: it is fixed when sending begins. A message that goes out late moves none after it, so that a
slow receiver shows as lateness and never as a lower rate that nobody asked for.
"""

from __future__ import annotations

import msgspec

from events import MILLIS_PER_SECOND, Millis

LATE_S = 1.0
"""From here on a message counts as late: well past what a timer or a busy machine costs."""


class Schedule(msgspec.Struct, frozen=True):
    """The intended moment of each message, in seconds on the clock that `origin_s` is read from.

    >>> Schedule(origin_s=100.0, rate=4.0).due_s(2, sent_time=0)
    100.5
    >>> Schedule(origin_s=100.0, speed=60.0, first_time=0).due_s(2, sent_time=60_000)
    101.0
    >>> Schedule(origin_s=100.0).due_s(2, sent_time=60_000) is None
    True
    """

    origin_s: float
    """The moment that the schedule begins."""
    rate: float = 0.0
    """Messages a second; 0: not by rate."""
    speed: float = 0.0
    """Seconds of the hospital in one second; 0: not by speed."""
    first_time: Millis = 0
    """The hospital's time at `origin_s`; what was sent before it is due at once, in order."""

    def due_s(self, number: int, sent_time: Millis) -> float | None:
        """Give when the message is meant to go out: the `number`-th of this run, from 0. None: as soon as it can."""
        if self.rate:
            return self.origin_s + number / self.rate
        if self.speed:
            ahead_ms = max(0, sent_time - self.first_time)
            return self.origin_s + ahead_ms / MILLIS_PER_SECOND / self.speed
        return None


def present_of(start_time: Millis, now_time: Millis, speed: float) -> Millis:
    """Give the hospital's present, where it began at `start_time` by the clock on the wall and goes on at `speed`.

    A hospital that goes on in the present catches up after a stop, as an interface engine does.

    >>> present_of(start_time=1_000, now_time=3_000, speed=1.0)
    3000
    """
    return start_time + int((now_time - start_time) * speed)
