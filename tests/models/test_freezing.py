"""Freezing weights: what belongs to a version of format 3 comes with it, and it loads under its own id."""

from __future__ import annotations

import numpy as np
import pytest

from models.checks_ensemble import random_ensemble, random_rows
from models.freezing import ROWS_COUNTED_MAX, freeze_weights
from models.inputs import UnknownInputError, schema_hash_of
from models.rows import Inputs
from models.training import threshold_of
from models.version import Lineage, dump, load

INPUTS = Inputs(("age_years", "lactate.last", "heart_rate.last"), ("lactate.last",))
WEIGHTS = random_ensemble(4, 3)


def test_what_is_frozen_loads():
    """A frozen version has this release's schema, its background, its importance, and recommends from the costs."""
    made = freeze_weights(WEIGHTS, INPUTS, Lineage("test", 10, 1), random_rows(1, 3, 100), cost_of_miss=24.0)
    assert load(dump(made), schema_hash=schema_hash_of(INPUTS), version=made.version) == made
    assert made.background.rows == 100
    assert min(made.importance) > 0.0
    assert made.threshold == threshold_of(24.0) == 0.04


def test_the_same_rows_give_the_same_id():
    """Nothing is drawn at random: the same weights and rows are the same version."""
    versions = {freeze_weights(WEIGHTS, INPUTS, Lineage("test", 10, 1), random_rows(1, 3, 100)).version for _ in "ab"}
    assert len(versions) == 1


@pytest.mark.parametrize("rows", [None, np.empty((0, 3))])
def test_without_rows_it_is_said_that_there_are_none(rows):
    """Weights may be frozen with no reference rows; the version says so by having no background."""
    made = load(dump(freeze_weights(WEIGHTS, INPUTS, Lineage("test", 10, 1), rows)))
    assert (made.background, made.importance) == (None, ())


def test_many_rows_are_counted_evenly():
    """Of more rows than are counted every so-manieth is, from the first to the last."""
    rows = np.tile(random_rows(1, 3, 100), (401, 1))
    made = freeze_weights(WEIGHTS, INPUTS, Lineage("test", 10, 1), rows)
    assert ROWS_COUNTED_MAX / 2 < made.background.rows <= ROWS_COUNTED_MAX


def test_inputs_of_nobody_are_refused():
    """Weights over inputs that this release does not compute make no version of it."""
    with pytest.raises(UnknownInputError):
        freeze_weights(WEIGHTS, Inputs(("a", "b", "c")), Lineage("test", 10, 1), None)
