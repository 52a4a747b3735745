"""Claims about every ADT trigger event: what changes who, where or whether, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.decoded import Decoded, Identifier, Refusal, RefusalReason
from connectors.hl7v2.acknowledgement import acknowledge
from connectors.hl7v2.adt import TRIGGERS
from connectors.hl7v2.codec import decode, decode_piece
from connectors.hl7v2.framing import split
from connectors.hl7v2.settings import Hl7Settings
from events import Admission, Cancellation, Demographics, Event, Location, Merge, Transfer, Unmerge, from_iso

SETTINGS = Hl7Settings()
BY_ACCOUNT = Hl7Settings(visit_number="PID-18")
WARD = Location("ICU", "101", "A", "HOSP")
NOON = from_iso("2026-04-19T12:00:00Z")
PID = "PID|1||42^^^HOSP^MR||Doe^J||19420902|F"
ACCOUNT = PID + "|" * 10 + "ACC9^^^HOSP^AN"
PV1 = "PV1|1|{}|ICU^101^A^HOSP" + "|" * 16 + "V9"
SHE = Demographics(NOON, "1942-09-02", "female")


def adt(trigger: str, *more: str, pid: str = PID) -> bytes:
    """Make an ADT message whose event is at noon and was recorded ten minutes later."""
    evn = f"EVN|{trigger}|20260419121000||||20260419120000"
    header = f"MSH|^~\\&|EPIC|MAIN|||20260419121500||ADT^{trigger}^ADT_A01|77|P|2.5"
    return "\r".join((header, evn, pid, *more)).encode()


def read(data: bytes, settings: Hl7Settings = SETTINGS) -> Decoded:
    """Decode what must decode."""
    decoded = decode(data, settings)
    assert isinstance(decoded, Decoded), decoded
    return decoded


def test_a_pre_admission_places_nobody() -> None:
    """A05 tells who will come: the bed in its PV1-3 is a planned one, whatever class PV1-2 says."""
    for patient_class in ("P", "I", ""):
        assert read(adt("A05", PV1.format(patient_class))).events == (SHE,)


@pytest.mark.parametrize("trigger", ["A14", "A15", "A16", "A25", "A26", "A27", "A38"])
def test_what_somebody_means_to_do_moves_nobody(trigger: str) -> None:
    """A pending admission, transfer or discharge, and its cancellation, are read for who he is; nobody is told of as
    elsewhere, whatever PV1-3 and PV1-45 say.
    """
    pv1 = PV1.format("I") + "|" * 26 + "20260420100000"
    told = read(adt(trigger, pv1))
    assert (told.events, told.encounter) == ((SHE,), "")
    assert read(adt(trigger, pv1, pid="PID|1||42^^^HOSP^MR||Doe^J")).events == ()


@pytest.mark.parametrize("trigger", ["A54", "A55", "A60", "A61", "A62"])
def test_a_doctor_or_an_allergy_moves_nobody(trigger: str) -> None:
    """Who treats him, and what he does not tolerate, say nothing of where he is."""
    assert read(adt(trigger, PV1.format("I"), "IAM|1|DA|70618^Penicillin")).events == (SHE,)


@pytest.mark.parametrize("trigger", ["A09", "A10", "A20", "A21", "A22", "A24", "A29", "A42", "A43", "A50", "Z99"])
def test_what_may_move_somebody_and_is_not_read_is_seen(trigger: str) -> None:
    """Any other event is refused by name: leave, tracking, links, a deleted person, an event of the site's own."""
    refusal = decode(adt(trigger, PV1.format("I")), SETTINGS)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.position) == (RefusalReason.UNSUPPORTED_TYPE, "MSH-9")


@pytest.mark.parametrize(("trigger", "patient_class"), [("A06", "I"), ("A07", "O")])
def test_a_change_of_class_goes_on_with_the_stay(trigger: str, patient_class: str) -> None:
    """A06 and A07 tell the new class and place; whoever is still seen as an outpatient is still here."""
    admission = Admission(NOON, WARD, patient_class, NOON + 10 * 60_000)
    assert read(adt(trigger, PV1.format(patient_class))).events == (SHE, admission)
    assert read(adt(trigger, PV1.format(patient_class))).encounter == "V9"


def test_a_change_of_class_happens_when_it_is_recorded() -> None:
    """PV1-44 of an A07 is when the stay began, long before: the class does not change back then."""
    data = adt("A07", "PV1|1|O|ICU" + "|" * 41 + "20260101080000").replace(b"||||20260419120000", b"")
    assert read(data).event_time == from_iso("2026-04-19T12:10:00Z")


@pytest.mark.parametrize("trigger", ["A28", "A31"])
@pytest.mark.parametrize("patient_class", ["N", "I", "E"])
def test_a_person_without_a_visit_is_neither_placed_nor_admitted(trigger: str, patient_class: str) -> None:
    """A28 and A31 tell who somebody is; their PV1, required and mostly `N`, is no visit."""
    chosen = Hl7Settings(pregnancy_from_visits=True)
    pv1 = f"PV1|1|{patient_class}|ICU^101^A^HOSP" + "|" * 12 + "B6||||V9"
    decoded = read(adt(trigger, pv1), chosen)
    assert (decoded.events, decoded.encounter) == ((SHE,), "")


def test_a_person_of_whom_nothing_is_said_is_known_all_the_same() -> None:
    """An A28 of numbers alone holds no event, and names whom its numbers are of."""
    decoded = read(adt("A28", pid="PID|1||42^^^HOSP^MR~9^^^NHS^NH"))
    assert decoded.events == ()
    assert decoded.subject == (Identifier("HOSP", "42"), Identifier("NHS", "9"))


@pytest.mark.parametrize("trigger", ["A18", "A34", "A36", "A40"])
def test_merges_of_persons(trigger: str) -> None:
    """A18, A34 and A36, the older forms, retire MRG-1 as A40 does."""
    decoded = read(adt(trigger, "MRG|43^^^HOSP^MR||ACC1||V1"))
    assert decoded.events == (SHE, Merge(NOON, ""))
    assert decoded.retired == (Identifier("HOSP", "43"),)


def test_a47_names_the_number_that_was_changed() -> None:
    """A47 retires nobody: MRG-1 is what the same patient was called before."""
    decoded = read(adt("A47", "MRG|43^^^HOSP^MR"))
    assert decoded.events == (SHE,)
    assert (decoded.retired, decoded.aliases) == ((), (Identifier("HOSP", "43"),))


def test_a45_takes_the_visit_from_one_and_gives_it_to_the_other() -> None:
    """A45 parts the two if a merge had joined them, and moves who is admitted, each under the visit's number."""
    decoded = read(adt("A45", "MRG|43^^^HOSP^MR||||V1^^^HOSP^VN", PV1.format("I")))
    assert decoded.events == (Unmerge(NOON, ""), Cancellation(NOON, "admission", moved=True))
    assert (decoded.subject, decoded.encounter) == ((Identifier("HOSP", "43"),), "V1")
    beside = decoded.beside
    assert beside is not None
    assert beside.events == (SHE, Admission(NOON, WARD, "I"))
    assert (beside.subject, beside.encounter) == ((Identifier("HOSP", "42"),), "V9")
    assert beside.content_hash != decoded.content_hash


def test_a_visit_that_keeps_its_number_is_the_one_that_is_moved() -> None:
    """Where MRG-5 is empty, the visit of PV1-19 was the other's."""
    assert read(adt("A45", "MRG|43^^^HOSP^MR", PV1.format("I"))).encounter == "V9"


def test_a_moved_visit_that_began_before_is_dated_back() -> None:
    """PV1-44 says when the stay that is moved began; what is taken back is so as of the message."""
    decoded = read(adt("A45", "MRG|43^^^HOSP^MR", PV1.format("I") + "|" * 25 + "20260419080000"))
    assert decoded.event_time == NOON
    assert decoded.beside is not None
    assert decoded.beside.events[-1] == Admission(from_iso("2026-04-19T08:00:00Z"), WARD, "I", NOON)


def test_a_moved_visit_that_is_over_admits_nobody() -> None:
    """A visit of last year (PV1-45) that is put right is nobody's stay now."""
    decoded = read(adt("A45", "MRG|43^^^HOSP^MR", PV1.format("I") + "|" * 26 + "20250419080000"))
    assert decoded.beside is None


def test_a_moved_visit_without_a_number_moves_no_stay() -> None:
    """Which stay is another's is never guessed: without PV1-19 and MRG-5 only a merge is taken back."""
    decoded = read(adt("A45", "MRG|43^^^HOSP^MR", "PV1|1|I|ICU"))
    assert (decoded.events, decoded.beside) == ((Unmerge(NOON, ""),), None)


def test_of_several_moved_visits_the_open_one_is_moved() -> None:
    """Past visits in one A45 with the present one change nobody's stay; two that are open are refused."""
    past = PV1.format("I").replace("V9", "V0") + "|" * 26 + "20250419080000"
    present = PV1.format("I")
    decoded = read(adt("A45", "MRG|43^^^HOSP^MR||||V0", past, "MRG|43^^^HOSP^MR||||V9", present))
    assert decoded.encounter == "V9"
    refusal = decode(adt("A45", "MRG|43^^^HOSP^MR||||V8", present, "MRG|43^^^HOSP^MR||||V9", present), SETTINGS)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.position) == (RefusalReason.INVALID_VALUE, "MRG[2]")


def test_a44_moves_an_account_which_is_no_visit_unless_a_site_says_so() -> None:
    """By default A44 takes a merge back; where PID-18 numbers the visits, the stay moves with the account."""
    data = adt("A44", "MRG|43^^^HOSP^MR||ACC1", pid=ACCOUNT)
    assert (read(data).events, read(data).beside) == ((Unmerge(NOON, ""),), None)
    decoded = read(data, BY_ACCOUNT)
    assert decoded.events == (Unmerge(NOON, ""), Cancellation(NOON, "admission", moved=True))
    assert decoded.encounter == "ACC1"
    assert decoded.beside is not None
    assert decoded.beside.encounter == "ACC9"
    assert decoded.beside.events == (SHE, Admission(NOON, Location()))


def test_the_field_that_numbers_visits_is_a_sites_choice() -> None:
    """PV1-19 names the encounter, or PID-18 where a site says so; never the one for want of the other."""
    data = adt("A01", PV1.format("I"), pid=ACCOUNT)
    assert (read(data).encounter, read(data, BY_ACCOUNT).encounter) == ("V9", "ACC9")
    assert read(adt("A01", "PV1|1|I|ICU", pid=ACCOUNT)).encounter == ""
    assert read(adt("A01", PV1.format("I")), BY_ACCOUNT).encounter == ""


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (adt("A45", "MRG|43^^^HOSP^MR||||V8", "PV1|1|I", "MRG|43^^^HOSP^MR||||V9", "PV1|1|I"), b"MRG^2|102^"),
        (adt("A47"), b"MRG^1|100^"),
        (adt("A44", 'MRG|""'), b"MRG^1^1^1|101^"),
        (adt("A47", "MRG|43", "MRG|44"), b"MRG^2^1^1|102^"),
        (adt("A29"), b"MSH^1^9^1^2|201^"),
    ],
)
def test_a_refusal_names_segment_field_and_reason(data: bytes, error: bytes) -> None:
    """Over MLLP the ERR of each refusal says where (ERL) and what (table 0357), and in words why."""
    refusal = decode(data, SETTINGS)
    assert isinstance(refusal, Refusal), refusal
    answer = acknowledge(data, refusal, now=0, control_id="1")
    assert b"\rERR||" + error in answer
    assert refusal.detail.encode() in answer


@pytest.mark.parametrize("trigger", [f"A{number:02d}" for number in range(1, 63)])
def test_every_trigger_is_read_or_refused_by_name(trigger: str) -> None:
    """Of the 62 trigger events of table 0003 those we read are read; any other is refused at MSH-9, never half-read."""
    second = ("PID|2||43^^^HOSP^MR", PV1.format("I").replace("ICU", "W2")) if trigger in {"A17", "A37"} else ()
    result = decode(
        adt(trigger, "MRG|43^^^HOSP^MR||ACC1||V1"[: 0 if second else None], PV1.format("I"), *second), SETTINGS
    )
    if trigger in TRIGGERS:
        assert isinstance(result, Decoded), result
        assert result.kind == f"ADT^{trigger}"
    else:
        assert isinstance(result, Refusal)
        assert (result.reason, result.position) == (RefusalReason.UNSUPPORTED_TYPE, "MSH-9")


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("microsoft/messages/ADT-A05-01.hl7", {Demographics}),
        ("microsoft/messages/ADT-A06-01.hl7", {Demographics, Admission}),
        ("microsoft/messages/ADT-A07-01.hl7", {Demographics, Admission}),
        ("cosyte/canonical/adt-a18-merge-deprecated.hl7", {Demographics, Merge}),
    ],
)
def test_what_others_wrote_is_read(shared_data: Path, name: str, events: set[type[Event]]) -> None:
    """Messages of these types that nobody here wrote become the same kinds of events."""
    for piece in split((shared_data / "hl7v2" / name).read_bytes()):
        result = decode_piece(piece, SETTINGS)
        assert isinstance(result, Decoded), result
        assert {type(event) for event in result.events} <= events | {Transfer}
        assert events <= {type(event) for event in result.events} | {Demographics}
