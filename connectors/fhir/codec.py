"""FHIR R4, R4B and R5 JSON to decoded messages: one result a resource, one an entry of a Bundle.

Owns the whole flow from bytes to results. Must not know where the bytes came from, nor patient keys. Pure: no clock, no
input but its arguments, and it never raises on any bytes.

    bytes ─► parse ─► Patient, Encounter, Observation ─► Decoded
               │        Flag, ServiceRequest, Condition ─► Decoded, with a limit where the site has chosen its code
               │        Bundle ─► index of fullUrls ─► each entry as above
               │        any other type of FHIR     ─► Decoded without events
               └► Refusal with reason and position (`$.entry[3].resource.valueQuantity.value`, `byte 512`)

JSON with a key twice: the last one counts, as in most readers.
"""

from __future__ import annotations

from collections.abc import Iterable

from connectors.decoded import Decoded, Refusal, RefusalReason
from connectors.fhir import wire
from connectors.fhir.bundle import index, open_entries, pieces
from connectors.fhir.devices import is_device_clock
from connectors.fhir.encounter import read_encounter
from connectors.fhir.faults import Fault
from connectors.fhir.limits import KINDS, read_decision
from connectors.fhir.message import Piece, message_id, patient_message_id
from connectors.fhir.observation import read_observation
from connectors.fhir.parse import kind_of, parse
from connectors.fhir.patient import read_patient
from connectors.fhir.references import Surroundings
from connectors.fhir.settings import BUNDLE_BYTES_MAX, BUNDLE_DEPTH_MAX, BUNDLE_ENTRIES_MAX, FhirSettings
from events import Millis

Read = tuple[Decoded | Refusal, bytes]
"""A result and the bytes of its own resource (or entry, or whole Bundle), as they were sent."""

_UTF8_MARK = b"\xef\xbb\xbf"
_OTHER_MARKS = (b"\xff\xfe", b"\xfe\xff")
"""Byte-order marks of UTF-16 and UTF-32. FHIR JSON is UTF-8 (https://hl7.org/fhir/R4/json.html)."""


def decode(data: bytes, settings: FhirSettings) -> list[Decoded | Refusal]:
    """Decode a FHIR resource or Bundle; never raises.

    >>> settings = FhirSettings(server="ehr")
    >>> [result] = decode(b'{"resourceType":"Observation","id":"o1","status":"final",'
    ...     b'"subject":{"reference":"Patient/p1"},"code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},"issued":"1970-01-01T00:00:01Z",'
    ...     b'"valueQuantity":{"value":72,"unit":"bpm","system":"http://unitsofmeasure.org","code":"/min"}}', settings)
    >>> result.events[0].value, result.events[0].unit, result.subject
    (72.0, '/min', (Identifier('ehr/Patient', …),))
    >>> decode(b'{"resourceType":"Observation","status":"fnial"}', settings)[0].position
    '$.status'
    """
    return [result for result, _data in decode_each(data, settings)]


def decode_each(data: bytes, settings: FhirSettings, entries_max: int = BUNDLE_ENTRIES_MAX) -> list[Read]:
    """Decode as `decode` does, and give with each result the bytes that it was made of; never raises.

    `entries_max` is what a Bundle and all Bundles within it may hold together.
    """
    whole = data
    if len(data) > BUNDLE_BYTES_MAX:
        return [
            (_stamped(Refusal(RefusalReason.OVERSIZED, "$", f"more than {BUNDLE_BYTES_MAX} bytes"), settings), whole)
        ]
    if data[:3] == _UTF8_MARK:
        data = data[3:]
    elif data[:2] in _OTHER_MARKS:
        return [
            (_stamped(Refusal(RefusalReason.WRONG_ENCODING, "byte 0", "UTF-16, FHIR JSON is UTF-8"), settings), whole)
        ]
    found = parse(data, "$")
    if isinstance(found, Refusal):
        return [(_stamped(found, settings), whole)]
    if isinstance(found, wire.Bundle):
        return _bundle(found, data, "$", settings, depth=1, entries_max=entries_max)
    return [(_resource(found, Piece(kind_of(found), data, Surroundings(settings)), "$"), whole)]


def _bundle(
    bundle: wire.Bundle, data: bytes, position: str, settings: FhirSettings, depth: int, entries_max: int
) -> list[Read]:
    opened = open_entries(bundle, position, settings, entries_max)
    if isinstance(opened, Refusal):
        return [(_stamped(opened, settings), data)]
    if not opened:
        return [(_understood(bundle, Piece("Bundle", data, Surroundings(settings))), data)]
    around = index(opened, bundle, settings)
    if isinstance(around, Refusal):
        return [(_stamped(around, settings), data)]
    results: list[Read] = []
    for entry, piece in pieces(opened, around):
        where = f"{entry.position}.resource"
        if entry.settled is not None:
            settled = entry.settled
            results.append((_stamped(settled, settings) if isinstance(settled, Refusal) else settled, entry.data))
        elif isinstance(entry.resource, wire.Bundle):
            results.extend(_inner(entry.resource, entry.data, where, settings, depth + 1, entries_max - len(results)))
        elif entry.resource is not None:
            results.append((_resource(entry.resource, piece, where), entry.data))
    return results


def _inner(
    bundle: wire.Bundle, data: bytes, position: str, settings: FhirSettings, depth: int, entries_max: int
) -> Iterable[Read]:
    if depth > BUNDLE_DEPTH_MAX:
        detail = f"Bundles more than {BUNDLE_DEPTH_MAX} deep"
        return [(_stamped(Refusal(RefusalReason.GARBAGE, position, detail), settings), data)]
    return _bundle(bundle, data, position, settings, depth, entries_max)


def _resource(found: wire.Resource | wire.Header, piece: Piece, position: str) -> Decoded | Refusal:
    try:
        return _read(found, piece, position) or _understood(found, piece)
    except Fault as fault:
        is_patient = isinstance(found, wire.Patient)
        named = patient_message_id(piece.hashed()) if is_patient else message_id(piece.kind, found.id, found.meta)
        return Refusal(
            reason=fault.reason,
            position=position + fault.path,
            detail=fault.detail,
            message_id=named,
            feed=piece.around.settings.server,
            sent_time=_sent(found, piece),
        )


def _read(found: wire.Resource | wire.Header, piece: Piece, position: str) -> Decoded | Refusal | None:
    """Read what a resource holds for us, or None; raises `Fault`."""
    if isinstance(found, wire.Observation):
        if is_device_clock(found):
            return _understood(found, piece, "device_clock")
        return read_observation(found, piece)
    if isinstance(found, wire.Patient):
        return read_patient(found, piece)
    if isinstance(found, wire.Encounter):
        return read_encounter(found, piece)
    return read_decision(piece, position) if piece.kind in KINDS else None


def _understood(found: wire.Resource | wire.Header, piece: Piece, *notes: str) -> Decoded:
    """Say that a resource was read and holds nothing for us."""
    return Decoded(
        feed=piece.around.settings.server,
        message_id=message_id(piece.kind, found.id, found.meta),
        content_hash=piece.hashed(),
        sent_time=_sent(found, piece),
        event_time=None,
        subject=(),
        events=(),
        kind=piece.kind,
        notes=notes,
    )


def _sent(found: wire.Resource | wire.Header, piece: Piece) -> Millis | None:
    # Of a resource that is not used, or refused already, an unreadable time is no second reason.
    try:
        return piece.sent(found.meta, [], found.issued if isinstance(found, wire.Observation) else None)
    except Fault:
        return None


def _stamped(refusal: Refusal, settings: FhirSettings) -> Refusal:
    return Refusal(refusal.reason, refusal.position, refusal.detail, refusal.message_id, settings.server)
