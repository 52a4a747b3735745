"""Sets of outcomes and widths of intervals: what is stated holds on any stream, with labels that come late."""

from __future__ import annotations

import math
from collections import deque

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from models.checks_calibration import told
from models.conformal import (
    FALSE_RATE,
    MISSED_RATE,
    WIDTH_MAX,
    WIDTH_MIN,
    IntervalWidth,
    OutcomeBounds,
    OutcomeSets,
    OutcomeSetsState,
    problem_of,
    width_problem_of,
)

LATE = 2400
"""Rows between a score and its label: twelve hours of 200 beds."""


def played(sets: OutcomeSets, logits, labels, late: int = LATE) -> np.ndarray:
    """Tell each score its set and hand its label back `late` scores later; give which told sets missed."""
    waiting: deque = deque()
    missed = []
    for logit, label in zip(np.asarray(logits).tolist(), np.asarray(labels).tolist(), strict=True):
        waiting.append((logit, label, sets.bounds))
        missed.append(sets.bounds.missed(logit, label=label))
        if len(waiting) > late:
            sets.learn_one(*waiting.popleft())
    while waiting:
        sets.learn_one(*waiting.popleft())
    return np.array(missed)


@pytest.mark.parametrize("shift", [{}, {"shift": 1.2}, {"slope": 0.4, "shift": -2.4}, {"shift": -0.7}])
def test_the_rates_hold_before_and_after_a_shift(shift):
    """With labels twelve hours late, either rate holds over a calm stretch, and over one after a shift of the model."""
    calm, shifted = told(1, 60_000), told(2, 60_000, **shift)
    logits, labels = (np.concatenate(pair) for pair in zip(calm, shifted, strict=True))
    missed = played(OutcomeSets(), logits, labels)
    for part in (slice(20_000, 60_000), slice(60_000, None)):
        assert missed[part][labels[part]].mean() == pytest.approx(MISSED_RATE, abs=0.04)
        assert missed[part][~labels[part]].mean() == pytest.approx(FALSE_RATE, abs=0.03)


@pytest.mark.parametrize(
    "adversary",
    [
        lambda _sets, number: -10.0 if number % 2 else 10.0,
        lambda sets, _number: math.nextafter(sets.bounds.lower, -math.inf),
        lambda sets, number: sets.bounds.lower + (-1.0 if number % 300 < 100 else 1.0),
        lambda _sets, number: -9.0 + (number // 500) % 18,
    ],
)
def test_the_guarantee_holds_against_an_adversary(adversary):
    """Scores chosen with the bounds in sight, runs of one patient's hours, jumps: within the guarantee all the same."""
    sets, late = OutcomeSets(), 50
    waiting: deque = deque()
    for number in range(8000):
        waiting.append((adversary(sets, number), True, sets.bounds))
        if len(waiting) > late:
            sets.learn_one(*waiting.popleft())
    allowed = sets.guarantee((0, late))[1]
    assert allowed < 0.15
    assert abs(sets.missed[1] / sets.rows[1] - MISSED_RATE) <= allowed


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.booleans()), max_size=300), st.integers(0, 20))
def test_the_bounds_never_run_away(rows, late):
    """Whatever comes, a bound stays within its range and what was outstanding."""
    sets = OutcomeSets()
    played(sets, [logit for logit, _ in rows], [label for _, label in rows], late)
    assert all(abs(bound) < 11.0 for bound in msgspec.structs.astuple(sets.bounds))


def test_a_month_of_one_class_leaves_the_other_bound():
    """Where no outcome comes, the bound that is about outcomes stands still."""
    sets = OutcomeSets()
    lower = sets.bounds.lower
    played(sets, told(3, 10_000)[0], np.zeros(10_000, dtype=bool))
    assert sets.bounds.lower == lower
    assert sets.guarantee()[1] == 1.0


def test_what_is_no_number_leaves_everything_possible_and_teaches_nothing():
    """A NaN is told "both"; as a label's logit it is refused, as infinities are."""
    sets = OutcomeSets()
    before = sets.state()
    assert sets.bounds.told(math.nan) == "both"
    for logit in (math.nan, math.inf, -math.inf):
        assert sets.learn_one(logit, True, sets.bounds) == "not_finite"
    assert sets.state() == before


def test_crossed_bounds_leave_nothing_possible():
    """Where either answer would err more than stated the set is empty, and that is said."""
    assert OutcomeBounds(-2.0, -4.0).told(-3.0) == "neither"


def test_restored_goes_on_alike():
    """Restored from its state, by way of JSON, it tells and learns on alike, bit for bit."""
    one = OutcomeSets()
    played(one, *told(4, 5000))
    state = msgspec.json.decode(msgspec.json.encode(one.state()), type=OutcomeSetsState)
    other = OutcomeSets.restored(state)
    later = told(5, 5000)
    assert played(one, *later).tolist() == played(other, *later).tolist()
    assert one.state() == other.state()


STATE = OutcomeSets().state()


@pytest.mark.parametrize(
    "broken",
    [
        replace(STATE, missed_rate=0.0),
        replace(STATE, false_rate=math.nan),
        replace(STATE, bounds=OutcomeBounds(math.nan, 0.0)),
        replace(STATE, missed=(1, 0)),
    ],
)
def test_a_state_that_does_not_fit_is_refused(broken):
    """Each kind of state that no run could have had is named, and not gone on from."""
    assert problem_of(STATE) == ""
    with pytest.raises(ValueError, match="conformal"):
        OutcomeSets.restored(broken)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=200), st.integers(0, 3))
def test_widths_pay_for_every_miss(wanted, late):
    """However much an adversary would miss, told intervals miss at most the guarantee above the stated share."""
    width = IntervalWidth()
    told_widths = deque([WIDTH_MIN] * late)
    for share in wanted:
        told_widths.append(width.width)
        width = width.after(0.0 if told_widths.popleft() >= WIDTH_MAX else share)
    assert width.missed / width.blocks <= width.rate + width.guarantee(late)


def test_a_width_that_always_misses_ends_at_the_whole():
    """An adversary that misses whenever it can is at five in a hundred after some hundred blocks."""
    width = IntervalWidth()
    for _ in range(400):
        width = width.after(0.0 if width.width >= WIDTH_MAX else 1.0)
    assert width.missed / width.blocks < 0.08


def test_a_width_does_not_grow_bold_by_luck():
    """Without a miss it stays at its least; what is no share is refused."""
    width = IntervalWidth()
    for _ in range(50):
        width = width.after(0.0)
    assert (width.width, width.blocks) == (WIDTH_MIN, 50)
    for share in (math.nan, 1.5, -0.1):
        with pytest.raises(ValueError, match="no share"):
            width.after(share)


@pytest.mark.parametrize(
    "broken",
    [IntervalWidth(width=1.0), IntervalWidth(width=math.nan), IntervalWidth(rate=0.9), IntervalWidth(missed=2.0)],
)
def test_a_width_that_was_no_width_is_named(broken):
    """Each kind of width that no run could have had has a problem."""
    assert width_problem_of(IntervalWidth()) == ""
    assert width_problem_of(broken)
