"""Claims about ORU^R01 messages."""

from __future__ import annotations

import pytest

from connectors.decoded import Decoded, Refusal, RefusalReason
from connectors.hl7v2.codec import decode
from connectors.hl7v2.settings import Hl7Settings
from events import Correction, Demographics, Location, Observation, Transfer, from_iso

SETTINGS = Hl7Settings()
NOON = from_iso("2026-04-19T12:00:00Z")
W1 = Location("W1", "R", "B", "H")
OBR = "OBR|1|P1|F1|VITALS|||20260419115000"


def oru(
    *lines: str, obr: str = OBR, pid: str = "PID|1||42^^^HOSP^MR", control: str = "77", sent: str = "20260419120000"
) -> bytes:
    """Make an ORU sent at noon, observed ten minutes before."""
    header = f"MSH|^~\\&|LAB|MAIN|||{sent}||ORU^R01^ORU_R01|{control}|P|2.5"
    return "\r".join([line for line in (header, pid, obr, *lines) if line]).encode()


def read(data: bytes, settings: Hl7Settings = SETTINGS) -> Decoded:
    """Decode what must decode."""
    decoded = decode(data, settings)
    assert isinstance(decoded, Decoded), decoded
    return decoded


def one(obx: str, **more: str) -> Observation:
    """Read the one observation of a message with one OBX."""
    [event] = read(oru(obx, **more)).events
    assert isinstance(event, Observation), event
    return event


@pytest.mark.parametrize(
    ("kind", "field", "value", "comparator", "text"),
    [
        ("NM", "36.6", 36.6, "", ""),
        ("NM", " +72 ", 72.0, "", ""),
        ("NM", "-1.5", -1.5, "", ""),
        ("NM", "<0.1", 0.1, "<", ""),
        ("NM", "1e3", None, "", "1e3"),
        ("NM", "nan", None, "", "nan"),
        ("NM", "7,2", None, "", "7,2"),
        ("NM", "1_0", None, "", "1_0"),
        ("ST", "72", 72.0, "", ""),
        ("ST", ">= 90", 90.0, ">=", ""),
        ("ST", "1\\S\\128", None, "", "1^128"),
        ("TX", "Alert", None, "", "Alert"),
        ("TX", "line one~line two", None, "", "line one\nline two"),
        ("SN", ">^90", 90.0, ">", ""),
        ("SN", "^100", 100.0, "", ""),
        ("SN", "=^440", 440.0, "", ""),
        ("SN", "^100^-^200", None, "", "100-200"),
        ("SN", "^1^:^128", None, "", "1:128"),
        ("", "98", 98.0, "", ""),
        ("nm", "98", 98.0, "", ""),
    ],
)
def test_values(kind: str, field: str, value: float | None, comparator: str, text: str) -> None:
    """OBX-5 is read by its type; what is no number stays text, never a guess."""
    observation = one(f"OBX|1|{kind}|8867-4^Heart rate^LN||{field}|/min|||||F")
    assert (observation.value, observation.comparator, observation.text) == (value, comparator, text)


def test_empty_obx2_is_noted() -> None:
    """A value without a type is read as a number if it is one, and noted."""
    assert read(oru("OBX|1||8867-4^^LN||98")).notes == ("obx2_empty",)


@pytest.mark.parametrize(("field", "reason"), [("", "unknown"), ('""', "null")])
def test_absent_values(field: str, reason: str) -> None:
    """An empty value and HL7's explicit null are told apart, and neither is a number."""
    observation = one(f"OBX|1|NM|8867-4^^LN||{field}")
    assert (observation.value, observation.absent_reason) == (None, reason)


def test_documents_are_not_quoted() -> None:
    """Encapsulated data is told as unsupported and its content left out."""
    observation = one("OBX|1|ED|44249-1^^LN||A^AP^PDF^Base64^c2VjcmV0")
    assert (observation.text, observation.absent_reason) == ("", "unsupported")


def test_coded_answer() -> None:
    """A CWE gives all its codings and its text."""
    observation = one("OBX|1|CWE|67775-7^ACVPU^LN||LA9340-6^Alert^LN^A^alert^L")
    assert observation.answers == (("loinc", "LA9340-6"), ("L", "A"))
    assert (observation.text, observation.value) == ("Alert", None)


def test_codings() -> None:
    """OBX-3 gives both triplets under our system names, and an MDC label that is a reference id as a coding."""
    observation = one("OBX|1|NM|147842^MDC_ECG_HEART_RATE^MDC^8867-4^Heart rate^LN||72")
    assert observation.codings == (("mdc", "147842"), ("mdc", "MDC_ECG_HEART_RATE"), ("loinc", "8867-4"))
    assert one("OBX|1|NM|HR^Pulse^WelchAllyn||72").codings == (("WelchAllyn", "HR"),)


def test_unit_as_sent() -> None:
    """The unit is OBX-6's first component, escapes undone."""
    assert one("OBX|1|NM|8480-6^^LN||7|mg\\F\\dL^milligram^UCUM").unit == "mg|dL"


@pytest.mark.parametrize(
    ("obx14", "obr7", "expected", "notes"),
    [
        ("20260419113000", "20260419115000", "2026-04-19T11:30:00Z", ()),
        ("20260419133000.250+0200", "20260419115000", "2026-04-19T11:30:00.250Z", ()),
        ("", "20260419115000", "2026-04-19T11:50:00Z", ()),
        ("", "", "2026-04-19T12:00:00Z", ("time_from_message",)),
        ('""', '""', "2026-04-19T12:00:00Z", ("time_from_message",)),
        ("20260419", "", "2026-04-19T00:00:00Z", ("time_not_exact",)),
    ],
)
def test_event_time(obx14: str, obr7: str, expected: str, notes: tuple[str, ...]) -> None:
    """The time is OBX-14, else OBR-7, else MSH-7."""
    decoded = read(oru(f"OBX|1|NM|8867-4^^LN||72||||||F|||{obx14}", obr=f"OBR|1||F1||||{obr7}"))
    assert decoded.event_time == from_iso(expected)
    assert decoded.events[0].event_time == from_iso(expected)
    assert decoded.notes == notes


@pytest.mark.parametrize(
    ("message", "position"),
    [
        (oru("OBX|1|NM|8867-4^^LN||72||||||F|||02/03/2026"), "OBX[1]-14"),
        (oru("OBX|1|NM|8867-4^^LN||72", obr="OBR|1||F1||||20260230"), "OBR[1]-7"),
        (oru("OBX|1|NM|8867-4^^LN||72", sent="2026041925"), "MSH-7"),
    ],
)
def test_unreadable_time_refuses_the_message(message: bytes, position: str) -> None:
    """A time that cannot be read refuses the whole message, with its place: nothing is half-read."""
    refusal = decode(message, SETTINGS)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.position) == (RefusalReason.INVALID_TIME, position)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("F", "final"),
        ("", "final"),
        ("U", "final"),
        ("P", "preliminary"),
        ("R", "preliminary"),
        ("I", "preliminary"),
        ("?", "preliminary"),
    ],
)
def test_statuses(status: str, expected: str) -> None:
    """OBX-11 is read by table; an unknown status counts as unverified rather than not at all."""
    assert one(f"OBX|1|NM|8867-4^^LN||72||||||{status}").status == expected


@pytest.mark.parametrize(("status", "withdrawn"), [("C", False), ("D", True), ("W", True), ("X", True)])
def test_corrections_name_what_they_correct(status: str, withdrawn: bool) -> None:  # noqa: FBT001 - a table's column
    """A correction in a later message carries the id of the result it corrects."""
    first = one("OBX|1|NM|8867-4^^LN|s|72||||||F")
    [event] = read(oru(f"OBX|3|NM|8867-4^Heart rate^LN|s|74||||||{status}", control="78", sent="20260419130000")).events
    assert isinstance(event, Correction)
    assert event.withdrawn is withdrawn
    assert event.observation.observation_id == first.observation_id


def test_order_details_are_no_results() -> None:
    """OBX-11 `O` gives no observation, and a note."""
    decoded = read(oru("OBX|1|NM|8339-4^^LN||1769||||||O"))
    assert (decoded.events, decoded.notes) == ((), ("obx_order_detail",))


@pytest.mark.parametrize(
    "other",
    [
        oru("OBX|1|NM|9279-1^^LN||72"),
        oru("OBX|1|NM|8867-4^^LN|2|72"),
        oru("OBX|1|NM|8867-4^^LN||72", obr="OBR|1|P1|F2|VITALS|||20260419115000"),
        oru("OBX|1|NM|8867-4^^LN||72||||||F|||20260419115500"),
        oru("OBX|1|NM|8867-4^^LN||72").replace(b"|LAB|", b"|LIS|"),
    ],
)
def test_identity_tells_results_apart(other: bytes) -> None:
    """Another code, sub-id, order, time or feed is another result; a reused order number loses no value."""
    [event] = read(other).events
    assert isinstance(event, Observation)
    assert event.observation_id != one("OBX|1|NM|8867-4^^LN||72").observation_id


@pytest.mark.parametrize("obr", ["OBR|1||F1", "OBR|1||||"])
def test_identity_without_times_rests_on_the_message(obr: str) -> None:
    """Where results state no time, those of two messages are two results, one order number or none: never an update."""
    first, again, later = (one("OBX|1|NM|8867-4^^LN||72", obr=obr, sent=f"20260419{hour}0000") for hour in (12, 12, 18))
    assert first.observation_id == again.observation_id != later.observation_id


@pytest.mark.parametrize("obr", ["OBR|1||F1", "OBR|1||||"])
def test_one_control_id_for_all_loses_no_emergency(obr: str) -> None:
    """Equal results without times under one control id are two messages where MSH-7 differs, one where it does not."""
    first, again, later = (
        read(oru("OBX|1|NM|8867-4^^LN||150", obr=obr, control="1", sent=f"20260419{hour}0000")) for hour in (12, 12, 18)
    )
    assert first.content_hash == again.content_hash != later.content_hash


def test_order_number_from_orc() -> None:
    """ORC-3 stands in for an empty OBR-3."""
    with_orc = read(oru("OBR|1|||VITALS|||20260419115000", "OBX|1|NM|8867-4^^LN||72", obr="ORC|RE|P1|F1"))
    [event] = with_orc.events
    assert isinstance(event, Observation)
    assert event.observation_id == one("OBX|1|NM|8867-4^^LN||72").observation_id


def test_repetitions_are_results_of_their_own() -> None:
    """Each repetition of a number is an observation with its own id, the first with the plain one."""
    first, second = read(oru("OBX|1|NM|8867-4^^LN||60~120")).events
    assert isinstance(first, Observation)
    assert isinstance(second, Observation)
    assert (first.value, second.value) == (60.0, 120.0)
    assert first.observation_id == one("OBX|1|NM|8867-4^^LN||60").observation_id != second.observation_id


def test_same_identity_other_value() -> None:
    """Two OBX alike but for their values are two results; two quite alike are one, told twice."""
    decoded = read(oru("OBX|1|NM|8867-4^^LN||60", "OBX|2|NM|8867-4^^LN||60", "OBX|3|NM|8867-4^^LN||90"))
    ids = [event.observation_id for event in decoded.events if isinstance(event, Observation)]
    assert ids[0] == ids[1] != ids[2]
    assert decoded.notes == ("obx_same_identity",)


def test_qualifiers() -> None:
    """Method (OBX-17), site (OBX-20) and specimen (OBR-15, SPM-4) qualify a result."""
    obr = OBR + "|" * 8 + "BLDA&Blood arterial&HL70070"
    obx = "OBX|1|NM|2708-6^^LN||95||||||F||||||pulse^^L|||ear^^L"
    [event] = read(oru(obx, "SPM|1|||119297000^Blood^SCT", obr=obr)).events
    assert isinstance(event, Observation)
    expected = (("HL70070", "BLDA"), ("L", "pulse"), ("L", "ear"), ("snomed", "119297000"))
    assert event.qualifiers == expected


def test_specimen_stays_in_its_group() -> None:
    """A specimen qualifies the results of its own OBR only."""
    decoded = read(
        oru("OBX|1|NM|2708-6^^LN||95", "OBR|2||F2||||20260419115000", "OBX|1|NM|2708-6^^LN||90", "SPM|1|||B^^L")
    )
    assert [event.qualifiers for event in decoded.events if isinstance(event, Observation)] == [(), (("L", "B"),)]


def test_person_and_place() -> None:
    """PID-7/8 and PV1-3 of a result are told once, before the values, as of MSH-7; the place as told in passing."""
    decoded = read(
        oru("PV1|1|I|W1^R^B^H||||||||||||||||V7", "OBX|1|NM|8867-4^^LN||72", pid="PID|1||42^^^H^MR||||1950|F")
    )
    assert decoded.events[:2] == (Demographics(NOON, "1950", "female"), Transfer(NOON, W1, incidental=True))
    assert decoded.encounter == "V7"


def test_code_missing() -> None:
    """An OBX without any code is counted in the notes and gives no observation."""
    decoded = read(oru("OBX|1|TX|||Report", "OBX|2|NM|8867-4^^LN||72"))
    assert (len(decoded.events), decoded.notes) == (1, ("obx3_missing",))


@pytest.mark.parametrize("field", ["72", "~".join("1" * 20)])
def test_too_many_events(field: str) -> None:
    """More events than allowed refuse the message, whether they come as OBX or as repetitions."""
    message = oru(*[f"OBX|{number}|NM|8867-4^^LN|{number}|{field}" for number in range(12)])
    refusal = decode(message, Hl7Settings(events_max=10))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is RefusalReason.TOO_MANY_EVENTS


def test_two_patients_refuse_the_message() -> None:
    """A message about two patients is refused whole: half of it would land in the wrong chart."""
    refusal = decode(oru("OBX|1|NM|8867-4^^LN||72", "PID|2||43^^^HOSP^MR", OBR, "OBX|1|NM|8867-4^^LN||40"), SETTINGS)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.position) == (RefusalReason.INVALID_VALUE, "PID[2]-3")
