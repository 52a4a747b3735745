"""Bytes to one typed resource, or the refusal that says why not.

Owns the mapping from msgspec's errors to named reasons with positions. Must not know what the resources mean.
msgspec's own words can quote a value of the message (`Invalid enum value 'x'`); what is passed on ends before the
quote.
"""

from __future__ import annotations

import re

import msgspec

from connectors.decoded import MESSAGE_BYTES_MAX, Refusal, RefusalReason
from connectors.fhir import wire
from connectors.fhir.resource_types import RESOURCE_TYPES

_decode = msgspec.json.Decoder(wire.Resource).decode
_decode_header = msgspec.json.Decoder(wire.Header).decode

UNDECODABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""All that msgspec raises on bytes it cannot read."""

KINDS: dict[type[wire.Resource], str] = {
    wire.Observation: "Observation",
    wire.Patient: "Patient",
    wire.Encounter: "Encounter",
    wire.Place: "Location",
    wire.Bundle: "Bundle",
}
"""The types whose content we read, and their names."""

_OURS = frozenset(KINDS.values())
_BYTE = re.compile(r"\(byte (\d+)\)")


def parse(data: bytes, position: str) -> wire.Resource | wire.Header | Refusal:
    """Parse a resource that stands at `position`. A Header stands for a type of FHIR that we do not read.

    >>> parse(b'{"resourceType":"Basic","id":"1"}', "$").resourceType
    'Basic'
    >>> parse(b'{"resourceType":"Basic"', "$").reason.value
    'truncated'
    """
    try:
        resource: wire.Resource | wire.Header = _decode(data)
    except UNDECODABLE as error:
        header = _header(data, position)
        if isinstance(header, Refusal):
            return header
        if header.resourceType in _OURS:
            return refuse_undecodable(error, data, position)
        resource = header
    if len(data) > MESSAGE_BYTES_MAX and not isinstance(resource, wire.Bundle):
        return Refusal(RefusalReason.OVERSIZED, position, f"a resource of more than {MESSAGE_BYTES_MAX} bytes")
    return resource


def kind_of(resource: wire.Resource | wire.Header) -> str:
    """Name a resource's type.

    >>> kind_of(wire.Place())
    'Location'
    """
    if isinstance(resource, wire.Header):
        return resource.resourceType or ""
    return KINDS[type(resource)]


def _header(data: bytes, position: str) -> wire.Header | Refusal:
    # The header's reader passes over the whole text, so it finds what is malformed behind a type that is not ours.
    try:
        header = _decode_header(data)
    except UNDECODABLE as error:
        return refuse_undecodable(error, data, position)
    if not header.resourceType:
        return Refusal(RefusalReason.MISSING_FIELD, f"{position}.resourceType", "not a FHIR resource")
    if header.resourceType not in RESOURCE_TYPES:
        return Refusal(RefusalReason.UNSUPPORTED_TYPE, f"{position}.resourceType", "no resource type of FHIR")
    return header


def refuse_undecodable(error: Exception, data: bytes, position: str) -> Refusal:
    """Name what msgspec found wrong with `data`.

    >>> try:
    ...     _decode_header(b"[1")
    ... except msgspec.MsgspecError as error:
    ...     refuse_undecodable(error, b"[1", "$").position
    '$'
    """
    if isinstance(error, UnicodeError):
        return Refusal(RefusalReason.WRONG_ENCODING, position, "not UTF-8")
    if isinstance(error, RecursionError):
        return Refusal(RefusalReason.GARBAGE, position, "nested too deep")
    words = str(error)
    if isinstance(error, msgspec.ValidationError):
        found, _, path = words.partition(" - at `")
        detail = found.partition("'")[0].strip()
        if not path and not data[:64].lstrip().startswith(b"{"):
            return Refusal(RefusalReason.GARBAGE, position, "not a JSON object")
        return Refusal(RefusalReason.INVALID_VALUE, position + path.rstrip("`").removeprefix("$"), detail)
    if "truncated" in words:
        empty = not data[:64].strip() and len(data) <= 64
        reason = RefusalReason.GARBAGE if empty else RefusalReason.TRUNCATED
        return Refusal(reason, _at(position, len(data)), "no content" if empty else "the JSON ends too early")
    byte = _BYTE.search(words)
    detail = words.partition(":")[0]
    return Refusal(RefusalReason.GARBAGE, _at(position, int(byte[1]) if byte else 0), detail)


def _at(position: str, byte: int) -> str:
    return f"byte {byte}" if position == "$" else f"{position} byte {byte}"
