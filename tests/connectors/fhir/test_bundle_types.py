"""Claims about each type of Bundle: what of it is read, in which order, and that every entry is accounted for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connectors.decoded import Decoded, Refusal
from connectors.fhir.codec import decode
from connectors.fhir.settings import FhirSettings
from events import Admission, Correction, Demographics, Observation

SETTINGS = FhirSettings(server="ehr")
BASE = "http://ehr/fhir"


def observation(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2026-01-01T00:00:00Z",
        "issued": f"2026-01-01T00:0{number}:00Z",
        "valueQuantity": {"value": 70 + number, "system": "http://unitsofmeasure.org", "code": "/min"},
        **changes,
    }


PATIENT = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1950-01-01"}
R5_STAY = {
    "resourceType": "Encounter",
    "id": "e1",
    "status": "in-progress",
    "class": [{"coding": [{"code": "IMP"}]}],
    "subject": {"reference": "Patient/p1"},
    "actualPeriod": {"start": "2026-01-01T00:00:00Z"},
}


def entry(resource: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"fullUrl": f"{BASE}/{resource['resourceType']}/{resource.get('id')}", "resource": resource, **more}


def read(kind: str, *entries: dict[str, Any]) -> list[Decoded | Refusal]:
    return decode(msgspec.json.encode({"resourceType": "Bundle", "type": kind, "entry": list(entries)}), SETTINGS)


def values(results: list[Decoded | Refusal]) -> list[float | None]:
    events = [event for one in results if isinstance(one, Decoded) for event in one.events]
    return [event.value for event in events if isinstance(event, Observation)]


@pytest.mark.parametrize("kind", ["transaction", "batch"])
def test_what_is_to_be_done(kind: str) -> None:
    """POST and PUT carry resources, by whatever reference they meet; GET and DELETE carry none and are counted."""
    person = "urn:uuid:11111111-1111-4111-8111-111111111111"
    results = read(
        kind,
        {
            "resource": observation(1, id=None, subject={"reference": person}),
            "request": {"method": "POST", "url": "Observation", "ifNoneExist": "identifier=urn:x|1"},
        },
        {"fullUrl": person, "resource": PATIENT | {"id": None}, "request": {"method": "POST", "url": "Patient"}},
        entry(R5_STAY, request={"method": "PUT", "url": "Encounter/e1"}),
        {"request": {"method": "DELETE", "url": "Observation/o9"}},
        {"request": {"method": "GET", "url": "Observation?code=8867-4"}},
    )
    kinds = [type(one.events[0]) if isinstance(one, Decoded) and one.events else None for one in results]
    assert kinds == [Observation, Demographics, Admission, None, None]
    first, second = results[:2]
    assert isinstance(first, Decoded)
    assert isinstance(second, Decoded)
    assert first.subject == second.subject


@pytest.mark.parametrize("kind", ["transaction-response", "batch-response"])
def test_what_was_done(kind: str) -> None:
    """A server's answer may carry the resources as stored; an outcome alone holds nothing."""
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "invalid"}]}
    results = read(
        kind,
        entry(observation(1), response={"status": "201 Created"}),
        {"response": {"status": "400", "outcome": outcome}},
    )
    assert values(results) == [71.0]
    assert len(results) == 2


def test_a_message() -> None:
    """A MessageHeader comes first and holds nothing; what it announces is read in order."""
    header = {
        "resourceType": "MessageHeader",
        "id": "m1",
        "eventCoding": {"system": "urn:x", "code": "vitals"},
        "source": {"endpoint": "http://mon"},
        "focus": [{"reference": "Observation/o1"}],
    }
    results = read("message", entry(header), entry(observation(1)), entry(observation(2)), entry(PATIENT))
    assert values(results) == [71.0, 72.0]
    assert [one.kind for one in results if isinstance(one, Decoded)] == [
        "MessageHeader",
        "Observation",
        "Observation",
        "Patient",
    ]


def test_a_page_of_a_search() -> None:
    """Matches and what is included are read alike; the server's warning in an OperationOutcome holds nothing."""
    warning = {"resourceType": "OperationOutcome", "id": "w", "issue": [{"severity": "warning", "code": "processing"}]}
    results = read(
        "searchset",
        entry(observation(2), search={"mode": "match"}),
        entry(PATIENT, search={"mode": "include"}),
        entry(warning, search={"mode": "outcome"}),
    )
    assert values(results) == [72.0]
    assert all(isinstance(one, Decoded) for one in results)


def test_a_collection_keeps_its_order() -> None:
    """Without a rule of its own a Bundle is read as it stands."""
    assert values(read("collection", entry(observation(2)), entry(observation(1)))) == [72.0, 71.0]


def test_a_history_is_turned_round() -> None:
    """The newest version stands first and is handed on last: a correction follows what it corrects."""
    results = read(
        "history",
        entry(observation(1, status="corrected"), request={"method": "PUT", "url": "Observation/o1"}),
        entry(observation(1), request={"method": "POST", "url": "Observation"}),
    )
    assert [type(one.events[0]) for one in results if isinstance(one, Decoded)] == [Observation, Correction]


@pytest.mark.parametrize("kind", ["document", "subscription-notification", "of-our-own", None])
def test_any_other_type(kind: Any) -> None:
    """A type that asks for nothing of its own, and one that no FHIR has, are read as they stand: values are values."""
    assert values(read(kind, entry(observation(1)), entry(observation(2)))) == [71.0, 72.0]


@pytest.mark.parametrize(
    "kind", ["transaction", "batch", "message", "history", "searchset", "collection", "subscription-notification"]
)
def test_one_bad_entry_spoils_no_other(kind: str) -> None:
    """In each type what cannot be used is refused at its own place, and the rest is read."""
    bad = R5_STAY | {"actualPeriod": {"start": "soon"}}
    results = read(kind, entry(observation(1)), entry(bad), entry(observation(2)))
    assert sorted(value or 0 for value in values(results)) == [71.0, 72.0]
    [refused] = [one for one in results if isinstance(one, Refusal)]
    assert refused.position == "$.entry[1].resource.actualPeriod.start"
