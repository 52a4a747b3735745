"""What a hospital may set about reading HL7 v2.

Owns the settings and their validation, the operator's blame: a wrong zone name fails when the settings are made,
never in the middle of a message. Must not know where settings are stored.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from connectors.decoded import EVENTS_PER_MESSAGE_MAX, MESSAGE_BYTES_MAX
from connectors.hl7v2.routes import Route, check_routes, route_of
from connectors.hl7v2.tolerated import ORDERS, check_types
from connectors.zones import check_zone

VERSIONS = frozenset({"2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.1", "2.8.2"})
"""MSH-12 that we read."""
ALIKE_VERSIONS = frozenset({"2.1", "2.2", "2.9"})
"""Read too where neither site nor route names others than `VERSIONS`. What we read of 2.1 and 2.2 stands where it
stands in 2.3, with fewer components: a PID-3 of theirs names no authority, so that MSH-4 stands for it. What 2.9 added
is in no field that we read. They are not in the list itself: it is part of each configuration's name."""

EXPIRED_DISPOSITIONS = frozenset({"20", "40", "41", "42"})
"""PV1-36 that mean death (HL7 table 0112; 40 to 42: at home, in a facility, place unknown)."""


_EDGE = b"\x0b\x1c\r\n\t \x00"

MESSAGE_BYTES_LIMIT = 64 * 1024 * 1024
"""As far as `message_bytes_max` may be raised: a message is held in memory whole, several times over."""
EVENTS_LIMIT = 100_000
"""As far as `events_max` may be raised: some 50 MB of events in one message."""


class Hl7Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to read a feed's messages; a feed is named `MSH-3|MSH-4`, the first components.

    >>> Hl7Settings(zones={"SIMHOSP|SFAC": "Europe/London"}).zone
    'UTC'
    >>> Hl7Settings(zone="Mars/Olympus")
    Traceback (most recent call last):
    ValueError: zone: unknown time zone 'Mars/Olympus'; expected an IANA name such as 'Europe/London'
    """

    zone: str = "UTC"
    """IANA zone of times that carry no offset, where neither the feed has its own nor MSH-7 an offset."""
    zones: dict[str, str] = {}
    """IANA zone by feed; stronger than the offset in MSH-7, for it knows summer time."""
    ambiguous_hour: Literal["earlier", "later"] = "earlier"
    """Which of the two instants a local time in the repeated autumn hour means. The earlier one never lies ahead."""
    authorities: dict[str, str] = {}
    """Assigning authority by feed, for identifiers that name none in PID-3.4; else it is MSH-4 with PID-3.5."""
    accepted_versions: frozenset[str] = VERSIONS
    tolerated_types: frozenset[str] = ORDERS
    """MSH-9.1 of what is accepted and counted, and of which nothing is used; any other type that is not read is refused
    (AR)."""
    message_bytes_max: int = MESSAGE_BYTES_MAX
    events_max: int = EVENTS_PER_MESSAGE_MAX
    expired_dispositions: frozenset[str] = EXPIRED_DISPOSITIONS
    location_from_results: bool = True
    """Whether PV1-3 of an ORU or A08 is told as a `Transfer`: a patient whose admission was never seen has a ward
    then."""
    visit_number: Literal["PV1-19", "PID-18"] = "PV1-19"
    """The field that names a visit. `PID-18`: of a site where each visit has an account number of its own, and all its
    senders say it. Never the one for want of the other: one stay would be two."""
    pregnancy_from_visits: bool = False
    """Whether B6 in PV1-15 of an ADT message says that NEWS2 is not for her. A site's own choice, for whom it silences
    by mistake deteriorates untold: only where B6 means a pregnancy and is taken back (docs/decisions/0026)."""
    ethnicity: Literal["", "cdc", "nhs"] = ""
    """The code table of PID-10 and PID-22, where the site records ethnicity for figures by subgroup; empty: neither is
    read. `cdc`: HL7 tables 0005 and 0189 (United States). `nhs`: the NHS Data Dictionary's ethnic category. One letter
    means other groups in each, so no table is guessed (docs/decisions/0039)."""

    acknowledgement: Literal["asked", "original"] = "asked"
    """`asked`: as MSH-15 and MSH-16 say, which may be two answers a message. `original`: one, AA, AE or AR; for engines
    that fill these fields and do not mean it."""
    routes: tuple[Route, ...] = ()
    """Senders that are read by rules of their own; the first that takes a message holds."""

    def answers_as_asked(self, data: bytes, port: int = 0) -> bool:
        """Say whether a message is answered by its MSH-15 and MSH-16: by its route, else as for all."""
        if not self.routes:
            return self.acknowledgement == "asked"
        return (route_of(data.lstrip(_EDGE), self.routes, port).acknowledgement or self.acknowledgement) == "asked"

    @property
    def route_ports(self) -> tuple[int, ...]:
        """The MLLP ports that routes go by."""
        return tuple(sorted({route.port for route in self.routes if route.port}))

    def goes_by_port(self, data: bytes) -> bool:
        r"""Say whether a message is read by other rules at one of the routes' ports than where there is no port.

        >>> lab = Hl7Settings(routes=(Route("lab", port=2576, sender="LAB|*", zone="Europe/Berlin"),))
        >>> [lab.goes_by_port(b"MSH|^~\\&|%s|MAIN" % sender) for sender in (b"LAB", b"PAS")]
        [True, False]
        """
        head = data.lstrip(_EDGE)
        usual = route_of(head, self.routes, 0)
        return any(route_of(head, self.routes, port) is not usual for port in self.route_ports)

    def __post_init__(self) -> None:
        check_routes(self.routes)
        check_types(self.tolerated_types)
        check_zone("zone", self.zone)
        for feed, name in self.zones.items():
            check_zone(f'zones."{feed}"', name)
        if not 0 < self.message_bytes_max <= MESSAGE_BYTES_LIMIT:
            raise ValueError(f"message_bytes_max: {self.message_bytes_max}; expected 1 to {MESSAGE_BYTES_LIMIT} bytes")
        if not 0 < self.events_max <= EVENTS_LIMIT:
            raise ValueError(f"events_max: {self.events_max}; expected 1 to {EVENTS_LIMIT} events a message")
        if not self.accepted_versions:
            raise ValueError("accepted_versions: empty; expected at least one version of MSH-12, such as '2.5.1'")
