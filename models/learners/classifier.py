"""What every learner can do: River's verbs, rows by the hundred, and a state of plain numbers to go on from.

Owns the interface. Must not know any learner. A row is in the order of `inputs.names`, NaN (or None) where unknown.

`grow` is apart from `learn_one` for its length: a tree takes tens of milliseconds, which a process may spend off its
event loop. Nothing else is learned meanwhile, or a replay would not give the same bits: a learner's state is a function
of its rows in their order and of the calls of `grow` among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from models.rows import MAGNITUDE_MAX, Inputs, Refusal
from models.weights import Ensemble, Matrix

Row = Sequence[float | None]


class Classifier(Protocol):
    """A learner of one binary outcome."""

    inputs: Inputs

    @property
    def rows(self) -> int:
        """Rows learned; refused ones do not count."""

    @property
    def positives(self) -> int:
        """Of them, those with the outcome."""

    def learn_one(self, vector: Row, label: bool, said: float | None = None) -> Refusal:  # noqa: FBT001 - River's own signature
        """Learn one labelled row in under a millisecond; gives the reason where it was refused, and learned nothing.

        `said` is the log-odds (`logits_many`) that were said of the row at its time, where the caller kept them: what
        is learned about calibration is learned from these. A label's own patient has taught the learner since.
        """

    def learn_many(self, matrix: Matrix, labels: NDArray[np.bool_], said: Matrix | None = None) -> list[Refusal]:
        """Learn rows in their order, growing where it is due: alike to `learn_one` and `grow`, bit for bit."""

    def due(self) -> bool:
        """Tell whether there is something to grow."""

    def grow(self) -> None:
        """Do the heavy part that is due; nothing where nothing is due."""

    def predict_proba_one(self, vector: Row) -> float | None:
        """Give the probability of the outcome, or None where the row is refused."""

    def predict_proba_many(self, matrix: Matrix) -> NDArray[np.float64]:
        """Give the probability for rows of shape (rows, inputs); NaN where a row is refused."""

    def state(self) -> Any:
        """Give everything learned as a msgspec struct of plain numbers and bytes."""

    @classmethod
    def restored(cls, state: Any) -> Self:
        """Go on from a state: bit for bit alike to the learner it came from."""


class Weighted(Classifier, Protocol):
    """A learner whose knowledge can be frozen into weights that a version carries."""

    def weights(self) -> Ensemble:
        """Give what scores, as plain numbers: `predict_proba_many` is the sigmoid of their log-odds."""


@lru_cache(maxsize=8)
def _needed(inputs: Inputs) -> NDArray[np.intp]:
    """Give the places of the inputs one of which must be known."""
    return np.array([inputs.names.index(name) for name in inputs.indicators or inputs.names], dtype=np.intp)


def refusals_of(inputs: Inputs, matrix: Matrix) -> list[Refusal]:
    """Say of each row why it must not be used, or nothing: `Inputs.refusal`, by the hundred.

    >>> refusals_of(Inputs(("a", "b"), ("a",)), np.array([[1.0, np.nan], [np.inf, 0.0], [np.nan, 1.0], [1e10, 0.0]]))
    ['', 'not_finite', 'no_usable_input', 'out_of_bounds']
    """
    if matrix.ndim != 2 or matrix.shape[1] != len(inputs.names):
        return ["wrong_length"] * len(matrix)
    infinite = np.isinf(matrix)
    beyond = ~infinite & (np.abs(matrix) > MAGNITUDE_MAX)
    unusable = np.isnan(matrix[:, _needed(inputs)]).all(axis=1)
    refusals: list[Refusal] = [""] * len(matrix)
    for at in np.flatnonzero(unusable):
        refusals[at] = "no_usable_input"
    bad = infinite | beyond
    for at in np.flatnonzero(bad.any(axis=1)):
        # The first of them, as in a row that is read from its beginning.
        refusals[at] = "not_finite" if infinite[at, int(bad[at].argmax())] else "out_of_bounds"
    return refusals


def usable_row(inputs: Inputs, vector: Row) -> tuple[Matrix | None, Refusal]:
    """Give a row as a matrix of one, or the reason why it must not be used.

    >>> usable_row(Inputs(("a",)), [None])
    (None, 'no_usable_input')
    """
    if len(vector) != len(inputs.names):
        return None, "wrong_length"
    matrix = np.array([vector], dtype=np.float64)
    refusal = refusals_of(inputs, matrix)[0]
    return (None if refusal else matrix), refusal


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give probabilities of log-odds; those beyond 30 are 0 or 1, as the scorer has them.

    >>> sigmoid(np.array([0.0, 31.0, -1e9])).tolist()
    [0.5, 1.0, 0.0]
    """
    told = 1.0 / (1.0 + np.exp(-np.clip(logits, -30.0, 30.0)))
    return np.where(logits > 30.0, 1.0, np.where(logits < -30.0, 0.0, told))
