"""An export's files to Bundles, in the order in which old news alerts nobody: who, where, then what was measured last.

Owns the order. Must not know who takes the Bundles. What was measured goes newest first: a bad hour of yesterday that a
good one followed comes when the good one is known, and is the board's alone; had it come first, and the good one
minutes later, the ward would have been told of the past. What nothing newer supersedes is told as late, as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from connectors.decoded import Decoded, Refusal, RefusalReason
from connectors.fhir.codec import decode_each
from connectors.fhir.ndjson import iter_ndjson
from connectors.fhir.settings import FhirSettings
from connectors.fhir_sources.pages import Found, bundles, read_resource
from connectors.fhir_sources.settings import TYPES
from connectors.sources.arrival import BYTES_IN_MEMORY, RECORDS_IN_MEMORY, Arrival
from connectors.sources.sorting import sort_arrivals

NEWEST_FIRST = "Observation"
PORTION = 2_000
"""Resources looked at together on their way into Bundles."""


def kinds_in_order(kinds: Iterable[str]) -> list[str]:
    """Put types into the order in which they are taken in: ours first, in theirs, then any others by name.

    >>> kinds_in_order(["Observation", "Basic", "Patient"])
    ['Patient', 'Observation', 'Basic']
    """
    places = {kind: place for place, kind in enumerate(TYPES)}
    return sorted(set(kinds), key=lambda kind: (places.get(kind, len(places)), kind))


def bodies_of(
    base: str,
    files: Sequence[tuple[str, Path]],
    settings: FhirSettings,
    *,
    records_in_memory: int = RECORDS_IN_MEMORY,
    bytes_in_memory: int = BYTES_IN_MEMORY,
    overlong: Callable[[], None] = lambda: None,
) -> Iterator[bytes]:
    """Give what is to be posted of an export's files, each with its type; in bounded memory, however large they are.

    Bundles, and by itself each line that is no JSON: it will be refused, and kept. `overlong` hears of each line that
    is longer than any resource that is read: its bytes are nowhere.
    """
    for kind in kinds_in_order(kind for kind, _ in files):
        lines = chain.from_iterable(_lines(path, overlong) for one, path in files if one == kind)
        arrivals = (_arrival(line, settings, newest_first=kind == NEWEST_FIRST) for line in lines)
        portion: list[Found] = []
        for arrival in sort_arrivals(arrivals, records_in_memory, bytes_in_memory):
            portion.append(read_resource(arrival.data or b""))
            if len(portion) >= PORTION:
                yield from bundles(base, portion)
                portion = []
        yield from bundles(base, portion)


def _lines(path: Path, overlong: Callable[[], None]) -> Iterator[bytes]:
    with path.open("rb") as file:
        for _, line in iter_ndjson(file):
            if isinstance(line, Refusal):
                overlong()
            else:
                yield line


def _arrival(line: bytes, settings: FhirSettings, *, newest_first: bool) -> Arrival:
    """Give a line with the time that it is sorted by."""
    result, _ = decode_each(line, settings)[0]
    at = 0
    if isinstance(result, Decoded):
        at = result.event_time or result.sent_time or 0
    return Arrival("", -at if newest_first else at, line, "fhir", _UNREAD)


_UNREAD = Refusal(RefusalReason.GARBAGE, "$", "")
"""A place holder: what becomes of a line is said where it is posted."""
