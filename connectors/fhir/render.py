"""Events' plain values to FHIR R4/R4B JSON: Patient, Encounter, Observation, Bundle.

Owns the writing direction that the simulated hospital and the importers use. Must not know alerts (see `alert`), nor
how bytes travel. What is written here, `codec.decode` reads back unchanged; a test holds both to that law.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import msgspec

from connectors.decoded import Identifier
from connectors.fhir.encounter_codes import CLASS_CODES, DEPARTURE_CODES, PHYSICAL_TYPES
from connectors.fhir.systems import UCUM, uri_of
from events import Coding, Location, Millis, to_iso

Value = float | Coding | str | None
"""A number, a coded answer, a text, or None for a value that is not known."""
Component = tuple[Sequence[Coding], Value, str]
"""(codings, value, UCUM unit) of one component of a panel."""

_encode = msgspec.json.Encoder().encode

PIECES_REMEMBERED_MAX = 8_192
"""Codes, values and times kept as JSON, each: the whole vital signs of a hospital are some thousands; some 3 MB."""

_iso = lru_cache(maxsize=PIECES_REMEMBERED_MAX)(to_iso)

_MEDICAL_RECORD = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}
_DISPOSITION_SYSTEM = "http://terminology.hl7.org/CodeSystem/discharge-disposition"
_DISPOSITION_SYSTEM_V2 = "http://terminology.hl7.org/CodeSystem/v2-0112"
_ABSENT_SYSTEM = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_CLASS_SYSTEM = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_PHYSICAL_TYPE_SYSTEM = "http://terminology.hl7.org/CodeSystem/location-physical-type"


def render_patient(
    *,
    patient: Identifier,
    patient_id: str,
    birth_date: str | None,
    sex: str | None,
    deceased: bool | None,
    last_updated: Millis,
    deceased_time: Millis | None = None,
) -> bytes:
    """Write a Patient whose medical record number is `patient` (authority as `system`, so it decodes to itself).

    `deceased_time` writes deceasedDateTime in place of deceasedBoolean.

    >>> b'"birthDate":"1942-09-02"' in render_patient(
    ...     patient=Identifier("HOSP", "1"), patient_id="p1", birth_date="1942-09-02", sex="female", deceased=None,
    ...     last_updated=0)
    True
    """
    resource: dict[str, Any] = {
        "resourceType": "Patient",
        "id": patient_id,
        "meta": {"lastUpdated": to_iso(last_updated)},
        "identifier": [{"type": _MEDICAL_RECORD, "system": patient.authority, "value": patient.value}],
    }
    if sex is not None:
        resource["gender"] = sex
    if birth_date is not None:
        resource["birthDate"] = birth_date
    if deceased_time is not None:
        resource["deceasedDateTime"] = to_iso(deceased_time)
    elif deceased is not None:
        resource["deceasedBoolean"] = deceased
    return _encode(resource)


def render_encounter(
    *,
    encounter_id: str,
    patient_id: str,
    status: str,
    location: Location,
    start: Millis,
    end: Millis | None,
    patient_class: str,
    disposition: str,
    last_updated: Millis,
    location_start: Millis | None = None,
) -> bytes:
    """Write an Encounter. `status` is FHIR's (`in-progress`, `finished`, ...), `patient_class` HL7 table 0004 (I, E,
    O).

    The parts of `location` become one Encounter.location each, told apart by physicalType. `location_start`, later than
    `start`, says that the patient moved there then: it decodes to a Transfer. Without it the place is where the stay
    began.

    >>> data = render_encounter(encounter_id="e1", patient_id="p1", status="in-progress", location=Location(ward="W1"),
    ...     start=0, end=None, patient_class="I", disposition="", last_updated=0)
    >>> b'"code":"IMP"' in data and b'"display":"W1"' in data
    True
    """
    period = {"start": to_iso(start)}
    if end is not None:
        period["end"] = to_iso(end)
    resource: dict[str, Any] = {
        "resourceType": "Encounter",
        "id": encounter_id,
        "meta": {"lastUpdated": to_iso(last_updated)},
        "status": status,
        "class": {"system": _CLASS_SYSTEM, "code": CLASS_CODES.get(patient_class, patient_class or "IMP")},
        "subject": {"reference": f"Patient/{patient_id}"},
        "period": period,
    }
    places = _places(location, "completed" if end is not None else "active", location_start)
    if places:
        resource["location"] = places
    if disposition:
        system = _DISPOSITION_SYSTEM if disposition in DEPARTURE_CODES else _DISPOSITION_SYSTEM_V2
        coding = {"system": system, "code": disposition}
        resource["hospitalization"] = {"dischargeDisposition": {"coding": [coding]}}
    return _encode(resource)


def render_observation(
    *,
    observation_id: str,
    patient_id: str,
    encounter_id: str,
    codings: Sequence[Coding],
    value: Value,
    unit: str,
    event_time: Millis,
    issued: Millis,
    status: str,
    components: Sequence[Component] = (),
) -> bytes:
    """Write an Observation. `status` is FHIR's (`final`, `corrected`, `entered-in-error`, ...), `unit` is UCUM.

    A value of None is written as dataAbsentReason `unknown`, except on a panel whose components carry the values.

    >>> data = render_observation(observation_id="o1", patient_id="p1", encounter_id="e1",
    ...     codings=[("loinc", "8867-4")], value=72.0, unit="/min", event_time=0, issued=0, status="final")
    >>> b'"value":72,' in data
    True
    """
    resource: dict[str, Any] = {
        "resourceType": "Observation",
        "id": observation_id,
        "meta": {"lastUpdated": _iso(issued)},
        "status": status,
        "code": _code(tuple(codings)),
        "subject": {"reference": f"Patient/{patient_id}"},
        "effectiveDateTime": _iso(event_time),
        "issued": _iso(issued),
    }
    if encounter_id:
        resource["encounter"] = {"reference": f"Encounter/{encounter_id}"}
    if value is not None or not components:
        resource.update(_value(value, unit))
    if components:
        resource["component"] = [
            {"code": _code(tuple(part_codings)), **_value(part_value, part_unit)}
            for part_codings, part_value, part_unit in components
        ]
    return _encode(resource)


def render_bundle(
    entries: Sequence[bytes],
    type: Literal["collection", "history", "searchset", "message", "batch", "transaction"] = "collection",  # noqa: A002 - FHIR's own word for it
) -> bytes:
    """Wrap resources, each as rendered above, in a Bundle; batch and transaction entries become PUTs.

    >>> render_bundle([])
    b'{"resourceType":"Bundle","type":"collection"}'
    """
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": type}
    if entries:
        bundle["entry"] = [_entry(entry, with_request=type in ("batch", "transaction", "history")) for entry in entries]
    return _encode(bundle)


class _Named(msgspec.Struct, frozen=True):
    resourceType: str  # noqa: N815 - FHIR's own spelling
    id: str


_decode_named = msgspec.json.Decoder(_Named).decode


def _entry(data: bytes, *, with_request: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"resource": msgspec.Raw(data)}
    if with_request:
        named = _decode_named(data)
        entry["request"] = {"method": "PUT", "url": f"{named.resourceType}/{named.id}"}
    return entry


def _codings(codings: Sequence[Coding]) -> list[dict[str, str]]:
    return [{"system": uri_of(system), "code": code} for system, code in codings]


def _value(value: Value, unit: str) -> dict[str, Any]:
    if value is None:
        return {"dataAbsentReason": {"coding": [{"system": _ABSENT_SYSTEM, "code": "unknown"}]}}
    if isinstance(value, str):
        return {"valueString": value}
    if isinstance(value, tuple):
        return {"valueCodeableConcept": {"coding": _codings([value])}}
    return {"valueQuantity": _quantity(value, unit)}


@lru_cache(maxsize=PIECES_REMEMBERED_MAX)
def _quantity(value: float, unit: str) -> msgspec.Raw:
    number = int(value) if value == int(value) else value
    quantity: dict[str, Any] = {"value": number}
    if unit:
        quantity |= {"unit": unit, "system": UCUM, "code": unit}
    return msgspec.Raw(_encode(quantity))


@lru_cache(maxsize=PIECES_REMEMBERED_MAX)
def _code(codings: tuple[Coding, ...]) -> msgspec.Raw:
    return msgspec.Raw(_encode({"coding": _codings(codings)}))


def _places(location: Location, status: str, start: Millis | None) -> list[dict[str, Any]]:
    places: list[dict[str, Any]] = []
    for code, part in PHYSICAL_TYPES.items():
        name = getattr(location, part)
        if not name:
            continue
        place: dict[str, Any] = {
            "location": {"display": name},
            "status": status,
            "physicalType": {"coding": [{"system": _PHYSICAL_TYPE_SYSTEM, "code": code}]},
        }
        if start is not None:
            place["period"] = {"start": to_iso(start)}
        places.append(place)
    return places
