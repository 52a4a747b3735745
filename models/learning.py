"""The learner: River's scaler and logistic regression, fed only what they survive.

Owns the River pipeline, what is done about missing and non-finite input before River sees it, and the learner's state
as plain numbers. Must not know where examples come from, what the inputs mean, or that anybody is scored with the
result: scoring runs on a frozen `ModelVersion` (models/version.py), never on this.

Why the guard (host-facts.md, River 0.26.1): one NaN turns scaler and regression to NaN for good; None raises. So:

- an unknown input (NaN or None) is left out of River's dictionary. The scaler then learns nothing from it and the
  regression adds nothing for it, which is imputation by the mean so far: that mean scales to 0. For the inputs named in
  `Inputs.indicators` a 0/1 input says that the value was missing, for what nobody measured is itself informative.
- a value that is infinite, or beyond `MAGNITUDE_MAX`, is refused with the whole row and a reason; nothing is learned.
- scaled values are clipped to `CLIP_SD`, so that one odd row cannot carry a score or a step alone.

There is no randomness in here: the same examples in the same order give the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from importlib.metadata import version
from typing import Any

import msgspec
from river import base, linear_model, optim, preprocessing, utils

from models.rows import Inputs, Refusal

RIVER_VERSION = version("river")
"""River's own version, recorded with everything learned: its pickles do not travel, plain numbers with a date do."""

CLIP_SD = 6.0
"""Standard deviations at which a scaled input is clipped: past this a value is as extreme as the line can say."""

LEARNING_RATE = 0.01
"""AdaGrad's rate. On 2,000 stays of PhysioNet 2019, tested frozen on the next 1,000 (906 positives in 27,266 rows), the
AUROC was .708 at .01, and .643, .700, .691 at .05, .005, .0025; NEWS2's was .630. A few thousand rows want more."""

ADAGRAD_START = 1.0
"""AdaGrad's accumulator at the start (River's `eps`): from 0 the first rows would each move weights by a full rate."""

INTERCEPT_RATE = 0.01
"""River's default rate for the intercept."""

BASE_RATE = 0.02
"""The share of positives assumed before the first example, so that an untrained learner is not at 50 %."""


class Clip(base.Transformer):
    """Clip every scaled input to plus or minus `limit` standard deviations.

    >>> Clip(2.0).transform_one({"a": -3.0, "b": 1.0})
    {'a': -2.0, 'b': 1.0}
    """

    def __init__(self, limit: float = CLIP_SD) -> None:
        self.limit = limit

    def transform_one(self, x: dict[Hashable, Any]) -> dict[Hashable, Any]:
        """Give the clipped inputs, in the same order."""
        limit = self.limit
        return {name: max(-limit, min(limit, value)) for name, value in x.items()}


class LearnerState(msgspec.Struct, frozen=True):
    """All a learner knows, as plain numbers in the order of `Inputs.all_names()`."""

    inputs: Inputs
    counts: tuple[int, ...]
    means: tuple[float, ...]
    variances: tuple[float, ...]
    weights: tuple[float, ...]
    accumulators: tuple[float, ...]
    """AdaGrad's sums of squared gradients."""
    intercept: float
    rows: int
    positives: int
    learning_rate: float
    clip_sd: float
    river_version: str


class Learner:
    """River's `StandardScaler | Clip | LogisticRegression(AdaGrad)` behind a finite check.

    >>> learner = Learner(Inputs(("x",)))
    >>> for i in range(500):
    ...     _ = learner.learn_one([float(i % 2)], i % 2 == 1)
    >>> learner.predict_proba_one([0.0]) < learner.predict_proba_one([1.0])
    True
    >>> learner.learn_one([float("inf")], True)
    'not_finite'
    """

    def __init__(
        self,
        inputs: Inputs,
        learning_rate: float = LEARNING_RATE,
        clip_sd: float = CLIP_SD,
        base_rate: float = BASE_RATE,
    ) -> None:
        self.inputs = inputs
        self.rows = 0
        self.positives = 0
        self._learning_rate = learning_rate
        self._clip_sd = clip_sd
        self._scaler = preprocessing.StandardScaler()
        self._regression = linear_model.LogisticRegression(
            optimizer=optim.AdaGrad(learning_rate, eps=ADAGRAD_START),
            intercept_init=math.log(base_rate / (1.0 - base_rate)),
            intercept_lr=INTERCEPT_RATE,
        )
        self.pipeline: Any = self._scaler | Clip(clip_sd) | self._regression

    def learn_one(self, vector: Sequence[float | None], label: bool) -> Refusal:  # noqa: FBT001 - River's own signature
        """Learn one labelled row; gives the reason where it was refused and nothing was learned."""
        refusal = self.inputs.refusal(vector)
        if not refusal:
            self.pipeline.learn_one(self.inputs.dictionary(vector), bool(label))
            self.rows += 1
            self.positives += bool(label)
        return refusal

    def predict_proba_one(self, vector: Sequence[float | None]) -> float | None:
        """Give the probability of the outcome, or None where the row is refused."""
        if self.inputs.refusal(vector):
            return None
        probability: float = self.pipeline.predict_proba_one(self.inputs.dictionary(vector))[True]
        return float(probability)

    def state(self) -> LearnerState:
        """Give everything learned, as plain numbers."""
        names = self.inputs.all_names()
        scaler, weights, optimizer = self._scaler, self._regression.weights, self._regression.optimizer
        return LearnerState(
            inputs=self.inputs,
            counts=tuple(int(scaler.counts.get(name, 0)) for name in names),
            means=tuple(float(scaler.means.get(name, 0.0)) for name in names),
            variances=tuple(float(scaler.vars.get(name, 0.0)) for name in names),
            weights=tuple(float(weights.get(name, 0.0)) for name in names),
            accumulators=tuple(float(optimizer.g2.get(name, 0.0)) for name in names),
            intercept=float(self._regression.intercept),
            rows=self.rows,
            positives=self.positives,
            learning_rate=self._learning_rate,
            clip_sd=self._clip_sd,
            river_version=RIVER_VERSION,
        )

    @classmethod
    def restored(cls, state: LearnerState) -> Learner:
        """Go on from a state: the learner it came from and this one learn and predict alike, bit for bit."""
        learner = cls(state.inputs, state.learning_rate, state.clip_sd)
        for at, name in enumerate(state.inputs.all_names()):
            if state.counts[at]:
                learner._scaler.counts[name] = state.counts[at]
                learner._scaler.means[name] = state.means[at]
                learner._scaler.vars[name] = state.variances[at]
                learner._regression.optimizer.g2[name] = state.accumulators[at]
        seen = {
            name: weight
            for name, weight, count in zip(state.inputs.all_names(), state.weights, state.counts, strict=True)
            if count
        }
        # River has no public way to set weights; the law `restored_goes_on_alike` holds us to the pinned version's.
        learner._regression._weights = utils.VectorDict(seen)  # noqa: SLF001
        learner._regression.intercept = state.intercept
        learner._regression.optimizer.n_iterations = state.rows
        learner.rows = state.rows
        learner.positives = state.positives
        return learner
