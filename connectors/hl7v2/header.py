"""The message header, MSH: who speaks, what about, when, and how to read the rest.

Owns MSH and the choice of clock. Must not know the other segments.
"""

from __future__ import annotations

import msgspec

from connectors.decoded import RefusalReason
from connectors.hl7v2.dialect import Dialect, dialect_of
from connectors.hl7v2.faults import Fault
from connectors.hl7v2.settings import Hl7Settings
from connectors.hl7v2.times import UTC_CLOCK, Clock, Instant, clock_of

LENGTH_MIN = 8
r"""`MSH|^~\&` is the shortest beginning of a header."""
FIELDS = 19
"""We read up to MSH-18."""


class Header(msgspec.Struct):
    """What an MSH says, filled in as far as it could be read, so that a refusal can name the message."""

    dialect: Dialect
    fields: list[str]
    feed: str
    control_id: str
    kind: str = ""
    clock: Clock = UTC_CLOCK
    sent: Instant | None = None
    notes: tuple[str, ...] = ()


def open_header(line: str) -> Header:
    r"""Read the delimiters, the feed and MSH-10; raises `Fault` where the delimiters cannot be such.

    >>> open_header("MSH|^~\\&|LAB|MAIN|||20260101||ORU^R01|77|P|2.5").control_id
    '77'
    """
    if len(line) < LENGTH_MIN:
        raise Fault(RefusalReason.TRUNCATED, f"byte {len(line)}", "ends within the delimiters of MSH")
    separator = line[3:4]
    fields = line.split(separator)
    dialect = dialect_of(separator + fields[1])
    fields += [""] * (FIELDS - len(fields))
    # MSH-1 is the separator itself, so that fields[n] holds MSH-(n+1).
    feed = f"{dialect.firsts[fields[2]]}|{dialect.firsts[fields[3]]}"
    return Header(dialect, fields, feed, dialect.leaf(fields[9]))


def check_header(header: Header, settings: Hl7Settings, kinds: frozenset[str]) -> None:
    """Fill in type, time and clock; raises `Fault` where one is missing or not accepted."""
    fields, dialect = header.fields, header.dialect
    parts = fields[8].split(dialect.delimiters.component, 2)
    kind, trigger = dialect.firsts[parts[0]], dialect.firsts[parts[1]] if len(parts) > 1 else ""
    if not kind or not trigger:
        raise Fault(RefusalReason.MISSING_FIELD, "MSH-9", "needs a message type and a trigger event")
    header.kind = f"{kind}^{trigger}"
    if header.kind not in kinds:
        raise Fault(RefusalReason.UNSUPPORTED_TYPE, "MSH-9", "a message type that is not for us")
    version = dialect.firsts[fields[11]]
    if not version:
        header.notes = ("version_absent",)
    elif version not in settings.accepted_versions:
        raise Fault(RefusalReason.UNSUPPORTED_VERSION, "MSH-12", "a version that is not read")
    if not header.control_id:
        raise Fault(RefusalReason.MISSING_FIELD, "MSH-10", "needs a control id")
    feed_zone = settings.zones.get(header.feed)
    header.clock = clock_of(feed_zone or settings.zone, settings.ambiguous_hour)
    if fields[6]:
        header.sent = read_instant(header.clock, fields[6], "MSH-7", dialect)
        if header.sent is not None and header.sent.offset and feed_zone is None:
            # Section 2.14.9.7: an offset in MSH-7 is the default of every time in the message.
            header.clock = clock_of(header.sent.offset, settings.ambiguous_hour)
    if len(fields[1]) == 5 and fields[1][2] == fields[1][3]:
        header.notes += ("msh2_escape_doubled",)


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
