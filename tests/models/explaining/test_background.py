"""What scores are explained against: counts of reference rows, and their check."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.checks_ensemble import random_ensemble, random_rows
from models.explaining.background import background_of, problem_of, without_rows
from models.explaining.shapley import Shapley
from models.weights import crossed_logits, ensemble_logits


@given(st.integers(0, 1000), st.integers(1, 3))
def test_counts_are_of_all_rows(seed, parts):
    """Every row has one leaf of each tree and one code of each input, and the check finds nothing wrong."""
    weights = random_ensemble(seed, 5, parts=parts, trees=4)
    background = background_of(weights, random_rows(seed, 5, 40))
    assert {sum(counts) for counts in (*background.covers, *background.codes)} <= {40}
    assert problem_of(background, weights) == ""


def test_the_mean_of_lines_is_the_mean_log_odds():
    """Of lines alone, bias and means are the mean log-odds of the rows."""
    weights = random_ensemble(3, 5, parts=1, pairs=0)
    rows = random_rows(3, 5, 100)
    background = background_of(weights, rows)
    expected = float(crossed_logits(weights.crossed, rows).mean())
    assert weights.crossed.bias + sum(background.additive) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("other", [4, 5])
def test_another_ensembles_background_is_refused(other):
    """A background that was counted on other weights does not fit, and is told by what does not."""
    weights = random_ensemble(3, 5)
    background = background_of(random_ensemble(9, other), random_rows(3, other, 10))
    assert problem_of(background, weights).startswith("background: ")


def test_without_rows_every_score_is_still_explained():
    """A version that has no reference rows explains from equal shares, and the parts still add up."""
    weights = random_ensemble(3, 5)
    shapley = Shapley(weights, without_rows(weights), 5)
    row = random_rows(4, 5, 1)
    logit = float(ensemble_logits(weights, row)[0])
    assert shapley.base + sum(shapley.contributions(row[0].tolist())) == pytest.approx(logit, abs=1e-12)


def test_no_row_is_named_in_a_background():
    """Counts and means are kept, no value of any row: what one row adds to three hundred cannot be read back."""
    weights = random_ensemble(3, 5)
    rows = random_rows(3, 5, 300)
    rows[0, 0] = 123.456789
    kept = msgspec.json.encode(background_of(weights, rows)).decode()
    assert "123.456" not in kept
    assert np.isfinite(background_of(weights, rows).additive).all()
