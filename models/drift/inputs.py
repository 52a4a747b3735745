"""Whether the inputs still come as they did when the version was made: by a window against its reference, and at once.

Owns the two tests of every input, and of its being missing. Must not know where rows come from, nor what is done about
an input that has shifted.

**The window** (the stable test). Every `pane_ms` the newest rows, of at least `panes_min` panes and `rows_wanted`
effective rows, are held against the version's own reference in the reference's tenths. An input has shifted where both

- its population stability index, sum of (p - q) ln(p / q), is at least `psi` (0.2 is where credit scoring, which it
  comes from, begins to act; Siddiqi 2006): the shift matters. A test alone would find every trifle in enough rows; and
- Pearson's test of the same two rows of counts is beyond `alpha` after Bonferroni over all tests of the look: the shift
  is no chance. The index alone is large by chance in few rows. Counts are scaled to effective rows, which is Rao and
  Scott's correction (1981) at its worst case.

Bins by rank need no scale and no law, see a change of spread as well as of mean, are a few numbers to keep, and what
they say can be read: Kolmogorov's statistic is one number without a place, and needs the values kept.

**At once** (the streaming test). Each row bets that the mean rank of the input (0.5 by the reference's own bins) has
left 0.5 by more than `tolerance`, and that the odds of its being missing have changed by more than a factor
(models/drift/sequential.py). A step is told in fewer rows than a window takes, whatever their order.

Memory: panes_max x inputs x 11 counts, and eight numbers an input.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from events import MILLIS_PER_HOUR, Millis
from models.drift.distances import chance_of, stability_index
from models.drift.sequential import LOG_NONE, Detector, DetectorState, Floats, mean_bets, odds_bets
from models.drift.summary import BINS, InputSummary, effective_rows
from models.drift.thinning import PERIOD_MS, Thinned, ThinnedState

ShiftKind = Literal["values", "missing"]
CLOCK_INPUTS = frozenset({"hour_of_day"})
"""Inputs that follow the clock: they shift all day long."""
STAKES = (0.15, 0.4)
"""Shares staked on a mean: near the best for ranks that moved by 0.03 and by 0.1 beyond the tolerance."""
GAP_MIN = 0.005
"""A share missing is taken as at least this far from none and from all."""
CLEAR_SHARE = 0.6
"""A shift has passed when its index is below this share of the limit."""


class InputLimits(msgspec.Struct, frozen=True):
    """From where on an input has shifted. Set on the first three quarters of hospital A (docs/drift.md)."""

    psi: float = 0.2
    alpha: float = 1e-3
    """The chance of any false shift in one look, by the test alone."""
    pane_ms: Millis = 6 * MILLIS_PER_HOUR
    panes_min: int = 4
    """A day and a night: a morning's laboratory round is no drift."""
    panes_max: int = 28
    rows_wanted: int = 200
    """Effective rows: with fewer the window grows, to a week at the most."""
    rows_min: int = 50
    settling_ms: Millis = 48 * MILLIS_PER_HOUR
    """At first all who lie there are new at once, and then for hours only who is admitted: those rows are no sample."""
    tolerance: float = 0.07
    """Of the mean rank: a quarter of a standard deviation."""
    odds_factor: float = 1.5
    """By which the odds of being missing may change."""
    rows_between_alarms: float = 100_000.0
    """Thinned rows between two false steps of any input, at the least: a hundred beds give that in some 500 days."""


class Shift(msgspec.Struct, frozen=True):
    """What was found of one input."""

    name: str
    kind: ShiftKind
    at_once: bool
    """By the streaming test; else by the window."""
    size: float
    """The index of the window; of a step the tolerance it left: mean rank, or the factor of the odds."""
    direction: float
    """The mean rank less 0.5, or the share missing less that of the reference; of a step only its sign is known."""
    rows: int


class InputState(msgspec.Struct, frozen=True):
    """All that `InputMonitor` knows, as plain numbers."""

    began: Millis | None
    looked: bool
    panes: tuple[int, ...]
    counts: tuple[tuple[int, ...], ...]
    """Of each pane: input by input, missing and then its bins."""
    patients: tuple[tuple[tuple[str, int], ...], ...]
    thinned: ThinnedState
    values: DetectorState
    missing: DetectorState
    shifted: tuple[Shift, ...]


class InputMonitor:
    """Both tests of all inputs of one reference.

    >>> summary = InputSummary(("x",), ((0.0,),), ((0.5, 0.5),), (0.0,), 1_000, 1_000.0)
    >>> monitor = InputMonitor(summary, InputLimits(rows_wanted=50, settling_ms=0))
    >>> for hour in range(25):
    ...     for patient in range(10): monitor.hear(f"{hour}/{patient}", hour * MILLIS_PER_HOUR, [1.0])
    >>> [(shift.name, shift.kind, shift.at_once) for shift in monitor.shifted()]
    [('x', 'values', True), ('x', 'values', False)]
    """

    def __init__(self, summary: InputSummary, limits: InputLimits | None = None) -> None:
        self.summary, self.limits = summary, limits or InputLimits()
        width = len(summary.names)
        self._cuts = np.full((width, BINS - 1), np.inf)
        self._shares = np.zeros((width, BINS))
        for place, (cuts, shares) in enumerate(zip(summary.cuts, summary.shares, strict=True)):
            self._cuts[place, : len(cuts)] = cuts
            self._shares[place, : len(shares)] = shares
        self._bins = np.array([len(shares) for shares in summary.shares])
        self._ranks = np.cumsum(self._shares, axis=1) - self._shares / 2.0
        self._missing = np.array(summary.missing)
        self._watched = (self._bins > 1) & np.array([name not in CLOCK_INPUTS for name in summary.names], dtype=bool)
        self._places = np.arange(width)
        limit = self.limits.rows_between_alarms * 2 * width
        self._values = Detector(width, 2 * len(STAKES), limit)
        tolerance, factor = self.limits.tolerance, self.limits.odds_factor
        # What each bin, and being missing or not, comes to is the same for every row.
        self._value_bets = mean_bets(self._ranks, 0.5 - tolerance, 0.5 + tolerance, STAKES)
        self._value_bets[~self._watched] = np.nan
        self._odds_shifts = tuple(sign * math.log(factor * more) for more in (1.5, 3.0) for sign in (1.0, -1.0))
        self._gap_bets, self._no_gap_bets = (self._bets_of_gap(unknown=unknown) for unknown in (True, False))
        self._gaps = Detector(width, len(self._odds_shifts), limit)
        self._thinned = Thinned(PERIOD_MS)
        self._began: Millis | None = None
        self._looked = False
        """Whether the newest pane has been looked at."""
        self._panes: list[int] = []
        self._counts: list[NDArray[np.int64]] = []
        self._patients: list[dict[str, int]] = []
        self._window: dict[tuple[str, ShiftKind], Shift] = {}
        self._steps: dict[tuple[str, ShiftKind], Shift] = {}

    def wants(self, patient: str, at: Millis) -> bool:
        """Whether a row would be taken: one in twelve hours of a patient is."""
        return self._thinned.wants(patient, at)

    def hear(self, patient: str, at: Millis, row: Sequence[float]) -> None:
        """Take a row in, in the order of the summary's names; NaN is unknown. Rows come in the order of time."""
        self.advance(at)
        self._began = at if self._began is None else self._began
        if not self._thinned.take(patient, at) or at < self._began + self.limits.settling_ms:
            return
        values = np.asarray(row, dtype=np.float64)
        unknown = np.isnan(values)
        bins = (values[:, None] > self._cuts).sum(axis=1)
        pane = at // self.limits.pane_ms
        if not self._panes or self._panes[-1] != pane:
            self._open(pane)
        self._counts[-1][self._places, np.where(unknown, 0, bins + 1)] += 1
        patients = self._patients[-1]
        patients[patient] = patients.get(patient, 0) + 1
        self._bet(bins, unknown)

    def advance(self, at: Millis) -> bool:
        """Let time reach `at`: a pane that has ended is looked at, with those before it. Whether one was."""
        if self._looked or not self._panes or at // self.limits.pane_ms <= self._panes[-1]:
            return False
        self._looked = True
        self._thinned.forget(at)
        self._look()
        return True

    def shifted(self) -> tuple[Shift, ...]:
        """Give what has shifted and not come back: steps first, then by the window."""
        return (*self._steps.values(), *self._window.values())

    def _open(self, pane: int) -> None:
        self._looked = False
        self._panes.append(pane)
        self._counts.append(np.zeros((len(self._places), BINS + 1), dtype=np.int64))
        self._patients.append({})
        while self._panes[0] <= pane - self.limits.panes_max:
            del self._panes[0], self._counts[0], self._patients[0]

    # -- at once ------------------------------------------------------------------------------------------------------

    def _bets_of_gap(self, *, unknown: bool) -> Floats:
        """Give the bets of each input on its being missing; where it is never or always so, none on what cannot be."""
        share = np.clip(self._missing, GAP_MIN, 1.0 - GAP_MIN)
        tolerance = math.log(self.limits.odds_factor)
        bets = odds_bets(share, happened=np.full(len(share), unknown), tolerance=tolerance, shifts=self._odds_shifts)
        more = np.array(self._odds_shifts) > 0.0
        beyond = np.where(more, self._missing[:, None] > 1.0 - GAP_MIN, self._missing[:, None] < GAP_MIN)
        return np.where(beyond, LOG_NONE, bets)

    def _bet(self, bins: NDArray[np.intp], unknown: NDArray[np.bool_]) -> None:
        value_bets = np.where(unknown[:, None], np.nan, self._value_bets[self._places, bins])
        rising = self._values.step(value_bets)
        gaps_rising = self._gaps.step(np.where(unknown[:, None], self._gap_bets, self._no_gap_bets))
        if rising.any() or gaps_rising.any() or self._steps:
            self._note("values", self._values, self.limits.tolerance, lambda bet: bet < len(STAKES))
            self._note("missing", self._gaps, self.limits.odds_factor, lambda bet: self._odds_shifts[bet] > 0.0)

    def _note(self, kind: ShiftKind, detector: Detector, size: float, is_up: Callable[[int], bool]) -> None:
        strongest = detector.strongest()
        for place in range(len(self._places)):
            key = (self.summary.names[place], kind)
            if not detector.raised[place]:
                self._steps.pop(key, None)
            elif key not in self._steps:
                sign = 1.0 if is_up(int(strongest[place])) else -1.0
                self._steps[key] = Shift(*key, at_once=True, size=size, direction=sign, rows=self.rows)

    @property
    def rows(self) -> int:
        """Thinned rows in the panes that are kept."""
        return sum(sum(patients.values()) for patients in self._patients)

    # -- by the window ------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        limits = self.limits
        counts = np.zeros_like(self._counts[-1])
        patients: dict[str, int] = {}
        effective, first = 0.0, self._panes[-1]
        for pane, each, whose in zip(
            reversed(self._panes), reversed(self._counts), reversed(self._patients), strict=True
        ):
            if self._panes[-1] - pane >= limits.panes_min and effective >= limits.rows_wanted:
                break
            counts, first = counts + each, pane
            for patient, rows in whose.items():
                patients[patient] = patients.get(patient, 0) + rows
            effective = effective_rows(list(patients.values()))
        long_enough = self._panes[-1] - first >= limits.panes_min - 1
        if effective < limits.rows_min or not long_enough:
            return
        rows = sum(patients.values())
        of_missing = np.stack([counts[:, 0], counts[:, 1:].sum(axis=1)], axis=1)
        reference = np.stack([self._missing, 1.0 - self._missing], axis=1)
        share = effective / rows
        self._hold("values", counts[:, 1:], self._shares, self._bins, share, 1.0 - self._missing)
        self._hold("missing", of_missing, reference, np.full(len(counts), 2), share, np.ones(len(counts)))

    def _hold(
        self,
        kind: ShiftKind,
        counts: NDArray[np.int64],
        shares: Floats,
        bins: NDArray[np.int64],
        effective_share: float,
        reference_share: Floats,
    ) -> None:
        """Hold counts (inputs, bins) against shares."""
        rows = counts.sum(axis=1)
        reference_rows = self.summary.effective_rows * reference_share
        sizes = stability_index(counts, shares, bins, reference_rows)
        chances = chance_of(counts, shares, bins, effective_share, reference_rows)
        enough = (
            (rows * effective_share >= self.limits.rows_min) & (reference_rows >= self.limits.rows_min) & (bins > 1)
        )
        if kind == "values":
            enough &= self._watched
        beyond = enough & (sizes >= self.limits.psi) & (chances * 2 * len(rows) <= self.limits.alpha)
        for place in range(len(rows)):
            key = (self.summary.names[place], kind)
            if beyond[place]:
                if kind == "values":
                    direction = float((counts[place] * self._ranks[place]).sum() / rows[place] - 0.5)
                else:
                    direction = float(counts[place, 0] / rows[place] - shares[place, 0])
                self._window[key] = Shift(
                    *key, at_once=False, size=float(sizes[place]), direction=direction, rows=int(rows[place])
                )
            elif sizes[place] < CLEAR_SHARE * self.limits.psi or not enough[place]:
                self._window.pop(key, None)

    # -- its state ----------------------------------------------------------------------------------------------------

    def state(self) -> InputState:
        """Give everything as plain numbers."""
        return InputState(
            self._began,
            self._looked,
            tuple(self._panes),
            tuple(tuple(map(int, counts.ravel())) for counts in self._counts),
            tuple(tuple(patients.items()) for patients in self._patients),
            self._thinned.state(),
            self._values.state(),
            self._gaps.state(),
            self.shifted(),
        )

    @classmethod
    def restored(cls, summary: InputSummary, state: InputState, limits: InputLimits | None = None) -> InputMonitor:
        """Go on from a state, alike; the summary and the limits are those it was made under."""
        made = cls(summary, limits)
        made._began, made._looked, made._panes = state.began, state.looked, list(state.panes)
        shape = (len(summary.names), BINS + 1)
        made._counts = [np.array(counts, dtype=np.int64).reshape(shape) for counts in state.counts]
        made._patients = [dict(patients) for patients in state.patients]
        made._thinned.restore(state.thinned)
        made._values, made._gaps = Detector.restored(state.values), Detector.restored(state.missing)
        for shift in state.shifted:
            (made._steps if shift.at_once else made._window)[shift.name, shift.kind] = shift
        return made
