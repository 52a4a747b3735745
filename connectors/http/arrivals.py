"""A request's bytes to arrivals: each message with its place, its own bytes and what the codec made of it.

Owns the cutting of bodies. Must not know HTTP, the intake or an answer. Bad input gives refusals, never an exception.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from connectors.decoded import MESSAGE_BYTES_MAX, Decoded, Refusal, RefusalReason
from connectors.fhir.codec import decode as decode_fhir
from connectors.fhir.settings import FhirSettings
from connectors.hl7v2.codec import decode_piece
from connectors.hl7v2.framing import split
from connectors.hl7v2.settings import Hl7Settings
from connectors.http.limits import HL7_MESSAGES_MAX
from connectors.sources.arrival import Arrival
from connectors.sources.grouping import group_arrivals

_NOTIFICATION_STATUS = frozenset({"Parameters", "SubscriptionStatus"})


class _Type(msgspec.Struct):
    resourceType: str = ""  # noqa: N815 - FHIR's spelling


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw(b"")


class _Bundle(msgspec.Struct, tag_field="resourceType", tag="Bundle"):
    type: str | None = None
    entry: list[_Entry] = []


_decode_bundle = msgspec.json.Decoder(_Bundle).decode
_decode_type = msgspec.json.Decoder(_Type).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def fhir_arrivals(data: bytes, settings: FhirSettings, name: str, expected: str = "") -> list[Arrival]:
    """Decode a resource or Bundle; observations of one moment are one arrival. `expected` is the type in the URL.

    >>> fhir_arrivals(b'{"resourceType":"Basic"}', FhirSettings(), "http/1")
    [Arrival(fhir, 24 bytes, Decoded('Basic' of 'fhir', 0 events, 0 identifiers, 1 parts))]
    >>> fhir_arrivals(b'{"resourceType":"Basic"}', FhirSettings(), "http/1", "Patient")
    [Arrival(fhir, 24 bytes, invalid_value at $.resourceType)]
    """
    results = decode_fhir(data, settings)
    if expected and len(results) == 1 and _another(results[0], expected):
        detail = "not the type that the URL names"
        results = [Refusal(RefusalReason.INVALID_VALUE, "$.resourceType", detail, feed=settings.server)]
    own = _own_bytes(data, len(results))
    found = (
        Arrival(f"{name}#{number}", None, own[number - 1], "fhir", result) for number, result in enumerate(results, 1)
    )
    return list(group_arrivals(found))


def hl7_arrivals(data: bytes, settings: Hl7Settings, name: str) -> list[Arrival] | None:
    """Decode one message or several; None where there are too many, an empty list where there is none.

    >>> hl7_arrivals(b"hello", Hl7Settings(), "http/1")
    [Arrival(hl7v2, 5 bytes, garbage at byte 1)]
    """
    arrivals: list[Arrival] = []
    for piece in split(data, message_bytes_max=settings.message_bytes_max):
        if len(arrivals) >= HL7_MESSAGES_MAX:
            return None
        decoded = decode_piece(piece, settings)
        arrivals.append(Arrival(f"{name}#{piece.number}", None, piece.data, "hl7v2", decoded))
    return arrivals


def in_portions(arrivals: list[Arrival], size: int) -> Iterator[list[Arrival]]:
    """Part arrivals into lists of at most `size`.

    >>> [len(portion) for portion in in_portions([None] * 5, 2)]
    [2, 2, 1]
    """
    for start in range(0, len(arrivals), size):
        yield arrivals[start : start + size]


def _another(result: Decoded | Refusal, expected: str) -> bool:
    return isinstance(result, Decoded) and result.kind not in ("", expected)


def _own_bytes(data: bytes, count: int) -> list[bytes | None]:
    """Give each result its own resource's bytes, so that a dead letter can be tried again without the rest.

    Where entries and results do not match (a Bundle within a Bundle), only the first has bytes: the whole body for
    each of a thousand refused entries would fill the disk.
    """
    if count == 1:
        return [data]
    entries = _entries(data)
    if len(entries) == count:
        return entries
    return [data if len(data) <= MESSAGE_BYTES_MAX else None, *[None] * (count - 1)]


def _entries(data: bytes) -> list[bytes | None]:
    try:
        bundle = _decode_bundle(data.removeprefix(b"\xef\xbb\xbf"))
        raw = [bytes(entry.resource) or None for entry in bundle.entry]
        if bundle.type == "history" and raw and _type_of(raw[0]) not in _NOTIFICATION_STATUS:
            raw.reverse()  # as the codec hands a history on: the oldest first
    except _UNREADABLE:
        return []
    return raw


def _type_of(data: bytes | None) -> str:
    try:
        return _decode_type(data or b"{}").resourceType
    except _UNREADABLE:
        return ""
