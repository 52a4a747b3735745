"""An explanation as it is told: nothing is lost by telling five reasons, by rounding or by storing."""

from __future__ import annotations

import math
from decimal import Decimal
from itertools import pairwise
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.checks import INPUTS, rows
from models.checks_ensemble import random_rows, random_version
from models.explaining.explanation import SENTENCES, explain, tell
from models.explaining.told import DECIMALS, NOTABLE, ToldExplanation, ToldReason, add_up
from models.explaining.words import feature_of, term_of
from models.inputs import LEARNING_INPUTS
from models.learning import Learner
from models.rows import Inputs
from models.scorer import Scorer
from models.training import freeze
from models.version import Lineage
from tests.models.explaining.test_explanation import LAST_MATTERS, ROW, scorer_of

SOME = Inputs(LEARNING_INPUTS.names[::4], ())
HALF_A_DIGIT = 0.5 * 10**-DECIMALS
VALUES = st.floats(-40, 40).map(lambda value: value if abs(value) > 1e-9 else 0.0)


def logistic():
    learner = Learner(INPUTS)
    for vector, label in rows(1):
        learner.learn_one(vector, label)
    return Scorer(freeze(learner, Lineage("test rows", 0, 0), schema_hash="s"))


LOGISTIC = logistic()


def told_of(scorer, row, measured, at, limit=SENTENCES) -> ToldExplanation:
    return tell(scorer, scorer.logits(row), row, measured, at, limit)


def adds_up(told: ToldExplanation) -> bool:
    parts = (told.base, *(one.log_odds for one in told.reasons), told.others_log_odds)
    return sum(map(Decimal, map(str, parts))) == Decimal(str(told.log_odds))


def holds(scorer, row) -> None:
    """Hold an explanation to all that is promised of it."""
    told, whole = told_of(scorer, row, {}, 7), explain(scorer, row, {})
    assert adds_up(told)
    assert told.log_odds == pytest.approx(scorer.logit(row), abs=HALF_A_DIGIT * 1.01)
    # An edge of the last digit may fall either way: the sum was added up in another order.
    assert 1 / (1 + math.exp(-told.log_odds)) == pytest.approx(scorer.score(row).probability, abs=1.2e-6)
    features = {feature_of(name) for name in scorer.names}
    assert len(told.reasons) + told.others == len(features)
    assert len(told.reasons) <= SENTENCES
    sizes = [abs(one.log_odds) for one in told.reasons]
    assert all(first >= second >= NOTABLE for first, second in pairwise(sizes))
    for one, same in zip(told.reasons, whole.reasons, strict=False):
        assert (one.feature, one.text, one.value, one.unit) == (same.feature, same.text, same.value, same.unit)
        assert one.log_odds == pytest.approx(same.log_odds, abs=HALF_A_DIGIT * 1.01)
        assert one.direction == ("raises" if one.log_odds > 0 else "lowers")
    assert ToldExplanation.unpack(told.pack()) == told


@given(st.integers(0, 50), st.integers(0, 10))
def test_an_ensembles_told_reasons_add_up_to_the_digit(seed, row_seed):
    """Format 3: base, told reasons and all others are the log-odds, in decimals exactly, and so the probability."""
    scorer = Scorer(random_version(seed, SOME, trees=20, pairs=10))
    for row in random_rows(row_seed, len(SOME.names), 3).tolist():
        holds(scorer, row)


@given(st.lists(st.one_of(VALUES, st.just(nan)), min_size=len(INPUTS.names), max_size=len(INPUTS.names)))
def test_a_logistics_told_reasons_add_up_to_the_digit(row):
    """Format 2: the same law, whatever the row, for its flags of missing as well."""
    if LOGISTIC.score(row).probability is not None:
        holds(LOGISTIC, row)


@given(st.floats(-30, 30), st.lists(st.floats(-30, 30), max_size=8), st.floats(-30, 30))
def test_rounding_leaves_nothing_over(base, parts, rest):
    """What all else comes to takes up every rounding, and is off by less than half a digit for each."""
    whole = math.fsum((base, *parts, rest))
    first, total, told, others = add_up(base, whole, parts)
    assert sum(map(Decimal, map(str, (first, *told, others)))) == Decimal(str(total))
    assert others == pytest.approx(rest, abs=HALF_A_DIGIT * (len(parts) + 3))


def test_a_reason_has_value_unit_age_and_direction_also_apart():
    """Beside its words a reason has them as fields, in the unit and the age of the words."""
    measured = {"respiration_rate": 0.2, "lactate": 50.0}
    raising, lowering = told_of(LAST_MATTERS, ROW, measured, 1_000).reasons
    assert (raising.feature, raising.value, raising.unit, raising.age_ms) == ("respiration_rate", 28.0, "/min", 720_000)
    assert raising.sentence() == "respiration rate 28 /min, 12 min old: raises risk (+0.31)"
    assert (lowering.value, lowering.direction, lowering.age_ms) == (None, "lowers", 50 * 3_600_000)
    assert lowering.sentence() == "lactate last measured 2 days ago, too old to count: lowers risk (-0.12)"
    assert told_of(LAST_MATTERS, ROW, {}, 1_000).reasons[1].age_ms is None


def test_an_age_needs_no_input_of_the_version():
    """The age is told from the patient's state though the version has no input that is an age."""
    scorer = scorer_of((0, 1), (0, 1), inputs=Inputs(("heart_rate.last", "age_years"), ()))
    found = told_of(scorer, [120.0, 81.0], {"heart_rate": 3.0}, 0)
    assert [one.text for one in found.reasons] == ["heart rate 120 /min, 3 h old", "age 81 years"]
    assert [one.age_ms for one in found.reasons] == [3 * 3_600_000, None]


def test_all_others_are_told_as_one():
    """Past the limit the rest is one line, with how many they are."""
    scorer = scorer_of((0, 1), (0, 0), (0, 0), (0, 0), (-0.12, 0), (0, 0), (0, -0.5))
    told = told_of(scorer, ROW, {}, 0, limit=1)
    assert (told.others, told.others_log_odds) == (2, 0.16)
    assert told.sentences() == ("age 81 years: lowers risk (-0.41)", "2 others together: raises risk (+0.16)")


@pytest.mark.parametrize("name", ["hour_of_day", "lactate", "respiration_rate"])
def test_in_brief_a_reason_keeps_its_value(name):
    """A label may have brackets of its own; what is left out is the statistic alone."""
    text = f"{term_of(name).label} 3"
    reason = ToldReason(name, f"{text} (mainly: lowest in 6 h 2)", "raises", 0.5, 3.0, "", None)
    assert reason.brief == f"{text}, raises the risk"
