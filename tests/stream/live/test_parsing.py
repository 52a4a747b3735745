"""An ingest record is read by its topic's codec, and what is none of ours is refused with its reason and place."""

from __future__ import annotations

import json

import pytest

from connectors.decoded import Decoded, Refusal
from connectors.hl7v2.codec import decode
from events import Acknowledgement
from stream.live.parsing import ACKNOWLEDGEMENTS, FHIR, HL7, by_patient, read_item
from stream.live.stage import LogItem
from stream.parse import IDENTIFIERS_MAX, unusable
from stream.settings import Settings

ADT = b"MSH|^~\\&|PAS|MAIN|||20260101120000||ADT^A08|7|P|2.5\rEVN||20260101120000\rPID|1||42^^^HOSP^MR\r"
PATIENT = "0123456789abcdef" * 2
SAID = {"patient": PATIENT, "alert_id": "a-1", "actor": "nurse", "at": "2026-01-01T12:00:00Z"}
OBSERVATION = {
    "resourceType": "Observation",
    "id": "o1",
    "status": "final",
    "subject": {"reference": "Patient/p1"},
    "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
    "issued": "2026-01-01T12:00:00Z",
    "valueQuantity": {"value": 72, "unit": "bpm", "system": "http://unitsofmeasure.org", "code": "/min"},
}


def read(topic, value, *, key=b"WARD", headers=(), record_time=5):
    """Read one record."""
    return read_item(topic, 3, LogItem(7, key, value, headers, record_time), Settings())


def only(record):
    """Give what the one message of a record was read as."""
    [taken] = record.messages
    return taken.decoded


def said(**fields):
    """Give an acknowledgement's bytes."""
    return json.dumps({name: value for name, value in {**SAID, **fields}.items() if value is not None}).encode()


def test_an_hl7_record_is_read_as_the_gateway_reads_it():
    """The codec is the gateways' own, so that what was answered AA is understood here."""
    record = read(HL7, ADT)
    assert only(record) == decode(ADT, Settings().hl7)
    assert record.messages[0].position == "hl7v2.ingest.v1/3/7"


def test_the_two_patients_of_a_swap_have_places_of_their_own():
    """An A17 is one message, and parted it is two, which are resolved and recorded one by one."""
    swap = ADT.replace(b"A08", b"A17") + b"PV1||I|A^1^2\rPID|2||43^^^HOSP^MR\rPV1||I|A^1^1\r"
    record = read(HL7, swap)
    first, second = by_patient(record).messages
    assert only(record) == first.decoded == decode(swap, Settings().hl7)
    assert second.decoded == first.decoded.beside
    assert (first.position, second.position) == ("hl7v2.ingest.v1/3/7", "hl7v2.ingest.v1/3/7#2")


def test_a_swap_that_cannot_be_used_of_one_is_not_parted():
    """Its second patient is not moved where the first is refused, nor the other way round: it stays one dead letter."""
    many = "~".join(f"7^^^A{number}^MR" for number in range(IDENTIFIERS_MAX + 1)).encode()
    for first, second in ((many, b"43^^^HOSP^MR"), (b"42^^^HOSP^MR", many)):
        swap = ADT.replace(b"A08", b"A17").replace(b"42^^^HOSP^MR", first)
        record = read(HL7, swap + b"PV1||I|A^1^2\rPID|2||" + second + b"\rPV1||I|A^1^1\r")
        [taken] = by_patient(record).messages
        assert isinstance(taken.decoded, Decoded)
        assert unusable(taken.decoded) is not None


def test_what_is_of_one_patient_is_not_parted():
    """Any other message, and what is refused, stays as it is."""
    for value in (ADT, b"hello"):
        record = read(HL7, value)
        assert by_patient(record) == record


def test_the_gateway_says_when_a_message_was_taken():
    """Received time is the gateway's stamp, and the record's own time where there is none."""
    assert read(HL7, ADT, headers=(("ws_received", b"99"),)).received_time == 99
    assert read(HL7, ADT).received_time == 5


def test_each_entry_of_a_bundle_has_a_place_of_its_own():
    """A posted Bundle is one record; what cannot be used in it is refused beside what can."""
    broken = {**OBSERVATION, "status": "fnial"}
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": OBSERVATION}, {"resource": broken}],
    }
    good, bad = read(FHIR, json.dumps(bundle).encode()).messages
    assert (type(good.decoded), type(bad.decoded)) == (Decoded, Refusal)
    assert (good.position, bad.position) == ("fhir.ingest.v1/3/7#1", "fhir.ingest.v1/3/7#2")


def test_an_acknowledgement_is_of_the_patient_whom_it_names():
    """A ward system's acknowledgement carries the alert's patient key, alert id, actor and time."""
    [taken] = read(ACKNOWLEDGEMENTS, said()).messages
    assert taken.decoded.patient == PATIENT
    assert taken.decoded.events == (Acknowledgement(1_767_268_800_000, "a-1", "nurse"),)


def test_the_same_acknowledgement_in_other_words_is_the_same():
    """Order of fields and zone of the time are not content; another actor is."""
    one = only(read(ACKNOWLEDGEMENTS, said())).content_hash
    again = json.dumps({**dict(reversed(SAID.items())), "at": "2026-01-01T13:00:00+01:00"}).encode()
    assert only(read(ACKNOWLEDGEMENTS, again)).content_hash == one
    assert only(read(ACKNOWLEDGEMENTS, said(actor="doctor"))).content_hash != one


@pytest.mark.parametrize(
    ("value", "reason", "place"),
    [
        (b"{", "garbage", "$"),
        (b"[]", "invalid_value", "$"),
        (b"\xff\xfe", "garbage", "$"),
        (b"[" * 4_000, "invalid_value", "$"),
        (b" " * 5_000, "oversized", "$"),
        (said(patient="Doe, John"), "invalid_value", "$.patient"),
        (said(alert_id=""), "invalid_value", "$.alert_id"),
        (said(alert_id=None), "invalid_value", "$"),
        (said(other=1), "invalid_value", "$"),
        (said(at="yesterday"), "invalid_time", "$.at"),
        (said(at="2026-01-01T12:00:00"), "invalid_time", "$.at"),
        (said(at="0001-01-01T00:00:00Z"), "invalid_time", "$.at"),
    ],
)
def test_what_is_no_acknowledgement_is_refused(value, reason, place):
    """Each fault has its reason and place, and nothing of the content is quoted."""
    refusal = only(read(ACKNOWLEDGEMENTS, value))
    assert (refusal.reason, refusal.position, refusal.feed) == (reason, place, "WARD")
    assert "Doe" not in refusal.detail


@pytest.mark.parametrize(
    ("fields", "reason", "place"),
    [
        ({"key": None}, "missing_field", "record key"),
        ({"key": b""}, "missing_field", "record key"),
        ({"value": None}, "garbage", "byte 1"),
        ({"value": b""}, "garbage", "byte 1"),
        ({"headers": (("content-type", b"application/xml"),)}, "unsupported_message_type", "content-type"),
        ({"headers": (("ce_type", b"wardstream.hl7v2.ingest.v2"),)}, "unsupported_version", "ce_type"),
    ],
)
def test_a_record_that_is_none_of_the_topics_is_refused(fields, reason, place):
    """No key, no value, another format or another schema version: refused with that reason."""
    refusal = only(read(HL7, **{"value": ADT, **fields}))
    assert (refusal.reason, refusal.position) == (reason, place)


@pytest.mark.parametrize("kind", [b"", b"application/octet-stream", b"Application/HL7-v2; charset=utf-8"])
def test_an_engine_that_says_little_is_taken_at_the_topics_word(kind):
    """A content type that says nothing, or says it with parameters, refuses nothing."""
    assert type(only(read(HL7, ADT, headers=(("content-type", kind), ("ce_type", b"com.engine.adt"))))) is Decoded
