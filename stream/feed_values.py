"""The numbers in a message, as features in their own units: what the monitors of feeds hear.

Owns that reading. Must not know what is made of the values. A value beyond what is possible is read too: that it comes
at all is what a change of units looks like.
"""

from __future__ import annotations

from math import floor, isfinite

from events import Envelope, Observation
from features.catalogue import Catalogue


def values_of(envelope: Envelope, catalogue: Catalogue) -> tuple[tuple[str, float], ...]:
    """Give feature and value of each number in a message that the catalogue knows, to the feature's own resolution.

    >>> from features.catalogue import default_catalogue
    >>> seen = Observation(event_time=0, observation_id=1, codings=(("loinc", "8310-5"),), value=98.6, unit="[degF]")
    >>> values_of(Envelope("e", "p", 0, 0, (seen,)), default_catalogue())
    (('temperature', 37.0),)
    """
    resolutions = catalogue.resolutions
    found = []
    for event in envelope.events:
        if type(event) is not Observation or event.value is None or event.comparator or event.status == "withdrawn":
            continue
        resolution = resolutions[event.codings, event.unit, event.qualifiers]
        if resolution is None or not resolution.plain:
            continue
        steps = event.value * resolution.factor + resolution.offset
        if isfinite(steps):
            found.append((resolution.name, floor(steps) / resolution.steps))
    return tuple(found)
