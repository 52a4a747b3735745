"""What stands in a FHIR resource, whatever is made of it: its type, elements, times without a zone, code names.

Owns the look at the JSON. Must not know what may be used: the codec judges. Names of types are held to FHIR's own
list, and names of elements to the form of one, so that nothing else is told.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from connectors.fhir.parse import KINDS
from connectors.fhir.resource_types import RESOURCE_TYPES
from connectors.fhir.systems import SHORT_NAMES
from events import Coding
from stream.conformance.er7 import NAME_CHARS_MAX, Look

READ: dict[str, frozenset[str]] = {
    kind: frozenset(shape.__struct_encode_fields__) for shape, kind in KINDS.items() if kind != "Bundle"
}
"""The elements that the codec looks at, by type; all others are kept in the bytes, unread."""
TIMES = ("effectiveDateTime", "effectiveInstant", "issued", "start", "end", "lastUpdated")
"""Elements that hold instants, here or one level below."""
NESTED = ("meta", "period", "effectivePeriod")
PARTS_MAX = 5_000
"""Components looked at of one resource."""

_ELEMENT = re.compile(r"[a-z][A-Za-z0-9]{0,63}")
_ZONE = re.compile(r"(Z|[+-]\d\d:\d\d)\Z")


def look(data: bytes) -> Look:
    """Look at one resource; of what is none, nothing.

    >>> seen = look(b'{"resourceType":"Observation","issued":"2026-01-01T12:00:00",'
    ...     b'"code":{"coding":[{"system":"http://loinc.org","code":"8867-4","display":"Heart rate"}]}}')
    >>> seen.kind, seen.fields, seen.zoneless, seen.names
    ('Observation', ('Observation.code', 'Observation.issued'), ('issued',), ((('loinc', '8867-4'), 'Heart rate'),))
    """
    try:
        found = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return Look()
    kind = found.get("resourceType") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(kind, str) or kind not in RESOURCE_TYPES:
        return Look()
    names = _named(found.get("code"))
    components = found.get("component")
    for component in components[:PARTS_MAX] if isinstance(components, list) else ():
        names += _named(component.get("code") if isinstance(component, dict) else None)
    return Look(
        kind=kind,
        fields=tuple(f"{kind}.{name}" for name in sorted(found) if name != "resourceType" and _ELEMENT.fullmatch(name)),
        zoneless=tuple(_zoneless(found)),
        names=tuple(names),
    )


def _zoneless(found: dict[str, Any]) -> list[str]:
    told = [name for name in TIMES if _is_zoneless(found.get(name))]
    for outer in NESTED:
        inner = found.get(outer)
        if isinstance(inner, dict):
            told += [f"{outer}.{name}" for name in TIMES if _is_zoneless(inner.get(name))]
    return told


def _is_zoneless(text: object) -> bool:
    return isinstance(text, str) and "T" in text and not _ZONE.search(text)


def _named(concept: object) -> list[tuple[Coding, str]]:
    """Give the first coding of a concept with what it is called."""
    if not isinstance(concept, dict):
        return []
    codings = concept.get("coding")
    for coding in codings if isinstance(codings, list) else ():
        if isinstance(coding, dict) and isinstance(code := coding.get("code"), str):
            system = coding.get("system")
            name = coding.get("display") or concept.get("text") or ""
            short = SHORT_NAMES.get(system, system) if isinstance(system, str) else ""
            return [((short, code), str(name)[:NAME_CHARS_MAX])]
    return []
