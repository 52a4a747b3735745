"""The belt: what it covers, that it is narrower than Venn's ranges, and that a wrong line is contradicted."""

from __future__ import annotations

import numpy as np
import pytest

from models.belt import BELT_EDGES, PATIENTS_WITH_MIN, belt_of, belt_table, held_true, told_by
from models.conformal import WIDTH_MAX
from models.venn import problem_of, venn_table
from tests.models.stays import drawn


def indeterminate(table, risks, threshold: float) -> float:
    low, high = told_by(table, risks)
    return float(((low < threshold) & (threshold <= high)).mean())


def test_the_coverage_is_the_stated_one_and_the_price_is_less():
    """Of many belts, 95 % of the intervals hold the true risk, and fewer straddle a threshold than of Venn's."""
    held, ours, venns = [], [], []
    for seed in range(30):
        told, _, labels, who = drawn(seed, 600, slope=0.8, shift=-0.3)
        table = belt_table(told, labels, who)
        asked, asked_truth, _, _ = drawn(1000 + seed, 300, slope=0.8, shift=-0.3)
        low, high = told_by(table, asked)
        held.append(((low <= asked_truth) & (asked_truth <= high)).mean())
        ours.append(indeterminate(table, asked, 0.04))
        venns.append(indeterminate(venn_table(told, labels, who), asked, 0.04))
    assert np.mean(held) >= 0.95
    assert np.mean(ours) < 0.75 * np.mean(venns)


def test_repeats_of_a_patient_do_not_narrow_it():
    """A patient's hours thrice over make no narrower belt."""
    told, _, labels, who = drawn(1, 500)
    one = belt_of(told, labels, who)
    other = belt_of(np.repeat(told, 3), np.repeat(labels, 3), np.repeat(who, 3))
    assert other.covariance == pytest.approx(one.covariance, rel=1e-6)


def test_a_line_that_the_record_contradicts_reaches_to_it():
    """Where risks bend away from any line, the interval reaches the range's own record."""
    random = np.random.default_rng(2)
    told = np.repeat([0.02, 0.1, 0.5], 3000)
    labels = random.random(9000) < np.repeat([0.1, 0.02, 0.5], 3000)
    table = belt_table(told, labels, np.arange(9000))
    for probability, found in ((0.02, 0.1), (0.1, 0.02)):
        low, high = table.interval(probability)
        assert low <= found * 1.4
        assert high >= found * 0.85


def test_the_table_is_one_a_version_may_carry():
    """It has the form of any table, rising edges, every row in one range, and the whole of 0 to 1 at the most width."""
    told, _, labels, who = drawn(3, 400)
    table = belt_table(told, labels, who)
    assert problem_of(table) == ""
    assert table.edges == BELT_EDGES
    assert sum(category.rows for category in table.categories) == len(told)
    assert {table.interval(p) for p in (0.0, 0.01, 0.3, 1.0)} != {(0.0, 1.0)}
    whole = belt_table(told, labels, who, WIDTH_MAX)
    assert {whole.interval(p) for p in (0.0, 0.01, 0.3, 1.0)} == {(0.0, 1.0)}


@pytest.mark.parametrize("wrong", ["few with the outcome", "all told the same", "parted without an error"])
def test_without_a_line_the_table_is_venns(wrong):
    """Too few outcomes, one told probability, or classes that never overlap: no line, and Venn's ranges instead."""
    told, _, labels, who = drawn(4, 400)
    if wrong == "few with the outcome":
        labels = labels & (who < np.unique(who[labels])[PATIENTS_WITH_MIN - 1])
    elif wrong == "all told the same":
        told = np.full_like(told, 0.02)
    else:
        told = np.where(labels, 0.2, 0.01)
    assert belt_of(told, labels, who) is None
    assert belt_table(told, labels, who) == venn_table(told, labels, who)


def test_intervals_that_missed_are_found_out():
    """Honest intervals agree with what is found later; those of before a doubled rate do not."""
    told, _, labels, who = drawn(5, 2500)
    table = belt_table(told, labels, who)
    for shift, agreed in ((0.0, True), (1.2, False)):
        asked, _, found, of = drawn(6, 2500, shift=shift)
        share = held_true(asked, told_by(table, asked), found, of).mean()
        assert bool(share > 0.9) is agreed
    assert held_true(asked[:5], told_by(table, asked[:5]), found[:5], of[:5]) is None


def test_without_a_line_the_greatest_width_is_the_whole_too() -> None:
    """Where all were told the same there is a Venn table; at the greatest width it cannot miss either."""
    told, patients = np.full(2_000, 0.02), np.arange(2_000) % 100
    labels = np.random.default_rng(3).random(2_000) < 0.5
    assert belt_of(told, labels, patients) is None
    table = belt_table(told, labels, patients, WIDTH_MAX)
    assert table is not None
    assert table.interval(0.02) == (0.0, 1.0)
