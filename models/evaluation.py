"""How good the probabilities of one run were: the figures in one place, and the accumulator that a run fills.

Owns the accumulator of a prequential run and the summary of its figures. Must not know what was predicted, by which
model, or why. The figures themselves are defined in `models.figures`; those most used can be had from here.

Labels are true where the outcome happened; probabilities lie in [0, 1]. A figure that is undefined on its input (one
class only, nothing at all) is None, never a made-up number.
"""

from __future__ import annotations

from array import array

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.figures.bootstrap import BOOTSTRAP_ROUNDS, Metric, bootstrap_interval, paired_difference
from models.figures.calibration import CALIBRATION_BINS, brier, expected_calibration_error
from models.figures.discrimination import auroc, average_precision, stay_level

__all__ = [
    "BOOTSTRAP_ROUNDS",
    "CALIBRATION_BINS",
    "EVALUATED_MAX",
    "Accumulator",
    "AccumulatorState",
    "Figures",
    "Metric",
    "auroc",
    "average_precision",
    "bootstrap_interval",
    "brier",
    "expected_calibration_error",
    "paired_difference",
    "stay_level",
]

EVALUATED_MAX = 20_000_000
"""Rows one accumulator keeps (13 bytes each, 260 MB): a year of a large hospital at one score an hour and patient."""


class Figures(msgspec.Struct, frozen=True):
    """What a run showed. None means undefined on these rows (one class only, or none)."""

    rows: int
    positives: int
    groups: int
    unscored: int
    """Rows for which the model had no usable input and gave no probability; they enter no figure."""
    auroc: float | None
    average_precision: float | None
    brier: float | None
    brier_of_base_rate: float | None
    """The Brier score of always answering the share of positives: what there is to beat."""
    calibration_error: float | None


class AccumulatorState(msgspec.Struct, frozen=True):
    """An accumulator as plain values: columns as little-endian bytes, one entry a row."""

    probabilities: bytes
    """Eight bytes a row, IEEE 754."""
    labels: bytes
    """One byte a row, 0 or 1."""
    groups: bytes
    """Eight bytes a row: the place of the row's group in `names`."""
    names: tuple[str, ...]
    unscored: int


class Accumulator:
    """The rows of one evaluation, in order: probability, label and the group (patient) each belongs to.

    >>> run = Accumulator()
    >>> run.add(0.2, label=False, group="a"); run.add(0.9, label=True, group="b"); run.add(None, label=True, group="b")
    >>> run.figures().auroc, run.figures().unscored
    (1.0, 1)
    """

    def __init__(self) -> None:
        self._probabilities = array("d")
        self._labels = array("b")
        self._groups = array("l")
        self._group_numbers: dict[str, int] = {}
        self._unscored = 0

    def add(self, probability: float | None, *, label: bool, group: str) -> None:
        """Take one row in; `probability` None counts as unscored. Raises `OverflowError` past `EVALUATED_MAX`."""
        if probability is None:
            self._unscored += 1
            return
        if len(self._labels) >= EVALUATED_MAX:
            raise OverflowError(f"more than {EVALUATED_MAX} rows in one evaluation: split it by time")
        self._probabilities.append(probability)
        self._labels.append(label)
        self._groups.append(self._group_numbers.setdefault(group, len(self._group_numbers)))

    def rows(self) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.int64]]:
        """Give labels, probabilities and group numbers as arrays of equal length, in the order they came."""
        return (
            np.array(self._labels, dtype=bool),
            np.array(self._probabilities, dtype=np.float64),
            np.array(self._groups, dtype=np.int64),
        )

    def state(self) -> AccumulatorState:
        """Give everything as plain values; `restored` goes on from them alike."""
        labels, probabilities, groups = self.rows()
        return AccumulatorState(
            probabilities=probabilities.astype("<f8").tobytes(),
            labels=labels.astype("<i1").tobytes(),
            groups=groups.astype("<i8").tobytes(),
            names=tuple(self._group_numbers),
            unscored=self._unscored,
        )

    @classmethod
    def restored(cls, state: AccumulatorState) -> Accumulator:
        """Give the accumulator of a state. Raises `ValueError` for a state that no accumulator gave.

        >>> run = Accumulator(); run.add(0.5, label=True, group="a")
        >>> Accumulator.restored(run.state()).figures() == run.figures()
        True
        """
        rows = len(state.labels)
        if rows > EVALUATED_MAX or len(state.probabilities) != 8 * rows or len(state.groups) != 8 * rows:
            raise ValueError(f"an accumulator's columns do not fit: {rows} labels")
        probabilities = np.frombuffer(state.probabilities, dtype="<f8")
        labels, groups = np.frombuffer(state.labels, dtype="<i1"), np.frombuffer(state.groups, dtype="<i8")
        numbers = {name: number for number, name in enumerate(state.names)}
        if rows and not (groups.min() >= 0 and groups.max() < len(numbers)):
            raise ValueError("an accumulator's row is of a group without a name")
        if not np.isfinite(probabilities).all() or not np.isin(labels, (0, 1)).all() or state.unscored < 0:
            raise ValueError("an accumulator's column holds what no row can be")
        if len(numbers) != len(state.names):
            raise ValueError("an accumulator names a group twice")
        run = cls()
        run._probabilities.extend(probabilities.tolist())
        run._labels.extend(labels.tolist())
        run._groups.extend(groups.tolist())
        run._group_numbers = numbers
        run._unscored = state.unscored
        return run

    def figures(self) -> Figures:
        """Compute every figure over the rows so far."""
        labels, probabilities, _ = self.rows()
        base = float(labels.mean()) if len(labels) else 0.0
        return Figures(
            rows=len(labels),
            positives=int(labels.sum()),
            groups=len(self._group_numbers),
            unscored=self._unscored,
            auroc=auroc(labels, probabilities),
            average_precision=average_precision(labels, probabilities),
            brier=brier(labels, probabilities),
            brier_of_base_rate=base * (1.0 - base) if len(labels) else None,
            calibration_error=expected_calibration_error(labels, probabilities),
        )

    def interval(
        self, metric: Metric, generator: np.random.Generator, rounds: int = BOOTSTRAP_ROUNDS
    ) -> tuple[float, float] | None:
        """Give the 95 % bootstrap interval of one figure, drawing whole groups."""
        labels, probabilities, groups = self.rows()
        return bootstrap_interval(metric, labels, probabilities, groups, generator, rounds)
