"""A worker's process: logs, health, signals, and its end.

Owns when the process ends and with which exit code. Must not know what a stage does.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

from structlog.typing import FilteringBoundLogger

from connectors.http.ports import Condition
from connectors.kafka.faults import BrokerError
from connectors.redis.connection import RedisConnectionError
from connectors.redis.layout import LayoutError
from features.store import StoreFault
from stream.live.health import HealthServer
from stream.live.redis_watch import watch_redis
from stream.live.stage import ForeignLogError, GapError, HalfFoldedError, StarvedError
from stream.live.worker import Secrets, Worker
from stream.live.worker_metrics import WorkerMetrics
from stream.live_settings import Stage
from stream.logs import describe
from stream.people_file import PeopleFile
from stream.settings import SiteFile

EXIT_STOPPED, EXIT_DIED = 0, 1
DIED_GRACE_S = 2.0
"""What a process that has died may take to leave in order: Faust's stop can hang, and its successor is waited for."""
LEAVE_S = 3.0
"""What the interpreter's own end may take after that. It waits for every thread, and Faust's go on where its stop hung:
their consumers would hold partitions that nobody works."""
GC_GENERATIONS = (50_000, 5, 1_000)
"""A worker holds many records for long and makes few cycles: looking at all of them often would be most of its time.
The middle generation is small, for everything waits while it is looked at: a million objects took 0.6 s."""
TELLABLE = (
    BrokerError, RedisConnectionError, LayoutError, StoreFault,
    ForeignLogError, GapError, HalfFoldedError, StarvedError,
)  # fmt: skip
"""Faults of ours whose text names nobody, and says what to do."""


async def run_worker(
    site: SiteFile,
    stages: Sequence[Stage],
    secrets: Secrets,
    code_version: str,
    log: FilteringBoundLogger,
    people: PeopleFile,
) -> int:
    """Run until a signal or a fault; give the exit code. SIGHUP has `people` read again."""
    gc.set_threshold(*GC_GENERATIONS)
    metrics = WorkerMetrics(log, code_version)
    try:
        worker = Worker(site, stages, secrets, code_version=code_version, observer=metrics, told_act=metrics.acted)
    except (RedisConnectionError, BrokerError) as fault:
        log.error("cannot_start", **describe(fault), text=str(fault))  # noqa: TRY400 - no bug: the text says what to do
        return EXIT_DIED
    metrics.progress = worker.progress
    metrics.parsed, metrics.warded, metrics.refused = worker.parsed, worker.warded, worker.refused_versions
    metrics.refused_decisions = worker.refused_decisions
    metrics.unheeded, metrics.signals, metrics.acts_folded = worker.unheeded, worker.signals, worker.acts_folded
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    loop.add_signal_handler(signal.SIGHUP, people.reread)
    people.begin(worker.use_people)
    health = HealthServer(lambda: _condition(worker.dead()), lambda: _condition(worker.problems()), metrics.expose)
    try:
        if site.live.health_port:
            await health.start(site.live.health_host, site.live.health_port)
        watch = partial(watch_redis, site, secrets.redis, log)
        return await _run_until(told, worker, watch, site.live.stop_grace_s, log)
    except OSError as fault:
        text = f"[live] health_port {site.live.health_port} cannot be had: {fault.strerror}"
        log.error("cannot_start", text=text)  # noqa: TRY400
        return EXIT_DIED
    finally:
        await health.stop()


async def _run_until(
    told: asyncio.Event, worker: Worker, watch: Callable[[], Awaitable[None]], grace_s: float, log: FilteringBoundLogger
) -> int:
    running = asyncio.create_task(_run(worker, watch, log))
    waiting = asyncio.create_task(told.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    died = running.done()
    if died and (fault := running.exception()) is not None:
        text = {"text": str(fault)} if isinstance(fault, TELLABLE) else {}
        log.error("died", **describe(fault), **text, advice="start it again: it goes on where the store says")
    running.cancel()
    waiting.cancel()
    code, stop_s = (EXIT_DIED, min(grace_s, DIED_GRACE_S)) if died else (EXIT_STOPPED, grace_s)
    leave_at_last(stop_s + LEAVE_S, code)
    with suppress(TimeoutError):
        async with asyncio.timeout(stop_s):
            await worker.stop()
    log.info("stopped")
    return code


def leave_at_last(seconds: float, code: int) -> None:
    """End the process with this code after so long, if it has not ended by then."""
    timer = threading.Timer(seconds, os._exit, (code,))
    timer.daemon = True
    timer.start()


async def _run(worker: Worker, watch: Callable[[], Awaitable[None]], log: FilteringBoundLogger) -> None:
    try:
        await worker.start()
    except TELLABLE as fault:
        log.error("cannot_start", text=str(fault))  # noqa: TRY400 - no bug: the text says what to do
        raise
    log.info("started")
    watching = asyncio.ensure_future(watch())
    try:
        await worker.run()
    finally:
        watching.cancel()


def _condition(problems: Sequence[str]) -> Condition:
    return Condition(not problems, tuple(problems))
