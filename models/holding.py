"""Rows held back from learning: what a version's summaries rest on, and what they were measured on.

Owns which rows are learned into the summary of what the version was made on, which are held back, and the figures of
the finished summaries. Must not know where rows come from, nor what a filter makes of the summaries.

With a border in time (training a version), rows from before the border are learned, and those of patients first seen
after it are held back. Rolling (the live learner), the newest `HELD_BACK_MAX` rows are held back, with what was said of
each at its bedside; a row is learned into the summary when it leaves them.

Nothing is measured on a row that shaped it: the summaries are made of all patients held back, and measured by making
them anew without each third of the patients and asking that third (cross-validation by patient).

A rolling run's intervals are a belt's (models/belt.py), and their width follows the stream: with each block of rows it
is asked whether the intervals of before held, and then they are told wider or narrower (models/conformal.py). Where
much of a block missed, what was found before it no longer counts for them. With a border there is no stream to follow,
and the intervals are Venn's unless a belt is asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.belt import belt_table, held_true, told_by
from models.conformal import IntervalWidth, width_problem_of
from models.likeness import Distances, Likeness, Moments, MomentsState, shape_of
from models.rows import Inputs
from models.venn import Category, VennTable, category_of, venn_table
from models.venn import problem_of as table_problem_of

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

BLOCK_ROWS = 5000
"""Rows held back between two looks at whether the intervals held: a day of 200 beds scored hourly. The look and a new
table take some 50 ms, which is 10 µs a row."""

SHIFT_SHARE = 0.25
"""Of a block's intervals missed: more, and what was found before the block is no guide any more. The intervals then
rest on the newest block alone, so on fewer patients, and are wider for it; block by block they gather more again."""

FIGURE_DECIMALS = 4
"""As the figures of models/training.py: beyond their own sampling error, and equal on every machine."""


class _Held(msgspec.Struct, frozen=True, gc=False):
    """One row held back."""

    row: tuple[float, ...]
    probability: float
    label: bool
    patient: int


class HeldBackState(msgspec.Struct, frozen=True):
    """All of a run's rows and sums. Columns are bytes, little-endian: float64, of labels one byte, of numbers int64."""

    names: tuple[str, ...]
    rolling: bool
    belt: bool
    held_max: int
    rows: bytes
    probabilities: bytes
    labels: bytes
    numbers: bytes
    """Which patient, by number."""
    patients: dict[str, int]
    """The numbers of those held."""
    patients_seen: int
    moments: tuple[MomentsState, MomentsState]
    width: IntervalWidth
    since: int
    """Rows held since the last look."""
    resting: int
    """Newest rows that the intervals rest on, counted to the last look."""
    table: VennTable | None
    """Made at the last look."""


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

    def __init__(
        self, inputs: Inputs, *, rolling: bool = False, held_max: int = HELD_BACK_MAX, belt: bool | None = None
    ) -> None:
        """Begin with none. `rolling`: what leaves the newest `held_max` rows is learned, else it is dropped.

        `belt`: intervals are a belt's, not Venn's; where nothing is said, of a rolling run.
        """
        self.names = tuple(name for name in LIKENESS_INPUTS if name in inputs.names)
        self._places = tuple(inputs.names.index(name) for name in self.names)
        self._rolling = rolling
        self._belt = rolling if belt is None else belt
        self._held_max = held_max
        self._held: deque[_Held] = deque()
        self._patients: dict[str, int] = {}
        self._patients_seen = 0
        self._moments = (Moments(len(self.names)), Moments(len(self.names)))
        self.width = IntervalWidth()
        self._since = 0
        self._resting = 0
        self._table: VennTable | None = None

    def learn(self, vector: Sequence[float], *, label: bool) -> None:
        """Take a row that is learned from into the summary of what the version was made on."""
        self._moments[label].add([vector[place] for place in self._places])

    def hold(self, vector: Sequence[float], probability: float | None, *, label: bool, patient: str) -> None:
        """Hold a row back, with what was said of it; one of which nothing was said is no row."""
        if probability is None:
            return
        number = self._number(patient)
        self._held.append(_Held(tuple(vector[place] for place in self._places), probability, label, number))
        if len(self._held) > self._held_max:
            oldest = self._held.popleft()
            if self._rolling:
                self._moments[oldest.label].add(oldest.row)
        self._since += 1
        if self._rolling and self._belt and self._since >= BLOCK_ROWS:
            self._look()

    def _number(self, patient: str) -> int:
        """Give a patient's number; of those whose rows have all left, it is forgotten in time."""
        number = self._patients.get(patient)
        if number is None:
            if len(self._patients) > self._held_max:
                held = {one.patient for one in self._held}
                self._patients = {name: number for name, number in self._patients.items() if number in held}
            number = self._patients[patient] = self._patients_seen
            self._patients_seen += 1
        return number

    def _look(self) -> None:
        """Ask of the newest block whether the table from before it held, set the width, and make the next table."""
        probabilities, labels, patients = _columns(list(self._held))
        block = slice(-self._since, None)
        self._resting = min(len(probabilities), self._resting + self._since)
        if self._table is not None:
            told = told_by(self._table, probabilities[block])
            agrees = held_true(probabilities[block], told, labels[block], patients[block])
            if agrees is not None:
                missed = 1.0 - float(agrees.mean())
                self.width = self.width.after(missed)
                if missed > SHIFT_SHARE:
                    self._resting = self._since
        newest = slice(-self._resting, None)
        self._table = belt_table(probabilities[newest], labels[newest], patients[newest], self.width.width)
        self._since = 0

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
            likeness, venn = self._made(held, [one.patient % FOLDS != fold for one in held])
            if likeness is not None:
                measure = Distances(likeness, self.names)
                unlike += [(one.label, measure.unlikeness(one.row) > 1.0) for one in checking]
            if venn is not None and checking:
                intervals.append(self._interval_rows(venn, checking, threshold))
        likeness, venn = self._made(held, [True] * len(held))
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
        if self._belt:
            measured |= {
                "interval_width": round(self.width.width, FIGURE_DECIMALS),
                "interval_blocks": self.width.blocks,
                "interval_agreement_on_stream": _agreement(self.width),
            }
        return Summaries(likeness, venn, measured)

    def _made(self, held: list[_Held], making: list[bool]) -> tuple[Likeness | None, VennTable | None]:
        """Make both of the rows that are `making`: the likeness of all, the intervals of what they rest on."""
        # A belt that was ever looked at rests on what has been held since the last shift; else all is one record.
        resting = self._resting + self._since if self._table is not None else len(held)
        newest = [one for one, makes in zip(held[-resting:], making[-resting:], strict=True) if makes] if held else []
        likeness = self._likeness([one for one, makes in zip(held, making, strict=True) if makes])
        return likeness, self._intervals(newest) if newest else None

    def _intervals(self, held: list[_Held]) -> VennTable | None:
        return belt_table(*_columns(held), self.width.width) if self._belt else venn_table(*_columns(held))

    def _interval_rows(
        self, table: VennTable, checking: list[_Held], threshold: float
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
        """Say of each checking row whether its interval agrees with what was found, is undecided, and would be raised.

        A belt's by what was told, a Venn table's by the record behind it.
        """
        probabilities, labels, patients = _columns(checking)
        low, high = told_by(table, probabilities)
        agrees = held_true(probabilities, (low, high), labels, patients) if self._belt else _agreeing(table, checking)
        if agrees is None:
            agrees = np.ones(len(checking), dtype=bool)
        return agrees, (low < threshold) & (threshold <= high), probabilities >= threshold

    def state(self) -> HeldBackState:
        """Give everything held and summed, as plain values."""
        probabilities, labels, patients = _columns(list(self._held))
        rows = np.array([one.row for one in self._held], dtype="<f8")
        return HeldBackState(
            self.names,
            self._rolling,
            self._belt,
            self._held_max,
            rows.tobytes(),
            probabilities.astype("<f8").tobytes(),
            labels.astype("u1").tobytes(),
            patients.astype("<i8").tobytes(),
            dict(self._patients),
            self._patients_seen,
            (self._moments[0].state(), self._moments[1].state()),
            self.width,
            self._since,
            self._resting,
            self._table,
        )

    @classmethod
    def restored(cls, inputs: Inputs, state: HeldBackState) -> HeldBack:
        """Go on from a state, to the same summaries; raises `ValueError` where it is none of these inputs' runs."""
        held = cls(inputs, rolling=state.rolling, held_max=state.held_max, belt=state.belt)
        count, width = len(state.labels), len(held.names)
        problem = width_problem_of(state.width) or (table_problem_of(state.table) if state.table else "")
        if state.names != held.names:
            problem = "held back: of other inputs"
        if count > state.held_max or min(state.since, state.resting, state.held_max - state.resting) < 0:
            problem = "held back: counts that cannot be"
        if any(one.width != width for one in state.moments):
            problem = "held back: counts that cannot be"
        if problem:
            raise ValueError(problem)
        rows = np.frombuffer(state.rows, "<f8").reshape(count, width).tolist()
        probabilities = np.frombuffer(state.probabilities, "<f8").tolist()
        numbers = np.frombuffer(state.numbers, "<i8").tolist()
        for row, probability, label, number in zip(rows, probabilities, state.labels, numbers, strict=True):
            held._held.append(_Held(tuple(row), probability, bool(label), number))
        held._patients, held._patients_seen = dict(state.patients), state.patients_seen
        held._moments = (Moments.restored(state.moments[0]), Moments.restored(state.moments[1]))
        held.width, held._table = state.width, state.table
        held._since, held._resting = state.since, state.resting
        return held

    def _likeness(self, held: list[_Held]) -> Likeness | None:
        shapes = []
        for label in (False, True):
            rows = [one.row for one in held if one.label is label]
            shape = shape_of(self._moments[label], rows, label=label) if self.names else None
            if shape is not None:
                shapes.append(shape)
        # Without the shape of most rows nearly everything would be unlike.
        return Likeness(self.names, tuple(shapes)) if shapes and not shapes[0].label else None


def _agreeing(venn: VennTable, checking: list[_Held]) -> NDArray[np.bool_]:
    """Say of each checking row whether what was found in its category agrees with what made it.

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
    return agrees


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


def _agreement(width: IntervalWidth) -> float | None:
    return round(1.0 - width.missed / width.blocks, FIGURE_DECIMALS) if width.blocks else None


def _share(flags: Sequence[bool] | NDArray[np.bool_]) -> float | None:
    return round(sum(map(bool, flags)) / len(flags), FIGURE_DECIMALS) if len(flags) else None
