"""The benchmark's table of calibration says of made-up stays what is known of them."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.rows import Inputs

STAYS, HOURS = 600, 40


@pytest.fixture
def calibration(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import the benchmark from its folder: benchmarks are no package."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    return importlib.import_module("learning_calibration")


def made_up(bend: float) -> tuple[Any, Any]:
    """Give rows of stays whose outcome comes true as promised, and promises that are bent from it."""
    rows = importlib.import_module("learning_rows").Rows
    generator = np.random.default_rng(3)
    stay = np.repeat(np.arange(STAYS), HOURS)
    logit = generator.normal(-3.5, 1.2, STAYS)[stay] + generator.normal(0.0, 0.3, len(stay))
    label = generator.random(len(stay)) < 1.0 / (1.0 + np.exp(-logit))
    at = np.tile(np.arange(HOURS), STAYS)
    told = 1.0 / (1.0 + np.exp(-(bend * logit)))
    matrix = np.zeros((len(stay), 1), dtype=np.float32)
    unit = np.full(len(stay), "MICU")
    return rows(Inputs(("x",)), matrix, label, at, at + 13, stay, unit, np.zeros(len(stay))), told


def test_what_came_true_as_promised_reaches_every_target(calibration: Any) -> None:
    """Promises that are true are within all four targets, and each interval holds the figure's true value."""
    line = calibration.calibration_line("all", "made up", *made_up(1.0))
    assert line.reached == 4
    low, high = line.figures["slope"].interval
    assert low < 1.0 < high
    low, high = line.figures["top_decile_error"].interval
    assert low < 0.0 < high


def test_what_is_too_extreme_is_told_so(calibration: Any) -> None:
    """Log-odds half as far again from none miss the slope by a third, and what misses is not counted as reached."""
    line = calibration.calibration_line("all", "made up", *made_up(1.5))
    assert line.figures["slope"].value == pytest.approx(1 / 1.5, abs=0.05)
    assert not line.figures["slope"].within
    assert line.reached < 4


def test_rows_of_which_nothing_was_said_are_left_out(calibration: Any) -> None:
    """NaN is no promise: such rows are in no figure and in no count."""
    rows, told = made_up(1.0)
    told[: HOURS * 10] = np.nan
    line = calibration.calibration_line("all", "made up", rows, told)
    assert (line.rows, line.stays) == (len(told) - HOURS * 10, STAYS - 10)
