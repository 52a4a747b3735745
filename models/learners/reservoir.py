"""A bounded sample of coded rows of one class, with what is said of each now.

Owns which rows are kept, the cached log-odds, and which of them are stale. Must not know trees or how it is sampled.

Row n is taken in with probability max(capacity / n, least share) and puts out one at random (Vitter 1985; with a least
share Aggarwal 2006): uniform over a first while, then with a memory of `capacity / least share` rows that fades, so
that another hospital's rows are not a drop in the ocean of the first one's.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.learners.drawing import mixed, place
from models.weights import Codes


class ReservoirState(msgspec.Struct, frozen=True):
    """All of it; bytes are codes row by row, float64 log-odds, and a bit a row that is stale."""

    capacity: int
    width: int
    least_share: float
    seed: int
    seen: int
    size: int
    codes: bytes
    logits: bytes
    stale: bytes


class Reservoir:
    """A sample of coded rows.

    >>> sample = Reservoir(2, 1, least_share=0.5, seed=1)
    >>> for code in range(100):
    ...     sample.offer(np.array([code], dtype=np.uint8))
    >>> sample.seen, sample.size, bool(sample.codes.min() > 80)
    (100, 2, True)
    """

    def __init__(self, capacity: int, width: int, *, least_share: float, seed: int) -> None:
        """Begin empty; the memory it will need is taken at once."""
        self.capacity, self.width, self.least_share, self.seed = capacity, width, least_share, seed
        self.seen = 0
        self.size = 0
        self._codes = np.zeros((capacity, width), dtype=np.uint8)
        self._logits = np.zeros(capacity)
        self._stale = np.zeros(capacity, dtype=bool)

    @property
    def codes(self) -> Codes:
        """Rows of codes there are, to be read and written in place."""
        return self._codes[: self.size]

    @property
    def logits(self) -> NDArray[np.float64]:
        """What is said of each row, to be read and written in place; of a stale one nothing yet."""
        return self._logits[: self.size]

    @property
    def stale(self) -> NDArray[np.bool_]:
        """Rows whose log-odds must be computed anew, to be read and written in place."""
        return self._stale[: self.size]

    def offer(self, row: Codes) -> None:
        """Hear of a row of codes; it may be taken in."""
        self.seen += 1
        if self.size < self.capacity:
            at = self.size
            self.size += 1
        else:
            share = max(self.capacity / self.seen, self.least_share)
            if mixed(self.seed, 2 * self.seen) >= share * 2.0**64:
                return
            at = place(self.seed, 2 * self.seen + 1, self.capacity)
        self._codes[at] = row
        self._stale[at] = True

    def state(self) -> ReservoirState:
        """Give all of it."""
        return ReservoirState(
            capacity=self.capacity,
            width=self.width,
            least_share=self.least_share,
            seed=self.seed,
            seen=self.seen,
            size=self.size,
            codes=self.codes.tobytes(),
            logits=self.logits.astype("<f8").tobytes(),
            stale=np.packbits(self.stale).tobytes(),
        )

    @classmethod
    def restored(cls, state: ReservoirState) -> Reservoir:
        """Go on from a state. Raises ValueError where its bytes do not fit its size."""
        found = cls(state.capacity, state.width, least_share=state.least_share, seed=state.seed)
        found.seen, found.size = state.seen, state.size
        found.codes[:] = np.frombuffer(state.codes, dtype=np.uint8).reshape(state.size, state.width)
        found.logits[:] = np.frombuffer(state.logits, dtype="<f8").reshape(state.size)
        found.stale[:] = np.unpackbits(np.frombuffer(state.stale, dtype=np.uint8), count=state.size).astype(bool)
        return found
