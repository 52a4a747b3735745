"""A worker's process: logs, health, signals, and its end.

Owns when the process ends and with which exit code. Must not know what a stage does.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Sequence
from contextlib import suppress

from structlog.typing import FilteringBoundLogger

from connectors.kafka.faults import BrokerError
from stream.live.worker import Secrets, Worker
from stream.live_settings import Stage
from stream.logs import describe
from stream.settings import SiteFile

EXIT_STOPPED, EXIT_DIED = 0, 1
GC_GENERATIONS = (50_000, 20, 1_000)
"""A worker holds many records for long and makes few cycles: looking at all of them often would be most of its time."""


async def run_worker(
    site: SiteFile, stages: Sequence[Stage], secrets: Secrets, code_version: str, log: FilteringBoundLogger
) -> int:
    """Run until a signal or a fault; give the exit code."""
    gc.set_threshold(*GC_GENERATIONS)
    observer = _Observer(log)
    worker = Worker(site, stages, secrets, code_version=code_version, observer=observer, log=log)
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    running = asyncio.create_task(_run(worker, log))
    waiting = asyncio.create_task(told.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    died = running.done()
    if died and running.exception() is not None:
        fault = running.exception()
        assert fault is not None
        log.error("died", **describe(fault), advice="start it again: it goes on where the store says")
    running.cancel()
    waiting.cancel()
    with suppress(TimeoutError):
        async with asyncio.timeout(site.live.stop_grace_s):
            await worker.stop()
    log.info("stopped")
    return EXIT_DIED if died else EXIT_STOPPED


async def _run(worker: Worker, log: FilteringBoundLogger) -> None:
    while True:
        try:
            await worker.start()
        except BrokerError as fault:
            log.error("cannot_start", text=str(fault))
            raise
        break
    log.info("started")
    await worker.run()


class _Observer:
    """Tells the log of faults; see `stream.live.stage_app.StageObserver`."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log

    def worked(self, stage: str, records: int, outputs: int, seconds: float) -> None:
        """A batch is through."""

    def failed(self, stage: str, where: str, fault: BaseException) -> None:
        """Something is tried again."""
        self._log.warning("tried_again", stage=stage, where=where, **describe(fault))
