"""What a server's answers hold: the resources of a search page, each with its name, version and bytes; the next page.

Owns the reading and the search's address. Must not know a request, nor what a resource means, as the codec does.
A resource's bytes stay as they were sent, for by them it is known again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from urllib.parse import urlencode

import msgspec

from connectors.fhir.parse import UNDECODABLE
from connectors.fhir_sources.faults import FhirSourceError
from events import MILLIS_PER_SECOND, Millis

FHIR_ID_CHARS_MAX = 64
BUNDLE_BYTES = 1024 * 1024
"""Resources are handed on in Bundles of about this size: a Bundle is one record of Kafka, 4 MiB at the most."""
BUNDLE_ENTRIES = 500
STATUS_TYPES = frozenset({"Parameters", "SubscriptionStatus"})
"""What a subscription notification begins with; in R4 it is of type history too, and its order is kept."""


class Found(msgspec.Struct, frozen=True):
    """One resource of a server."""

    kind: str
    id: str
    version: str
    """meta.versionId; empty where the server keeps none."""
    changed: Millis | None
    """meta.lastUpdated, by the server's clock."""
    data: bytes

    @property
    def name(self) -> bytes:
        """Name the resource, whatever its version, so that nobody is named."""
        return blake2b(f"{self.kind}/{self.id}".encode(), digest_size=16).digest()

    def __repr__(self) -> str:
        return f"Found({self.kind}, {len(self.data)} bytes)"


class Page(msgspec.Struct, frozen=True):
    """One page of a search."""

    found: tuple[Found, ...] = ()
    next_url: str = ""
    problems: tuple[str, ...] = ()
    """Codes of OperationOutcomes among the entries: what the server left out."""


class _Meta(msgspec.Struct, frozen=True):
    versionId: str = ""  # noqa: N815 - FHIR's own name
    lastUpdated: str = ""  # noqa: N815 - FHIR's own name


class _Head(msgspec.Struct, frozen=True):
    resourceType: str = ""  # noqa: N815 - FHIR's own name
    id: str = ""
    meta: _Meta = _Meta()


class _Link(msgspec.Struct, frozen=True):
    relation: str = ""
    url: str = ""


class _Entry(msgspec.Struct, frozen=True):
    resource: msgspec.Raw = msgspec.Raw(b"")


class _Bundle(msgspec.Struct, frozen=True):
    resourceType: str = ""  # noqa: N815 - FHIR's own name
    type: str = ""
    link: list[_Link] = []
    entry: list[_Entry] = []


class _OutEntry(msgspec.Struct, frozen=True):
    fullUrl: str  # noqa: N815 - FHIR's own name
    resource: msgspec.Raw


class _OutBundle(msgspec.Struct, frozen=True):
    resourceType: str  # noqa: N815 - FHIR's own name
    type: str
    entry: list[_OutEntry]


_decode_head = msgspec.json.Decoder(_Head).decode
_decode_bundle = msgspec.json.Decoder(_Bundle).decode
_encode = msgspec.json.Encoder().encode


def read_page(body: bytes) -> Page:
    """Read a page; raises `FhirSourceError` where it is no Bundle.

    >>> page = read_page(b'{"resourceType":"Bundle","link":[{"relation":"next","url":"http://h/fhir?p=2"}],'
    ...     b'"entry":[{"resource":{"resourceType":"Flag","id":"f","meta":{"versionId":"2"}}}]}')
    >>> page.next_url, page.found[0].kind, page.found[0].version
    ('http://h/fhir?p=2', 'Flag', '2')
    """
    try:
        bundle = _decode_bundle(body)
    except UNDECODABLE:
        raise FhirSourceError("not_fhir", "no Bundle can be read") from None
    if bundle.resourceType != "Bundle":
        raise FhirSourceError("not_fhir", "something else than a Bundle")
    found: list[Found] = []
    problems: list[str] = []
    for entry in bundle.entry:
        one = read_resource(bytes(entry.resource))
        if one.kind == "OperationOutcome":
            problems.append("outcome")
        elif one.data:
            found.append(one)
    if bundle.type == "history" and found and found[0].kind not in STATUS_TYPES:
        found.reverse()  # It begins with the newest version (https://hl7.org/fhir/R4/http.html#history).
    following = next((one.url for one in bundle.link if one.relation == "next"), "")
    return Page(tuple(found), following, tuple(problems))


def read_resource(data: bytes) -> Found:
    """Read what a resource is; one that cannot be read has no type and is handed on for the codec to refuse.

    >>> read_resource(b'{"resourceType":"Patient","id":"p"}').kind
    'Patient'
    """
    try:
        head = _decode_head(data)
    except UNDECODABLE:
        return Found("", "", "", None, data)
    return Found(head.resourceType, head.id, head.meta.versionId, read_instant(head.meta.lastUpdated), data)


def read_instant(text: str) -> Millis | None:
    """Read an instant; None where it is none.

    >>> read_instant("1970-01-01T00:00:01.5Z"), read_instant("2026"), read_instant("")
    (1500, None, None)
    """
    try:
        moment = datetime.fromisoformat(text)
        return None if moment.tzinfo is None else int(moment.timestamp() * MILLIS_PER_SECOND)
    except (ValueError, OverflowError):
        return None


def write_instant(at: Millis) -> str:
    """Write an instant as FHIR has it.

    >>> write_instant(1500)
    '1970-01-01T00:00:01.500Z'
    """
    return datetime.fromtimestamp(at / MILLIS_PER_SECOND, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def changed_since(kind: str, since: Millis, count: int) -> str:
    """Give the search for what has changed of a type, the oldest change first, relative to the base.

    >>> changed_since("Flag", 0, 50)
    'Flag?_lastUpdated=ge1970-01-01T00%3A00%3A00.000Z&_sort=_lastUpdated&_count=50'
    """
    query = {"_lastUpdated": f"ge{write_instant(max(0, since))}", "_sort": "_lastUpdated", "_count": str(count)}
    return f"{kind}?{urlencode(query)}"


def occupied_beds(count: int) -> str:
    """Give the search for who is in a bed now, with the patients themselves, relative to the base.

    >>> occupied_beds(50)
    'Encounter?status=in-progress%2Conleave%2Con-hold&_include=Encounter%3Apatient&_count=50'
    """
    # `onleave` is R4's word, `on-hold` R5's; a server takes what it knows.
    query = {"status": "in-progress,onleave,on-hold", "_include": "Encounter:patient", "_count": str(count)}
    return f"Encounter?{urlencode(query)}"


def bundles(base: str, found: Sequence[Found]) -> Iterable[bytes]:
    """Wrap resources as Bundles that say of which server they are; their own bytes stay as they are.

    What cannot be read is given by itself: the codec says what it is, and what is refused is kept.

    >>> [one] = bundles("https://ehr.example/fhir", [read_resource(b'{"resourceType":"Flag","id":"f"}')])
    >>> one.decode()
    '{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"https://ehr.example/fhir/Flag/f","resource":{"resourceType":"Flag","id":"f"}}]}'
    """
    held: list[_OutEntry] = []
    size = 0
    for one in found:
        if not one.kind:
            yield one.data  # Within a Bundle it could have all of it refused.
            continue
        if held and (len(held) >= BUNDLE_ENTRIES or size + len(one.data) > BUNDLE_BYTES):
            yield _encode(_OutBundle("Bundle", "collection", held))
            held, size = [], 0
        url = f"{base}/{one.kind}/{one.id}" if one.kind and one.id else ""
        held.append(_OutEntry(url, msgspec.Raw(one.data)))
        size += len(one.data)
    if held:
        yield _encode(_OutBundle("Bundle", "collection", held))
