"""Workers while Redis is killed, put back to an older state, wiped, full, or slow: nothing is lost or contradicted.

Redis is the test's own, for it is stopped. It keeps an append-only file that is synced each second, as a site's does.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from connectors.kafka.settings import KafkaSettings
from tests.live.cluster import Cluster, hospital
from tests.live.load import Load
from tests.live.verdict import check_run

WORKERS = ("w0", "w1")
BEDS = 200
"""Of two days, some 3,000 messages: more than are sent before all is well again, on most machines."""
TIMEOUT_S = 1.0
"""[redis] timeout_s here: a Redis that is slow is noticed within the test."""
LONG = bool(os.environ.get("WARDSTREAM_FAULTS"))
"""Whether this is the long form, which writes docs/faults.md."""
PAUSES = 3
WAITED = "the worker keeps the batch that it holds and goes on with it: no process begins anew"
"""Why nothing is written again where Redis refuses writes alone."""


class Site:
    """Two workers under load over a Redis of their own."""

    def __init__(self, cluster: Cluster, redis: Any) -> None:
        self.cluster, self.redis = cluster, redis
        self.load = Load(cluster, hospital(beds=BEDS, hours=48))

    async def begin(self) -> None:
        """Start the workers, then the load."""
        await self.cluster.declare()
        for name in WORKERS:
            self.cluster.start(name)
        await self.cluster.until_healthy()
        self.load.begin()
        await self.cluster.let_go_on(2.0)
        await self.cluster.until_at_work(WORKERS[0])

    async def command(self, *words: str | int) -> Any:
        """Tell Redis something."""
        with self.redis.client() as client:
            return await asyncio.to_thread(client.execute_command, *words)

    async def check(self, fault: str, *, times: int = 1, never_again: str = "") -> None:
        """Wait until all is well, then hold the run to the verdict."""
        healthy_s = await self.cluster.until_healthy()
        said = self.load.said
        await check_run(
            self.cluster, self.load.end(), said, fault, times=times, healthy_s=healthy_s, never_again=never_again
        )


@pytest_asyncio.fixture
async def site(tmp_path: Path, kafka: KafkaSettings, own_redis: Callable[..., Any]) -> AsyncIterator[Site]:
    redis = await asyncio.to_thread(own_redis)
    settings = msgspec.structs.replace(redis.settings(prefix="f"), timeout_s=TIMEOUT_S)
    cluster = Cluster(tmp_path, kafka, settings)
    yield Site(cluster, redis)
    cluster.stop()


@pytest.mark.asyncio
async def test_a_redis_that_was_killed_loses_nothing_for_good(site: Site) -> None:
    """Killed under load and started again, its last second lost: told meanwhile, and well again by itself."""
    await site.begin()
    await asyncio.to_thread(site.redis.kill)
    await site.cluster.until_said("w0", "Redis")
    await asyncio.to_thread(site.redis.start)
    await site.check("Redis kill -9 under load")


@pytest.mark.asyncio
async def test_a_redis_restored_under_running_workers_is_noticed(site: Site, tmp_path: Path) -> None:
    """Put back to a state seconds older than what was committed, beside running workers: what is lost is refolded."""
    await site.begin()
    await asyncio.to_thread(site.redis.snapshot, tmp_path / "older")
    await site.cluster.let_go_on(3.0)
    await asyncio.to_thread(site.redis.restore, tmp_path / "older")
    await site.check("Redis restored from an older snapshot, workers running")


@pytest.mark.asyncio
async def test_a_redis_restored_while_all_was_stopped_is_refolded(site: Site, tmp_path: Path) -> None:
    """Put back to an older state with every worker stopped: they go on from the state, not from Kafka's offsets."""
    await site.begin()
    await asyncio.to_thread(site.redis.snapshot, tmp_path / "older")
    await site.cluster.let_go_on(3.0)
    for name in WORKERS:
        await asyncio.to_thread(site.cluster.terminate, name)
    await asyncio.to_thread(site.redis.restore, tmp_path / "older")
    for name in WORKERS:
        site.cluster.restart(name)
    await site.check("Redis restored from an older snapshot, workers stopped")


@pytest.mark.asyncio
@pytest.mark.parametrize("running", [False, *([True] if LONG else [])])
async def test_a_redis_that_was_wiped_is_rebuilt_from_the_log(site: Site, *, running: bool) -> None:
    """Emptied: the workers notice, and fold the whole log anew.

    Under running workers (`make faults` only) [parse] may, rarely, resolve a message twice: see docs/live.md.
    """
    await site.begin()
    if not running:
        for name in WORKERS:
            site.cluster.kill(name)
    await site.command("FLUSHALL")
    if not running:
        for name in WORKERS:
            site.cluster.restart(name)
    await site.check(f"Redis wiped, workers {'running' if running else 'killed'}")


@pytest.mark.asyncio
async def test_a_full_redis_is_waited_for(site: Site) -> None:
    """At its maxmemory under load nothing is dropped: told meanwhile; when there is room again, all goes on."""
    await site.begin()
    await site.command("CONFIG", "SET", "maxmemory", 1)
    if LONG:  # on a busy machine the load may be over by then, and nobody has anything to store
        await site.cluster.until_said("w0", "maxmemory")
    await site.command("CONFIG", "SET", "maxmemory", 0)
    await site.check("Redis full (maxmemory), then room again", never_again=WAITED)


@pytest.mark.asyncio
async def test_a_slow_redis_costs_time_alone(site: Site) -> None:
    """Paused, and frozen for longer than a call may take, in bursts under load: nothing is lost or said twice."""
    await site.begin()
    for _ in range(PAUSES):
        await site.command("CLIENT", "PAUSE", 700, "ALL")
        await site.cluster.let_go_on(1.0)
        await asyncio.to_thread(site.redis.freeze)
        await site.cluster.let_go_on(TIMEOUT_S + 0.5)
        await asyncio.to_thread(site.redis.thaw)
    await site.check("slow Redis (pauses, and frozen beyond the time-out)", times=2 * PAUSES)
