"""The laws of an ensemble's arithmetic, on random ensembles of every shape."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.checks import BrokenLawError
from models.checks_ensemble import laws, quick_equals_definition, random_ensemble, unused_moves_nothing
from models.ensemble_scorer import Forest
from models.explaining.shapley import Leaves
from models.weights import problem_of


@pytest.mark.parametrize(("name", "law"), list(laws()))
@settings(max_examples=15)
@given(
    seed=st.integers(0, 10_000),
    width=st.integers(1, 12),
    parts=st.integers(1, 3),
    pairs=st.sampled_from([0, 1, 8]),
    trees=st.sampled_from([0, 1, 12]),
    leaves_max=st.integers(1, 16),
    edges_max=st.sampled_from([0, 1, 5, 40]),
)
def test_every_law_holds(name, law, seed, width, **shape):
    """Quick is as defined, contributions add up, the base is the mean, an unused input moves nothing."""
    weights = random_ensemble(seed, width, **shape)
    assert problem_of(weights, width) == ""
    law(weights, width)


def test_a_wrong_leaf_breaks_the_law(monkeypatch):
    """The law of the definition notices trees that are scored wrongly."""
    weights = random_ensemble(3, 4)
    monkeypatch.setattr(Forest, "total", lambda *_: 0.0)
    with pytest.raises(BrokenLawError, match="quick equals definition"):
        quick_equals_definition(weights, 4)


def test_a_contribution_out_of_nothing_breaks_the_law(monkeypatch):
    """The law of the unused input notices contributions that are spread over all."""
    weights = random_ensemble(3, 4, parts=2)
    monkeypatch.setattr(Leaves, "contributions", lambda self, row: self.values * (self.passed(row) + 1.0))
    for name, law in laws():
        if name == "contributions_add_up":
            with pytest.raises(BrokenLawError):
                law(weights, 4)
    unused_moves_nothing(weights, 4)
