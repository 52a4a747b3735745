"""Workers under kill -9 and frozen through a rebalance, while messages come in: nothing lost, nothing contradicted.

20 kills in CI; `make live-kills` has WARDSTREAM_LIVE_KILLS=300. The seed is printed, and WARDSTREAM_SEED repeats it.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.kafka.settings import KafkaSettings
from connectors.redis.settings import RedisSettings
from tests.live.cluster import SESSION_TIMEOUT_S, Cluster, hospital
from tests.live.gateways import HL7, GatewayProcess, chart, is_subsequence, numbers, read, send
from tests.live.verdict import check_run, verdict

KILLS = int(os.environ.get("WARDSTREAM_LIVE_KILLS", "20"))
SEED = int(os.environ.get("WARDSTREAM_SEED", "11"))
WORKERS = 3
BETWEEN_S = (0.2, 1.8)
SERVICE_KILLS = max(KILLS // 5, 4)
PATIENTS = 20
FROZEN_S = SESSION_TIMEOUT_S + 2.0
FREEZES = 1 if KILLS <= 20 else 10
"""Each of two workers at once."""


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
    chance = random.Random(SEED)  # noqa: S311 - faults are drawn, not secrets
    arrivals = hospital(beds=10 * KILLS, hours=48)
    await cluster.declare()
    names = [f"w{number}" for number in range(WORKERS)]
    for name in names:
        cluster.start(name)
    feeding = asyncio.create_task(cluster.ingest(arrivals, within_s=KILLS * sum(BETWEEN_S) / 2, batch=20))
    for _ in range(KILLS):
        await cluster.let_go_on(chance.uniform(*BETWEEN_S))
        name = chance.choice(names)
        cluster.kill(name)
        cluster.restart(name)
    healthy_s = await cluster.until_healthy()
    fault = "kill -9 of a worker under load"
    found = await check_run(cluster, feeding, arrivals, fault, times=KILLS, healthy_s=healthy_s, seed=SEED)
    with capsys.disabled():
        sys.stdout.write(f"\n{KILLS} kills, seed {SEED}: {found.words()}; {cluster.deaths} died by themselves\n")


@pytest.mark.asyncio
async def test_a_worker_that_slept_through_a_rebalance_corrupts_nothing_and_has_no_last_word(cluster: Cluster) -> None:
    """Two of three workers at once are frozen past the session time-out under load, then go on."""
    chance = random.Random(SEED)  # noqa: S311 - faults are drawn, not secrets
    arrivals = hospital(beds=200, hours=48)
    await cluster.declare()
    names = [f"w{number}" for number in range(WORKERS)]
    for name in names:
        cluster.start(name)
    await cluster.until_healthy()
    feeding = asyncio.create_task(cluster.ingest(arrivals, within_s=FREEZES * (FROZEN_S + 2), batch=20))
    for _ in range(FREEZES):
        await cluster.let_go_on(chance.uniform(1.0, 2.0))
        asleep = chance.sample(names, 2)
        for name in asleep:
            cluster.freeze(name)
        await cluster.let_go_on(FROZEN_S)
        for name in asleep:
            cluster.thaw(name)
    healthy_s = await cluster.until_healthy()
    fault = "two of three workers frozen (SIGSTOP) past the session time-out"
    await check_run(cluster, feeding, arrivals, fault, times=FREEZES * 2, healthy_s=healthy_s, seed=SEED)


class Engine:
    """An interface engine: the next message only after this one's AA; else the same again, to whoever listens."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self.gateway = gateway
        self.acknowledged: list[int] = []
        self.ended = False

    async def send(self) -> None:
        """Send until told to end."""
        number = 0
        while not self.ended:
            answers = await send(self.gateway.mllp, [chart(number, mrn=str(number % PATIENTS))], window=1)
            if [answer.code for answer in answers] == ["AA"]:
                self.acknowledged.append(number)
                number += 1


@pytest.mark.asyncio
async def test_gateway_learner_and_worker_killed_under_load_lose_nothing_acknowledged(
    cluster: Cluster, tmp_path: Path
) -> None:
    """What an engine was told is stored is folded, in its order, whichever process of the service is killed when."""
    chance = random.Random(SEED)  # noqa: S311 - faults are drawn, not secrets
    await cluster.declare()
    cluster.start("w0")
    cluster.start("learner", command="learner")
    gateway = await asyncio.to_thread(GatewayProcess, tmp_path / "g", cluster.kafka, cluster.redis)
    engine = Engine(gateway)
    sending = asyncio.create_task(engine.send())
    try:
        for _ in range(SERVICE_KILLS):
            await cluster.let_go_on(chance.uniform(*BETWEEN_S))
            name = chance.choice(["gateway", "gateway", "learner", "w0"])
            if name == "gateway":
                engine.gateway.kill()
                engine.gateway = await asyncio.to_thread(GatewayProcess, tmp_path / "g", cluster.kafka, cluster.redis)
            else:
                cluster.kill(name)
                cluster.restart(name)
        healthy_s = await cluster.until_healthy()
    finally:
        engine.ended = True
        await sending
        engine.gateway.kill()
    await cluster.drain()
    found = await verdict(cluster)
    lying = numbers(await read(cluster.kafka, HL7), "MON|W")
    cluster.sent = len(lying)
    fault = "kill -9 of gateway, learner or worker under load by MLLP"
    found.note(cluster, fault, (), times=SERVICE_KILLS, healthy_s=healthy_s, seed=SEED)
    assert found.well() == []
    assert len(engine.acknowledged) > 0
    assert is_subsequence(engine.acknowledged, lying)
    assert len(found.ids) == len(set(lying))
