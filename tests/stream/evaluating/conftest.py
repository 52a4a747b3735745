"""A small hospital's week and its evaluation, made once for all tests of the package and of the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stream.cli.evaluate import command
from stream.simulation import hospital_stream

WARD = ("--critical-care-ward", "Critical Care", "--quiet")


def run_evaluate(*arguments: object) -> int:
    """Run the command in this process; give its exit code."""
    return int(command.main([str(argument) for argument in arguments], standalone_mode=False))


@pytest.fixture(scope="session")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a feed in which some patients go to critical care."""
    path = tmp_path_factory.getbasetemp() / "evaluated-week.hl7"
    if not path.exists():
        path.write_bytes(b"".join(data for _time, data in hospital_stream(seed=5, beds=30, hours=96)))
    return path


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory: pytest.TempPathFactory, feed: Path) -> Path:
    """Evaluate the feed undisturbed, once for all that ask; give the folder."""
    folder = tmp_path_factory.getbasetemp() / "evaluated-week"
    if not (folder / "report.md").exists():
        assert run_evaluate(feed, *WARD, "--beside", "river-logistic", "--out", folder) == 0
    return folder


@pytest.fixture
def evaluate(feed: Path) -> Callable[..., int]:
    """Give the command on the feed, with more options."""
    return lambda *more: run_evaluate(feed, *WARD, *more)
