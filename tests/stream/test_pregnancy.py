"""What a feed says of a pregnancy, from the message to what the ward is told."""

from __future__ import annotations

import json

import pytest

from connectors.hl7v2.render import Result, render_time
from connectors.hl7v2.settings import Hl7Settings
from events import Limit, Location
from features.pregnancy import HOLDS_MS
from stream.settings import Settings
from stream.view import WardView

MINUTE = 60_000
WEEK = HOLDS_MS // MINUTE
CHOSEN = Settings(hl7=Hl7Settings(pregnancy_from_visits=True))
"""Of a site that declares that its B6 means a pregnancy."""
ABSTAINS = {"filter": "news2_floor", "verdict": "abstain", "reason": "pregnancy"}
ALWAYS = 6.0
"""The logit of a model that always sees a deterioration coming."""


@pytest.fixture
def night(new_ward):
    """Give a ward of a site that chose PV1-15, with one admitted woman."""
    ward = new_ward(settings=CHOSEN)
    ward.admit("1", birth_date="1994-05-05", sex="female")
    return ward


def status(ward, code, minute, mrn="1", trigger="A08"):
    """Let the patient system say PV1-15."""
    at = ward.at(minute)
    data = (
        f"MSH|^~\\&|PAS|MAIN|||{render_time(at)}||ADT^{trigger}|S{minute}{code.strip(chr(34))}|P|2.5.1\r"
        f"EVN|{trigger}|{render_time(at)}||||{render_time(at)}\rPID|1||{mrn}^^^MRN^MR\r"
        f"PV1|1|I|Ward A^1^12{'|' * 12}{code}||||VISIT-{mrn}\r"
    )
    return ward.send(data.encode(), minute)


def on_the_board(ward, minute):
    """Give the woman's row."""
    view = WardView(ward.service)
    [row] = [row for row in json.loads(view.patients(ward.at(minute)))["patients"] if row["patient"] == ward.key("1")]
    return row


def test_unless_a_site_chose_it_the_status_says_nothing(ward):
    """Whom B6 silences by mistake deteriorates untold: by default it takes nothing back and keeps nothing."""
    ward.admit("1", birth_date="1994-05-05", sex="female")
    ward.chart("1", 10, ward.SICK)
    status(ward, "B6", 12)
    ward.chart("1", 20, ward.SICK)
    assert ward.story("1") == ["raised band_rise"]
    assert ABSTAINS not in ward.score("1")["verdicts"]


def test_the_board_says_what_was_taken_back_and_why(night):
    """Who looks sees that the alert is gone as NEWS2 does not apply, and that it is for a pregnancy."""
    night.chart("1", 10, night.SICK)
    status(night, "B6", 12)
    row = on_the_board(night, 12)
    assert [(one["trigger"], one["reason"]) for one in row["retracted"]] == [("news2_floor", "not_applicable")]
    assert (row["alert"]["state"], row["alert"]["reason"]) == ("retracted", "not_applicable")
    assert [one["reason"] for one in row["held_back"]] == ["pregnancy"]


def test_the_board_says_so_where_the_model_has_too_little_to_go_by_as_well(night):
    """What stops the chain first must not hide why the floor is silent."""
    night.chart("1", 10, {"rr": 28.0, "spo2": 88.0})
    status(night, "B6", 12)
    assert [one["reason"] for one in on_the_board(night, 12)["held_back"]] == ["pregnancy", "too_little_fresh_evidence"]


def test_what_was_open_is_taken_back_and_each_score_says_why(night):
    """As with a clinician's limit: retracted, the verdict by the same reason, and no alert while it holds."""
    night.chart("1", 10, night.SICK)
    status(night, "B6", 12)
    assert night.story("1") == ["raised band_rise", "retracted not_applicable"]
    night.chart("1", 20, night.SICK)
    assert night.score("1")["verdicts"][0] == ABSTAINS
    assert night.story("1") == ["raised band_rise", "retracted not_applicable"]


def test_taken_back_the_floor_tells_what_stands_at_once(night):
    """Nobody waits for the next observations."""
    status(night, "B6", 5)
    night.chart("1", 10, night.SICK)
    assert night.story("1") == []
    status(night, '""', 12)
    assert night.story("1") == ["raised band_rise"]


def test_repeated_it_changes_nothing(night):
    """A feed that says it with each message makes no score of each."""
    status(night, "B6", 5)
    night.chart("1", 10, night.SICK)
    scores = len(night.outputs("scores"))
    status(night, "B6", 12)
    status(night, "B6", 14)
    assert len(night.outputs("scores")) == scores


def test_after_a_week_unsaid_the_floor_speaks_by_itself(night):
    """It is never silence for ever: what stands when the week is over is told by the clock alone."""
    status(night, "B6", 5)
    night.chart("1", WEEK - 60, night.SICK)
    night.pass_time(WEEK + 4)
    assert night.story("1") == []
    night.pass_time(WEEK + 7)
    assert night.story("1")[0] == "raised band_rise"
    [raised] = [one for one in night.alerts("1") if one["state"] == "raised"]
    assert raised["received_time"] == "2026-01-08T00:05:00Z"


def test_lapsed_it_is_judged_once(night):
    """A well patient is scored once as the statement lapses, and not with each tick after it."""
    status(night, "B6", 5)
    night.chart("1", 10, night.WELL)
    scores = len([one for one in night.outputs("scores") if one["patient"] == night.key("1")])
    for minute in (WEEK + 7, WEEK + 8, WEEK + 90, WEEK + 9_000):
        night.pass_time(minute)
    assert len([one for one in night.outputs("scores") if one["patient"] == night.key("1")]) == scores + 1


def test_the_next_stay_begins_without_it(night):
    """Discharged and admitted again, she is told of like anybody until it is said anew."""
    status(night, "B6", 5)
    night.adt("A03", "1", 20)
    night.adt("A01", "1", 90, encounter="V2", birth_date="1994-05-05", sex="female")
    night.chart("1", 100, night.SICK)
    assert night.story("1") == ["raised band_rise"]


def test_an_admission_told_late_brings_the_last_stays_word_into_no_other(night):
    """Of a feed that names no visit, the resent admission of the last stay dates this one back: no more than that."""
    night.adt("A01", "1", 1, encounter="")
    status(night, "B6", 5)
    night.adt("A03", "1", 20)
    night.adt("A01", "1", 90, encounter="")
    night.adt("A01", "1", 95, encounter="", event_minute=1)
    night.chart("1", 100, night.SICK)
    assert night.story("1") == ["raised band_rise"]


def test_an_admission_that_is_taken_back_brings_the_last_stays_word_not_back(night):
    """Admitted again by a slip, and charted all the same: she is told of, as after the discharge."""
    status(night, "B6", 5)
    night.adt("A03", "1", 20)
    night.adt("A01", "1", 90, encounter="V2")
    night.adt("A11", "1", 95, encounter="V2")
    night.chart("1", 100, night.SICK)
    assert night.story("1") == ["raised band_rise"]


@pytest.mark.parametrize("limit", [{"kind": "thresholds", "notify_at": 5, "interrupt_at": 7}, {"kind": "end_of_life"}])
def test_a_clinicians_word_on_the_floor_outranks_it(night, limit):
    """Totals that a clinician set, or the end of life, are the floor's law; no feed silences it after that."""
    status(night, "B6", 5)
    night.enter(Limit(night.at(6), "l", expires_at=night.at(600), actor="registrar", **limit), 6, "1")
    night.chart("1", 10, night.SICK)
    assert night.story("1") == ["raised band_rise"]
    assert ABSTAINS not in night.score("1")["verdicts"]


def test_a_clinicians_limit_holds_whatever_the_feed_says(night):
    """A feed that denies a pregnancy does not end what a clinician recorded."""
    night.enter(Limit(night.at(4), "l", "pregnancy", night.at(600), actor="registrar"), 4, "1")
    status(night, '""', 5)
    night.chart("1", 10, night.SICK)
    assert night.story("1") == []
    assert night.score("1")["verdicts"][0] == ABSTAINS


def test_the_model_is_silent_too(new_ward, constant_version):
    """No version we ship is meant for it, whoever said so."""
    ward = new_ward(settings=CHOSEN, version=constant_version(ALWAYS), enabled=True)
    ward.admit("1", birth_date="1994-05-05", sex="female")
    status(ward, "B6", 5)
    ward.chart("1", 10, ward.SICK)
    assert ward.alerts("1") == []
    assert {"filter": "scope", "verdict": "abstain", "reason": "pregnancy"} in ward.score("1")["verdicts"]


def test_a_man_is_told_of(new_ward):
    """A slip of the patient system silences nobody's floor."""
    ward = new_ward(settings=CHOSEN)
    ward.admit("1", sex="male")
    status(ward, "B6", 5)
    ward.chart("1", 10, ward.SICK)
    assert ward.story("1") == ["raised band_rise"]


def test_charted_and_denied_by_the_chart(ward):
    """The observation does what the status does, and its denial what the status's does: no setting is needed."""
    ward.admit("1", birth_date="1994-05-05", sex="female")
    ward.results("1", 5, [Result("82810-3", value=("loinc", "LA15173-0"))], observed=4)
    ward.chart("1", 10, ward.SICK)
    assert ward.story("1") == []
    ward.results("1", 12, [Result("82810-3", value=("snomed", "60001007"))], observed=11)
    assert ward.story("1") == ["raised band_rise"]


def test_a_swap_says_it_of_the_one_whose_visit_it_is(night):
    """In an A17 each PV1-15 is of its own patient."""
    night.admit("2", 1, birth_date="1990-01-01", sex="female", location=Location("Ward A", "1", "13"))
    night.send(
        b"MSH|^~\\&|PAS|MAIN|||20260101000500||ADT^A17|SWAP|P|2.5.1\rEVN|A17|20260101000500\r"
        b"PID|1||1^^^MRN^MR\rPV1|1|I|Ward A^1^13" + b"|" * 12 + b"B6\rPID|2||2^^^MRN^MR\rPV1|2|I|Ward A^1^12\r",
        5,
    )
    for mrn in ("1", "2"):
        night.chart(mrn, 10, night.SICK)
    assert (night.story("1"), night.story("2")) == ([], ["raised band_rise"])


@pytest.mark.parametrize("after_s", [1, 15, 29])
def test_what_is_heard_in_the_minute_it_lapses_in_keeps_nothing_from_the_ward(ward, after_s):
    """A message that charts nothing, between the end of the statement and the tick that would tell it."""
    ward.admit("1", birth_date="1994-05-05", sex="female")
    ward.results("1", 5.5, [Result("82810-3", value=("loinc", "LA15173-0"))], observed=4.5)
    ward.chart("1", WEEK - 60, ward.SICK)
    ward.adt("A08", "1", WEEK + 4.5 + after_s / 60)
    for minute in (WEEK + 6, WEEK + 7, WEEK + 90):
        ward.pass_time(minute)
    assert ward.story("1")[:1] == ["raised band_rise"]
    assert ward.story("1").count("raised band_rise") == 1


@pytest.mark.parametrize("how", ["another stay", "a man"])
def test_what_ends_it_tells_at_once_what_stands(night, how):
    """A stay that begins, or the sex put right, ends the statement: nobody waits for the next observations."""
    status(night, "B6", 5)
    night.chart("1", 10, night.SICK)
    assert night.story("1") == []
    if how == "a man":
        night.adt("A08", "1", 20, sex="male")
    else:
        night.adt("A01", "1", 20, encounter="V2", birth_date="1994-05-05", sex="female")
    assert night.story("1") == ["raised band_rise"]
