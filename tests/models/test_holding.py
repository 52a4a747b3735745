"""Rows held back: who is learned from, who makes the summaries, and who only checks them."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from models.belt import BELT_EDGES
from models.conformal import WIDTH_MAX, WIDTH_MIN, IntervalWidth
from models.holding import BLOCK_ROWS, HeldBack, HeldBackState
from models.rows import Inputs
from tests.models.stays import HOURS, drawn

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


def stream(held: HeldBack, seed: int, rows: int, **shift: float) -> None:
    """Hold rows of made-up stays back, as they would mature."""
    told, _, labels, who = drawn(seed, rows // HOURS + 1, **shift)
    for probability, label, number in list(zip(told.tolist(), labels.tolist(), who.tolist(), strict=True))[:rows]:
        held.hold((0.0, 1.0, 70.0), probability, label=label, patient=f"s{seed}-{number}")


def test_a_rolling_run_tells_a_belt_and_one_with_a_border_venns():
    """The live learner's table is a belt's; a trained version's is Venn's, unless a belt is asked for."""
    for options, belted in (({"rolling": True}, True), ({}, False), ({"belt": True}, True)):
        held = HeldBack(INPUTS, **options)
        stream(held, 7, 4000)
        assert (held.summaries(0.04).venn.edges == BELT_EDGES) is belted


def test_a_shift_widens_what_is_told_and_calm_narrows_it_again():
    """After a trebled rate the intervals of before miss, and are told wider; when they hold again, narrower."""
    held = HeldBack(INPUTS, rolling=True, held_max=4 * BLOCK_ROWS)
    stream(held, 8, 5 * BLOCK_ROWS)
    calm = held.width.width
    stream(held, 9, 2 * BLOCK_ROWS, shift=1.2)
    wide = held.width.width
    stream(held, 10, 14 * BLOCK_ROWS, shift=1.2)
    assert calm < WIDTH_MIN + 1.0
    assert wide > calm + 0.5
    assert held.width.width < wide
    measured = held.summaries(0.04).measured
    assert measured["interval_blocks"] == 20
    assert measured["interval_agreement_on_stream"] > 0.85


def test_after_a_shift_the_intervals_rest_on_what_came_since():
    """Once a block has missed, the version's table holds the new rate, which all rows held would still deny."""
    held = HeldBack(INPUTS, rolling=True)
    stream(held, 16, 6 * BLOCK_ROWS)
    stream(held, 17, 2 * BLOCK_ROWS, shift=1.2)
    table = held.summaries(0.04).venn
    assert sum(category.rows for category in table.categories) < 3 * BLOCK_ROWS
    low, high = table.interval(0.04)
    assert low <= 0.12 <= high  # What 4 % has come to: three times the odds.
    assert held.summaries(0.04).measured["held_back_rows"] == 8 * BLOCK_ROWS


def test_restored_goes_on_alike():
    """Restored from its state, by way of bytes, a run ends with the same summaries and the same state."""
    one = HeldBack(INPUTS, rolling=True, held_max=2 * BLOCK_ROWS)
    fill(one, 11, 300)
    stream(one, 12, 3 * BLOCK_ROWS)
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(one.state()), type=HeldBackState)
    other = HeldBack.restored(INPUTS, state)
    for held in (one, other):
        fill(held, 13, 300)
        stream(held, 14, BLOCK_ROWS)
    assert one.summaries(0.04) == other.summaries(0.04)
    assert one.state() == other.state()


def test_patients_who_left_are_forgotten():
    """The names kept are bounded by the rows held, however many patients there were."""
    held = HeldBack(INPUTS, rolling=True, held_max=100)
    for number in range(5000):
        held.hold((0.0, 1.0, 70.0), 0.1, label=False, patient=f"p{number}")
    assert len(held.state().patients) <= 201


@pytest.mark.parametrize(
    ("inputs", "changes"),
    [
        (Inputs(("news2.total",)), {}),
        (INPUTS, {"held_max": 1}),
        (INPUTS, {"since": -1}),
        (INPUTS, {"width": IntervalWidth(width=0.0)}),
        (INPUTS, {"rows": b""}),
    ],
)
def test_a_state_that_does_not_fit_is_refused(inputs, changes):
    """A state of other inputs, or whose parts do not fit, is not gone on from."""
    held = HeldBack(INPUTS, rolling=True)
    fill(held, 15, 20)
    with pytest.raises(ValueError, match=r"held back|conformal|reshape"):
        HeldBack.restored(inputs, msgspec.structs.replace(held.state(), **changes))


def test_intervals_without_a_line_keep_the_guarantee_on_a_stream_that_turns_every_block() -> None:
    """Every block contradicts the last, with no line to be had: the width stops at the greatest, where none misses."""
    draw, held = np.random.default_rng(1), HeldBack(Inputs(("news2.total",)), rolling=True)
    for block in range(30):
        for label in draw.random(BLOCK_ROWS) < (0.05 if block % 2 else 0.5):
            held.hold((1.0,), 0.02, label=bool(label), patient=str(draw.integers(100) + 100 * block))
    assert held.width.missed / held.width.blocks <= held.width.rate + held.width.guarantee(1)
    assert held.width.width <= WIDTH_MAX + 2.0
