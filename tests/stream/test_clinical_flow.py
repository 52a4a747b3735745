"""Stories of patients, told in HL7 v2 bytes: what a ward is told, what it is not, and what is taken back."""

from __future__ import annotations

import pytest

from connectors.decoded import Identifier
from connectors.hl7v2.render import Result
from events import Acknowledgement

HALF_DAY = 12 * 60


def test_a_corrected_value_that_removes_the_ground_retracts(ward):
    """A correction (OBX-11 C) after which nothing was wrong takes the alert back, and nothing is raised anew."""
    ward.admit("1")
    ward.chart("1", 10, {**ward.WELL, "rr": 40.0})
    assert ward.story("1") == ["raised new_red"]
    ward.chart("1", 20, {"rr": 14.0}, observed=9, status="C")
    assert ward.story("1") == ["raised new_red", "retracted correction"]
    assert ward.score("1")["news2"]["total"] == 0


def test_a_withdrawn_value_that_was_the_ground_retracts(ward):
    """A withdrawal (OBX-11 W) of the only red value takes the alert back."""
    ward.admit("1")
    ward.chart("1", 10, {**ward.WELL, "rr": 40.0})
    ward.chart("1", 20, {"rr": None}, observed=9, status="W")
    assert ward.story("1")[:2] == ["raised new_red", "retracted correction"]
    assert "respiration_rate" in ward.score("1")["news2"]["missing"]


def test_a_correction_that_leaves_the_ground_leaves_the_alert(ward):
    """A correction from one emergency value to another retracts nothing."""
    ward.admit("1")
    ward.chart("1", 10, ward.SICK)
    ward.chart("1", 20, {"rr": 30.0}, observed=9, status="C")
    assert ward.story("1") == ["raised band_rise"]


def test_a_correction_that_lowers_the_ground_is_told(ward):
    """A correction after which less was wrong keeps the alert open, at the lower rank, and says so."""
    ward.admit("1")
    ward.chart("1", 10, ward.SICK)
    ward.chart("1", 20, {"spo2": 98.0, "sbp": 128.0, "hr": 72.0}, observed=9, status="C")
    assert ward.story("1")[:2] == ["raised band_rise", "updated correction"]
    assert ward.alerts("1")[1]["priority"] == "notify"


def test_an_unrelated_correction_takes_nothing_back(ward):
    """A corrected sodium does not retract an alert whose own values nobody corrected, whatever was charted late."""
    ward.admit("1")
    ward.chart("1", 10, {**ward.SICK, "sodium": 140.0}, observed=5)
    ward.chart("1", 12, ward.WELL, observed=7)
    ward.chart("1", 20, {"sodium": 141.0}, observed=5, status="C")
    assert not [said for said in ward.story("1") if said.startswith("retracted")]


def test_a_cancelled_admission_retracts(ward):
    """A11 takes back the alert of a stay that never was."""
    ward.admit("1")
    ward.chart("1", 10, ward.SICK)
    ward.adt("A11", "1", 20)
    assert ward.story("1") == ["raised band_rise", "retracted admission_cancelled"]


def test_a_discharge_ends_the_alert(ward):
    """A03 ends the open alert as expired, not as resolved."""
    ward.admit("1")
    ward.chart("1", 10, ward.SICK)
    ward.adt("A03", "1", 20)
    assert ward.story("1") == ["raised band_rise", "expired discharged"]


def test_readings_of_after_a_discharge_are_told(ward):
    """Vital signs true of a time after A03 show that somebody lies there: a discharge sent in error silences nobody."""
    ward.admit("1")
    ward.chart("1", 10, ward.WELL)
    ward.adt("A03", "1", 20)
    ward.chart("1", 40, ward.SICK)
    assert ward.story("1") == ["raised band_rise"]


def test_a_death_ends_the_alert_as_one(ward):
    """A03 with a deceased disposition ends the alert for that reason."""
    ward.admit("1")
    ward.chart("1", 10, ward.SICK)
    ward.adt("A03", "1", 20, disposition="20")
    assert ward.story("1") == ["raised band_rise", "expired deceased"]


def test_a_transfer_moves_the_open_alert(ward):
    """A02 tells the open alert at the new ward, and a cancelled one (A12) brings it back."""
    ward.admit("1")
    ward.chart("1", 10, ward.SICK)
    ward.adt("A02", "1", 12, ward="Ward B")
    ward.adt("A12", "1", 14, ward="Ward A")
    assert ward.story("1") == ["raised band_rise", "updated transferred", "updated transferred"]
    assert [alert["ward"] for alert in ward.alerts("1")] == ["Ward A", "Ward B", "Ward A"]


def test_a_cancelled_discharge_restores_scoring(ward):
    """After A13 a sick patient is told of again, in the same episode."""
    ward.admit("1")
    ward.chart("1", 10, ward.SICK)
    ward.adt("A03", "1", 20)
    ward.adt("A13", "1", 30)
    ward.chart("1", 40, ward.SICK)
    assert ward.story("1") == ["raised band_rise", "expired discharged", "raised band_rise"]
    first, *_, last = ward.alerts("1")
    assert first["episode_id"] == last["episode_id"]
    assert first["alert_id"] != last["alert_id"]


def test_a_corrected_birth_date_speaks_at_once(ward):
    """A patient taken for a child, whose A08 says otherwise, is told of then and there."""
    ward.admit("1", birth_date="2020-01-01")
    ward.chart("1", 10, ward.SICK)
    assert ward.story("1") == []
    ward.adt("A08", "1", 20, birth_date="1950-01-01")
    assert ward.story("1") == ["raised band_rise"]


def test_a_death_told_by_an_update_ends_the_alert(ward):
    """A08 with PID-30 ends the open alert at once, for that reason."""
    ward.admit("1")
    ward.chart("1", 10, ward.SICK)
    ward.adt("A08", "1", 20, deceased=True)
    assert ward.story("1") == ["raised band_rise", "expired deceased"]


def test_a_cancelled_discharge_of_a_sick_patient_speaks_at_once(ward):
    """A13 itself raises what still stands: nobody waits for the next observations."""
    ward.admit("1")
    ward.chart("1", 10, ward.SICK)
    ward.adt("A03", "1", 20)
    ward.adt("A13", "1", 30)
    assert ward.story("1") == ["raised band_rise", "expired discharged", "raised band_rise"]


def test_a_merge_keeps_the_readings_and_retracts_the_retired_alert(ward):
    """After A40 the retired patient's alert is taken back and stands anew under the survivor, on the same readings."""
    ward.admit("old")
    ward.admit("new", 1)
    ward.chart("old", 10, ward.SICK)
    ward.adt("A40", "new", 20, retired=Identifier("MRN", "old"))
    assert ward.story("old") == ["raised band_rise", "retracted merge"]
    assert ward.story("new") == ["raised band_rise"]
    [raised] = ward.alerts("new")
    assert {item["message_id"] for item in raised["evidence"]} == {"C3"}


def test_later_messages_of_the_retired_number_go_to_the_survivor(ward):
    """After A40, charting under the retired number scores the survivor, and only the survivor."""
    ward.admit("old")
    ward.admit("new", 1)
    ward.chart("old", 10, ward.WELL)
    ward.adt("A40", "new", 20, retired=Identifier("MRN", "old"))
    ward.chart("old", 30, ward.SICK)
    assert ward.story("old") == []
    assert ward.story("new") == ["raised band_rise"]


def test_a_repeated_and_an_inverse_merge_change_nothing(ward):
    """The same A40 again, and one the other way round, leave one patient with one open alert."""
    ward.admit("old")
    ward.admit("new", 1)
    ward.adt("A40", "new", 5, retired=Identifier("MRN", "old"))
    ward.chart("old", 10, ward.SICK)
    ward.adt("A40", "new", 12, retired=Identifier("MRN", "old"))
    ward.adt("A40", "old", 14, retired=Identifier("MRN", "new"))
    ward.chart("new", 16, ward.SICK)
    assert ward.story("new") == ["raised band_rise"]
    assert ward.story("old") == []


def test_late_charting_of_an_old_normal_set_resolves_nothing(ward):
    """Normal values from before the emergency, charted after it, neither resolve nor repeat the alert."""
    ward.admit("1")
    ward.chart("1", 60, ward.SICK, observed=59)
    for minute, observed in ((70, 5), (80, 15), (110, 50)):
        ward.chart("1", minute, ward.WELL, observed=observed)
    assert [said for said in ward.story("1") if not said.startswith("escalated")] == ["raised band_rise"]
    assert ward.score("1")["news2"]["total"] == 12


def test_a_late_emergency_with_nothing_newer_is_told_as_late(ward):
    """Emergency values charted three hours after they were taken interrupt a minute later, as late, with their age."""
    ward.admit("1")
    ward.chart("1", 200, ward.SICK, observed=20)
    [raised] = ward.alerts("1")
    assert (raised["state"], raised["priority"], raised["disposition"]) == ("raised", "board", "board")
    assert (raised["late"], raised["age_ms"]) == (True, 180 * 60_000)
    ward.pass_time(202)
    [_, told] = ward.alerts("1")
    assert (told["reason"], told["priority"], told["disposition"]) == ("late_stands", "interrupt", "told")
    assert (told["late"], told["age_ms"]) == (True, 181 * 60_000)


def test_a_superseded_emergency_pages_nobody(ward):
    """Emergency values charted late, after normal ones that are newer, tell the ward nothing."""
    ward.admit("1")
    ward.chart("1", 190, ward.WELL, observed=189)
    ward.chart("1", 200, ward.SICK, observed=20)
    assert ward.story("1") == []


def test_recovery_resolves_once_it_has_lasted(ward):
    """One normal set resolves nothing; a second one, half an hour on, does."""
    ward.admit("1")
    ward.chart("1", 10, ward.SICK)
    ward.enter(Acknowledgement(ward.at(11), ward.alerts("1")[0]["alert_id"], "nurse"), 11, "1")
    ward.chart("1", 30, ward.WELL)
    assert ward.story("1")[-1] != "resolved calm"
    ward.chart("1", 65, ward.WELL)
    assert ward.story("1")[-1] == "resolved calm"


def test_silence_of_twelve_hours_is_told_and_never_resolves(ward):
    """Inputs that expire are told as lost when time alone passes; the alert then expires, unresolved."""
    ward.admit("1")
    ward.chart("1", 10, ward.SICK, observed=5)
    ward.pass_time(6 + HALF_DAY)
    assert ward.story("1")[-1] == "updated input_expired"
    assert set(ward.alerts("1")[-1]["news2"]["missing"]) >= {"respiration_rate", "spo2", "pulse", "systolic_bp"}
    ward.pass_time(90 + HALF_DAY)
    states = [alert["state"] for alert in ward.alerts("1")]
    assert "resolved" not in states
    assert ward.story("1")[-1] == "expired no_fresh_evidence"


def test_an_unanswered_emergency_escalates_after_a_quarter_of_an_hour(ward):
    """Time alone escalates what nobody answered, at 15 minutes, once."""
    ward.admit("1")
    ward.chart("1", 10, ward.SICK)
    ward.pass_time(24)
    assert ward.story("1") == ["raised band_rise"]
    ward.pass_time(40)
    ward.pass_time(60)
    assert ward.story("1") == ["raised band_rise", "escalated unanswered"]
    assert ward.alerts("1")[-1]["received_time"] == "2026-01-01T00:25:00Z"


def test_what_time_alone_says_names_the_same_visit(ward):
    """Escalation and expiry carry the encounter of the alert they speak of."""
    ward.admit("1")
    ward.chart("1", 10, ward.SICK)
    ward.pass_time(40)
    ward.pass_time(2 * HALF_DAY)
    alerts = ward.alerts("1")
    assert [alert["state"] for alert in alerts] == ["raised", "escalated", "updated", "expired"]
    assert len({alert["encounter"] for alert in alerts}) == 1
    assert alerts[0]["encounter"]


def test_an_acknowledged_emergency_does_not_escalate(ward):
    """What somebody took is not escalated; taking it twice says nothing more."""
    ward.admit("1")
    ward.chart("1", 10, ward.SICK)
    taken = ward.alerts("1")[0]["alert_id"]
    ward.enter(Acknowledgement(ward.at(12), taken, "nurse"), 12, "1")
    ward.enter(Acknowledgement(ward.at(13), taken, "doctor"), 13, "1")
    ward.pass_time(60)
    assert ward.story("1") == ["raised band_rise", "acknowledged acknowledged"]


def test_an_impossible_value_is_quarantined_and_shown(ward):
    """6932 degrees are counted, shown with the score and told of an open alert; they score nothing."""
    ward.admit("1")
    ward.chart("1", 10, ward.SICK)
    ward.chart("1", 12, {**ward.SICK, "temp": 6932.0})
    score = ward.score("1")
    assert score["news2"]["quarantined"] == ["temperature"]
    assert score["news2"]["total"] == 12
    assert ward.tally().quarantined == {"impossible_value": 1}
    assert "temperature" in next(v["detail"] for v in score["verdicts"] if v["filter"] == "plausibility")
    assert ward.story("1") == ["raised band_rise", "updated input_quarantined"]


@pytest.mark.parametrize(("value", "points"), [(103.1, 2), (98.6, 0), (95.0, 3)])
def test_degrees_fahrenheit_are_converted(ward, value, points):
    """A temperature in degF scores as what it is in degrees Celsius."""
    ward.admit("1")
    ward.chart("1", 10, {**ward.WELL, "temp": value}, units={"temp": "degF"})
    assert ward.score("1")["news2"]["temperature"] == points


def test_a_temperature_without_a_unit_is_not_guessed(ward):
    """98.6 without a unit is quarantined, however plain it seems."""
    ward.admit("1")
    ward.chart("1", 10, {**ward.WELL, "temp": 98.6}, units={"temp": ""})
    assert ward.score("1")["news2"]["temperature"] is None
    assert sum(ward.tally().quarantined.values()) == 1


def test_a_child_gets_no_floor_alert_and_that_is_said(ward):
    """Under 16 NEWS2 does not apply: no alert, and a verdict that says why."""
    ward.admit("1", birth_date="2012-01-01")
    ward.chart("1", 10, ward.SICK)
    assert ward.story("1") == []
    verdicts = [(v["filter"], v["verdict"], v["reason"]) for v in ward.score("1")["verdicts"]]
    assert ("news2_floor", "abstain", "under_16") in verdicts


def test_an_unknown_age_counts_as_adult(ward):
    """A patient of whom no birth date is known, or whose admission was never seen, is told of."""
    ward.admit("1", birth_date=None)
    ward.chart("1", 10, ward.SICK)
    ward.chart("2", 11, ward.SICK)
    assert ward.story("1") == ward.story("2") == ["raised band_rise"]


def test_a_birth_date_that_comes_later_takes_the_alert_back(ward):
    """An alert on somebody who turns out to be a child is retracted at the next score."""
    ward.admit("1", birth_date=None)
    ward.chart("1", 10, ward.SICK)
    ward.adt("A08", "1", 12, birth_date="2015-05-05")
    ward.chart("1", 13, ward.SICK)
    assert ward.story("1") == ["raised band_rise", "retracted not_applicable"]


def test_each_value_is_found_by_the_site_s_own_code(ward):
    """A code in no table is counted under its name and scores nothing."""
    ward.admit("1")
    ward.results("1", 10, [Result(code="X-77", system="LOCAL", value=40.0, unit="/min")], observed=9)
    assert ward.tally().unmapped == {"LOCAL|X-77": 1}
    assert ward.score("1")["news2"]["respiration_rate"] is None
