"""The figures, against their definitions written out by brute force."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation import (
    Accumulator,
    AccumulatorState,
    auroc,
    average_precision,
    bootstrap_interval,
    brier,
    expected_calibration_error,
)

# Few distinct probabilities, so that ties are common.
scored = st.lists(st.tuples(st.booleans(), st.integers(0, 8).map(lambda eighths: eighths / 8)), min_size=1, max_size=40)


def pairs_won(rows):
    won = [
        1.0 if p > n else 0.5 if p == n else 0.0
        for y, p in rows
        if y
        for z, n in rows
        if not z
    ]  # fmt: skip
    return sum(won) / len(won) if won else None


def precision_by_thresholds(rows):
    positives = sum(y for y, _ in rows)
    if not positives:
        return None
    area, recall_before = 0.0, 0.0
    for threshold in sorted({p for _, p in rows}, reverse=True):
        told = [y for y, p in rows if p >= threshold]
        recall = sum(told) / positives
        area += (recall - recall_before) * sum(told) / len(told)
        recall_before = recall
    return area


@given(scored)
def test_auroc_is_the_share_of_pairs_won(rows):
    """AUROC equals the share of positive-negative pairs ordered rightly, ties counting half."""
    assert auroc(*zip(*rows, strict=True)) == (
        pairs_won(rows) if pairs_won(rows) is None else pytest.approx(pairs_won(rows))
    )


@given(scored)
def test_average_precision_is_precision_over_recall(rows):
    """Average precision equals precision summed over recall gained at each distinct threshold."""
    expected = precision_by_thresholds(rows)
    found = average_precision(*zip(*rows, strict=True))
    assert found == (expected if expected is None else pytest.approx(expected))


@given(scored, st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(rows, shuffler):
    """AUROC and average precision do not depend on the order of the rows."""
    mixed = list(rows)
    shuffler.shuffle(mixed)
    for metric in (auroc, average_precision):
        one, other = metric(*zip(*rows, strict=True)), metric(*zip(*mixed, strict=True))
        assert one == (None if other is None else pytest.approx(other))


@given(scored)
def test_brier_is_the_mean_square(rows):
    """The Brier score is the mean squared distance of probability and outcome."""
    assert brier(*zip(*rows, strict=True)) == pytest.approx(sum((p - y) ** 2 for y, p in rows) / len(rows))


def test_calibration_error_of_a_known_case():
    """Ten rows promised 0.1 with two positives, and ten promised 0.5 with five, are off by 0.05 on average."""
    labels = [True] * 2 + [False] * 8 + [True] * 5 + [False] * 5
    assert expected_calibration_error(labels, [0.1] * 10 + [0.5] * 10, bins=2) == pytest.approx(0.05)


def test_undefined_is_none():
    """Figures that one class or no rows leave undefined are None."""
    assert auroc([True], [0.5]) is None
    assert average_precision([False], [0.5]) is None
    assert brier([], []) is None
    assert expected_calibration_error([], []) is None
    assert bootstrap_interval(auroc, [True], [0.5], [1], np.random.default_rng(0), rounds=5) is None


def test_refuses_what_is_no_number():
    """A NaN among probabilities is an error, not a figure."""
    with pytest.raises(ValueError, match="finite"):
        auroc([True, False], [float("nan"), 0.5])


def test_bootstrap_is_seeded_and_holds_the_estimate():
    """The same seed gives the same interval, and the interval holds the estimate."""
    generator = np.random.default_rng(7)
    labels = generator.random(400) < 0.3
    probabilities = np.clip(labels * 0.2 + generator.random(400) * 0.6, 0, 1)
    groups = np.arange(400) // 4
    one = bootstrap_interval(auroc, labels, probabilities, groups, np.random.default_rng(1), rounds=50)
    other = bootstrap_interval(auroc, labels, probabilities, groups, np.random.default_rng(1), rounds=50)
    assert one == other
    assert one[0] < auroc(labels, probabilities) < one[1]


def test_bootstrap_draws_groups_whole():
    """Copies of the same patients' rows do not narrow the interval."""
    labels, probabilities, groups = [True, False, True, False], [0.9, 0.2, 0.6, 0.4], [1, 2, 3, 4]
    few = bootstrap_interval(brier, labels, probabilities, groups, np.random.default_rng(3), rounds=60)
    many = bootstrap_interval(brier, labels * 50, probabilities * 50, groups * 50, np.random.default_rng(3), rounds=60)
    assert few == pytest.approx(many)


def test_accumulator_counts_what_it_was_given():
    """Rows, positives, groups and unscored rows are counted; unscored ones enter no figure."""
    run = Accumulator()
    for number in range(10):
        run.add(number / 10, label=number > 6, group=f"p{number % 3}")
    run.add(None, label=True, group="p0")
    figures = run.figures()
    assert (figures.rows, figures.positives, figures.groups, figures.unscored) == (10, 3, 3, 1)
    assert figures.auroc == 1.0
    assert figures.brier_of_base_rate == pytest.approx(0.21)
    assert run.interval(auroc, np.random.default_rng(0), rounds=20) is not None


rows_of_a_run = st.lists(
    st.tuples(st.none() | st.floats(0.0, 1.0), st.booleans(), st.sampled_from("abcd")), min_size=0, max_size=30
)


@given(rows_of_a_run, st.integers(0, 30))
def test_a_restored_accumulator_goes_on_alike(rows, cut):
    """Stored and restored between any two rows, an accumulator ends with the same rows and figures."""
    straight, run = Accumulator(), Accumulator()
    for number, (probability, label, group) in enumerate(rows):
        if number == cut:
            run = Accumulator.restored(
                msgspec.msgpack.decode(msgspec.msgpack.encode(run.state()), type=AccumulatorState)
            )
        for each in (straight, run):
            each.add(probability, label=label, group=group)
    assert run.state() == straight.state()
    assert run.figures() == straight.figures()


def altered(**changes):
    run = Accumulator()
    run.add(0.5, label=True, group="a")
    run.add(0.2, label=False, group="b")
    return msgspec.structs.replace(run.state(), **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": b"\x01"},
        {"labels": b"\x01\x02"},
        {"groups": bytes(8)},
        {"groups": b"\x07" + bytes(15)},
        {"groups": b"\xff" * 16},
        {"probabilities": b"\xff" * 16},
        {"names": ("a",)},
        {"names": ("a", "a")},
        {"unscored": -1},
    ],
)
def test_a_damaged_state_is_refused(changes):
    """A state that no accumulator gave is refused, whichever column is damaged."""
    with pytest.raises(ValueError, match="accumulator"):
        Accumulator.restored(altered(**changes))
