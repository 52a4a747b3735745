"""The laws that every learner obeys, as functions that tests apply to whatever they are given a way to make.

Owns the laws. Must not know a particular learner. In the manner of `river.checks`: a breach raises `BrokenLawError`
with the law's words. The rows are those of models/checks.py, where data misbehave in each way they can.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.checks import INPUTS, BrokenLawError, rows
from models.learners.classifier import Classifier
from models.rows import MAGNITUDE_MAX, Inputs
from models.weights import Ensemble, Matrix, ensemble_logits, problem_of

WEIGHTS_TOLERANCE = 1e-9
"""How far the plain weights' log-odds may stand from the learner's own: roundings of some thousand additions."""

ROWS = 900
"""Rows a law is tried on; with a schedule of 128 and 512 rows a learner has frozen its cuts by then."""

ClassifierFactory = Callable[[Inputs], Classifier]


def _hold(claim: str, *, holds: bool) -> None:
    if not holds:
        raise BrokenLawError(claim)


def examples(seed: int, count: int = ROWS) -> tuple[Matrix, NDArray[np.bool_]]:
    """Make labelled rows for `models.checks.INPUTS`.

    >>> matrix, labels = examples(1, 5)
    >>> matrix.shape, labels.dtype.name
    ((5, 6), 'bool')
    """
    made = rows(seed, count)
    return np.array([vector for vector, _ in made]), np.array([label for _, label in made])


def taught(make: ClassifierFactory, matrix: Matrix, labels: NDArray[np.bool_]) -> Classifier:
    """Give a learner that has learned these rows one by one, growing where it was due."""
    learner = make(INPUTS)
    _teach(learner, matrix, labels)
    return learner


def _teach(learner: Classifier, matrix: Matrix, labels: NDArray[np.bool_]) -> None:
    for vector, label in zip(matrix.tolist(), labels.tolist(), strict=True):
        learner.learn_one(vector, label)
        if learner.due():
            learner.grow()


def _packed(learner: Classifier) -> bytes:
    """Give a state as bytes: equal states are then equal bit for bit, also where a number is NaN."""
    return msgspec.msgpack.encode(learner.state())


def _read_back(learner: Classifier) -> Any:
    state = learner.state()
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=type(state))


def finite_in_finite_out(make: ClassifierFactory, seed: int = 1) -> None:
    """Any mixture of finite and unknown values gives a probability in [0, 1], before, while and after learning."""
    learner = make(INPUTS)
    matrix, labels = examples(seed)
    for start in range(0, len(matrix), 50):
        told = learner.predict_proba_many(matrix[start : start + 50])
        _hold("finite in, finite out", holds=bool(((told >= 0.0) & (told <= 1.0)).all()))
        learner.learn_many(matrix[start : start + 50], labels[start : start + 50])
    extreme = np.array([[MAGNITUDE_MAX, -MAGNITUDE_MAX, MAGNITUDE_MAX, 0.0, 5e-324, math.nan]] * 400)
    learner.learn_many(extreme, np.arange(400) % 2 == 0)
    told = learner.predict_proba_many(extreme[:1])
    _hold("finite extremes stay finite", holds=bool(np.isfinite(told).all()))


def same_order_same_bits(make: ClassifierFactory, seed: int = 2) -> None:
    """The same rows in the same order give the same state, bit for bit."""
    matrix, labels = examples(seed)
    one, other = taught(make, matrix, labels), taught(make, matrix, labels)
    _hold("same order, same bits", holds=_packed(one) == _packed(other))


def many_is_one_by_one(make: ClassifierFactory, seed: int = 3) -> None:
    """`learn_many` learns as `learn_one` and `grow` do, bit for bit, however the rows are cut; so do predictions."""
    matrix, labels = examples(seed)
    matrix[7, 0], matrix[11] = math.inf, math.nan
    one, many = taught(make, matrix, labels), make(INPUTS)
    refusals = []
    for start, end in ((0, 1), (1, 130), (130, 131), (131, 600), (600, len(matrix))):
        refusals += many.learn_many(matrix[start:end], labels[start:end])
    _hold("many is one by one", holds=_packed(one) == _packed(many))
    _hold("many refuses as one does", holds=[refusals[7], refusals[11]] == ["not_finite", "no_usable_input"])
    told = many.predict_proba_many(matrix[:40])
    singly = [many.predict_proba_one(vector) for vector in matrix[:40].tolist()]
    near = [
        math.isnan(a) if b is None else math.isclose(a, b, rel_tol=1e-12)
        for a, b in zip(told.tolist(), singly, strict=True)
    ]
    _hold("many predicts as one does", holds=all(near))


def unusable_teaches_nothing(make: ClassifierFactory, seed: int = 4) -> None:
    """A refused row has a reason, gives no probability and leaves the learner as it was."""
    learner = taught(make, *examples(seed))
    before = _packed(learner)
    infinite = [math.inf, 1.0, 1.0, 1.0, 1.0, 1.0]
    beyond = [80.0, MAGNITUDE_MAX * 2, 1.0, 1.0, 1.0, 1.0]
    cases = ((infinite, "not_finite"), (beyond, "out_of_bounds"), ([math.nan] * 6, "no_usable_input"))
    for row, reason in (*cases, ([1.0], "wrong_length")):
        _hold("a refusal says why", holds=learner.learn_one(row, True) == reason)
        _hold("a refused row has no probability", holds=learner.predict_proba_one(row) is None)
    for row, reason in cases:
        _hold("many refuse alike", holds=learner.learn_many(np.array([row]), np.array([True])) == [reason])
        _hold("refused among many is NaN", holds=bool(np.isnan(learner.predict_proba_many(np.array([row]))).all()))
    _hold("rows of wrong length", holds=learner.learn_many(np.ones((2, 3)), np.ones(2, bool)) == ["wrong_length"] * 2)
    _hold("wrong length is NaN", holds=bool(np.isnan(learner.predict_proba_many(np.ones((2, 3)))).all()))
    _hold("a refused row teaches nothing", holds=_packed(learner) == before)


def unknown_is_survived(make: ClassifierFactory, seed: int = 5) -> None:
    """NaN and None mean the same, and neither spoils what comes after."""
    learner = taught(make, *examples(seed))
    for gap in ([math.nan, 1.0, math.nan, 1.0, 1.0, math.nan], [None, 1.0, None, 1.0, 1.0, None]):
        _hold("an unknown value has a probability", holds=learner.predict_proba_one(gap) is not None)
        _hold("an unknown value is learned from", holds=learner.learn_one(gap, True) == "")
    told = [learner.predict_proba_one([gap, 1.0, 1.0, 1.0, 1.0, 1.0]) for gap in (math.nan, None)]
    _hold("NaN and None are the same", holds=told[0] == told[1])


def restored_goes_on_alike(make: ClassifierFactory, seed: int = 6) -> None:
    """A learner restored from its packed state, at any time, predicts and learns on bit for bit."""
    matrix, labels = examples(seed)
    for half in (0, 100, 300, ROWS - 150):
        one = taught(make, matrix[:half], labels[:half])
        other = type(one).restored(_read_back(one))
        for start in range(half, len(matrix), 75):
            part = slice(start, start + 75)
            same = np.array_equal(one.predict_proba_many(matrix[part]), other.predict_proba_many(matrix[part]), True)
            _hold("restored predicts alike", holds=same)
            _teach(one, matrix[part], labels[part])
            _teach(other, matrix[part], labels[part])
        _hold("restored learns alike", holds=_packed(one) == _packed(other))


def one_class_is_survived(make: ClassifierFactory, seed: int = 7) -> None:
    """Rows of a single class, at first or for long, give probabilities that follow, and both classes go on after."""
    matrix, labels = examples(seed, 2 * ROWS)
    for only in (False, True):
        learner = make(INPUTS)
        learner.learn_many(matrix[:ROWS], np.full(ROWS, only))
        told = learner.predict_proba_many(matrix[:50])
        _hold("one class gives probabilities", holds=bool(np.isfinite(told).all()))
        learner.learn_many(matrix, labels)
        after = learner.predict_proba_many(matrix)
        _hold("both classes go on after one", holds=bool(np.isfinite(after).all()))
        _hold("what came after is learned", holds=float(after[labels].mean()) > float(after[~labels].mean()))


def signal_is_found(make: ClassifierFactory, seed: int = 8) -> None:
    """Rows that were not learned are ranked far better than by chance."""
    matrix, labels = examples(seed, 3 * ROWS)
    learner = make(INPUTS)
    learner.learn_many(matrix, labels)
    unseen, truth = examples(seed + 1000)
    told = learner.predict_proba_many(unseen)
    ranks = told.argsort().argsort()
    positives = int(truth.sum())
    area = (ranks[truth].sum() - positives * (positives - 1) / 2) / (positives * (len(truth) - positives))
    _hold(f"the signal is found (AUROC {area:.2f})", holds=area > 0.65)


def newly_measured_is_learned(make: ClassifierFactory, seed: int = 9) -> None:
    """An input that was never known at first, and tells all later on, is learned from when it comes."""
    matrix, labels = examples(seed, 2_000)
    learner = make(INPUTS)
    learner.learn_many(matrix, labels)
    newly = matrix.copy()
    newly[:, 5] = np.where(labels, 5.0, 3.0) + np.arange(len(labels)) % 10 / 10
    for _ in range(2):
        learner.learn_many(newly, labels)
    told = learner.predict_proba_many(np.array([[*matrix[0, :5], value] for value in (3.2, 5.2)]))
    _hold("what is newly measured is learned", holds=bool(told[1] > told[0] + 0.1))


def nothing_grows_by_learning(make: ClassifierFactory, seed: int = 10) -> None:
    """`learn_one` alone grows nothing: the heavy part waits until it is asked for, and is then due once."""
    matrix, labels = examples(seed)
    learner = make(INPUTS)
    for vector, label in zip(matrix.tolist(), labels.tolist(), strict=True):
        learner.learn_one(vector, label)
    if learner.due():
        learner.grow()
    _hold("grown once, nothing is due", holds=not learner.due())
    before = _packed(learner)
    learner.grow()
    _hold("growing what is not due does nothing", holds=_packed(learner) == before)


def weights_say_the_same(make: ClassifierFactory, seed: int = 11) -> None:
    """The plain weights are sound and give the learner's own probabilities; a learner without them is let be."""
    weights_of: Callable[[], Ensemble] | None = getattr(make(INPUTS), "weights", None)
    if weights_of is None:
        return
    matrix, labels = examples(seed)
    for count in (0, 200, ROWS):
        learner: Any = taught(make, matrix[:count], labels[:count])
        weights = msgspec.json.decode(msgspec.json.encode(learner.weights()), type=Ensemble)
        _hold("weights are sound", holds=problem_of(weights, len(INPUTS.names)) == "")
        apart = np.abs(ensemble_logits(weights, matrix) - learner.logits_many(matrix))
        _hold(f"weights say the same (apart {apart.max():.1e})", holds=float(apart.max()) <= WEIGHTS_TOLERANCE)


def laws() -> Iterator[tuple[str, Callable[[ClassifierFactory], None]]]:
    """Give every law with its name.

    >>> [name for name, _ in laws()][0]
    'finite_in_finite_out'
    """
    for law in (
        finite_in_finite_out,
        same_order_same_bits,
        many_is_one_by_one,
        unusable_teaches_nothing,
        unknown_is_survived,
        restored_goes_on_alike,
        one_class_is_survived,
        signal_is_found,
        newly_measured_is_learned,
        nothing_grows_by_learning,
        weights_say_the_same,
    ):
        yield law.__name__, law
