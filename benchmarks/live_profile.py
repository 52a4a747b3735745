"""A worker under a sampling profiler: `live.py --profile` starts it in place of `wardstream`.

Owns where a worker's CPU time is spent, by thread and by function. Must not know what a worker does. Every few
milliseconds each thread's CPU clock is read, and what it has used since goes to the function it is in (and, for the
totals, to every function that waits for it). When the worker ends the table goes to standard error, which is its log.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from types import FrameType

EVERY_S = 0.003
SWITCH_S = 0.0002
"""How soon a thread gives way to the sampler: with Python's own 5 ms it would see those that wait, and no others."""
LINES = 90


class Sampler(threading.Thread):
    """Samples all threads but its own until told to stop."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.own: defaultdict[str, float] = defaultdict(float)
        self.total: defaultdict[str, float] = defaultdict(float)
        self.by_thread: defaultdict[str, float] = defaultdict(float)
        self.ended = threading.Event()

    def run(self) -> None:
        """Sample."""
        clocks: dict[int, float] = {}
        while not self.ended.wait(EVERY_S):
            names = {thread.ident: thread.name for thread in threading.enumerate()}
            for ident, frame in sys._current_frames().items():  # noqa: SLF001 - the one way to see other threads
                if ident == self.ident or ident not in names:
                    continue
                try:
                    now = time.clock_gettime(time.pthread_getcpuclockid(ident))
                except OSError:
                    continue
                used = now - clocks.get(ident, now)
                clocks[ident] = now
                if used > 0:
                    self._note(names[ident], frame, used)

    def _note(self, thread: str, frame: FrameType, used: float) -> None:
        name = "Main" if thread == "MainThread" else "pool" if thread.startswith("asyncio") else "other"
        self.by_thread[name] += used
        self.own[f"{name} {_place(frame)}"] += used
        seen = set()
        at: FrameType | None = frame
        while at is not None:
            place = _place(at)
            if place not in seen:
                seen.add(place)
                self.total[f"{name} {place}"] += used
            at = at.f_back

    def tell(self) -> None:
        """Write the tables."""
        whole = sum(self.by_thread.values()) or 1.0
        print(f"\nprofile: {whole:.1f} s of CPU; by thread {dict(self.by_thread)}", file=sys.stderr)
        for title, table in (("in it", self.own), ("in it or below", self.total)):
            print(f"\n   share  s      {title}", file=sys.stderr)
            for place, used in sorted(table.items(), key=lambda one: -one[1])[:LINES]:
                print(f"  {used / whole:6.1%}  {used:6.2f} {place}", file=sys.stderr)


def _place(frame: FrameType) -> str:
    code = frame.f_code
    return f"{'/'.join(code.co_filename.split('/')[-2:])}:{code.co_qualname}"


def main() -> None:
    """Run `wardstream` under the sampler."""
    from stream.cli import main as wardstream

    sys.setswitchinterval(SWITCH_S)
    sampler = Sampler()
    sampler.start()
    try:
        wardstream()
    finally:
        sampler.ended.set()
        sampler.join()
        sampler.tell()


if __name__ == "__main__":
    main()
