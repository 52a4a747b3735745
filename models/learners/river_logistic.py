"""River's scaler and logistic regression behind the learners' interface, beside which the others are measured.

Owns the adaptation. Must not know how River computes: that is models/learning.py's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.learners.classifier import Row
from models.learning import LEARNING_RATE, Learner, LearnerState
from models.rows import Inputs, Refusal
from models.weights import Matrix


class RiverLogistic:
    """`models.learning.Learner`, by the hundred as well.

    >>> learner = RiverLogistic(Inputs(("x",)), learning_rate=0.1)
    >>> matrix = np.arange(1000.0)[:, None] % 10
    >>> _ = learner.learn_many(matrix, matrix[:, 0] >= 5)
    >>> low, high = learner.predict_proba_many(np.array([[1.0], [9.0]]))
    >>> bool(low < high)
    True
    """

    def __init__(self, inputs: Inputs, learning_rate: float = LEARNING_RATE) -> None:
        """Begin at the assumed base rate."""
        self.inputs = inputs
        self.learner = Learner(inputs, learning_rate)

    @property
    def rows(self) -> int:
        """Rows learned."""
        return self.learner.rows

    @property
    def positives(self) -> int:
        """Of them, those with the outcome."""
        return self.learner.positives

    def learn_one(self, vector: Row, label: bool, said: float | None = None) -> Refusal:  # noqa: ARG002, FBT001
        """Learn one labelled row; gives the reason where it was refused."""
        return self.learner.learn_one(vector, label)

    def learn_many(self, matrix: Matrix, labels: NDArray[np.bool_], said: Matrix | None = None) -> list[Refusal]:  # noqa: ARG002
        """Learn rows in their order: River's mini-batches average a batch's steps, which is another result."""
        return [self.learn_one(vector, label) for vector, label in zip(matrix.tolist(), labels.tolist(), strict=True)]

    def due(self) -> bool:
        """Tell that there is never anything to grow."""
        return False

    def grow(self) -> None:
        """Do nothing: all is learned row by row."""

    def predict_proba_one(self, vector: Row) -> float | None:
        """Give the probability of the outcome, or None where the row is refused."""
        return self.learner.predict_proba_one(vector)

    def predict_proba_many(self, matrix: Matrix) -> NDArray[np.float64]:
        """Give the probability for rows of shape (rows, inputs); NaN where a row is refused."""
        told = [self.predict_proba_one(vector) for vector in matrix.tolist()]
        return np.array([np.nan if one is None else one for one in told], dtype=np.float64)

    def state(self) -> LearnerState:
        """Give everything learned."""
        return self.learner.state()

    @classmethod
    def restored(cls, state: LearnerState) -> RiverLogistic:
        """Go on from a state, alike to the last bit."""
        learner = cls(state.inputs, state.learning_rate)
        learner.learner = Learner.restored(state)
        return learner
