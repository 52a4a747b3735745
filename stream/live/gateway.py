"""The gateway: the live service's front. Its ACK means that Kafka has the message, acknowledged by all its copies.

Owns the wiring of one gateway and the order of starting and stopping. Must not know the command line, nor decide
anything. It keeps nothing: killed at any moment, what it acknowledged is on the ingest topics, and what it did not its
senders send again.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec
from structlog.typing import FilteringBoundLogger

from connectors.acts.door import Door
from connectors.acts.people import PeopleSettings
from connectors.http.acting import Entrance
from connectors.http.limits import ENTRIES_MAX, HttpLimits
from connectors.kafka.outbox import Outbox
from connectors.kafka.record import Headers
from connectors.redis.source_turns import RedisTurns
from connectors.sources.arrival import Arrival
from events import Millis
from stream.clock import ClockMemory, ServiceClock, elapsed_ms
from stream.feeds import Feeds
from stream.fhir_sources import TurnsOf
from stream.identity import Pseudonyms
from stream.listening import Listeners, WaysIn, address
from stream.live.act_signing import act_signer
from stream.live.canary import INTERVAL_S, Canary
from stream.live.health import HealthServer
from stream.live.intake import ANSWER_S, RECORD_VALUE_BYTES_MAX, IntakeLimits, KafkaIntake
from stream.live.reading import LiveReading
from stream.logs import describe
from stream.metrics import IntakeMetrics
from stream.reports import Reports
from stream.settings import SiteFile

WATCH_S = 2.0
"""How often readiness is looked at for the log, and the clock's place kept."""
ANY_HOST = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where we reach ourselves if we listen everywhere


class Gateway:
    """One gateway. Made on the event loop's thread; `start` (or `listen`), then `stop`."""

    def __init__(
        self,
        site: SiteFile,
        *,
        version: str,
        log: FilteringBoundLogger,
        token: str | None = None,
        kafka_password: str = "",
        redis_password: str = "",
        pseudonyms: Pseudonyms | None = None,
        canary_interval_s: float = INTERVAL_S,
        intake_limits: IntakeLimits | None = None,
    ) -> None:
        self._site = site
        self._log = log
        self.name = site.live.name or f"{socket.gethostname()}-gateway"
        self.failed = asyncio.Event()
        """Set where it cannot go on: the process must end, for a supervisor to start another."""
        feeds = Feeds()
        self.metrics = metrics = IntakeMetrics(feeds, version)
        metrics.on_fault(lambda where, fault: log.error("fault", where=where, **describe(fault)))
        self._memory = _memory(site, self.name)
        expected = None if self._memory is None else self._memory.recall(elapsed_ms())
        clock = ServiceClock(0, expected=expected)
        self._now: Callable[[], Millis] = clock.now
        self._outbox = Outbox(site.kafka, client_id=self.name, password=kafka_password, answer_s=ANSWER_S)
        self._sign = act_signer(site.people)
        self.intake = KafkaIntake(
            self._outbox,
            clock.now,
            metrics,
            intake_limits,
            source=f"/wardstream/gateway/{self.name}",
            sign=self._signed,
        )
        self.reading = LiveReading(
            site.kafka,
            site.redis,
            site.settings,
            kafka_password=kafka_password,
            redis_password=redis_password,
            now=clock.now,
            clock=clock,
            feeds=feeds,
            metrics=metrics,
            behind_s_max=site.service.behind_s_max,
        )
        self.reading.extra_problems.append(self._intake_problems)
        metrics.on_scrape(lambda: metrics.waiting.set(self.intake.waiting_messages))
        self.canary = self._make_canary(pseudonyms or Pseudonyms(), canary_interval_s) if site.live.canary else None
        settings = site.settings
        hl7_max = min(settings.hl7.message_bytes_max, RECORD_VALUE_BYTES_MAX)
        self._reports = Reports(metrics, log)
        self._door = Door(site.people)
        self._listening = Listeners(
            self.intake,
            self.reading,
            msgspec.structs.replace(settings.hl7, message_bytes_max=hl7_max),
            settings.fhir,
            site.service,
            # A Bundle is one record: it must fit, and its entries are offered together.
            HttpLimits(body_bytes_max=RECORD_VALUE_BYTES_MAX, offered_at_once_max=ENTRIES_MAX),
            reports=self._reports,
            now=clock.now,
            token=token,
            entrance=Entrance(self._door, self._reports.act),
            ways=_ways(site, redis_password, self.name),
        )
        self._health = HealthServer(self.reading.live, self.reading.ready, metrics.expose)
        self._watch: asyncio.Task[None] | None = None

    def _signed(self, arrival: Arrival) -> Headers:
        return self._sign(arrival)

    def _make_canary(self, pseudonyms: Pseudonyms, interval_s: float) -> Canary:
        def tell(event: str, why: str) -> None:
            say = self._log.error if event == "canary_lost" else self._log.info
            say(event, why=why)

        canary = Canary(
            self.name,
            pseudonyms,
            self._now,
            self.metrics,
            late_s_max=self._site.live.canary_late_s_max,
            interval_s=interval_s,
            told=tell,
        )
        self.reading.hear_score = canary.hear
        self.reading.extra_problems.append(canary.problems)
        return canary

    def _intake_problems(self) -> tuple[str, ...]:
        fault = self.intake.fault
        return (f"messages are not taken: {fault}",) if fault else ()

    # -- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> tuple[int, int]:
        """Connect, read what there is, listen; give the ports of MLLP and HTTP.

        Raises `BrokerError` where Kafka cannot be used, `OSError` where an address cannot be had.
        """
        try:
            await self._outbox.start()
            await self.reading.start()
            ports = await self._listening.start()
            live = self._site.live
            if live.health_port:
                await self._health.start(live.health_host, live.health_port)
        except BaseException:
            await self.stop()
            raise
        if self.canary is not None:
            host = self._site.service.mllp_host
            self.canary.start(ANY_HOST.get(host, host), ports[0], self._listening.dial)
        self._watch = asyncio.create_task(self._watch_forever())
        return ports

    async def listen(self) -> dict[str, str]:
        """Start, and give each address as text, by what it speaks."""
        addresses = self._listening.addresses(*await self.start())
        live = self._site.live
        return addresses | ({"health": address(live.health_host, live.health_port)} if live.health_port else {})

    def use_people(self, people: PeopleSettings) -> None:
        """Let these people act from here on, and nobody else; raises `ConfigurationError` where we could not sign."""
        self._sign = act_signer(people)
        self._door.use(people)

    def lives(self) -> bool:
        """Say whether it works at all."""
        return self.reading.live().well

    async def stop(self) -> None:
        """Stop in order: listen no more, let Kafka acknowledge what was read, answer it, close."""
        self.reading.stopping = True
        if self._watch is not None:
            self._watch.cancel()
        if self.canary is not None:
            await self.canary.stop()
        await self._listening.stop()
        await self.intake.stop(self._site.service.stop_grace_s)
        await self.reading.stop()
        await self._outbox.stop()
        await self._health.stop()

    async def _watch_forever(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            if self._memory is not None:
                try:
                    self._memory.keep(self._now(), elapsed_ms())
                except OSError as fault:
                    self.metrics.failed("watch", fault)
            self._reports.readiness(self.reading.ready())


def _memory(site: SiteFile, name: str) -> ClockMemory | None:
    """Give where the clock's place is kept over a restart; None where no folder is named."""
    folder = _state_folder(site, name)
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    return ClockMemory(folder)


def _ways(site: SiteFile, redis_password: str, name: str) -> WaysIn:
    """Give how messages come in beside HTTP."""
    turns = _turns(site, redis_password, name)
    return WaysIn(site.mllp, site.batch, site.fhir_sources, _state_folder(site, name), turns)


def _turns(site: SiteFile, password: str, name: str) -> TurnsOf:
    """Give whose turn it is to ask a FHIR server: of all gateways that name it, one at a time."""
    owner = f"{name}/{secrets.token_hex(4)}"

    def of(source: str, poll_s: float, warn: Callable[[str], None]) -> RedisTurns:
        return RedisTurns(site.redis, password, source, owner, poll_s=poll_s, warn=warn)

    return of


def _state_folder(site: SiteFile, name: str) -> Path | None:
    return Path(site.live.state_folder) / name if site.live.state_folder else None
