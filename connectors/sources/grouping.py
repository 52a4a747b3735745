"""Arrivals that are one moment: adjacent FHIR Observations of one patient, joined after sorting and merging.

Joined last, so that it does not matter into how many files one moment was written, nor in how many Bundles it came.
Owns the joining of arrivals. Must not know which resources belong together: the FHIR codec's grouping says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from connectors.decoded import EVENTS_PER_MESSAGE_MAX, Decoded
from connectors.fhir.grouping import belong_together, combine
from connectors.sources.arrival import Arrival


def group_arrivals(arrivals: Iterable[Arrival]) -> Iterator[Arrival]:
    """Join adjacent arrivals that belong together; everything else passes unchanged.

    >>> list(group_arrivals([]))
    []
    """
    held: list[Arrival] = []
    events = 0
    for arrival in arrivals:
        if held and (events >= EVENTS_PER_MESSAGE_MAX or not _joins(held[-1], arrival)):
            yield _join(held)
            held, events = [], 0
        if arrival.format == "fhir":
            held.append(arrival)
            events += len(arrival.decoded.events) if type(arrival.decoded) is Decoded else 0
        else:
            yield arrival
    if held:
        yield _join(held)


def _joins(first: Arrival, second: Arrival) -> bool:
    return first.received_time == second.received_time and belong_together(first.decoded, second.decoded)


def _decoded(arrivals: list[Arrival]) -> list[Decoded]:
    return [arrival.decoded for arrival in arrivals if type(arrival.decoded) is Decoded]


def _join(arrivals: list[Arrival]) -> Arrival:
    first = arrivals[0]
    if len(arrivals) == 1:
        return first
    pieces: list[bytes] = []
    for arrival in arrivals:
        if arrival.data is not None and not (
            pieces and arrival.data is pieces[-1]
        ):  # a Bundle's bytes once, not N times
            pieces.append(arrival.data)
    joined = combine(_decoded(arrivals))
    return Arrival(first.position, first.received_time, b"\n".join(pieces), first.format, joined, first.whole)
