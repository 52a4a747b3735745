"""Values by feed and feature."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from events import MILLIS_PER_HOUR
from models.drift.feeds import LIMITS, SUBJECTS_MAX, FeedValues, SubjectState

AT_ONCE = msgspec.structs.replace(LIMITS, settling_ms=0)


def come(values, feed, seed, count, *, shift=0.0, first=0):
    generator = np.random.default_rng(seed)
    for number in range(count):
        at = first * MILLIS_PER_HOUR + number * MILLIS_PER_HOUR // 10
        values.hear(feed, "lactate", f"{seed}/{number}", at, float(generator.lognormal(0.5, 0.5)) + shift)
    values.advance((first + count // 10 + 6) * MILLIS_PER_HOUR)


def test_one_analyser_of_two_that_moved_is_told_by_name():
    """The other feed's values are as they were."""
    values = FeedValues(AT_ONCE)
    for feed in ("LAB1", "LAB2"):
        come(values, feed, 1, 900)
    come(values, "LAB1", 2, 400, shift=1.5, first=96)
    come(values, "LAB2", 3, 400, first=96)
    found = {(feed, shift.at_once) for (feed, _), shift in values.shifted()}
    assert found == {("LAB1", True), ("LAB1", False)}


def test_what_a_person_accepts_is_the_reference_from_then_on():
    """Forgotten, the new habit is learned and is no shift."""
    values = FeedValues(AT_ONCE)
    come(values, "LAB", 1, 600)
    come(values, "LAB", 2, 400, shift=3.0, first=60)
    assert list(values.shifted())
    values.forget("LAB", "lactate")
    come(values, "LAB", 3, 900, shift=3.0, first=110)
    assert list(values.shifted()) == []


def test_subjects_are_bounded_and_what_is_beyond_is_counted():
    """A feed that sends a new name each time fills no memory."""
    values = FeedValues(AT_ONCE)
    for number in range(SUBJECTS_MAX + 7):
        values.hear(f"F{number}", "lactate", "p", 0, 1.0)
    values.hear("F0", "lactate", "q", 0, math.nan)
    assert values.unwatched == 7
    assert len(values.state()) == SUBJECTS_MAX


def test_restored_goes_on_alike():
    """While the reference is being made, and after."""
    one, other = FeedValues(AT_ONCE), FeedValues(AT_ONCE)
    for step in range(6):
        for values in (one, other):
            come(values, "LAB", step, 200, shift=0.0 if step < 4 else 2.0, first=24 * step)
            come(values, "OTHER", step, 40, first=24 * step)
        stored = msgspec.msgpack.encode(other.state())
        other = FeedValues.restored(msgspec.msgpack.decode(stored, type=tuple[SubjectState, ...]), AT_ONCE)
    assert list(one.shifted()) == list(other.shifted()) != []
    assert one.state() == other.state()
