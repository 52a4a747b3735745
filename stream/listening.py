"""What listens: the MLLP and the HTTP server of one process, wired alike whichever host stands behind them.

Owns their wiring, and that they start and stop together. Must not know what stores, folds or answers: it is given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from connectors.fhir.settings import FhirSettings
from connectors.hl7v2.settings import Hl7Settings
from connectors.http.acting import Entrance
from connectors.http.limits import HttpLimits
from connectors.http.ports import Reading
from connectors.http.server import HttpServer
from connectors.intake import Intake
from connectors.mllp.limits import MllpLimits
from connectors.mllp.server import MllpServer
from events import Millis
from stream.reports import Reports
from stream.service_settings import ServiceSettings


class Listeners:
    """Both servers. Made, started and stopped on the event loop."""

    def __init__(
        self,
        intake: Intake,
        reading: Reading,
        hl7: Hl7Settings,
        fhir: FhirSettings,
        settings: ServiceSettings,
        http_limits: HttpLimits,
        *,
        reports: Reports,
        now: Callable[[], Millis],
        token: str | None,
        entrance: Entrance | None = None,
    ) -> None:
        """`entrance` says who may act; without one nobody may."""
        self._settings = settings
        mllp_limits = MllpLimits(connections_max=settings.mllp_connections_max, frame_idle_s=settings.mllp_idle_frame_s)
        self._mllp = MllpServer(intake, hl7, mllp_limits, now=now, report=reports.mllp)
        self._http = HttpServer(
            intake, reading, hl7, fhir, http_limits, token=token, report=reports.http, clock=now, entrance=entrance
        )

    async def start(self) -> tuple[int, int]:
        """Listen; give the ports of MLLP and HTTP. Raises `OSError` where an address cannot be had."""
        mllp_port = await self._mllp.start(self._settings.mllp_host, self._settings.mllp_port)
        http_port = await self._http.start(self._settings.http_host, self._settings.http_port)
        return mllp_port, http_port

    async def stop(self) -> None:
        """Listen no more; what was read is offered and answered, within the settings' grace."""
        grace_s = self._settings.stop_grace_s
        await asyncio.gather(self._mllp.stop(grace_s), self._http.stop(grace_s))

    def addresses(self, mllp_port: int, http_port: int) -> dict[str, str]:
        """Give each address as text, by what it speaks."""
        return {
            "mllp": address(self._settings.mllp_host, mllp_port),
            "http": address(self._settings.http_host, http_port),
        }


def address(host: str, port: int) -> str:
    """Write an address as in a URL.

    >>> address("127.0.0.1", 80), address("::1", 80)
    ('127.0.0.1:80', '[::1]:80')
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
