"""What a version listens to: importance from rows, dependence from the weights, and both on the card."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from models.card import model_card
from models.checks_ensemble import random_ensemble, random_rows, random_version
from models.explaining.background import background_of
from models.explaining.importance import Bin, dependences, importance_of
from models.explaining.shapley import Shapley
from models.inputs import CLINICAL_INPUTS, schema_hash_of
from models.version import dump, load
from models.weights import Crossed, Ensemble, Tree, Trees

INPUTS = msgspec.structs.replace(CLINICAL_INPUTS, names=("heart_rate.last", "lactate.last", "age_years"), indicators=())


def test_importance_is_the_mean_of_absolute_contributions():
    """Over few rows each counts, in absolute log-odds."""
    weights, rows = random_ensemble(1, 4), random_rows(1, 4, 30)
    background = background_of(weights, rows)
    shapley = Shapley(weights, background, 4)
    expected = np.abs([shapley.contributions(row) for row in rows.tolist()]).mean(axis=0)
    assert importance_of(weights, background, rows) == pytest.approx(expected, abs=1e-6)


STUMP = Tree((0,), (1,), (True,), (-1,), (-2,), (-1.0, 1.0))
LINE = Crossed(((100.0, 140.0), (), ()), ((0.0, 0.0, 2.0), (0.5,), (0.0,)), (), ((),) * 3, (), -3.0)


def version(importance=()):
    weights = Ensemble(LINE, Trees(((120.0,), (), ()), (STUMP,), 0.0), (1.0, 1.0))
    rows = np.array([[80.0, math.nan, 50.0], [150.0, 1.0, 60.0]])
    return msgspec.structs.replace(
        random_version(1, INPUTS, schema_hash_of(INPUTS)),
        ensemble=weights,
        background=background_of(weights, rows),
        importance=importance,
    )


def test_dependence_is_by_the_edges_of_every_part():
    """A line's knots and a tree's cuts part an input's values; each part has what it adds, alone, to the base."""
    heart_rate, lactate, age = dependences(version())
    inf = math.inf
    # The line's mean over the rows is 1, the tree's 0.
    assert heart_rate.bins == (
        Bin(-inf, 100.0, -2.0), Bin(100.0, 120.0, -1.5), Bin(120.0, 140.0, 1.5), Bin(140.0, inf, 2.0),
    )  # fmt: skip
    assert heart_rate.unknown == -2.0
    assert (lactate.bins, lactate.unknown) == ((Bin(-inf, inf, -0.25),), 0.25)
    assert age.span == 0.0
    assert [one.name for one in dependences(version(), ["age_years"])] == ["age_years"]


def test_the_card_says_what_it_listens_to_and_where_it_fails():
    """The card is written from the version alone: importance, the values that move it, absence, and deaf inputs."""
    card = model_card(load(dump(version((0.9, 0.25, 0.0)))))
    assert "| `heart_rate.last` | 0.900 | up to 100: -2.00 | above 140: +2.00 | -2.00 |" in card
    assert "`heart_rate.last` -2.00, `lactate.last` +0.25" in card
    assert "It does not hear 1 of its inputs: `age_years`." in card
    assert "1 small trees" in card
    assert "clipped" not in card
    without = model_card(version())
    assert "no reference rows were kept" in without
    assert "| `heart_rate.last` | 4.000 |" in without
