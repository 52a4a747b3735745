"""Whether the inputs come as they did: what is told, what is not, and that a restored monitor goes on alike."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from events import MILLIS_PER_HOUR
from models.drift.inputs import InputLimits, InputMonitor, InputState
from models.drift.summary import InputSummary, Reference, problem_of, reference_of, summary_of

AT_ONCE = InputLimits(settling_ms=0)
NAMES = ("pulse", "lactate", "age", "never")


def rows(generator, count, shift=0.0, gaps=0.3):
    """Pulse, lactate (often missing), age, and what is never known."""
    made = np.full((count, 4), np.nan)
    made[:, 0] = generator.normal(80 + shift, 12, count)
    made[:, 1] = np.where(generator.random(count) < gaps, np.nan, generator.lognormal(0.5, 0.5, count))
    made[:, 2] = generator.integers(18, 95, count)
    return made


@pytest.fixture(scope="module")
def summary():
    return summary_of(NAMES, rows(np.random.default_rng(0), 4_000), np.arange(4_000))


def run(monitor, made, per_hour=10, first_hour=0):
    """Let rows come, each of a patient of its own."""
    for number, row in enumerate(made):
        monitor.hear(f"{first_hour}/{number}", (first_hour + number // per_hour) * MILLIS_PER_HOUR, row)
    monitor.advance((first_hour + len(made) // per_hour + 6) * MILLIS_PER_HOUR)
    return {(shift.name, shift.kind, shift.at_once) for shift in monitor.shifted()}


@pytest.mark.parametrize("seed", range(3))
def test_what_comes_as_before_is_no_shift(summary, seed):
    """Two weeks of rows of the same law tell nothing, by either test."""
    assert run(InputMonitor(summary, AT_ONCE), rows(np.random.default_rng(seed + 1), 3_360)) == set()


def test_a_mean_that_moved_is_told_by_both_tests(summary):
    """A pulse higher by a deviation, and nothing else."""
    found = run(InputMonitor(summary, AT_ONCE), rows(np.random.default_rng(1), 480, shift=12.0))
    assert found == {("pulse", "values", False), ("pulse", "values", True)}


def test_being_missing_is_an_input_too(summary):
    """Lactate missing twice as often is told, as missing and not as another value."""
    found = run(InputMonitor(summary, AT_ONCE), rows(np.random.default_rng(1), 480, gaps=0.6))
    assert found == {("lactate", "missing", False), ("lactate", "missing", True)}


def test_what_is_never_missing_may_go_on_so(summary):
    """Nor does what is always missing tell anything by being so: three months of it."""
    monitor = InputMonitor(summary, InputLimits(rows_between_alarms=1_000.0, settling_ms=0))
    for number in range(2_500):
        monitor.hear(
            str(number), number * MILLIS_PER_HOUR, [80.0, 1.5 if number % 10 > 2 else math.nan, 50.0, math.nan]
        )
    assert {(shift.name, shift.kind) for shift in monitor.shifted() if shift.kind == "missing"} == set()


def test_an_input_that_was_never_known_and_comes_is_told(summary):
    """It has no bins, but its being missing is watched."""
    made = rows(np.random.default_rng(1), 480)
    made[:, 3] = 7.0
    assert ("never", "missing", False) in run(InputMonitor(summary, AT_ONCE), made)


def test_a_shift_that_passed_is_let_go(summary):
    """A day's shift of two deviations is told, and no more a week after."""
    monitor = InputMonitor(summary, AT_ONCE)
    assert run(monitor, rows(np.random.default_rng(1), 240, shift=24.0))
    assert run(monitor, rows(np.random.default_rng(2), 1_680), first_hour=48) == set()


def test_one_patient_s_long_stay_is_no_drift(summary):
    """A hundred hours of one extreme patient among others count as his few rows."""
    monitor = InputMonitor(summary, AT_ONCE)
    generator = np.random.default_rng(4)
    for hour in range(100):
        for row in rows(generator, 10):
            monitor.hear(f"{hour}/{row[0]}", hour * MILLIS_PER_HOUR, row)
        for minute in range(60):
            monitor.hear("long", hour * MILLIS_PER_HOUR + minute * 60_000, [190.0, 9.0, 90.0, math.nan])
    assert monitor.shifted() == ()


def test_few_rows_say_nothing_until_the_window_has_grown(summary):
    """At one row in two hours a day is too little; the window grows, and then a shift is told."""
    monitor = InputMonitor(summary, InputLimits(rows_between_alarms=1e9, settling_ms=0))
    made = rows(np.random.default_rng(5), 70, shift=30.0)
    told_after = None
    for number, row in enumerate(made):
        monitor.hear(str(number), 2 * number * MILLIS_PER_HOUR, row)
        if told_after is None and any(not shift.at_once for shift in monitor.shifted()):
            told_after = number
    assert told_after is not None
    assert told_after >= 50


def test_restored_goes_on_alike(summary):
    """Through JSON and back at every place of a stream that shifts: the same words, and the same state."""
    made = np.concatenate([rows(np.random.default_rng(6), 150), rows(np.random.default_rng(7), 150, shift=15.0)])
    one, other = InputMonitor(summary, AT_ONCE), InputMonitor(summary, AT_ONCE)
    for number, row in enumerate(made):
        one.hear(str(number % 200), number * MILLIS_PER_HOUR // 5, row)
        other.hear(str(number % 200), number * MILLIS_PER_HOUR // 5, row)
        if number % 37 == 0:
            stored = msgspec.json.encode(other.state())
            other = InputMonitor.restored(summary, msgspec.json.decode(stored, type=InputState), AT_ONCE)
        assert one.shifted() == other.shifted()
    assert one.state() == other.state()


def test_the_clock_is_no_drift():
    """An input that is the hour itself shifts all day, and is let be."""
    names = ("hour_of_day", "pulse")
    made = np.column_stack([np.arange(4_000) % 24, np.random.default_rng(1).normal(80, 12, 4_000)])
    monitor = InputMonitor(summary_of(names, made, np.arange(4_000)), AT_ONCE)
    for number in range(240):
        monitor.hear(str(number), number * 60_000, [3.0, 80.0 + number % 20 - 10])
    monitor.advance(7 * MILLIS_PER_HOUR)
    assert [shift.name for shift in monitor.shifted() if shift.name == "hour_of_day"] == []


def test_who_lies_there_as_it_begins_is_no_shift(summary):
    """The first two days are heard and not judged."""
    found = run(InputMonitor(summary), rows(np.random.default_rng(1), 400, shift=24.0))
    assert found == set()
    assert run(InputMonitor(summary), rows(np.random.default_rng(1), 900, shift=24.0)) != set()


def test_memory_is_bounded(summary):
    """A year leaves no more than the panes and patients of a week."""
    monitor = InputMonitor(summary, AT_ONCE)
    for number, row in enumerate(rows(np.random.default_rng(8), 1_000)):
        monitor.hear(str(number), 9 * number * MILLIS_PER_HOUR, row)
    state = monitor.state()
    assert len(state.panes) <= monitor.limits.panes_max
    assert len(state.thinned) < 20


def test_a_reference_that_was_read_is_checked():
    """Each way in which it may not fit is named; one that was made is sound."""
    generator = np.random.default_rng(9)
    made = reference_of(NAMES, rows(generator, 400), np.arange(400), generator.random(400) < 0.2, generator.random(400))
    assert isinstance(made, Reference)
    assert problem_of(made, NAMES) == ""
    replace = msgspec.structs.replace
    for wrong, words in (
        (replace(made, base_rate=1.5), "rate"),
        (replace(made, risk_cuts=(0.5, 0.1)), "overlap"),
        (replace(made, inputs=replace(made.inputs, names=("pulse", "lactate", "age", "other"))), "others"),
        (replace(made, inputs=replace(made.inputs, missing=(0.0,))), "as many"),
        (replace(made, inputs=replace(made.inputs, effective_rows=math.inf)), "no rows"),
        (replace(made, inputs=replace(made.inputs, cuts=((math.nan,) * 9, *made.inputs.cuts[1:]))), "rise"),
        (replace(made, inputs=replace(made.inputs, shares=((0.2,) * 10, *made.inputs.shares[1:]))), "no shares"),
    ):
        assert words in problem_of(wrong, NAMES)


def test_too_few_rows_make_no_reference():
    """Nothing is held against what rests on next to nothing."""
    assert reference_of(NAMES, rows(np.random.default_rng(1), 50), np.arange(50)) is None
    assert InputSummary(NAMES, (), (), (), 0, 0.0) != summary_of(NAMES, np.empty((0, 4)), np.empty(0, dtype=np.int64))
