"""A census as FHIR: the Encounters under way of a search, each made a Bundle of its own.

Owns the choice of resources, and what belongs together. Must not know how a Bundle is sent, nor what an Encounter
means: that is the codec's. Nothing but Encounter, Patient and Location is taken: a census brings no observations.

An answer is what `Encounter?status=in-progress&_include=Encounter:subject&_include=Encounter:location` gives: pages as
files, or resources a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import msgspec

from connectors.census.rows import ROWS_MAX, CensusError
from connectors.fhir.encounter import PLACE_DEPTH_MAX
from connectors.fhir.parse import UNDECODABLE

UNDER_WAY = frozenset({"arrived", "triaged", "in-progress", "onleave", "on-hold"})
"""Encounter.status, R4 and R5."""
PAGES_BYTES_MAX = 512 * 1024 * 1024
"""Of all files together: a search of 20,000 Encounters with what they name."""

"""The last of what is nested without end."""

Resource = dict[str, Any]


class Found(msgspec.Struct):
    """What an answer has, by reference; and how much of it is no census."""

    encounters: list[tuple[str, Resource]] = []
    """With the full URL, where there is one."""
    others: dict[str, tuple[str, Resource]] = {}
    """Patients and Locations by full URL, and by `Type/id`."""
    not_under_way: int = 0
    left_out: int = 0
    """Resources of other types."""
    searches: int = 0
    """Bundles that are pages of a search."""
    unfinished: int = 0
    """Those of them that name a next page."""
    total: int = 0
    """How many matches the search says that it has; 0 where it does not say."""
    keys: set[str] = set()
    """Of all Encounters, each once, whatever their status."""

    @property
    def missing(self) -> str:
        """Say in words what shows that pages are missing; empty where nothing does.

        >>> read_answers([b'{"resourceType": "Bundle", "type": "searchset", "total": 2}']).missing
        'the search found 2 Encounters, and the files have 0'
        """
        if self.total > len(self.keys):
            return f"the search found {self.total} Encounters, and the files have {len(self.keys)}"
        if self.searches and self.unfinished == self.searches:
            return "each page names a next one"
        return ""


def read_answers(files: Iterable[bytes]) -> Found:
    """Read Bundles, resources, and either a line; raises `CensusError` naming file and line by their numbers.

    >>> found = read_answers([b'{"resourceType": "Encounter", "id": "e", "status": "finished"}'])
    >>> len(found.encounters), found.not_under_way
    (0, 1)
    """
    found = Found()
    size = 0
    for number, data in enumerate(files, 1):
        size += len(data)
        if size > PAGES_BYTES_MAX:
            raise CensusError([f"file {number}: more than {PAGES_BYTES_MAX} bytes in all"])
        for place, part in _documents(data, number):
            _note_page(found, part)
            for url, resource in _resources(part):
                _take(found, url, resource, place)
    return found


def bundles_of(found: Found) -> Iterator[bytes]:
    """Give a collection Bundle for each Encounter, with the Patient and the Locations that it names and that are there.

    >>> [bundle] = bundles_of(read_answers([b'{"resourceType": "Encounter", "id": "e", "status": "in-progress"}']))
    >>> b'"type":"collection"' in bundle
    True
    """
    for url, encounter in found.encounters:
        entries: dict[str, Resource] = {}
        for name in _names(encounter):
            _add(entries, name, found)
        listed = [*entries.values(), _entry(url, encounter)]
        yield msgspec.json.encode({"resourceType": "Bundle", "type": "collection", "entry": listed})


def _documents(data: bytes, number: int) -> Iterator[tuple[str, Any]]:
    """Give a file's documents: one, or one a line."""
    with suppress(*UNDECODABLE):
        yield f"file {number}", msgspec.json.decode(data)
        return
    for line, text in enumerate(data.splitlines(), 1):
        if text.strip():
            try:
                document = msgspec.json.decode(text)
            except UNDECODABLE:
                raise CensusError([f"file {number}, line {line}: no JSON"]) from None
            yield f"file {number}, line {line}", document


def _note_page(found: Found, document: Any) -> None:
    """Note what a page of a search says of the others: whoever stands on one that is missing is watched by nobody."""
    if not isinstance(document, dict) or document.get("type") != "searchset":
        return
    links, total = document.get("link"), document.get("total")
    found.searches += 1
    found.unfinished += isinstance(links, list) and any(
        isinstance(link, dict) and link.get("relation") == "next" for link in links
    )
    found.total = max(found.total, total if type(total) is int else 0)


def _resources(document: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(document, dict) and document.get("resourceType") == "Bundle":
        entries = document.get("entry")
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict):
                yield str(entry.get("fullUrl") or ""), entry.get("resource")
    else:
        yield "", document


def _take(found: Found, url: str, resource: Any, place: str) -> None:
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        raise CensusError([f"{place}: has something that is no resource"])
    kind, name = resource["resourceType"], f"{resource['resourceType']}/{resource.get('id')}"
    if kind == "Encounter":
        found.keys.add(url or name)
        if str(resource.get("status")) not in UNDER_WAY:
            found.not_under_way += 1
        elif len(found.encounters) >= ROWS_MAX:
            raise CensusError([f"{place}: more than {ROWS_MAX} Encounters"])
        else:
            found.encounters.append((url, resource))
    elif kind in {"Patient", "Location"}:
        for key in (url, name):
            if key:
                found.others[key] = (url, resource)
    else:
        found.left_out += 1


def _names(resource: Resource) -> Iterator[str]:
    """Give the references of an Encounter's subject and places, and of a Location's place."""
    stays = resource.get("location")
    holders = [resource.get("subject")]
    if isinstance(stays, list):
        holders += [stay.get("location") for stay in stays if isinstance(stay, dict)]
    if resource["resourceType"] == "Location":
        holders = [resource.get("partOf")]
    for holder in holders:
        reference = holder.get("reference") if isinstance(holder, dict) else None
        if isinstance(reference, str):
            yield reference


def _add(entries: dict[str, Resource], name: str, found: Found, depth: int = 0) -> None:
    """Add what a reference names, and what that lies in; those around it first."""
    known = found.others.get(name) or found.others.get("/".join(name.split("/")[-2:]))
    if known is None or depth > PLACE_DEPTH_MAX:
        return
    url, resource = known
    key = url or f"{resource['resourceType']}/{resource.get('id')}"
    if key in entries:
        return
    for around in _names(resource):
        _add(entries, around, found, depth + 1)
    entries[key] = _entry(url, resource)


def _entry(url: str, resource: Resource) -> Resource:
    return {"fullUrl": url, "resource": resource} if url else {"resource": resource}
