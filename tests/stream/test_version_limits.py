"""What a version says of its own limits, on a ward: the interval in its alerts, and what is kept back on the board."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from models.drift.served import GroupCounts
from models.likeness import Likeness, Shape
from models.venn import Category, VennTable
from models.version import ModelVersion
from stream.board import Board
from stream.board_rows import render_row

CERTAIN = (0.3, 0.9)
ACROSS = (0.05, 0.9)
"""Of the default threshold, 0.1."""
ALWAYS = 0.0
"""A logit: one in two."""


def version_with(make: Callable[[float], ModelVersion], interval: tuple[float, float], limit: float) -> ModelVersion:
    """Give a version whose interval is always the same, and to which one respiration rate is like all it has seen."""
    return msgspec.structs.replace(
        make(ALWAYS),
        venn=VennTable((), (Category(*interval, 900, 90, 90),), 0.95),
        likeness=Likeness(("respiration_rate.last",), (Shape(False, 900, (16.0,), ((1.0,),), limit, 0.005, 900),)),
    )


@pytest.fixture
def ward_with(new_ward: Any, constant_version: Any) -> Callable[..., Any]:
    """Give a maker of wards with such a version in force, and the board that hears them."""

    def make(interval: tuple[float, float] = CERTAIN, limit: float = 100.0) -> Any:
        ward = new_ward(version=version_with(constant_version, interval, limit), enabled=True)
        ward.board = Board(ward.service.host.shelf)
        ward.service.listen = ward.board.take
        ward.admit("1")
        return ward

    return make


def on_the_board(ward: Any, minute: float) -> dict[str, Any]:
    row = next(row for row in ward.board.rows() if row.patient == ward.key("1"))
    record = ward.service.host.shelf.find(row.patient)
    return render_row(row.patient, record, row.score, row.alert, row.retracted, 1, ward.at(minute))


def test_an_alert_tells_its_interval(ward_with: Any) -> None:
    """What the ward is told has the probability between its bounds, and is not indeterminate."""
    ward = ward_with()
    ward.chart("1", 10, ward.WELL)
    (alert,) = ward.alerts("1", "model")
    assert (alert["probability_low"], alert["probability"], alert["probability_high"]) == (0.3, 0.5, 0.9)
    assert alert["indeterminate"] is False


def test_an_indeterminate_score_raises_nothing_and_the_board_says_so(ward_with: Any) -> None:
    """Across the threshold: no alert, an output of its own, and on the board beside a patient without an alert."""
    ward = ward_with(ACROSS)
    ward.chart("1", 10, ward.WELL)
    assert ward.alerts("1") == []
    (kept,) = ward.outputs("suppressed")
    assert kept["withheld_by"] == {"filter": "uncertainty", "verdict": "abstain", "reason": "indeterminate"}
    assert on_the_board(ward, 11)["held_back"] == [kept["withheld_by"]]


def test_an_open_alert_that_becomes_unlike_says_that_it_abstains(ward_with: Any) -> None:
    """Of a patient unlike all others the open alert stays, without a number; no interval is told either."""
    ward = ward_with(limit=25.0)
    ward.chart("1", 10, ward.WELL)
    ward.chart("1", 20, {"rr": 22.0})
    told = ward.alerts("1", "model")[-1]
    assert (told["state"], told["reason"], told["indeterminate"]) == ("updated", "abstained", True)
    assert (told["probability"], told["probability_low"], told["probability_high"]) == (None, None, None)
    shown = on_the_board(ward, 21)["held_back"]
    assert [(one["filter"], one["verdict"], one["reason"]) for one in shown] == [
        ("out_of_distribution", "defer", "unlike")
    ]
    assert ward.score("1")["verdicts"][-1]["detail"] == "respiration_rate.last"


def test_the_floor_tells_of_who_is_unlike(ward_with: Any) -> None:
    """Deferred or not, NEWS2 tells: the same events as where no model is."""
    ward = ward_with(limit=1.0)
    ward.chart("1", 10, ward.SICK)
    assert ward.story("1") == ["raised band_rise"]
    assert ward.alerts("1", "model") == []


def test_a_row_says_for_whom_the_version_is_less_to_be_trusted(new_ward: Any, constant_version: Any) -> None:
    """The remark on a woman's score is on the board beside her alert; the alert is told as a man's is."""
    counts = (GroupCounts("sex", "female", 900, 90, 100, 30, 90.0), GroupCounts("sex", "male", 900, 90, 140, 80, 90.0))
    version = msgspec.structs.replace(version_with(constant_version, CERTAIN, 100.0), groups=counts)
    ward = new_ward(version=version, enabled=True)
    ward.board = Board(ward.service.host.shelf)
    ward.service.listen = ward.board.take
    ward.admit("1")
    ward.chart("1", 10, ward.WELL)
    (alert,) = ward.alerts("1", "model")
    said = [one for one in alert["verdicts"] if one["filter"] == "subgroups"]
    assert on_the_board(ward, 11)["remarks"] == said
    assert [one["reason"] for one in said] == ["served_worse"]
