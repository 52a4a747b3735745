"""The FHIR servers of one process: made as the configuration says, started and stopped together.

Owns the wiring. Must not know what is asked of a server, nor who stores.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from connectors.fhir.settings import FhirSettings
from connectors.fhir_sources.client import SourceClient
from connectors.fhir_sources.faults import FhirSourceError
from connectors.fhir_sources.hooks import Hooks
from connectors.fhir_sources.pages import Found
from connectors.fhir_sources.polling import Poller
from connectors.fhir_sources.progress import ProgressFile
from connectors.fhir_sources.receiving import Receiver
from connectors.fhir_sources.reconciling import Reconciler
from connectors.fhir_sources.settings import FhirServer, FhirSources
from connectors.fhir_sources.source import PolledSource
from connectors.fhir_sources.taking import Taker
from connectors.fhir_sources.turns import Turns
from connectors.fhir_sources.untold import Untold
from connectors.intake import Intake
from events import MILLIS_PER_SECOND, Millis
from stream.reports import Reports
from stream.settings import ConfigurationError
from stream.source_reports import SourceMetrics, SourceReports

TurnsOf = Callable[[str, float, Callable[[str], None]], Turns]
"""Makes the turns of one server: its name, how often it is looked at, and who is warned."""


class FhirSourcesHost:
    """All FHIR servers of one process. Made, started and stopped on the event loop."""

    def __init__(
        self,
        sources: FhirSources,
        intake: Intake,
        fhir: FhirSettings,
        *,
        reports: Reports,
        now: Callable[[], Millis],
        state_folder: Path | None,
        offered_at_once_max: int,
        turns: TurnsOf | None = None,
    ) -> None:
        """`state_folder` keeps how far each server was read; raises `ConfigurationError` where there is none.

        `turns` says whose turn it is, where other processes name the same servers.
        """
        self._sources: dict[str, PolledSource] = {}
        self._receivers: dict[str, Receiver] = {}
        self._reconcilers: dict[str, Reconciler] = {}
        if not sources.servers:
            return
        folder = Path(sources.state_folder) if sources.state_folder else state_folder
        if folder is None:
            raise ConfigurationError("fhir_sources.state_folder: empty; expected a folder that outlives the process")
        check_bases(sources, fhir)
        metrics, log = reports.metrics, reports.log
        counted = SourceMetrics(metrics)
        for name, server in sources.servers.items():
            told = SourceReports(name, counted, log)
            client = SourceClient(server, heard=told.attempt)
            taker = Taker(
                name, server.base_url, intake, fhir, offered_at_once_max=offered_at_once_max, counted=told.took
            )
            look_wanted = asyncio.Event()
            news: Callable[[Found], None] = _ignored
            after: Callable[[int], None] = _ignored
            heard: Callable[[], int] = int
            if server.subscription.style != "none":
                receiver, reconciler = _subscribed(
                    name, server, client, taker, told, now, look_wanted, self._ours(name)
                )
                self._receivers[name], self._reconcilers[name] = receiver, reconciler
                news, after, heard = reconciler.news, reconciler.looked, _heard(receiver)
            file = ProgressFile(folder, name)
            poller = Poller(server, client, taker, file, now=now, news=news, warn=told.warn)
            self._sources[name] = PolledSource(
                poller,
                client,
                told,
                poll_s=server.poll_s,
                wanted=look_wanted,
                turns=None if turns is None else turns(name, server.poll_s, told.warn),
                heard=heard,
                after=after,
            )
            metrics.on_scrape(_measure(name, counted, told, poller, taker, now))

    def _ours(self, name: str) -> Callable[[], bool]:
        return lambda: self._sources[name].ours

    @property
    def hooks(self) -> Hooks | None:
        """Take what the servers tell; None where none is subscribed to."""
        return Hooks(self._receivers) if self._receivers else None

    async def start(self) -> None:
        """Begin to ask."""
        for source in self._sources.values():
            await source.start()
        for reconciler in self._reconcilers.values():
            await reconciler.start()

    async def stop(self, grace_s: float) -> None:
        """Ask no more."""
        await asyncio.gather(*(one.stop() for one in self._reconcilers.values()))
        await asyncio.gather(*(one.stop() for one in self._receivers.values()))
        await asyncio.gather(*(one.stop(grace_s) for one in self._sources.values()))


def _heard(receiver: Receiver) -> Callable[[], int]:
    return lambda: receiver.resources


def _ignored(_heard: object) -> None:
    pass


def _subscribed(
    name: str,
    server: FhirServer,
    client: SourceClient,
    taker: Taker,
    told: SourceReports,
    now: Callable[[], Millis],
    look_wanted: asyncio.Event,
    is_ours: Callable[[], bool],
) -> tuple[Receiver, Reconciler]:
    """Make what receives and what looks after the subscriptions."""
    wanted, untold = asyncio.Event(), Untold()
    secret_file = Path(server.subscription.secret_file)
    try:
        receiver = Receiver(
            secret_file, client, taker, told, untold=untold, look_soon=look_wanted.set, reconcile_soon=wanted.set
        )
    except FhirSourceError as fault:
        raise ConfigurationError(f"fhir_sources.servers.{name}.{str(fault).partition(': ')[2]}") from None
    reconciler = Reconciler(
        server,
        client,
        receiver,
        told,
        now=now,
        untold=untold,
        is_ours=is_ours,
        look_soon=look_wanted.set,
        wanted=wanted,
    )
    return receiver, reconciler


def check_bases(sources: FhirSources, fhir: FhirSettings) -> None:
    """Refuse two servers whose patients could be taken for each other; raises `ConfigurationError`.

    The feed is one server unless `fhir.bases` says which is its own: then resources of others carry their address.

    >>> two = FhirSources({"a": FhirServer("https://a.example"), "b": FhirServer("https://b.example")})
    >>> check_bases(two, FhirSettings(bases=("https://a.example",)))
    >>> check_bases(two, FhirSettings())
    Traceback (most recent call last):
    stream.settings.ConfigurationError: fhir.bases: empty, and there are 2 FHIR servers whose ids may be alike; ...
    >>> check_bases(two, FhirSettings(bases=("https://a.example", "https://b.example")))
    Traceback (most recent call last):
    stream.settings.ConfigurationError: fhir.bases: names 2 of them, and there are 2 FHIR servers whose ids may be ...
    """
    addresses = {server.base_url for server in sources.servers.values()}
    own = addresses & set(fhir.bases)
    if len(addresses) > 1 and len(own) != 1:
        why = f"names {len(own)} of them" if fhir.bases else "empty"
        raise ConfigurationError(
            f"fhir.bases: {why}, and there are {len(addresses)} FHIR servers whose ids may be alike; "
            "name there the one base_url that is the feed's own"
        )


def _measure(
    name: str,
    metrics: SourceMetrics,
    reports: SourceReports,
    poller: Poller,
    taker: Taker,
    now: Callable[[], Millis],
) -> Callable[[], None]:
    def measure() -> None:
        metrics.success_age.labels(name).set(reports.success_age_s)
        metrics.skipped.labels(name).set(taker.known.skipped)
        for kind, at in poller.progress.read_to.items():
            metrics.behind.labels(name, kind).set(max(0.0, (now() - at) / MILLIS_PER_SECOND))

    return measure
