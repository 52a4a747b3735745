"""What a running service answers when it is asked: health, patients, alerts, feeds, metrics.

Owns the conditions of life and readiness and where each answer is read. Must not know HTTP. Patients are asked of the
fold thread; alert events are read from what was put out, through a connection of its own.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from asyncio import Future
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from alerts.limits import PatientLimits
from connectors.http.ports import Condition, NumberedAlert
from connectors.sqlite.outputs import OUTPUTS_FILE, SqliteOutputs
from events import MILLIS_PER_SECOND, Millis
from stream.board import event_name
from stream.clock import ClockMemory, ServiceClock, elapsed_ms
from stream.effects import Effect, effect_kind
from stream.engine import Engine
from stream.feeds import Feeds
from stream.metrics import Metrics
from stream.newest_alert import NewestAlert
from stream.service import EmbeddedService
from stream.service_settings import ServiceSettings
from stream.view import WardView

PATIENTS_KEPT_S = 0.5
"""How long a made list of patients is given again: many boards look at once, and the fold has other work."""
BYTES_PER_MIB = 1024 * 1024
DISK_HYSTERESIS = 1.25
"""Room must have grown by a quarter past the limit before messages are taken again."""
CAUGHT_UP_S = 1.0
"""How long somebody waits for records to be folded that may be of whom he asks for; then he is told to try again."""
CAUGHT_UP_LOOK_S = 0.02
STUCK_S = 60.0
"""A fold that owes records and has not folded one for so long is stuck: the process must be restarted."""


class Serving:
    """Answers for one service; see `connectors.http.ports.Reading`. Used on the event loop's thread."""

    def __init__(
        self,
        folder: Path,
        service: EmbeddedService,
        engine: Engine,
        view: WardView,
        clock: ServiceClock,
        memory: ClockMemory,
        now: Callable[[], Millis],
        feeds: Feeds,
        metrics: Metrics,
        settings: ServiceSettings,
    ) -> None:
        self._folder = folder
        self._service = service
        self._engine = engine
        self._view = view
        self._clock = clock
        self._memory = memory
        self._now = now
        self._feeds = feeds
        self._metrics = metrics
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._outputs = SqliteOutputs(folder / OUTPUTS_FILE, read_only=True)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="outputs-reader")
        """One thread for one connection."""
        self._newest = NewestAlert(self._outputs.newest_alert())
        self._patients: dict[str | None, tuple[float, Future[bytes]]] = {}
        self._behind_since: float | None = None
        self._folded_last = time.monotonic()
        self._records_seen = -1
        self.stopping = False
        metrics.on_scrape(self._refresh)

    # -- conditions -------------------------------------------------------------------------------------------------

    def live(self) -> Condition:
        """Say whether the process works at all."""
        problems = []
        if self._engine.died:
            problems.append(f"the {self._engine.died} thread has died")
        if self._behind_since is not None and time.monotonic() - self._folded_last > STUCK_S:
            problems.append("the fold is stuck")
        return Condition(not problems, tuple(problems))

    def ready(self) -> Condition:
        """Say whether messages are taken in and scored in time."""
        problems = list(self.live().problems)
        if self.stopping:
            problems.append("stopping")
        if self._engine.closed_for == "disk_full":
            problems.append(f"less than {self._settings.disk_free_mib_min} MiB of disk are free")
        problems += [f"{where} fails: {fault}" for where, fault in sorted(self._engine.faults.items())]
        control = self._service.host.pipeline.control
        demoted = control.guardrails.standing_of(control.version) == "demoted"
        if control.version and control.scorer is None and not demoted:
            problems.append(f"model version {control.version[:12]} is not at hand: NEWS2 alone is scored")
        if (since_s := self._behind_s()) > self._settings.behind_s_max:
            problems.append(f"scoring is behind the log by {self._service.lag()} records since {since_s:.0f} s")
        if self._clock.trouble == "ahead":
            problems.append(
                "the machine's clock jumped ahead and is not believed: set it right, or restart with --trust-clock"
            )
        elif self._clock.trouble == "behind":
            behind_s = self._clock.offset_ms // MILLIS_PER_SECOND
            problems.append(
                f"the machine's clock is {behind_s} s behind the log: ages are too high until it catches up"
            )
        return Condition(not problems, tuple(problems))

    def watch(self) -> None:
        """Look at the disk, the clock and the fold; a host calls it every few seconds."""
        self._memory.keep(self._clock.now(), elapsed_ms())
        self._watch_disk()
        self._watch_fold()

    def _watch_disk(self) -> None:
        free_mib = shutil.disk_usage(self._folder).free / BYTES_PER_MIB
        limit = self._settings.disk_free_mib_min
        if free_mib < limit:
            self._engine.closed_for = "disk_full"
        elif free_mib >= limit * DISK_HYSTERESIS and self._engine.closed_for == "disk_full":
            self._engine.closed_for = None

    def _watch_fold(self) -> None:
        at = time.monotonic()
        folded = self._service.folded()
        if self._service.lag() == 0:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = at
        if folded != self._records_seen or self._behind_since is None:
            self._records_seen, self._folded_last = folded, at

    def _behind_s(self) -> float:
        return 0.0 if self._behind_since is None else time.monotonic() - self._behind_since

    # -- answers ----------------------------------------------------------------------------------------------------

    def signals(self, wards: Collection[str]) -> bytes:
        """Give the newest signals of some wards."""
        return msgspec.json.encode(self._view.board.signals.shown(*wards))

    async def patients(self, ward: str | None) -> bytes:
        """Give the patients who are here, made anew at most twice a second however many ask."""
        at = time.monotonic()
        made = self._patients.get(ward)
        if made is None or at - made[0] >= PATIENTS_KEPT_S:
            asked = asyncio.ensure_future(self._engine.ask(lambda _service: self._view.patients(self._now(), ward)))
            self._patients = {key: one for key, one in self._patients.items() if at - one[0] < PATIENTS_KEPT_S}
            made = self._patients[ward] = (at, asked)
        # Shielded: one who asked and went away takes it from nobody else.
        return await asyncio.shield(made[1])

    async def patient(self, key: str) -> bytes | None:
        """Give one patient."""
        return await self._engine.ask(lambda _service: self._view.patient(key, self._now()))

    async def ward_of(self, key: str) -> str | None:
        """Say on which ward a patient lies."""
        return await self._engine.ask(lambda _service: self._view.ward_of(key))

    async def caught_up(self) -> bool:
        """Say whether all that was stored by now is folded, after waiting a moment for it."""
        end = self._service.folded() + self._service.lag()
        until = time.monotonic() + CAUGHT_UP_S
        while (behind := self._service.folded() < end) and time.monotonic() < until:  # noqa: ASYNC110 - two threads
            await asyncio.sleep(CAUGHT_UP_LOOK_S)
        return not behind

    async def limits_of(self, key: str) -> PatientLimits:
        """Give a patient's limits as they are folded by now."""
        return await self._engine.ask(lambda _service: self._view.limits_of(key))

    async def open_alerts(self) -> bytes:
        """Give the newest event of every open alert."""
        return await self._engine.ask(lambda _service: self._view.open_alerts(self._now()))

    async def alerts(self, after: int, limit: int) -> list[NumberedAlert]:
        """Give alert events above a number."""
        rows = await self._loop.run_in_executor(self._reader, self._outputs.alerts_after, after, limit)
        return [NumberedAlert(row.number, row.content, event_name(row.state, row.disposition)) for row in rows]

    async def reaches(self, after: int) -> bool:
        """Say whether the retention has taken nothing after a number; 0 asks for what there is."""
        return after == 0 or after >= await self._loop.run_in_executor(self._reader, self._outputs.oldest_alert)

    async def newest_alert(self) -> int:
        """Give the number of the newest alert event."""
        return self._newest.number

    async def wait_for_alert(self, after: int, timeout_s: float) -> bool:
        """Wait for an alert event above a number."""
        return await self._newest.wait(after, timeout_s)

    async def feeds(self) -> bytes:
        """Give each feed's health."""
        return self._feeds.document(self._now(), self._view.board.signals.by_feed())

    def metrics(self) -> tuple[bytes, str]:
        """Give the metrics."""
        return self._metrics.expose()

    # -- hearing ----------------------------------------------------------------------------------------------------

    def take(self, effects: Sequence[Effect]) -> None:
        """Hear of what was carried out (fold thread): whoever waits for an alert is woken."""
        if any(effect_kind(effect) == "alerts" for effect in effects):
            newest = self._service.outputs.newest_alert()
            self._loop.call_soon_threadsafe(self._newest.announce, newest)

    def _refresh(self) -> None:
        metrics = self._metrics
        metrics.behind_records.set(self._service.lag())
        metrics.behind_seconds.set(self._behind_s())
        metrics.waiting.set(self._engine.waiting_messages)
        metrics.clock_offset.set(self._clock.offset_ms / MILLIS_PER_SECOND)
        metrics.clock_steps.set(self._clock.steps)
        metrics.patients.set(self._view.present)
        metrics.diverged.set(self._service.diverged)
        metrics.identity_conflicts.set(self._service.identity_conflicts())
        metrics.measure_folder(self._folder)
        metrics.measure_feeds(self._now())

    def close(self) -> None:
        """Close what this reads through."""
        self._reader.shutdown(wait=True)
        self._outputs.close()
