"""The ward board: who is on it, which alert a row shows, and how long a retraction stays."""

from __future__ import annotations

import io
import json
from typing import Any

import msgspec
import pytest
from rich.console import Console

from events import Acknowledgement, Location
from stream.board import RETRACTION_SHOWN_MS, Board, Row
from stream.cli.board_view import render_board
from stream.view import WardView
from tests.stream.test_explained_alerts import loud

MINUTES_SHOWN = RETRACTION_SHOWN_MS // 60_000


class Watched:
    """A ward and its board, which hears what is carried out."""

    def __init__(self, ward: Any) -> None:
        self.ward = ward
        self.board = Board(ward.service.host.shelf)
        ward.service.listen = self.board.take

    def row(self, mrn: str) -> Row | None:
        """Give a patient's row, None where they are not on the board."""
        key = self.ward.key(mrn)
        return next((row for row in self.board.rows() if row.patient == key), None)

    def take_back(self, mrn: str) -> Row:
        """Raise an alert, and take it back with the admission."""
        self.ward.admit(mrn)
        self.ward.chart(mrn, 10, self.ward.SICK)
        raised = self.row(mrn)
        assert raised is not None
        assert raised.alert is not None
        assert (raised.alert.state, raised.retracted) == ("raised", ())
        self.ward.adt("A11", mrn, 20)
        row = self.row(mrn)
        assert row is not None
        return row


@pytest.fixture
def watched(ward: Any) -> Watched:
    """Give an empty ward and its board."""
    return Watched(ward)


def test_a_retraction_stays_on_its_patient_s_row(watched: Watched) -> None:
    """A retracted alert is shown as retracted, with its reason, hours later as well."""
    row = watched.take_back("1")
    assert row.alert is not None
    assert [(event.state, event.reason) for event in row.retracted] == [("retracted", "admission_cancelled")]
    assert row.alert == row.retracted[0]
    watched.ward.pass_time(20 + MINUTES_SHOWN)
    later = watched.row("1")
    assert later is not None
    assert later.retracted == row.retracted


def test_a_retraction_goes_when_it_has_been_shown_for_long_enough(watched: Watched) -> None:
    """After RETRACTION_SHOWN_MS of stream time it is taken off."""
    watched.take_back("1")
    watched.ward.pass_time(21 + MINUTES_SHOWN)
    row = watched.row("1")
    assert row is not None
    assert (row.alert, row.retracted) == (None, ())


def test_a_retraction_goes_when_somebody_has_seen_it(watched: Watched) -> None:
    """Acknowledged, it is gone; another alert's id changes nothing."""
    row = watched.take_back("1")
    watched.board.seen(["another"])
    assert watched.row("1") == row
    watched.board.seen([event.alert_id for event in row.retracted])
    after = watched.row("1")
    assert after is not None
    assert (after.alert, after.retracted) == (None, ())


def test_an_open_alert_stands_before_a_retraction(watched: Watched) -> None:
    """What is true now is the row's alert; the retraction stays beside it."""
    watched.take_back("1")
    watched.ward.admit("1", 30)
    watched.ward.chart("1", 40, watched.ward.SICK)
    row = watched.row("1")
    assert row is not None
    assert row.alert is not None
    assert row.alert.state == "raised"
    assert [event.state for event in row.retracted] == ["retracted"]


def test_a_patient_who_leaves_takes_the_retraction_along(watched: Watched) -> None:
    """Discharged, the patient is off the board, and back again comes without the old retraction."""
    watched.take_back("1")
    watched.ward.admit("1", 30)
    watched.ward.adt("A03", "1", 40)
    assert watched.row("1") is None
    watched.ward.adt("A13", "1", 50)
    watched.ward.chart("1", 60, watched.ward.WELL)
    row = watched.row("1")
    assert row is not None
    assert row.retracted == ()


@pytest.mark.parametrize("disposition", ["held", "shadow"])
def test_what_nobody_saw_is_not_taken_back_before_everybody(watched: Watched, disposition: Any) -> None:
    """The retraction of an alert that was only held or in shadow is not shown."""
    row = watched.take_back("1")
    watched.board.seen([row.retracted[0].alert_id])
    watched.board.take([msgspec.structs.replace(row.retracted[0], disposition=disposition)])
    again = watched.row("1")
    assert again is not None
    assert again.retracted == ()


def test_a_row_has_every_open_alert(new_ward: Any, constant_version: Any) -> None:
    """NEWS2's and the model's alert of one patient are both on the row, the graver first: each is somebody's to answer,
    and the answered one hides the other from nobody.
    """
    ward = new_ward(version=constant_version(6.0), enabled=True)
    ward.admit("1")
    ward.chart("1", 10, ward.SICK)
    (floor,), (model,) = ward.alerts("1", "news2_floor"), ward.alerts("1", "model")
    ward.enter(Acknowledgement(ward.at(12), floor["alert_id"], "nurse"), 12, "1")
    [row] = json.loads(WardView(ward.service).patients(ward.at(13)))["patients"]
    assert (row["alert"]["alert_id"], row["alert"]["state"]) == (floor["alert_id"], "acknowledged")
    assert [(one["alert_id"], one["state"]) for one in row["also"]] == [(model["alert_id"], "raised")]


def test_a_row_and_the_terminal_say_why_the_model_speaks(new_ward: Any, shipped: Any) -> None:
    """The row's alert has the reasons as the event had them, still after an answer; the terminal names the main one."""
    ward = new_ward(version=loud(shipped), enabled=True)
    board = Board(ward.service.host.shelf)
    ward.service.listen = board.take
    ward.admit("1")
    ward.chart("1", 10, ward.WELL)
    ward.chart("1", 30, {**ward.WELL, "hr": 89.0, "rr": 20.0})
    (raised, *_) = ward.alerts("1", "model")
    said = raised["explanation"]
    assert said["as_of"] == raised["received_time"]
    ward.enter(Acknowledgement(ward.at(32), raised["alert_id"], "nurse"), 32, "1")
    [row] = json.loads(WardView(ward.service).patients(ward.at(33)))["patients"]
    assert row["alert"]["state"] == "acknowledged"
    assert row["alert"]["explanation"]["reasons"]
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(render_board(board))
    shown = console.export_text()
    [main] = [one for one in row["alert"]["explanation"]["reasons"] if one["direction"] == "raises"][:1]
    brief = main["text"].partition(" (")[0] + ", raises the risk"
    assert f"{said['as_of'][11:16]} {brief}" in shown
    assert "model acknowledged" in shown


def test_who_was_admitted_is_on_the_board_before_anything_is_measured(ward: Any, watched: Watched) -> None:
    """Who lies in a bed has a row without a score, after a restart too; who is registered only, or gone, has none."""
    ward.admit("new", 1)
    ward.adt("A31", "registered", 2, location=Location())
    ward.admit("gone", 3)
    ward.adt("A03", "gone", 4)
    for board in (watched.board, Board(ward.service.host.shelf)):
        assert [(row.patient, row.score, row.location.ward) for row in board.rows()] == [
            (ward.key("new"), None, "Ward A")
        ]
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(render_board(watched.board))
    assert "nothing charted yet" in console.export_text()
    view = WardView(ward.service)
    [row] = json.loads(view.patients(ward.at(5)))["patients"]
    assert (row["patient"], row["scored_total"], row["alert"]) == (ward.key("new"), None, None)
    assert (row["news2"]["total"], row["news2"]["low"], row["news2"]["high"]) == (0, 0, 20)
    ward.chart("new", 6, ward.SICK)
    ward.admit("gone", 7)
    rows = json.loads(view.patients(ward.at(8)))["patients"]
    assert [row["patient"] for row in rows] == [ward.key("new"), ward.key("gone")]
    assert rows[0]["scored_total"] == 12
