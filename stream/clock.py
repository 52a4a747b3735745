"""The running service's clock: what stamps `received_time`, and what it does when the machine's clock jumps.

Owns the rules. Must not know who asks. Replays have no clock: what this one said is in the log.

It never runs backward, and it never stands still, for timers hang on it:

| the machine's clock | ours |
| --- | --- |
| drifts, or is slewed by NTP | goes with it |
| jumps ahead by up to `FOLLOWED_STEP_MS_MAX` | goes with it, and says so |
| jumps ahead further | is not believed: ours runs on, and says so until the jump is undone or a person believes it |
| falls behind | ours runs at half speed until the other has caught up, and says so |
| is behind the log when we start | as before: we begin where the log ends |

A restart within one boot of the machine goes on where the clock was (`recall`): a supervisor that starts us again is no
person. After a boot the machine's clock is believed: nothing tells how long it was off.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from events import MILLIS_PER_MINUTE, Millis

DRIFT_MS_MAX = 1_000
"""NTP slews by at most half a millisecond a second, and we are asked oftener than every half hour: more is a jump."""
FOLLOWED_STEP_MS_MAX = 15 * MILLIS_PER_MINUTE
"""What a correction after a boot without network comes to. One of hours would make every value of every patient stale
in one moment, and could not be taken back: the log's clock never runs backward."""

CLOCK_FILE = "clock.json"

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
        expected: Millis | None = None,
    ) -> None:
        """Begin at the machine's time, or at what is `expected` of it; or where the log ends, if that is later."""
        self._wall = wall
        self._elapsed = elapsed
        self._lock = threading.Lock()
        self._asked = elapsed()
        self._now = max(wall() if expected is None else expected, log_clock)
        self.offset_ms: Millis = self._now - wall()
        """Ours less the machine's, as of the last answer."""
        self.steps = 0
        """Jumps of the machine's clock seen so far."""
        self.trouble: Trouble = "behind" if self.offset_ms > DRIFT_MS_MAX else ""
        """`ahead`: the machine's clock jumped further ahead than is believed. `behind`: it is behind ours."""
        if expected is not None:
            self.now()

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


class _Remembered(msgspec.Struct, frozen=True):
    boot: str
    """Which boot of the machine it was."""
    ours_less_elapsed_ms: Millis


class ClockMemory:
    """Where the clock was, kept in the data folder for the next process of the same boot."""

    def __init__(self, folder: Path, boot: str | None = None) -> None:
        self._path = folder / CLOCK_FILE
        self._boot = _boot_id() if boot is None else boot
        self._kept: Millis | None = None

    def recall(self, elapsed: Millis) -> Millis | None:
        """Give what the time is expected to be; None after another boot, or where nothing readable is kept."""
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=_Remembered)
        except (OSError, msgspec.DecodeError):
            return None
        return kept.ours_less_elapsed_ms + elapsed if self._boot and kept.boot == self._boot else None

    def keep(self, now: Millis, elapsed: Millis) -> None:
        """Keep where the clock is, if it has moved against elapsed time; raises `OSError`."""
        ahead = now - elapsed
        if self._kept is not None and abs(ahead - self._kept) <= DRIFT_MS_MAX:
            return
        part = self._path.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(_Remembered(self._boot, ahead)))
        part.replace(self._path)
        self._kept = ahead


def _boot_id() -> str:
    """Name this boot of the machine; empty where nothing names it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
