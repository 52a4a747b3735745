"""The door for what FHIR servers tell us of themselves: `/fhir/subscriptions/NAME`, and below it what HAPI puts there.

Owns who may come in and how each is answered. Must not know what is told. The site's own token opens nothing here, and
a server's secret opens nothing else. A name that is none is answered as a wrong secret is: nobody learns which servers
there are. 200: it is durable; 503: send it again.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from connectors.fhir.operation_outcome import Issue
from connectors.fhir_sources.faults import FhirSourceError
from connectors.fhir_sources.receiving import Receiver
from connectors.http.access import bearer
from connectors.http.body import Room, body_of
from connectors.http.faults import FHIR_JSON, HttpFault, busy, outcome
from connectors.http.limits import HttpLimits

BUNDLE_TAKEN = b'{"resourceType":"Bundle","type":"transaction-response"}'
"""HAPI sends a notification as a transaction: answered by anything but a Bundle, it sends it again without end."""


class Hooks:
    """Lets servers in."""

    def __init__(self, receivers: Mapping[str, Receiver]) -> None:
        self._receivers = receivers

    async def receive(self, request: web.Request, room: Room, limits: HttpLimits) -> web.Response:
        """Take one delivery; raises `HttpFault` or `NotStoredError`."""
        receiver = self._receivers.get(request.match_info["source"])
        given = bearer(request)
        if receiver is None or not receiver.knows(given):
            headers = {"WWW-Authenticate": 'Bearer realm="wardstream"'}
            raise HttpFault(401, "the secret of this subscription is needed", headers=headers, close=True)
        async with body_of(request, room, limits) as body:
            try:
                bundle = await receiver.receive(body)
            except FhirSourceError:
                raise busy("what was named could not be read: send it again later") from None
        if bundle:
            return web.Response(body=BUNDLE_TAKEN, content_type=FHIR_JSON)
        return outcome(200, [Issue("information", "informational", "taken")])
