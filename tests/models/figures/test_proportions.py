"""Intervals of shares and rates, against published values and against drawing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, poisson

from models.figures.proportions import clustered_interval, clustered_rate_interval, wilson_interval


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_published_examples(successes, trials, low, high):
    """Newcombe's four examples (Statistics in Medicine 17 (1998) 857, table I, method 3) come out as printed."""
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.8, 0.95]))
def test_wilson_is_scipys(share, level):
    """Wilson's interval is the one that scipy computes."""
    expected = binomtest(*share).proportion_ci(confidence_level=level, method="wilson")
    assert wilson_interval(*share, level) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_undefined_and_impossible():
    """A share of nothing has no interval; more successes than trials, or a level of 1, are errors."""
    assert wilson_interval(0, 0) is None
    assert clustered_interval([], np.zeros(0, dtype=np.int64)) is None
    assert clustered_rate_interval([], []) is None
    with pytest.raises(ValueError, match="no share"):
        wilson_interval(3, 2)
    for level in (0.0, 1.0):
        with pytest.raises(ValueError, match="level"):
            wilson_interval(1, 2, level)
    with pytest.raises(ValueError, match="at least 0"):
        clustered_rate_interval([1], [-1.0])
    with pytest.raises(ValueError, match="one entry a stay"):
        clustered_rate_interval([1], [1.0, 2.0])


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 6)), min_size=2, max_size=40), st.integers(2, 5))
def test_copies_of_rows_earn_nothing(rows, copies):
    """A stay's rows copied in place make the interval no narrower than one row a stay would."""
    hits, groups = zip(*[(y, g) for g, y in {g: y for y, g in rows}.items()], strict=True)
    once = clustered_interval(hits, groups)
    again = clustered_interval(hits * copies, groups * copies)
    assert again[1] - again[0] >= (once[1] - once[0]) * 0.999


def test_independent_rows_are_wilsons():
    """With one row a stay the clustered interval is Wilson's, but for a lucky or unlucky spread."""
    hits = np.random.default_rng(3).random(400) < 0.2
    low, high = clustered_interval(hits, np.arange(400))
    assert (low, high) == pytest.approx(wilson_interval(int(hits.sum()), 400), abs=2e-4)


def coverage(draw_one, truth, rounds, generator):
    held = [low <= truth <= high for low, high in (draw_one(generator) for _ in range(rounds))]
    return sum(held) / rounds


def test_coverage_with_rows_that_resemble_each_other():
    """Where rows of a stay agree, the clustered interval holds the truth about 95 times in 100, the plain one not."""

    def rows(generator):
        chances = generator.beta(0.5, 2.0, 80)
        groups = np.repeat(np.arange(80), 10)
        return generator.random(800) < chances[groups], groups

    clustered = coverage(lambda generator: clustered_interval(*rows(generator)), 0.2, 300, np.random.default_rng(1))

    def plain(generator):
        hits, _ = rows(generator)
        return wilson_interval(int(hits.sum()), len(hits))

    assert clustered >= 0.92
    assert coverage(plain, 0.2, 300, np.random.default_rng(1)) < 0.8


def test_coverage_of_a_rate_that_differs_between_stays():
    """The interval of a rate holds the truth about 95 times in 100 where stays differ in rate and in length."""

    def one(generator):
        days = generator.uniform(1.0, 9.0, 120)
        return clustered_rate_interval(generator.poisson(generator.gamma(0.5, 0.2, 120) * days), days)

    assert coverage(one, 0.1, 300, np.random.default_rng(2)) >= 0.91


def test_no_event_is_poissons_limit():
    """Without an event the upper end is the rate at which none is seen in 2.5 % of cases."""
    low, high = clustered_rate_interval([0, 0, 0], [4.0, 5.0, 1.0])
    assert low == 0.0
    assert poisson.pmf(0, high * 10.0) == pytest.approx(0.025)


def test_equal_rates_are_no_certainty():
    """Stays that all have the same rate have at least Poisson's spread."""
    low, high = clustered_rate_interval([1, 1], [2.0, 2.0])
    assert low < 0.5 * 0.5 < 2 * 0.5 < high


def jackknifed(tops, bottoms):
    """Give the variance of sum(tops) / sum(bottoms), leaving out stay after stay (Efron and Tibshirani 1993, 11)."""
    left_out = (tops.sum() - tops) / (bottoms.sum() - bottoms)
    return (len(tops) - 1) / len(tops) * ((left_out - left_out.mean()) ** 2).sum()


def test_a_shares_variance_is_the_jackknifes():
    """The effective number of rows is that at which a share would have the variance that the jackknife finds."""
    generator = np.random.default_rng(8)
    groups = np.repeat(np.arange(40), generator.integers(3, 12, 40))
    hits = generator.random(len(groups)) < generator.beta(0.5, 1.5, 40)[groups]
    variance = jackknifed(np.bincount(groups, weights=hits), np.bincount(groups))
    effective = hits.mean() * (1 - hits.mean()) / variance
    expected = wilson_interval(hits.mean() * effective, effective)
    assert clustered_interval(hits, groups) == pytest.approx(expected, abs=4e-3)


def test_a_rates_variance_is_the_jackknifes():
    """The interval of a rate has, on the logarithmic scale, the half-width that the jackknife finds."""
    generator = np.random.default_rng(9)
    days = generator.uniform(2.0, 6.0, 50)
    events = generator.poisson(generator.gamma(0.4, 1.0, 50) * days)
    low, high = clustered_rate_interval(events, days)
    rate = events.sum() / days.sum()
    assert np.log(high / rate) == pytest.approx(1.959964 * np.sqrt(jackknifed(events, days)) / rate, rel=0.05)
    assert np.log(rate / low) == pytest.approx(np.log(high / rate))
