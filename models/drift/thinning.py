"""One row a patient in so many hours: what a test of rows may count.

Owns the thinning. Must not know what a row holds. Rows of one patient an hour apart say nearly the same, and a test
that counts each as one alarms at the first long stay. Which rows are taken depends on their times alone, never on a
value or a label, and a reference is made of rows thinned alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from events import MILLIS_PER_HOUR, Millis

PERIOD_MS = 12 * MILLIS_PER_HOUR
"""The horizon of an outcome: of rows further apart than it no two windows of one patient overlap."""
PATIENTS_MAX = 100_000
"""Patients remembered at once, some 60 bytes each; past it the one who was taken longest ago is forgotten."""

ThinnedState = tuple[tuple[str, int], ...]


class Thinned:
    """Says which rows to take.

    >>> thinned = Thinned(period_ms=10)
    >>> [thinned.take("p", at) for at in (0, 9, 10, 15, 25)]
    [True, False, True, False, True]
    """

    def __init__(self, period_ms: Millis = PERIOD_MS, patients_max: int = PATIENTS_MAX) -> None:
        self._period_ms, self._patients_max = period_ms, patients_max
        self._taken: dict[str, Millis] = {}
        """When each was last taken, the longest ago first."""

    def wants(self, patient: str, at: Millis) -> bool:
        """Whether the row of a patient at an instant would be taken; late rows of the past would not."""
        last = self._taken.get(patient)
        return last is None or at >= last + self._period_ms

    def take(self, patient: str, at: Millis) -> bool:
        """Take the row of a patient at an instant, if it is wanted; whether it was."""
        if not self.wants(patient, at):
            return False
        self._taken.pop(patient, None)
        self._taken[patient] = at
        if len(self._taken) > self._patients_max:
            del self._taken[next(iter(self._taken))]
        return True

    def forget(self, at: Millis) -> None:
        """Let go whom the next row would be taken of anyway."""
        while self._taken:
            patient, last = next(iter(self._taken.items()))
            if last + self._period_ms > at:
                return
            del self._taken[patient]

    def state(self) -> ThinnedState:
        """Give what is remembered."""
        return tuple(self._taken.items())

    def restore(self, state: ThinnedState) -> None:
        """Go on from a state."""
        self._taken = dict(state)


def thinned_rows(
    patients: Sequence[str] | NDArray[np.int64], at: NDArray[np.int64], period_ms: Millis = PERIOD_MS
) -> NDArray[np.bool_]:
    """Say which of many rows a stream would take, in their order of time.

    >>> thinned_rows(["p", "p", "q"], np.array([0, 5, 6]), 10).tolist()
    [True, False, True]
    """
    thinned = Thinned(period_ms, max(len(at), 1))
    taken = np.zeros(len(at), dtype=bool)
    for place in np.argsort(at, kind="stable"):
        taken[place] = thinned.take(str(patients[place]), int(at[place]))
    return taken
