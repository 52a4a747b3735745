"""Where a site's code maps lie: the `[terminology]` table of `wardstream.toml`.

Owns the shape. Must not know what a map says: what is applied of it stands in `codes` of the configuration, and with
that in the log.
"""

from __future__ import annotations

import msgspec

MAPS_MAX = 50
"""Files: a sender has one, and a hospital fewer senders with codes of their own."""


class TerminologySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which code maps are read at the start.

    >>> TerminologySettings(("maps/lab.csv",)).maps
    ('maps/lab.csv',)
    """

    maps: tuple[str, ...] = ()
    """Files, CSV or FHIR ConceptMap, as seen from the configuration's folder (docs/terminology.md)."""

    def __post_init__(self) -> None:
        if len(self.maps) > MAPS_MAX:
            raise ValueError(f"maps: {len(self.maps)}; expected {MAPS_MAX} at the most")
        for name in self.maps:
            if self.maps.count(name) > 1:
                raise ValueError(f"maps: {name!r} stands twice")
