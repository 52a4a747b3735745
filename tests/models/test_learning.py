"""The learner obeys every law; the laws themselves notice a breach."""

from __future__ import annotations

import pytest

from models.checks import BrokenLawError, finite_in_finite_out, laws, unusable_teaches_nothing
from models.learning import Clip, Learner
from models.rows import Inputs


@pytest.mark.parametrize(("name", "law"), list(laws()))
def test_law(name, law):
    """The learner that ships obeys the law."""
    law(Learner)


def test_laws_notice_a_learner_that_lets_nan_through():
    """A learner that hands NaN to River breaks a law, so the laws have teeth."""

    class Careless(Learner):
        def learn_one(self, vector, label):
            self.pipeline.learn_one(dict(zip(self.inputs.names, map(float, vector), strict=True)), label)
            return ""

    with pytest.raises(BrokenLawError):
        finite_in_finite_out(Careless)
    with pytest.raises(BrokenLawError):
        unusable_teaches_nothing(Careless)


def test_missing_is_the_mean():
    """An unknown input scores exactly as its mean so far does."""
    learner = Learner(Inputs(("x", "y")))
    for number in range(100):
        learner.learn_one([float(number % 7), float(number % 3)], number % 7 > 4)
    mean = learner.state().means[0]
    assert learner.predict_proba_one([None, 1.0]) == pytest.approx(learner.predict_proba_one([mean, 1.0]), abs=1e-15)


def test_clip_bounds_an_odd_value():
    """However far out a value lies, it counts as much as one at the clip and no more."""
    learner = Learner(Inputs(("x",)))
    for number in range(200):
        learner.learn_one([float(number % 2)], number % 2 == 1)
    assert learner.predict_proba_one([1e6]) == learner.predict_proba_one([1e8])
    assert Clip(3.0).transform_one({"x": 1e6}) == {"x": 3.0}


def test_untrained_is_near_the_base_rate():
    """Before the first example the probability is the assumed base rate, not a half."""
    assert Learner(Inputs(("x",)), base_rate=0.02).predict_proba_one([1.0]) == pytest.approx(0.02)
