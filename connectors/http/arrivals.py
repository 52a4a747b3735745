"""A request's bytes to arrivals: each message with its place, its own bytes and what the codec made of it.

Owns the cutting of bodies. Must not know HTTP, the intake or an answer. Bad input gives refusals, never an exception.
"""

from __future__ import annotations

from collections.abc import Iterator

from connectors.decoded import Decoded, Refusal, RefusalReason
from connectors.fhir.codec import decode_each
from connectors.fhir.settings import FhirSettings
from connectors.hl7v2.codec import decode_piece
from connectors.hl7v2.framing import split
from connectors.hl7v2.settings import Hl7Settings
from connectors.http.limits import ENTRIES_MAX, HL7_MESSAGES_MAX
from connectors.sources.arrival import Arrival
from connectors.sources.grouping import group_arrivals


def fhir_arrivals(data: bytes, settings: FhirSettings, name: str, expected: str = "") -> list[Arrival]:
    """Decode a resource or Bundle; observations of one moment are one arrival. `expected` is the type in the URL.

    >>> fhir_arrivals(b'{"resourceType":"Basic"}', FhirSettings(), "http/1")
    [Arrival(fhir, 24 bytes, Decoded('Basic' of 'fhir', 0 events, 0 identifiers, 1 parts))]
    >>> fhir_arrivals(b'{"resourceType":"Basic"}', FhirSettings(), "http/1", "Patient")
    [Arrival(fhir, 24 bytes, invalid_value at $.resourceType)]
    """
    results = decode_each(data, settings, ENTRIES_MAX)
    if expected and len(results) == 1 and _another(results[0][0], expected):
        detail = "not the type that the URL names"
        results = [(Refusal(RefusalReason.INVALID_VALUE, "$.resourceType", detail, feed=settings.server), data)]
    found = (
        Arrival(f"{name}#{number}", None, own, "fhir", result, None if own is data else data)
        for number, (result, own) in enumerate(results, 1)
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
