"""Scoring with an ensemble: the weights' own answer, the row refused as a learner refuses it, reasons by feature."""

from __future__ import annotations

import math
from math import nan

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import MILLIS_PER_HOUR, Observation
from features.state import PatientState
from models.checks import INPUTS, rows
from models.checks_ensemble import random_rows, random_tree, random_version
from models.ensemble_scorer import EnsembleLogit, leaves_in_order
from models.inputs import LEARNING_INPUTS, RowSpec, schema_hash_of
from models.learners.boosting import Boosting, BoostingSettings
from models.learners.crossed_logistic import CrossedLogistic
from models.learners.ensemble import CrossedBoosted
from models.news2 import score_news2
from models.rows import MAGNITUDE_MAX, Inputs
from models.scorer import CONTRIBUTIONS_TOLD, FAILED, LOGIT_MAX, PROBABILITY_DECIMALS, Scorer
from models.version import dump, load
from models.weights import Ensemble, Tree, Trees, ensemble_logits

VERSION = random_version(7, INPUTS, "sha256:s", trees=30, pairs=12)
SCORER = Scorer(load(dump(VERSION)))

value = st.one_of(st.just(nan), st.floats(-1e9, 1e9, allow_nan=False))


@given(st.lists(value, min_size=6, max_size=6))
def test_a_probability_is_the_weights_own(vector):
    """On any row of numbers and gaps the probability is that of the weights' definition, to a millionth."""
    prediction = SCORER.score(vector)
    logit = float(ensemble_logits(VERSION.ensemble, np.array([vector]))[0])
    assert abs(SCORER.logit(vector) - logit) <= 1e-12 * max(1.0, abs(logit))
    if INPUTS.refusal(vector):
        assert (prediction.probability, prediction.reason) == (None, "no_usable_input")
    else:
        expected = 1.0 / (1.0 + math.exp(-logit)) if abs(logit) <= LOGIT_MAX else float(logit > 0.0)
        assert prediction.probability == pytest.approx(expected, abs=0.51 * 10**-PROBABILITY_DECIMALS)
        assert prediction.probability == round(prediction.probability, PROBABILITY_DECIMALS)
        assert prediction.version == VERSION.version


anything = st.one_of(value, st.floats(), st.sampled_from([MAGNITUDE_MAX, -MAGNITUDE_MAX, 1e10, math.inf, -math.inf]))


@given(st.lists(anything, max_size=8))
def test_a_row_is_refused_as_a_learner_refuses_it(vector):
    """Whatever the row, scorer and learner give the same reason, and a reason means no probability."""
    prediction = SCORER.score(vector)
    assert prediction.reason == INPUTS.refusal(vector)
    assert (prediction.probability is None) == bool(prediction.reason)


def test_the_largest_numbers_allowed_are_scored():
    """A row in which every number is as large as allowed is no reason to refuse it."""
    assert SCORER.score([MAGNITUDE_MAX] * 6).probability is not None
    assert SCORER.score([MAGNITUDE_MAX * 1.001] + [1.0] * 5).reason == "out_of_bounds"


@given(st.lists(value, min_size=6, max_size=6))
def test_contributions_and_base_are_the_log_odds(vector):
    """What each input adds, and the base, add up to the log-odds of the score."""
    logit = SCORER.logit(vector)
    assert math.fsum((SCORER.base, *SCORER.logits(vector))) == pytest.approx(logit, abs=1e-11)


CLINICAL = Inputs(
    ("heart_rate.last", "heart_rate.mean_6h", "news2.pulse", "lactate.last", "lactate.age_h", "age_years", "ph.last",
     "sodium.last", "glucose.last"),
    ("heart_rate.last", "lactate.last"),
)  # fmt: skip


def test_told_are_features_largest_first():
    """An ensemble's inputs of one feature are told as one, with their sum; largest first, and so many at most."""
    scorer = Scorer(random_version(3, CLINICAL, schema_hash_of(CLINICAL)))
    for row in random_rows(1, len(CLINICAL.names), 20).tolist():
        prediction = scorer.score(row)
        if prediction.probability is None:
            continue
        parts = dict(zip(CLINICAL.names, scorer.logits(row), strict=True))
        told = dict(prediction.contributions)
        assert len(prediction.contributions) <= CONTRIBUTIONS_TOLD
        if "heart_rate" in told:
            expected = parts["heart_rate.last"] + parts["heart_rate.mean_6h"] + parts["news2.pulse"]
            assert told["heart_rate"] == pytest.approx(expected, abs=1e-6)
        assert set(told) <= {"heart_rate", "lactate", "age_years", "ph", "sodium", "glucose"}
        sizes = [abs(part) for _, part in prediction.contributions]
        assert sizes == sorted(sizes, reverse=True)
        assert scorer.largest(scorer.logits(row)) == prediction.contributions


def test_a_patient_is_scored_by_the_version_s_own_row():
    """A version on a few of the inputs is given those, in its own order, of the patient's state."""
    state, now = PatientState(), 100 * MILLIS_PER_HOUR
    for number, (code, seen, unit) in enumerate((("8867-4", 120.0, "/min"), ("2524-7", 4.0, "mmol/L"))):
        state.observe(Observation(number, (("loinc", code),), seen, unit, event_time=now), now, "m")
    scorer = Scorer(random_version(3, CLINICAL, schema_hash_of(CLINICAL)))
    row = RowSpec(CLINICAL).row(state, now)
    assert scorer.predict(state, now) == scorer.score(row) == scorer.predict(state, now, score_news2(state, now))
    assert scorer.score(row).probability is not None


def test_a_version_of_inputs_that_nobody_computes_fails_by_name():
    """Asked for a patient, a scorer whose inputs are none of this release says so, and raises nothing."""
    prediction = SCORER.predict(PatientState(), 0)
    assert (prediction.probability, prediction.reason) == (None, f"{FAILED} UnknownInputError")


def test_summaries_are_told_with_an_ensemble_too():
    """An ensemble's version has intervals and likeness as a logistic's has."""
    from tests.models.test_version import LIKENESS, VENN

    full = Scorer(msgspec.structs.replace(VERSION, likeness=LIKENESS, venn=VENN))
    row = [1.0, 0.0, 1.0, 1.0, 1.0, nan]
    prediction, plain = full.score(row), SCORER.score(row)
    assert prediction.low <= prediction.probability <= prediction.high
    assert prediction.unlikeness is not None
    assert (prediction.probability, prediction.contributions) == (plain.probability, plain.contributions)


@given(st.integers(0, 1000), st.integers(1, 16))
def test_masks_lose_the_leaves_on_the_left(seed, leaves):
    """A node's mask is of the leaves of its left subtree, which stand side by side."""
    tree = random_tree(np.random.default_rng(seed), ((0.0,), (0.0, 1.0)), leaves)
    order, lost = leaves_in_order(tree)
    assert sorted(order) == list(range(leaves))

    def below(child):
        return {-1 - child} if child < 0 else below(tree.left[child]) | below(tree.right[child])

    for node, mask in enumerate(lost):
        assert {order[bit] for bit in range(16) if mask >> bit & 1} == below(tree.left[node])


def test_a_code_beyond_the_cuts_sends_every_known_value_left():
    """Only the unknown goes right at a node whose code is the last: so a tree can ask whether a value is known."""
    known = Tree((0,), (2,), (False,), (-1,), (-2,), (1.0, -1.0))
    quick = EnsembleLogit(Ensemble(None, Trees(((0.0,),), (known,), 0.0), (0.0, 1.0)))
    assert [quick.logit([x]) for x in (-1e9, 0.0, 1e9, nan)] == [1.0, 1.0, 1.0, -1.0]


def test_an_empty_ensemble_says_its_constant():
    """With no tree and no term the log-odds is what is left: bias, slope and intercept."""
    quick = EnsembleLogit(Ensemble(None, Trees(((),), (), -2.0), (0.5, 0.5), slope=2.0, intercept=0.25))
    assert quick.logit([5.0]) == -1.75


def test_the_learning_inputs_are_within_the_bound_of_a_row():
    """Every input of this release has a bin count that fits a byte: the quick bins count in bytes."""
    wide = random_version(2, LEARNING_INPUTS, trees=1, pairs=1, edges_max=253)
    row = random_rows(1, len(LEARNING_INPUTS.names), 1)
    logit = float(ensemble_logits(wide.ensemble, row)[0])
    assert EnsembleLogit(wide.ensemble).logit(row[0].tolist()) == pytest.approx(logit, abs=1e-11)


def learned(name):
    """Learn some thousand rows of every kind, with trees grown every 200 labels."""
    settings = BoostingSettings(schedule=(200, 800), every_labels=200)
    learner = {
        "crossed-boosted": lambda: CrossedBoosted(INPUTS, settings, schedule=(200, 800), rate=0.1),
        "boosting": lambda: Boosting(INPUTS, settings),
        "crossed-logistic": lambda: CrossedLogistic(INPUTS, schedule=(200, 800), rate=0.1),
    }[name]()
    examples = rows(5, 3000)
    learner.learn_many(np.array([vector for vector, _ in examples]), np.array([label for _, label in examples]))
    return learner


@pytest.mark.parametrize("name", ["crossed-boosted", "boosting", "crossed-logistic"])
def test_a_frozen_learner_says_what_the_learner_says(name):
    """Frozen into a version and read back, a learner's knowledge gives the learner's own probability within 1e-12."""
    learner = learned(name)
    version = msgspec.structs.replace(VERSION, ensemble=learner.weights(), background=None)
    scorer = Scorer(load(dump(version)))
    heard = np.array([vector for vector, _ in rows(6, 300)])
    theirs = learner.predict_proba_many(heard)
    assert np.ptp(theirs) > 0.1
    for vector, probability in zip(heard.tolist(), theirs.tolist(), strict=True):
        assert abs(scorer.probability(vector) - probability) <= 1e-12
        assert scorer.score(vector).probability == round(scorer.probability(vector), PROBABILITY_DECIMALS)
