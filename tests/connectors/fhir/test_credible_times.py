"""Every place where a time enters from FHIR is held to the same years as HL7 v2."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connectors.decoded import Decoded, Refusal, RefusalReason
from connectors.fhir.codec import decode
from connectors.fhir.settings import FhirSettings
from events import Demographics

SETTINGS = FhirSettings()
NEVER = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "9999-12-31")
NOON = "2026-03-01T12:00:00Z"
OBSERVATION = {
    "resourceType": "Observation",
    "id": "o",
    "status": "final",
    "subject": {"reference": "Patient/p"},
    "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
    "valueQuantity": {"value": 72, "code": "/min"},
    "issued": NOON,
}
PATIENT = {"resourceType": "Patient", "id": "p", "meta": {"lastUpdated": NOON}}
ENCOUNTER = {
    "resourceType": "Encounter",
    "id": "e",
    "status": "finished",
    "subject": {"reference": "Patient/p"},
    "meta": {"lastUpdated": NOON},
    "period": {"start": NOON, "end": NOON},
}
WARD = {"display": "W"}


def read(resource: dict[str, Any]) -> Decoded | Refusal:
    [result] = decode(msgspec.json.encode(resource), SETTINGS)
    return result


@pytest.mark.parametrize("at", NEVER)
@pytest.mark.parametrize(
    ("resource", "position"),
    [
        ({**OBSERVATION, "effectiveDateTime": ...}, "$.effectiveDateTime"),
        ({**OBSERVATION, "effectiveInstant": ...}, "$.effectiveInstant"),
        ({**OBSERVATION, "effectivePeriod": {"start": NOON, "end": ...}}, "$.effectivePeriod.end"),
        ({**OBSERVATION, "effectivePeriod": {"start": ...}}, "$.effectivePeriod.start"),
        ({**OBSERVATION, "effectiveTiming": {"event": [NOON, ...]}}, "$.effectiveTiming.event"),
        ({**OBSERVATION, "issued": ...}, "$.issued"),
        ({**PATIENT, "meta": {"lastUpdated": ...}}, "$.meta.lastUpdated"),
        ({**PATIENT, "deceasedDateTime": ...}, "$.deceasedDateTime"),
        ({**ENCOUNTER, "period": {"start": ..., "end": NOON}}, "$.period.start"),
        ({**ENCOUNTER, "period": {"start": NOON, "end": ...}}, "$.period.end"),
        ({**ENCOUNTER, "location": [{"location": WARD, "period": {"start": ...}}]}, "$.location[0].period.start"),
    ],
)
def test_no_time_of_any_kind_lies_outside_the_years(resource: dict[str, Any], position: str, at: str) -> None:
    """A time outside 1850 to 2200 refuses its resource as `invalid_time`, at its place."""
    data = msgspec.json.encode(resource, enc_hook=lambda _: at)
    [result] = decode(data, SETTINGS)
    assert isinstance(result, Refusal)
    assert (result.reason, result.position) == (RefusalReason.INVALID_TIME, position)


@pytest.mark.parametrize("at", NEVER)
def test_a_bundle_stamped_never_gives_its_entries_no_time(at: str) -> None:
    """Bundle.timestamp only stands in for times that entries lack: outside the years it does not."""
    entry = {"resource": {**OBSERVATION, "issued": None, "effectiveDateTime": NOON}}
    result = read({"resourceType": "Bundle", "type": "collection", "timestamp": at, "entry": [entry]})
    assert isinstance(result, Decoded)
    assert result.sent_time is None


@pytest.mark.parametrize("born", ["0001-01-01", "9999-12-31", "1849"])
def test_an_incredible_birth_date_costs_only_itself(born: str) -> None:
    """A placeholder for a date of birth is noted and left out; who the patient is stays known."""
    result = read({**PATIENT, "birthDate": born, "gender": "female"})
    assert isinstance(result, Decoded)
    [said] = result.events
    assert isinstance(said, Demographics)
    assert (said.birth_date, said.sex, result.notes) == (None, "female", ("birth_date_unreadable",))
