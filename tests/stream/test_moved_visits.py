"""Visits charted under the wrong patient, and numbers that were changed, in HL7 v2 bytes: who is told to be where."""

from __future__ import annotations

import pytest

from connectors.decoded import Identifier
from connectors.hl7v2.settings import Hl7Settings
from events import Location
from stream.settings import Settings

BED = Location("Ward A", "1", "12")


def visit_of_another(ward, minute: float = 30) -> None:
    """Admit a sick patient under the number of somebody who is not there, chart him, and move the visit."""
    ward.admit("wrong", encounter="V1")
    ward.chart("wrong", 10, ward.SICK)
    ward.adt("A45", "right", minute, retired=Identifier("MRN", "wrong"), encounter="V1", location=BED, sex="female")


def test_a_moved_visit_ends_the_alert_of_whoever_was_never_there(ward):
    """A45: the patient whose number it was is no longer told to lie there, and the true one is there from now on."""
    visit_of_another(ward)
    assert ward.story("wrong")[0] == "raised band_rise"
    assert ward.story("wrong")[-1].startswith("retracted")
    shelf = ward.service.host.shelf
    wrong, right = (shelf.find(ward.key(mrn)).state for mrn in ("wrong", "right"))
    assert not wrong.admitted
    assert (right.admitted, right.location, right.sex) == (True, BED, "female")


def test_the_true_patient_is_told_of_by_what_is_charted_next(ward):
    """What is charted under the right number after the move raises his own alert, at the bed that the move named."""
    visit_of_another(ward)
    ward.chart("right", 40, ward.SICK)
    [alert] = ward.alerts("right")
    assert (alert["state"], alert["ward"], alert["bed"]) == ("raised", "Ward A", "12")


def test_a_moved_visit_leaves_another_stay_of_the_wrong_patient_alone(ward):
    """Whoever lies in a bed of his own, under another visit number, still does; so where it has no number."""
    for mrn, encounter in (("named", "V7"), ("nameless", "")):
        ward.admit(mrn, encounter=encounter)
        ward.chart(mrn, 10, ward.SICK)
        ward.adt("A45", "right", 20, retired=Identifier("MRN", mrn), encounter="V1", location=BED)
        assert ward.story(mrn) == ["raised band_rise"]
        assert ward.service.host.shelf.find(ward.key(mrn)).state.admitted


def test_a_moved_visit_told_twice_or_of_somebody_unknown_changes_nothing_more(ward):
    """Sent again with another control id it finds nobody to move; from an unknown number it places the true one."""
    visit_of_another(ward)
    told = ward.story()
    ward.adt("A45", "right", 31, retired=Identifier("MRN", "wrong"), encounter="V1", location=BED)
    assert ward.story() == told
    ward.adt("A45", "third", 32, retired=Identifier("MRN", "nobody"), encounter="V3", location=BED)
    shelf = ward.service.host.shelf
    assert not shelf.find(ward.key("nobody")).state.admitted
    assert shelf.find(ward.key("third")).state.location == BED


def test_an_admission_that_comes_after_its_visit_was_moved_admits_nobody(ward):
    """A45 before the A01 that it takes away: the late admission is none; one under another number is."""
    ward.adt("A45", "right", 30, retired=Identifier("MRN", "wrong"), encounter="V1", location=BED)
    ward.admit("wrong", 31, event_minute=0, told_minute=0, encounter="V1")
    shelf = ward.service.host.shelf
    assert [shelf.find(ward.key(mrn)).state.admitted for mrn in ("wrong", "right")] == [False, True]
    ward.admit("wrong", 40, encounter="V9")
    assert shelf.find(ward.key("wrong")).state.admitted


def test_an_admission_that_is_put_right_is_one(ward):
    """A01, A11, and A01 anew of the same visit and beginning: it was told after the A11, and holds."""
    ward.admit("1", encounter="V1", ward="Ward B")
    ward.adt("A11", "1", 5, encounter="V1")
    ward.admit("1", 6, event_minute=0, encounter="V1")
    state = ward.service.host.shelf.find(ward.key("1")).state
    assert (state.admitted, state.location, state.admitted_time) == (True, BED, ward.at(0))
    ward.chart("1", 10, ward.SICK)
    assert [(alert["state"], alert["ward"]) for alert in ward.alerts("1")] == [("raised", "Ward A")]


def test_a_moved_visit_parts_whom_a_merge_had_joined(ward):
    """Where the two had been merged, each has his own readings again, and the visit is the true one's."""
    ward.admit("well", encounter="V1")
    ward.admit("sick", 1, encounter="V2")
    ward.chart("well", 5, ward.WELL)
    ward.chart("sick", 10, ward.SICK)
    ward.adt("A40", "well", 20, retired=Identifier("MRN", "sick"), encounter="V1")
    ward.adt("A45", "sick", 30, retired=Identifier("MRN", "well"), encounter="V2")
    assert ward.story("well")[-1] == "retracted correction"
    assert ward.story("sick")[-1] == "raised band_rise"
    shelf = ward.service.host.shelf
    assert [shelf.find(ward.key(mrn)).state.admitted for mrn in ("well", "sick")] == [True, True]


def test_a_visit_of_whom_somebody_was_merged_into_is_not_taken_from_him(ward):
    """A45 that names the retired number and then the survivor's: the survivor, whose visit it is, is still watched."""
    ward.admit("retired", encounter="V9")
    ward.admit("his", 1, encounter="V1")
    ward.chart("his", 5, ward.SICK)
    ward.adt("A40", "his", 20, retired=Identifier("MRN", "retired"), encounter="V1")
    ward.adt("A08", "his", 22, encounter="V1")
    ward.adt("A45", "his", 30, retired=Identifier("MRN", "retired"), encounter="V1", location=BED)
    state = ward.service.host.shelf.find(ward.key("his")).state
    assert (state.admitted, state.location) == (True, BED)
    assert not any(line.startswith("retracted") for line in ward.story("his"))


def test_a_visit_that_is_moved_from_a_patient_to_himself_takes_nobody_away(ward):
    """A45 with one number on both sides is refused: the alert stands, the patient is where he was."""
    ward.admit("1", encounter="V1")
    ward.chart("1", 5, ward.SICK)
    refused = ward.adt("A45", "1", 10, retired=Identifier("MRN", "1"), encounter="V1", location=BED)
    assert (refused.reason.value, refused.fault) == ("invalid_value", "MRG-1")
    assert ward.story("1") == ["raised band_rise"]
    assert ward.service.host.shelf.find(ward.key("1")).state.admitted


def test_a_visit_of_two_numbers_that_nothing_tells_apart_is_taken_from_nobody(ward):
    """A number that is his on both sides, beside others that nobody has met: he stays where he is."""
    head = "MSH|^~\\&|PAS|MAIN|||20260101{}00||ADT^{}|{}|P|2.5\rEVN||20260101{}00\r"
    rest = "PID|1||{}\r{}PV1|1|I|W^1^2{}V1{}20260101"
    both, lesser = "1^^^MRN^MR~9^^^NHS^NH", "9^^^NHS^NH~b^^^LAB^XX"
    for minute, trigger, pid, mrg in ((0, "A01", both, ""), (9, "A45", lesser, f"MRG|{both}~a^^^LAB^XX\r")):
        said = head.format(f"000{minute}", trigger, minute, f"000{minute}")
        said += rest.format(pid, mrg, "|" * 16, "|" * 25)
        ward.send(said.encode(), minute)
    assert ward.service.host.shelf.find(ward.key("1")).state.admitted


def test_a_visit_that_is_moved_back_is_there_again(ward):
    """A45 to the wrong patient, and A45 back, with the beginning of the visit in both: he is watched, in his bed."""
    ward.admit("1", encounter="V1")
    said = (
        "MSH|^~\\&|PAS|MAIN|||20260101{0}||ADT^A45|{0}|P|2.5\rEVN||20260101{0}\rPID|1||{1}^^^MRN^MR\rMRG|{2}^^^MRN^MR\r"
    )
    visit = "PV1|1|I|Ward A^1^12" + "|" * 16 + "V1" + "|" * 25 + "20260101000000"
    for minute, to, former in ((30, "2", "1"), (40, "1", "2")):
        ward.send((said.format(f"00{minute}00", to, former) + visit).encode(), minute)
    shelf = ward.service.host.shelf
    first, second = (shelf.find(ward.key(mrn)).state for mrn in ("1", "2"))
    assert (first.admitted, first.location, second.admitted) == (True, BED, False)
    assert first.admitted_time == ward.at(0)
    ward.chart("1", 50, ward.SICK)
    assert [(alert["state"], alert["ward"]) for alert in ward.alerts("1")] == [("raised", "Ward A")]
    ward.adt("A03", "1", 60, encounter="V1")
    assert not shelf.find(ward.key("1")).state.admitted


def test_a_moved_account_moves_a_stay_where_accounts_number_the_visits(new_ward):
    """A44 with `visit_number = "PID-18"`: the stay goes with the account."""
    ward = new_ward(settings=Settings(hl7=Hl7Settings(visit_number="PID-18")))
    pid = "PID|1||{}^^^MRN^MR||Doe^J||19500101|F" + "|" * 10 + "{}"
    head = "MSH|^~\\&|PAS|MAIN|||20260101{}00||ADT^{}|{}|P|2.5\rEVN||20260101{}00"
    admitted = [head.format("0000", "A01", 1, "0000"), pid.format("wrong", "ACC1"), "PV1|1|I|W^1^2"]
    moved = [head.format("0030", "A44", 2, "0030"), pid.format("right", "ACC2"), "MRG|wrong^^^MRN^MR||ACC1"]
    for minute, lines in ((0, admitted), (30, moved)):
        ward.send("\r".join(lines).encode(), minute)
    shelf = ward.service.host.shelf
    assert [shelf.find(ward.key(mrn)).state.admitted for mrn in ("wrong", "right")] == [False, True]


def test_after_a_moved_visit_a_restart_and_a_refold_are_the_same(ward, tmp_path):
    """What came of both halves of the message is in the log: folded again it is the same, bit for bit."""
    visit_of_another(ward)
    before = ward.service.digest()
    ward.service.close()
    (tmp_path / "ward-1" / "state.db").unlink()
    ward.service = type(ward.service)(tmp_path / "ward-1", ward.release, {})
    assert (ward.service.digest(), ward.service.diverged) == (before, 0)


def test_a_changed_number_keeps_the_alert_and_the_readings(ward):
    """A47: what comes under the new number goes on with the score; nothing is retracted, nobody is new."""
    ward.admit("old")
    ward.chart("old", 5, ward.SICK)
    ward.adt("A47", "new", 10, retired=Identifier("MRN", "old"))
    ward.chart("new", 15, {"hr": 140.0})
    ward.chart("old", 20, ward.WELL)
    assert "retracted merge" not in ward.story("old")
    assert ward.service.host.shelf.find(ward.key("new")) is None
    assert ward.score("old")["news2"]["total"] == 0


def test_a_changed_number_told_late_joins_what_came_under_it(ward):
    """Results under the new number before the A47 are one record with those of the old one."""
    ward.admit("old")
    ward.chart("old", 5, {"rr": 28.0, "spo2": 90.0})
    ward.chart("new", 8, {"hr": 132.0, "sbp": 88.0})
    ward.adt("A47", "new", 10, retired=Identifier("MRN", "old"))
    state = ward.service.host.shelf.find(ward.key("new")).state
    assert state.latest("respiration_rate", ward.at(20)).value == 28.0
    assert state.latest("heart_rate", ward.at(20)).value == 132.0
    assert state.admitted


def test_a_changed_number_after_a_restart(ward, tmp_path):
    """Both numbers lead to the patient in the next process too."""
    ward.admit("old")
    ward.adt("A47", "new", 10, retired=Identifier("MRN", "old"))
    ward.service.host.checkpoint()
    ward.service.close()
    ward.service = type(ward.service)(tmp_path / "ward-1", ward.release, {})
    ward.chart("new", 15, ward.SICK)
    assert ward.story("old") == ["raised band_rise"]


@pytest.mark.parametrize(("trigger", "admitted"), [("A05", False), ("A28", False), ("A31", False), ("A06", True)])
def test_who_is_only_made_known_is_on_no_ward(ward, trigger, admitted):
    """A05, A28 and A31 admit nobody and move nobody who is here; A06 does both."""
    ward.adt(trigger, "1", 0, sex="female", birth_date="1950-01-01")
    shelf = ward.service.host.shelf
    assert shelf.find(ward.key("1")).state.admitted == admitted
    assert (shelf.find(ward.key("1")).state.location.ward == "Ward A") == admitted
    ward.admit("2", ward="Ward B")
    ward.adt(trigger, "2", 5, ward="Ward C", encounter="VISIT-2")
    assert shelf.find(ward.key("2")).state.location.ward == ("Ward C" if admitted else "Ward B")
    assert shelf.find(ward.key("2")).state.admitted


def test_an_inpatient_who_becomes_an_outpatient_is_still_watched(ward):
    """After A07 the stay goes on at the new place, its alert too; A03 of the visit ends it."""
    ward.admit("1", encounter="V1")
    ward.chart("1", 5, ward.SICK)
    ward.adt("A07", "1", 10, encounter="V1", ward="Clinic", patient_class="O")
    state = ward.service.host.shelf.find(ward.key("1")).state
    assert (state.admitted, state.patient_class, state.location.ward) == (True, "O", "Clinic")
    assert ward.alerts("1")[-1]["ward"] == "Clinic"
    ward.adt("A03", "1", 20, encounter="V1")
    assert not ward.service.host.shelf.find(ward.key("1")).state.admitted
