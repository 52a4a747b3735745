"""Driving letters again: each different message once, and only where the service would take it.

Owns the order of asking and sending, and the words for what became of a letter. Must not know where letters are kept.

Idempotent: what is refused again is found out by `POST /check`, which stores nothing, so no letter is added; what was
taken before is a duplicate to the service, and where the log can be looked into it is not even sent. Driving the same
letters twice, or after being stopped half-way, comes to what driving them once comes to.
"""

from __future__ import annotations

from collections.abc import Callable

import httpx

from connectors.decoded import Decoded
from connectors.fhir.codec import decode_each
from connectors.hl7v2.codec import decode
from connectors.http.checking import CAME_BY, MLLP
from stream.letters.kept import KeptLetter
from stream.links import BUSY_STATUSES
from stream.parse import unusable
from stream.settings import Settings

TIMEOUT_S = 60.0
"""For one message to be stored again: a disk that takes longer is the operator's to look at."""

TAKEN = "taken"
WOULD_BE_TAKEN = "would be taken"
TAKEN_BEFORE = "taken before"
SAME_MESSAGE = "the same message as another letter"
REFUSED_AGAIN = "refused again"
BY_PORT = "of a port with a route: for its sender to send again"
NOT_WHOLE = "not whole"
ACT = "acts: for their actor to do again"
NO_RECORD = "no record of ours"
TRY_LATER = "not stored: try later"
DONE = frozenset({TAKEN, WOULD_BE_TAKEN, TAKEN_BEFORE, SAME_MESSAGE})
"""With nothing else than these there is nothing left to do."""


class ServiceError(RuntimeError):
    """The service cannot be asked: the operator's; the text says what to do."""


class Redriver:
    """Drives letters to one running service."""

    def __init__(
        self,
        client: httpx.Client,
        url: str,
        taken: Callable[[KeptLetter], bool] = lambda _letter: False,
        *,
        dry_run: bool = False,
        remedy: str,
    ) -> None:
        """`taken` says whose message is in the log by now; `dry_run` asks and sends nothing. `remedy` is what to
        do where the service asks who is there.
        """
        self._client = client
        self._url = url.rstrip("/")
        self._taken = taken
        self._dry_run = dry_run
        self._remedy = remedy
        self._tried: set[str] = set()

    def drive(self, letter: KeptLetter) -> str:
        """Drive one letter; say what became of it. Raises `ServiceError` where the service cannot be asked."""
        if unfit := _unfit(letter):
            return unfit
        if letter.digest in self._tried:
            return SAME_MESSAGE
        self._tried.add(letter.digest)
        if self._taken(letter):
            return TAKEN_BEFORE
        asked = REFUSED_AGAIN if _is_refused_by_parse(letter) else self._post("/check", letter)
        if asked != TAKEN or self._dry_run:
            return WOULD_BE_TAKEN if asked == TAKEN else asked
        return self._post("/fhir" if letter.fhir else "/hl7", letter)

    def _post(self, path: str, letter: KeptLetter) -> str:
        kind = "application/fhir+json" if letter.fhir else "application/hl7-v2"
        headers = {"content-type": kind, **({CAME_BY: MLLP} if f"{MLLP}/" in letter.source else {})}
        try:
            answer = self._client.post(self._url + path, content=letter.data, headers=headers)
        except httpx.TransportError as error:
            raise ServiceError(
                f"{self._url} does not answer ({type(error).__name__}): start the service, or name it by --to"
            ) from None
        if answer.status_code in (401, 403):
            raise ServiceError(f"{self._url} asks for a token: {self._remedy}")
        if answer.status_code == 404:
            raise ServiceError(f"{self._url} has no {path}: it is not this release's service")
        if answer.status_code == 200:
            return TAKEN
        if answer.status_code == 409:
            return BY_PORT
        passes = answer.status_code >= 500 or answer.status_code in BUSY_STATUSES
        return TRY_LATER if passes else REFUSED_AGAIN


def _unfit(letter: KeptLetter) -> str:
    """Say why a letter cannot be driven at all, or nothing."""
    if letter.source.startswith("acts/"):
        return ACT
    if letter.reason == "unreadable_record":
        return NO_RECORD
    # What was cut off may read as a message by itself, of half a ward or half a time; and what stood outside of a frame
    # has no end that anybody saw.
    if letter.reason == "truncated" or (letter.reason == "garbage" and "mllp/" in letter.source):
        return NOT_WHOLE
    # Of an oversized message only the beginning is kept.
    return "" if letter.data and len(letter.data) >= letter.size else NOT_WHOLE


def _is_refused_by_parse(letter: KeptLetter) -> bool:
    """Whether [parse] would refuse what the codec takes, as far as the message itself tells."""
    settings = Settings()
    if letter.fhir:
        results = [result for result, _data in decode_each(letter.data, settings.fhir)]
    else:
        results = [decode(letter.data, settings.hl7)]
    return any(isinstance(one, Decoded) and unusable(one) is not None for one in results)
