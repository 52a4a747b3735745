"""Streaming quantile bins: a byte for a number, with cuts learned from the stream itself.

Owns the sample of rows, the schedule on which cuts are made from it, and coding. Must not know labels, models or time.

Cuts are quantiles of a uniform sample of the rows so far (Vitter 1985, algorithm R). They are made anew when the count
of rows reaches each number of a declared schedule, then frozen: a learner whose codes change under it learns nothing.

Why the schedule counts rows and not hours: a learner that needs no clock can be replayed from its rows alone and gives
the same bits; and the error of a quantile depends on how many rows it rests on, not on how long they took.

An input that did not vary by then is not lost. All its known values share one code, and they are held back until there
are `LATE_ROWS` of them to cut by: a laboratory value that only another hospital measures gets its cuts then.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.learners.drawing import place
from models.weights import CODES_MAX, Codes, Matrix, codes_of

BINS = 24
"""Bins of known values."""

SCHEDULE = (512, 2_048, 8_192, 32_768)
"""Rows at which cuts are made; frozen at the last. A quantile of 8,192 rows errs by about half a percentile."""

SAMPLE_ROWS = 8_192
"""Rows of the sample: of 400 inputs they are 13 MB, and let go when the cuts are frozen."""

LATE_ROWS = 1_024
"""Known values held back of an input without cuts, before cuts are made of them."""

FEW_ROWS = 32
"""Rows up to which all cuts are compared at once: for one row a look-up an input costs fifty times as much."""

VALUES_MIN = 32
"""Known values below which no quantile is worth a cut."""


class QuantileBinsState(msgspec.Struct, frozen=True):
    """All there is to know, as plain numbers and bytes."""

    width: int
    bins: int
    schedule: tuple[int, ...]
    seed: int
    rows: int
    cuts: tuple[tuple[float, ...], ...]
    sample: bytes
    """float32, little-endian, row by row; empty once frozen."""
    held: tuple[tuple[float, ...], ...]
    """Once frozen, for each input without cuts the known values held back."""


def quantile_cuts(values: NDArray[np.float64], bins: int) -> tuple[float, ...]:
    """Give at most `bins - 1` ascending cuts of known values (NaN is left out), each a value that was seen.

    No bin is empty. The largest value always has a smaller cut where anything is smaller, so that a measure which
    mostly stands at its end (a saturation of 100) still has two bins there.

    >>> quantile_cuts(np.array([1.0] * 50 + [2.0] * 50), 4)
    (1.0,)
    >>> quantile_cuts(np.array([97.0, 98.0, 99.0] + [100.0] * 97), 4)
    (99.0,)
    >>> quantile_cuts(np.array([5.0] * 90), 4)
    ()
    """
    known = np.sort(values[~np.isnan(values)])
    if len(known) < VALUES_MIN or known[0] == known[-1]:
        return ()
    cuts = known[(np.arange(1, bins) * len(known)) // bins]
    below_end = known[np.searchsorted(known, known[-1], side="left") - 1]
    return tuple(np.unique(np.minimum(cuts, below_end)).tolist())


class QuantileBins:
    """Cuts for every input of a stream of rows.

    >>> bins = QuantileBins(1, bins=4, schedule=(100,))
    >>> for value in range(100):
    ...     _ = bins.learn_one([float(value)])
    >>> bins.cuts, bins.frozen
    (((25.0, 50.0, 75.0),), True)
    >>> bins.codes_of(np.array([[np.nan], [10.0], [25.0], [99.0]])).ravel().tolist()
    [0, 1, 1, 4]
    """

    def __init__(self, width: int, *, bins: int = BINS, schedule: Sequence[int] = SCHEDULE, seed: int = 0) -> None:
        """Begin with no row; every input has one bin. Raises ValueError where a setting is no sensible one."""
        if not (2 <= bins < CODES_MAX and width > 0):
            raise ValueError(f"{bins} bins of {width} inputs")
        if not schedule or list(schedule) != sorted(set(schedule)) or schedule[0] < 1:
            raise ValueError(f"the schedule {tuple(schedule)} does not ascend from 1")
        self.width, self.bins, self.schedule, self.seed = width, bins, tuple(schedule), seed
        self.rows = 0
        self.cuts: tuple[tuple[float, ...], ...] = ((),) * width
        self._sample = np.empty((min(SAMPLE_ROWS, self.schedule[-1]), width), dtype=np.float32)
        self._held: dict[int, list[float]] = {}
        self._padded: Matrix | None = None

    @property
    def frozen(self) -> bool:
        """Tell whether the schedule is over; only inputs without cuts may get some later."""
        return self.rows >= self.schedule[-1]

    def learn_one(self, row: Sequence[float] | NDArray[np.float64]) -> bool:
        """Take a row in (finite or NaN, of the right width); tells whether cuts have changed.

        A caller checks rows first (`models.rows.Inputs.refusal`).
        """
        self.rows += 1
        if self.rows > self.schedule[-1]:
            return bool(self._held) and self._moved(changed=self._hold(row))
        size = len(self._sample)
        at = self.rows - 1 if self.rows <= size else place(self.seed, self.rows, self.rows)
        if at < size:
            self._sample[at] = row
        return self.rows in self.schedule and self._moved(changed=self._cut())

    def _moved(self, *, changed: bool) -> bool:
        if changed:
            self._padded = None
        return changed

    def _cut(self) -> bool:
        before = self.cuts
        sample = self._sample[: self.rows].astype(np.float64)
        self.cuts = tuple(quantile_cuts(column, self.bins) for column in sample.T)
        if self.frozen:
            self._sample = self._sample[:0].copy()
            self._held = {at: [] for at, own in enumerate(self.cuts) if not own}
        return self.cuts != before

    def _hold(self, row: Sequence[float] | NDArray[np.float64]) -> bool:
        """Hold back what is known of inputs without cuts; newest first to go into cuts, so the oldest are let go."""
        changed = False
        for at in tuple(self._held):
            value = float(row[at])
            if value != value:  # noqa: PLR0124 - NaN
                continue
            held = self._held[at]
            held.append(value)
            if len(held) < LATE_ROWS:
                continue
            cuts = quantile_cuts(np.array(held), self.bins)
            if cuts:
                self.cuts = (*self.cuts[:at], cuts, *self.cuts[at + 1 :])
                del self._held[at]
                changed = True
            else:
                del held[: LATE_ROWS // 2]
        return changed

    def codes_of(self, matrix: Matrix) -> Codes:
        """Give the codes of rows of shape (rows, inputs)."""
        if len(matrix) > FEW_ROWS:
            return codes_of(self.cuts, matrix)
        if self._padded is None:
            self._padded = np.full((self.width, self.bins - 1), np.inf)
            for at, own in enumerate(self.cuts):
                self._padded[at, : len(own)] = own
        above = (matrix[:, :, None] > self._padded).sum(axis=2, dtype=np.uint8)
        codes: Codes = np.where(np.isnan(matrix), np.uint8(0), above + np.uint8(1))
        return codes

    def state(self) -> QuantileBinsState:
        """Give all there is to know."""
        return QuantileBinsState(
            width=self.width,
            bins=self.bins,
            schedule=self.schedule,
            seed=self.seed,
            rows=self.rows,
            cuts=self.cuts,
            sample=self._sample[: self.rows].astype("<f4").tobytes(),
            held=tuple(tuple(self._held.get(at, ())) for at in range(self.width)),
        )

    @classmethod
    def restored(cls, state: QuantileBinsState) -> QuantileBins:
        """Go on from a state, alike to the last bit."""
        found = cls(state.width, bins=state.bins, schedule=state.schedule, seed=state.seed)
        found.rows, found.cuts = state.rows, state.cuts
        if found.frozen:
            found._sample = found._sample[:0].copy()
            found._held = {at: list(held) for at, held in enumerate(state.held) if not state.cuts[at]}
        else:
            rows = np.frombuffer(state.sample, dtype="<f4").reshape(-1, state.width)
            found._sample[: len(rows)] = rows
        return found
