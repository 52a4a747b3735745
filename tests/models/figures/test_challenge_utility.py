"""The challenge's utility, against its paper written out hour by hour and against what its public scorer printed."""

from __future__ import annotations

import tarfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.figures.challenge_utility import challenge_utility, utility_curve, utility_gains, utility_interval

stays = st.lists(
    st.integers(1, 40).flatmap(
        lambda hours: st.tuples(
            st.one_of(st.none(), st.integers(0, hours - 1)), st.lists(st.booleans(), min_size=hours, max_size=hours)
        )
    ),
    min_size=1,
    max_size=6,
)
"""Each stay: the hour of its first true label (None: no sepsis), and its predictions."""


def by_the_hour(first, hour, told):
    """Give what one hour is worth: Reyna and others 2020, figure 1, as points joined by straight lines."""
    if first is None:
        return -0.05 if told else 0.0
    since = hour - (first + 6)
    if told:
        return float(np.interp(since, [-12.3, -6, 3], [-0.05, 1.0, 0.0]))
    return float(np.interp(since, [-6, 3, 3.5], [0.0, -2.0, 0.0]))


def columns_of(world):
    labels, predictions, groups = [], [], []
    for group, (first, told) in enumerate(world):
        labels += [first is not None and hour >= first for hour in range(len(told))]
        predictions += told
        groups += [group] * len(told)
    return labels, predictions, groups


@given(stays)
def test_utility_is_the_papers(world):
    """Observed, best and silent utility are the sums of the paper's figure over the hours."""
    labels, predictions, groups = columns_of(world)
    found = challenge_utility(labels, predictions, groups)
    hours = [(first, hour, told) for first, row in world for hour, told in enumerate(row)]
    observed = sum(by_the_hour(*one) for one in hours)
    silent = sum(by_the_hour(first, hour, False) for first, hour, _ in hours)
    best = sum(max(by_the_hour(first, hour, True), by_the_hour(first, hour, False)) for first, hour, _ in hours)
    assert (found.observed, found.inaction, found.best) == pytest.approx((observed, silent, best), abs=1e-9)
    if best == silent:
        assert found.normalised is None or abs(found.best - found.inaction) < 1e-9
    else:
        assert found.normalised == pytest.approx((observed - silent) / (best - silent), abs=1e-9)


def test_the_scorers_own_example():
    """The example in the public scorer's documentation comes out to all its digits."""
    labels, told = [False, False, False, False, True, True], [False, False, True, True, True, True]
    assert challenge_utility(labels, told, [1] * 6).observed == pytest.approx(3.388888888888889, abs=1e-12)


def given_predictions(seed):
    """Make 200 stays and predictions by a rule in whole numbers, so that any tool makes the same."""
    labels, told, groups = [], [], []
    for stay in range(200):
        hours = 8 + (stay * 37 + seed) % 70
        first = (stay * 11 + seed) % hours if stay % 7 == 0 else None
        for hour in range(hours):
            labels.append(first is not None and hour >= first)
            told.append((stay * 131 + hour * 17 + seed * 29) % 23 < (12 if first is not None else 3))
            groups.append(stay)
    return labels, told, groups


@pytest.mark.parametrize(
    ("seed", "printed"), [(1, 0.38525096525096525), (2, 0.38700352240981417), (3, 0.3897505556927636)]
)
def test_equal_to_the_public_scorer(seed, printed):
    """On given predictions the normalised utility is what the public scorer printed, to 1e-9."""
    assert challenge_utility(*given_predictions(seed)).normalised == pytest.approx(printed, abs=1e-9)


def test_anchors():
    """Silence is 0, flagging the best hours is 1, and without sepsis there is nothing to earn."""
    labels, _, groups = given_predictions(1)
    gains = utility_gains(labels, groups)
    assert challenge_utility(labels, [False] * len(labels), groups).normalised == 0.0
    assert challenge_utility(labels, gains.best > gains.silent, groups).normalised == pytest.approx(1.0)
    assert challenge_utility([False] * 3, [True] * 3, [1] * 3).normalised is None
    assert utility_curve([False] * 3, [0.1] * 3, [1] * 3) == ()


def test_real_stays(shared_data):
    """On the first 500 stays of the archive, copying the labels scores what the public scorer gives them."""
    labels, groups, stays_read = [], [], 0
    with tarfile.open(shared_data / "physionet2019" / "training_setA.tar.xz") as packed:
        for member in packed:
            if not member.name.endswith(".psv"):
                continue
            text = packed.extractfile(member).read().decode().splitlines()[1:]
            labels += [line.endswith("|1") for line in text]
            groups += [stays_read] * len(text)
            stays_read += 1
            if stays_read == 500:
                break
    assert challenge_utility(labels, labels, groups).normalised == pytest.approx(0.8712394705174488, abs=1e-9)


@given(stays, st.randoms(use_true_random=False))
def test_rows_may_come_mixed_with_times(world, shuffler):
    """With times, the order of rows does not matter."""
    labels, predictions, groups = columns_of(world)
    times = [hour for _, row in world for hour in range(len(row))]
    places = list(range(len(labels)))
    shuffler.shuffle(places)
    mixed = [[column[place] for place in places] for column in (labels, predictions, groups, times)]
    one, other = challenge_utility(labels, predictions, groups), challenge_utility(*mixed)
    assert other.observed == pytest.approx(one.observed, abs=1e-9)
    assert other.best == pytest.approx(one.best, abs=1e-9)


@given(stays, st.lists(st.integers(0, 8), min_size=240, max_size=240), st.integers(0, 9))
def test_the_curve_is_the_utility_of_each_threshold(world, drawn, level):
    """A point of the curve is the utility of flagging every row at or above it."""
    labels, _, groups = columns_of(world)
    scores = np.array(drawn[: len(labels)]) / 8
    curve = utility_curve(labels, scores, groups, [level / 8])
    expected = challenge_utility(labels, scores >= level / 8, groups).normalised
    assert [point.normalised for point in curve] == ([] if expected is None else [pytest.approx(expected, abs=1e-9)])


def test_the_interval_is_by_stay():
    """The bootstrap interval holds the estimate and is the same for the same seed."""
    labels, told, groups = given_predictions(2)
    one, other = (utility_interval(labels, told, groups, np.random.default_rng(4)) for _ in range(2))
    assert one == other
    assert one[0] < challenge_utility(labels, told, groups).normalised < one[1]


def test_a_prediction_a_row():
    """Predictions that do not fit the labels are an error."""
    with pytest.raises(ValueError, match="predictions"):
        challenge_utility([True], [True, False], [1])
