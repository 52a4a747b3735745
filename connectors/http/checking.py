"""The route that says whether a message would be taken, and takes nothing: `POST /check`.

Owns the answer. Must not know the intake: what is posted here is neither stored nor a dead letter, whatever it is. It
is read by the settings of the other routes, so that whoever drives a dead letter again knows before he sends it. What
[parse] alone can tell (whether two numbers are one patient's) is not asked: an answer of 200 is no ACK.
"""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import web

from connectors.decoded import Refusal
from connectors.fhir.operation_outcome import Issue, issue_of
from connectors.fhir.settings import FhirSettings
from connectors.hl7v2.settings import Hl7Settings
from connectors.http.arrivals import fhir_arrivals, hl7_arrivals
from connectors.http.body import Room, body_of
from connectors.http.faults import HttpFault, outcome
from connectors.http.limits import DECODED_INLINE_BYTES_MAX, DECODERS_MAX, HttpLimits
from connectors.http.taking import FHIR_TYPES, HL7_TYPES
from connectors.sources.arrival import Arrival

CHECK_PATH = "/check"
CAME_BY = "Wardstream-Came-By"
MLLP = "mllp"
"""What `CAME_BY` says of a message that came to an MLLP port: no other route of ours knows to which, and a message that
is read by the rules of its port would be read by others here: another zone, another's numbers."""


class Checking:
    """The handler, with the room that it shares with the routes that take messages in."""

    def __init__(self, hl7: Hl7Settings, fhir: FhirSettings, limits: HttpLimits, room: Room) -> None:
        self._hl7 = hl7
        self._fhir = fhir
        self._limits = limits
        self._room = room
        self._decoders = asyncio.Semaphore(DECODERS_MAX)

    async def check(self, request: web.Request) -> web.Response:
        """Say of one message or several, or of a resource or Bundle: 200 where all could be used, else 422 with why."""
        kind = request.content_type.lower()
        if "Content-Type" not in request.headers or kind not in FHIR_TYPES | HL7_TYPES:
            accepted = ", ".join(sorted(FHIR_TYPES | HL7_TYPES))
            raise HttpFault(415, f"expected one of: {accepted}", headers={"Accept": accepted}, close=True)
        async with body_of(request, self._room, self._limits) as body:
            if len(body) <= DECODED_INLINE_BYTES_MAX:
                arrivals = self._decoded(body, kind)
            else:
                async with self._decoders:
                    arrivals = await asyncio.to_thread(self._decoded, body, kind)
        if not arrivals:
            raise HttpFault(400, "no content, or more messages than one request may have", code="required")
        by_mllp = request.headers.get(CAME_BY) == MLLP and kind in HL7_TYPES
        if by_mllp and any(self._hl7.goes_by_port(arrival.data or b"") for arrival in arrivals):
            raise HttpFault(409, "its MLLP port has a route of its own: to be sent there again", code="conflict")
        issues = [_issue(arrival.decoded) for arrival in arrivals if isinstance(arrival.decoded, Refusal)]
        if issues:
            return outcome(422, issues)
        return outcome(200, [Issue("information", "informational", "would be taken; nothing is stored")])

    def _decoded(self, body: bytes, kind: str) -> list[Arrival] | None:
        if kind in FHIR_TYPES:
            return fhir_arrivals(body, self._fhir, "check")
        return hl7_arrivals(body, self._hl7, "check")


def _issue(refusal: Refusal) -> Issue:
    return msgspec.structs.replace(issue_of(refusal), text="would be refused; nothing is stored")
