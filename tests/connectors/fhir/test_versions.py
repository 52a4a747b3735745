"""Claims about reading R4, R4B and R5 alike: by shape, for hardly a server says which version it speaks."""

from __future__ import annotations

from typing import Any

import fhir.resources.encounter
import fhir.resources.observation
import msgspec
import pytest

from connectors.decoded import Decoded, Refusal
from connectors.fhir.codec import decode
from connectors.fhir.resource_types import RESOURCE_TYPES
from connectors.fhir.settings import FhirSettings
from events import Admission, Cancellation, Discharge, Event, Location, Observation, Transfer

SETTINGS = FhirSettings(server="ehr")
START, MOVE, END = "1970-01-01T00:00:01Z", "1970-01-01T00:00:02Z", "1970-01-01T00:00:03Z"
V3_ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
PLACE = "http://terminology.hl7.org/CodeSystem/location-physical-type"


def encounter(**fields: Any) -> dict[str, Any]:
    """An Encounter as R5 spells it; the published R5 model accepts it."""
    resource = {
        "resourceType": "Encounter",
        "id": "e1",
        "status": "in-progress",
        "class": [{"coding": [{"system": V3_ACT, "code": "IMP"}]}],
        "subject": {"reference": "Patient/p1"},
        "actualPeriod": {"start": START},
        **fields,
    }
    fhir.resources.encounter.Encounter.model_validate(resource)
    return resource


def read(resource: dict[str, Any]) -> Decoded:
    [result] = decode(msgspec.json.encode(resource), SETTINGS)
    assert isinstance(result, Decoded), result
    return result


def events(**fields: Any) -> tuple[Event, ...]:
    return read(encounter(**fields)).events


@pytest.mark.parametrize("status", ["in-progress", "on-hold"])
def test_r5_admission(status: str) -> None:
    """R5's class is a list, its period is `actualPeriod`: the same admission."""
    assert events(status=status) == (Admission(1000, Location(), "I"),)


def test_r5_class_of_several() -> None:
    """Of several classes the first that is known counts."""
    local = {"coding": [{"system": "urn:x", "code": "WARD"}]}
    emergency = {"text": "A&E", "coding": [{"system": V3_ACT, "code": "EMER"}]}
    assert events(**{"class": [local, emergency]}) == (Admission(1000, Location(), "E"),)
    assert events(**{"class": [{"text": "ward"}]}) == (Admission(1000, Location(), ""),)


@pytest.mark.parametrize("status", ["discharged", "completed", "discontinued"])
def test_r5_ends(status: str) -> None:
    """Each of R5's three words for an ended stay is its discharge, with death by disposition."""
    gone = {"dischargeDisposition": {"coding": [{"code": "exp"}]}}
    found = events(status=status, actualPeriod={"start": START, "end": END}, admission=gone)
    assert found == (Admission(1000, Location(), "I"), Discharge(3000, "exp", deceased=True))


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error"])
def test_r5_undone(status: str) -> None:
    """A stay that never was cancels its admission."""
    assert events(status=status) == (Cancellation(1000, "admission", moved=status == "cancelled"),)


def test_r5_places() -> None:
    """`form` is what R4 called `physicalType`."""
    bed = {"coding": [{"system": PLACE, "code": "bd"}]}
    ward = {"coding": [{"system": PLACE, "code": "wa"}]}
    places = [
        {"location": {"display": "W1"}, "form": ward, "period": {"start": START}},
        {"location": {"display": "B1"}, "form": bed, "period": {"start": START}},
        {"location": {"display": "W2"}, "form": ward, "period": {"start": MOVE}},
    ]
    first = Admission(1000, Location(ward="W1", bed="B1"), "I")
    assert events(location=places) == (first, Transfer(2000, Location(ward="W2")))


def test_r5_departed() -> None:
    """A subject that departed from a stay under way ends nothing by that: it is noted, and the patient watched."""
    departed = {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/encounter-subject-status", "code": "departed"}]
    }
    found = read(encounter(subjectStatus=departed))
    assert found.events == (Admission(1000, Location(), "I"),)
    assert found.notes == ("subject_departed",)
    ended = encounter(subjectStatus=departed, status="discharged", actualPeriod={"start": START, "end": END})
    assert read(ended).notes == ()


def test_r5_fault_names_its_own_field() -> None:
    """A time that is none is refused at the name that the sender used."""
    resource = encounter()
    resource["actualPeriod"] = {"start": "soon"}
    [result] = decode(msgspec.json.encode(resource), SETTINGS)
    assert isinstance(result, Refusal)
    assert result.position == "$.actualPeriod.start"


def test_r5_observation() -> None:
    """What R5 added to an Observation (triggeredBy, instantiates, bodyStructure) is passed over; the value counts."""
    resource = {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "instantiatesCanonical": "http://example.org/ObservationDefinition/pulse",
        "triggeredBy": [{"observation": {"reference": "Observation/o0"}, "type": "reflex"}],
        "bodyStructure": {"reference": "BodyStructure/b1"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": START,
        "valueQuantity": {"value": 72, "system": "http://unitsofmeasure.org", "code": "/min"},
    }
    fhir.resources.observation.Observation.model_validate(resource)
    [found] = read(resource).events
    assert isinstance(found, Observation)
    assert (found.value, found.unit, found.event_time) == (72.0, "/min", 1000)


def test_r5_resource_types() -> None:
    """Every resource type of R5 is known: understood, and nothing in it is for us."""
    for name in ("SubscriptionTopic", "Transport", "DeviceUsage", "EncounterHistory", "Permission"):
        assert name in RESOURCE_TYPES
        assert read({"resourceType": name, "id": "1"}).events == ()


def test_header_is_still_needed() -> None:
    """A name that no version of FHIR has is refused."""
    [result] = decode(b'{"resourceType":"Ward"}', SETTINGS)
    assert isinstance(result, Refusal)
    assert result.position == "$.resourceType"
