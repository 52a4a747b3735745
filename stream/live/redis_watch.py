"""The doctor of Redis, asked again and again by a worker: what grows wrong while all is running.

Owns how often. Must not know what is looked at. A stay that outgrows the log's retention, a Redis that fills up or is
set to throw keys out: none of these stops anything on its day, so each is told in the log before it costs a patient.
"""

from __future__ import annotations

import asyncio

from structlog.typing import FilteringBoundLogger

from stream.catalogues import catalogue_for
from stream.clock import ServiceClock
from stream.live.redis_doctor import RedisDoctor
from stream.logs import describe
from stream.settings import SiteFile

LOOK_S = 3_600.0
"""Stays grow by the hour, and looking reads some thousands of states."""


async def watch_redis(site: SiteFile, password: str, log: FilteringBoundLogger, look_s: float = LOOK_S) -> None:
    """Look now, and then each hour, until cancelled; what is found is logged, and ends nothing."""
    clock = ServiceClock(0)
    doctor = RedisDoctor(site.redis, site.kafka, password, catalogue_for(site.settings), clock.now)
    while True:
        try:
            findings = await asyncio.to_thread(doctor.examine)
        except Exception as fault:  # noqa: BLE001 - a look that fails must not end the worker
            log.warning("redis_not_examined", **describe(fault))
        else:
            for finding in findings:
                if not finding.well:
                    log.warning("redis_finding", subject=finding.subject, advice=finding.remedy)
        await asyncio.sleep(look_s)
