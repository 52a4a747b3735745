"""Windows that are carried on give what windows summed anew give, bit for bit."""

from __future__ import annotations

from array import array
from itertools import pairwise
from math import isnan, nan

from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalogue import default_catalogue
from features.series import Series
from features.vector import VectorSpec, fill, fill_anew

MINUTE, HOUR = 60_000, 3_600_000
FEATURE = default_catalogue().by_name("heart_rate")
NAMES = [
    f"heart_rate.{statistic}"
    for statistic in (
        "last", "age_h", "previous", "previous_age_h", "change", "mean_6h", "max_6h", "min_6h", "slope_6h", "count_1h",
        "slope_1h", "mean_24h", "min_24h", "max_24h", "slope_24h", "delta_baseline",
    )
]  # fmt: skip
SPEC = VectorSpec(NAMES, carried=True)
(PLAN,) = SPEC.plans

step = st.one_of(
    # (what, how much later in ms, value): mostly a newer reading at the pace of a monitor, a round or a gap
    st.tuples(st.just("put"), st.sampled_from([MINUTE, MINUTE, 10 * MINUTE, HOUR, 7 * HOUR]), st.integers(30, 180)),
    st.tuples(st.just("run"), st.sampled_from([MINUTE, 5 * MINUTE, HOUR]), st.integers(30, 180)),
    st.tuples(
        st.sampled_from(["late", "past", "repeat", "remove", "merge"]), st.integers(0, 26 * HOUR), st.integers(30, 180)
    ),
    st.tuples(st.just("wait"), st.integers(0, 8 * HOUR), st.just(0)),
)  # fmt: skip


def same(one: list[float], other: list[float]) -> bool:
    return all(a == b or (isnan(a) and isnan(b)) for a, b in zip(one, other, strict=True))


def check(series: Series, at: int) -> None:
    carried, anew, template = SPEC.template.copy(), SPEC.template.copy(), [nan] * len(NAMES)
    assert len(template) == len(carried)
    fill(carried, series, PLAN, at)
    fill_anew(anew, series, PLAN, at)
    assert same(carried, anew), [(name, *pair) for name, *pair in zip(NAMES, carried, anew, strict=True)]


def merged(series: Series, start: int, first_id: int, count: int) -> None:
    other = Series()
    for turn in range(count):
        other.put(start + turn * 7 * MINUTE, turn * FEATURE.steps, first_id + turn)
    series.absorb(other)


def play(series: Series, story: list[tuple[str, int, int]], ask_each: int) -> None:
    now, number = 400_000 * HOUR, 0
    for what, delay, value in story:
        if what == "put":
            now += delay
            series.put(now, value * FEATURE.steps, number)
        elif what == "run":
            for turn in range(90):
                now += delay
                number += 1
                series.put(now, (value + turn * turn % 11) * FEATURE.steps, number)
                if turn % ask_each == 0:
                    check(series, now)
        elif what == "late":
            series.put(now - delay, value * FEATURE.steps, number)
        elif what == "repeat":
            series.put(now - delay % MINUTE, value * FEATURE.steps, max(0, number - delay % 70))
        elif what == "remove":
            series.remove(max(0, number - delay % 200), now - delay)
        elif what == "merge":
            merged(series, now - delay, 10_000_000 + number * 1000, value)
        elif what == "past":
            check(series, now - delay)
        else:
            now += delay
        number += 1
        if number % ask_each == 0:
            check(series, now)
    check(series, now)
    check(series, now + HOUR)


@settings(deadline=None, max_examples=150)
@given(st.lists(step, max_size=25), st.sampled_from([1, 2, 7, 80]))
def test_carried_windows_equal_windows_computed_anew(story, ask_each):
    """After any course of new, late, repeated, removed and merged readings, carrying changes no bit of a statistic."""
    play(Series(), story, ask_each)


def test_a_minute_a_reading_for_three_days_is_exact():
    """Charted each minute for three days, with the windows deep in the buckets, every vector is exact."""
    series = Series()
    for number in range(3 * 24 * 60):
        at = 400_000 * HOUR + number * MINUTE
        series.put(at, (60 + number * number % 37) * FEATURE.steps, number)
        if number % 7 == 0:
            check(series, at)
    assert series.carried is not None


def test_a_window_of_raw_readings_is_the_sum_over_them():
    """Held to sums over a plain list, with no code of ours in between."""
    series, readings = Series(), []
    for number in range(60):
        at, value = 400_000 * HOUR + number * 9 * MINUTE, 60 + number * 13 % 29
        series.put(at, value * FEATURE.steps, number)
        readings.append((at, value))
        out = SPEC.template.copy()
        fill(out, series, PLAN, at)
        inside = [value for time, value in readings if at - 6 * HOUR < time <= at]
        assert out[NAMES.index("heart_rate.mean_6h")] == sum(inside) / len(inside)
        assert out[NAMES.index("heart_rate.max_6h")] == max(inside)
    assert all(before < after for before, after in pairwise(series.raw[0::3]))
    assert isinstance(series.raw, array)
