"""The guide's concept maps, code by code, beside what our codec and rendering make of each.

Owns which maps our fields use, and the message that carries a code. Must not know the page.
"""

from __future__ import annotations

from typing import Any

import msgspec

from connectors.decoded import Refusal
from connectors.hl7v2.codec import decode
from tests.v2_to_fhir.cases import SETTINGS, message_of, rendered, values_at
from tests.v2_to_fhir.guide import Guide
from tests.v2_to_fhir.review import REVIEWED


class Place(msgspec.Struct, frozen=True):
    """A concept map, the field that is read by it, and where its codes go."""

    map: str
    segment: str
    field: int
    resource: str
    path: str
    system: str = ""
    """Where the code's system goes; empty: an element bound to one code system has none."""


PLACES = (
    Place("AdministrativeSex", "PID", 8, "Patient", "gender"),
    Place("YesNoIndicator", "PID", 30, "Patient", "deceasedBoolean"),
    Place("PatientClass[EncounterClass]", "PV1", 2, "Encounter", "class.code", "class.system"),
    Place("PatientClass[EncounterStatus]", "PV1", 2, "Encounter", "status"),
    Place("Event[EncounterStatus]", "MSH", 9, "Encounter", "status"),
    Place(
        "AmbulatoryStatus",
        "PV1",
        15,
        "Encounter",
        "hospitalization.specialArrangement.coding.code",
        "hospitalization.specialArrangement.coding.system",
    ),
    Place("DischargeDisposition", "PV1", 36, "Encounter", "hospitalization.dischargeDisposition.coding.code"),
    Place(
        "InterpretationCodes",
        "OBX",
        8,
        "Observation",
        "interpretation.coding.code",
        "interpretation.coding.system",
    ),
    Place("ObservationResultStatusCodesInterpretation", "OBX", 11, "Observation", "status"),
)


class Compared(msgspec.Struct, frozen=True):
    """A code, what the guide maps it to (empty: to nothing), and what we write."""

    code: str
    guide: str
    ours: str
    agrees: bool
    why: str = ""
    """The reviewed reason, where it does not agree."""


def compare(place: Place, guide: Guide) -> list[Compared]:
    """Compare every code of a concept map."""
    return [_compared(place, code, target, system) for code, (target, system) in guide.concepts(place.map).items()]


def _compared(place: Place, code: str, target: str, system: str) -> Compared:
    message = _message(place, code)
    decoded = decode(message, SETTINGS)
    if isinstance(decoded, Refusal):
        ours, same_system = f"refused: {decoded.reason.value}", False
    else:
        resources = rendered(message)
        ours = _word(values_at(resources, place.resource, place.path))
        same_system = not place.system or values_at(resources, place.resource, place.system) == [system]
    agrees = bool(target) and ours == target and same_system
    reasons = REVIEWED.concepts.get(place.map, {})
    return Compared(code, target, ours, agrees, "" if agrees else reasons.get(code, reasons.get("*", "")))


def _message(place: Place, code: str) -> bytes:
    if place.segment == "MSH":
        return message_of({"PV1": {2: "I", 3: "W1"}}, "PV1").replace(b"ADT^A01", f"ADT^{code}".encode())
    return message_of({place.segment: {place.field: code}}, place.segment, ends=place.field == 36)


def _word(values: list[Any]) -> str:
    return ", ".join(str(value).lower() if isinstance(value, bool) else str(value) for value in values)
