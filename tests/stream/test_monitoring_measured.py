"""How often the monitoring is wrong and how soon it tells, on a small simulated hospital; benchmarks has the large."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from events import MILLIS_PER_HOUR, Envelope

BEDS, DAYS = 50, 5
BEGUN_H = 24 * DAYS - 30
"""When something is altered: of the fourth day, in the afternoon."""


def load() -> ModuleType:
    """Load the benchmark from its path: benchmarks are no package."""
    name = "monitoring_benchmark"
    path = Path(__file__).parents[2] / "benchmarks" / "monitoring.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BENCHMARK = load()


@pytest.fixture(scope="module")
def log() -> list[Envelope]:
    """Give a simulated hospital's log."""
    made: list[Envelope] = BENCHMARK.hospital_log(1, BEDS, DAYS)
    return made


def test_of_a_hospital_as_usual_nothing_is_told_but_overdue_observations(log: list[Envelope]) -> None:
    """After the first day: no feed or ward silent, nothing changed upstream, nothing frozen."""
    raised = BENCHMARK.false_alarms(log, first_day=False)
    assert set(raised) <= {"patient_silent"}
    assert raised["patient_silent"] <= DAYS * BEDS * 0.3


@pytest.mark.parametrize(
    ("what", "minutes_max"),
    [
        ("feed silent", 180),
        ("pulse under a local code", 120),
        ("pulse in an unknown unit", 60),
        ("temperature in F, labelled C", 120),
        ("the feed is frozen", 720),
    ],
)
def test_an_alteration_is_told_in_time(what: str, minutes_max: int, log: list[Envelope]) -> None:
    """Each alteration of the benchmark that a hospital of fifty beds can show within twelve hours is told."""
    kind, make = BENCHMARK.ALTERATIONS[what]
    since = log[0].received_time + BEGUN_H * MILLIS_PER_HOUR
    found = BENCHMARK.detection(log, kind, make, since)
    assert found is not None
    assert 0 <= found <= minutes_max
