"""How unlike a row is: the distance, its limit, and what both do where data misbehave."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from models.likeness import FALSE_RATE, ROWS_MIN, Distances, Likeness, Moments, Shape, problem_of, shape_of

NAMES = ("a", "b", "c")
COVARIANCE = np.array([[4.0, 1.5, 0.0], [1.5, 1.0, 0.2], [0.0, 0.2, 9.0]])


def draws(seed: int, rows: int, shift: float = 0.0) -> list[list[float]]:
    return np.random.default_rng(seed).multivariate_normal([10.0 + shift, 5.0, 0.0], COVARIANCE, rows).tolist()


def learned(rows: list[list[float]]) -> Moments:
    moments = Moments(len(NAMES))
    for row in rows:
        moments.add(row)
    return moments


def made(seed: int = 1, rows: int = 4000) -> Likeness:
    shapes = [
        shape_of(learned(draws(seed + place, rows, shift)), draws(seed + 10 + place, rows, shift), label=label)
        for place, (label, shift) in enumerate(((False, 0.0), (True, 8.0)))
    ]
    assert all(shapes)
    return Likeness(NAMES, tuple(shapes))


LIKENESS = made()
MEASURE = Distances(LIKENESS, NAMES)


def test_the_distance_is_mahalanobis():
    """Of a whole row the distance is that of numpy's own inverse of the shrunk covariance."""
    moments = learned(draws(1, 4000))
    means, covariances = moments.shape()
    shape = LIKENESS.shapes[0]
    for row in draws(3, 20):
        apart = np.array(row) - means
        expected = float(apart @ np.linalg.inv(covariances) @ apart) / shape.limit
        measured = Distances(replace(LIKENESS, shapes=(shape,)), NAMES).unlikeness(row)
        assert measured == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("shift", [0.0, 8.0])
def test_the_false_rate_is_the_stated_one_whatever_the_label(shift):
    """Of new rows of either label, no more than the stated share and its sampling error is called unlike."""
    rows = draws(77, 20_000, shift)
    share = sum(MEASURE.unlikeness(row) > 1.0 for row in rows) / len(rows)
    assert share <= FALSE_RATE + 4 * math.sqrt(FALSE_RATE / 4000)


def test_those_with_the_outcome_are_not_strangers():
    """A row in the midst of those with the outcome, beyond the limit of the others, is like what was seen."""
    only = Distances(replace(LIKENESS, shapes=LIKENESS.shapes[:1]), NAMES)
    row = list(LIKENESS.shapes[1].means)
    assert only.unlikeness(row) > 1.0
    assert MEASURE.unlikeness(row) < 1.0


def test_a_stranger_is_unlike_and_the_input_that_makes_it_so_is_named():
    """A value no patient had, among ordinary ones, is beyond the limit; it is the one named."""
    row = [10.0, 5.0, 60.0]
    assert MEASURE.unlikeness(row) > 1.0
    assert MEASURE.farthest(row) == "c"
    assert MEASURE.farthest([10.0, 12.0, 0.0]) == "b"


def test_a_combination_nobody_had_is_unlike_though_each_value_is_common():
    """Two inputs that always move together and now move apart are far out by their covariance alone."""
    assert MEASURE.unlikeness([10.0 - 4.5, 5.0 + 2.2, 0.0]) > 1.0
    assert MEASURE.unlikeness([10.0 - 4.5, 5.0 - 2.2, 0.0]) < 1.0


@given(st.lists(st.one_of(st.just(math.nan), st.floats(-1e9, 1e9)), min_size=3, max_size=3))
def test_any_row_has_a_distance(row):
    """Gaps and extremes give a number that is no NaN and not below zero."""
    assert MEASURE.unlikeness(row) >= 0.0
    assert MEASURE.farthest(row) in NAMES


def test_a_missing_input_stands_at_the_mean():
    """A gap measures like the mean of the label in its place; a row of gaps is not unlike."""
    first = Distances(replace(LIKENESS, shapes=LIKENESS.shapes[:1]), NAMES)
    mean = LIKENESS.shapes[0].means[1]
    assert first.unlikeness([13.0, math.nan, 2.0]) == first.unlikeness([13.0, mean, 2.0])
    assert MEASURE.unlikeness([math.nan] * 3) == 0.0


def test_few_held_back_rows_state_a_higher_rate():
    """With fewer rows than the rate needs, the limit is the farthest and the rate stated the one that holds."""
    shape = shape_of(learned(draws(1, 500)), draws(2, ROWS_MIN), label=False)
    assert shape is not None
    assert shape.false_rate == 1.0 / (ROWS_MIN + 1)
    assert shape_of(learned(draws(1, 500)), draws(2, ROWS_MIN - 1), label=False) is None
    assert shape_of(learned(draws(1, ROWS_MIN - 1)), draws(2, 500), label=False) is None


def test_an_input_that_never_varied_says_nothing():
    """A constant, or one never known, among the inputs neither spoils the shape nor makes anybody unlike."""
    rows = [[row[0], 7.0, math.nan] for row in draws(5, 1000)]
    shape = shape_of(learned(rows), rows, label=False)
    assert shape is not None
    measure = Distances(Likeness(NAMES, (shape,)), NAMES)
    assert measure.unlikeness([rows[0][0], 900.0, 900.0]) == measure.unlikeness([rows[0][0], 7.0, math.nan])


def test_pairs_that_contradict_each_other_still_make_a_shape():
    """Correlations from different rows that no covariance can have are shrunk until one can."""
    moments = Moments(3)
    for step in range(300):
        x = math.sin(step)
        moments.add([(x, x, math.nan), (x, math.nan, x), (math.nan, x, -x)][step % 3])
    shape = shape_of(moments, [[math.sin(step), math.sin(step), math.nan] for step in range(200)], label=False)
    assert shape is not None
    assert math.isfinite(Distances(Likeness(NAMES, (shape,)), NAMES).unlikeness([1.0, 1.0, -1.0]))


@pytest.mark.parametrize(
    "broken",
    [
        replace(LIKENESS, inputs=("a", "b", "nobody")),
        replace(LIKENESS, inputs=("a", "a", "c")),
        replace(LIKENESS, inputs=()),
        replace(LIKENESS, shapes=()),
        replace(LIKENESS, shapes=LIKENESS.shapes * 2),
        replace(LIKENESS, shapes=(replace(LIKENESS.shapes[0], means=(1.0,)),)),
        replace(LIKENESS, shapes=(replace(LIKENESS.shapes[0], limit=0.0),)),
        replace(LIKENESS, shapes=(replace(LIKENESS.shapes[0], limit=math.inf),)),
        replace(LIKENESS, shapes=(replace(LIKENESS.shapes[0], means=(math.nan, 1.0, 1.0)),)),
        replace(LIKENESS, shapes=(replace(LIKENESS.shapes[0], whitening=((1.0,), (1.0,), (1.0,))),)),
        replace(LIKENESS, shapes=(replace(LIKENESS.shapes[0], false_rate=1.0),)),
    ],
)
def test_a_summary_that_does_not_fit_is_named(broken):
    """Each kind of summary that must not be measured with has a problem; the one we made has none."""
    assert problem_of(LIKENESS, NAMES) == ""
    assert problem_of(broken, NAMES)


def test_the_shape_is_the_same_each_time():
    """The same rows in the same order make the same summary, bit for bit."""
    assert made() == made()
    assert isinstance(made().shapes[0], Shape)
