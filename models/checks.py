"""The laws every learner and every frozen version obeys, as functions that tests apply to whatever they build.

Owns the laws. Must not know a particular model: it is given a way to make learners. In the manner of `river.checks`.
A breach raises `BrokenLawError` with the law's words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from models.learning import Learner
from models.rows import MAGNITUDE_MAX, Inputs
from models.scorer import Scorer
from models.training import freeze
from models.version import Lineage, dump, load

PARITY_TOLERANCE = 1e-12
"""How far the folded arithmetic may stand from River's own: some hundred roundings of the last bit."""

ROWS = 400
"""Rows a law is tried on: every input has then been seen, missing, far out and constant."""

LearnerFactory = Callable[[Inputs], Learner]
Row = tuple[list[float], bool]

INPUTS = Inputs(
    ("steady", "trend", "sparse", "constant", "wild", "never"), indicators=("steady", "sparse", "never", "trend")
)
"""One input for each way data misbehave."""


class BrokenLawError(AssertionError):
    """A learner or a scorer does not do what all of them must: our own bug."""


def _hold(claim: str, *, holds: bool) -> None:
    if not holds:
        raise BrokenLawError(claim)


def rows(seed: int, count: int = ROWS) -> list[Row]:
    """Make labelled rows for `INPUTS` from a seed: gaps, a constant, heavy tails, an input that is never known.

    >>> str(rows(1)) == str(rows(1)), len(rows(1, 3))
    (True, 3)
    """
    generator = np.random.default_rng(seed)
    made: list[Row] = []
    for number in range(count):
        steady, trend = float(generator.normal(80.0, 12.0)), float(generator.normal(number / count, 1.0))
        sparse = float(generator.normal(2.0, 1.0)) if generator.random() < 0.2 else math.nan
        wild = float(generator.standard_cauchy() * 1e3)
        logit = (steady - 90.0) / 10.0 + (0.0 if math.isnan(sparse) else sparse - 2.0)
        label = bool(generator.random() < 1.0 / (1.0 + math.exp(-logit)))
        made.append(([steady, trend, sparse, 1.0, max(-MAGNITUDE_MAX, min(MAGNITUDE_MAX, wild)), math.nan], label))
    return made


def _taught(make: LearnerFactory, examples: Sequence[Row]) -> Learner:
    learner = make(INPUTS)
    for vector, label in examples:
        learner.learn_one(vector, label)
    return learner


def _all_finite(learner: Learner) -> bool:
    """Look at all of the state: `Clip` turns a NaN from a spoiled scaler into a number, so weights alone hide it."""
    state = learner.state()
    return all(map(math.isfinite, (*state.weights, *state.means, *state.variances, *state.accumulators)))


def finite_in_finite_out(make: LearnerFactory, seed: int = 1) -> None:
    """Any mixture of finite and unknown values gives a probability in [0, 1], before and after learning."""
    learner = make(INPUTS)
    for vector, label in rows(seed):
        probability = learner.predict_proba_one(vector)
        _hold("finite in, finite out", holds=probability is not None and 0.0 <= probability <= 1.0)
        learner.learn_one(vector, label)
    extreme = [MAGNITUDE_MAX, -MAGNITUDE_MAX, MAGNITUDE_MAX, 0.0, 5e-324, math.nan]
    for _ in range(20):
        learner.learn_one(extreme, True)
    probability = learner.predict_proba_one(extreme)
    _hold("finite extremes stay finite", holds=probability is not None and math.isfinite(probability))
    _hold("what is learned stays finite", holds=_all_finite(learner))


def same_order_same_bits(make: LearnerFactory, seed: int = 2) -> None:
    """The same examples in the same order give the same state, bit for bit."""
    examples = rows(seed)
    _hold("same order, same bits", holds=_taught(make, examples).state() == _taught(make, examples).state())


def unusable_teaches_nothing(make: LearnerFactory, seed: int = 3) -> None:
    """A refused row has a reason, gives no probability and leaves the learner as it was."""
    learner = _taught(make, rows(seed))
    before = learner.state()
    infinite = [math.inf, 1.0, 1.0, 1.0, 1.0, 1.0]
    beyond = [80.0, MAGNITUDE_MAX * 2, 1.0, 1.0, 1.0, 1.0]
    for row, reason in ((infinite, "not_finite"), (beyond, "out_of_bounds"), ([math.nan] * 6, "no_usable_input")):
        _hold("a refusal says why", holds=learner.learn_one(row, True) == reason)
        _hold("a refused row has no probability", holds=learner.predict_proba_one(row) is None)
    _hold("a row of the wrong length is refused", holds=learner.learn_one([1.0], True) == "wrong_length")
    _hold("a refused row teaches nothing", holds=learner.state() == before)


def unknown_is_survived(make: LearnerFactory, seed: int = 4) -> None:
    """NaN and None mean the same, and neither spoils what comes after."""
    learner = _taught(make, rows(seed))
    for gap in ([math.nan, 1.0, math.nan, 1.0, 1.0, math.nan], [None, 1.0, None, 1.0, 1.0, None]):
        _hold("an unknown value is imputed", holds=learner.predict_proba_one(gap) is not None)
        learner.learn_one(gap, True)
    _hold(
        "NaN and None are the same",
        holds=learner.predict_proba_one([math.nan, 1.0, 1.0, 1.0, 1.0, 1.0])
        == learner.predict_proba_one([None, 1.0, 1.0, 1.0, 1.0, 1.0]),
    )
    _hold("nothing is spoiled", holds=_all_finite(learner))


def restored_goes_on_alike(make: LearnerFactory, seed: int = 5) -> None:
    """A learner restored from its state predicts and learns on like the one it came from, bit for bit."""
    examples = rows(seed)
    half = len(examples) // 2
    one = _taught(make, examples[:half])
    other = Learner.restored(one.state())
    for vector, label in examples[half:]:
        _hold("restored predicts alike", holds=one.predict_proba_one(vector) == other.predict_proba_one(vector))
        one.learn_one(vector, label)
        other.learn_one(vector, label)
    _hold("restored learns alike", holds=one.state() == other.state())


def frozen_equals_river(make: LearnerFactory, seed: int = 6) -> None:
    """A frozen version's probability is River's own within `PARITY_TOLERANCE`, also after a round trip through JSON."""
    learner = _taught(make, rows(seed))
    version = freeze(learner, Lineage("law", 0, 0), schema_hash="law")
    scorer = Scorer(load(dump(version), schema_hash="law", version=version.version))
    for vector, _ in rows(seed + 1000):
        theirs = learner.pipeline.predict_proba_one(INPUTS.dictionary(vector))[True]
        _hold("frozen equals River", holds=abs(scorer.probability(vector) - theirs) <= PARITY_TOLERANCE)


def frozen_refuses_alike(make: LearnerFactory, seed: int = 7) -> None:
    """Scorer and learner refuse the same rows for the same reason."""
    learner = _taught(make, rows(seed))
    scorer = Scorer(freeze(learner, Lineage("law", 0, 0), schema_hash="law"))
    for row in ([math.inf] * 6, [MAGNITUDE_MAX * 2] * 6, [math.nan] * 6, [1.0], [math.nan] * 3 + [1.0] * 3):
        prediction = scorer.score(row)
        _hold("refused alike", holds=prediction.reason == learner.inputs.refusal(row))
        _hold("refused means no probability", holds=bool(prediction.reason) == (prediction.probability is None))


def laws() -> Iterator[tuple[str, Callable[[LearnerFactory], None]]]:
    """Give every law with its name.

    >>> [name for name, _ in laws()][0]
    'finite_in_finite_out'
    """
    for law in (
        finite_in_finite_out,
        same_order_same_bits,
        unusable_teaches_nothing,
        unknown_is_survived,
        restored_goes_on_alike,
        frozen_equals_river,
        frozen_refuses_alike,
    ):
        yield law.__name__, law
