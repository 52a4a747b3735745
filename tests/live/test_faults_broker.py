"""Workers while their broker is killed, away, and restarted in order: they say so, and are well again by themselves.

The broker is the test's own, for it is stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.redis.settings import RedisSettings
from tests.live.cluster import Cluster, hospital
from tests.live.load import Load
from tests.live.verdict import check_run

WORKERS = ("w0", "w1")


@pytest.mark.asyncio
async def test_a_broker_restart_under_load_loses_nothing(
    tmp_path: Path, own_kafka: Callable[..., Any], redis_settings: RedisSettings
) -> None:
    """Killed and started, then stopped in order and started, under load: told while away, well again by itself."""
    broker = await asyncio.to_thread(own_kafka)
    cluster = Cluster(tmp_path, broker.settings(prefix="f."), redis_settings)
    load = Load(cluster, hospital(beds=300, hours=48))
    await cluster.declare()
    try:
        for name in WORKERS:
            cluster.start(name)
        await cluster.until_healthy()
        load.begin()
        await cluster.let_go_on(2.0)
        await cluster.until_at_work("w0")
        await asyncio.to_thread(broker.kill)
        await cluster.until_said("w0", "Kafka does not answer")
        await asyncio.to_thread(broker.start)
        healthy_s = await cluster.until_healthy()
        await cluster.let_go_on(2.0)
        await cluster.until_at_work("w0")
        await asyncio.to_thread(broker.stop)
        await asyncio.to_thread(broker.start)
        healthy_s = max(healthy_s, await cluster.until_healthy())
        fault = "broker restart under load (kill -9, then in order)"
        await check_run(cluster, load.end(), load.said, fault, times=2, healthy_s=healthy_s)
    finally:
        cluster.stop()
