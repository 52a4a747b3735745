"""What people decide of a patient, from the log to what the ward is told: answers and reviews."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from events import Acknowledgement, Envelope, Feedback, Review
from models.likeness import Likeness, Shape
from stream.partition_fold import PartitionFold
from stream.service import EmbeddedService
from stream.view import WardView
from tests.stream.conftest import MEDIUM, acts

ALWAYS = 6.0
"""The logit of a model that always sees a deterioration coming."""


# -- answers ---------------------------------------------------------------------------------------------------------


def test_an_answer_reaches_the_alert_and_others_are_counted(night):
    """A dismissal answers and is told; a second answer and one to an unknown alert change nothing and are counted."""
    night.chart("1", 10, {**night.WELL, **MEDIUM})
    (raised,) = night.alerts("1")
    alert_id = raised["alert_id"]
    night.enter(Feedback(night.at(12), alert_id, "dismissed", "known_baseline", "nurse"), 12, "1")
    night.enter(Acknowledgement(night.at(13), alert_id, "doctor"), 13, "1")
    night.enter(Feedback(night.at(14), "no-such-alert", "disagree"), 14, "1")
    night.pass_time(120)
    assert night.story("1") == ["raised band_rise", "acknowledged dismissed"]
    assert night.alerts("1")[-1]["answer_code"] == "known_baseline"
    assert acts(night) == {"dismissed": 1, "already_answered": 1, "unknown_alert": 1}


def test_a_dismissed_alert_that_rises_is_told_and_escalates(night):
    """Worsening untakes a dismissal: the new band is told, and unanswered it escalates."""
    night.chart("1", 10, {**night.WELL, **MEDIUM})
    night.enter(Feedback(night.at(12), night.alerts("1")[0]["alert_id"], "dismissed", "artefact"), 12, "1")
    night.chart("1", 30, night.SICK)
    night.pass_time(60)
    assert night.story("1") == [
        "raised band_rise", "acknowledged dismissed", "updated band_rise", "escalated unanswered",
    ]  # fmt: skip


# -- reviews ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def unlike(constant_version: Any) -> Any:
    """Give a version that sees a deterioration in everybody, and was made on nobody like them."""
    shape = Shape(False, 100, (-1000.0,), ((1.0,),), 0.001, 0.005, 200)
    return replace(constant_version(ALWAYS), likeness=Likeness(("heart_rate.last",), (shape,)))


@pytest.fixture
def deferred(new_ward: Any, unlike: Any) -> Any:
    """Give a ward on which a score waits for a person."""
    ward = new_ward(version=unlike, enabled=True)
    ward.admit("1")
    ward.chart("1", 10, ward.WELL)
    return ward


def waits(ward: Any, minute: float) -> list[dict[str, Any]]:
    queue: list[dict[str, Any]] = json.loads(WardView(ward.service).patients(ward.at(minute)))["reviews"]
    return queue


def review(ward: Any, minute: float, decision: Any) -> str:
    """Let a doctor decide on the newest score; give its id."""
    score_id: str = ward.score("1")["score_id"]
    ward.enter(Review(ward.at(minute), score_id, decision, "doctor"), minute, "1")
    return score_id


def test_a_deferred_score_waits_where_people_look(deferred):
    """It is published as withheld by its filter, told to nobody, and stands in the queue: who, since when, and why."""
    assert deferred.alerts("1", "model") == []
    (withheld,) = [one for one in deferred.outputs("suppressed") if one["patient"] == deferred.key("1")]
    assert withheld["withheld_by"]["verdict"] == "defer"
    deferred.chart("1", 20, {**deferred.WELL, "hr": 73.0})
    (waiting,) = waits(deferred, 25)
    assert waiting["score_id"] == deferred.score("1")["score_id"]
    assert {name: waiting[name] for name in ("patient", "since", "waits_s", "filter", "reason", "detail")} == {
        "patient": deferred.key("1"), "since": "2026-01-01T00:10:00Z", "waits_s": 15 * 60,
        "filter": "out_of_distribution", "reason": "unlike", "detail": "heart_rate.last",
    }  # fmt: skip


def test_a_review_that_tells_has_the_alert_told_at_once(deferred):
    """On a person's word the patient is judged anew and the model's alert is raised, without waiting for values."""
    review(deferred, 12, "tell")
    (raised,) = deferred.alerts("1", "model")
    assert (raised["state"], raised["disposition"]) == ("raised", "told")
    assert raised["received_time"] == "2026-01-01T00:12:00Z"
    assert {"filter": "out_of_distribution", "reason": "reviewed"}.items() <= raised["verdicts"][3].items()
    assert (waits(deferred, 13), acts(deferred)) == ([], {"review_told": 1})


def test_a_review_holds_for_its_time(deferred):
    """Within it the patient's scores pass; after it they are deferred again, and wait again."""
    review(deferred, 12, "tell")
    deferred.chart("1", 60, deferred.WELL)
    assert deferred.alerts("1", "model")[-1]["indeterminate"] is False
    deferred.chart("1", 12 + 4 * 60, deferred.WELL)
    assert deferred.alerts("1", "model")[-1]["reason"] == "abstained"
    assert len(waits(deferred, 12 + 4 * 60)) == 1


def test_a_review_that_withholds_tells_nothing_and_asks_no_more(deferred):
    """What a person withheld stays silent, and the scores after it ask nobody for a while."""
    review(deferred, 12, "withhold")
    deferred.chart("1", 30, {**deferred.WELL, "hr": 74.0})
    assert (deferred.alerts("1", "model"), waits(deferred, 31)) == ([], [])
    assert acts(deferred) == {"review_withheld": 1}


def test_a_review_given_twice_counts_once(deferred):
    """The same answer again, and one that comes too late, change nothing and are counted."""
    score_id = review(deferred, 12, "tell")
    deferred.enter(Review(deferred.at(13), score_id, "withhold", "nurse"), 13, "1")
    assert deferred.story("1", "model") == ["raised risk_threshold"]
    assert acts(deferred) == {"review_told": 1, "unknown_score": 1}


@pytest.mark.parametrize("silent", ["shadow", "low"])
def test_what_would_be_silent_anyway_asks_nobody(new_ward, unlike, silent):
    """A version in shadow, or a risk below the threshold, is deferred like any; no person's time is asked for it."""
    version = replace(unlike, intercept=-ALWAYS) if silent == "low" else unlike
    ward = new_ward(version=version, enabled=silent == "low")
    ward.admit("1")
    ward.chart("1", 10, ward.WELL)
    assert ward.score("1")["verdicts"][-1]["verdict"] == "defer"
    assert waits(ward, 11) == []


def test_a_review_lasts_through_a_restart(deferred, tmp_path, unlike):
    """What waited before a restart can be decided after it."""
    score_id = deferred.score("1")["score_id"]
    deferred.service.host.checkpoint()
    deferred.service.close()
    deferred.service = EmbeddedService(tmp_path / "ward-1", deferred.release, {unlike.version: unlike})
    assert [one["score_id"] for one in waits(deferred, 12)] == [score_id]
    review(deferred, 12, "tell")
    assert deferred.story("1", "model") == ["raised risk_threshold"]


def test_a_review_of_what_does_not_wait_changes_nothing(night):
    """A review of a score that nobody deferred is counted, and nothing is said."""
    night.chart("1", 10, night.WELL)
    night.enter(Review(night.at(12), night.score("1")["score_id"], "tell", "doctor"), 12, "1")
    assert (night.story("1"), acts(night)) == ([], {"unknown_score": 1})


@pytest.mark.parametrize(
    "event",
    [Acknowledgement(0, "a-1", "n1"), Feedback(0, "a-1", "agree", "", "n1"), Review(0, "s-1", "tell", "n1", "")],
    ids=["acknowledgement", "feedback", "review"],
)
def test_an_answer_makes_no_patient(event: Any) -> None:
    """For a key that nobody has, nothing is kept nor shown: it is counted."""
    fold = PartitionFold(0, 1, {})
    assert fold.fold(Envelope("e", "f" * 32, 0, 1_000, (event,))) == []
    assert fold.pipeline.tally.acts == {"unknown_patient": 1}
    assert fold.pipeline.tally.patients == 0
    assert fold.pipeline.due(10**15) is None
