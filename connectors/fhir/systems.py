"""Code systems: FHIR's URIs and the short names that events use.

Owns the two-way table, and the other names of the same systems. Must not know what any code means.
"""

from __future__ import annotations

SHORT_NAMES: dict[str, str] = {
    "http://loinc.org": "loinc",
    "urn:iso:std:iso:11073:10101": "mdc",
    "http://snomed.info/sct": "snomed",
    "http://unitsofmeasure.org": "ucum",
}
"""https://hl7.org/fhir/R4/terminologies-systems.html, whose URIs are the names that we write."""

URIS: dict[str, str] = {short: uri for uri, short in SHORT_NAMES.items()}

SHORT_NAMES |= {
    "urn:oid:2.16.840.1.113883.6.1": "loinc",
    "urn:oid:2.16.840.1.113883.6.24": "mdc",
    "urn:oid:2.16.840.1.113883.6.96": "snomed",
    "urn:oid:2.16.840.1.113883.6.8": "ucum",
}
"""The systems' OIDs on the same page: what converters of CDA documents write. A system that is not here keeps its
URI."""

UCUM = "http://unitsofmeasure.org"
UCUM_NAMES = frozenset(uri for uri, short in SHORT_NAMES.items() if short == "ucum")


def uri_of(system: str) -> str:
    """Give the URI that FHIR wants for a system as events name it.

    >>> uri_of("loinc"), uri_of("urn:oid:1.2")
    ('http://loinc.org', 'urn:oid:1.2')
    """
    return URIS.get(system, system)
