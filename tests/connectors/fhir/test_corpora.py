"""Contracts over real bundles: our thin reader agrees with fhir.resources.R4B wherever that can read."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.encounter import Encounter
from fhir.resources.R4B.observation import Observation as Validated
from fhir.resources.R4B.patient import Patient
from pydantic import ValidationError

from connectors.decoded import Decoded, Refusal
from connectors.fhir.codec import decode
from connectors.fhir.observation import STATUSES
from connectors.fhir.settings import FhirSettings
from connectors.fhir.systems import SHORT_NAMES, UCUM
from events import Admission, Correction, Demographics, Discharge, Observation

SETTINGS = FhirSettings(server="ehr")
FILES = (
    "fhir/subscriptions/r4/*.json",
    "v2-to-fhir/samples/fhir-bundles/*.json",
    "hl7v2/microsoft/expected_fhir/*/*.json",
)


@pytest.fixture(scope="module")
def synthea(shared_data: Path) -> list[bytes]:
    with tarfile.open(shared_data / "fhir" / "synthea" / "bundles.tar.xz") as packed:
        files = [packed.extractfile(member) for member in packed if member.isfile()]
        return [file.read() for file in files if file is not None]


@pytest.fixture(scope="module")
def singles(shared_data: Path) -> list[bytes]:
    return [path.read_bytes() for pattern in FILES for path in sorted(shared_data.glob(pattern))]


def resources(data: bytes) -> Iterator[dict[str, Any]]:
    try:
        document = json.loads(data)
    except ValueError:
        return
    if document.get("resourceType") == "Bundle":
        for entry in document.get("entry", ()):
            yield entry["resource"]
    else:
        yield document


def pairs(data: bytes, kind: str) -> Iterator[tuple[dict[str, Any], Decoded | Refusal]]:
    """Pair each resource of a kind with what we made of it; none of these files is a history of versions."""
    wanted = list(resources(data))
    results = decode(data, SETTINGS)
    if len(results) != len(wanted):
        assert not wanted
        return
    for resource, result in zip(wanted, results, strict=True):
        if resource.get("resourceType") == kind:
            yield resource, result


def millis(value: datetime | date | None) -> int | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    return (value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def codings(concept: Any) -> tuple[tuple[str, str], ...]:
    listed = (concept.coding if concept is not None else None) or ()
    return tuple((SHORT_NAMES.get(one.system, one.system) or "", one.code) for one in listed if one.code)


def unit_of(quantity: Any) -> str:
    return (quantity.code if quantity.system == UCUM else None) or quantity.unit or quantity.code or ""


def agree(event: Observation, valued: Any, status: str) -> None:
    """Hold one event to one validated value[x]."""
    assert event.codings == codings(valued.code)
    assert event.status == STATUSES[status]
    if valued.valueQuantity is not None:
        assert event.value == float(valued.valueQuantity.value)
        assert event.unit == unit_of(valued.valueQuantity)
        assert event.comparator == (valued.valueQuantity.comparator or "")
    elif valued.valueCodeableConcept is not None:
        assert event.answers == codings(valued.valueCodeableConcept)
        assert event.value is None
    elif valued.valueInteger is not None:
        assert event.value == valued.valueInteger
    elif valued.valueString is not None:
        assert event.text == valued.valueString[:200]
    if valued.dataAbsentReason is not None:
        assert event.absent_reason


def says_something(valued: Any) -> bool:
    """Tell whether a validated value[x] is of a kind that gives an event."""
    if valued.valueQuantity is not None and valued.valueQuantity.value is not None:
        return True
    kinds = ("CodeableConcept", "Integer", "String", "Boolean", "DateTime", "Time")
    return valued.dataAbsentReason is not None or any(getattr(valued, f"value{kind}") is not None for kind in kinds)


def hold_observation(resource: dict[str, Any], result: Decoded) -> int:
    """Compare an Observation with its validated form; give the number of events compared."""
    valid = Validated.model_validate(resource)
    events = [event.observation if isinstance(event, Correction) else event for event in result.events]
    parts = [part for part in (valid, *(valid.component or ())) if says_something(part)]
    if valid.status in ("cancelled", "entered-in-error"):
        assert len(events) >= len(parts)
        return 0
    for event, part in zip(events, parts, strict=True):
        assert isinstance(event, Observation)
        agree(event, part, valid.status)
    effective = valid.effectiveDateTime or valid.effectiveInstant
    if effective is None and valid.effectivePeriod is not None:
        effective = valid.effectivePeriod.end or valid.effectivePeriod.start
    last_updated = valid.meta.lastUpdated if valid.meta is not None else None
    if effective is not None or valid.issued is not None:
        assert result.event_time == millis(effective or valid.issued)
    if valid.issued is not None or last_updated is not None:
        assert result.sent_time == millis(valid.issued or last_updated)
    if valid.subject.reference.startswith(("Patient/", "urn:uuid:")):
        value = valid.subject.reference.replace("urn:uuid:", "Patient/").partition("/")[2]
        assert ("ehr/Patient", value) in [(one.authority, one.value) for one in result.subject]
    return len(parts)


def test_observations_agree(synthea: list[bytes], singles: list[bytes]) -> None:
    """Values, codes, units, status, times and subject of every Observation are as fhir.resources reads them."""
    compared = invalid = 0
    for data in synthea + singles:
        for resource, result in pairs(data, "Observation"):
            if isinstance(result, Refusal):
                assert resource.get("subject") in (None, {"reference": "#newborn"})
                continue
            try:
                compared += hold_observation(resource, result)
            except ValidationError:
                invalid += 1
    assert compared > 4_700
    assert invalid < 40


def test_patients_agree(synthea: list[bytes], singles: list[bytes]) -> None:
    """Birth date, sex and death of every Patient are as fhir.resources reads them."""
    compared = 0
    for data in synthea + singles:
        for resource, result in pairs(data, "Patient"):
            try:
                valid = Patient.model_validate(resource)
            except ValidationError:
                continue
            assert isinstance(result, Decoded)
            first, *others = result.events
            assert isinstance(first, Demographics)
            assert first.birth_date == resource.get("birthDate")
            assert (first.sex, first.deceased) == (valid.gender, valid.deceasedBoolean)
            if valid.deceasedDateTime is not None:
                assert [event.event_time for event in others if isinstance(event, Demographics)] == [
                    millis(valid.deceasedDateTime)
                ]
            compared += 1
    assert compared > 80


def test_encounters_agree(synthea: list[bytes], singles: list[bytes]) -> None:
    """Start, end and class of every Encounter are as fhir.resources reads them."""
    compared = 0
    for data in synthea + singles:
        for resource, result in pairs(data, "Encounter"):
            if isinstance(result, Refusal):
                assert "subject" not in resource
                continue
            try:
                valid = Encounter.model_validate(resource)
            except ValidationError:
                continue
            for event in result.events:
                if isinstance(event, Admission) and valid.period is not None and valid.period.start is not None:
                    assert event.event_time == millis(valid.period.start)
                    compared += 1
                if isinstance(event, Discharge) and valid.period is not None and valid.period.end is not None:
                    assert event.event_time == millis(valid.period.end)
    assert compared > 80


def test_every_synthea_entry_is_used_or_understood(synthea: list[bytes]) -> None:
    """No entry of the 60 shared patients is refused, and each of its clinical resources gives events."""
    assert len(synthea) == 60
    for data in synthea:
        results = decode(data, SETTINGS)
        assert len(results) == sum(1 for _ in resources(data))
        for result in results:
            assert isinstance(result, Decoded)
            assert bool(result.events) == (result.kind in ("Patient", "Encounter", "Observation"))


def test_every_file_is_accounted_for(singles: list[bytes]) -> None:
    """Every other FHIR file gives a result for each of its resources; what is refused is known by name."""
    assert len(singles) > 40
    refused: dict[tuple[str, str], int] = {}
    for data in singles:
        results = decode(data, SETTINGS)
        assert len(results) == (sum(1 for _ in resources(data)) or 1)
        for result in results:
            if isinstance(result, Refusal):
                key = (str(result.reason), result.position.rpartition(".resource")[2])
                refused[key] = refused.get(key, 0) + 1
    assert refused == {
        ("missing_identifier", "$.subject.reference"): 1,  # an Apgar score of a contained newborn
        ("missing_identifier", ".subject"): 2,  # a sample whose Encounter and Observation name nobody
        ("garbage", "byte 0"): 1,  # XML under a name that ends in .json
    }
