"""The bench of the tests: a missing program is told, and never hides a claim in CI."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from connectors.kafka.settings import KafkaSettings
from connectors.local.parts import MissingPartError
from connectors.local.processes import Mark, await_that, runs
from connectors.redis.settings import RedisSettings
from tests.bench import made


def nothing() -> NoReturn:
    """Miss a part."""
    raise MissingPartError("install redis-server")


def test_a_missing_part_is_a_loud_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a developer's machine the test is skipped, saying what to install."""
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="NOT tested: install redis-server"):
        made(nothing)


def test_a_missing_part_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """In CI it is a failure."""
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="NOT tested: install redis-server"):
        made(nothing)


RUN = """
import os, signal
def test_one(own_redis):
    server = own_redis()
    server.freeze()
    print("MARK", server.child.mark.pid, server.child.mark.started, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_no_server_outlives_a_run_that_was_killed(tmp_path: Path, redis_address: str) -> None:
    """A run of tests that ends by SIGKILL leaves no server behind, a frozen one neither."""
    (tmp_path / "test_killed.py").write_text(RUN, encoding="utf-8")
    words = ["-m", "pytest", "-s", "-p", "tests.bench", "-c", os.devnull, "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, *words, "--basetemp", str(tmp_path / "base"), str(tmp_path / "test_killed.py")],
        capture_output=True,
        text=True,
        check=False,
    )
    told = re.search(r"MARK (\d+) (\d+)", done.stdout)
    assert told is not None, done.stdout + done.stderr
    assert done.returncode == -signal.SIGKILL
    assert await_that(lambda: not runs(Mark(int(told[1]), told[2])), 20)


def test_each_test_has_a_prefix_of_its_own(kafka: KafkaSettings, redis_settings: RedisSettings) -> None:
    """The run's servers are shared, names are not."""
    assert kafka.prefix.startswith("t-")
    assert redis_settings.prefix.startswith("t-")
