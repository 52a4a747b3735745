"""A mother and her newborn in one bed, and Z segments: two patients stay two, and unknown segments change nothing."""

from __future__ import annotations

import json

ADMIT = (
    "MSH|^~\\&|PAS|MAIN|||2026010100{0}00||ADT^A01|{1}|P|2.5\rEVN||2026010100{0}00\r"
    "PID|1||{2}^^^MRN^MR||Doe^X||{3}|F||||||||||{4}|||{5}\rPV1|1|I|Maternity^3^B{6}"
)
VISIT = "|" * 16 + "V-{}"


def admitted(ward, *, of_mother: str = "") -> None:
    """Admit a mother and, in her bed and on her account, her newborn: PID-21 has her number."""
    mother = ADMIT.format("00", 1, "M1", "19950101", "ACC1", "", VISIT.format("M1"))
    child = ADMIT.format("01", 2, "C1", "20260101", "ACC1", of_mother, VISIT.format("C1"))
    ward.send(mother.encode(), 0)
    ward.send(child.encode(), 1)


def test_a_mother_and_her_newborn_in_one_bed_are_two(ward):
    """PID-21 and a shared account join nobody: each has a key, a stay and a bed, the same one."""
    admitted(ward, of_mother="M1^^^MRN^MR")
    mother, child = (ward.service.host.shelf.find(ward.key(mrn)).state for mrn in ("M1", "C1"))
    assert mother.location == child.location
    assert mother.admitted
    assert child.admitted
    assert (mother.birth_date, child.birth_date) == ("1995-01-01", "2026-01-01")


def test_an_alert_in_a_shared_bed_names_the_one_who_is_sick(ward):
    """The mother's readings alert of her and of nobody else; the newborn's are told to be outside NEWS2."""
    admitted(ward, of_mother="M1^^^MRN^MR")
    ward.chart("M1", 10, ward.SICK)
    ward.chart("C1", 11, {**ward.WELL, "hr": 140.0, "rr": 44.0})
    assert {alert["patient"] for alert in ward.alerts()} == {ward.key("M1")}
    assert [(alert["ward"], alert["bed"]) for alert in ward.alerts("M1")] == [("Maternity", "B")]
    assert ward.score("M1")["news2"]["total"] == 12
    said = {mrn: [(one["filter"], one["reason"]) for one in ward.score(mrn)["verdicts"]] for mrn in ("M1", "C1")}
    assert ("news2_floor", "under_16") in said["C1"]
    assert ("news2_floor", "under_16") not in said["M1"]


def test_who_leaves_a_shared_bed_takes_nobody_along(ward):
    """A discharge of the newborn leaves the mother's stay and alert as they were."""
    admitted(ward)
    ward.chart("M1", 10, ward.SICK)
    ward.adt("A03", "C1", 20, encounter="V-C1")
    shelf = ward.service.host.shelf
    assert shelf.find(ward.key("M1")).state.admitted
    assert not shelf.find(ward.key("C1")).state.admitted
    assert ward.story("M1") == ["raised band_rise"]


def test_z_segments_change_nothing_and_are_kept(new_ward):
    """With site segments anywhere the outputs are the same, and the journal gives the message back byte for byte."""
    digests = []
    for sites in (b"", b"\rZPD|1|anything^here~\\|&|Doe^Jane", b"\rZZZ"):
        ward = new_ward()
        ward.admit("1")
        ward.chart("1", 5, ward.SICK)
        plain = ward.sent[-1]
        data = plain.replace(b"\rOBX|1|", sites + b"\rOBX|1|").rstrip(b"\r") + sites + b"\r"
        ward.send(data.replace(b"|C2|", b"|C9|"), 6)
        kept = [kept for *_, kept in ward.service.journal.newest_messages(9) if b"|C9|" in kept]
        assert kept == [data.replace(b"|C2|", b"|C9|")]
        scores = [{**score, "message_id": ""} for score in ward.outputs("scores")]
        digests.append(json.dumps([(score["news2"], score["event_time"]) for score in scores], sort_keys=True))
    assert len(set(digests)) == 1
