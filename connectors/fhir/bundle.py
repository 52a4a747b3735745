"""A Bundle to one result an entry.

Owns the order of entries, the index through which their references resolve, and what an entry without a resource means.
Must not know what any resource means. One bad entry does not spoil the others.

A `history` Bundle lists the newest version first (https://hl7.org/fhir/R4/http.html#history); its results are handed
on in reverse, so that a correction follows what it corrects. A subscription notification, also of type `history` in
R4, keeps its order: its first entry is the status.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from connectors.decoded import Decoded, Refusal, RefusalReason
from connectors.fhir import wire
from connectors.fhir.faults import Fault
from connectors.fhir.message import Piece, message_id, patient_message_id
from connectors.fhir.parse import UNDECODABLE, kind_of, parse, refuse_undecodable
from connectors.fhir.references import Surroundings, base_of, foreign_base, identifiers_of, local_name
from connectors.fhir.settings import BUNDLE_ENTRIES_MAX, FhirSettings
from connectors.fhir.times import read_time
from events import Millis

_NOTIFICATION_STATUS = frozenset({"Parameters", "SubscriptionStatus"})
_decode_entry = msgspec.json.Decoder(wire.Entry).decode

Parsed = wire.Resource | wire.Header


class Opened(msgspec.Struct, frozen=True):
    """One entry: its position, and either what it holds or why it holds nothing."""

    position: str
    data: bytes
    full_url: str = ""
    resource: Parsed | None = None
    settled: Decoded | Refusal | None = None


def open_entries(
    bundle: wire.Bundle, position: str, settings: FhirSettings, entries_max: int = BUNDLE_ENTRIES_MAX
) -> list[Opened] | Refusal:
    """Parse all entries, in the order in which they happened; `entries_max` is what all Bundles within one share."""
    entries = bundle.entry or []
    if len(entries) > entries_max:
        return Refusal(RefusalReason.TOO_MANY_EVENTS, f"{position}.entry", "more entries than are read")
    opened = [_open(data, f"{position}.entry[{number}]", settings) for number, data in enumerate(entries)]
    if bundle.type == "history" and opened and _kind(opened[0].resource) not in _NOTIFICATION_STATUS:
        opened.reverse()
    return opened


def index(opened: list[Opened], bundle: wire.Bundle, settings: FhirSettings) -> Surroundings | Refusal:
    """Index the entries by fullUrl, and the Patients among them by name.

    Two Patients of one id under two base URLs are refused with their Bundle, unless the operator has said which base
    is the feed's own (`FhirSettings.bases`): one of them would be taken for the other.
    """
    targets: dict[str, str] = {}
    people_at: dict[str, str] = {}
    places: dict[str, wire.Place] = {}
    patients: dict[str, tuple[wire.Patient, str]] = {}
    for entry in opened:
        resource = entry.resource
        if resource is None:
            continue
        url = entry.full_url
        base = base_of(url)
        origin = base if foreign_base(base, settings) else ""
        name = local_name(url, _kind(resource), resource.id)
        if origin:
            name = f"{origin}/{name}"
        elif url:
            targets[url] = name
        if isinstance(resource, wire.Place):
            places[name] = resource
        elif isinstance(resource, wire.Patient):
            if base and people_at.setdefault(name, base) != base:
                return Refusal(RefusalReason.INVALID_VALUE, f"{entry.position}.fullUrl", "one Patient id, two servers")
            patients[name] = (resource, origin)
    people = {
        name: identifiers_of(patient, Surroundings(settings, origin)) for name, (patient, origin) in patients.items()
    }
    return Surroundings(settings, "", targets, people, places, _sent(bundle, settings))


def pieces(opened: list[Opened], around: Surroundings) -> Iterator[tuple[Opened, Piece]]:
    """Give each entry with its surroundings: a foreign server's entry has that server's."""
    for entry in opened:
        base = base_of(entry.full_url)
        own = around
        if foreign_base(base, around.settings):
            own = msgspec.structs.replace(around, origin=base)
        yield entry, Piece(_kind(entry.resource), entry.data, own)


def _kind(resource: Parsed | None) -> str:
    return "Bundle.entry" if resource is None else kind_of(resource)


def _open(data: msgspec.Raw, position: str, settings: FhirSettings) -> Opened:
    try:
        entry = _decode_entry(data)
    except UNDECODABLE as error:
        return Opened(position, bytes(data), settled=refuse_undecodable(error, bytes(data), position))
    request = entry.request
    deleted = request is not None and request.method == "DELETE"
    if deleted or isinstance(entry.resource, msgspec.UnsetType) or bytes(entry.resource) == b"null":
        # A deletion names no patient, so nothing can be withdrawn by it; the counts show it.
        note = "history_delete" if deleted else "entry_without_resource"
        return Opened(position, bytes(data), settled=_nothing(bytes(data), request, note, settings))
    raw = bytes(entry.resource)
    found = parse(raw, f"{position}.resource")
    if isinstance(found, Refusal):
        return Opened(position, raw, settled=found)
    url = entry.fullUrl or ""
    if isinstance(found, wire.Patient | wire.Encounter) and not found.id and url:
        # Not yet stored anywhere, so it has no id: it goes by the name that the other entries call it.
        found = msgspec.structs.replace(found, id=local_name(url, "", None)[1:])
    return Opened(position, raw, url, found)


def _nothing(data: bytes, request: wire.Request | None, note: str, settings: FhirSettings) -> Decoded:
    piece = Piece("Bundle.entry", data, Surroundings(settings))
    url = (request.url if request is not None else None) or None
    content_hash = piece.hashed()
    if url is not None and "Patient" in url:  # `Patient/1`, `Observation?subject=Patient/1`: it names a person
        url = patient_message_id(content_hash)
    return Decoded(
        feed=settings.server,
        message_id=message_id("Bundle.entry", url, None),
        content_hash=content_hash,
        sent_time=None,
        event_time=None,
        subject=(),
        events=(),
        kind="Bundle.entry",
        notes=(note,),
    )


def _sent(bundle: wire.Bundle, settings: FhirSettings) -> Millis | None:
    if bundle.timestamp is None:
        return None
    try:
        return read_time(bundle.timestamp, settings, ".timestamp", [])
    except Fault:
        # It only stands in for entries that carry no time of their own; theirs are refused where unreadable.
        return None
