"""Arrivals that are one moment: adjacent FHIR Observations of one patient, joined after sorting.

Owns the joining of arrivals. Must not know which resources belong together: the FHIR codec's grouping says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from connectors.decoded import Decoded
from connectors.fhir.grouping import belong_together, combine, is_full
from connectors.sources.arrival import Arrival


def group_arrivals(arrivals: Iterable[Arrival]) -> Iterator[Arrival]:
    """Join adjacent arrivals that belong together; everything else passes unchanged.

    >>> list(group_arrivals([]))
    []
    """
    held: list[Arrival] = []
    for arrival in arrivals:
        if held and not (_joins(held[-1], arrival) and not is_full(_decoded(held))):
            yield _join(held)
            held = []
        if arrival.format == "fhir":
            held.append(arrival)
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
    data = b"\n".join(arrival.data for arrival in arrivals if arrival.data is not None)
    return Arrival(first.position, first.received_time, data, first.format, combine(_decoded(arrivals)))
