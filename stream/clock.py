"""The running service's clock: what stamps `received_time`, and what it does when the machine's clock jumps.

Owns the rules. Must not know who asks. Replays have no clock: what this one said is in the log.

It never runs backward, and it never stands still, for timers hang on it:

| the machine's clock | ours |
| --- | --- |
| drifts, or is slewed by NTP | goes with it |
| jumps ahead by up to `FOLLOWED_STEP_MS_MAX` | goes with it, and says so |
| jumps ahead further | is not believed: ours runs on, and says so until the jump is undone or we are restarted |
| falls behind | ours runs at half speed until the other has caught up, and says so |
| is behind the log when we start | as before: we begin where the log ends |
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

from events import MILLIS_PER_MINUTE, Millis

DRIFT_MS_MAX = 1_000
"""NTP slews by at most half a millisecond a second, and we are asked oftener than every half hour: more is a jump."""
FOLLOWED_STEP_MS_MAX = 15 * MILLIS_PER_MINUTE
"""What a correction after a boot without network comes to. One of hours would make every value of every patient stale
in one moment, and could not be taken back: the log's clock never runs backward."""

Trouble = Literal["", "ahead", "behind"]


def wall_ms() -> Millis:
    """Give the machine's clock."""
    return time.time_ns() // 1_000_000


def elapsed_ms() -> Millis:
    """Give the time since boot, sleep included, which no correction of the clock moves."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class ServiceClock:
    """Asked from any thread; every answer is at least the one before.

    >>> wall, elapsed = [1_000], [0]
    >>> clock = ServiceClock(0, wall=lambda: wall[0], elapsed=lambda: elapsed[0])
    >>> wall[0], elapsed[0] = 90_000_000, 50  # a day ahead in 50 ms: not believed
    >>> clock.now(), clock.trouble
    (1050, 'ahead')
    """

    def __init__(
        self,
        log_clock: Millis,
        *,
        wall: Callable[[], Millis] = wall_ms,
        elapsed: Callable[[], Millis] = elapsed_ms,
    ) -> None:
        """Begin at the machine's time, or where the log ends if that is later."""
        self._wall = wall
        self._elapsed = elapsed
        self._lock = threading.Lock()
        self._asked = elapsed()
        self._now = max(wall(), log_clock)
        self.offset_ms: Millis = self._now - wall()
        """Ours less the machine's, as of the last answer."""
        self.steps = 0
        """Jumps of the machine's clock seen so far."""
        self.trouble: Trouble = "behind" if self.offset_ms > DRIFT_MS_MAX else ""
        """`ahead`: the machine's clock jumped further ahead than is believed. `behind`: it is behind ours."""

    def now(self) -> Millis:
        """Give the time, in milliseconds since 1970."""
        with self._lock:
            elapsed, wall = self._elapsed(), self._wall()
            passed = max(0, elapsed - self._asked)
            self._asked = elapsed
            expected = self._now + passed
            apart = wall - expected
            before = self.trouble
            if abs(apart) <= DRIFT_MS_MAX:
                self._now, self.trouble = max(self._now, wall), ""
            elif apart > FOLLOWED_STEP_MS_MAX:
                self._now, self.trouble = expected, "ahead"
            elif apart > 0:
                self._now, self.trouble = wall, ""
                self.steps += 1
            else:
                self._now, self.trouble = expected - min(passed // 2, -apart), "behind"
            self.steps += self.trouble not in ("", before)
            self.offset_ms = self._now - wall
            return self._now
