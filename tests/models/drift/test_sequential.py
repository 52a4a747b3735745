"""The sequential tests: their bound on false alarms, their power, and that a restored one goes on alike."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.drift.sequential import Detector, mean_bets, odds_bets, rate_bets


def alarms(bets_of, steps: int, seed: int, limit: float) -> int:
    """Count the alarms of a stream, begun anew after each."""
    generator = np.random.default_rng(seed)
    told, evidence = 0, None
    for _ in range(steps):
        bets = bets_of(generator)[None, :]
        evidence = evidence or Detector(1, bets.shape[1], limit)
        if evidence.step(bets)[0]:
            told, evidence = told + 1, None
    return told


def odds_at(shift: float):
    def draw(generator):
        p = float(generator.beta(1, 20))
        true = 1 / (1 + math.exp(-(math.log(p / (1 - p)) + shift)))
        return odds_bets(p, happened=generator.random() < true, tolerance=0.3, shifts=(0.7, 1.4, -0.7, -1.4))

    return draw


@pytest.mark.parametrize("shift", [0.0, 0.3, -0.3])
def test_chance_alarms_no_oftener_than_once_in_the_limit(shift):
    """Also at the very edge of the tolerance: 8,000 steps at a limit of 800 may have ten, and four deviations."""
    assert alarms(odds_at(shift), 8_000, 7, 800.0) <= 10 + 4 * math.sqrt(10)


def test_a_change_beyond_the_tolerance_is_told():
    """Odds of four times what was said are told within 1,000 rows of 5 %, on each of five seeds."""
    assert all(alarms(odds_at(math.log(4)), 1_000, seed, 2_000.0) for seed in range(5))


def test_a_mean_s_bets_are_fair_at_the_edge():
    """Whatever the law of the value, the mean of a bet at the edge is 1: here two points that straddle it."""
    above = np.exp(mean_bets(np.array([0.0, 1.0]), 0.3, 0.6, (0.4, 0.9)))[:, :2]
    below = np.exp(mean_bets(np.array([0.0, 1.0]), 0.3, 0.6, (0.4, 0.9)))[:, 2:]
    assert np.allclose(0.4 * above[0] + 0.6 * above[1], 1.0)
    assert np.allclose(0.7 * below[0] + 0.3 * below[1], 1.0)
    assert (np.exp(mean_bets(0.5, 0.0, 1.0, (0.5,))) < 1e-300).all()


def test_a_rate_s_bets_are_fair_at_the_edge():
    """Summed over Poisson's law at the tolerated rate, either bet has a mean of 1."""
    ratios, expected, tolerance = (3.0, 0.25), 4.0, 1.5
    for place, edge in ((0, tolerance), (1, 1 / tolerance)):
        law = [math.exp(-edge * expected + n * math.log(edge * expected) - math.lgamma(n + 1)) for n in range(200)]
        mean = sum(p * math.exp(rate_bets(n, expected, tolerance, ratios)[place]) for n, p in enumerate(law))
        assert mean == pytest.approx(1.0)


def drawn(generator):
    labels = generator.random(3) < 0.5
    return odds_bets(generator.random(3), happened=labels, tolerance=0.1, shifts=(0.5, 1.0, -0.5, -1.0))


def test_restored_goes_on_alike():
    """A state is plain numbers, and what is restored from it says the same, bit for bit."""
    generator = np.random.default_rng(3)
    one = Detector(3, 4, 50.0)
    for _ in range(40):
        one.step(drawn(generator))
    other = Detector.restored(one.state())
    for _ in range(40):
        bets = drawn(generator)
        assert (one.step(bets) == other.step(bets)).all()
    assert one.state() == other.state()


def test_an_unknown_value_is_no_step():
    """NaN leaves a stream as it was, and no other."""
    evidence = Detector(2, 2, 100.0)
    evidence.step(mean_bets(np.array([0.9, 0.9]), 0.4, 0.6, (0.5,)))
    before = evidence.state().log_evidence
    evidence.step(mean_bets(np.array([math.nan, 0.9]), 0.4, 0.6, (0.5,)))
    after = evidence.state().log_evidence
    assert after[:2] == before[:2]
    assert after[2] > before[2]


def test_a_change_that_passed_is_let_go():
    """However long it lasted: evidence past proof is not hoarded."""
    evidence = Detector(1, 2, 1_000.0)
    for _ in range(5_000):
        evidence.step(mean_bets(np.array([1.0]), 0.4, 0.6, (0.5,)))
    assert evidence.raised[0]
    for _ in range(100):
        evidence.step(mean_bets(np.array([0.5]), 0.4, 0.6, (0.5,)))
    assert not evidence.raised[0]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: odds_bets(0.5, happened=True, tolerance=0.5, shifts=(0.4,)),
        lambda: mean_bets(0.5, 0.4, 0.6, (1.0,)),
        lambda: rate_bets(1, 1.0, 2.0, (1.5,)),
        lambda: rate_bets(1, 0.0, 1.0, (1.5,)),
        lambda: Detector(1, 1, 1.0),
    ],
)
def test_what_cannot_be_a_bet_is_refused(wrong):
    """A bet within the tolerance would have no bound."""
    with pytest.raises(ValueError, match=r"lies|above"):
        wrong()
