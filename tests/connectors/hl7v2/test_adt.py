"""Claims about ADT messages."""

from __future__ import annotations

import pytest

from connectors.decoded import Decoded, Identifier, Refusal, RefusalReason
from connectors.hl7v2.codec import decode
from connectors.hl7v2.render import render_adt
from connectors.hl7v2.settings import Hl7Settings
from events import Admission, Cancellation, Demographics, Discharge, Location, Merge, Transfer, Unmerge, from_iso

SETTINGS = Hl7Settings()
CHOSEN = Hl7Settings(pregnancy_from_visits=True)
"""Of a site that declares that its B6 means a pregnancy."""
WARD = Location("ICU", "101", "A", "HOSP")
NOON = from_iso("2026-04-19T12:00:00Z")
TOLD = from_iso("2026-04-19T12:10:00Z")


def adt(
    trigger: str, *, pid: str = "PID|1||42^^^HOSP^MR", pv1: str = "PV1|1|I|ICU^101^A^HOSP", more: str = ""
) -> bytes:
    """Make an ADT message whose event is at noon and was recorded ten minutes later."""
    evn = f"EVN|{trigger}|20260419121000||||20260419120000"
    header = f"MSH|^~\\&|EPIC|MAIN|||20260419121500||ADT^{trigger}^ADT_A01|77|P|2.5"
    return "\r".join([part for part in (header, evn, pid, more, pv1) if part]).encode()


def read(data: bytes, settings: Hl7Settings = SETTINGS) -> Decoded:
    """Decode what must decode."""
    decoded = decode(data, settings)
    assert isinstance(decoded, Decoded), decoded
    return decoded


@pytest.mark.parametrize(
    ("trigger", "event"),
    [
        ("A01", Admission(NOON, WARD, "I", TOLD)),
        ("A02", Transfer(NOON, WARD)),
        ("A03", Discharge(NOON)),
        ("A04", Admission(NOON, WARD, "I", TOLD)),
        ("A11", Cancellation(NOON, "admission", WARD)),
        ("A12", Cancellation(NOON, "transfer", WARD)),
        ("A13", Cancellation(NOON, "discharge", WARD, told=True)),
    ],
)
def test_trigger(trigger: str, event: object) -> None:
    """Each trigger becomes its event, at the time it occurred (EVN-6)."""
    decoded = read(adt(trigger))
    assert decoded.events == (event,)
    assert decoded.kind == f"ADT^{trigger}"
    assert decoded.event_time == NOON


def test_a08_tells_demographics_and_place() -> None:
    """A08 gives demographics, and the place for a patient whose admission was never seen."""
    decoded = read(adt("A08", pid="PID|1||42^^^HOSP^MR||Doe^J||19420902000000|F||||||||||||||||||||||N"))
    assert decoded.events == (Demographics(NOON, "1942-09-02", "female", False), Transfer(NOON, WARD))


def test_location_from_results_off() -> None:
    """Where the setting is off, A08 moves nobody."""
    decoded = read(adt("A08"), Hl7Settings(location_from_results=False))
    assert [type(event) for event in decoded.events] == [Demographics]


def test_discharged_patient_is_not_moved() -> None:
    """An A08 after the discharge (PV1-45) does not put the patient back on the ward."""
    pv1 = "PV1|1|I|ICU^101^A^HOSP" + "|" * 42 + "20260419110000"
    assert [type(event) for event in read(adt("A08", pv1=pv1)).events] == [Demographics]


@pytest.mark.parametrize(
    ("status", "pregnant"),
    [("B6", True), ("A5~b6^Pregnant", True), ('""', False), ("A5", None), ("", None), ("B6A", None), ("~", None)],
)
@pytest.mark.parametrize("trigger", ["A01", "A02", "A08"])
def test_the_ambulatory_status_says_a_pregnancy(trigger: str, status: str, pregnant: bool | None) -> None:  # noqa: FBT001
    """PV1-15 of ADT, where a site chose it: B6 says so, an explicit null takes it back, anything else says nothing."""
    pv1 = "PV1|1|I|ICU^101^A^HOSP" + "|" * 12 + status
    told = [event.pregnant for event in read(adt(trigger, pv1=pv1), CHOSEN).events if type(event) is Demographics]
    assert [one for one in told if one is not None] == ([] if pregnant is None else [pregnant])


@pytest.mark.parametrize("status", ["B6", "A5~B6", '""'])
@pytest.mark.parametrize("trigger", ["A01", "A02", "A08"])
def test_unless_a_site_chose_it_the_ambulatory_status_says_nothing(trigger: str, status: str) -> None:
    """Table 0009 is a site's own, and nobody is silenced by it unasked: by default B6 is as if it were not there."""
    pv1 = "PV1|1|I|ICU^101^A^HOSP"
    assert read(adt(trigger, pv1=pv1 + "|" * 12 + status)).events == read(adt(trigger, pv1=pv1)).events


def test_a_result_says_no_pregnancy_by_its_visit() -> None:
    """PV1-15 beside a result is told in passing, by whoever knows last week's visit: it silences nothing."""
    data = (
        "MSH|^~\\&|LAB|MAIN|||20260419121500||ORU^R01|77|P|2.5\rPID|1||42^^^HOSP^MR\r"
        f"PV1|1|I|ICU{'|' * 12}B6\rOBR|1||F1\rOBX|1|NM|8867-4^^LN||72|/min|||||F|||20260419120000"
    )
    assert Demographics not in [type(event) for event in read(data.encode(), CHOSEN).events]


@pytest.mark.parametrize("disposition", ["20", "40", "41", "42"])
def test_expired_disposition(disposition: str) -> None:
    """A discharge with a disposition of table 0112 that means death is a death."""
    event = read(adt("A03", pv1="PV1|1|I|ICU" + "|" * 33 + disposition)).events[-1]
    assert event == Discharge(NOON, disposition, True)


def test_pid_30_is_a_death() -> None:
    """PID-30 `Y` makes a discharge a death, whatever the disposition."""
    events = read(adt("A03", pid="PID|1||42^^^HOSP^MR" + "|" * 27 + "Y")).events
    assert events == (Demographics(NOON, None, None, True), Discharge(NOON, "", True))


def test_pid_29_without_pid_30_is_a_death() -> None:
    """A time of death says as much as the flag."""
    events = read(adt("A08", pid="PID|1||42^^^HOSP^MR" + "|" * 26 + "20260419")).events
    assert events[0] == Demographics(NOON, None, None, True)


def test_merge_carries_the_retired_identifiers() -> None:
    """A40 gives a merge without key and MRG-1 beside it."""
    decoded = read(adt("A40", more="MRG|43^^^HOSP^MR~44^^^OTHER^MR"))
    assert decoded.events == (Merge(NOON, ""),)
    assert decoded.retired == (Identifier("HOSP", "43"), Identifier("OTHER", "44"))


@pytest.mark.parametrize(
    ("message", "reason", "position"),
    [
        (adt("A40"), RefusalReason.MISSING_SEGMENT, "MRG"),
        (adt("A40", more='MRG|""'), RefusalReason.MISSING_IDENTIFIER, "MRG-1"),
        (adt("A02", pv1="PV1|1|I"), RefusalReason.MISSING_FIELD, "PV1-3"),
        (adt("A01", pid=""), RefusalReason.MISSING_SEGMENT, "PID"),
        (adt("A01", pid="PID|1||^^^HOSP"), RefusalReason.MISSING_IDENTIFIER, "PID-3"),
        (adt("A01", more="PID|2||43^^^HOSP^MR"), RefusalReason.INVALID_VALUE, "PID[2]-3"),
        (adt("A24"), RefusalReason.UNSUPPORTED_TYPE, "MSH-9"),
        (adt("A01") + b"\r" + adt("A01"), RefusalReason.GARBAGE, "MSH[2]"),
        (adt("A01") + b"\x1c\x0b" + adt("A01"), RefusalReason.GARBAGE, "MSH[2]"),
    ],
)
def test_refusals(message: bytes, reason: RefusalReason, position: str) -> None:
    """What cannot be used is refused with its reason and place, and named by MSH-10 where that can be read."""
    refusal = decode(message, SETTINGS)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.position) == (reason, position)
    assert refusal.message_id in {"77", ""}


def test_refusal_names_the_message() -> None:
    """A refusal past the header carries MSH-10, the feed and MSH-7, so that the sender can be answered."""
    refusal = decode(adt("A40"), SETTINGS)
    assert isinstance(refusal, Refusal)
    sent = from_iso("2026-04-19T12:15:00Z")
    assert (refusal.message_id, refusal.feed, refusal.sent_time) == ("77", "EPIC|MAIN", sent)


def test_identifiers_best_first() -> None:
    """PID-3 gives all identifiers, medical record numbers first, otherwise in the order sent."""
    pid = "PID|1||1^^^NHS^NH~2^^^HOSP&1.2.3&ISO^MR~3^^^&1.2.4&ISO^PI"
    expected = (Identifier("HOSP", "2"), Identifier("1.2.4", "3"), Identifier("NHS", "1"))
    assert read(adt("A01", pid=pid)).subject == expected


def test_identifier_of_2_3() -> None:
    """Where PID-3 is empty, PID-2 names the patient."""
    assert read(adt("A01", pid="PID|1|7^^^HOSP^MR")).subject == (Identifier("HOSP", "7"),)


def test_authority_defaults() -> None:
    """An identifier that names no authority takes the feed's configured one, else its hospital's (MSH-4) and type."""
    configured = Hl7Settings(authorities={"EPIC|MAIN": "TRUST"})
    assert read(adt("A01", pid="PID|1||7^^^^MR"), configured).subject == (Identifier("TRUST", "7"),)
    assert read(adt("A01", pid="PID|1||7^^^^MR")).subject == (Identifier("MAIN^MR", "7"),)
    assert read(adt("A01", pid="PID|1||7")).subject == (Identifier("MAIN", "7"),)
    nameless = adt("A01", pid="PID|1||7").replace(b"|EPIC|MAIN|", b"|EPIC||")
    assert read(nameless).subject == (Identifier("EPIC|", "7"),)


@pytest.mark.parametrize("pid", ["PID|1||42^^^^MR", "PID|1||42", "PID|1||42^^^^PI~9^^^NHS^NH"])
def test_two_hospitals_do_not_share_a_patient(pid: str) -> None:
    """The same number without an authority from two hospitals is two people, from two systems of one it is one."""
    here = adt("A01", pid=pid)
    there, beside = here.replace(b"|EPIC|MAIN|", b"|EPIC|OTHER|"), here.replace(b"|EPIC|MAIN|", b"|LAB|MAIN|")
    own = {name for name in read(here).subject if name.value == "42"}
    assert own.isdisjoint(read(there).subject)
    assert own <= set(read(beside).subject)


def test_a_retired_number_goes_by_the_same_authority() -> None:
    """MRG-1 without an authority means the same hospital's numbers as PID-3 does."""
    decoded = read(adt("A40", pid="PID|1||42^^^^MR", more="MRG|43^^^^MR"))
    assert (decoded.subject, decoded.retired) == ((Identifier("MAIN^MR", "42"),), (Identifier("MAIN^MR", "43"),))


def test_a_place_from_adt_is_told_not_passed_on() -> None:
    """The ward of an A08 is ADT's own word, not a result's."""
    decoded = read(adt("A08"))
    assert [event.incidental for event in decoded.events if isinstance(event, Transfer)] == [False]


def test_visit_number() -> None:
    """PV1-19 is the encounter."""
    assert read(adt("A01", pv1="PV1|1|I|ICU" + "|" * 16 + "V9^^^HOSP^VN")).encounter == "V9"


def test_unreadable_event_time_falls_back() -> None:
    """An unreadable EVN-6 is noted, and EVN-2 taken."""
    decoded = read(adt("A01").replace(b"||||20260419120000", b"||||extra"))
    assert decoded.event_time == from_iso("2026-04-19T12:10:00Z")
    assert decoded.notes == ("event_time_unreadable",)


def test_unreadable_birth_date_costs_only_itself() -> None:
    """A birth date that is none is noted; the admission stands."""
    decoded = read(adt("A01", pid="PID|1||42^^^HOSP^MR||||02/03/1950|M"))
    assert decoded.events[0] == Demographics(NOON, None, "male", None)
    assert decoded.notes == ("birth_date_unreadable",)


def test_refusals_quote_nothing() -> None:
    """No refusal's text holds the patient's identifier."""
    refusal = decode(adt("A02", pid="PID|1||SECRET42^^^HOSP^MR||Secret^Name", pv1=""), SETTINGS)
    assert isinstance(refusal, Refusal)
    assert "SECRET42" not in repr(refusal)
    assert "Name" not in repr(refusal)


def test_one_control_id_for_all_loses_no_admission() -> None:
    """Equal ADT messages that state no time are two where MSH-7 differs; with a time of their own they are one."""

    def at(hour: int, evn: bytes) -> bytes:
        text = adt("A01").replace(b"|20260419121000||||20260419120000", evn)
        return read(text.replace(b"20260419121500", b"20260419%02d0000" % hour)).content_hash

    assert at(12, b"") == at(12, b"") != at(18, b"")
    assert at(12, b"|20260419121000") == at(18, b"|20260419121000")


@pytest.mark.parametrize("version", ["2.3", "2.5"])
def test_a34_retires_one_identifier(version: str) -> None:
    """A34, A40's older form, is a merge of MRG-1."""
    decoded = read(adt("A34", more="MRG|43^^^HOSP^MR").replace(b"|2.5", f"|{version}".encode()))
    assert decoded.events == (Merge(NOON, ""),)
    assert decoded.retired == (Identifier("HOSP", "43"),)


def test_a37_names_two_people() -> None:
    """A37 gives an unmerge without key, the first PID as its subject and the second beside it; nothing of either person
    is used.
    """
    decoded = read(adt("A37", pid="PID|1||42^^^HOSP^MR|||||M", pv1="PV1|1|I\rPID|1||43^^^HOSP^MR|||||F\rPV1|1|I"))
    assert decoded.events == (Unmerge(NOON, ""),)
    assert decoded.subject == (Identifier("HOSP", "42"),)
    assert decoded.parted == (Identifier("HOSP", "43"),)
    assert decoded.retired == ()


def test_a37_with_a_prior_identifier_in_the_place_of_a_second_pid() -> None:
    """Some senders name the other person of an A37 in an MRG segment."""
    assert read(adt("A37", more="MRG|43^^^HOSP^MR")).parted == (Identifier("HOSP", "43"),)


def test_a45_says_whose_a_visit_is_and_was() -> None:
    """A45 is told of the patient whom the visit is taken from; the other one is whom it belongs to."""
    decoded = read(adt("A45", more="MRG|43^^^HOSP^MR||||V1"))
    assert decoded.events[0] == Unmerge(NOON, "")
    assert decoded.subject == (Identifier("HOSP", "43"),)
    assert decoded.parted == (Identifier("HOSP", "42"),)


@pytest.mark.parametrize(
    ("data", "position"),
    [
        (adt("A37"), "MRG"),
        (adt("A45"), "MRG"),
        (adt("A45", more='MRG|""'), "MRG-1"),
        (adt("A37", pv1="PID|2||43^^^HOSP^MR\rPID|3||44^^^HOSP^MR"), "PID[2]-3"),
        (adt("A40", pv1="PID|2||43^^^HOSP^MR", more="MRG|44^^^HOSP^MR"), "PID[2]-3"),
    ],
)
def test_whom_it_is_about_is_never_guessed(data: bytes, position: str) -> None:
    """An unmerge that names one person, or more than two, is refused, and so is a second PID of anything else."""
    refusal = decode(data, SETTINGS)
    assert isinstance(refusal, Refusal)
    assert refusal.position == position


def test_what_is_rendered_of_an_unmerge_is_what_is_read() -> None:
    """A rendered A37 and A45 come back as the two they name."""
    one, other = Identifier("MRN", "1"), Identifier("MRN", "2")
    told = {"control_id": "1", "sent_time": NOON, "feed": "PAS|MAIN", "patient": one, "event_time": NOON}
    a37, a45 = read(render_adt("A37", other=other, **told)), read(render_adt("A45", retired=other, **told))
    assert (a37.subject, a37.parted) == ((one,), (other,))
    assert (a45.subject, a45.parted) == ((other,), (one,))


def test_an_admission_of_before_says_when_it_was_told() -> None:
    """EVN-2, else MSH-7, is when it was said; told at once, there is nothing to say."""
    evn = "EVN|A01|20260419121000||||20260419120000"
    for replaced, told in ((evn, "12:10:00"), ("EVN|A01|||||20260419120000", "12:15:00")):
        [event] = read(adt("A01").replace(evn.encode(), replaced.encode())).events
        assert event == Admission(NOON, WARD, "I", from_iso(f"2026-04-19T{told}Z"))
    [event] = read(adt("A01").replace(evn.encode(), b"EVN|A01|20260419120000||||20260419120000")).events
    assert event == Admission(NOON, WARD, "I")
