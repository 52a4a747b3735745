"""Clinicians' limits on the floor: what is kept to the board, what never escalates, and what is told when one ends."""

from __future__ import annotations

from typing import Any

from alerts.book import ALERT_FIELDS, BEFORE_LIMITS, BOOK_SCHEMA_VERSION, AlertBook
from alerts.contract import AlertEvent
from events import Acknowledgement
from guardrails.limits import ClinicianLimit

HOUR, MINUTE = 3_600_000, 60_000
QUIET = {"board_only": True, "escalate_from": 10 * HOUR, "limit_reason": "end_of_life"}


def spoken(events: list[AlertEvent]) -> list[tuple[str, str, str, str]]:
    return [(event.state, event.reason, event.disposition, event.priority) for event in events]


def test_what_a_limit_keeps_to_the_board_pages_nobody(bed: Any) -> None:
    """Raised, risen and never escalated: all on the board, each naming the limit."""
    bed.score(0, bed.MEDIUM, **QUIET)
    bed.score(HOUR, bed.HIGH, **QUIET)
    assert bed.keep(bed.book.tick(9 * HOUR)) == []
    assert spoken(bed.said) == [("raised", "band_rise", "board", "board"), ("updated", "band_rise", "board", "board")]
    assert {event.limit_reason for event in bed.said} == {"end_of_life"}


def test_what_was_kept_to_the_board_is_told_when_the_limit_ends(bed: Any) -> None:
    """With the limit gone the standing emergency is told at its own priority, once, and waits for an answer."""
    bed.score(0, bed.HIGH, **QUIET)
    told = bed.score(HOUR, bed.HIGH, age=HOUR)
    assert spoken(told) == [("updated", "now_audible", "told", "interrupt")]
    assert told[0].limit_reason == ""
    assert bed.score(HOUR + MINUTE, bed.HIGH) == []
    assert spoken(bed.keep(bed.book.tick(HOUR + 15 * MINUTE)))[0][0] == "escalated"


def test_a_rise_that_was_kept_to_the_board_is_told_though_the_band_before_was_heard(bed: Any) -> None:
    """The ward heard of the lower band and answered; the higher one came under the limit: it is told and untaken."""
    (raised,) = bed.score(0, bed.MEDIUM)
    bed.keep(bed.book.acknowledge(Acknowledgement(MINUTE, raised.alert_id), MINUTE))
    bed.score(HOUR, bed.HIGH, **QUIET)
    assert spoken(bed.score(2 * HOUR, bed.HIGH)) == [("updated", "now_audible", "told", "interrupt")]
    assert bed.keep(bed.book.tick(3 * HOUR))[0].state == "escalated"


def test_what_was_kept_to_the_board_and_is_over_is_told_by_nothing(bed: Any) -> None:
    """An alert that rose and fell away under the limit is not brought up when the limit ends."""
    bed.score(0, bed.HIGH, **QUIET)
    bed.score(HOUR, bed.WELL, **QUIET)
    assert bed.score(HOUR + MINUTE, bed.WELL) == []


def test_a_correction_under_the_limit_pages_nobody(bed: Any) -> None:
    """A ground that shrinks while the limit holds is the board's."""
    bed.score(0, bed.HIGH, **QUIET)
    lower = bed.news2((3, 2, 0, 0, 0, 0, 0))
    (event,) = bed.keep(bed.book.correct_floor(MINUTE, now=lower, then=lower, changed=frozenset({3})))
    assert (event.reason, event.disposition) == ("correction", "board")


def test_nothing_escalates_before_the_limit_s_end_and_what_is_unanswered_then_does(bed: Any) -> None:
    """Told and not escalated while it lasts; at its end what nobody answered escalates."""
    bed.score(0, bed.HIGH, escalate_from=2 * HOUR)
    assert bed.said[0].disposition == "told"
    assert bed.book.next_deadline == 2 * HOUR
    assert bed.keep(bed.book.tick(2 * HOUR - 1)) == []
    assert bed.keep(bed.book.tick(2 * HOUR))[0].state == "escalated"


def test_a_withdrawn_limit_lets_what_is_due_escalate(bed: Any) -> None:
    """With the limit gone before its time the clock of then counts."""
    bed.score(0, bed.HIGH, escalate_from=20 * HOUR)
    bed.score(HOUR, bed.HIGH)
    assert bed.keep(bed.book.tick(HOUR))[0].state == "escalated"


def test_what_a_limit_made_nothing_of_waits_for_no_answer(bed: Any) -> None:
    """Totals set above a standing alert end its wait; when they end, the alert is told anew, and waits."""
    bed.score(0, bed.HIGH)
    limit = ClinicianLimit(9, 12, 6 * HOUR, tell_red=False, reason="known_baseline")
    bed.score(MINUTE, bed.HIGH, limit=limit)
    assert bed.keep(bed.book.tick(HOUR)) == []
    assert spoken(bed.score(6 * HOUR, bed.HIGH)) == [("updated", "band_rise", "told", "interrupt")]
    assert bed.keep(bed.book.tick(6 * HOUR + 15 * MINUTE))[0].state == "escalated"


def test_a_book_without_what_came_since_is_written_as_before(bed: Any) -> None:
    """With alerts open and no limit, review or interval it is of schema 2, and reads back the same."""
    bed.score(0, bed.HIGH, 0.9)
    data = bed.book.encode()
    assert data[0] == BEFORE_LIMITS
    again = AlertBook.decode(data)
    assert (again.encode(), again) == (data, bed.book)
    assert again.model.open.model_version == "v1"
    bed.book.floor.open.unheard = True
    later = bed.book.encode()
    assert later[0] == BOOK_SCHEMA_VERSION
    assert AlertBook.decode(later).floor.open.unheard
    assert len(bed.book.floor.open.__struct_fields__) > ALERT_FIELDS
