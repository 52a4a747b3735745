"""Who may read what: by the site's token everything, by the token of an actor of some wards what is of his wards.

Owns whose token opens what, and what of each document an actor of some wards is given. Must not know how a document
came about, nor what may be done (`connectors.acts.door`).

A patient who lies elsewhere and one whom nobody knows are answered alike, so that nobody learns who is in the house;
counts that name neither ward nor patient (feeds, metrics, what was withheld) are everybody's.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection

import msgspec
from aiohttp import web

from connectors.acts.door import Who
from connectors.http.faults import HttpFault, busy
from connectors.http.ports import Reading

OPEN_PATHS = frozenset({"/", "/health/live", "/health/ready"})
"""For these no token is asked."""
READING = frozenset({"GET", "HEAD"})
"""What somebody who may act may do beside: look."""
WARDED = ("patients", "reviews", "alerts")
"""Of a document, the lists whose entries are each of one ward."""

Wards = frozenset[str]
EVERYWHERE: Wards = frozenset()
"""No ward is named: all may be read."""
WardsOf = Callable[[web.Request], Wards | None]
"""Says which wards a request may read; None where it may read nothing, or no more."""

_encode = msgspec.json.Encoder().encode


class Access:
    """Says which wards a request may read."""

    def __init__(self, token: str | None, who: Callable[[str], Who | None]) -> None:
        """`who` says whose token it is, of those who may act. Without a site's token everybody reads everything."""
        self._token = None if token is None else token.encode()
        self._who = who

    def wards_of(self, request: web.Request) -> Wards | None:
        """Give the wards that a request may read, `EVERYWHERE` for all; None where it may read nothing."""
        if self._token is None or request.path in OPEN_PATHS:
            return EVERYWHERE
        given = bearer(request)
        if hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._token):
            return EVERYWHERE
        who = self._who(given) if request.method in READING else None
        return None if who is None else frozenset(who.person.wards)


class Scoped:
    """What may be asked, as far as these wards reach."""

    def __init__(self, reading: Reading, wards: Wards) -> None:
        self._reading = reading
        self._wards = wards

    async def patients(self, ward: str | None) -> bytes:
        """Give the patients of a ward, or of all of these wards."""
        if not self._wards:
            return await self._reading.patients(ward)
        if ward is not None and ward not in self._wards:
            raise HttpFault(403, "this ward is none of this actor's")
        document = _read_parts(await self._reading.patients(ward))
        if "signals" in document:
            # In an outage the newest of all wards may have none of his among them.
            document["signals"] = msgspec.Raw(self._reading.signals(self._wards if ward is None else (ward,)))
        return keep_wards(_encode(document), self._wards)

    async def patient(self, key: str) -> bytes | None:
        """Give one patient."""
        if self._wards and not await lies_on(self._wards, key, self._reading):
            raise HttpFault(403, "nobody with this key is on a ward of this actor's")
        return await self._reading.patient(key)

    async def open_alerts(self) -> bytes:
        """Give the newest event of every open alert."""
        document = await self._reading.open_alerts()
        return keep_wards(document, self._wards) if self._wards else document

    def shows(self, alert: bytes) -> bool:
        """Say whether an alert event is of one of these wards."""
        return not self._wards or _read_place(alert).ward in self._wards


async def lies_on(wards: Collection[str], key: str, reading: Reading) -> bool:
    """Say whether a patient lies on one of these wards.

    Raises a 503 where the records that could say so are not folded yet: he may have been admitted or moved by one.
    """
    if await reading.ward_of(key) in wards:
        return True
    if not await reading.caught_up():
        raise busy("where patients lie is not known at this moment: try again")
    return await reading.ward_of(key) in wards


def keep_wards(document: bytes, wards: Wards) -> bytes:
    """Leave of a document what is of these wards; a signal that is of no ward and no patient is everybody's.

    >>> keep_wards(b'{"wards":["A","B"],"patients":[{"ward":"A"},{"ward":"B"}],"clock":1}', frozenset({"B"}))
    b'{"wards":["B"],"patients":[{"ward":"B"}],"clock":1}'
    """
    parts = _read_parts(document)
    for name in WARDED:
        if name in parts:
            parts[name] = _rows(parts[name], lambda place: place.ward in wards)
    if "signals" in parts:
        parts["signals"] = _rows(parts["signals"], lambda one: one.ward in wards or not (one.ward or one.patient))
    if "wards" in parts:
        named: list[str] = msgspec.json.decode(parts["wards"])
        parts["wards"] = msgspec.Raw(_encode([ward for ward in named if ward in wards]))
    return _encode(parts)


def bearer(request: web.Request) -> str:
    """Give the bearer token of a request, or an empty text.

    Of anything that is none, nothing is given: not of a scheme of another kind either.
    """
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


class _Place(msgspec.Struct):
    """Of which ward, and of which patient, something is."""

    ward: str = ""
    patient: str = ""


def _rows(part: msgspec.Raw, wanted: Callable[[_Place], bool]) -> msgspec.Raw:
    return msgspec.Raw(_encode([row for row in _read_rows(part) if wanted(_read_place(row))]))


_read_parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_read_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode
_read_place = msgspec.json.Decoder(_Place).decode
