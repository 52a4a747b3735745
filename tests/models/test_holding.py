"""Rows held back: who is learned from, who makes the summaries, and who only checks them."""

from __future__ import annotations

import numpy as np

from models.holding import HeldBack
from models.rows import Inputs

INPUTS = Inputs(("other", "news2.total", "age_years"))


def fill(held: HeldBack, seed: int, patients: int, *, learn: bool = False) -> None:
    """Give each patient three rows; a fifth deteriorate, and have a higher total."""
    random = np.random.default_rng(seed)
    for number in range(patients):
        label = bool(random.random() < 0.2)
        for _ in range(3):
            row = (9e8, float(random.normal(3.0 + 4.0 * label)), float(random.normal(70.0, 9.0)))
            if learn:
                held.learn(row, label=label)
            else:
                held.hold(row, min(0.99, abs(row[1]) / 20.0), label=label, patient=f"p{seed}-{number}")


def filled() -> HeldBack:
    held = HeldBack(INPUTS)
    fill(held, 1, 600, learn=True)
    fill(held, 2, 900)
    return held


def test_all_that_is_held_back_makes_the_summaries():
    """Limits and table rest on every patient held back; the figures on all of them too, each third apart."""
    summaries = filled().summaries(0.2)
    assert summaries.measured["held_back_patients"] == 900
    assert sum(shape.held_back for shape in summaries.likeness.shapes) == 2700
    assert sum(category.rows for category in summaries.venn.categories) == 2700


def test_a_table_that_flatters_itself_is_found_out():
    """Labels that follow the patient's number agree within each third and with no other: the figures show it."""
    held = HeldBack(INPUTS)
    for number in range(900):
        held.hold((0.0, 1.0, 70.0), 0.3, label=number % 3 == 0, patient=f"p{number}")
    assert held.summaries(0.2).measured["interval_agreement"] == 0.0


def test_what_is_measured_is_near_what_is_stated():
    """On the checking patients few are unlike of either label, and the intervals mostly hold what was found."""
    summaries = filled().summaries(0.2)
    assert summaries.likeness is not None
    assert summaries.likeness.inputs == ("age_years", "news2.total")
    assert [shape.rows for shape in summaries.likeness.shapes] != [0, 0]
    assert summaries.measured["unlike_share_without_outcome"] <= 0.02
    assert summaries.measured["unlike_share_with_outcome"] <= 0.03
    assert summaries.measured["interval_agreement"] >= 0.8
    assert 0.0 < summaries.measured["indeterminate_share"] < 0.5


def test_a_row_of_which_nothing_was_said_is_no_row():
    """Where the learner could say nothing there is nothing to hold against what became of it."""
    held = HeldBack(INPUTS)
    held.hold((1.0, 2.0, 3.0), None, label=True, patient="p")
    assert held.summaries(0.2).measured["held_back_rows"] == 0


def test_nothing_held_back_is_no_summary():
    """Without rows a version has neither summary, and the figures say so."""
    summaries = HeldBack(INPUTS).summaries(0.2)
    assert (summaries.likeness, summaries.venn) == (None, None)
    assert summaries.measured["held_back_rows"] == 0


def test_rolling_learns_a_row_when_it_leaves_the_newest():
    """The live learner's summary is made of rows that are held back no more, and its limits of those that still are."""
    held = HeldBack(INPUTS, rolling=True, held_max=900)
    fill(held, 3, 300)
    assert held.summaries(0.2).likeness is None
    fill(held, 4, 600)
    likeness = held.summaries(0.2).likeness
    assert likeness is not None
    assert sum(shape.rows for shape in likeness.shapes) == 1800
    assert sum(shape.held_back for shape in likeness.shapes) == 900


def test_with_a_border_the_oldest_are_dropped():
    """What is beyond the most that is kept is not learned from after all."""
    held = HeldBack(INPUTS, held_max=300)
    fill(held, 5, 300)
    assert held.summaries(0.2).likeness is None
    assert held.summaries(0.2).measured["held_back_rows"] == 300
