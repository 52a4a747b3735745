"""A Patient's extensions that say his ethnicity, where a site records it.

Owns their URLs and shapes. Must not know the groups behind the codes (connectors/ethnicity.py), nor any other
extension.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Raw, UnsetType

from connectors.ethnicity import of_cdc, of_nhs
from connectors.fhir.wire import CodeableConcept, Coding
from events import Ethnicity

US_RACE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race"
US_ETHNICITY = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-ethnicity"
UK_CATEGORY = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-EthnicCategory"
OMB = "ombCategory"
CDC_SYSTEM = "urn:oid:2.16.840.1.113883.6.238"
ENGLAND_SYSTEM = "https://fhir.hl7.org.uk/CodeSystem/UKCore-EthnicCategoryEngland"
"""Of England; that of Wales has other codes, and is not read."""


class _Part(msgspec.Struct, frozen=True):
    """An extension within US Core's."""

    url: str = ""
    valueCoding: Coding | None = None  # noqa: N815 - as FHIR spells it


class _Extension(msgspec.Struct, frozen=True):
    url: str = ""
    extension: tuple[_Part, ...] = ()
    valueCodeableConcept: CodeableConcept | None = None  # noqa: N815 - as FHIR spells it


_decoder = msgspec.json.Decoder(tuple[_Extension, ...])


def ethnicity_of(extensions: Raw | UnsetType, notes: list[str]) -> Ethnicity | None:
    """Give what a Patient's extensions say; None where nothing, and noted where they cannot be read.

    US Core 3 to 8: `ombCategory` of race and ethnicity. UK Core: the ethnic category of England.

    >>> nothing: list[str] = []
    >>> ethnicity_of(Raw(b'[{"url":"%s","extension":[{"url":"ombCategory","valueCoding":{"system":"%s",'
    ...     b'"code":"2054-5"}}]}]' % (US_RACE.encode(), CDC_SYSTEM.encode())), nothing)
    'black'
    """
    if extensions is UNSET:
        return None
    try:
        found = _decoder.decode(extensions)
    except msgspec.DecodeError:
        # Who this is must not be lost with what only figures are given by.
        notes.append("ethnicity_unreadable")
        return None
    races, groups = (
        [
            part.valueCoding.code or ""
            for one in found
            if one.url == url
            for part in one.extension
            if part.url == OMB and part.valueCoding is not None and part.valueCoding.system == CDC_SYSTEM
        ]
        for url in (US_RACE, US_ETHNICITY)
    )
    categories = [
        coding.code or ""
        for one in found
        if one.url == UK_CATEGORY and one.valueCodeableConcept is not None
        for coding in one.valueCodeableConcept.coding or ()
        if coding.system == ENGLAND_SYSTEM
    ]
    return of_cdc(races, groups) or of_nhs(categories)
