"""A series: its statistics against brute force, independence of arrival order, its bound."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.series import GRID_MS, RAW_ENTRIES_MAX, RETENTION_MS, Put, R, Removal, Series, W
from features.vector import STATISTICS, WINDOWS_H, VectorSpec, fill

NOW = 500_000 * GRID_MS
HOUR = 3_600_000
NAMES = [f"heart_rate.{kind}_{hours}h" for hours in WINDOWS_H for kind in STATISTICS if kind != "delta_baseline"]
NAMES += [f"heart_rate.{kind}" for kind in ("last", "age_h", "previous", "previous_age_h", "change", "delta_baseline")]
SPEC = VectorSpec(NAMES)
STEPS = 1000


def readings(count: int, hours: float):
    times = st.integers(NOW - int(hours * HOUR), NOW)
    return st.lists(
        st.tuples(times, st.integers(30_000, 200_000), st.integers(0, 2**63 - 1)),
        max_size=count,
        unique_by=lambda reading: reading[2],
    )


def filled(entries) -> Series:
    series = Series()
    for entry in entries:
        series.put(*entry)
    return series


def vector(series: Series, at: int = NOW) -> dict[str, float]:
    out = SPEC.template.copy()
    fill(out, series, SPEC.plans[0], at)
    return dict(zip(NAMES, out, strict=True))


def brute_force(entries, at: int = NOW) -> dict[str, float]:
    """Compute each statistic from its definition, with floats and the standard library."""
    known = sorted((time, identity, value / STEPS) for time, value, identity in entries if time <= at)
    out = {}
    for hours in WINDOWS_H:
        part = [(time, value) for time, _, value in known if time > at - hours * HOUR]
        values = [value for _, value in part]
        out[f"count_{hours}h"] = float(len(part))
        out[f"mean_{hours}h"] = statistics.fmean(values) if values else math.nan
        out[f"min_{hours}h"] = min(values, default=math.nan)
        out[f"max_{hours}h"] = max(values, default=math.nan)
        out[f"sd_{hours}h"] = statistics.stdev(values) if len(values) > 1 else math.nan
        times = [(time - part[0][0]) / HOUR for time, _ in part]
        out[f"slope_{hours}h"] = statistics.linear_regression(times, values).slope if len(set(times)) > 1 else math.nan
    day = [value for time, _, value in known if time > at - 24 * HOUR]
    out["delta_baseline"] = day[-1] - statistics.fmean(day[:-1]) if len(day) > 1 else math.nan
    out["last"] = known[-1][2] if known else math.nan
    out["age_h"] = (at - known[-1][0]) / HOUR if known else math.nan
    out["previous"] = known[-2][2] if len(known) > 1 else math.nan
    out["previous_age_h"] = (at - known[-2][0]) / HOUR if len(known) > 1 else math.nan
    out["change"] = known[-1][2] - known[-2][2] if len(known) > 1 else math.nan
    return {f"heart_rate.{name}": value for name, value in out.items()}


def assert_same(actual: dict[str, float], expected: dict[str, float]) -> None:
    for name, value in expected.items():
        assert actual[name] == pytest.approx(value, rel=1e-6, abs=1e-6, nan_ok=True), name


@given(readings(RAW_ENTRIES_MAX, 24.9))
def test_raw_statistics_are_what_their_definitions_say(entries):
    """While all readings are held in full, every statistic equals a brute-force computation."""
    assert_same(vector(filled(entries)), brute_force(entries))


@given(readings(RAW_ENTRIES_MAX, 24.9), st.integers(NOW - 20 * HOUR, NOW))
def test_readings_after_the_asked_instant_are_not_used(entries, at):
    """A vector at T equals the vector of the readings up to T alone."""
    until = [entry for entry in entries if entry[0] <= at]
    assert_same(vector(filled(entries), at), brute_force(until, at))


@settings(max_examples=40)
@given(readings(40, 30), st.randoms(use_true_random=False), st.integers(1, 8))
def test_order_of_arrival_does_not_matter(entries, random, copies):
    """Any order of arrival leaves the very same arrays, spilled or not, old or not."""
    many = [(time + 7 * copy, value, identity ^ copy) for copy in range(copies) for time, value, identity in entries]
    many = list({identity: (time, value, identity) for time, value, identity in many}.values())
    first = filled(many)
    random.shuffle(many)
    second = filled(many)
    assert first.raw == second.raw
    assert first.rows == second.rows


@settings(max_examples=40)
@given(st.integers(65, 600), st.integers(0, 2**32))
def test_bucketed_statistics_are_within_the_stated_resolution(count, seed):
    """A window that reaches into buckets is the brute-force window, longer by less than an hour, with exact sums."""
    step = 23 * HOUR // count
    entries = [(NOW - k * step, 60_000 + (seed * (k + 1)) % 40_000, k) for k in range(count)]
    series = filled(entries)
    actual = vector(series)
    for hours in WINDOWS_H:
        start = NOW - hours * HOUR
        oldest_raw = series.raw[0]
        if start < oldest_raw:
            # The bucket that the far edge cuts counts whole, if any of it is inside.
            cut = start // GRID_MS * GRID_MS
            hour = [time for time, _, _ in entries if cut <= time < min(cut + GRID_MS, oldest_raw)]
            start = cut - 1 if hour and max(hour) > start else start
        part = [value / STEPS for time, value, _ in entries if time > start]
        assert actual[f"heart_rate.count_{hours}h"] == len(part)
        assert actual[f"heart_rate.mean_{hours}h"] == pytest.approx(statistics.fmean(part))
        assert actual[f"heart_rate.min_{hours}h"] == min(part)
        assert actual[f"heart_rate.max_{hours}h"] == max(part)
        assert actual[f"heart_rate.sd_{hours}h"] == pytest.approx(statistics.stdev(part), abs=1e-6)
        times = [(time - NOW) / HOUR for time, _, _ in entries if time > start][::-1]
        slope = statistics.linear_regression(times, part[::-1]).slope
        assert actual[f"heart_rate.slope_{hours}h"] == pytest.approx(slope, rel=1e-6, abs=1e-6)


@given(readings(RAW_ENTRIES_MAX, 24.9))
def test_the_same_readings_again_change_nothing(entries):
    """A repeat of what is held in full is a duplicate."""
    series = filled(entries)
    before = series.raw[:]
    for entry in entries:
        assert series.put(*entry) is Put.DUPLICATE
    assert series.raw == before


@given(readings(RAW_ENTRIES_MAX, 24.9), st.data())
def test_an_update_is_as_if_the_new_value_had_come_first(entries, data):
    """The same id with another value leaves what the new value alone would have left."""
    if not entries:
        return
    place = data.draw(st.integers(0, len(entries) - 1))
    time, _, identity = entries[place]
    updated = (data.draw(st.integers(NOW - 20 * HOUR, NOW)), 250_000, identity)
    series = filled(entries)
    assert series.put(*updated) is Put.UPDATED
    instead = [*entries[:place], updated, *entries[place + 1 :]]
    assert series.raw == filled(instead).raw
    assert time <= NOW


@given(readings(RAW_ENTRIES_MAX, 24.9), st.data())
def test_a_withdrawal_is_as_if_the_value_had_never_come(entries, data):
    """Removing by id leaves what the others alone would have left."""
    if not entries:
        return
    gone = data.draw(st.sampled_from(entries))
    series = filled(entries)
    assert series.remove(gone[2], gone[0])[0] is Removal.REMOVED
    assert series.raw == filled([entry for entry in entries if entry != gone]).raw


def test_memory_is_bounded_however_often_it_is_charted():
    """A reading a second for two days holds 64 readings and at most 27 rows."""
    series = Series()
    for second in range(0, 48 * 3_600, 5):
        series.put(NOW + second * 1000, 80_000 + second % 50, second)
    assert len(series.raw) == RAW_ENTRIES_MAX * W
    assert len(series.rows) <= 27 * R


def test_the_last_two_readings_stay_however_old():
    """A value from last month is still the last one, and the one before it the previous one."""
    series = filled([(NOW - 900 * HOUR, 1, 1), (NOW - 800 * HOUR, 2, 2), (NOW - 700 * HOUR, 3, 3), (NOW, 4, 4)])
    assert series.raw.tolist()[1::W] == [3, 4]
    assert series.put(NOW - 900 * HOUR, 1, 1) is Put.TOO_OLD
    assert series.put(NOW - RETENTION_MS + HOUR, 9, 9) is Put.STORED


def spilled() -> Series:
    return filled([(NOW + minute * 60_000, 80_000 + minute, minute) for minute in range(240)])


def test_withdrawing_a_marked_reading_of_a_bucket_keeps_its_sums_exact():
    """The lowest reading of an old hour is taken out of count and mean; the open mark is said to be inexact."""
    series, at = spilled(), NOW + 239 * 60_000
    before = vector(series, at)
    assert series.remove(0, NOW)[:3] == (Removal.REMOVED, NOW, 80_000)
    after = vector(series, at)
    assert after["heart_rate.count_6h"] == before["heart_rate.count_6h"] - 1
    assert after["heart_rate.mean_6h"] == pytest.approx(statistics.fmean(80 + k / 1000 for k in range(1, 240)))
    assert series.inexact


def test_a_correction_that_buckets_cannot_place_only_widens():
    """An unmarked old reading cannot be told apart: its correction is coarse and may only raise the extremes."""
    series, at = spilled(), NOW + 239 * 60_000
    assert series.remove(31, NOW + 31 * 60_000)[0] is Removal.COARSE
    series.widen(NOW + 31 * 60_000, 150_000, 31)
    after = vector(series, at)
    assert (after["heart_rate.count_6h"], after["heart_rate.max_6h"]) == (240, 150.0)
    assert series.inexact


def test_a_repeat_of_a_bucketed_mark_is_a_duplicate():
    """The first, last, lowest and highest of an old hour are known when they come again."""
    series = spilled()
    before = series.rows[:]
    assert series.put(NOW, 80_000, 0) is Put.DUPLICATE
    assert series.put(NOW + 59 * 60_000, 80_059, 59) is Put.DUPLICATE
    assert series.rows == before


@settings(max_examples=40)
@given(readings(50, 20), readings(50, 20))
def test_merging_two_series_is_as_if_all_had_come_to_one(ours, theirs):
    """A merge leaves the statistics that one patient with all the readings would have."""
    known = {identity for _, _, identity in ours}
    theirs = [entry for entry in theirs if entry[2] not in known]
    merged, other = filled(ours), filled(theirs)
    merged.absorb(other)
    assert_same(vector(merged), vector(filled(ours + theirs)))
