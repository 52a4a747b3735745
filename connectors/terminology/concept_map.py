"""Code maps as FHIR ConceptMap: R4 and R4B (`equivalence`) and R5 (`relationship`).

Owns the reading and the writing. Must not know what a target means. A mapping under a condition (`dependsOn`,
`product`) says less than that two codes mean the same, and is left out, as is all but `equal` and `equivalent`.

Whatever is modified (`modifierExtension`, `implicitRules`) may say the opposite, and FHIR forbids to pass that over:
it is left out.

Who reviewed a mapping stands in the extensions below, beside its target; else it is the whole map's: R5 `reviewer`,
else `publisher`, with `lastReviewDate`, `approvalDate` or `date`. Of a map that is not `active`, or is
`experimental`, nothing is applied.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import msgspec

from connectors.fhir.parse import UNDECODABLE
from connectors.fhir.systems import uri_of
from connectors.terminology.rows import (
    APPLIED,
    LOINC_CODE,
    MAP_BYTES_MAX,
    ROWS_MAX,
    CodeMapError,
    MapRow,
    faults_of,
    system_of,
)

LOCAL = "https://wardstream.invalid/CodeSystem/local/"
"""Before the name of a sender's own system, which is no URI: `WinPath`."""
FEATURES = "https://wardstream.invalid/CodeSystem/feature"
"""Target system of a mapping to a feature by its name: a name, not an address (RFC 2606)."""
REVIEWER = "https://wardstream.invalid/StructureDefinition/reviewer"
REVIEWED = "https://wardstream.invalid/StructureDefinition/reviewed"
UNIT = "https://wardstream.invalid/StructureDefinition/unit"
ORDER = "https://wardstream.invalid/StructureDefinition/order"
"""Extensions of a target, and of an element the number of its row: ConceptMap groups by systems, a table does not."""
ACTIVE = "active"
LOINC = "http://loinc.org"


class _Extension(msgspec.Struct, frozen=True):
    url: str = ""
    valueString: str = ""  # noqa: N815 - FHIR's names
    valueDate: str = ""  # noqa: N815
    valueInteger: int = 0  # noqa: N815


class _Target(msgspec.Struct, frozen=True):
    code: str = ""
    display: str = ""
    equivalence: str = ""
    relationship: str = ""
    comment: str = ""
    dependsOn: tuple[Any, ...] = ()  # noqa: N815
    product: tuple[Any, ...] = ()
    extension: tuple[_Extension, ...] = ()
    modifierExtension: tuple[Any, ...] = ()  # noqa: N815


class _Element(msgspec.Struct, frozen=True):
    code: str = ""
    display: str = ""
    noMap: bool = False  # noqa: N815
    target: tuple[_Target, ...] = ()
    extension: tuple[_Extension, ...] = ()
    modifierExtension: tuple[Any, ...] = ()  # noqa: N815


class _Group(msgspec.Struct, frozen=True):
    source: str = ""
    target: str = ""
    element: tuple[_Element, ...] = ()
    modifierExtension: tuple[Any, ...] = ()  # noqa: N815


class _Contact(msgspec.Struct, frozen=True):
    name: str = ""


class _ConceptMap(msgspec.Struct, frozen=True):
    resourceType: str = ""  # noqa: N815
    status: str = ""
    experimental: bool = False
    implicitRules: str = ""  # noqa: N815
    modifierExtension: tuple[Any, ...] = ()  # noqa: N815
    publisher: str = ""
    date: str = ""
    approvalDate: str = ""  # noqa: N815
    lastReviewDate: str = ""  # noqa: N815
    reviewer: tuple[_Contact, ...] = ()
    group: tuple[_Group, ...] = ()


_decoder = msgspec.json.Decoder(_ConceptMap)


def read_concept_map(data: bytes, name: str) -> tuple[MapRow, ...]:
    """Read a ConceptMap; raises `CodeMapError` with the path of each fault.

    >>> [row] = read_concept_map(write_concept_map([MapRow("LAB", "K", target="2823-3", reviewer="A. Chemist",
    ...     reviewed="2026-03-01")]), "lab.json")
    >>> row.system, row.code, row.target, row.reviewer, row.place
    ('LAB', 'K', '2823-3', 'A. Chemist', 'group[0].element[0]')
    """
    if len(data) > MAP_BYTES_MAX:
        raise CodeMapError(name, [f"$: longer than {MAP_BYTES_MAX} bytes"])
    try:
        document = _decoder.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except UNDECODABLE as error:
        raise CodeMapError(name, [f"$: {error}"]) from None
    if document.resourceType != "ConceptMap":
        raise CodeMapError(name, ["$.resourceType: not a ConceptMap"])
    rows: list[tuple[int, MapRow]] = []
    for number, group in enumerate(document.group):
        for place, element in enumerate(group.element):
            rows += _rows_of(element, group, document, f"group[{number}].element[{place}]")
            if len(rows) > ROWS_MAX:
                raise CodeMapError(name, [f"group[{number}].element[{place}]: more than {ROWS_MAX} mappings"])
    found = tuple(row for _, row in sorted(rows, key=lambda one: one[0]))
    faults = [fault for row in found for fault in faults_of(row)]
    if faults:
        raise CodeMapError(name, faults)
    return found


def _rows_of(element: _Element, group: _Group, document: _ConceptMap, place: str) -> list[tuple[int, MapRow]]:
    order = next((one.valueInteger for one in element.extension if one.url == ORDER), 0)
    common = {"system": _named(group.source), "code": element.code.strip(), "display": element.display.strip()}
    if not element.target or element.noMap:
        return [(order, MapRow(**common, place=place))]
    found = []
    for number, target in enumerate(element.target):
        said = {one.url: one.valueDate or one.valueString for one in target.extension}
        at = place if len(element.target) == 1 else f"{place}.target[{number}]"
        words = [word for word in (target.relationship, target.equivalence) if word] or ["no relation"]
        relation = next((word for word in words if word not in APPLIED), words[0])
        into = _unversioned(group.target)
        meant = target.code.strip() if system_of(into) == "loinc" or into == FEATURES else ""
        if target.code and not meant:
            relation = f"of {group.target or 'no system'}"
        elif target.dependsOn or target.product:
            relation = "conditional"
        elif document.implicitRules or any(one.modifierExtension for one in (document, group, element, target)):
            relation = "modified"
        elif document.experimental:
            relation = "experimental"
        elif document.status != ACTIVE:
            relation = document.status or "no status"
        named = said.get(REVIEWER) or next((one.name for one in document.reviewer if one.name), document.publisher)
        day = said.get(REVIEWED) or document.lastReviewDate or document.approvalDate or document.date[:10]
        if not meant and relation in {"unmatched", *APPLIED}:
            relation = "equivalent"
        row = MapRow(
            **common, unit=said.get(UNIT, ""), target=meant, reviewer=named, reviewed=day if named else "",
            comment=target.comment, relation=relation, place=at,
        )  # fmt: skip
        found.append((order, row))
    return found


def write_concept_map(rows: Iterable[MapRow], release: str = "R4") -> bytes:
    """Write rows, each `plain`, as one ConceptMap that says the same; `release` is R4 (R4B too) or R5.

    >>> b'"relationship":"equivalent"' in write_concept_map([MapRow("LAB", "K", target="potassium")], "R5")
    True
    """
    numbered = sorted(enumerate(row.plain for row in rows), key=lambda one: (_systems_of(one[1]), one[0]))
    document: dict[str, Any] = {"resourceType": "ConceptMap", "status": ACTIVE}
    document["group"] = [
        {
            **({"source": source} if source else {}),
            "target": target,
            "element": [_element(row, number, release) for number, row in listed],
        }
        for (source, target), listed in groupby(numbered, key=lambda one: _systems_of(one[1]))
    ]
    return msgspec.json.encode(document)


def _named(source: str) -> str:
    if source.startswith(LOCAL):
        return source.removeprefix(LOCAL).replace("%20", " ").replace("%25", "%")
    return system_of(_unversioned(source))


def _unversioned(canonical: str) -> str:
    """Take the version off a canonical (R5's `uri|version`): codes come under the system alone."""
    return canonical.partition("|")[0] if ":" in canonical else canonical


def _systems_of(row: MapRow) -> tuple[str, str]:
    source = uri_of(row.system)
    if source and (":" not in source or " " in source):
        source = LOCAL + source.replace("%", "%25").replace(" ", "%20")
    return source, LOINC if LOINC_CODE.fullmatch(row.target) else FEATURES


def _element(row: MapRow, number: int, release: str) -> dict[str, Any]:
    word = "relationship" if release == "R5" else "equivalence"
    said = [
        (UNIT, "valueString", row.unit),
        (REVIEWER, "valueString", row.reviewer),
        (REVIEWED, "valueDate", row.reviewed),
    ]
    target: dict[str, Any] = {
        "extension": [{"url": url, kind: text} for url, kind, text in said if text],
        "code": row.target,
        word: "equivalent" if row.target or release == "R5" else "unmatched",
        "comment": row.comment,
    }
    element = {
        "extension": [{"url": ORDER, "valueInteger": number}],
        "code": row.code,
        "display": row.display,
        "target": [{key: value for key, value in target.items() if value}],
    }
    return {key: value for key, value in element.items() if value}
