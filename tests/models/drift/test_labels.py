"""Label rate, calibration and discrimination: silent while all is as promised, and each told by its own name."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from models.drift.labels import (
    ODDS_STEPS,
    LabelLimits,
    LabelMonitor,
    LabelState,
    _OddsBets,
    auroc_with_band,
    observed_by_expected,
)
from models.drift.sequential import odds_bets
from models.drift.summary import InputSummary, Reference, placements
from models.evaluation import auroc


def drawn(seed, count, *, shift=0.0, slope=1.0, noise=0.0):
    """Probabilities, and outcomes whose true log-odds are `shift` more and `slope` times as steep about the mean."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(-3.5, 1.2, count)
    true = -3.5 + slope * (logits - 3.5 + 7.0) + shift
    labels = generator.random(count) < 1 / (1 + np.exp(-true))
    said = 1 / (1 + np.exp(-(logits + generator.normal(0, noise, count))))
    return said, labels


@pytest.fixture(scope="module")
def reference():
    said, labels = drawn(0, 60_000)
    low, high = np.quantile(said, [0.5, 0.9])
    ranked = float(placements(said[labels], np.sort(said[~labels])).mean())
    return Reference(InputSummary((), (), (), (), 0, 0.0), float(labels.mean()), ranked, (float(low), float(high)))


def monitored(reference, said, labels, limits=None):
    monitor = LabelMonitor(reference, limits)
    for probability, label in zip(said, labels, strict=True):
        monitor.hear(float(probability), happened=bool(label))
    return monitor


def names(monitor):
    return {(found.monitor, found.group, found.above) for found in monitor.findings()}


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_as_promised_is_not_told(reference, seed):
    """Eight thousand labels, which is three weeks of a hundred beds."""
    assert names(monitored(reference, *drawn(seed, 8_000))) == set()


def test_twice_as_many_outcomes_are_told(reference):
    """As the label rate and as calibration in the large, both above."""
    found = names(monitored(reference, *drawn(3, 3_000, shift=math.log(2.5))))
    assert {("label_rate", "all", True), ("calibration", "all", True)} <= found


def test_a_halved_slope_is_told_at_its_upper_end(reference):
    """Too few come where most were promised."""
    assert ("calibration", "high", False) in names(monitored(reference, *drawn(4, 4_000, slope=0.5)))


def test_lost_discrimination_is_told(reference):
    """What ranks by noise is told as that."""
    assert ("discrimination", "all", False) in names(monitored(reference, *drawn(5, 8_000, noise=2.5)))


def test_without_a_reference_only_calibration_is_watched():
    """It needs none; the others would have nothing to be held against."""
    found = names(monitored(None, *drawn(6, 3_000, shift=math.log(4.0))))
    assert found == {("calibration", "all", True)}


def test_its_bets_are_those_of_the_sequential_test():
    """One row at both levels at once is what `odds_bets` gives of each level by itself."""
    bets = _OddsBets((1.3, 2.0))
    for factor, row in zip((1.3, 2.0), (0, 1), strict=True):
        shifts = [sign * math.log(factor * step) for step in ODDS_STEPS for sign in (1.0, -1.0)]
        for happened in (True, False):
            one = odds_bets(0.03, happened=happened, tolerance=math.log(factor), shifts=shifts)
            assert bets.of(0.03, happened=happened)[row] == pytest.approx(one)


def test_the_levels_are_apart(reference):
    """What is beyond the notice's tolerance and within the serious one's is a notice."""
    limits = LabelLimits(rate_factors=(1.2, 3.0))
    found = monitored(reference, *drawn(7, 4_000, shift=math.log(2.0)), limits).findings()
    assert {one.level for one in found if one.monitor == "label_rate"} == {"notice"}


def test_the_band_is_delong_s():
    """The value is the AUROC, and the band covers the true one as often as it says."""
    generator = np.random.default_rng(8)
    true = 0.7602
    covered = 0
    for _ in range(200):
        positives, negatives = generator.normal(1.0, 1.0, 60), generator.normal(0.0, 1.0, 400)
        value, low, high = auroc_with_band(positives, negatives)
        covered += low <= true <= high
    assert value == pytest.approx(auroc([True] * 60 + [False] * 400, np.concatenate([positives, negatives])))
    assert 182 <= covered <= 198


def test_the_interval_of_the_ratio_is_near_the_exact_one():
    """Poisson's exact 95 % limits of 5 and of 40 are 1.62 to 11.67, and 28.58 to 54.47."""
    assert observed_by_expected(5, 1.0) == pytest.approx((1.62, 11.67), abs=0.05)
    assert observed_by_expected(40, 1.0) == pytest.approx((28.58, 54.47), abs=0.05)


def test_restored_goes_on_alike(reference):
    """Through JSON and back while evidence grows: the same findings, figures and state."""
    said, labels = drawn(9, 2_500, shift=1.0)
    one, other = LabelMonitor(reference), LabelMonitor(reference)
    for number, (probability, label) in enumerate(zip(said, labels, strict=True)):
        one.hear(float(probability), happened=bool(label))
        other.hear(float(probability), happened=bool(label))
        if number % 400 == 7:
            stored = msgspec.json.encode(other.state())
            other = LabelMonitor.restored(reference, msgspec.json.decode(stored, type=LabelState))
    assert one.findings() == other.findings() != ()
    assert one.figures() == other.figures()
    assert one.state() == other.state()


def test_what_is_no_probability_is_not_heard(reference):
    """NaN, or beyond 0 and 1, teaches nothing."""
    monitor = LabelMonitor(reference)
    before = monitor.state()
    for wrong in (math.nan, -0.1, 1.1, math.inf):
        monitor.hear(wrong, happened=True)
    assert monitor.state() == before


@pytest.mark.parametrize("slope", [1.0, 0.5])
def test_the_slope_is_that_of_the_newest_labels(reference, slope):
    """One where promises hold, below it where they are too extreme; within its interval, and only with enough."""
    monitor = LabelMonitor(reference)
    said, labels = drawn(6, 4_000, slope=slope)
    for one, happened in zip(said[:20], labels[:20], strict=True):
        monitor.hear(float(one), happened=bool(happened))
    assert monitor.figures().slope is None
    for one, happened in zip(said[20:], labels[20:], strict=True):
        monitor.hear(float(one), happened=bool(happened))
    found = monitor.figures()
    assert found.slope_interval is not None
    assert found.slope_interval[0] < slope < found.slope_interval[1]
    assert found.slope_interval[1] - found.slope_interval[0] < 0.4
