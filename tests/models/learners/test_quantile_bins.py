"""Streaming quantile bins: where the cuts lie, when they move, what an odd input gets."""

from __future__ import annotations

import numpy as np
import pytest

from models.learners.quantile_bins import FEW_ROWS, LATE_ROWS, QuantileBins, quantile_cuts
from models.weights import codes_of


def fed(matrix, **settings):
    bins = QuantileBins(matrix.shape[1], **settings)
    moved = [number + 1 for number, row in enumerate(matrix) if bins.learn_one(row)]
    return bins, moved


def test_bins_hold_about_equal_counts():
    """Of a skewed stream longer than the sample each bin holds its share, within the error of the sample."""
    values = np.random.default_rng(1).lognormal(sigma=2.0, size=(30_000, 1))
    bins, _ = fed(values, bins=10, schedule=(30_000,))
    counts = np.bincount(bins.codes_of(values)[:, 0], minlength=11)[1:]
    assert len(bins.cuts[0]) == 9
    assert np.abs(counts / 3_000 - 1.0).max() < 0.12


def test_the_sample_is_of_the_whole_stream():
    """Cuts made late rest on late rows as much as on early ones: the sample is uniform."""
    values = np.arange(40_000.0)[:, None]
    bins, _ = fed(values, bins=4, schedule=(40_000,))
    assert np.abs(np.array(bins.cuts[0]) / 40_000 - [0.25, 0.5, 0.75]).max() < 0.02


def test_cuts_move_on_schedule_only():
    """Cuts move at the declared counts of rows and then no more."""
    values = np.random.default_rng(2).normal(size=(3_000, 2)) + np.arange(3_000)[:, None]
    _, moved = fed(values, bins=8, schedule=(100, 400, 1_600))
    assert moved == [100, 400, 1_600]


def test_a_constant_and_a_never_known_input_have_no_cuts():
    """What does not vary has one code for the known and one for the unknown."""
    matrix = np.column_stack((np.full(200, 7.0), np.full(200, np.nan), np.arange(200.0)))
    bins, _ = fed(matrix, bins=4, schedule=(150,))
    assert [len(own) for own in bins.cuts] == [0, 0, 3]
    assert bins.codes_of(np.array([[7.0, np.nan, 0.0], [9.0, 1.0, np.nan]])).tolist() == [[1, 0, 1], [1, 1, 0]]


def test_an_input_that_begins_late_gets_cuts_of_its_own():
    """A laboratory value first measured after the freeze is cut once enough of it is known; other cuts stand."""
    matrix = np.column_stack((np.arange(6_000.0) % 50, np.full(6_000, np.nan)))
    matrix[1_000:, 1] = np.arange(5_000.0) % 20
    bins, moved = fed(matrix, bins=5, schedule=(500,))
    assert moved == [500, 1_000 + LATE_ROWS]
    assert len(bins.cuts[1]) == 4
    assert len(bins.cuts[0]) == 4


def test_few_rows_are_coded_as_many_are():
    """The quick way for a few rows gives the codes that the definition gives, also on a cut and beyond the ends."""
    matrix = np.random.default_rng(3).normal(size=(2_000, 3))
    matrix[::7, 1] = np.nan
    matrix[:, 2] = np.round(matrix[:, 2])
    bins, _ = fed(matrix, bins=12, schedule=(1_000,))
    few = np.vstack((matrix[: FEW_ROWS - 2], [[-1e9, 1e9, bins.cuts[2][0]], [bins.cuts[0][3], np.nan, 0.0]]))
    assert bins.codes_of(few).tolist() == codes_of(bins.cuts, few).tolist()


@pytest.mark.parametrize("top_share", [0.2, 0.5, 0.99])
def test_a_heap_at_the_end_stays_apart(top_share):
    """However many values stand at the largest, a smaller value is told from it."""
    values = np.where(np.arange(1_000) < 1_000 * top_share, 100.0, 60.0 + np.arange(1_000) % 40)
    cuts = quantile_cuts(values, 8)
    assert max(values[values < 100.0]) == cuts[-1]


def test_settings_that_make_no_sense_are_refused():
    """A schedule that does not ascend, or more bins than a byte has codes, is the caller's error."""
    with pytest.raises(ValueError, match="ascend"):
        QuantileBins(1, schedule=(10, 5))
    with pytest.raises(ValueError, match="bins"):
        QuantileBins(1, bins=255)


def test_the_sample_is_let_go_when_frozen():
    """After the freeze the state holds cuts and no rows."""
    matrix = np.random.default_rng(4).normal(size=(300, 2))
    bins, _ = fed(matrix, bins=4, schedule=(100, 300))
    assert bins.state().sample == b""
    assert len(fed(matrix[:299], bins=4, schedule=(100, 300))[0].state().sample) == 299 * 2 * 4
