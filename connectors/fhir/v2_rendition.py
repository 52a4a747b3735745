"""A decoded HL7 v2 message as the FHIR R4B resources that the HL7 v2-to-FHIR guide asks for.

Owns the writing direction from events: Patient, Encounter with its Locations, and Observations, as far as events keep
what a message said. Must not know HL7's bytes. What events do not keep (names, addresses, staff, orders) cannot be
here; docs/v2-to-fhir.md names each field of the guide with what becomes of it, and its tests hold both to the guide.

Source: the HL7 v2-to-FHIR Implementation Guide's maps PID[Patient], PV1[Encounter], OBX[Observation] and PL[Location].
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec

from connectors.decoded import Decoded, Identifier
from connectors.fhir.encounter_codes import CLASS_CODES
from connectors.fhir.render import render_bundle
from connectors.fhir.systems import UCUM, uri_of
from events import (
    Admission,
    Cancellation,
    Coding,
    Correction,
    Demographics,
    Discharge,
    Location,
    Merge,
    Observation,
    Transfer,
    to_iso,
)
from features.units import MEASURES

Resource = dict[str, Any]

OBSERVATION_STATUS = {
    "preliminary": "preliminary",
    "final": "final",
    "corrected": "corrected",
    "withdrawn": "entered-in-error",
}
"""`Observation.status` of an event to FHIR's (concept map ObservationResultStatusCodesInterpretation)."""
CLASS_STATUS = {"P": "planned", "U": "unknown"}
"""HL7 table 0004 to Encounter.status of who is admitted (PatientClass[EncounterStatus]); any other is in-progress."""
INTERPRETATIONS = frozenset(
    """
    < > A AA B CAR D DET E EX EXP H HH HU I IE IND L LL LU MS N NCL ND NEG NR NS POS R RR S SDD SYN-R SYN-S U UNE VS W
    WR
    """.split()  # noqa: SIM905 - 39 codes read better as text
)
"""HL7 table 0078, as much of it as v3-ObservationInterpretation has (concept map InterpretationCodes)."""
ABSENT_REASON = {"null": "unknown"}
"""Our reasons that data-absent-reason has no word for. HL7's explicit null says that there is no value, not why."""

_ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_CLASS_V2 = "http://terminology.hl7.org/CodeSystem/v2-0004"
_NULL_FLAVOR = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"
_IDENTIFIER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"
_DISPOSITION = "http://terminology.hl7.org/CodeSystem/v2-0112"
_AMBULATORY_STATUS = "http://terminology.hl7.org/CodeSystem/v2-0009"
_INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_INTERPRETATION_V2 = "http://terminology.hl7.org/CodeSystem/v2-0078"
_PHYSICAL_TYPE = "http://terminology.hl7.org/CodeSystem/location-physical-type"
_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_PREGNANT = {"coding": [{"system": _AMBULATORY_STATUS, "code": "B6"}]}
_PLACES = (("facility", "si"), ("ward", "wa"), ("room", "ro"), ("bed", "bd"))
"""The parts of a place, the wider first (PL[Location]); the guide leaves open how PL.1, a ward with us, is named."""


def render_message(decoded: Decoded) -> bytes:
    r"""Write what a message says as a Bundle (a collection) of R4B resources, the second patient of an A17 behind the
    first.

    >>> from connectors.hl7v2.codec import decode
    >>> from connectors.hl7v2.settings import Hl7Settings
    >>> message = b"MSH|^~\\&|L|M|||20260101120000||ORU^R01|7|P|2.5\rPID|1||42^^^HOSP^MR|||||F\rOBR|1||F1\r"
    >>> message += b"OBX|1|NM|8867-4^Heart rate^LN||72|/min|||||F|||20260101115900+0000"
    >>> bundle = render_message(decode(message, Hl7Settings()))
    >>> b'"gender":"female"' in bundle and b'"effectiveDateTime":"2026-01-01T11:59:00Z"' in bundle
    True
    """
    return render_bundle([msgspec.json.encode(resource) for resource in resources_of(decoded)])


def resources_of(decoded: Decoded) -> list[Resource]:
    """Give the resources of a message: Patient, then Locations and Encounter where it places or admits, then results.

    Ids are derived from the sender's identifiers, the visit number and the result's identity, so that the same patient,
    visit and result have the same id in each message. A merge taken back has no FHIR form and gives nothing.
    """
    patient = _patient(decoded)
    about: Resource = {"reference": f"Patient/{patient['id']}"}
    locations, encounter = _visit(decoded, about)
    resources = [patient, *locations]
    within: Resource = {}
    if encounter is not None:
        resources.append(encounter)
        within = {"encounter": {"reference": f"Encounter/{encounter['id']}"}}
    for event in decoded.events:
        if isinstance(event, Observation | Correction):
            result = event.observation if isinstance(event, Correction) else event
            resources.append(_observation(result, about, within))
    return resources if decoded.beside is None else resources + resources_of(decoded.beside)


def _id(*parts: str) -> str:
    return blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()


def _identifier(identifier: Identifier) -> Resource:
    """Write an identifier (CX[Identifier]): who gave it is an assigner, and its system where it is a URI."""
    written: Resource = {"value": identifier.value}
    if identifier.authority:
        if ":" in identifier.authority:
            written["system"] = identifier.authority
        written["assigner"] = {"type": "Organization", "identifier": {"value": identifier.authority}}
    return written


def _patient(decoded: Decoded) -> Resource:
    first = decoded.subject[0] if decoded.subject else Identifier("", "")
    patient: Resource = {"resourceType": "Patient", "id": _id("patient", first.authority, first.value)}
    if decoded.subject:
        patient["identifier"] = [_identifier(identifier) for identifier in decoded.subject]
    for event in decoded.events:
        if isinstance(event, Demographics):
            if event.sex is not None:
                patient["gender"] = event.sex
            if event.birth_date is not None:
                patient["birthDate"] = event.birth_date
            if event.deceased is not None:
                patient["deceasedBoolean"] = event.deceased
        elif isinstance(event, Discharge) and event.deceased:
            patient["deceasedBoolean"] = True
        elif isinstance(event, Merge):
            patient["link"] = [
                {"other": {"identifier": _identifier(retired)}, "type": "replaces"} for retired in decoded.retired
            ]
    return patient


def _visit(decoded: Decoded, about: Resource) -> tuple[list[Resource], Resource | None]:
    """Write the Encounter that a message opens, moves, ends or takes back; None where it says nothing of one."""
    encounter: Resource = {"resourceType": "Encounter", "id": _id("encounter", about["reference"], decoded.encounter)}
    encounter |= {"status": "in-progress", "class": {"system": _NULL_FLAVOR, "code": "UNK"}, "subject": about}
    place, place_status, said = Location(), "active", bool(decoded.encounter)
    if decoded.encounter:
        kind = {"coding": [{"system": _IDENTIFIER_TYPE, "code": "VN"}], "text": "visit number"}
        encounter["identifier"] = [{"type": kind, "value": decoded.encounter}]
    for event in decoded.events:
        if isinstance(event, Admission):
            place = event.location
            place_status = "planned" if event.patient_class == "P" else "active"
            encounter["status"] = CLASS_STATUS.get(event.patient_class, "in-progress")
            encounter["period"] = {"start": to_iso(event.event_time)}
            if event.patient_class:
                encounter["class"] = _class(event.patient_class)
        elif isinstance(event, Transfer):
            place = event.location
        elif isinstance(event, Discharge):
            encounter["status"] = "finished"
            encounter["period"] = {"end": to_iso(event.event_time)}
            if event.disposition:
                told = {"coding": [{"system": _DISPOSITION, "code": event.disposition}]}
                encounter["hospitalization"] = {"dischargeDisposition": told}
        elif isinstance(event, Cancellation):
            place = event.location
            encounter["status"] = "cancelled" if event.cancelled == "admission" else "in-progress"
        elif isinstance(event, Demographics) and event.pregnant:
            encounter.setdefault("hospitalization", {})["specialArrangement"] = [_PREGNANT]
        else:
            continue
        said = said or not isinstance(event, Demographics) or bool(event.pregnant)
    locations = _locations(place)
    if locations:
        innermost = {"reference": f"Location/{locations[-1]['id']}"}
        encounter["location"] = [{"location": innermost, "status": place_status}]
    return (locations, encounter) if said else ([], None)


def _class(letter: str) -> Resource:
    code = CLASS_CODES.get(letter)
    return {"system": _CLASS_V2, "code": letter} if code is None else {"system": _ACT_CODE, "code": code}


def _locations(place: Location) -> list[Resource]:
    """Write a place as Locations, the wider first, each part of the one before."""
    locations: list[Resource] = []
    path: list[str] = []
    for part, physical_type in _PLACES:
        name = getattr(place, part)
        path.append(name)
        if not name:
            continue
        location: Resource = {
            "resourceType": "Location",
            "id": _id("location", *path),
            "identifier": [{"value": name}],
            "mode": "instance",
            "physicalType": {"coding": [{"system": _PHYSICAL_TYPE, "code": physical_type}]},
        }
        if locations:
            location["partOf"] = {"reference": f"Location/{locations[-1]['id']}"}
        locations.append(location)
    return locations


def _codings(codings: tuple[Coding, ...]) -> list[Resource]:
    return [{"system": uri_of(system), "code": code} if system else {"code": code} for system, code in codings]


def _observation(event: Observation, about: Resource, within: Resource) -> Resource:
    observation: Resource = {
        "resourceType": "Observation",
        "id": f"{event.observation_id:x}",
        "status": OBSERVATION_STATUS[event.status],
        "code": {"coding": _codings(event.codings)},
        "subject": about,
        **within,
        "effectiveDateTime": to_iso(event.event_time),
    }
    if event.value is not None:
        observation["valueQuantity"] = _quantity(event)
    elif event.answers:
        answer: Resource = {"coding": _codings(event.answers)}
        if event.text and event.text != event.answers[0][1]:
            answer["text"] = event.text
        observation["valueCodeableConcept"] = answer
    elif event.text:
        observation["valueString"] = event.text
    elif event.absent_reason:
        reason = ABSENT_REASON.get(event.absent_reason, event.absent_reason)
        observation["dataAbsentReason"] = {"coding": [{"system": _ABSENT, "code": reason}]}
    return observation | _evidence(event)


def _evidence(event: Observation) -> Resource:
    """Write the sender's flags (OBX-8), who produced the result (OBX-15) and the first device (OBX-18)."""
    evidence: Resource = {}
    if event.interpretation:
        evidence["interpretation"] = [{"coding": [_interpretation(code)]} for code in event.interpretation]
    if event.producer is not None:
        system, code = event.producer
        named = {"system": uri_of(system), "value": code} if system else {"value": code}
        evidence["performer"] = [{"type": "Organization", "identifier": named}]
    if event.devices:
        evidence["device"] = {"type": "Device", "identifier": {"value": event.devices[0][1]}}
    return evidence


def _interpretation(code: str) -> Resource:
    return {"system": _INTERPRETATION if code in INTERPRETATIONS else _INTERPRETATION_V2, "code": code}


def _quantity(event: Observation) -> Resource:
    """Write a number: the unit as sent, and UCUM's code where it is one."""
    value = event.value
    assert value is not None  # asked by the caller
    quantity: Resource = {"value": int(value) if value == int(value) else value}
    if event.comparator:
        quantity["comparator"] = event.comparator
    if event.unit:
        quantity["unit"] = event.unit
        if event.unit in MEASURES:
            quantity |= {"system": UCUM, "code": event.unit}
    return quantity
