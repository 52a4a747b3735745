"""The port for what other servers tell of themselves: deliveries of subscriptions that we asked for.

Owns the port and its paths. Must not know who may deliver: the taker asks for a secret of its own, and the site's token
opens nothing here.
"""

from __future__ import annotations

from typing import Protocol

from aiohttp import web

from connectors.http.body import Room
from connectors.http.limits import HttpLimits

TELLING_PATH = "/fhir/subscriptions"
"""Below it the name of a server; below that what HAPI adds: `Observation/123`."""


class Telling(Protocol):
    """Takes what other servers tell."""

    async def receive(self, request: web.Request, room: Room, limits: HttpLimits) -> web.Response:
        """Take one delivery; raises `HttpFault` or `NotStoredError`. The name stands in `match_info["source"]`."""
        ...
