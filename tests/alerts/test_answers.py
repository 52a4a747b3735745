"""Answers to alerts: taken, dismissed, disagreed with; none of them ends an alert or silences what comes after."""

from __future__ import annotations

from typing import Any

import pytest

from alerts.contract import AlertEvent, from_json, to_json
from events import Acknowledgement, Feedback

HOUR, MINUTE = 3_600_000, 60_000
ANSWERS = {"agree": "acknowledged", "disagree": "disagreed", "dismissed": "dismissed"}


def judged(bed: Any, alert: AlertEvent, verdict: Any, at: int) -> list[AlertEvent]:
    return bed.keep(bed.book.judge(Feedback(at, alert.alert_id, verdict, "known_baseline", "nurse"), at))


@pytest.mark.parametrize(("verdict", "reason"), ANSWERS.items())
def test_each_answer_takes_the_alert_with_its_reason(bed: Any, verdict: Any, reason: str) -> None:
    """Whoever agrees, disagrees or dismisses has answered: the event says which, by whom, with the coded reason."""
    (raised,) = bed.score(0, bed.HIGH)
    (event,) = judged(bed, raised, verdict, MINUTE)
    assert (event.state, event.reason, event.actor, event.answer_code) == (
        "acknowledged", reason, "nurse", "known_baseline",
    )  # fmt: skip
    assert bed.keep(bed.book.tick(2 * HOUR)) == []
    assert bed.book.floor.open is not None


@pytest.mark.parametrize("verdict", ANSWERS)
def test_a_rise_untakes_what_was_answered(bed: Any, verdict: Any) -> None:
    """A dismissed alert that rises is told, and escalates unanswered, as any other."""
    (raised,) = bed.score(0, bed.MEDIUM)
    judged(bed, raised, verdict, MINUTE)
    (risen,) = bed.score(HOUR, bed.HIGH)
    assert (risen.state, risen.reason, risen.disposition) == ("updated", "band_rise", "told")
    (escalated,) = bed.keep(bed.book.tick(HOUR + 15 * MINUTE))
    assert escalated.state == "escalated"


def test_a_dismissed_risk_that_rises_is_told(bed: Any) -> None:
    """Of the model's alerts too: the next rise is news, and asks for an answer."""
    (raised,) = bed.score(0, probability=0.6)
    judged(bed, raised, "dismissed", MINUTE)
    assert bed.keep(bed.book.tick(2 * HOUR)) == []
    (risen,) = bed.score(2 * HOUR, probability=0.8)
    assert (risen.reason, risen.disposition) == ("risk_risen", "told")
    assert [event.state for event in bed.keep(bed.book.tick(3 * HOUR))] == ["escalated"]


def test_the_first_answer_counts(bed: Any) -> None:
    """A second answer, of any kind, to the same news says nothing; to an alert that is none of ours neither."""
    (raised,) = bed.score(0, bed.HIGH)
    bed.keep(bed.book.acknowledge(Acknowledgement(MINUTE, raised.alert_id), MINUTE))
    assert bed.book.why_unanswerable(raised.alert_id) == "already_answered"
    assert judged(bed, raised, "dismissed", 2 * MINUTE) == []
    assert bed.book.why_unanswerable("none") == "unknown_alert"


def test_an_ended_alert_cannot_be_answered(bed: Any) -> None:
    """After its end an answer finds nothing."""
    (raised,) = bed.score(0, bed.HIGH)
    bed.keep(bed.book.discharged(MINUTE))
    assert bed.book.why_unanswerable(raised.alert_id) == "unknown_alert"
    assert judged(bed, raised, "dismissed", 2 * MINUTE) == []


def test_what_nobody_answered_is_not_put_off_by_getting_worse(bed: Any) -> None:
    """A new red parameter a minute before an escalation is due does not start its clock anew."""
    bed.score(0, bed.HIGH)
    (worse,) = bed.score(14 * MINUTE, (3, 3, 2, 0, 0, 0, 0))
    assert worse.reason == "new_red"
    assert [event.state for event in bed.keep(bed.book.tick(15 * MINUTE))] == ["escalated"]


def test_an_escalation_is_said_once_for_each_thing_told(bed: Any) -> None:
    """Time alone does not repeat it; what is told anew after it is escalated again, unanswered."""
    bed.score(0, bed.HIGH)
    assert len(bed.keep(bed.book.tick(15 * MINUTE))) == 1
    assert bed.keep(bed.book.tick(2 * HOUR)) == []
    bed.score(2 * HOUR, (3, 3, 2, 0, 0, 0, 0))
    (again,) = bed.keep(bed.book.tick(2 * HOUR + 15 * MINUTE))
    assert (again.state, again.seq) == ("escalated", 4)


def test_only_an_answer_with_a_code_has_one_in_its_json(bed: Any) -> None:
    """The field is absent where no code was given, so that all other events keep their bytes; it is read back."""
    (raised,) = bed.score(0, bed.HIGH)
    (event,) = judged(bed, raised, "dismissed", MINUTE)
    assert b"answer_code" not in to_json(raised)
    assert b'"answer_code":"known_baseline"' in to_json(event)
    read = from_json(to_json(event))
    assert (read.answer_code, to_json(read)) == ("known_baseline", to_json(event))
