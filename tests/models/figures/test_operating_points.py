"""Alerts and thresholds, against the service's own yardstick (`alerts.burden`) and against counting one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.burden import RuleAlone, measure_burden
from events import MILLIS_PER_HOUR as HOUR
from models.figures.alert_episodes import Onsets, alert_episodes, before_onset, observed_days, onsets_of
from models.figures.bootstrap import draws, percentiles
from models.figures.operating_points import (
    alert_curve,
    alert_point,
    alerts_at_sensitivity_of,
    hours_at_sensitivity_of,
    hours_share_interval,
    operating_curve,
    thresholds_along,
)

scores = st.integers(0, 8).map(lambda eighths: eighths / 8)
stays = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(1, 5), scores), min_size=1, max_size=12),
        st.lists(st.integers(0, 50), max_size=2, unique=True),
    ),
    min_size=1,
    max_size=5,
)
"""Each stay: hours since the row before and score of its rows, and the hours of its outcomes."""
levels = st.tuples(st.integers(1, 8), st.integers(0, 8)).map(lambda pair: (max(pair) / 8, min(pair) / 8))


def columns_of(world):
    """Give scores, groups, times and onsets of drawn stays; rows of different stays are mixed by time."""
    rows, onsets = [], []
    for group, (readings, outcomes) in enumerate(world):
        at = 0
        for gap, score in readings:
            at += gap * HOUR
            rows.append((at, group, score))
        onsets += [(group, hour * HOUR) for hour in outcomes]
    rows.sort()
    times, groups, values = (np.array(column) for column in zip(*rows, strict=True))
    pairs = np.array(sorted(onsets), dtype=np.int64).reshape(-1, 2)
    return values, groups, times, Onsets(pairs[:, 0], pairs[:, 1])


def by_the_service(world, raise_at, release_at):
    """Measure the same with the service's rule and yardstick, row by row."""
    values, groups, times, onsets = columns_of(world)
    rule = RuleAlone("model", raise_at, release_at)
    for score, group, at in zip(values, groups, times, strict=True):
        rule.scored(str(group), int(at), float(score))
    of_patient = {}
    for group, at in zip(onsets.groups, onsets.times, strict=True):
        of_patient.setdefault(str(group), []).append(int(at))
    return rule.tellings(), measure_burden(rule.tellings(), of_patient, observed_days(groups, times))


@given(stays, levels)
def test_alerts_are_those_of_the_service(world, pair):
    """The same alerts are raised, and end, as by the service's rule with hysteresis."""
    values, groups, times, _ = columns_of(world)
    found = alert_episodes(values, groups, times, *pair)
    tellings, _ = by_the_service(world, *pair)
    ours = list(zip(found.groups.tolist(), found.started_at.tolist(), found.ended_at.tolist(), strict=True))
    assert ours == sorted((int(one.patient), one.at, one.until) for one in tellings)
    above = set()
    for group, score, stood in zip(groups.tolist(), values, found.standing, strict=True):
        if score >= pair[0]:
            above.add(group)
        elif score < pair[1]:
            above.discard(group)
        assert stood == (group in above)


@given(stays)
def test_days_are_from_first_row_to_last_and_an_hour(world):
    """Each stay is watched from its first row to its last and an hour more, however its rows are mixed with others'."""
    _, groups, times, _ = columns_of(world)
    hours = [sum(gap for gap, _ in readings[1:]) + 1 for readings, _ in world]
    assert observed_days(groups, times) == pytest.approx(sum(hours) / 24)


@given(stays, levels)
def test_figures_are_those_of_the_services_yardstick(world, pair):
    """Sensitivity, PPV, leads, rate and standing share are what `measure_burden` says of the same alerts."""
    values, groups, times, onsets = columns_of(world)
    point = alert_point(values, groups, times, onsets, *pair)
    _, burden = by_the_service(world, *pair)
    assert (point.alerts, point.outcomes, point.told_in_advance) == (
        burden.alerts, burden.deteriorations, burden.told_in_advance,
    )  # fmt: skip
    for ours, theirs in (
        (point.sensitivity, burden.sensitivity),
        (point.ppv, burden.ppv),
        (point.alerts_per_patient_day, burden.alerts_per_patient_day),
        (point.standing_share, burden.standing_share),
        (point.lead_h_quartiles, burden.lead_h_quartiles),
    ):
        assert ours == (None if theirs is None else pytest.approx(theirs))
    assert point.number_needed_to_evaluate == (pytest.approx(1 / point.ppv) if point.ppv else None)


@given(stays, st.integers(1, 8), st.integers(1, 8), st.sampled_from([0.5, 0.7, 1.0]))
def test_a_lower_threshold_tells_no_fewer_outcomes(world, one, other, share):
    """Sensitivity by alert never rises with the threshold, which is what lets it be found by halving."""
    values, groups, times, onsets = columns_of(world)
    curve = alert_curve(values, groups, times, onsets, [max(one, other) / 8, min(one, other) / 8], release_share=share)
    assert [point.raise_at for point in curve] == [min(one, other) / 8, max(one, other) / 8]
    assert curve[0].told_in_advance >= curve[1].told_in_advance


@given(stays, stays, st.integers(1, 8), st.sampled_from([0.5, 1.0]))
def test_alerts_at_equal_sensitivity(world, others, level, share):
    """The threshold found is the highest that tells as many outcomes, and its alerts are counted at it."""
    values, groups, times, onsets = columns_of(world)
    comparator_values = np.resize(columns_of(others)[0], len(values))
    comparator = alert_point(comparator_values, groups, times, onsets, level / 8)
    found = alerts_at_sensitivity_of(values, groups, times, onsets, comparator, release_share=share)
    possible = [
        point
        for point in alert_curve(values, groups, times, onsets, np.unique(values), release_share=share)
        if point.told_in_advance >= comparator.told_in_advance
    ]
    if found is None:
        assert not comparator.told_in_advance or not possible
    else:
        assert (found.threshold, found.alerts) == (possible[-1].raise_at, possible[-1].alerts)
        assert found.share == pytest.approx(found.alerts / comparator.alerts)


rows = st.lists(st.tuples(st.booleans(), scores, st.booleans()), min_size=1, max_size=40)


@given(rows, st.integers(0, 9))
def test_hours_are_counted_one_by_one(table, level):
    """Each figure by hour is the count of rows that it says it is."""
    labels, values, _ = zip(*table, strict=True)
    point = operating_curve(labels, values, [level / 8], patient_days=len(table) / 24)[0]
    told = [p >= level / 8 for p in values]
    both = sum(y and t for y, t in zip(labels, told, strict=True))
    neither = sum(not y and not t for y, t in zip(labels, told, strict=True))
    positives, negatives = sum(labels), len(labels) - sum(labels)
    assert (point.flagged, point.true_positives) == (sum(told), both)
    assert point.sensitivity == (both / positives if positives else None)
    assert point.specificity == (pytest.approx(neither / negatives) if negatives else None)
    assert point.ppv == (both / sum(told) if sum(told) else None)
    assert point.number_needed_to_evaluate == (sum(told) / both if both else None)
    assert point.flagged_per_patient_day == pytest.approx(sum(told) / len(table) * 24)


@given(rows)
def test_hours_at_equal_sensitivity(table):
    """The threshold is the highest score at which as many positives are flagged as by the comparator."""
    labels, values, flags = (np.array(column) for column in zip(*table, strict=True))
    found = hours_at_sensitivity_of(labels, values, flags)
    wanted = (labels & flags).sum()
    if not wanted:
        assert found is None
        return
    highest = max(level for level in values if (labels & (values >= level)).sum() >= wanted)
    assert found.threshold == highest
    assert found.share == pytest.approx((values >= highest).sum() / flags.sum())
    assert found.sensitivity == pytest.approx((labels & (values >= highest)).sum() / labels.sum())
    assert found.comparator_sensitivity == pytest.approx(wanted / labels.sum())
    assert (found.alerts, found.comparator_alerts) == ((values >= highest).sum(), flags.sum())


@given(rows, st.lists(st.integers(0, 4), min_size=40, max_size=40), st.integers(0, 2**32))
def test_the_interval_of_the_share_is_over_drawn_rows(table, drawn, seed):
    """Each round's share is the one that `hours_at_sensitivity_of` finds on the drawn rows."""
    labels, values, flags = (np.array(column) for column in zip(*table, strict=True))
    groups = np.array(drawn[: len(table)])
    names, members = np.unique(groups, return_inverse=True)
    shares = []
    for draw in draws(len(names), np.random.default_rng(seed), 8):
        places = np.repeat(np.arange(len(table)), draw[members].astype(int))
        found = hours_at_sensitivity_of(labels[places], values[places], flags[places])
        shares.append(None if found is None else found.share)
    expected = percentiles(shares, 0.95)
    interval = hours_share_interval(labels, values, flags, groups, np.random.default_rng(seed), rounds=8)
    assert interval == (None if expected is None else pytest.approx(expected))


def test_half_the_alerts_at_the_same_sensitivity():
    """A score that flags the same positives and half of the false alarms has a share of a half and a bit."""
    labels = np.arange(100) < 10
    flags = np.arange(100) < 50
    values = np.where(np.arange(100) < 25, 0.9, 0.1)
    assert hours_at_sensitivity_of(labels, values, flags).share == 0.5


@given(stays)
def test_rows_before_the_first_outcome(world):
    """A row counts as before where no outcome of its stay is at or before it."""
    _, groups, times, onsets = columns_of(world)
    expected = [
        all(at < onset for g, onset in zip(onsets.groups, onsets.times, strict=True) if g == group)
        for group, at in zip(groups, times, strict=True)
    ]
    assert before_onset(groups, times, onsets).tolist() == expected


def test_onsets_of_rows():
    """Each outcome is named once, by the time its positive rows give; rows without the label name none."""
    found = onsets_of([True, True, False, True], [2, 2, 2, 1], [7, 9, 1, 7])
    assert (found.groups.tolist(), found.times.tolist()) == ([1, 2, 2], [7, 7, 9])
    assert len(onsets_of([False], [1], [5]).times) == 0


def test_thresholds_along_run_from_strict_to_all():
    """The grid flags about one row in ten thousand first and every row last, ascending and without repeats."""
    values = np.random.default_rng(0).random(50_000)
    grid = thresholds_along(values, 50)
    assert (np.diff(grid) > 0).all()
    assert (values >= grid[0]).all()
    assert (values >= grid[-1]).sum() == 5
    assert len(thresholds_along([], 5)) == 0
    assert thresholds_along([0.5, 0.5], 5).tolist() == [0.5]
    assert thresholds_along([0.3, 0.1, 0.2], 3).tolist() == [0.1, 0.2, 0.3]


def test_nothing_is_none():
    """Without rows or outcomes there are no shares, and no quartiles of a single lead."""
    none = np.zeros(0, dtype=np.int64)
    point = alert_point([], none, none, Onsets(none, none), 0.5)
    assert (point.alerts, point.alerts_per_patient_day, point.sensitivity, point.ppv) == (0, None, None, None)
    assert alerts_at_sensitivity_of([], none, none, Onsets(none, none), point) is None
    single = alert_point([0.9], [1], [0], Onsets(np.array([1]), np.array([HOUR])), 0.5)
    assert (single.sensitivity, single.lead_h_quartiles) == (1.0, None)


def test_hysteresis_cannot_be_upside_down():
    """A release above the threshold is an error, and so are columns that do not fit."""
    with pytest.raises(ValueError, match="let go"):
        alert_episodes([0.5], [1], [0], raise_at=0.5, release_at=0.6)
    with pytest.raises(ValueError, match="times"):
        alert_episodes([0.5], [1], [0, 1], raise_at=0.5)
    with pytest.raises(ValueError, match="flags"):
        hours_at_sensitivity_of([True], [0.5], [True, False])
