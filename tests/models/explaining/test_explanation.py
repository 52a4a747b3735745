"""A score in words: what, how much, how old, which way; and no part of it lost."""

from __future__ import annotations

import math
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, Observation
from features.state import PatientState
from models.checks import INPUTS, rows
from models.checks_ensemble import random_rows, random_version
from models.explaining.explanation import NOTABLE, explain, hours_since
from models.explaining.words import feature_of, statistic, term_of
from models.inputs import CLINICAL_INPUTS, LEARNING_INPUTS, RowSpec, schema_hash_of
from models.learning import Learner
from models.rows import Inputs
from models.scorer import Scorer
from models.training import freeze
from models.version import Lineage, ModelVersion
from models.weights import Crossed, Ensemble

BEDSIDE = Inputs(
    ("respiration_rate.last", "respiration_rate.age_h", "respiration_rate.mean_6h", "news2.respiration_rate",
     "lactate.last", "lactate.age_h", "age_years"),
    ("respiration_rate.last", "lactate.last"),
)  # fmt: skip


def scorer_of(*unknown_then_slopes, inputs=BEDSIDE):
    """Make a version of straight lines: for each input what it says unknown and at 100, and 0 at 0."""
    lines = tuple((unknown, 0.0, slope) for unknown, slope in unknown_then_slopes)
    width = len(lines)
    weights = Crossed(((0.0, 100.0),) * width, lines, (), ((),) * width, (), -4.0)
    return Scorer(
        ModelVersion(
            format=3, inputs=inputs, schema_hash="", ensemble=Ensemble(weights, None, (1.0, 0.0)), horizon_h=12,
            threshold=0.04, threshold_release=0.03, cost_of_miss=24.0, lineage=Lineage("x", 0, 0), river_version="",
        )
    )  # fmt: skip


LAST_MATTERS = scorer_of((0, 1), (0, 0), (0, 0.1), (0, 0.1), (-0.12, 10), (0, 0), (0, 0))
ROW = [28.0, 0.2, 24.0, 3.0, nan, nan, 81.0]


def test_a_reason_has_value_unit_age_and_direction():
    """The sentence of a vital sign: what it is, how much in its unit, how old, and which way it moves the risk."""
    text, *_ = explain(LAST_MATTERS, ROW).sentences()
    assert text == "respiration rate 28 /min, 12 min old: raises risk (+0.31)"


def test_what_is_missing_is_a_reason():
    """An unknown value that lowers the risk is told as unknown; with the state's help as never, or no longer, known."""
    assert explain(LAST_MATTERS, ROW).sentences()[1] == "lactate not known: lowers risk (-0.12)"
    assert explain(LAST_MATTERS, ROW, {}).sentences()[1] == "lactate never measured: lowers risk (-0.12)"
    told = explain(LAST_MATTERS, ROW, {"lactate": 50.0}).sentences()[1]
    assert told == "lactate last measured 2 days ago, too old to count: lowers risk (-0.12)"


def test_the_statistic_that_moved_it_is_named():
    """Where the mean of hours moves the score more than the last value does, the sentence says so."""
    scorer = scorer_of((0, 0.1), (0, 0), (0, 2), (0, 0), (0, 0), (0, 0), (0, 0))
    (text, *_) = explain(scorer, ROW).sentences()
    assert text == "respiration rate 28 /min, 12 min old (mainly: mean of 6 h 24.0 /min): raises risk (+0.51)"


def test_a_statistic_that_pulls_the_other_way_is_not_what_carried_it():
    """Named is the largest of those that go the way the whole goes, though another is larger."""
    scorer = scorer_of((0, 1.5), (0, 0), (0, -2), (0, 10), (0, 0), (0, 0), (0, 0))
    (text, *_) = explain(scorer, ROW).sentences()
    assert text == "respiration rate 28 /min, 12 min old: raises risk (+0.24)"


def test_what_is_left_is_told_as_one():
    """Past the limit the rest is one sentence, so that what is told adds up."""
    scorer = scorer_of((0, 1), (0, 0), (0, 0), (0, 0), (-0.12, 0), (0, 0), (0, -0.5))
    assert explain(scorer, ROW).sentences(1) == (
        "age 81 years: lowers risk (-0.41)",
        "2 others together: raises risk (+0.16)",
    )


@given(st.integers(0, 50), st.integers(0, 10))
def test_reasons_and_base_are_the_log_odds(seed, row_seed):
    """Base and reasons add up to the score's log-odds, a reason's inputs to the reason, and none is told twice."""
    scorer = Scorer(random_version(seed, BEDSIDE))
    for row in random_rows(row_seed, len(BEDSIDE.names), 3).tolist():
        found = explain(scorer, row)
        assert found.logit == pytest.approx(scorer.logit(row), abs=1e-11)
        assert math.fsum((found.base, *(one.log_odds for one in found.reasons))) == pytest.approx(
            found.logit, abs=1e-12
        )
        for reason in found.reasons:
            assert math.fsum(part for _, part in reason.inputs) == pytest.approx(reason.log_odds, abs=1e-15)
        assert {reason.feature for reason in found.reasons} == {"respiration_rate", "lactate", "age_years"}
        sizes = [abs(reason.log_odds) for reason in found.reasons]
        assert sizes == sorted(sizes, reverse=True)
        for sentence in found.sentences():
            assert ("raises risk (+" in sentence) != ("lowers risk (-" in sentence)


def test_a_logistic_is_explained_too():
    """A version of format 2 is told in the same words: its flags of missing belong to their input."""
    learner = Learner(INPUTS)
    for vector, label in rows(1):
        learner.learn_one(vector, label)
    scorer = Scorer(freeze(learner, Lineage("test rows", 0, 0), schema_hash="s"))
    found = explain(scorer, rows(2, 1)[0][0])
    assert found.logit == pytest.approx(scorer.logit(rows(2, 1)[0][0]), abs=1e-12)
    assert {reason.feature for reason in found.reasons} == set(INPUTS.names)
    sparse = next(reason for reason in found.reasons if reason.feature == "sparse")
    assert {name for name, _ in sparse.inputs} == {"sparse", "missing:sparse"}


@pytest.mark.parametrize("inputs", [CLINICAL_INPUTS, LEARNING_INPUTS], ids=["clinical", "learning"])
def test_every_input_of_this_release_has_words(inputs):
    """Each input belongs to a feature that is told in words, and each statistic has some: no name of ours is told."""
    for name in inputs.names:
        term = term_of(feature_of(name))
        assert "_" not in term.label
        for value in (1.0, -1.0, 0.0, nan):
            assert "_" not in statistic(name, value)
    scorer = Scorer(random_version(1, inputs, schema_hash_of(inputs), trees=30))
    for row in random_rows(1, len(inputs.names), 5).tolist():
        for sentence in explain(scorer, row).sentences(100):
            assert "_" not in sentence
            assert "nan" not in sentence


def test_a_patient_is_explained_from_his_state():
    """Of a state: what was measured and how long ago, what is too old, and what never was."""
    state, now = PatientState(), 100 * MILLIS_PER_HOUR
    for code, seen, unit, minutes in (("9279-1", 28.0, "/min", 12), ("2524-7", 4.0, "mmol/L", 20 * 60)):
        then = now - minutes * MILLIS_PER_MINUTE
        state.observe(Observation(minutes, (("loinc", code),), seen, unit, event_time=then), then, "m")
    inputs = Inputs(("respiration_rate.last", "respiration_rate.age_h", "lactate.last", "ph.last"))
    scorer = scorer_of((0, 1), (0, 0), (-0.2, 1), (-0.1, 0), inputs=inputs)
    measured = hours_since(state, now)
    assert measured["lactate"] == 20.0
    assert "ph" not in measured
    assert explain(scorer, RowSpec(inputs).row(state, now), measured).sentences() == (
        "respiration rate 28 /min, 12 min old: raises risk (+0.28)",
        "lactate last measured 20 h ago, too old to count: lowers risk (-0.20)",
        "arterial pH never measured: lowers risk (-0.10)",
    )


def test_what_does_nothing_is_not_told():
    """A contribution that would show as 0.00 is no sentence."""
    scorer = scorer_of((0, 1), (0, 0), (0, 0), (0, 0), (-NOTABLE / 2, 0), (0, 0), (0, 0))
    assert len(explain(scorer, ROW).sentences()) == 1
