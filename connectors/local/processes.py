"""One child process that outlives a call: started, watched, frozen, killed, and found again by its pid file.

Owns pids and signals. Must not know what a process does. A pid alone names nobody: the system gives it to another once
its owner has ended. So a pid file also holds when the process started, and nothing is sent to a pid that started at
another time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

POLL_S = 0.02
"""How often a state is looked at that nobody tells us of."""
FREEZE_S = 30.0
"""How long the threads of a process may take to stand still after SIGSTOP; who waits for the disk does that first."""
KILL_GRACE_S = 10.0
"""How long the system may take to end a process after SIGKILL: a page-out of its memory, at worst."""
LOG_TAIL_CHARS = 2_000
"""Of a process that did not start: enough for its last error."""


class LocalError(Exception):
    """Something on this machine is not as it must be: the operator's to mend; the text says how."""


class Mark(msgspec.Struct, frozen=True):
    """A process that cannot be mistaken for another: its pid, and when it started, as the system writes that."""

    pid: int
    started: str


def mark_of(pid: int) -> Mark | None:
    """Give the mark of a process that runs; None where there is none, or where it has ended and waits to be read."""
    try:
        # The name, in parentheses, may hold spaces and parentheses of its own: the fields begin after the last one.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return _mark_by_ps(pid) if not Path("/proc/self").exists() else None
    state, started = fields[0], fields[19]
    return None if state in {"Z", "X"} else Mark(pid, started)


def _mark_by_ps(pid: int) -> Mark | None:
    told = subprocess.run(  # noqa: S603 - fixed words and a number
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],  # noqa: S607 - where ps lies differs
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split(maxsplit=1)
    return Mark(pid, told[1].strip()) if len(told) == 2 and not told[0].startswith("Z") else None


def runs(mark: Mark) -> bool:
    """Tell whether the very process of a mark still runs.

    >>> own = mark_of(os.getpid())
    >>> runs(own), runs(Mark(own.pid, "at another time"))
    (True, False)
    """
    return mark_of(mark.pid) == mark


def send(mark: Mark, number: signal.Signals) -> bool:
    """Send a signal to the very process of a mark; tells whether it was there."""
    if not runs(mark):
        return False
    try:
        os.kill(mark.pid, number)
    except ProcessLookupError:
        return False
    return True


def stands(pid: int) -> bool:
    """Tell whether every thread of a process is stopped: each stops by itself, on a busy machine some ms apart.

    >>> stands(os.getpid())
    False
    """
    states = []
    for task in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError):  # a thread that has ended meanwhile
            states.append(task.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0])
    return all(state in {"T", "t"} for state in states)


def await_that(holds: Callable[[], bool], within_s: float) -> bool:
    """Wait until something holds; tells whether it came to hold in time."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def stop(mark: Mark, grace_s: float) -> bool:
    """End a process: SIGTERM, and SIGKILL after the grace; tells whether it ended in order. A frozen one goes on."""
    asked = send(mark, signal.SIGTERM)
    send(mark, signal.SIGCONT)  # a frozen process hears SIGTERM only when it goes on
    if not asked or await_that(lambda: not runs(mark), grace_s):
        return True
    send(mark, signal.SIGKILL)
    if not await_that(lambda: not runs(mark), KILL_GRACE_S):
        raise LocalError(f"process {mark.pid} does not end, not by SIGKILL either: look at it with ps")
    return False


def read_mark(path: Path) -> Mark | None:
    """Read a pid file; None where there is none. Raises `LocalError` where it is none of ours."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Mark)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError:
        raise LocalError(f"{path} is no pid file of ours: look at what it is, then remove it") from None


def write_mark(path: Path, mark: Mark) -> None:
    """Write a pid file, whole or not at all."""
    beside = path.with_suffix(".new")
    beside.write_bytes(msgspec.json.encode(mark) + b"\n")
    beside.replace(path)


class Child:
    """One process of ours by name in a folder: `NAME.log` and `NAME.pid` lie there. The same object starts it again.

    It has a session of its own, so that Ctrl-C at our terminal does not reach it before we have decided in which order
    things end.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.pid_file = folder / f"{name}.pid"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def mark(self) -> Mark | None:
        """The process that the pid file names; None where it does not run."""
        self._reap()
        mark = read_mark(self.pid_file)
        return mark if mark is not None and runs(mark) else None

    @property
    def running(self) -> bool:
        """Whether it runs (frozen counts)."""
        return self.mark is not None

    def start(
        self, words: Sequence[str], *, cwd: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start it; what it says is added to its log."""
        if self.running:
            raise LocalError(f"{self.name} runs already: {self.pid_file}")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the caller's own words, no shell
                list(words),
                cwd=cwd,
                env=dict(environment) if environment is not None else None,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        mark = mark_of(self._process.pid)
        if mark is not None:  # else it ended at once; `running` will say so
            write_mark(self.pid_file, mark)

    def stop(self, grace_s: float) -> bool:
        """End it in order, or by force after the grace; tells whether it ended in order."""
        mark = self.mark
        in_order = stop(mark, grace_s) if mark is not None else True
        self._reap()
        self.pid_file.unlink(missing_ok=True)
        return in_order

    def kill(self) -> None:
        """Kill it (SIGKILL) and wait until it is gone."""
        mark = self.mark
        if mark is not None:
            send(mark, signal.SIGKILL)
            assert await_that(lambda: not runs(mark), KILL_GRACE_S), f"{self.name} outlives SIGKILL"
        self._reap()
        self.pid_file.unlink(missing_ok=True)

    def freeze(self) -> None:
        """Stop it in its tracks (SIGSTOP), every thread of it: it holds its connections and says nothing."""
        self._signal(signal.SIGSTOP)
        mark = self.mark
        if mark is not None and not await_that(lambda: stands(mark.pid), FREEZE_S):
            raise LocalError(f"{self.name} was told to stand still, and some of it still runs")

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        mark = self.mark
        if mark is None or not send(mark, number):
            raise LocalError(f"{self.name} does not run: {self.tail()}")

    def _reap(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            self._process = None

    def tail(self) -> str:
        """Give the end of its log."""
        try:
            return self.log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL_CHARS:]
        except FileNotFoundError:
            return "(it has no log)"

    def await_ready(self, ready: Callable[[], bool], within_s: float) -> None:
        """Wait until it answers; raises `LocalError` with its last words where it ends instead, or takes too long."""
        answered = await_that(lambda: ready() or not self.running, within_s)
        if self.running and answered:
            return
        why = f"did not answer within {within_s:g} s" if self.running else "ended while it started"
        self.kill()
        raise LocalError(f"{self.name} {why}; its log, {self.log}, ends:\n{self.tail()}")
