"""The embedded service, running: what listens, the engine behind it, and what answers, wired for one data folder.

Owns the wiring and the order of starting and stopping. Must not know the command line, nor decide anything.

Stopping: listeners take nothing new, what was read is stored and answered, what is stored is folded, states are
written, files are closed. Killed at any moment instead, the next start folds what is missing: nothing acknowledged is
lost either way.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from structlog.typing import FilteringBoundLogger

from connectors.acts.door import Door
from connectors.acts.people import PeopleSettings
from connectors.folder_socket import FolderSocket
from connectors.http.acting import Entrance
from connectors.http.limits import HttpLimits
from connectors.sources.arrival import Arrival
from events import Millis
from stream.clock import ClockMemory, ServiceClock, elapsed_ms
from stream.decision_desk import DecisionDesk
from stream.effects import Effect
from stream.engine import SWITCH_INTERVAL_S, Engine
from stream.feeds import Feeds
from stream.listening import Listeners, WaysIn
from stream.logs import describe
from stream.metrics import Metrics
from stream.reports import Reports
from stream.service import EmbeddedService
from stream.service_settings import ServiceSettings
from stream.serving import Serving
from stream.view import WardView

WATCH_S = 2.0
"""How often disk, clock and fold are looked at."""


class RunningService:
    """One service that listens. Made on the event loop's thread; `start`, then `stop`.

    `stamp` and `now` are the demo's, whose hospital has a time of its own; every other service has its own clock.
    `trust_clock` believes the machine's clock whatever an earlier process of this boot had of it.
    """

    def __init__(
        self,
        folder: Path,
        service: EmbeddedService,
        settings: ServiceSettings,
        *,
        version: str,
        log: FilteringBoundLogger,
        token: str | None = None,
        people: PeopleSettings | None = None,
        ways: WaysIn | None = None,
        now: Callable[[], Millis] | None = None,
        stamp: Callable[[Arrival, Millis], Millis] = lambda _arrival, now: now,
        hear: Callable[[Sequence[Effect]], None] = lambda _effects: None,
        trust_clock: bool = False,
    ) -> None:
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._service = service
        self.feeds = Feeds()
        self.feeds.recall(service.newest_messages())
        self.metrics = Metrics(self.feeds, version)
        self.metrics.on_fault(lambda where, fault: log.error("fault", where=where, **describe(fault)))
        memory = ClockMemory(folder)
        expected = None if trust_clock else memory.recall(elapsed_ms())
        clock = ServiceClock(service.host.pipeline.control.clock, expected=expected)
        time = clock.now if now is None else now
        self.view = WardView(service)
        self.failed = asyncio.Event()
        """Set where a thread has died: the process must end, for a supervisor to start another."""
        self.engine = Engine(service, time, self.metrics, stamp=stamp, on_fault=self.failed.set, tidy=self.view.tidy)
        self.serving = Serving(
            folder, service, self.engine, self.view, clock, memory, time, self.feeds, self.metrics, settings
        )
        decision = service.settings
        self._log = log
        self._reports = Reports(self.metrics, log)
        self._listeners = (self.view.board.take, self.metrics.take, self.serving.take, self._reports.take, hear)
        service.listen = self._take
        self._door = Door(people or PeopleSettings())
        self._listening = Listeners(
            self.engine,
            self.serving,
            decision.hl7,
            decision.fhir,
            settings,
            HttpLimits(),
            reports=self._reports,
            now=time,
            token=token,
            entrance=Entrance(self._door, self._reports.act),
            ways=msgspec.structs.replace(ways or WaysIn(), state_folder=folder),
        )
        self._socket = FolderSocket(folder, DecisionDesk(self.engine, time, log).answer)
        self._watch: asyncio.Task[None] | None = None

    def _take(self, effects: Sequence[Effect]) -> None:
        """Hand what was carried out to everybody who listens (fold thread)."""
        for listener in self._listeners:
            listener(effects)

    async def start(self) -> tuple[int, int]:
        """Listen; give the ports of MLLP and HTTP. Raises `OSError` where an address cannot be had."""
        self.engine.start()
        self.serving.watch()
        try:
            ports = await self._listening.start()
        except OSError:
            await self.stop()
            raise
        try:
            await self._socket.start()
        except OSError as fault:
            # Some mounts have no sockets. The ward is listened to all the same.
            advice = "to decide, stop the service, decide by --data-dir, start it; or move data_dir"
            self._log.error("no_decisions", why=fault.strerror or "the folder's path is too long", advice=advice)
        self._watch = asyncio.create_task(self._watch_forever())
        return ports

    async def listen(self) -> dict[str, str]:
        """Start, and give each address as text, by what it speaks."""
        return self._listening.addresses(*await self.start())

    def use_people(self, people: PeopleSettings) -> None:
        """Let these people act from here on, and nobody else."""
        self._door.use(people)

    def lives(self) -> bool:
        """Say whether the service works at all."""
        return self.serving.live().well

    async def stop(self) -> None:
        """Stop in order; what was taken is stored, answered and folded on return."""
        self.serving.stopping = True
        if self._watch is not None:
            self._watch.cancel()
        await self._listening.stop()
        await self._socket.stop()
        await self.engine.stop()
        self.serving.close()
        if not self.engine.died:
            self._service.close()

    async def _watch_forever(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                self.serving.watch()
            except OSError as fault:
                self.metrics.failed("watch", fault)
            self._reports.readiness(self.serving.ready())
