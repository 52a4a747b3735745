"""Late news in the alert book: the board at once, the ward a minute later, unless newer values superseded it."""

from __future__ import annotations

from typing import Any

import pytest

from alerts.contract import AlertEvent
from alerts.page import alerts_page
from events import Acknowledgement, Location
from guardrails.late import LATE_HELD_MS
from guardrails.limits import ClinicianLimit

HOUR, MINUTE, SECOND = 3_600_000, 60_000, 1_000
AT, AGE = 10 * HOUR, 3 * HOUR
ALL = frozenset(range(1, 8))
DUE = AT + LATE_HELD_MS
AGE_DUE = AGE + LATE_HELD_MS


def said(events: list[AlertEvent]) -> list[tuple[str, str, str, str]]:
    return [(event.state, event.reason, event.disposition, event.priority) for event in events]


@pytest.fixture
def late(bed: Any) -> Any:
    """Give a patient of whom an emergency of three hours ago has just come."""
    assert said(bed.score(AT, bed.HIGH, age=AGE)) == [("raised", "band_rise", "board", "board")]
    return bed


STANDS = [("updated", "late_stands", "told", "interrupt")]


def test_the_board_has_its_evidence_at_once(late: Any) -> None:
    """What waits is on the board with its readings, as late, and its own time to come is the deadline."""
    (event,) = late.said
    assert (event.late, event.age_ms, len(event.evidence)) == (True, AGE, 7)
    assert late.book.next_deadline == DUE


def test_what_stands_is_told_and_waits_for_an_answer_from_then(late: Any) -> None:
    """Told once at its end; a quarter of an hour after that it escalates, not after it came."""
    assert late.score(DUE - 1, late.HIGH, age=AGE_DUE - 1) == []
    assert said(late.score(DUE, late.HIGH, age=AGE_DUE)) == STANDS
    assert late.score(DUE + MINUTE, late.HIGH, age=AGE_DUE + MINUTE) == []
    assert late.keep(late.book.tick(DUE + 15 * MINUTE - 1)) == []
    assert said(late.keep(late.book.tick(DUE + 15 * MINUTE)))[0][:2] == ("escalated", "unanswered")


def test_what_newer_values_superseded_is_never_told(late: Any) -> None:
    """Normal values a second later: it stays on the board, asks nobody, and resolves there."""
    assert late.score(AT + SECOND, late.WELL, age=40 * MINUTE) == []
    assert late.score(DUE, late.WELL, age=41 * MINUTE) == []
    assert said(late.score(DUE + HOUR, late.WELL)) == [("resolved", "calm", "board", "notify")]
    assert {event.disposition for event in late.said} == {"board"}


def test_a_fall_to_a_lower_band_tells_that_one(late: Any) -> None:
    """Newer but late values of the middle band: at the end the ward is told of that band, not of the emergency."""
    assert said(late.score(AT + SECOND, late.MEDIUM, age=2 * HOUR)) == [("updated", "band_fall", "board", "board")]
    assert said(late.score(DUE, late.MEDIUM, age=2 * HOUR)) == [("updated", "late_stands", "told", "notify")]


def test_a_fresh_emergency_is_told_at_once(late: Any) -> None:
    """Fresh values that say the same within the minute interrupt then, not as late; the minute's end adds nothing."""
    (event,) = late.score(AT + SECOND, late.HIGH)
    assert said([event]) == [("updated", "band_rise", "told", "interrupt")]
    assert (event.late, event.age_ms) == (False, 0)
    assert late.score(DUE, late.HIGH, age=LATE_HELD_MS) == []


def test_a_late_rise_over_what_was_told_leaves_that_told(bed: Any) -> None:
    """In an alert told at 5 a late 7 waits; superseded by the middle band again nothing more is told."""
    bed.score(AT - HOUR, bed.MEDIUM)
    assert said(bed.score(AT, bed.HIGH, age=AGE))[0][:3] == ("updated", "band_rise", "board")
    assert {event.disposition for event in bed.score(AT + SECOND, bed.MEDIUM, age=20 * MINUTE)} == {"board"}
    assert bed.score(DUE, bed.MEDIUM, age=21 * MINUTE) == []


def test_an_answer_on_the_board_does_not_spare_the_telling(late: Any) -> None:
    """Somebody takes the board's row within the minute: what stands at its end is told all the same."""
    late.keep(late.book.acknowledge(Acknowledgement(AT, late.said[0].alert_id, "nurse"), AT + SECOND))
    assert said(late.score(DUE, late.HIGH, age=AGE_DUE)) == STANDS


def test_a_transfer_takes_what_waits_along(late: Any) -> None:
    """Moved within the minute it stays on the board, and the new ward is told at its end."""
    moved = late.keep(late.book.transferred(AT + SECOND, Location(ward="W2", bed="1")))
    assert said(moved)[0][:3] == ("updated", "transferred", "board")
    (event,) = late.score(DUE, late.HIGH, age=AGE_DUE, location=Location(ward="W2", bed="1"))
    assert (said([event]), event.ward) == (STANDS, "W2")


def test_a_patient_who_leaves_within_the_minute_ends_it_on_the_board(late: Any) -> None:
    """Discharged before anybody was told: nobody is told of the end, and no timer is left."""
    assert said(late.keep(late.book.discharged(AT + SECOND)))[0][:3] == ("expired", "discharged", "board")
    assert (late.book.idle, late.book.next_deadline) == (True, None)


def test_a_correction_within_the_minute_takes_it_back_on_the_board(late: Any) -> None:
    """Its values were wrong: retracted where it was shown, and told nobody."""
    retracted = late.book.correct_floor(AT + SECOND, now=late.news2(late.WELL), then=late.news2(late.WELL), changed=ALL)
    assert said(late.keep(retracted))[0][:3] == ("retracted", "correction", "board")


def test_a_limit_set_within_the_minute_keeps_it_until_it_ends(late: Any) -> None:
    """Kept to the board by a limit meanwhile, it is told when that ends, like all that a limit kept."""
    assert late.score(AT + SECOND, late.HIGH, age=AGE, board_only=True) == []
    assert late.score(DUE, late.HIGH, age=AGE_DUE, board_only=True) == []
    told = said(late.score(DUE + HOUR, late.HIGH, age=AGE_DUE + HOUR))
    assert told == [("updated", "now_audible", "told", "interrupt")]


def test_thresholds_above_it_leave_nothing_to_tell(late: Any) -> None:
    """By a clinician's own totals it is no emergency: at its end nothing stands."""
    limit = ClinicianLimit(expires_at=AT + 24 * HOUR, notify_at=9, interrupt_at=12, tell_red=False, reason="known")
    assert {event.disposition for event in late.score(AT + SECOND, late.HIGH, age=AGE, limit=limit)} <= {"board"}
    assert late.score(DUE, late.HIGH, age=AGE_DUE, limit=limit) == []


def test_the_kill_switch_does_not_hold_it(late: Any) -> None:
    """The switch is the model's: thrown within the minute it changes nothing."""
    assert said(late.score(DUE, late.HIGH, age=AGE_DUE, kill_switch=True)) == STANDS


def test_the_page_says_how_long_it_waits() -> None:
    """docs/alerts.md has the two times."""
    assert "older than 60 min" in alerts_page()
    assert f"told {LATE_HELD_MS // 1000} s later" in alerts_page()
