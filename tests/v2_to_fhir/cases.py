"""For each row of the guide a message whose field is filled, and what the guide says must then stand where.

Owns the making of messages from a row, and the reading of a FHIR path. Must not know what we keep.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from connectors.decoded import Decoded
from connectors.fhir.v2_rendition import render_message
from connectors.hl7v2.codec import decode
from connectors.hl7v2.settings import Hl7Settings
from tests.v2_to_fhir.guide import Guide, Row

SETTINGS = Hl7Settings(pregnancy_from_visits=True)
MARK = "ZQ7Z"
"""What fills a field that is not kept: it may stand nowhere afterwards."""
MARK_TIME, MARK_FORMS = "19010203040506+0000", ("1901-02-03", "-2174759694000")
"""The same for a time, and how it would look."""
SYSTEMS = {"LN": "http://loinc.org", "UCUM": "http://unitsofmeasure.org"}
"""HL7 table 0396 to URIs (terminology.hl7.org): what the guide calls "the vocabulary table"."""

_HEADS = {
    "ADT": "MSH|^~\\&|SEND|FAC|||20250102050000+0000||ADT^{}|1|P|2.5.1",
    "ORU": "MSH|^~\\&|SEND|FAC|||20250102050000+0000||ORU^{}|1|P|2.5.1",
}
_BASE = {
    "PID": {3: "4711^^^HOSP^MR"},
    "PV1": {2: "I"},
    "OBR": {3: "F1"},
    "OBX": {2: "NM", 3: "8867-4^^LN", 5: "72", 11: "F", 14: "20250102030406+0000"},
}
_ENDS = frozenset({"PV1-36", "PV1-45"})
_BESIDE = {"CX": {1: "4711"}, "CWE": {1: "1234"}, "CE": {1: "1234"}, "CNE": {1: "1234"}, "SN": {2: "5"}, "NA": {1: "1"}}
"""Components without which a data type says nothing."""
_OBX_2 = re.compile(r'OBX-2 (?:EQUALS|IN|=) ?\(?"(\w+)"|OBX-2="(\w+)"')
_SEPARATOR = re.compile(r'OBX-5\.3 (?:EQUALS|IN) \(?"(.)"')

Fields = dict[str, dict[int, str]]

FILLED: dict[str, tuple[Fields, Any]] = {
    "PID-3 CX.4 -> identifier[2].system": ({"PID": {3: "4711^^^&urn:oid:2.999.1&URI^MR"}}, "urn:oid:2.999.1"),
    "PID-29": ({"PID": {29: "20250102030405+0000", 30: "Y"}}, "2025-01-02T03:04:05Z"),
    "PID-2": ({"PID": {2: "0815", 3: "4711^^^HOSP^MR"}}, "0815"),
    "PV1-2 CWE.3": ({"PV1": {2: "I"}}, "http://terminology.hl7.org/CodeSystem/v3-ActCode"),
    "PV1-2 CWE.4 -> status": ({"PV1": {2: "^^^P"}}, "planned"),
    "PV1-3 -> location[1].status (IF PV1-2.1 NOT": ({"PV1": {2: "I", 3: "W1"}}, "active"),
    "PV1-3 -> location[1].status (IF PV1-2.1 EQ": ({"PV1": {2: "P", 3: "W1"}}, "planned"),
    "PV1-3 PL.1 -> location[1].location(Location)[4].partOf": ({"PV1": {2: "I", 3: "W1^^^H1"}}, "H1"),
    "PV1-3 PL.2 -> location[1].location(Location)[2].partOf": ({"PV1": {2: "I", 3: "W1^R2^^^^^^L3"}}, "L3"),
    "PV1-3 PL.3 -> location[1].location(Location)[1].partOf": ({"PV1": {2: "I", 3: "W1^R2^B3"}}, "R2"),
    "PV1-15 CWE.1": ({"PV1": {2: "I", 15: "B6"}}, "B6"),
    "PV1-15 CWE.3": ({"PV1": {2: "I", 15: "B6^^HL70009"}}, "http://terminology.hl7.org/CodeSystem/v2-0009"),
    "PV1-45 -> status": ({"PV1": {45: "20250102030405+0000"}}, "finished"),
    "OBR-7": ({"OBR": {7: "20250102030405+0000"}, "OBX": {14: ""}}, "2025-01-02T03:04:05Z"),
    "OBX-5 -> valueDateTime": ({"OBX": {2: "DTM", 5: "20250102030405+0000"}}, "2025-01-02T03:04:05Z"),
    "OBX-5 -> valueTime": ({"OBX": {2: "TM", 5: "0304"}}, "03:04"),
    'OBX-5 -> valueString (IF OBX-2 EQUALS "VR"': ({"OBX": {2: "VR", 5: "100^200"}}, "100-200"),
    'OBX-5 -> valueString (IF (OBX-2 EQUALS "SN"': ({"OBX": {2: "SN", 5: "<>^5", 6: "/min"}}, "<> 5   /min"),
    'OBX-5 -> valueString (IF OBX-2 EQUALS "SN"': ({"OBX": {2: "SN", 5: "^5^+", 6: "/min"}}, " 5 +  /min"),
    "OBX-5 -> valueString (If line": ({"OBX": {2: "SN", 5: "^5^x^6", 6: "/min"}}, " 5 x 6 /min"),
    "OBX-5 -> valueRatio[1].extension[1].valueString": ({"OBX": {2: "SN", 5: "^1^:^128"}}, " 1 : 128"),
    "OBX-5 -> valueRange[1].extension[1].valueString": ({"OBX": {2: "SN", 5: "^1^-^2"}}, " 1 - 2"),
    "OBX-5 -> valueQuantity[1].extension": ({"OBX": {2: "SN", 5: "^1^^2"}}, " 1  2"),
    "OBX-5 SN.1 -> valueQuantity": ({"OBX": {2: "SN", 5: "<^5"}}, "<"),
    "OBX-5 SN.1 -> valueRatio": ({"OBX": {2: "SN", 5: "<^1^:^128"}}, "<"),
    "OBX-5 DR": ({"OBX": {2: "DR", 5: "20250102030405+0000^20250102030405+0000"}}, "2025-01-02T03:04:05Z"),
    "OBX-6 CWE.1 -> valueQuantity[1].code": ({"OBX": {6: "/min^^UCUM"}}, "/min"),
    "OBX-6 CWE.1 -> valueQuantity[1].unit": ({"OBX": {6: "bpm"}}, "bpm"),
    "OBX-6 CWE.2 -> valueQuantity": ({"OBX": {6: "/min^per minute^UCUM"}}, "per minute"),
    "OBX-6 CWE.3 -> valueQuantity[1].system": ({"OBX": {6: "/min^^UCUM"}}, "http://unitsofmeasure.org"),
    "OBX-8 CWE.3": ({"OBX": {8: "H^^HL70078"}}, "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"),
    "OBX-11 -> status": ({"OBX": {11: "P"}}, "preliminary"),
    "OBX-11 -> status.extension": ({"OBX": {11: "X"}}, None),
    "OBX-11 -> dataAbsentReason": ({"OBX": {11: "N", 5: ""}}, None),
}
"""Rows whose field must be filled by hand, with what the guide makes of it (None: what the row's own columns say)."""


class Case(msgspec.Struct, frozen=True):
    """A message with a row's field filled, the same one with it empty, and the value that the guide asks for."""

    message: bytes
    without: bytes
    expected: Any


def longest(name: str, table: dict[str, Any]) -> str:
    """Give the longest key that begins a name; empty where none does."""
    return max((key for key in table if name.startswith(key)), key=len, default="")


def message_of(fields: Fields, segment: str, ends: bool = False) -> bytes:  # noqa: FBT001, FBT002 - A01 or A03
    """Write a message: ADT of PID and PV1, ORU of all four; `fields` stand in for those of a plain one."""
    lines = [_HEADS["ADT"].format("A03" if ends else "A01"), "EVN||20250102040000+0000"]
    names = ["PID", "PV1"]
    if segment in {"OBR", "OBX"}:
        lines, names = [_HEADS["ORU"].format("R01")], ["PID", "OBR", "OBX"]
    for name in names:
        filled = _BASE[name] | fields.get(name, {})
        lines.append("|".join([name, *(filled.get(index, "") for index in range(1, max(filled) + 1))]))
    return "\r".join(lines).encode()


def case_of(row: Row, guide: Guide) -> Case:
    """Make a row's case. What is expected comes from the row: its assignment, its concept map, or the value itself."""
    name = row.key.partition(" ")[2].replace("component[each].", "")
    segment, number = row.map[:3], int(row.field[4:] or 0)
    empty: Fields = {segment: {number: "4711^^^HOSP^MR" if row.field == "PID-3" else ""}}
    if row.field == "OBX-5":
        empty["OBX"][2] = _obx_2(row)
    key = longest(name, FILLED)
    fields, stated = FILLED[key] if key else (None, None)
    sample = _sample(row, guide)
    if fields is None:
        fields = {segment: {number: _field(row, sample)}}
        if row.field == "OBX-5":
            fields["OBX"][2] = _obx_2(row)
        if row.field == "OBX-6" and '"SN"' in row.condition:
            fields["OBX"] |= {2: "SN", 5: f"^5^{_separator(row)}^6" if _separator(row) else "^5"}
    expected = _expected(row, sample, guide) if stated is None else stated
    ends = row.field in _ENDS and " -> status" not in name
    return Case(message_of(fields, segment, ends), message_of(empty, segment, ends), expected)


def marked(row: Row) -> bytes:
    """Write a message whose field, or component, is filled with what may stand nowhere afterwards."""
    segment, number = row.map[:3], int(row.field[4:])
    mark = MARK_TIME if row.v2_type in {"DTM", "TS", "DT"} else MARK
    fields: Fields = {segment: {number: _field(row, mark) if row.component else "^".join([mark] * 6)}}
    if row.field == "OBX-5":
        fields["OBX"][2] = _obx_2(row)
    return message_of(fields, segment, row.field in _ENDS)


def rendered(message: bytes) -> list[dict[str, Any]]:
    """Decode a message and render it; the resources as read back from the bytes."""
    decoded = decode(message, SETTINGS)
    assert isinstance(decoded, Decoded), decoded
    return [entry["resource"] for entry in msgspec.json.decode(render_message(decoded))["entry"]]


def agrees(resources: list[dict[str, Any]], row: Row, expected: Any) -> bool:
    """Whether the value that the guide asks for stands where the guide says."""
    return any(_same(found, expected) for found in values_at(resources, row.map[4:-1], row.path))


def values_at(resources: list[dict[str, Any]], kind: str, path: str) -> list[Any]:
    """Give all that stands at a path of the guide's: its indices tell instances apart, and are not positions.

    >>> values_at([{"resourceType": "Patient", "name": [{"use": "old"}]}], "Patient", "name[1].use")
    ['old']
    """
    if "location(Location)[" in path:  # PL[Location]: each part of a place is a Location of its own
        kind = "Location"
        path = re.sub(r"^location\(Location\.(.*)\)$", r"\1", path.partition("(Location)[")[2].partition("].")[2])
    if path.endswith('="finished"'):
        path = path.partition("=")[0]
    path = re.sub(r"\[[^\]]*\]?", "", path).replace(".reference(Location)", "(Location).identifier")
    path = re.sub(r"\((\w+)\)", r".->\1", path)
    path = re.sub(r"\((\w+)\.([\w.]+)\)", r".->\1.\2", path)
    nodes: list[Any] = [resource for resource in resources if resource["resourceType"] == kind.partition("-")[0]]
    for step in filter(None, path.split(".")):
        nodes = list(_steps(resources, nodes, step))
    return nodes


def _steps(resources: list[dict[str, Any]], nodes: list[Any], step: str) -> Iterator[Any]:
    for node in nodes:
        if not isinstance(node, dict):
            continue
        if step.startswith("->"):
            named = node.get("reference")
            yield from (one for one in resources if f"{one['resourceType']}/{one['id']}" == named)
            if named is None and node.get("type", step[2:]) == step[2:]:
                yield node
            continue
        found = node.get(step)
        if isinstance(found, list):
            yield from found
        elif found is not None:
            yield found


def _same(found: Any, expected: Any) -> bool:
    if isinstance(found, dict):
        value = found.get("value", found.get("identifier", {}).get("value") if "identifier" in found else None)
        return value is not None and _same(value, expected)
    if isinstance(found, str) and isinstance(expected, str) and re.match(r"\d{4}-\d\d-\d\dT", expected):
        return re.match(r"\d{4}-\d\d-\d\dT", found) is not None and _instant(found) == _instant(expected)
    return type(found) is not bool and found == expected if type(expected) is not bool else found is expected


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _obx_2(row: Row) -> str:
    found = _OBX_2.search(row.condition)
    return (found[1] or found[2]) if found else "SN" if "OBX-2 = SN" in row.condition else "NM"


def _separator(row: Row) -> str:
    found = _SEPARATOR.search(row.condition)
    return found[1] if found else ""


def _sample(row: Row, guide: Guide) -> str:
    if row.vocabulary and row.component in {"", "CWE.1", "CWE.4", "ID.1"}:
        return next((code for code, (target, _) in guide.concepts(row.vocabulary).items() if target), "X7")
    if row.component in {"CWE.3", "CWE.6", "CWE.12", "CE.3", "CE.6", "CNE.3", "CNE.6", "CNE.12"}:
        return "LN"
    if row.type in {"decimal", "quantity", "positiveInt"}:
        return "7.5"
    return "20250102030405+0000" if row.type in {"dateTime", "date", "instant"} else "X7"


def _field(row: Row, sample: str) -> str:
    kind, _, place = row.component.partition(".")
    if not place:
        return sample
    parts = dict(_BESIDE.get(kind, {})) | {int(place): sample}
    if row.component in {"CWE.6", "CE.6", "CNE.6", "CWE.12", "CNE.12"}:
        parts[int(place) - 2] = "5678"
    if kind == "SN" and _separator(row):
        parts = {2: "5", 4: "6"} | parts | {3: _separator(row)}
    return "^".join(parts.get(index, "") for index in range(1, max(parts) + 1))


def _expected(row: Row, sample: str, guide: Guide) -> Any:
    if row.assignment:
        return row.assignment
    if row.vocabulary and (target := guide.concepts(row.vocabulary).get(sample, ("", ""))[0]):
        return {"true": True, "false": False}.get(target, target)
    if sample in SYSTEMS:
        return SYSTEMS[sample]
    if row.type == "date":
        return "2025-01-02"
    if row.type in {"dateTime", "instant"}:
        return "2025-01-02T03:04:05Z"
    return float(sample) if row.type in {"decimal", "quantity", "positiveInt"} else sample
