r"""What stands in an HL7 v2 message, whatever is made of it: header, segments, fields, zoneless times, code names.

Owns the look at the text. Must not know what may be used: the codec judges. What is given is what a feed is built of
(types, names of segments, codes), each held to the form of such a thing: a patient's name that slipped into a header
is not told.
"""

from __future__ import annotations

import re

import msgspec

from connectors.hl7v2.dialect import Dialect, dialect_of
from connectors.hl7v2.faults import Fault
from connectors.hl7v2.routes import Route, route_of
from connectors.hl7v2.settings import Hl7Settings
from events import Coding

READ: dict[str, frozenset[int]] = {
    "MSH": frozenset({1, 2, 3, 4, 7, 9, 10, 12, 18}),
    "EVN": frozenset({1, 2, 6}),
    "PID": frozenset({2, 3, 7, 8, 18, 29, 30}),
    "PV1": frozenset({2, 3, 15, 19, 36, 44, 45}),
    "MRG": frozenset({1, 3, 5}),
    "ORC": frozenset({2, 3}),
    "OBR": frozenset({2, 3, 4, 7, 15}),
    "OBX": frozenset({2, 3, 4, 5, 6, 8, 11, 14, 15, 17, 18, 20}),
    "SPM": frozenset({4}),
}
"""The fields that we read (connectors/hl7v2); all others are kept in a message's bytes, unread."""
TIMES: dict[str, tuple[int, ...]] = {"MSH": (7,), "EVN": (2, 6), "OBR": (7,), "OBX": (14,), "PV1": (44, 45)}
"""Those of them that hold instants."""
LINES_MAX = 20_000
"""Of one message: a bound on what a look costs."""
NAME_CHARS_MAX = 60

_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}")
_TYPE = re.compile(r"[A-Z0-9]{3}\^[A-Z0-9]{3}")
_VERSION = re.compile(r"\d{1,2}\.\d{1,2}(\.\d{1,2})?")
_SETS = frozenset(
    {"ASCII", "ISO IR6", "ISO IR14", "ISO IR87", "ISO IR159", "GB 18030-2000", "KS X 1001", "CNS 11643-1992", "BIG-5"}
    | {"UNICODE", "UNICODE UTF-8", "UNICODE UTF-16", "UNICODE UTF-32", "UTF-8", "UTF8", "UTF-16", "ISO-8859-1"}
    | {f"8859/{part}" for part in range(1, 17)}
)
"""HL7 table 0211 and its common misspellings; anything else that stands in MSH-18 is not told."""
_ZONE = re.compile(r"(Z|[+-]\d\d:?\d\d)\Z")
_EDGE = b"\x0b\x1c\r\n\t \x00"


class Look(msgspec.Struct, frozen=True):
    """What one message is built of."""

    kind: str = ""
    """MSH-9 as `ORU^R01`, or empty where it is no such thing."""
    version: str = ""
    charset: str = ""
    """MSH-18, or `none, ASCII only` and `none, other bytes`."""
    segments: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    """`PID-3` for each field with content, `Patient.gender` for each element; once a message."""
    zoneless: tuple[str, ...] = ()
    """The fields that hold a time of day without its zone, once a message."""
    unzoned_header: bool = False
    """Whether MSH-7 has no zone, so that the zone of the settings decides."""
    unnamed_identifier: bool = False
    """Whether an identifier in PID-3 names no assigning authority."""
    names: tuple[tuple[Coding, str], ...] = ()
    """The first coding of each OBX-3 and what the sender calls it."""


def look(data: bytes) -> Look:
    r"""Look at a message; of what is none, as much as there is.

    >>> seen = look(b"MSH|^~\\&|LAB|MAIN|||20260101120000||ORU^R01|7|P|2.5\rPID|1||42\rOBX|1|NM|HR^Pulse^L||72")
    >>> seen.kind, seen.version, seen.segments, seen.zoneless, seen.unnamed_identifier
    ('ORU^R01', '2.5', ('MSH', 'PID', 'OBX'), ('MSH-7',), True)
    >>> seen.names
    ((('L', 'HR'), 'Pulse'),)
    >>> look(b"hello").kind
    ''
    """
    lines = _text(data).replace("\n", "\r").split("\r")[:LINES_MAX]
    head = lines[0]
    separator = head[3:4]
    if head[:3].upper() != "MSH" or not separator:
        return Look(charset=_charset("", data))
    fields = head.split(separator)
    try:
        dialect = dialect_of(separator + fields[1])
    except (Fault, IndexError):
        return Look(charset=_charset("", data), segments=("MSH",))
    fields += [""] * (19 - len(fields))
    used: dict[str, None] = {}
    zoneless: dict[str, None] = {}
    names: list[tuple[Coding, str]] = []
    segments: list[str] = []
    unnamed = False
    for line in lines:
        parts = line.split(separator)
        name = parts[0].strip().upper()
        if not _SEGMENT.fullmatch(name):
            continue
        segments.append(name)
        if name == "MSH":
            parts = [name, separator, *parts[1:]]
        for index, part in enumerate(parts[1:], 1):
            if part.strip():
                used[f"{name}-{index}"] = None
        for index in TIMES.get(name, ()):
            if index < len(parts) and _is_zoneless(dialect.first(parts[index])):
                zoneless[f"{name}-{index}"] = None
        if name == "OBX" and len(parts) > 3:
            names += _named(dialect, parts[3])
        elif name == "PID":
            unnamed = unnamed or (len(parts) > 3 and _unnamed(dialect, parts[3]))
    kind = dialect.kinds[fields[8]]
    version = dialect.firsts[fields[11]]
    return Look(
        kind=kind if _TYPE.fullmatch(kind) else "",
        version=version if _VERSION.fullmatch(version) else "",
        charset=_charset(dialect.first(fields[17]), data),
        segments=tuple(segments),
        fields=tuple(used),
        zoneless=tuple(zoneless),
        unzoned_header="MSH-7" in zoneless,
        unnamed_identifier=unnamed,
        names=tuple(names),
    )


def route_for(data: bytes, settings: Hl7Settings) -> Route:
    r"""Give the route by whose rules a message of a file is read: those that a port decides are not taken.

    >>> route_for(b"MSH|^~\\&|LAB|MAIN", Hl7Settings()).name
    'none'
    """
    return route_of(data.strip(_EDGE).removeprefix(b"\xef\xbb\xbf"), settings.routes, 0)


def _text(data: bytes) -> str:
    data = data.strip(_EDGE).removeprefix(b"\xef\xbb\xbf")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _charset(said: str, data: bytes) -> str:
    if said:
        return said.upper() if said.upper() in _SETS else "(not of table 0211)"
    return "none, ASCII only" if data.isascii() else "none, other bytes"


def _is_zoneless(text: str) -> bool:
    """Whether it is a time of day without a zone; a date alone begins somewhere too, but says so of itself."""
    return len(text) > 8 and text[:8].isdigit() and not _ZONE.search(text)


def _named(dialect: Dialect, field: str) -> list[tuple[Coding, str]]:
    codings = dialect.codes[field].codings
    parts = field.split(dialect.delimiters.component)
    if not codings or len(parts) < 2:
        return []
    return [(codings[0], dialect.leaf(parts[1])[:NAME_CHARS_MAX])]


def _unnamed(dialect: Dialect, field: str) -> bool:
    marks = dialect.delimiters
    for repetition in field.split(marks.repetition):
        parts = repetition.split(marks.component)
        if parts[0].strip() and not (len(parts) > 3 and parts[3].strip()):
            return True
    return False
