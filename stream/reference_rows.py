"""Rows that a version is held against: what its explanations start from, and its monitors compare the present with.

Owns which matured rows are kept for that and how many. Must not know what is made of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from events import Millis
from models.drift.thinning import Thinned, ThinnedState
from models.weights import Matrix

REFERENCE_ROWS_MAX = 4_096
"""Newest rows, one a patient in 12 h, at 8 bytes an input: ten days of 200 beds, 9 MB of 269 inputs."""


class Columns(NamedTuple):
    """The rows kept, the oldest first."""

    matrix: Matrix
    patients: NDArray[np.int64]
    labels: NDArray[np.bool_]
    probabilities: NDArray[np.float64]
    """What was said of each before it was learned."""


class ReferenceRowsState(msgspec.Struct, frozen=True):
    """All kept, as plain values: columns as little-endian bytes."""

    rows: bytes
    probabilities: bytes
    labels: bytes
    patients: list[str]
    thinned: ThinnedState


class ReferenceRows:
    """The newest matured rows, thinned as the monitors thin theirs (models/drift/thinning.py).

    >>> rows = ReferenceRows(width=2)
    >>> rows.add((1.0, 2.0), 0.25, label=True, patient="p", at=0)
    True
    >>> rows.add((1.0, 2.0), 0.5, label=True, patient="p", at=1)
    False
    >>> rows.columns().probabilities.tolist()
    [0.25]
    """

    def __init__(self, width: int, rows_max: int = REFERENCE_ROWS_MAX) -> None:
        """Begin with none; `width` is the number of inputs."""
        self._width = width
        self._rows: deque[tuple[bytes, float, bool, str]] = deque(maxlen=rows_max)
        self._thinned = Thinned()

    def add(self, vector: Sequence[float], probability: float, *, label: bool, patient: str, at: Millis) -> bool:
        """Take a row that has matured, where it is wanted; say whether it was."""
        wanted = self._thinned.take(patient, at)
        if wanted:
            self._rows.append((np.array(vector, dtype="<f8").tobytes(), probability, label, patient))
        return wanted

    def columns(self) -> Columns:
        """Give the rows kept; patients by number."""
        numbers: dict[str, int] = {}
        return Columns(
            np.frombuffer(b"".join(row for row, *_ in self._rows), dtype="<f8").reshape(-1, self._width),
            np.array([numbers.setdefault(name, len(numbers)) for *_, name in self._rows], dtype=np.int64),
            np.array([label for _, _, label, _ in self._rows], dtype=bool),
            np.array([probability for _, probability, _, _ in self._rows], dtype=np.float64),
        )

    def state(self) -> ReferenceRowsState:
        """Give everything kept."""
        made = self.columns()
        return ReferenceRowsState(
            made.matrix.tobytes(),
            made.probabilities.astype("<f8").tobytes(),
            made.labels.astype("u1").tobytes(),
            [name for *_, name in self._rows],
            self._thinned.state(),
        )

    @classmethod
    def restored(cls, width: int, state: ReferenceRowsState) -> ReferenceRows:
        """Go on from a state. Raises `ValueError` where its columns do not fit."""
        made, step = cls(width), 8 * width
        probabilities = np.frombuffer(state.probabilities, dtype="<f8").tolist()
        rows = [state.rows[at : at + step] for at in range(0, len(state.rows), step)]
        if rows and len(rows[-1]) != step:
            raise ValueError("reference rows of another width")
        for row, probability, label, patient in zip(rows, probabilities, state.labels, state.patients, strict=True):
            made._rows.append((row, probability, bool(label), patient))
        made._thinned.restore(state.thinned)
        return made
