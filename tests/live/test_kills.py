"""Workers under kill -9 and frozen through a rebalance, while messages come in: nothing lost, nothing contradicted.

20 kills in CI; `make live-kills` has WARDSTREAM_LIVE_KILLS=300. The seed is printed, and WARDSTREAM_SEED repeats it.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.kafka.settings import KafkaSettings
from connectors.redis.settings import RedisSettings
from tests.live.cluster import Cluster, expected_ids, hospital
from tests.live.verdict import verdict

KILLS = int(os.environ.get("WARDSTREAM_LIVE_KILLS", "20"))
SEED = int(os.environ.get("WARDSTREAM_SEED", "11"))
WORKERS = 3
BETWEEN_S = (0.3, 2.5)


@pytest.fixture
def cluster(tmp_path: Path, kafka: KafkaSettings, redis_settings: RedisSettings) -> Iterator[Cluster]:
    made = Cluster(tmp_path, kafka, redis_settings)
    yield made
    made.stop()


@pytest.mark.asyncio
async def test_workers_killed_under_load_lose_nothing_and_contradict_nothing(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every message is on events.v1 with one content; outputs are the replay's; states agree with alerts."""
    chance = random.Random(SEED)
    arrivals = hospital(beds=max(40, KILLS), hours=48)
    await cluster.declare()
    names = [f"w{number}" for number in range(WORKERS)]
    for name in names:
        cluster.start(name)
    feeding = asyncio.create_task(cluster.ingest(arrivals, every_s=KILLS * 1.4 / (len(arrivals) / 200)))
    kills = 0
    while kills < KILLS:
        await asyncio.sleep(chance.uniform(*BETWEEN_S))
        name = chance.choice(names)
        cluster.kill(name)
        cluster.start(name)
        cluster.supervise()
        kills += 1
    sent = await feeding
    await cluster.drain()
    found = await verdict(cluster)
    with capsys.disabled():
        print(f"\n{kills} kills, seed {SEED}: {sent} messages; {found.words()}; {cluster.deaths} ended by themselves")
    assert found.ids == expected_ids(arrivals)
    assert found.well() == []
