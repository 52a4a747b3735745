"""The parts of FHIR R4, R4B and R5 resources that we read, as typed shapes for msgspec.

Owns the shapes: of what a version spells otherwise each spelling, for hardly a server says which version it speaks.
Must not know what any of it means. Fields keep FHIR's own spelling; what is not named here is skipped
unread, so names, addresses and narrative never enter memory as values. Wrong types are refused with their path.
"""
# ruff: noqa: N815 - fields are spelt as FHIR spells them

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType


class Coding(msgspec.Struct, frozen=True, gc=False):
    """https://hl7.org/fhir/R4/datatypes.html#Coding."""

    system: str | None = None
    code: str | None = None


class CodeableConcept(msgspec.Struct, frozen=True):
    """https://hl7.org/fhir/R4/datatypes.html#CodeableConcept."""

    coding: list[Coding] | None = None
    text: str | None = None


class Quantity(msgspec.Struct, frozen=True, gc=False):
    """https://hl7.org/fhir/R4/datatypes.html#Quantity; the comparators are R4's."""

    value: float | None = None
    comparator: Literal["<", "<=", ">=", ">"] | None = None
    unit: str | None = None
    system: str | None = None
    code: str | None = None


class Range(msgspec.Struct, frozen=True):
    """https://hl7.org/fhir/R4/datatypes.html#Range."""

    low: Quantity | None = None
    high: Quantity | None = None


class Period(msgspec.Struct, frozen=True, gc=False):
    """https://hl7.org/fhir/R4/datatypes.html#Period."""

    start: str | None = None
    end: str | None = None


class Timing(msgspec.Struct, frozen=True):
    """https://hl7.org/fhir/R4/datatypes.html#Timing, its listed instants only."""

    event: list[str] | None = None


class Identifier(msgspec.Struct, frozen=True):
    """https://hl7.org/fhir/R4/datatypes.html#Identifier."""

    use: str | None = None
    type: CodeableConcept | None = None
    system: str | None = None
    value: str | None = None


class Reference(msgspec.Struct, frozen=True):
    """https://hl7.org/fhir/R4/references.html#Reference."""

    reference: str | None = None
    type: str | None = None
    identifier: Identifier | None = None
    display: str | None = None


class Meta(msgspec.Struct, frozen=True, gc=False):
    """https://hl7.org/fhir/R4/resource.html#Meta."""

    versionId: str | None = None
    lastUpdated: str | None = None
    security: list[Coding] | None = None


class Valued(msgspec.Struct, frozen=True):
    """The value[x] that an Observation and its components share (https://hl7.org/fhir/R4/observation.html)."""

    code: CodeableConcept | None = None
    valueQuantity: Quantity | None = None
    valueCodeableConcept: CodeableConcept | None = None
    valueString: str | None = None
    valueInteger: int | None = None
    valueBoolean: bool | None = None
    valueDateTime: str | None = None
    valueTime: str | None = None
    valueRange: Range | None = None
    valueRatio: Raw | UnsetType = UNSET
    valueSampledData: Raw | UnsetType = UNSET
    valuePeriod: Raw | UnsetType = UNSET
    dataAbsentReason: CodeableConcept | None = None
    interpretation: list[CodeableConcept] | CodeableConcept | None = None
    """A list since R4; one before, and where a server kept that."""


class Observation(Valued, frozen=True, tag_field="resourceType", tag="Observation"):
    """https://hl7.org/fhir/R4/observation.html."""

    id: str | None = None
    meta: Meta | None = None
    identifier: list[Identifier] | None = None
    status: (
        Literal[
            "registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error", "unknown"
        ]
        | None
    ) = None
    subject: Reference | None = None
    encounter: Reference | None = None
    effectiveDateTime: str | None = None
    effectiveInstant: str | None = None
    effectivePeriod: Period | None = None
    effectiveTiming: Timing | None = None
    issued: str | None = None
    bodySite: CodeableConcept | None = None
    method: CodeableConcept | None = None
    specimen: Reference | None = None
    device: Reference | None = None
    component: list[Valued] | None = None


class Link(msgspec.Struct, frozen=True):
    """Patient.link."""

    other: Reference
    type: Literal["replaced-by", "replaces", "refer", "seealso"]


class Patient(msgspec.Struct, frozen=True, tag_field="resourceType", tag="Patient"):
    """https://hl7.org/fhir/R4/patient.html, without name, address, telecom, contact and photo."""

    id: str | None = None
    meta: Meta | None = None
    identifier: list[Identifier] | None = None
    gender: Literal["male", "female", "other", "unknown"] | None = None
    birthDate: str | None = None
    deceasedBoolean: bool | None = None
    deceasedDateTime: str | None = None
    link: list[Link] | None = None
    extension: Raw | UnsetType = UNSET
    """Unread until a site asks for ethnicity (`connectors.fhir.ethnicity`)."""


class Stay(msgspec.Struct, frozen=True):
    """Encounter.location."""

    location: Reference | None = None
    status: Literal["planned", "active", "reserved", "completed"] | None = None
    physicalType: CodeableConcept | None = None
    form: CodeableConcept | None = None
    """R5's name of `physicalType`."""
    period: Period | None = None


class Hospitalization(msgspec.Struct, frozen=True):
    """Encounter.hospitalization; `admission` in R5."""

    dischargeDisposition: CodeableConcept | None = None


class Encounter(msgspec.Struct, frozen=True, tag_field="resourceType", tag="Encounter", rename={"class_": "class"}):
    """https://hl7.org/fhir/R4/encounter.html and https://hl7.org/fhir/R5/encounter.html."""

    id: str | None = None
    meta: Meta | None = None
    status: (
        Literal[
            "planned",
            "arrived",
            "triaged",
            "in-progress",
            "onleave",
            "on-hold",
            "discharged",
            "finished",
            "completed",
            "discontinued",
            "cancelled",
            "entered-in-error",
            "unknown",
        ]
        | None
    ) = None
    class_: Coding | list[CodeableConcept] | None = None
    """One Coding in R4, several concepts in R5."""
    subject: Reference | None = None
    subjectStatus: CodeableConcept | None = None
    period: Period | None = None
    actualPeriod: Period | None = None
    """R5's name of `period`."""
    hospitalization: Hospitalization | None = None
    admission: Hospitalization | None = None
    """R5's name of `hospitalization`."""
    location: list[Stay] | None = None


class Place(msgspec.Struct, frozen=True, tag_field="resourceType", tag="Location"):
    """https://hl7.org/fhir/R4/location.html, to name the places that an Encounter of the same Bundle refers to."""

    id: str | None = None
    meta: Meta | None = None
    identifier: list[Identifier] | None = None
    name: str | None = None
    physicalType: CodeableConcept | None = None
    form: CodeableConcept | None = None
    """R5's name of `physicalType`."""
    partOf: Reference | None = None


class Request(msgspec.Struct, frozen=True, gc=False):
    """Bundle.entry.request."""

    method: str | None = None
    url: str | None = None


class Entry(msgspec.Struct, frozen=True):
    """Bundle.entry; the resource stays bytes until its own turn."""

    fullUrl: str | None = None
    resource: Raw | UnsetType = UNSET
    request: Request | None = None


class Bundle(msgspec.Struct, frozen=True, tag_field="resourceType", tag="Bundle"):
    """https://hl7.org/fhir/R4/bundle.html."""

    id: str | None = None
    meta: Meta | None = None
    type: str | None = None
    timestamp: str | None = None
    entry: list[Raw] | None = None


class Header(msgspec.Struct, frozen=True):
    """What every resource has."""

    resourceType: str | None = None
    id: str | None = None
    meta: Meta | None = None


Resource = Observation | Patient | Encounter | Place | Bundle
"""The types whose content we read."""
