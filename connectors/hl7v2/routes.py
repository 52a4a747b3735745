"""Routes: senders whose messages are read by rules of their own, known by the port they come to or by MSH-3 and MSH-4.

Owns the shape of a route, and the choice of one. Must not know how its rules are carried out. The choice is a function
of the configuration, the message's first line and the port, which is recorded with the message: read again from the
log, a message takes the same route.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from connectors.hl7v2.charset import CODECS
from connectors.hl7v2.delimiters import fit_marks
from connectors.zones import check_zone

ROUTES_MAX = 500
"""More feeds than any hospital has; they are gone through one by one."""
HEADER_BYTES_MAX = 4_096
"""As far as MSH-3 and MSH-4 are looked for: each has 227 characters at the most."""
ANY = "*"
PORT_MAX = 65_535

_EDGE = b"\x0b\x1c\r\n\t \x00"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SENDER = re.compile(r"[^|]+\|[^|]+")


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which messages it is for (`port`, `sender`, or both), and how they are read; what it leaves empty is as for all.

    >>> Route("monitors", port=2576, zone="Europe/Berlin").zone
    'Europe/Berlin'
    >>> Route("monitors", port=2576, zone="Mars/Olympus")
    Traceback (most recent call last):
    ValueError: routes."monitors".zone: unknown time zone 'Mars/Olympus'; expected an IANA name such as 'Europe/London'
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    port: Annotated[int, msgspec.Meta(ge=0, le=PORT_MAX)] = 0
    """The MLLP port that it is for: the service listens there too. 0: any, and messages that come another way."""
    sender: str = ""
    """`MSH-3|MSH-4`, the first components as sent; `*` for one of them means any. Empty: whoever sends."""
    zone: str = ""
    """IANA zone of times without an offset; stronger than `hl7.zones` and the offset in MSH-7."""
    authority: str = ""
    """Whose the identifiers are that name no authority in PID-3.4."""
    charset: str = ""
    """HL7 table 0211 name of the character set where MSH-18 says none; else it is guessed."""
    codes: str = ""
    """The table `[codes."NAME"]` by which all codings of this sender are read whose system is no standard one."""
    delimiters: str = ""
    """Used in place of MSH-2, whatever stands there: four or five characters."""
    accepted_versions: frozenset[str] = frozenset()
    """MSH-12 that is read; empty: as for all."""
    acknowledgement: Literal["", "asked", "original"] = ""
    """How its messages are answered: `asked`, by MSH-15 and MSH-16; `original`, one AA, AE or AR whatever stands there.
    Empty: as for all."""
    devices: bool = False
    """Its results are devices' own, whatever they are coded in, unless OBX-17 says that a person measured or validated
    them: a monitor that sends LOINC or local codes each second (docs/decisions/0043)."""
    strict: bool = False
    """Refuse what is else survived by a rule and noted (`connectors.hl7v2.strictness`)."""

    def __post_init__(self) -> None:
        place = f'routes."{self.name}"'
        if self.sender and not _SENDER.fullmatch(self.sender):
            raise ValueError(f"{place}.sender: {self.sender!r}; expected MSH-3|MSH-4, such as 'PAS|MAIN' or 'PAS|*'")
        if self.zone:
            check_zone(f"{place}.zone", self.zone)
        if self.charset and not CODECS.get(self.charset.upper()):
            known = ", ".join(sorted(name for name, codec in CODECS.items() if codec))
            raise ValueError(f"{place}.charset: {self.charset!r}; expected one of {known}")
        if self.delimiters and not fit_marks(f"|{self.delimiters}"):
            raise ValueError(
                f"{place}.delimiters: {self.delimiters!r}; expected four or five different marks, as ^~\\&"
            )

    def takes(self, sender: str, port: int) -> bool:
        """Say whether it is for a sender's message that came to a port.

        >>> Route("r", sender="PAS|*").takes("PAS|MAIN", 2575), Route("r", port=1).takes("PAS|MAIN", 2575)
        (True, False)
        """
        return (not self.port or self.port == port) and (not self.sender or _fits(self.sender, sender))

    def covers(self, other: Route) -> bool:
        """Say whether it takes all that another one would."""
        port = not self.port or self.port == other.port
        return port and (not self.sender or (bool(other.sender) and _fits(self.sender, other.sender)))


NO_ROUTE = Route("none")
"""What is read as for all."""


def check_routes(routes: Sequence[Route]) -> None:
    """Raise `ValueError` where one is for nobody, two have one name, or one can never be taken for one before it.

    >>> check_routes([Route("monitors")])
    Traceback (most recent call last):
    ValueError: routes."monitors": names neither port nor sender; expected one of them, or both
    """
    if len(routes) > ROUTES_MAX:
        raise ValueError(f"routes: {len(routes)}; expected {ROUTES_MAX} at the most")
    for number, route in enumerate(routes):
        if not route.port and not route.sender:
            raise ValueError(f'routes."{route.name}": names neither port nor sender; expected one of them, or both')
        for before in routes[:number]:
            if before.name == route.name:
                raise ValueError(f'routes."{route.name}": the name of two routes')
            if before.covers(route):
                raise ValueError(
                    f'routes."{route.name}": never taken, for {before.name!r} before it takes all of it; put it first'
                )


def route_of(body: bytes, routes: Sequence[Route], port: int) -> Route:
    r"""Give the first route that takes a message, or `NO_ROUTE`. Before MSH may stand what the codec takes away.

    >>> routes = [Route("lab", sender="LAB|*", zone="Europe/Paris")]
    >>> route_of(b"MSH|^~\\&|LAB^x|MAIN|||2026", routes, 2575).name, route_of(b"MSH|^~\\&|PAS|MAIN", routes, 0).name
    ('lab', 'none')
    """
    if not routes:
        return NO_ROUTE
    head = body.lstrip(_EDGE).removeprefix(_BYTE_ORDER_MARK).lstrip(_EDGE)[:HEADER_BYTES_MAX]
    line = head.replace(b"\n", b"\r").split(b"\r", 1)[0].decode("latin-1")
    fields = [*line.split(line[3:4] or "|", 4), "", "", ""]
    for route in routes:
        marks = route.delimiters or fields[1] or "^~"
        sender = "|".join(field.split(marks[1:2] or "~", 1)[0].split(marks[0], 1)[0].strip() for field in fields[2:4])
        if route.takes(sender, port):
            return route
    return NO_ROUTE


def _fits(pattern: str, sender: str) -> bool:
    return all(wanted in (ANY, said) for wanted, said in zip(pattern.split("|"), sender.split("|", 1), strict=True))
