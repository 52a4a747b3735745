"""Windows over time: each holds what it says it holds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.figures.bootstrap import bootstrap_interval
from models.figures.discrimination import auroc
from models.figures.rolling import rolling

rows = st.lists(
    st.tuples(st.booleans(), st.integers(0, 8).map(lambda part: part / 8), st.integers(0, 60)), min_size=1, max_size=40
)


@given(rows, st.integers(1, 30), st.integers(1, 30))
def test_a_window_is_its_rows(table, window, step):
    """A point is the figure over the rows later than its start and not later than its end; no row is in none."""
    labels, scores, times = zip(*table, strict=True)
    found = rolling(auroc, labels, scores, times, window, step, positives_min=1)
    assert found[0].start == min(times) - 1
    assert found[-1].end >= max(times)
    assert len(found) == 1 or found[-2].end < max(times)
    assert [later.end - one.end for one, later in pairwise(found)] == [step] * (len(found) - 1)
    for point in found:
        assert point.end - point.start == window
        inside = [(y, p) for y, p, at in table if point.start < at <= point.end]
        assert (point.rows, point.positives) == (len(inside), sum(y for y, _ in inside))
        expected = auroc(*zip(*inside, strict=True)) if point.positives else None
        assert point.figure == (None if expected is None else pytest.approx(expected))


def test_too_few_positives_give_no_figure():
    """A window with fewer positives than asked for says how many there are, and no figure."""
    point = rolling(auroc, [True, False], [0.9, 0.1], [1, 2], 10, 10, positives_min=2)[0]
    assert (point.rows, point.positives, point.figure, point.interval) == (2, 1, None, None)


def test_a_shift_shows():
    """A model that ceases to rank halfway shows it in the later windows, with intervals that part the two."""
    generator = np.random.default_rng(1)
    labels = generator.random(4000) < 0.3
    scores = np.where(np.arange(4000) < 2000, labels * 0.5, 0.0) + generator.random(4000)
    groups = np.arange(4000) // 5
    found = rolling(
        auroc, labels, scores, np.arange(4000), 1000, 1000, groups=groups, generator=np.random.default_rng(2)
    )
    assert [point.end for point in found] == [999, 1999, 2999, 3999]
    assert found[1].interval[0] > 0.75
    assert found[2].interval[1] < 0.6
    first = slice(0, 1000)
    alone = bootstrap_interval(auroc, labels[first], scores[first], groups[first], np.random.default_rng(2))
    assert found[0].interval == alone


def test_windows_are_bounded():
    """A step that would make ten thousand points and more is an error, and so is one of nothing."""
    with pytest.raises(ValueError, match="windows"):
        rolling(auroc, [True, False], [0.5, 0.5], [0, 50_000_000], 1000, 1000)
    for window, step in ((0, 1), (1, 0), (-1, 1)):
        with pytest.raises(ValueError, match="longer than nothing"):
            rolling(auroc, [True], [0.5], [0], window, step)
    assert rolling(auroc, [], [], np.zeros(0, dtype=np.int64), 1, 1) == ()
