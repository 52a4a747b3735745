"""Scoring with a frozen version: a vector in, a probability with its reasons out.

Owns what becomes of a row, and the logistic's arithmetic of the hot path; an ensemble's is models/ensemble_scorer.py,
its contributions are models/explaining/shapley.py. Must not know River: both are held to what they were learned by
within 1e-12 (models/checks.py, models/checks_ensemble.py). Must not know what is done with a probability.

Beside the probability a version since format 2 gives its interval (models/venn.py) and how unlike the row is
(models/likeness.py). A bug in here costs a patient the model's word and nothing else: it becomes a prediction that says
`model_failed`, for the same record carries NEWS2, which must be told.

Of a logistic, scaling, clipping and weighting are folded into one multiplication an input when the scorer is built:
within the clip's range an input contributes (x - mean) * (weight / deviation), outside it the contribution at the edge,
and a missing one nothing, since the mean is what stands in for it. Plain lists: at 75 inputs numpy's conversion alone
costs more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from events import Millis
from features.state import PatientState
from models.ensemble_scorer import EnsembleLogit
from models.explaining.background import without_rows
from models.explaining.shapley import Shapley
from models.explaining.words import feature_of
from models.inputs import row_spec_of
from models.likeness import Distances
from models.news2 import News2
from models.rows import MAGNITUDE_MAX
from models.version import ModelVersion

CONTRIBUTIONS_TOLD = 5
"""Reasons given with a score: what a clinician reads at a glance."""

PROBABILITY_DECIMALS = 6
"""A probability is told to a millionth: far finer than its calibration, and coarse enough that the last bit of a sum or
of an `exp`, which may differ between processors' libraries, does not reach an alert's digest."""

LOGIT_MAX = 30.0
"""Beyond this River answers 0 or 1 (`river.utils.math.sigmoid`), and so do we; `exp` cannot overflow."""


class Prediction(msgspec.Struct, frozen=True, gc=False):
    """What the model says of one patient at one time."""

    probability: float | None
    """Of the outcome within the version's horizon, to `PROBABILITY_DECIMALS`; None where the model cannot say."""
    contributions: tuple[tuple[str, float], ...]
    """What moved the score most: (name, logits), largest first. A logistic names inputs, and it was moved from the
    training mean; an ensemble names features, and it was moved from `Scorer.base`. Empty also where they were not
    asked for (`Scorer.score`)."""
    version: str
    reason: str = ""
    """Why there is no probability: `no_usable_input`, `not_finite`, `out_of_bounds`, `wrong_length`, or
    `model_failed` and the kind of error."""
    low: float | None = None
    high: float | None = None
    """The interval around the probability, at the coverage of the version's table; None where it has no table."""
    unlikeness: float | None = None
    """How unlike what the version was made on the row is, as a share of the limit: above 1 it is beyond. None where the
    version has no summary."""
    unlike_in: str = ""
    """Where it is beyond: the input that makes it so, most likely."""


FAILED = "model_failed"
"""The reason of a prediction that our own code failed to make."""


class UnusableRowError(Exception):
    """A number no feature may have: the row is refused, as the learner refuses it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Term(msgspec.Struct, frozen=True):
    """One input's share of the logit, folded: (x - mean) * slope between low and high, the edge's value outside."""

    mean: float
    slope: float
    low: float
    high: float
    at_low: float
    at_high: float

    @classmethod
    def folded(cls, mean: float, deviation: float, weight: float, clip_sd: float) -> _Term:
        if not deviation:
            return cls(mean, 0.0, -math.inf, math.inf, 0.0, 0.0)
        reach = clip_sd * deviation
        return cls(mean, weight / deviation, mean - reach, mean + reach, -clip_sd * weight, clip_sd * weight)

    def contribution(self, x: float) -> float:
        if self.low < x < self.high:
            return (x - self.mean) * self.slope
        return self.at_low if x <= self.low else self.at_high


def _edge(value: float, low: float, at_low: float, at_high: float) -> float:
    """Give the contribution of a value outside the clip's range; refuse what the learner would refuse."""
    if math.isinf(value):
        raise UnusableRowError("not_finite")
    if abs(value) > MAGNITUDE_MAX:
        raise UnusableRowError("out_of_bounds")
    return at_low if value <= low else at_high


def _sigmoid(logit: float) -> float:
    if logit < -LOGIT_MAX:
        return 0.0
    if logit > LOGIT_MAX:
        return 1.0
    return 1.0 / (1.0 + math.exp(-logit))


class Scorer:
    """A version made ready to score with.

    >>> from models.rows import Inputs
    >>> from models.version import Lineage
    >>> version = ModelVersion(inputs=Inputs(("x", "y"), ("x",)), schema_hash="", means=(1.0, 0.0, 0.5),
    ...     deviations=(2.0, 1.0, 0.5), weights=(1.0, 0.5, 0.0), intercept=-1.0, clip_sd=6.0, horizon_h=12,
    ...     threshold=0.1, threshold_release=0.05, cost_of_miss=9.0, lineage=Lineage("example", 0, 0), river_version="")
    >>> scorer = Scorer(version)
    >>> scorer.score([3.0, float("nan")]).probability, scorer.score([3.0, float("nan")]).contributions
    (0.5, (('x', 1.0),))
    >>> scorer.score([float("nan")] * 2).reason
    'no_usable_input'
    """

    def __init__(self, version: ModelVersion) -> None:
        self.model = version
        self.version = version.version
        count = len(version.inputs.names)
        self._width = count
        self._quick: EnsembleLogit | None = None
        self._flags: list[tuple[int, float, float]] = []
        if version.ensemble is None:
            self.names = version.inputs.all_names()
            """What the contributions are of, in order."""
            self.base = version.intercept
            """The log-odds that the contributions are added to."""
            self._told_names: tuple[str, ...] = self.names
            self._fold(version)
        else:
            self._quick = EnsembleLogit(version.ensemble)
            self._shapley = Shapley(version.ensemble, version.background or without_rows(version.ensemble), count)
            self.names, self.base = version.inputs.names, self._shapley.base
            self._told_names = tuple(dict.fromkeys(map(feature_of, self.names)))
            self._told_places = [self._told_names.index(feature_of(name)) for name in self.names]
        self._needed = [version.inputs.names.index(name) for name in version.inputs.indicators] or list(range(count))
        self._distances = Distances(version.likeness, version.inputs.names) if version.likeness else None
        self._venn = version.venn

    def _fold(self, version: ModelVersion) -> None:
        columns = zip(version.means, version.deviations, version.weights, strict=True)
        terms = [_Term.folded(mean, deviation, weight, version.clip_sd) for mean, deviation, weight in columns]
        self._terms = [msgspec.structs.astuple(term) for term in terms[: self._width]]
        self._flags = [
            (version.inputs.names.index(name), term.contribution(0.0), term.contribution(1.0))
            for name, term in zip(version.inputs.indicators, terms[self._width :], strict=True)
        ]

    def logits(self, vector: Sequence[float]) -> list[float]:
        """Give the contribution of each of `names`, in logits from `base`: hot for a logistic, dear for an ensemble.

        Raises `UnusableRowError` where a number is infinite or beyond `MAGNITUDE_MAX`.
        """
        if self._quick is not None:
            self._quick_logit(self._quick, vector)
            return self._shapley.contributions(vector)
        contributions = [
            (x - mean) * slope if low < x < high else 0.0 if x != x else _edge(x, low, at_low, at_high)  # noqa: PLR0124 - NaN
            for x, (mean, slope, low, high, at_low, at_high) in zip(vector, self._terms, strict=True)
        ]
        contributions += [missing if vector[at] != vector[at] else there for at, there, missing in self._flags]
        return contributions

    def logit(self, vector: Sequence[float]) -> float:
        """Give the log-odds of a row; raises as `logits` does."""
        if self._quick is not None:
            return self._quick_logit(self._quick, vector)
        return self.base + sum(self.logits(vector))

    def _quick_logit(self, quick: EnsembleLogit, vector: Sequence[float]) -> float:
        logit = quick.logit(vector)
        if logit != logit:  # noqa: PLR0124 - NaN
            raise UnusableRowError(self.model.inputs.refusal(vector) or "not_finite")
        return logit

    def probability(self, vector: Sequence[float]) -> float:
        """Give the unrounded probability, for the parity law; raises as `logits` does."""
        return _sigmoid(self.logit(vector))

    def score(self, vector: Sequence[float], *, explain: bool = True) -> Prediction:
        """Score a row of `models.rows` shape: NaN where unknown.

        Without `explain` the contributions are left out, for they cost as much as the probability: most scores are too
        low for anybody to ask why. `explained` adds them to such a prediction. Never raises.
        """
        try:
            return self._score(vector, explain=explain)
        except Exception as error:  # noqa: BLE001 - whatever it is, the record must not be lost with it
            return self._failed(error)

    def _score(self, vector: Sequence[float], *, explain: bool) -> Prediction:
        if len(vector) != self._width:
            return Prediction(None, (), self.version, "wrong_length")
        try:
            logit = self.logit(vector)
        except UnusableRowError as refusal:
            return Prediction(None, (), self.version, refusal.reason)
        for at in self._needed:
            if vector[at] == vector[at]:
                break
        else:
            return Prediction(None, (), self.version, "no_usable_input")
        probability = round(_sigmoid(logit), PROBABILITY_DECIMALS)
        low = high = unlikeness = None
        unlike_in = ""
        if self._venn is not None and probability == probability:  # noqa: PLR0124 - NaN has no interval
            low, high = self._venn.interval(probability)
        if self._distances is not None:
            unlikeness = self._distances.unlikeness(vector)
            if unlikeness > 1.0:
                unlike_in = self._distances.farthest(vector)
        told = self.largest(self.logits(vector)) if explain else ()
        return Prediction(probability, told, self.version, "", low, high, unlikeness, unlike_in)

    def predict(self, state: PatientState, at: Millis, news2: News2 | None = None) -> Prediction:
        """Score a patient as of `at`; a `news2` that has been computed already for `at` saves computing it again."""
        try:
            return self.score(row_spec_of(self.model.inputs).row(state, at, news2))
        except Exception as error:  # noqa: BLE001 - as in `score`
            return self._failed(error)

    def _failed(self, error: Exception) -> Prediction:
        return Prediction(None, (), self.version, f"{FAILED} {type(error).__name__}")

    def largest(self, contributions: Sequence[float]) -> tuple[tuple[str, float], ...]:
        """Give the largest of what `logits` gave; equal ones in the order of the inputs, none that is nothing.

        An ensemble has a dozen inputs of one vital sign: they are told as one.
        """
        if self._quick is not None:
            grouped = [0.0] * len(self._told_names)
            for place, part in zip(self._told_places, contributions, strict=True):
                grouped[place] += part
            contributions = grouped
        sizes = list(map(abs, contributions))
        # Looking five sizes up again is three times as quick as sorting positions by size.
        largest = sorted(sizes)[: -CONTRIBUTIONS_TOLD - 1 : -1]
        places = list(map(sizes.index, largest))
        if len(set(places)) < len(places):
            places = sorted(range(len(sizes)), key=lambda at: -sizes[at])[:CONTRIBUTIONS_TOLD]
        names = self._told_names
        return tuple(
            [(names[at], round(contributions[at], PROBABILITY_DECIMALS)) for at in places if contributions[at]]
        )
