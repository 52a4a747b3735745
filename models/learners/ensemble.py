"""Crossed logistic and boosting together: their log-odds mixed, and the mixture calibrated.

Owns the mixture and the order in which the parts learn. Must not know how either part works inside.

The two err differently: the logistic is smooth, learns from every row and from the first one; the trees find what
nobody named a pair for, once there are some (docs/learning.md). Calibration is the last stage. It learns from what was
said at the time where a caller kept that (`said`, before calibration), for by the time a label comes its own patient's
other hours have taught both parts (decision 0014).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.calibration import Calibrator, CalibratorState
from models.learners.boosting import Boosting, BoostingSettings, BoostingState
from models.learners.classifier import Row, refusals_of, sigmoid, usable_row
from models.learners.crossed_logistic import RATE, CrossedLogistic, CrossedState
from models.rows import Inputs, Refusal
from models.weights import Ensemble, Matrix

MIX = (0.3, 0.7)
"""The shares of the logistic and of the trees: as good as the trees alone once these are many, and better before."""


class CrossedBoostedState(msgspec.Struct, frozen=True):
    """All it knows: the states of its parts."""

    crossed: CrossedState
    boosting: BoostingState
    mix: tuple[float, float]
    calibrator: CalibratorState


class CrossedBoosted:
    """The learner that the service ships: crossed logistic and incremental boosting, mixed and calibrated.

    >>> learner = CrossedBoosted(Inputs(("x",)), BoostingSettings(schedule=(64,), every_labels=64), schedule=(64,))
    >>> matrix = np.arange(3000.0)[:, None] % 10
    >>> _ = learner.learn_many(matrix, matrix[:, 0] >= 8)
    >>> low, high = learner.predict_proba_many(np.array([[1.0], [9.0]]))
    >>> bool(low < high)
    True
    """

    def __init__(
        self,
        inputs: Inputs,
        boosting: BoostingSettings | None = None,
        *,
        pairs: tuple[tuple[int, int], ...] | None = None,
        rate: float = RATE,
        schedule: Sequence[int] | None = None,
        mix: tuple[float, float] = MIX,
    ) -> None:
        """Begin at the assumed base rate, with nothing to calibrate."""
        self.inputs = inputs
        self.boosting = Boosting(inputs, boosting)
        own = tuple(schedule or self.boosting.settings.schedule)
        self.crossed = CrossedLogistic(inputs, pairs=pairs, rate=rate, schedule=own, seed=self.boosting.settings.seed)
        self.calibrator = Calibrator()
        self._mix = mix

    @property
    def rows(self) -> int:
        """Rows learned."""
        return self.boosting.rows

    @property
    def positives(self) -> int:
        """Of them, those with the outcome."""
        return self.boosting.positives

    def learn_one(self, vector: Row, label: bool, said: float | None = None) -> Refusal:  # noqa: FBT001
        """Learn one labelled row; gives the reason where it was refused. Grows nothing: see `due`."""
        matrix, refusal = usable_row(self.inputs, vector)
        if matrix is not None:
            logits = self.raw_logits(matrix) if said is None else np.array([said])
            self._learn(matrix, np.array([label]), logits)
        return refusal

    def learn_many(self, matrix: Matrix, labels: NDArray[np.bool_], said: Matrix | None = None) -> list[Refusal]:
        """Learn rows in their order, growing where it is due; gives for each the reason where it was refused.

        `said` are the log-odds, before calibration, said of the rows at their times; NaN where they were not kept.
        """
        refusals = refusals_of(self.inputs, matrix)
        usable = np.array([at for at, refusal in enumerate(refusals) if not refusal], dtype=np.intp)
        rows, of_rows = np.asarray(matrix, dtype=np.float64), np.asarray(labels, dtype=bool)
        begun = 0
        while begun < len(usable):
            self.grow()
            part = usable[begun : begun + self.boosting.until_due()]
            begun += len(part)
            kept = np.full(len(part), np.nan) if said is None else np.asarray(said, dtype=np.float64)[part]
            if np.isnan(kept).any():
                for at, number in enumerate(part):
                    one = rows[number : number + 1]
                    logits = self.raw_logits(one) if np.isnan(kept[at]) else kept[at : at + 1]
                    self._learn(one, of_rows[number : number + 1], logits)
            else:
                self._learn(rows[part], of_rows[part], kept)
        self.grow()
        return refusals

    def _learn(self, matrix: Matrix, labels: NDArray[np.bool_], said: NDArray[np.float64]) -> None:
        for logit, label in zip(said.tolist(), labels.tolist(), strict=True):
            self.calibrator.learn_one(logit, label)
        self.crossed.take(matrix, labels)
        self.boosting.take(matrix, labels)

    def due(self) -> bool:
        """Tell whether a tree is to be grown."""
        return self.boosting.due()

    def grow(self) -> None:
        """Grow a tree where it is due."""
        self.boosting.grow()

    def raw_logits(self, matrix: Matrix) -> NDArray[np.float64]:
        """Give the mixed log-odds of rows that are usable, before calibration: what `said` wants."""
        return self._mix[0] * self.crossed.logits_many(matrix) + self._mix[1] * self.boosting.logits_many(matrix)

    def mended(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the probabilities that belong to log-odds before calibration: whoever wants both asks the trees once."""
        return sigmoid(self.calibrator.intercept + self.calibrator.slope * raw)

    def logits_many(self, matrix: Matrix) -> NDArray[np.float64]:
        """Give the calibrated log-odds of rows that are usable."""
        return self.calibrator.intercept + self.calibrator.slope * self.raw_logits(matrix)

    def predict_proba_one(self, vector: Row) -> float | None:
        """Give the probability of the outcome, or None where the row is refused."""
        matrix, _ = usable_row(self.inputs, vector)
        return None if matrix is None else float(sigmoid(self.logits_many(matrix))[0])

    def predict_proba_many(self, matrix: Matrix) -> NDArray[np.float64]:
        """Give the probability for rows of shape (rows, inputs); NaN where a row is refused."""
        usable = np.array([not refusal for refusal in refusals_of(self.inputs, matrix)], dtype=bool)
        told = np.full(len(matrix), np.nan)
        if usable.any():
            told[usable] = sigmoid(self.logits_many(matrix[usable]))
        return told

    def weights(self) -> Ensemble:
        """Give what scores."""
        return Ensemble(
            self.crossed.crossed(), self.boosting.trees(), self._mix, self.calibrator.slope, self.calibrator.intercept
        )

    def state(self) -> CrossedBoostedState:
        """Give everything learned."""
        return CrossedBoostedState(self.crossed.state(), self.boosting.state(), self._mix, self.calibrator.state())

    @classmethod
    def restored(cls, state: CrossedBoostedState) -> CrossedBoosted:
        """Go on from a state, alike to the last bit. Raises ValueError where it is no state of one learner."""
        if state.crossed.inputs != state.boosting.inputs:
            raise ValueError("the parts of this state have different inputs")
        learner = cls(state.boosting.inputs, state.boosting.settings, pairs=state.crossed.pairs, mix=state.mix)
        learner.crossed = CrossedLogistic.restored(state.crossed)
        learner.boosting = Boosting.restored(state.boosting)
        learner.calibrator = Calibrator.restored(state.calibrator)
        return learner
