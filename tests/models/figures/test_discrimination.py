"""Stay-level rows against their definition; AUROC and average precision are tested in `test_evaluation`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.figures.discrimination import auroc, average_precision, stay_level
from models.figures.scored_rows import checked_probabilities

rows = st.lists(
    st.tuples(st.booleans(), st.integers(0, 9), st.integers(1, 4), st.integers(0, 5)), min_size=1, max_size=30
)


@given(rows)
def test_a_stay_is_one_row(table):
    """A stay is positive where any of its rows is, and scored by its highest or its last in time."""
    labels, scores, groups, times = (list(column) for column in zip(*table, strict=True))
    highest = stay_level(labels, scores, groups)
    last = stay_level(labels, scores, groups, times, score="last")
    for number, group in enumerate(sorted(set(groups))):
        mine = [(time, place, scores[place]) for place, time in enumerate(times) if groups[place] == group]
        assert highest.groups[number] == last.groups[number] == group
        assert highest.labels[number] == any(y for y, g in zip(labels, groups, strict=True) if g == group)
        assert highest.scores[number] == max(score for _, _, score in mine)
        assert last.scores[number] == max(mine)[2]
    assert len(highest.labels) == len(set(groups))


def test_scores_beyond_one_rank_too():
    """NEWS2 totals rank as probabilities do."""
    assert auroc([False, True, True], [3, 7, 20]) == 1.0
    assert average_precision([False, True, True], [3, 7, 20]) == 1.0


def test_no_rows_make_no_stays():
    """Nothing gives nothing, and figures of it are None."""
    none = stay_level([], [], np.zeros(0, dtype=np.int64))
    assert auroc(none.labels, none.scores) is None


def test_columns_must_fit():
    """Columns of unequal length, groups that are no numbers, and probabilities beyond 1 are errors."""
    with pytest.raises(ValueError, match="groups"):
        stay_level([True], [0.5], [1, 2])
    with pytest.raises(ValueError, match="whole numbers"):
        stay_level([True], [0.5], [1.5])
    with pytest.raises(ValueError, match="outside"):
        checked_probabilities([True], [1.1])


@pytest.mark.parametrize("labels", [[float("nan"), 0.0], [2, 0], [None, True], ["True", "False"], [0.5, 1.0]])
def test_a_label_is_true_or_false(labels):
    """An unknown outcome, a count or a word is no label; numpy would take each for true."""
    with pytest.raises(ValueError, match="true or false"):
        auroc(labels, [0.5, 0.4])
    assert auroc([0, 1], [0.1, 0.2]) == auroc([0.0, 1.0], [0.1, 0.2]) == 1.0
