"""The message header, MSH: who speaks, what about, when, and how to read the rest.

Owns MSH and the choice of clock. Must not know the other segments.
"""

from __future__ import annotations

import msgspec

from connectors.decoded import RefusalReason
from connectors.hl7v2.dialect import Dialect, dialect_of
from connectors.hl7v2.faults import Fault
from connectors.hl7v2.routes import NO_ROUTE, Route
from connectors.hl7v2.settings import ALIKE_VERSIONS, VERSIONS, Hl7Settings
from connectors.hl7v2.times import UTC_CLOCK, Clock, Instant, clock_of

LENGTH_MIN = 8
r"""`MSH|^~\&` is the shortest beginning of a header."""
FIELDS = 19
"""We read up to MSH-18."""
TIME_FROM_MESSAGE = "time_from_message"
"""The note of a message whose contents state no time of their own: MSH-7 is then part of what it says."""


class Header(msgspec.Struct):
    """What an MSH says, filled in as far as it could be read, so that a refusal can name the message."""

    dialect: Dialect
    fields: list[str]
    feed: str
    control_id: str
    facility: str = ""
    """MSH-4, its first component: by whose numbers a patient goes who is given without an authority."""
    kind: str = ""
    clock: Clock = UTC_CLOCK
    sent: Instant | None = None
    notes: tuple[str, ...] = ()
    route: Route = NO_ROUTE

    def authority(self, settings: Hl7Settings) -> str:
        """Give whose the identifiers are that name no authority, as it is configured; empty where it is not."""
        return self.route.authority or settings.authorities.get(self.feed, "")


def open_header(line: str, route: Route = NO_ROUTE) -> Header:
    r"""Read the delimiters, the feed and MSH-10; raises `Fault` where the delimiters cannot be such.

    >>> open_header("MSH|^~\\&|LAB|MAIN|||20260101||ORU^R01|77|P|2.5").control_id
    '77'
    """
    if len(line) < LENGTH_MIN:
        raise Fault(RefusalReason.TRUNCATED, f"byte {len(line)}", "ends within the delimiters of MSH")
    separator = line[3:4]
    fields = line.split(separator)
    dialect = dialect_of(separator + (route.delimiters or fields[1]), route.codes)
    fields += [""] * (FIELDS - len(fields))
    # MSH-1 is the separator itself, so that fields[n] holds MSH-(n+1).
    facility = dialect.firsts[fields[3]]
    feed = f"{dialect.firsts[fields[2]]}|{facility}"
    return Header(dialect, fields, feed, dialect.leaf(fields[9]), facility, route=route)


def check_header(header: Header, settings: Hl7Settings, kinds: frozenset[str]) -> None:
    """Fill in type, time and clock; raises `Fault` where one is missing or not accepted."""
    fields, dialect = header.fields, header.dialect
    header.kind = kind = dialect.kinds[fields[8]]
    if not kind and _is_of_others(dialect.firsts[fields[8]], kinds, settings):
        raise Fault(RefusalReason.UNSUPPORTED_TYPE, "MSH-9", "a message type that is not for us")
    if not kind:
        raise Fault(RefusalReason.MISSING_FIELD, "MSH-9", "needs a message type and a trigger event")
    if kind not in kinds and kind.partition("^")[0] not in settings.tolerated_types:
        raise Fault(RefusalReason.UNSUPPORTED_TYPE, "MSH-9", "a message type that is not for us")
    version = dialect.firsts[fields[11]]
    if not version:
        header.notes = ("version_absent",)
    elif version not in (accepted := header.route.accepted_versions or settings.accepted_versions) and (
        accepted != VERSIONS or version not in ALIKE_VERSIONS
    ):
        raise Fault(RefusalReason.UNSUPPORTED_VERSION, "MSH-12", "a version that is not read")
    if not header.control_id:
        raise Fault(RefusalReason.MISSING_FIELD, "MSH-10", "needs a control id")
    feed_zone = header.route.zone or settings.zones.get(header.feed)
    header.clock = clock_of(feed_zone or settings.zone, settings.ambiguous_hour)
    if fields[6]:
        header.sent = read_instant(header.clock, fields[6], "MSH-7", dialect)
        if header.sent is not None and header.sent.offset and feed_zone is None:
            # Section 2.14.9.7: an offset in MSH-7 is the default of every time in the message.
            header.clock = clock_of(header.sent.offset, settings.ambiguous_hour)
    if len(fields[1]) == 5 and fields[1][2] == fields[1][3]:
        header.notes += ("msh2_escape_doubled",)


def _is_of_others(name: str, kinds: frozenset[str], settings: Hl7Settings) -> bool:
    """Say whether MSH-9 is no type of ours, whatever its trigger event might be: `ACK` alone is a type of its own."""
    return bool(name) and name not in settings.tolerated_types and name not in {kind[:3] for kind in kinds}


def read_instant(clock: Clock, field: str, position: str, dialect: Dialect) -> Instant | None:
    """Read a time field: None where it is blank or null; raises `Fault` where it is no time."""
    instant = clock.instants[field]
    if instant is not None:
        return instant
    text = dialect.first(field)
    if not text:
        return None
    instant = clock.instants[text]
    if instant is None:
        raise Fault(RefusalReason.INVALID_TIME, position, "is no HL7 time")
    return instant


def instant_if_readable(header: Header, field: str, position: str) -> Instant | None:
    """Read a time field that another stands in for: None also where it is no time."""
    try:
        return read_instant(header.clock, field, position, header.dialect) if field else None
    except Fault:
        return None
