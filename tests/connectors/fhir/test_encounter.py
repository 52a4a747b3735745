"""Claims about reading Encounters."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connectors.decoded import Decoded, Refusal, RefusalReason
from connectors.fhir.codec import decode
from connectors.fhir.settings import FhirSettings
from events import Admission, Cancellation, Discharge, Event, Location, Transfer
from features.stay import Stay

SETTINGS = FhirSettings(server="ehr")
START, MOVE, END = "1970-01-01T00:00:01Z", "1970-01-01T00:00:02Z", "1970-01-01T00:00:03Z"


def decode_one(**fields: Any) -> Decoded | Refusal:
    resource = {
        "resourceType": "Encounter",
        "id": "e1",
        "status": "in-progress",
        "class": {"code": "IMP"},
        "subject": {"reference": "Patient/p1"},
        "period": {"start": START},
        **fields,
    }
    [result] = decode(msgspec.json.encode(resource), SETTINGS)
    return result


def events(**fields: Any) -> tuple[Event, ...]:
    result = decode_one(**fields)
    assert isinstance(result, Decoded), result
    assert result.encounter == "e1"
    return result.events


def at(display: str, **fields: Any) -> dict[str, Any]:
    return {"location": {"display": display}, **fields}


@pytest.mark.parametrize("status", ["arrived", "triaged", "in-progress", "onleave"])
def test_admission(status: str) -> None:
    """A stay under way is an admission at its start."""
    assert events(status=status, location=[at("W1")]) == (Admission(1000, Location(ward="W1"), "I"),)


@pytest.mark.parametrize("status", ["planned", "unknown"])
def test_nothing_yet(status: str) -> None:
    """A planned stay, and one of unknown status, is no event."""
    assert events(status=status) == ()


@pytest.mark.parametrize(("code", "letter"), [("AMB", "O"), ("EMER", "E"), ("ACUTE", "I"), ("I", "I"), ("ODD", "")])
def test_class(code: str, letter: str) -> None:
    """v3-ActCode maps to HL7 table 0004; what is unknown stays empty."""
    [admission] = events(**{"class": {"code": code}})
    assert isinstance(admission, Admission)
    assert admission.patient_class == letter


@pytest.mark.parametrize(("code", "deceased"), [("exp", True), ("20", True), ("home", False)])
def test_finished(code: str, deceased: bool) -> None:  # noqa: FBT001 - a parameter of the table
    """A finished stay is its admission and its discharge, with death by disposition."""
    disposition = {"dischargeDisposition": {"coding": [{"code": code}]}}
    found = events(status="finished", period={"start": START, "end": END}, hospitalization=disposition)
    assert found == (Admission(1000, Location(), "I"), Discharge(3000, code, deceased=deceased))


@pytest.mark.parametrize(("status", "only_it"), [("cancelled", True), ("entered-in-error", False)])
def test_cancellation(status: str, only_it: bool) -> None:  # noqa: FBT001 - a parameter of the table
    """A stay taken back cancels its admission; what never began, only its own."""
    assert events(status=status) == (Cancellation(1000, "admission", moved=only_it),)


def test_a_cancelled_appointment_ends_no_stay_that_no_number_names() -> None:
    """After a merge, or by a feed that numbers no visits, the stay is unnamed; a clinic's Encounter is not the stay."""
    [cancelled] = events(status="cancelled")
    retired = Stay()
    retired.admit(Admission(10, Location(ward="W1"), "I"), "of the retired number")
    merged, unnamed = Stay(), Stay()
    merged.absorb(retired)
    unnamed.admit(Admission(10, Location(ward="W1"), "I"))
    for stay in (merged, unnamed):
        stay.cancel(cancelled, "e1")
        assert (stay.admitted, stay.location.ward) == (True, "W1")
    own = Stay()
    own.admit(Admission(10, Location(ward="W1"), "I"), "e1")
    own.cancel(cancelled, "e1")
    assert not own.admitted


def test_transfers() -> None:
    """Places with periods are a path: the first holds at admission, each later one is a transfer at its start."""
    places = [at("W2", period={"start": MOVE}), at("W1", period={"start": START, "end": MOVE}, status="completed")]
    assert events(location=places) == (Admission(1000, Location(ward="W1"), "I"), Transfer(2000, Location(ward="W2")))


def test_active_place_wins() -> None:
    """Among places without a period the active one is where the patient is; planned ones do not count."""
    places = [at("W1", status="completed"), at("W2", status="active"), at("W3", status="planned"), at("W4")]
    assert events(location=places) == (Admission(1000, Location(ward="W2"), "I"),)


def test_physical_types() -> None:
    """The physicalType says which part of a place an entry names."""
    places = [
        at(name, physicalType={"coding": [{"code": code}]})
        for name, code in (("F", "si"), ("W", "wa"), ("R", "ro"), ("B", "bd"))
    ]
    assert events(location=places) == (Admission(1000, Location("W", "R", "B", "F"), "I"),)


def test_reference_names_a_place_without_display() -> None:
    """Without a display the reference's id names the ward."""
    assert events(location=[{"location": {"reference": "Location/w9"}}]) == (Admission(1000, Location("w9"), "I"),)


@pytest.mark.parametrize(
    ("fields", "position", "reason"),
    [
        ({"status": None}, "$.status", RefusalReason.MISSING_FIELD),
        ({"status": "done"}, "$.status", RefusalReason.INVALID_VALUE),
        ({"subject": None}, "$.subject", RefusalReason.MISSING_IDENTIFIER),
        ({"period": {}}, "$.period.start", RefusalReason.MISSING_FIELD),
        ({"period": {"start": "soon"}}, "$.period.start", RefusalReason.INVALID_TIME),
        ({"status": "finished"}, "$.period.end", RefusalReason.MISSING_FIELD),
        ({"class": ["IMP"]}, "$.class[0]", RefusalReason.INVALID_VALUE),
        (
            {"location": [at("W1", period={"start": "x"})]},
            "$.location[0].period.start",
            RefusalReason.INVALID_TIME,
        ),
    ],
)
def test_refusals(fields: dict[str, Any], position: str, reason: RefusalReason) -> None:
    """What cannot be read is refused where it stands."""
    result = decode_one(**fields)
    assert isinstance(result, Refusal)
    assert (result.position, result.reason) == (position, reason)


def test_time_of_sending_stands_in() -> None:
    """A stay without a start takes the time of sending, and says so."""
    result = decode_one(period=None, meta={"lastUpdated": MOVE})
    assert isinstance(result, Decoded)
    assert (result.event_time, result.notes) == (2000, ("event_time_from_sent_time",))
