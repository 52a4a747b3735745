"""The quick bootstrap against the slow one: every round on the drawn rows themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.figures.bootstrap import (
    bootstrap_interval,
    draws,
    paired_difference,
    percentiles,
    ratio_interval,
    weighed_by_draw,
)
from models.figures.calibration import brier, expected_calibration_error
from models.figures.discrimination import auroc, average_precision

QUICK = (auroc, average_precision, brier, expected_calibration_error)

rows = st.lists(
    st.tuples(st.booleans(), st.integers(0, 8).map(lambda eighths: eighths / 8), st.integers(0, 5)),
    min_size=1,
    max_size=40,
)


def copied(labels, scores, members, draw):
    """Give the rows of a draw written out, stay by stay, as often as each was drawn."""
    places = [
        place
        for group, times in enumerate(draw)
        for _ in range(int(times))
        for place in np.flatnonzero(members == group)
    ]
    return labels[places], scores[places]


@pytest.mark.parametrize("metric", QUICK)
@given(rows, st.integers(0, 2**32))
def test_a_weighed_draw_is_the_drawn_rows(metric, table, seed):
    """A figure weighed by a draw equals the figure of the rows drawn, ties and all."""
    labels, scores, groups = (np.array(column) for column in zip(*table, strict=True))
    _, members = np.unique(groups, return_inverse=True)
    weighed = weighed_by_draw(metric, labels, scores, members)
    for draw in draws(int(members.max()) + 1, np.random.default_rng(seed), 3):
        expected = metric(*copied(labels, scores, members, draw))
        found = weighed(draw)
        assert found == (None if expected is None else pytest.approx(expected, abs=1e-12))


def test_any_figure_can_be_drawn():
    """A figure that was not made ready is computed on the drawn rows: equal stays give an interval of one point."""
    ends = bootstrap_interval(
        lambda _, p: float(np.mean(p)), [True] * 4, [0.1, 0.3, 0.3, 0.1], [1, 1, 2, 2], np.random.default_rng(0)
    )
    assert ends == pytest.approx((0.2, 0.2))


def test_the_interval_has_the_known_spread():
    """For a mean of independent stays the interval's width is 2 x 1.96 standard errors, within a tenth."""
    generator = np.random.default_rng(5)
    values = generator.normal(10.0, 2.0, 900)
    low, high = ratio_interval(values, np.ones(900), np.arange(900), np.random.default_rng(1), rounds=1000)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 30.0, rel=0.1)


def test_a_paired_difference_is_surer_than_either():
    """Two models that err together differ with an interval far narrower than either one's own."""
    generator = np.random.default_rng(7)
    truth = generator.normal(size=1500)
    labels = generator.random(1500) < 1 / (1 + np.exp(-truth))
    noise = generator.normal(size=1500)
    one, other = truth + noise, truth + noise + 0.2 * generator.normal(size=1500)
    groups = np.arange(1500) // 5
    found = paired_difference(auroc, labels, one, other, groups, np.random.default_rng(1), rounds=200)
    low, high = bootstrap_interval(auroc, labels, one, groups, np.random.default_rng(1), rounds=200)
    assert found.estimate == pytest.approx(auroc(labels, one) - auroc(labels, other))
    assert found.interval[0] <= found.estimate <= found.interval[1]
    assert found.interval[1] - found.interval[0] < (high - low) / 2


def test_a_model_does_not_differ_from_itself():
    """The difference of a model from itself is 0, with an interval of 0 and half of the draws above."""
    found = paired_difference(
        auroc, [True, False] * 5, [0.4, 0.3] * 5, [0.4, 0.3] * 5, range(10), np.random.default_rng(0)
    )
    assert (found.estimate, found.interval, found.share_above_0) == (0.0, (0.0, 0.0), 0.5)


def test_undefined_rounds():
    """Rounds without the figure are left out; where most are without it, or nothing is given, there is no interval."""
    assert percentiles([2.0, None], 0.95) == (2.0, 2.0)
    assert percentiles([2.0, None, None], 0.95) is None
    assert bootstrap_interval(auroc, [], [], np.zeros(0, dtype=np.int64), np.random.default_rng(0)) is None
    assert paired_difference(auroc, [True], [0.5], [0.4], [1], np.random.default_rng(0)) is None
    assert ratio_interval([1.0], [0.0], [1], np.random.default_rng(0)) is None
    with pytest.raises(ValueError, match="finite"):
        ratio_interval([float("nan")], [1.0], [1], np.random.default_rng(0))


def test_a_single_stay_has_no_interval() -> None:
    """Every draw of one stay is that stay: an interval without width would be told of a figure nobody is sure of."""
    generator = np.random.default_rng(0)
    assert bootstrap_interval(brier, [True, False, False], [0.9, 0.1, 0.4], [1, 1, 1], generator) is None
