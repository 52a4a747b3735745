"""The limits that clinicians set for a patient, from the log to what the ward is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alerts.book import AlertBook
from alerts.contract import AlertEvent
from alerts.limits import LIMIT_MS_MAX, PatientLimits
from connectors.acts import codec
from connectors.decoded import Identifier
from events import Carried, Envelope, Limit, Observation, content_id
from features.state import PatientState
from features.store import MemoryStateStore
from stream.control import Control
from stream.fold import fold_record, tick
from stream.merging import join
from stream.parts import PARTS_MAX
from stream.pipeline import Pipeline
from stream.records import (
    LIMITED_SCHEMA,
    RECORD_SCHEMA,
    PatientRecord,
    RecordShelf,
    UnreadableRecordError,
    read_stored,
)
from stream.service import EmbeddedService
from stream.view import WardView
from tests.stream.conftest import MEDIUM, acts

ALWAYS = 6.0
"""The logit of a model that always sees a deterioration coming."""
DAY = 24 * 60


def decide(ward: Any, kind: Any, minute: float, until: float, mrn: str = "1", name: str = "l", **fields: Any) -> None:
    """Let a registrar set a limit; of thresholds 8 and 10 unless it is said which."""
    if kind == "thresholds":
        fields = {"notify_at": 8, "interrupt_at": 10, **fields}
    fields = {"actor": "registrar", **fields}
    ward.enter(Limit(ward.at(minute), name, kind, ward.at(until), **fields), minute, mrn)


def test_by_thresholds_the_ward_is_told_from_them_and_at_their_end_of_what_stands(night):
    """Below the totals nothing is told; at the moment the limit ends, by time alone, the standing band is."""
    decide(night, "thresholds", 5, 65, tell_red=False)
    night.chart("1", 10, {**night.WELL, **MEDIUM})
    assert night.story("1") == []
    night.pass_time(90)
    (raised,) = night.alerts("1")
    assert (raised["reason"], raised["limit_reason"], raised["late"]) == ("band_rise", "", False)
    assert raised["received_time"] == "2026-01-01T01:05:00Z"
    assert acts(night) == {"limit_set": 1}


def test_what_the_limit_lets_through_names_it(night):
    """From its totals on the ward is told, with the limit's code on the event."""
    decide(night, "thresholds", 5, DAY, reason="known_baseline")
    night.chart("1", 10, night.SICK)
    (raised,) = night.alerts("1")
    assert (raised["priority"], raised["limit_reason"]) == ("interrupt", "known_baseline")


@pytest.mark.parametrize("logit", [None, -ALWAYS])
def test_lower_thresholds_tell_more_at_once(new_ward, constant_version, logit):
    """Set beneath what stands, a limit has it told without waiting for new values, and whatever a model says."""
    ward = new_ward() if logit is None else new_ward(version=constant_version(logit), enabled=True)
    ward.admit("1")
    ward.chart("1", 10, {**ward.WELL, "rr": 22.0, "hr": 95.0})
    decide(ward, "thresholds", 12, DAY, notify_at=3, interrupt_at=7)
    (raised,) = ward.alerts("1")
    assert (raised["state"], raised["news2"]["total"], raised["limit_reason"]) == ("raised", 3, "thresholds")


def test_a_withdrawn_limit_is_no_more_at_once(night):
    """With the withdrawal what stands is told; the record that had set it, come again, changes nothing."""
    decide(night, "thresholds", 5, DAY)
    night.chart("1", 10, {**night.WELL, **MEDIUM})
    decide(night, "thresholds", 20, DAY, withdrawn=True)
    assert night.story("1") == ["raised band_rise"]
    night.enter(Limit(night.at(5), "l", "thresholds", night.at(DAY), "again", "", 8, 10), 25, "1")
    night.chart("1", 30, {**night.WELL, **MEDIUM, "temp": 36.9})
    assert night.story("1") == ["raised band_rise"]
    assert acts(night) == {"limit_set": 1, "limit_withdrawn": 1, "limit_outdated": 1}


def test_scale_2_scores_and_ends(night):
    """A saturation of 90 % is 3 points and red on scale 1, none on scale 2; when the limit ends it is told."""
    decide(night, "scale_2", 5, 65)
    night.chart("1", 10, {**night.WELL, "spo2": 90.0})
    assert (night.score("1")["news2"]["scale"], night.story("1")) == (2, [])
    night.pass_time(90)
    assert (night.score("1")["news2"]["scale"], night.story("1")) == (1, ["raised new_red"])


def test_at_the_end_of_life_the_model_is_silent_and_the_floor_is_the_board_s(new_ward, constant_version):
    """No model alert, the scope's own reason, the floor on the board and never escalated; told when the limit ends."""
    ward = new_ward(version=constant_version(ALWAYS), enabled=True)
    ward.admit("1")
    decide(ward, "end_of_life", 5, 125, reason="comfort_care")
    ward.chart("1", 10, ward.SICK)
    ward.pass_time(120)
    assert ward.alerts("1", "model") == []
    assert {"filter": "scope", "verdict": "abstain", "reason": "end_of_life"} in ward.score("1")["verdicts"]
    (raised,) = ward.alerts("1", "news2_floor")
    assert (raised["disposition"], raised["priority"], raised["limit_reason"]) == ("board", "board", "comfort_care")
    ward.pass_time(160)
    assert ward.story("1") == ["raised band_rise", "updated now_audible", "escalated unanswered"]
    assert [alert["disposition"] for alert in ward.alerts("1", "news2_floor")] == ["board", "told", "told"]
    assert ward.story("1", "model") == ["raised risk_threshold"]


class Heard:
    """Hears what a learner would."""

    def __init__(self) -> None:
        self.scores: list[int] = []
        self.events: list[str] = []

    def scored(self, patient: str, at: int, vector: list[float], *_said: object) -> None:
        """Note a score."""
        assert (patient, bool(vector)) == ("p", True)
        self.scores.append(at)

    def happened(self, envelope: Envelope) -> None:
        """Note what happened."""
        self.events += [type(event).__name__ for event in envelope.events]


def test_the_learner_hears_no_score_of_the_dying():
    """While the end of life is recorded no score becomes an example; before and after it each does."""
    heard, control = Heard(), Control({})
    pipeline = Pipeline(RecordShelf(MemoryStateStore(), control.catalogue), control, heard)
    pulse = (("loinc", "8867-4"),)

    def write(at: int, event: Any) -> None:
        pipeline.step(Envelope(content_id("e", str(at)), "p", at, at, (event,)))

    write(1_000, Observation(1, pulse, 72.0, "/min", 1_000))
    write(2_000, Limit(2_000, "l", "end_of_life", 90_000_000))
    write(3_000, Observation(2, pulse, 73.0, "/min", 3_000))
    write(4_000, Limit(4_000, "l", "end_of_life", 90_000_000, withdrawn=True))
    write(5_000, Observation(3, pulse, 74.0, "/min", 5_000))
    assert heard.scores == [1_000, 4_000, 5_000]
    assert heard.events.count("Limit") == 2


def test_a_correction_is_held_against_the_limit_in_force(night):
    """Twelve points corrected to nine are a lower band by the clinician's totals, and no longer interrupt."""
    decide(night, "thresholds", 5, DAY)
    night.chart("1", 10, night.SICK)
    night.chart("1", 12, {"rr": 16.0}, observed=9, status="C")
    assert night.story("1") == ["raised band_rise", "updated correction"]
    assert [alert["priority"] for alert in night.alerts("1")] == ["interrupt", "notify"]


def test_at_the_end_of_life_the_limit_s_own_totals_are_told(night):
    """With totals of its own the floor tells by them, and still nothing escalates."""
    decide(night, "end_of_life", 5, DAY, notify_at=9, interrupt_at=12)
    night.chart("1", 10, {**night.WELL, **MEDIUM})
    night.chart("1", 20, night.SICK)
    night.pass_time(120)
    assert night.story("1") == ["raised band_rise"]
    assert night.alerts("1")[0]["disposition"] == "told"


def test_not_for_escalation_is_told_and_not_escalated(night):
    """The alert is told as ever; unanswered it stays so while the limit lasts, and escalates when it is withdrawn."""
    decide(night, "not_for_escalation", 5, DAY)
    night.chart("1", 10, night.SICK)
    night.pass_time(120)
    assert night.story("1") == ["raised band_rise"]
    decide(night, "not_for_escalation", 130, DAY, withdrawn=True)
    night.pass_time(132)
    assert night.story("1") == ["raised band_rise", "escalated unanswered"]


def test_in_pregnancy_news2_does_not_apply_and_that_is_said(night):
    """What was told is taken back, each score says why there is nothing, and after the limit the floor speaks again."""
    night.chart("1", 10, night.SICK)
    decide(night, "pregnancy", 12, 65)
    assert night.story("1") == ["raised band_rise", "retracted not_applicable"]
    assert night.score("1")["verdicts"][0] == {"filter": "news2_floor", "verdict": "abstain", "reason": "pregnancy"}
    night.pass_time(90)
    assert night.story("1")[2:] == ["raised band_rise", "escalated unanswered"]


@pytest.mark.parametrize(
    ("changes", "counted"),
    [
        ({"notify_at": 9, "interrupt_at": 7}, "bad_thresholds"),
        ({"until": 5}, "limit_over"),
        ({"until": 92 * DAY}, "limit_too_long"),
        ({"withdrawn": True}, "unknown_limit"),
    ],
)
def test_what_is_no_limit_changes_nothing_and_is_counted(night, changes, counted):
    """A malformed, ended, endless or unknown limit leaves the floor as it is."""
    decide(night, "thresholds", 5, **{"until": DAY, **changes})
    night.chart("1", 10, {**night.WELL, **MEDIUM})
    assert (night.story("1"), acts(night)) == (["raised band_rise"], {counted: 1})


def unheeded(ward: Any) -> list[dict[str, Any]]:
    return [one for one in ward.outputs("dead_letters") if one["reason"] == "unheeded"]


def test_a_limit_that_a_later_decision_stands_above_is_put_out_with_why(night):
    """Who set it, and which, can be told that it was ignored: it is a dead letter, and counted; what stands stays."""
    decide(night, "thresholds", 5, DAY, notify_at=4, interrupt_at=7)
    night.enter(Limit(night.at(4), "l", "thresholds", night.at(DAY), "doctor-7", "", 15, 18), 10, "1")
    decide(night, "scale_2", 11, DAY, name="gone", withdrawn=True)
    assert [
        {name: one[name] for name in ("patient", "received_time", "actor", "limit", "limit_id", "fault")}
        for one in unheeded(night)
    ] == [
        {
            "patient": night.key("1"), "received_time": "2026-01-01T00:10:00Z", "actor": "doctor-7",
            "limit": "thresholds", "limit_id": "l", "fault": "limit_outdated",
        },
        {
            "patient": night.key("1"), "received_time": "2026-01-01T00:11:00Z", "actor": "registrar",
            "limit": "scale_2", "limit_id": "gone", "fault": "unknown_limit",
        },
    ]  # fmt: skip
    night.chart("1", 20, {**night.WELL, **MEDIUM})
    assert night.story("1") == ["raised band_rise"]


def test_a_limit_that_comes_again_is_no_dead_letter(night):
    """What it asks for is so: a record that is entered twice, and a withdrawal said twice, are counted alone."""
    decide(night, "scale_2", 5, DAY)
    again = Limit(night.at(5), "l", "scale_2", night.at(DAY), "registrar")
    night.service.host.enter([Envelope("again", night.key("1"), night.at(6), night.at(6), (again,))])
    decide(night, "scale_2", 12, DAY, withdrawn=True)
    decide(night, "scale_2", 13, DAY, withdrawn=True)
    assert unheeded(night) == []
    assert acts(night) == {"limit_set": 1, "limit_repeated": 2, "limit_withdrawn": 1}


def test_in_pregnancy_the_model_is_silent_too(new_ward, constant_version):
    """No version we ship is meant for it: the scope abstains by its own reason."""
    ward = new_ward(version=constant_version(ALWAYS), enabled=True)
    ward.admit("1")
    decide(ward, "pregnancy", 5, DAY)
    ward.chart("1", 10, ward.SICK)
    assert ward.alerts("1") == []
    assert {"filter": "scope", "verdict": "abstain", "reason": "pregnancy"} in ward.score("1")["verdicts"]


def test_the_fold_keeps_what_the_door_lets_in():
    """Both know one longest time of a limit; the fold allows the clocks to differ."""
    assert codec.LIMIT_MS_MAX == LIMIT_MS_MAX


def test_limits_last_through_a_restart_and_fire_after_it(night, tmp_path):
    """What was set before a restart holds after it, and ends on time; the log folded anew says the same."""
    decide(night, "thresholds", 5, 65, tell_red=False)
    night.chart("1", 10, {**night.WELL, **MEDIUM})
    night.service.host.checkpoint()
    night.service.close()
    night.service = EmbeddedService(tmp_path / "ward-1", night.release, {})
    night.pass_time(60)
    assert night.story("1") == []
    night.pass_time(70)
    assert night.story("1") == ["raised band_rise"]
    digest = night.service.digest()
    night.service.close()
    (tmp_path / "ward-1" / "state.db").unlink()
    night.service = EmbeddedService(tmp_path / "ward-1", night.release, {})
    assert night.service.digest() == digest


def test_a_patient_who_comes_back_finds_the_limit_that_still_lasts(night):
    """Discharged for three days and admitted again, the totals a clinician set still hold."""
    decide(night, "thresholds", 5, 10 * DAY, tell_red=False)
    night.chart("1", 10, night.WELL)
    night.adt("A03", "1", 20)
    for day in range(1, 4):
        night.pass_time(day * DAY)
    night.admit("1", 3 * DAY + 10)
    night.chart("1", 3 * DAY + 20, {**night.WELL, **MEDIUM})
    assert night.story("1") == []


def test_a_record_of_a_discharged_patient_goes_when_its_last_limit_has_ended(night):
    """Nothing is kept for ever for a limit's sake."""
    decide(night, "thresholds", 5, 3 * DAY)
    night.adt("A03", "1", 20)
    for hour in range(1, 80):
        night.pass_time(hour * 60)
    assert night.service.host.shelf.find(night.key("1")) is None


def test_limits_follow_a_merge_and_an_unmerge_gives_them_back(night):
    """The survivor is told by the retired patient's totals, and is told by RCP's again once they are parted."""
    night.admit("2", 1)
    decide(night, "thresholds", 5, DAY, "2", tell_red=False)
    night.chart("1", 10, {**night.WELL, **MEDIUM})
    night.chart("2", 11, {**night.WELL, **MEDIUM})
    assert night.story("1") == ["raised band_rise"]
    night.adt("A40", "1", 20, retired=Identifier("MRN", "2"))
    decide(night, "not_for_escalation", 22, DAY, "1", "n")
    shelf = night.service.host.shelf
    both = shelf.find(night.key("1")).limits
    assert [(one.kind, one.source) for one in both.kept] == [
        ("thresholds", night.key("2")), ("not_for_escalation", ""),
    ]  # fmt: skip
    night.adt("A37", "1", 30, other=Identifier("MRN", "2"))
    assert [one.kind for one in shelf.find(night.key("1")).limits.kept] == ["not_for_escalation"]
    assert [(one.kind, one.source) for one in shelf.find(night.key("2")).limits.kept] == [("thresholds", "")]
    night.chart("2", 40, {**night.WELL, **MEDIUM})
    assert night.story("2") == []


def test_limits_are_carried_into_a_log_that_is_begun_anew(night):
    """In the log of another partition count the limit holds, and at its end what stands is told."""
    decide(night, "thresholds", 5, 65, tell_red=False)
    night.chart("1", 10, {**night.WELL, **MEDIUM})
    key, control = night.key("1"), Control({})
    carried = Carried(night.at(20), night.service.host.shelf.find(key).encode())
    pipeline = Pipeline(RecordShelf(MemoryStateStore(), control.catalogue), control)
    pipeline.step(Envelope("c", key, night.at(20), night.at(20), (carried,)))
    assert [effect for effect in fold_record(pipeline, tick(night.at(64))) if type(effect) is AlertEvent] == []
    told = [effect for effect in fold_record(pipeline, tick(night.at(65))) if type(effect) is AlertEvent]
    assert [(one.state, one.reason, one.patient) for one in told] == [("raised", "band_rise", key)]


def test_a_limit_of_a_part_joined_for_good_stays_with_what_it_was_joined_with():
    """Past the most that is kept apart, the longest joined part's limit is the record's own, and lasts."""
    record = PatientRecord(PatientState(), AlertBook(), heard=1)
    for number in range(PARTS_MAX + 1):
        retired = PatientRecord(PatientState(), AlertBook(), heard=1)
        retired.limits = PatientLimits()
        retired.limits.take(Limit(1, f"l{number}", "scale_2", 1_000), 1)
        join(record, f"k{number}", retired, on_second=False)
    sources = {one.limit_id: one.source for one in record.limits.kept}
    assert (sources["l0"], sources["l1"], len(sources)) == ("", "k1", PARTS_MAX + 1)


def test_a_record_is_of_schema_3_only_where_it_has_limits(night):
    """All others keep their bytes; damage to what limits left is found."""
    night.chart("1", 10, night.WELL)
    record = night.service.host.shelf.find(night.key("1"))
    assert read_stored(record.encode()).schema == RECORD_SCHEMA
    decide(night, "scale_2", 12, DAY)
    data = record.encode()
    assert read_stored(data).schema == LIMITED_SCHEMA
    again = PatientRecord.decode(data, night.service.host.pipeline.control.catalogue)
    assert (again.encode(), again.limits.kept) == (data, record.limits.kept)
    at = data.index(b"registrar")
    with pytest.raises(UnreadableRecordError):
        read_stored(data[:at] + b"R" + data[at + 1 :])


def test_the_board_shows_every_limit_in_force(night):
    """Which limit, by whom, why and until when, with its totals; and no more once it has ended."""
    night.chart("1", 10, night.WELL)
    decide(night, "thresholds", 12, 60, reason="known_baseline", tell_red=False)
    decide(night, "scale_2", 13, 90, name="s")
    rows = json.loads(WardView(night.service).patients(night.at(20)))["patients"]
    assert rows[0]["limits"] == [
        {
            "limit_id": "l", "kind": "thresholds", "reason": "known_baseline", "by": "registrar",
            "since": "2026-01-01T00:12:00Z", "until": "2026-01-01T01:00:00Z",
            "notify_at": 8, "interrupt_at": 10, "tell_red": False,
        },
        {
            "limit_id": "s", "kind": "scale_2", "reason": "", "by": "registrar",
            "since": "2026-01-01T00:13:00Z", "until": "2026-01-01T01:30:00Z",
        },
    ]  # fmt: skip
    assert (rows[0]["news2"]["scale"], rows[0]["review"]) == (2, None)
    rows = json.loads(WardView(night.service).patients(night.at(60)))["patients"]
    assert [one["kind"] for one in rows[0]["limits"]] == ["scale_2"]
