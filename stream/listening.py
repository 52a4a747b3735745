"""What takes messages in: the MLLP and HTTP servers, the folder watch and the FHIR sources of one process, alike
whichever host stands behind them.

Owns their wiring, and that they start and stop together. Must not know what stores, folds or answers: it is given.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from connectors.batches.inbox import Inbox
from connectors.batches.settings import BatchSettings
from connectors.batches.taking import FolderWatch
from connectors.fhir.settings import FhirSettings
from connectors.fhir_sources.settings import FhirSources
from connectors.hl7v2.settings import Hl7Settings
from connectors.http.acting import Entrance
from connectors.http.limits import HttpLimits
from connectors.http.ports import Reading
from connectors.http.server import HttpServer
from connectors.intake import Intake
from connectors.mllp.limits import MllpLimits
from connectors.mllp.server import MllpServer
from connectors.mllp.settings import MllpSettings
from connectors.mllp.tls import TlsFiles, TlsFilesError
from events import Millis
from stream.fhir_sources import FhirSourcesHost, TurnsOf
from stream.reports import Reports
from stream.service_settings import ServiceSettings
from stream.settings import ConfigurationError


class WaysIn(msgspec.Struct, frozen=True):
    """How messages come in beside the ports of `[service]`.

    >>> WaysIn().batch.folder
    ''
    """

    mllp: MllpSettings = MllpSettings()
    batch: BatchSettings = BatchSettings()
    fhir_sources: FhirSources = FhirSources()
    state_folder: Path | None = None
    """Where it is kept how far each FHIR server was read, unless its own settings say."""
    turns: TurnsOf | None = None
    """Whose turn it is to ask a FHIR server, where other processes name it too."""


class Listeners:
    """The servers and the watch. Made, started and stopped on the event loop."""

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
        ways: WaysIn | None = None,
    ) -> None:
        """`entrance` says who may act; without one nobody may.

        Raises `ConfigurationError` where the files of MLLP's TLS cannot be used.
        """
        self._settings = settings
        ways = ways or WaysIn()
        self._secured = ways.mllp
        self._tls: TlsFiles | None = None
        if self._secured.encrypted:
            try:
                self._tls = TlsFiles(self._secured, warn=reports.tls)
            except TlsFilesError as error:
                raise ConfigurationError(str(error)) from None
            reports.watch_certificate(self._tls.expires)
        mllp_limits = MllpLimits(connections_max=settings.mllp_connections_max, frame_idle_s=settings.mllp_idle_frame_s)
        self._routed = [port for port in hl7.route_ports if port != settings.mllp_port]
        self._mllp = MllpServer(intake, hl7, mllp_limits, now=now, report=reports.mllp)
        self._watch: FolderWatch | None = None
        if ways.batch.folder:
            inbox = Inbox(Path(ways.batch.folder))
            self._watch = FolderWatch(ways.batch, inbox, intake, hl7, report=reports.file, warn=reports.folder)
        self._sources = FhirSourcesHost(
            ways.fhir_sources,
            intake,
            fhir,
            reports=reports,
            now=now,
            state_folder=ways.state_folder,
            offered_at_once_max=http_limits.offered_at_once_max,
            turns=ways.turns,
        )
        self._http = HttpServer(
            intake,
            reading,
            hl7,
            fhir,
            http_limits,
            token=token,
            report=reports.http,
            clock=now,
            entrance=entrance,
            telling=self._sources.hooks,
        )

    async def start(self) -> tuple[int, int]:
        """Listen; give the ports of MLLP and HTTP. Raises `OSError` where an address cannot be had."""
        settings = self._settings
        mllp_port = await self._mllp.start(settings.mllp_host, settings.mllp_port, self._tls_of(settings.mllp_port))
        for port in self._routed:
            await self._mllp.start(settings.mllp_host, port, self._tls_of(port))
        http_port = await self._http.start(settings.http_host, settings.http_port)
        if self._watch is not None:
            await self._watch.start()
        await self._sources.start()
        return mllp_port, http_port

    def _tls_of(self, port: int) -> TlsFiles | None:
        return None if port in self._secured.plain_ports else self._tls

    @property
    def dial(self) -> Callable[[], Awaitable[socket.socket]] | None:
        """Give the way in from within, where the port asks for TLS; None where it may be connected to like any."""
        return None if self._tls_of(self._settings.mllp_port) is None else self._mllp.dial

    async def stop(self) -> None:
        """Listen no more; what was read is offered and answered, within the settings' grace."""
        grace_s = self._settings.stop_grace_s
        watch = [] if self._watch is None else [self._watch.stop(grace_s)]
        await asyncio.gather(self._mllp.stop(grace_s), self._http.stop(grace_s), self._sources.stop(grace_s), *watch)

    def addresses(self, mllp_port: int, http_port: int) -> dict[str, str]:
        """Give each address as text, by what it speaks."""
        host = self._settings.mllp_host
        return {
            "mllp": address(host, mllp_port),
            **{f"mllp_{port}": address(host, port) for port in self._routed},
            "http": address(self._settings.http_host, http_port),
        }


def address(host: str, port: int) -> str:
    """Write an address as in a URL.

    >>> address("127.0.0.1", 80), address("::1", 80)
    ('127.0.0.1:80', '[::1]:80')
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
