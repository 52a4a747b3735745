"""Processes of ours: the right one is stopped, whatever its pid has become, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.local.processes import Child, LocalError, Mark, await_that, mark_of, runs, stands, stop, write_mark

WAITS = (sys.executable, "-c", "import signal; signal.pause()")
DEAF = (
    sys.executable,
    "-uc",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf')\nwhile True: signal.pause()",
)


def test_a_child_is_found_again_by_its_pid_file(tmp_path: Path) -> None:
    """Another object, as in another process, finds the child by its pid file and ends it in order."""
    Child("one", tmp_path).start(WAITS)
    found = Child("one", tmp_path)
    assert found.running
    assert found.stop(10)
    assert not found.running
    assert not found.pid_file.exists()


def test_a_reused_pid_is_left_alone(tmp_path: Path) -> None:
    """A pid file whose pid another process has got since names nobody: the other lives on."""
    with subprocess.Popen(WAITS) as other:
        try:
            child = Child("one", tmp_path)
            write_mark(child.pid_file, Mark(other.pid, "0"))
            assert not child.running
            assert child.stop(0)
            child.kill()
            assert mark_of(other.pid) is not None
        finally:
            other.kill()


def test_a_deaf_child_is_ended_by_force(tmp_path: Path) -> None:
    """A process that does not end by SIGTERM is killed after the grace, and that is told."""
    child = Child("deaf", tmp_path)
    child.start(DEAF)
    child.await_ready(lambda: "deaf" in child.tail(), 10)
    assert not child.stop(0.2)
    assert not child.running


def test_a_frozen_child_can_be_stopped(tmp_path: Path) -> None:
    """A frozen process runs, and hears that it must end."""
    child = Child("frozen", tmp_path)
    child.start(WAITS)
    child.freeze()
    assert child.running
    assert child.mark is not None
    assert stands(child.mark.pid)
    assert child.stop(10)


def test_one_that_ends_while_it_starts_gives_its_last_words(tmp_path: Path) -> None:
    """What does not come up is told with the end of its log."""
    child = Child("sad", tmp_path)
    child.start([sys.executable, "-c", "raise SystemExit('no disk')"])
    with pytest.raises(LocalError, match=r"(?s)sad ended while it started.*no disk") as raised:
        child.await_ready(lambda: False, 10)
    assert str(child.log) in str(raised.value)


def test_a_child_is_not_started_twice(tmp_path: Path) -> None:
    """A second start of what runs is refused."""
    child = Child("one", tmp_path)
    child.start(WAITS)
    try:
        with pytest.raises(LocalError, match="runs already"):
            Child("one", tmp_path).start(WAITS)
    finally:
        child.kill()


def test_an_ended_process_that_nobody_has_waited_for_does_not_run() -> None:
    """A zombie counts as ended."""
    with subprocess.Popen(WAITS) as one:
        mark = mark_of(one.pid)
        assert mark is not None
        os.kill(one.pid, signal.SIGKILL)
        assert await_that(lambda: not runs(mark), 10)
        assert stop(mark, 0)


def test_a_strange_pid_file_is_not_believed(tmp_path: Path) -> None:
    """A pid file that is none of ours stops nothing, and is told."""
    child = Child("one", tmp_path)
    child.pid_file.write_text("1\n", encoding="utf-8")
    with pytest.raises(LocalError, match="no pid file of ours"):
        child.stop(0)
