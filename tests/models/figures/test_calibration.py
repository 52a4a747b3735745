"""Calibration, against scipy's optimiser, definitions written out, and worlds whose calibration is known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit

from models.figures.calibration import (
    bin_edges,
    brier_parts,
    calibration_by,
    calibration_figures,
    expected_calibration_error,
    reliability_table,
    top_of_risk,
)
from models.figures.recalibration import logistic_recalibration
from models.figures.scored_rows import tied

scored = st.lists(st.tuples(st.booleans(), st.integers(0, 8).map(lambda eighths: eighths / 8)), min_size=1, max_size=40)


def world(seed, rows, slope, intercept):
    """Give labels drawn from log-odds, and the promises whose recalibration has that slope and intercept."""
    generator = np.random.default_rng(seed)
    promised = generator.normal(-2.0, 1.2, rows)
    return generator.random(rows) < expit(intercept + slope * promised), expit(promised)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.6, -0.8), (1.5, 0.5)])
def test_slope_and_intercept_are_the_maximum_that_scipy_finds(slope, intercept):
    """Newton's slope, intercept and calibration in the large are those at which scipy's optimiser ends."""
    labels, promised = world(1, 3000, slope, intercept)
    x = logit(promised)

    def loss(beta):
        return np.logaddexp(0.0, np.where(labels, -1, 1) * (beta[0] + beta[1] * x)).sum()

    line = minimize(loss, [0.0, 1.0], method="BFGS", options={"gtol": 1e-9}).x
    large = minimize(lambda a: loss([a[0], 1.0]), [0.0], method="BFGS", options={"gtol": 1e-9}).x
    found = logistic_recalibration(labels, promised)
    assert (found.intercept, found.slope) == pytest.approx(tuple(line), abs=1e-5)
    assert found.in_the_large == pytest.approx(large[0], abs=1e-5)


def test_model_based_intervals_are_the_inverse_information():
    """Without groups the half-width is 1.96 roots of the inverse information matrix, written out."""
    labels, promised = world(2, 2000, 0.8, 0.3)
    x = np.column_stack((np.ones(2000), logit(promised)))
    found = logistic_recalibration(labels, promised)
    chance = expit(x @ [found.intercept, found.slope])
    errors = np.sqrt(np.diag(np.linalg.inv(x.T @ np.diag(chance * (1 - chance)) @ x)))
    assert found.intercept_interval[1] - found.intercept == pytest.approx(1.959964 * errors[0], rel=1e-5)
    assert found.slope_interval[1] - found.slope == pytest.approx(1.959964 * errors[1], rel=1e-5)


def test_intervals_by_stay_are_the_sandwich():
    """The variance by stay is bread, meat and bread, with the sum over stays of the squared scores, and G / (G - 1)."""
    labels, promised = world(6, 900, 0.7, -0.2)
    groups = np.arange(900) // 3
    found = logistic_recalibration(labels, promised, groups)
    designs = (
        (np.column_stack((np.ones(900), logit(promised))), [found.intercept, found.slope], np.zeros(900)),
        (np.ones((900, 1)), [found.in_the_large], logit(promised)),
    )
    halves = []
    for x, beta, offset in designs:
        chance = expit(x @ beta + offset)
        bread = np.linalg.inv(sum(c * (1 - c) * np.outer(row, row) for c, row in zip(chance, x, strict=True)))
        sums = [((labels - chance)[:, None] * x)[groups == group].sum(axis=0) for group in range(300)]
        covariance = 300 / 299 * bread @ sum(np.outer(one, one) for one in sums) @ bread
        halves += list(1.959964 * np.sqrt(np.diag(covariance)))
    assert found.intercept_interval[1] - found.intercept == pytest.approx(halves[0], rel=1e-5)
    assert found.slope_interval[1] - found.slope == pytest.approx(halves[1], rel=1e-5)
    assert found.in_the_large_interval[1] - found.in_the_large == pytest.approx(halves[2], rel=1e-5)
    single = logistic_recalibration(labels, promised, np.zeros(900, dtype=np.int64))
    assert (single.slope_interval, single.in_the_large_interval) == (None, None)
    assert single.slope == pytest.approx(found.slope)


def test_clustered_intervals_see_through_copies():
    """Rows copied inside their stay leave intervals by stay as they were, and fool those by row."""
    labels, promised = world(3, 600, 1.0, 0.0)
    groups = np.arange(600)
    once = logistic_recalibration(labels, promised, groups)
    again = logistic_recalibration(np.tile(labels, 4), np.tile(promised, 4), np.tile(groups, 4))
    fooled = logistic_recalibration(np.tile(labels, 4), np.tile(promised, 4))
    assert again.slope_interval == pytest.approx(once.slope_interval, rel=1e-6)
    assert fooled.slope_interval[1] - fooled.slope < 0.6 * (again.slope_interval[1] - again.slope)


def test_clustered_intervals_hold_the_truth():
    """Where half of a stay's rows repeat the other half, the interval by stay still holds the true slope."""
    held = 0
    for seed in range(120):
        generator = np.random.default_rng(seed)
        groups = np.repeat(np.arange(100), 8)
        promised = np.repeat(generator.normal(-1.0, 1.0, 100), 8)
        labels = generator.random(800) < expit(promised)
        labels[::2] = labels[1::2]
        interval = logistic_recalibration(labels, expit(promised), groups).slope_interval
        held += interval[0] <= 1.0 <= interval[1]
    assert held / 120 >= 0.9


def test_slope_is_undefined_where_it_must_be():
    """One class gives nothing; promises all alike or parting the classes have no slope, but may have an intercept."""
    assert logistic_recalibration([True, True], [0.2, 0.4]) is None
    alike = logistic_recalibration([True, False, False, False], [0.5] * 4)
    assert (alike.slope, alike.intercept, alike.slope_interval) == (None, None, None)
    assert alike.in_the_large == pytest.approx(np.log(1 / 3))
    assert logistic_recalibration([False, False, True, True], [0.1, 0.2, 0.8, 0.9]).slope is None


def test_certainties_are_taken_to_be_nearly_certain():
    """Promises of 0 and 1 that sometimes fail give a finite slope far below 1."""
    labels = [False] * 9 + [True] + [True] * 9 + [False]
    found = logistic_recalibration(labels, [0.0] * 10 + [1.0] * 10)
    assert 0.0 < found.slope < 0.2


@given(scored, st.integers(1, 12))
def test_brier_parts_add_up(rows, bins):
    """Reliability - resolution + uncertainty + within bins is the Brier score, whatever the bins."""
    labels, promised = (np.array(column) for column in zip(*rows, strict=True))
    parts = brier_parts(labels, promised, bins)
    assert parts.brier == pytest.approx(np.mean((promised - labels) ** 2))
    assert parts.reliability - parts.resolution + parts.uncertainty + parts.within_bins == pytest.approx(parts.brier)
    base = float(np.mean(labels))
    assert parts.skill == (None if base in (0.0, 1.0) else pytest.approx(1 - parts.brier / (base * (1 - base))))


@given(scored)
def test_brier_parts_of_few_levels_are_murphys(rows):
    """With a bin for each level nothing is hidden within bins, and the parts are Murphy's sums by level."""
    labels, promised = (np.array(column) for column in zip(*rows, strict=True))
    parts = brier_parts(labels, promised, bins=len(rows))
    levels = [(labels[promised == level].mean(), level, (promised == level).sum()) for level in np.unique(promised)]
    assert parts.within_bins == pytest.approx(0.0, abs=1e-12)
    assert parts.reliability == pytest.approx(sum(n * (p - o) ** 2 for o, p, n in levels) / len(rows))
    assert parts.resolution == pytest.approx(sum(n * (o - labels.mean()) ** 2 for o, _, n in levels) / len(rows))


@given(scored, st.integers(1, 12), st.randoms(use_true_random=False))
def test_no_figure_depends_on_the_order_of_rows(rows, bins, shuffler):
    """Rows with equal promises share a bin, so shuffled rows give the same error and the same table."""
    mixed = list(rows)
    shuffler.shuffle(mixed)
    one, other = (tuple(zip(*table, strict=True)) for table in (rows, mixed))
    assert expected_calibration_error(*one, bins) == pytest.approx(expected_calibration_error(*other, bins))
    tables = [reliability_table(*table, bins=bins) for table in (one, other)]
    assert [(part.rows, part.positives, part.low, part.high) for part in tables[0]] == [
        (part.rows, part.positives, part.low, part.high) for part in tables[1]
    ]


@given(scored, st.integers(1, 12))
def test_bins_are_those_of_the_middle_ranks(rows, bins):
    """Each run of equal promises lies in the bin that its middle rank falls in; no run is split."""
    promised = np.sort(np.array([p for _, p in rows]))
    edges = bin_edges(tied(promised), bins)
    for level in np.unique(promised):
        places = np.flatnonzero(promised == level)
        middle = (places[0] + places[-1] + 1) / 2
        wanted = sum(middle >= number * len(rows) / bins for number in range(1, bins))
        assert edges[wanted] <= places[0] <= places[-1] < edges[wanted + 1]


@given(scored, st.integers(1, 12))
def test_the_table_holds_every_row_once(rows, bins):
    """The bins of the table part the rows, and the calibration error is the table's mean gap."""
    labels, promised = (np.array(column) for column in zip(*rows, strict=True))
    table = reliability_table(labels, promised, bins=bins)
    assert sum(part.rows for part in table) == len(rows)
    assert sum(part.positives for part in table) == labels.sum()
    assert all(lower.high < upper.low for lower, upper in pairwise(table))
    assert all(part.interval[0] <= part.happened <= part.interval[1] for part in table)
    gap = sum(part.rows * abs(part.promised - part.happened) for part in table) / len(rows)
    assert expected_calibration_error(labels, promised, bins) == pytest.approx(gap, abs=1e-12)


def test_the_top_tenth():
    """The top tenth is the ten highest of a hundred rows, with all that tie with the lowest of them."""
    promised = np.linspace(0.0, 0.99, 100)
    labels = np.arange(100) >= 92
    top = top_of_risk(labels, promised)
    assert (top.rows, top.happened.value) == (10, 0.8)
    assert top.error_share == pytest.approx((promised[90:].mean() - 0.8) / 0.8)
    assert top_of_risk(labels, np.arange(100) // 12 / 10).rows == 16
    assert top_of_risk([False] * 4, [0.1, 0.2, 0.3, 0.4]).error_share is None
    with pytest.raises(ValueError, match="share"):
        top_of_risk(labels, promised, share=0.0)


def test_a_true_model_is_found_true():
    """Labels drawn from the promises give slope 1, intercept 0, a small error, positive skill; doubled odds do not."""
    labels, promised = world(9, 40_000, 1.0, 0.0)
    figures = calibration_figures(labels, promised, np.arange(40_000) // 10)
    assert figures.recalibration.slope_interval[0] < 1.0 < figures.recalibration.slope_interval[1]
    assert figures.recalibration.in_the_large_interval[0] < 0.0 < figures.recalibration.in_the_large_interval[1]
    assert figures.calibration_error < 0.01
    assert figures.brier.skill > 0.05
    assert figures.top.error_share < 0.05
    doubled = calibration_figures(labels, expit(logit(promised) + np.log(2.0)))
    assert doubled.recalibration.in_the_large == pytest.approx(-np.log(2.0), abs=0.05)
    assert doubled.top.error_share > 0.2
    assert doubled.calibration_error > 0.05


def test_subgroups_are_computed_apart():
    """A group whose odds were doubled shows it, and the other does not."""
    labels, promised = world(4, 20_000, 1.0, 0.0)
    women = np.arange(20_000) % 2 == 0
    promised = np.where(women, expit(logit(promised) + np.log(2.0)), promised)
    by = calibration_by(np.where(women, "female", "male"), labels, promised, np.arange(20_000))
    assert by["female"].recalibration.in_the_large == pytest.approx(-np.log(2.0), abs=0.1)
    assert by["male"].recalibration.in_the_large == pytest.approx(0.0, abs=0.1)


def test_nothing_is_none():
    """Of no rows every figure is None and every table empty."""
    figures = calibration_figures([], [])
    assert (figures.recalibration, figures.brier, figures.calibration_error, figures.top, figures.table) == (
        None, None, None, None, (),
    )  # fmt: skip
