"""Intervals around a probability: their table, what they cover, and when there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from models.venn import (
    EDGES,
    PATIENTS_MIN,
    Category,
    VennTable,
    clopper_pearson,
    effective_rows,
    problem_of,
    venn_table,
)


def drawn(seed: int, patients: int, rows_each: int = 1, *, skew: float = 1.0):
    """Draw probabilities, labels that come true by them (to the power of `skew`), and patients, who share a label."""
    random = np.random.default_rng(seed)
    risks = random.beta(0.4, 6.0, patients)
    labels = random.random(patients) < risks**skew
    return (np.repeat(risks, rows_each), np.repeat(labels, rows_each), np.repeat(np.arange(patients), rows_each))


def test_clopper_pearson_is_the_published_one():
    """The interval of 5 in 100 is that of the tables (1.6 % to 11.3 %); none and all touch the ends."""
    low, high = clopper_pearson(5, 100)
    assert (round(low, 4), round(high, 4)) == (0.0164, 0.1128)
    assert clopper_pearson(0, 30)[0] == 0.0
    assert clopper_pearson(30, 30)[1] == 1.0


@given(st.integers(1, 500), st.data())
def test_the_interval_holds_venns_pair(rows, data):
    """It contains the two shares that a Venn predictor gives: with the new row counted as either label."""
    positives = data.draw(st.integers(0, rows))
    low, high = clopper_pearson(positives, rows)
    assert low <= positives / (rows + 1)
    assert (positives + 1) / (rows + 1) <= high


@given(st.floats(0.0, 1.0), st.lists(st.floats(0.0, 1.0), min_size=2, max_size=2))
def test_the_interval_contains_the_probability(probability, bounds):
    """Whatever the table says, the number that is told lies within the interval told with it."""
    category = Category(min(bounds), max(bounds), 10, 1, 10)
    low, high = VennTable((), (category,), 0.95).interval(probability)
    assert 0.0 <= low <= probability <= high <= 1.0


def test_repeats_of_a_patient_are_no_further_witnesses():
    """Ten rows of each patient, all alike, are worth about one, and the intervals as wide as from one."""
    once, often = drawn(1, 4000), drawn(1, 4000, 10)
    assert effective_rows(once[1], once[2]) > 0.9 * len(once[1])
    assert effective_rows(often[1], often[2]) == pytest.approx(len(often[1]) / 10, rel=0.05)
    narrow, wide = venn_table(*once), venn_table(*often)
    for one, other in zip(narrow.categories, wide.categories, strict=True):
        assert (other.high - other.low) > 0.9 * (one.high - one.low)


def test_the_coverage_is_the_stated_one():
    """Of many tables of honest probabilities, at least 95 % of the categories hold the true share of theirs."""
    held = count = 0
    risks = drawn(999, 200_000)[0]
    for seed in range(50):
        table = venn_table(*drawn(seed, 1500, 3))
        places = np.searchsorted(table.edges, risks, side="right")
        truths = np.bincount(places, weights=risks) / np.bincount(places)
        for truth, category in zip(truths, table.categories, strict=True):
            count += 1
            held += category.low <= truth <= category.high
    assert count > 500
    assert held / count >= 0.95


def test_a_model_that_says_too_much_is_contradicted():
    """Where risks come true less often than told, the interval reaches down to what came true."""
    table = venn_table(*drawn(3, 20_000, skew=2.0))
    low, high = table.interval(0.3)
    assert low < 0.12
    assert high >= 0.3


def test_ranges_are_joined_until_they_have_patients_enough():
    """No category rests on fewer patients than it must, and each probability has one category."""
    table = venn_table(*drawn(4, 400))
    assert all(category.patients >= PATIENTS_MIN for category in table.categories)
    assert sum(category.rows for category in table.categories) == 400
    assert set(table.edges) <= set(EDGES)
    assert problem_of(table) == ""


def test_too_few_patients_make_no_table():
    """Under the least number of patients there is no table, rather than one that says nothing true."""
    assert venn_table(*drawn(5, PATIENTS_MIN - 1)) is None
    assert venn_table(*drawn(5, PATIENTS_MIN)) is not None


TABLE = VennTable((0.1, 0.2), (Category(0.0, 0.1, 9, 1, 9),) * 3, 0.95)


@pytest.mark.parametrize(
    "broken",
    [
        replace(TABLE, edges=(0.1,)),
        replace(TABLE, categories=()),
        replace(TABLE, edges=(0.2, 0.1)),
        replace(TABLE, edges=(0.1, 0.1)),
        replace(TABLE, edges=(0.1, math.nan)),
        replace(TABLE, coverage=1.0),
        replace(TABLE, categories=(Category(0.2, 0.1, 9, 1, 9),) * 3),
        replace(TABLE, categories=(Category(0.0, math.nan, 9, 1, 9),) * 3),
    ],
)
def test_a_table_that_does_not_fit_is_named(broken):
    """Each kind of table that must not be looked up in has a problem."""
    assert problem_of(TABLE) == ""
    assert problem_of(broken)
