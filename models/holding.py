"""Rows held back from learning: what a version's summaries rest on, and what they were measured on.

Owns which rows are learned into the summary of what the version was made on, which are held back, and the figures of
the finished summaries. Must not know where rows come from, nor what a filter makes of the summaries.

With a border in time (training a version), rows from before the border are learned, and those of patients first seen
after it are held back. Rolling (the live learner), the newest `HELD_BACK_MAX` rows are held back, with what was said of
each at its bedside; a row is learned into the summary when it leaves them.

Nothing is measured on a row that shaped it: the summaries are made of all patients held back, and measured by making
them anew without each third of the patients and asking that third (cross-validation by patient).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.likeness import Distances, Likeness, Moments, shape_of
from models.rows import Inputs
from models.venn import Category, VennTable, category_of, venn_table

LIKENESS_INPUTS: tuple[str, ...] = (
    "heart_rate.last", "respiration_rate.last", "spo2.last", "systolic_bp.last", "temperature.last",
    "age_years", "news2.total",
)  # fmt: skip
"""What a row's likeness is of: the latest vital signs, age, and NEWS2's total, which also speaks for oxygen and
consciousness where the vital signs do not account for it."""

HELD_BACK_MAX = 50_000
"""Newest rows, at some 400 bytes: three weeks of 100 beds scored hourly, with some 500 outcomes among them."""

FOLDS = 3
"""Parts of the patients held back, each checked by summaries of the others: two thirds nearly make the whole."""

FIGURE_DECIMALS = 4
"""As the figures of models/training.py: beyond their own sampling error, and equal on every machine."""


class _Held(msgspec.Struct, frozen=True, gc=False):
    """One row held back."""

    row: tuple[float, ...]
    probability: float
    label: bool
    patient: int


class Summaries(msgspec.Struct, frozen=True):
    """What a version gains: either may be None where too little was held back, and what was measured of them."""

    likeness: Likeness | None
    venn: VennTable | None
    measured: dict[str, float | int | None]


class HeldBack:
    """The rows of one run.

    >>> held = HeldBack(Inputs(("news2.total", "other")))
    >>> held.hold((3.0, 9.0), 0.02, label=False, patient="p"); held.summaries(0.1).likeness is None
    True
    """

    def __init__(self, inputs: Inputs, *, rolling: bool = False, held_max: int = HELD_BACK_MAX) -> None:
        """Begin with none. `rolling`: what leaves the newest `held_max` rows is learned, else it is dropped."""
        self.names = tuple(name for name in LIKENESS_INPUTS if name in inputs.names)
        self._places = tuple(inputs.names.index(name) for name in self.names)
        self._rolling = rolling
        self._held_max = held_max
        self._held: deque[_Held] = deque()
        self._patients: dict[str, int] = {}
        self._moments = (Moments(len(self.names)), Moments(len(self.names)))

    def learn(self, vector: Sequence[float], *, label: bool) -> None:
        """Take a row that is learned from into the summary of what the version was made on."""
        self._moments[label].add([vector[place] for place in self._places])

    def hold(self, vector: Sequence[float], probability: float | None, *, label: bool, patient: str) -> None:
        """Hold a row back, with what was said of it; one of which nothing was said is no row."""
        if probability is None:
            return
        number = self._patients.setdefault(patient, len(self._patients))
        self._held.append(_Held(tuple(vector[place] for place in self._places), probability, label, number))
        if len(self._held) > self._held_max:
            oldest = self._held.popleft()
            if self._rolling:
                self._moments[oldest.label].add(oldest.row)

    def summaries(self, threshold: float) -> Summaries:
        """Make the summaries of all that is held back, and measure such summaries on patients that made none of them.

        `threshold` is the probability at which the version would tell: of what share it could not be decided.
        """
        held = list(self._held)
        measured: dict[str, float | int | None] = {
            "held_back_rows": len(held),
            "held_back_positives": sum(one.label for one in held),
            "held_back_patients": len({one.patient for one in held}),
        }
        unlike, intervals = [], []
        for fold in range(FOLDS):
            checking = [one for one in held if one.patient % FOLDS == fold]
            likeness, venn = self._made([one for one in held if one.patient % FOLDS != fold])
            if likeness is not None:
                measure = Distances(likeness, self.names)
                unlike += [(one.label, measure.unlikeness(one.row) > 1.0) for one in checking]
            if venn is not None and checking:
                intervals.append(_interval_rows(venn, checking, threshold))
        likeness, venn = self._made(held)
        if unlike:
            measured |= {
                "unlike_share_without_outcome": _share([flag for label, flag in unlike if not label]),
                "unlike_share_with_outcome": _share([flag for label, flag in unlike if label]),
            }
        if intervals:
            agrees, undecided, raised = (np.concatenate(column) for column in zip(*intervals, strict=True))
            measured |= {
                "interval_agreement": _share(agrees),
                "indeterminate_share": _share(undecided),
                "indeterminate_share_of_raised": _share(undecided[raised]),
            }
        return Summaries(likeness, venn, measured)

    def _made(self, held: list[_Held]) -> tuple[Likeness | None, VennTable | None]:
        return self._likeness(held), venn_table(*_columns(held)) if held else None

    def _likeness(self, making: list[_Held]) -> Likeness | None:
        shapes = []
        for label in (False, True):
            rows = [held.row for held in making if held.label is label]
            shape = shape_of(self._moments[label], rows, label=label) if self.names else None
            if shape is not None:
                shapes.append(shape)
        # Without the shape of most rows nearly everything would be unlike.
        return Likeness(self.names, tuple(shapes)) if shapes and not shapes[0].label else None


def _interval_rows(
    venn: VennTable, checking: list[_Held], threshold: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Say of each checking row whether its interval agrees with what was found, is undecided, and would be raised.

    What is found in a category varies as what made it does, so it agrees where the difference of the two shares may be
    none at the table's coverage (Newcombe 1998, from the two intervals): of honest intervals, that share of them does.
    """
    probabilities, labels, patients = _columns(checking)
    places = np.searchsorted(venn.edges, probabilities, side="right")
    agrees = np.zeros(len(checking), dtype=bool)
    for place, made in enumerate(venn.categories):
        inside = places == place
        if inside.any():
            found = category_of(labels[inside], patients[inside], venn.coverage)
            agrees[inside] = _agree(made, found)
    bounds = np.array([venn.interval(float(probability)) for probability in probabilities])
    undecided = (bounds[:, 0] < threshold) & (threshold <= bounds[:, 1])
    return agrees, undecided, probabilities >= threshold


def _agree(one: Category, other: Category) -> bool:
    """Whether two shares may be the same by their intervals (Newcombe's hybrid score interval of the difference).

    >>> _agree(Category(0.1, 0.3, 100, 20, 50), Category(0.2, 0.4, 100, 30, 50))
    True
    """
    lower, upper = sorted((one, other), key=lambda each: each.positives / each.rows)
    low, high = lower.positives / lower.rows, upper.positives / upper.rows
    return (high - low) ** 2 <= (lower.high - low) ** 2 + (high - upper.low) ** 2


def _columns(rows: list[_Held]) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    return (
        np.array([held.probability for held in rows], dtype=np.float64),
        np.array([held.label for held in rows], dtype=bool),
        np.array([held.patient for held in rows], dtype=np.int64),
    )


def _share(flags: Sequence[bool] | NDArray[np.bool_]) -> float | None:
    return round(sum(map(bool, flags)) / len(flags), FIGURE_DECIMALS) if len(flags) else None
