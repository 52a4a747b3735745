"""Topics that are missing or wrong, other numbers of partitions, and a worker that stands still: each is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from connectors.kafka.settings import KafkaSettings
from connectors.redis.settings import RedisSettings
from tests.live.cluster import Cluster, hospital
from tests.live.load import Load
from tests.live.processes import ANSWER_S
from tests.live.verdict import check_run

STILL_S = 2.0
PARTITION_KILLS = 3
ENDED_S = 90.0
"""Until a worker has started, and has found out that it cannot go on."""
WORKING_S = 10.0
"""Until a worker has started, or started again, and has something to fold."""


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Make clusters that are stopped when the test ends."""
    made: list[Cluster] = []

    def one(kafka: KafkaSettings, redis: RedisSettings, live: str = "") -> Cluster:
        made.append(Cluster(tmp_path, kafka, redis, live=live))
        return made[-1]

    yield one
    for cluster in made:
        cluster.stop()


async def administer(kafka: KafkaSettings, *, delete: str = "", create: tuple[str, int] | None = None) -> None:
    """Delete or create a topic, as somebody might."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        if delete:
            await admin.delete_topics([kafka.prefix + delete])
        if create:
            await admin.create_topics([NewTopic(kafka.prefix + create[0], create[1], 1)])
    finally:
        await admin.close()


@pytest.mark.asyncio
async def test_a_missing_topic_is_named_and_ends_the_worker(make: Any, kafka: Any, redis_settings: Any) -> None:
    """A worker that finds a topic missing ends with code 1, and says which it is and what to do."""
    cluster = make(kafka, redis_settings)
    await cluster.declare()
    await administer(kafka, delete="examples.v1")
    cluster.start("w0")
    code = await asyncio.to_thread(cluster.processes["w0"].wait, ENDED_S)
    said = cluster.log_of("w0")
    assert code == 1
    assert f"{kafka.prefix}examples.v1 is missing: create it with `wardstream topics declare`" in said


@pytest.mark.asyncio
async def test_a_topic_with_another_number_of_partitions_is_refused(make: Any, kafka: Any, redis_settings: Any) -> None:
    """A worker refuses an events.v1 of another number of partitions than [kafka] says, and names both."""
    await administer(kafka, create=("events.v1", kafka.partitions + 1))
    cluster = make(kafka, redis_settings)
    with pytest.raises(Exception, match="partitions"):
        await cluster.declare()
    cluster.start("w0")
    code = await asyncio.to_thread(cluster.processes["w0"].wait, ENDED_S)
    said = cluster.log_of("w0")
    assert code == 1
    assert f"events.v1 has {kafka.partitions + 1} partitions, {kafka.partitions} wanted" in said


@pytest.mark.asyncio
async def test_a_redis_that_is_not_there_is_named_and_ends_the_worker(make: Any, kafka: Any) -> None:
    """A worker that cannot reach Redis at its start ends with code 1, and says where it looked."""
    cluster = make(kafka, RedisSettings(port=1))
    await cluster.declare()
    cluster.start("w0")
    assert await asyncio.to_thread(cluster.processes["w0"].wait, ENDED_S) == 1
    assert "cannot be reached: check that Redis runs there" in cluster.log_of("w0")


@pytest.mark.asyncio
@pytest.mark.parametrize("partitions", [1, 64])
async def test_any_number_of_partitions_gives_the_same_guarantee(
    make: Any, kafka: Any, redis_settings: Any, partitions: int
) -> None:
    """One partition and two workers, or 64: kills strike whoever is at work, nothing is lost or contradicted."""
    cluster = make(msgspec.structs.replace(kafka, partitions=partitions), redis_settings)
    load = Load(cluster, hospital(beds=200, hours=48))
    await cluster.declare()
    for name in ("w0", "w1"):
        cluster.start(name)
    load.begin()
    for _ in range(PARTITION_KILLS):
        name = await cluster.until_one_at_work(WORKING_S)
        await cluster.let_go_on(0.5)
        cluster.kill(name)
        cluster.restart(name)
    healthy_s = await cluster.until_healthy()
    fault = f"kill -9 with {partitions} partition{'s' if partitions > 1 else ''}"
    await check_run(cluster, load.end(), load.said, fault, times=PARTITION_KILLS, healthy_s=healthy_s)


@pytest.mark.asyncio
async def test_a_worker_that_stands_still_with_work_to_do_says_so(make: Any, kafka: Any, own_redis: Any) -> None:
    """With a step that never ends it is neither ready nor live, and names the partition; then it is well again."""
    redis = await asyncio.to_thread(own_redis)
    settings = msgspec.structs.replace(redis.settings(prefix="f"), timeout_s=60.0)
    cluster = make(kafka, settings, f"progress_s_max = {STILL_S}")
    load = Load(cluster, hospital(beds=160, hours=48))
    await cluster.declare()
    cluster.start("w0")
    await cluster.until_healthy()
    load.begin()
    await cluster.let_go_on(1.0)
    await cluster.until_at_work("w0")
    await asyncio.to_thread(redis.freeze)
    said = await cluster.until_said("w0", "stands still")
    live = await asyncio.to_thread(cluster.health, "w0", "live", ANSWER_S)
    await asyncio.to_thread(redis.thaw)
    healthy_s = await cluster.until_healthy()
    waited = "the step ends when Redis goes on, and the worker with it: no process begins anew"
    fault = "a step that does not end"
    await check_run(cluster, load.end(), load.said, fault, healthy_s=healthy_s, never_again=waited)
    assert ".v1/" in said
    assert (live.answered, live.well) == (True, False)
