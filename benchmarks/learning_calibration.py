"""Calibration before and after a shift as a table: four figures with their intervals by stay, beside their targets.

Owns which figures are shown, their targets, and how a line is written. Must not know a learner, nor how its
probabilities came to be calibrated. The figures are those of models/figures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from learning_rows import Bools, Floats, Rows
from rich.console import Console
from rich.table import Table

from models.figures.bootstrap import bootstrap_interval
from models.figures.calibration import brier, expected_calibration_error, top_of_risk
from models.figures.proportions import Interval
from models.figures.recalibration import logistic_recalibration
from models.figures.scored_rows import Labels, Scores

ROUNDS = 200
SEED = 7


class Figure(NamedTuple):
    """One figure, its interval, and whether it is within its target."""

    value: float
    interval: Interval | None
    within: bool


class CalibrationLine(NamedTuple):
    """One learner's calibration over one part of a stream."""

    part: str
    learner: str
    rows: int
    positives: int
    stays: int
    figures: dict[str, Figure]

    @property
    def reached(self) -> int:
        """How many of the targets are reached."""
        return sum(one.within for one in self.figures.values())


def skill(labels: Labels, said: Scores) -> float | None:
    """Give the Brier skill over the rate of these rows; None where one class only is there."""
    score, rate = brier(labels, said), float(np.mean(labels)) if len(labels) else 0.0
    return None if score is None or not 0.0 < rate < 1.0 else 1.0 - score / (rate * (1.0 - rate))


def top_error(labels: Labels, said: Scores) -> float | None:
    """Give by what share of its rate the tenth of highest risk is off: above 0 too much was promised."""
    top = top_of_risk(labels, said)
    return None if top is None or not top.happened.value else top.promised / top.happened.value - 1.0


TARGETS: dict[str, tuple[str, Callable[[float], bool]]] = {
    "slope": ("0.9 to 1.1", lambda value: 0.9 <= value <= 1.1),
    "ece": ("< .005", lambda value: value < 0.005),
    "brier_skill": ("> 0", lambda value: value > 0.0),
    "top_decile_error": ("within 20 %", lambda value: abs(value) < 0.2),
}
"""Of the issue, for each figure: its words, and whether a value is within."""


def calibration_line(part: str, learner: str, rows: Rows, said: Floats) -> CalibrationLine:
    """Measure what was said of these rows; NaN is left out. Intervals are 95 %, whole stays drawn with replacement.

    The slope's is of normal theory with the variance by stay. ECE's lies above the figure itself as often as not: a
    draw repeats stays, and so is less even than the rows are.
    """
    known = ~np.isnan(said)
    labels, told, stays = rows.labels[known], said[known], rows.stay[known]
    found: dict[str, tuple[float | None, Interval | None]] = {}
    bent = logistic_recalibration(labels, told, stays)
    found["slope"] = (bent.slope, bent.slope_interval) if bent else (None, None)
    for name, metric in (
        ("ece", expected_calibration_error), ("brier_skill", skill), ("top_decile_error", top_error),
    ):  # fmt: skip
        generator = np.random.default_rng(SEED)
        found[name] = metric(labels, told), bootstrap_interval(metric, labels, told, stays, generator, ROUNDS)
    return CalibrationLine(
        part,
        learner,
        len(labels),
        int(labels.sum()),
        len(np.unique(stays)),
        {
            name: Figure(value, interval, TARGETS[name][1](value))
            for name, (value, interval) in found.items()
            if value is not None
        },
    )


def halves(rows: Rows) -> tuple[Bools, Bools]:
    """Tell which rows come in the first half of a stream, and which in the second."""
    second = rows.at > np.median(rows.at)
    return ~second, second


def show_calibration(console: Console, title: str, lines: list[CalibrationLine]) -> None:
    """Print the table."""
    table = Table(title=title)
    for heading in ("part", "learner"):
        table.add_column(heading)
    for heading in (f"{name} ({words})" for name, (words, _) in TARGETS.items()):
        table.add_column(heading, justify="right")
    table.add_column("reached", justify="right")
    for one in lines:
        cells = [_text(name, one.figures.get(name)) for name in TARGETS]
        table.add_row(one.part, one.learner, *cells, f"{one.reached} of {len(TARGETS)}")
    console.print(table)


def plain(lines: list[CalibrationLine]) -> list[dict[str, Any]]:
    """Give lines as JSON has them."""
    return [
        {**one._asdict(), "figures": {name: figure._asdict() for name, figure in one.figures.items()}} for one in lines
    ]


def _text(name: str, figure: Figure | None) -> str:
    if figure is None:
        return "-"
    digits = {"slope": ".2f", "ece": ".4f", "brier_skill": ".3f", "top_decile_error": "+.0%"}[name]
    ends = "" if figure.interval is None else " (" + " to ".join(f"{end:{digits}}" for end in figure.interval) + ")"
    return f"{figure.value:{digits}}{ends}{'' if figure.within else ' !'}"
