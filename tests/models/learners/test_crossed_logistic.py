"""The crossed logistic: shapes a line cannot say, pairs, the unknown, and knots that move."""

from __future__ import annotations

import numpy as np
import pytest

from models.learners.crossed_logistic import AVERAGE_EVERY, CrossedLogistic
from models.learners.pairs import PAIRS_WANTED_MAX, clinical_pairs
from models.rows import Inputs

XY = Inputs(("x", "y"))


def learned(matrix, labels, inputs=XY, **settings):
    learner = CrossedLogistic(inputs, **{"pairs": (), "rate": 0.3, "schedule": (256,), **settings})
    learner.learn_many(matrix, labels)
    return learner


def uniform(seed, count=12_000):
    return np.random.default_rng(seed).uniform(size=(count, 2))


def test_both_ends_may_be_bad():
    """A risk that is high at both ends of an input is found, which no straight line can say."""
    matrix = uniform(1)
    learner = learned(matrix, np.abs(matrix[:, 0] - 0.5) > 0.35)
    low, middle, high = learner.predict_proba_many(np.array([[0.02, 0.5], [0.5, 0.5], [0.98, 0.5]]))
    assert min(low, high) > 0.6
    assert middle < 0.2


def test_a_pair_is_found_only_where_it_is_declared():
    """Exclusive-or of two inputs is learned with their pair, and cannot be without."""
    matrix = uniform(2)
    labels = (matrix[:, 0] > 0.5) != (matrix[:, 1] > 0.5)
    corners = np.array([[0.1, 0.9], [0.1, 0.1]])
    high, low = learned(matrix, labels, pairs=((0, 1),)).predict_proba_many(corners)
    assert high > 0.75
    assert low < 0.25
    alone = learned(matrix, labels).predict_proba_many(corners)
    assert abs(alone[0] - alone[1]) < 0.15


def test_the_unknown_has_its_own_weight():
    """Where missing is informative, an unknown value says so."""
    matrix = uniform(3)
    gaps = np.random.default_rng(4).random(len(matrix)) < 0.3
    matrix[gaps, 0] = np.nan
    learner = learned(matrix, gaps)
    unknown, known = learner.predict_proba_many(np.array([[np.nan, 0.5], [0.5, 0.5]]))
    assert unknown > 0.7
    assert known < 0.3


def test_what_was_learned_outlives_new_knots():
    """When knots move the line and the cells are carried over: nothing that was learned is forgotten."""
    matrix = uniform(5)
    labels = (matrix[:, 0] > 0.5) != (matrix[:, 1] > 0.5)
    grid = uniform(6, 900)
    # Away from the border, which lies within the middle cells, wherever these are.
    grid = grid[(np.abs(grid - 0.5) > 0.15).all(axis=1)]
    before = learned(matrix[:8_999], labels[:8_999], pairs=((0, 1),), schedule=(256, 9_000))
    told = before.predict_proba_many(grid)
    cuts = before.bins.cuts
    before.learn_many(matrix[8_999:9_000], labels[8_999:9_000])
    assert before.bins.cuts != cuts
    apart = np.abs(before.predict_proba_many(grid) - told)
    assert np.median(apart) < 0.02
    assert np.corrcoef(before.predict_proba_many(grid), told)[0, 1] > 0.95


def test_what_scores_is_an_average():
    """A step does not move what scores until the next averaging, and then by a share of it."""
    matrix = uniform(7)
    learner = learned(matrix, matrix[:, 0] > 0.5)
    ahead = AVERAGE_EVERY - learner.rows % AVERAGE_EVERY
    before = learner.logits_many(matrix[:50])
    for _ in range(ahead - 1):
        learner.learn_one([0.9, 0.9], False)
    assert np.array_equal(learner.logits_many(matrix[:50]), before)
    learner.learn_one([0.9, 0.9], False)
    assert 0.0 < np.abs(learner.logits_many(matrix[:50]) - before).max() < 0.1


def test_one_odd_row_moves_little():
    """However far out a value lies, one row of it moves a prediction by less than a row's full rate."""
    matrix = uniform(8)
    learner = learned(matrix, matrix[:, 0] > 0.5)
    weights = learner._weights.copy()
    learner.learn_one([1e9, -1e9], False)
    assert np.abs(learner._weights - weights).max() < 0.3


def test_clinical_pairs_are_bounded_and_there():
    """Pairs name inputs there are, none twice nor with itself, and no more than the bound."""
    features, kinds = ("heart_rate", "lactate", "spo2", "creatinine"), ("last", "age_h", "change")
    names = (*(f"{one}.{kind}" for one in features for kind in kinds), "age_years", "hours_since_admission")
    pairs = clinical_pairs(Inputs(names))
    assert (names.index("heart_rate.last"), names.index("lactate.last")) in pairs
    assert len({frozenset(pair) for pair in pairs}) == len(pairs) <= PAIRS_WANTED_MAX
    assert all(first != second for first, second in pairs)
    assert clinical_pairs(Inputs(("nothing", "known"))) == ()


def test_a_state_that_does_not_fit_is_refused():
    """Weights cut short, or not finite, are no state."""
    matrix = uniform(9, 300)
    state = learned(matrix, matrix[:, 0] > 0.5).state()
    spoiled = np.frombuffer(state.weights, dtype="<f8").copy()
    spoiled[3] = np.nan
    for weights in (state.weights[:-8], spoiled.tobytes()):
        with pytest.raises(ValueError, match="weights of this state"):
            CrossedLogistic.restored(type(state)(**{**_fields(state), "weights": weights}))


def _fields(state):
    return {name: getattr(state, name) for name in state.__struct_fields__}
