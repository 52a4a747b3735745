"""Code systems: FHIR's URIs and the short names that events use.

Owns the two-way table. Must not know what any code means.
"""

from __future__ import annotations

SHORT_NAMES: dict[str, str] = {
    "http://loinc.org": "loinc",
    "urn:iso:std:iso:11073:10101": "mdc",
    "http://snomed.info/sct": "snomed",
    "http://unitsofmeasure.org": "ucum",
}
"""https://hl7.org/fhir/R4/terminologies-systems.html; a system that is not here keeps its URI."""

URIS: dict[str, str] = {short: uri for uri, short in SHORT_NAMES.items()}

UCUM = "http://unitsofmeasure.org"


def uri_of(system: str) -> str:
    """Give the URI that FHIR wants for a system as events name it.

    >>> uri_of("loinc"), uri_of("urn:oid:1.2")
    ('http://loinc.org', 'urn:oid:1.2')
    """
    return URIS.get(system, system)
