"""Workers under kill -9 and frozen through a rebalance, while messages come in: nothing lost, nothing contradicted.

Every other kill, and every freeze, strikes where the worker has just said that it has records to fold. 20 kills in CI;
`make live-kills` has WARDSTREAM_LIVE_KILLS=300. The seed is printed, and WARDSTREAM_SEED repeats it.
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
from connectors.kafka.topics import EVENTS
from connectors.redis.settings import RedisSettings
from tests.live.cluster import SESSION_TIMEOUT_S, Cluster, hospital
from tests.live.deaths import undeclared
from tests.live.gateways import HL7, GatewayProcess, chart, is_subsequence, numbers, read, send
from tests.live.load import Load
from tests.live.verdict import check_run, verdict
from tests.live.zombies import refused_writes

KILLS = int(os.environ.get("WARDSTREAM_LIVE_KILLS", "20"))
SEED = int(os.environ.get("WARDSTREAM_SEED", "11"))
WORKERS = 3
BETWEEN_S = (0.2, 1.8)
PER_S, BEDS_A_KILL = (200.0, 22) if KILLS <= 20 else (120.0, 13)
"""So that messages come until the last kill, and the long run holds no more than some 60,000 of them."""
SERVICE = ("w0", "gateway", "gateway", "learner", "w0")
SERVICE_KILLS = max(KILLS // 5, len(SERVICE))
WORKING_S = 20.0
"""Until the worker of the service has started again and has something to fold."""
PATIENTS = 20
ENGINES = 16 if KILLS <= 20 else 4
"""Interface engines, each waiting for its acknowledgements: together they keep the service at work. Fewer in the long
run, which is to hold no more messages than the other tests."""
FROZEN_S = SESSION_TIMEOUT_S + 2.0
TAKEN_S = 45.0
"""Until another has taken what a frozen worker held: a session's end, and a rebalance on a busy machine."""
AWAKE_S = 2.0
"""For a zombie to try what it was about to do."""
FREEZES, FREEZES_MORE = (1, 5) if KILLS <= 20 else (10, 0)
"""Each of two workers at once; and so many more until a zombie has tried a write: a freeze may fall between two
batches."""


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
    load = Load(cluster, hospital(beds=BEDS_A_KILL * KILLS, hours=48, recent=True), PER_S)
    await cluster.declare()
    names = [f"w{number}" for number in range(WORKERS)]
    for name in names:
        cluster.start(name)
    load.begin()
    for number in range(KILLS):
        await cluster.let_go_on(chance.uniform(*BETWEEN_S))
        name = chance.choice(names)
        if number % 2:
            await cluster.until_at_work(name)
        cluster.kill(name)
        cluster.restart(name)
    healthy_s = await cluster.until_healthy()
    fault = "kill -9 of a worker under load"
    found = await check_run(cluster, load.end(), load.said, fault, times=KILLS, healthy_s=healthy_s, seed=SEED)
    with capsys.disabled():
        died = sorted(death.fault for death in cluster.ended)
        sys.stdout.write(f"\n{KILLS} kills, seed {SEED}: {found.words()}; died by themselves: {died}\n")
    assert undeclared(cluster.ended) == []


async def sleep_through_a_rebalance(cluster: Cluster, asleep: list[str]) -> int:
    """Freeze workers at work until others have taken what they held, then wake them; give how many tried to write.

    One that had died by itself before it was frozen is started again, and is among the others.
    """
    begun: dict[str, int] = {}
    frozen = {}
    for name in asleep:
        await cluster.until_at_work(name)
        frozen[name] = cluster.processes[name]
        cluster.freeze(name)
        begun[name] = cluster.log_size(name)
    await cluster.let_go_on(FROZEN_S)

    async def taken_over() -> bool:
        awake = [name for name, process in cluster.processes.items() if frozen.get(name) is not process]
        held = [await asyncio.to_thread(cluster.behind_by, name) for name in awake]
        numbers = {number for places in held for topic, number in places if topic == EVENTS}
        return len(numbers) == cluster.kafka.partitions

    await cluster.until(taken_over, TAKEN_S, lambda: "nobody took over what frozen workers held")
    for name in asleep:
        cluster.thaw(name)
    await cluster.let_go_on(AWAKE_S)
    return sum(refused_writes(cluster.log_of(name, begun[name])) > 0 for name in asleep)


@pytest.mark.asyncio
async def test_a_worker_that_slept_through_a_rebalance_corrupts_nothing_and_has_no_last_word(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two of three workers at once sleep in the midst of their work while others take it over; the fence refuses them.

    At least one zombie of the run has tried to write.
    """
    chance = random.Random(SEED)  # noqa: S311 - faults are drawn, not secrets
    load = Load(cluster, hospital(beds=260 * (FREEZES + FREEZES_MORE), hours=48, recent=True))
    await cluster.declare()
    names = [f"w{number}" for number in range(WORKERS)]
    for name in names:
        cluster.start(name)
    await cluster.until_healthy()
    load.begin()
    rounds = tried = 0
    while rounds < FREEZES or (not tried and rounds < FREEZES + FREEZES_MORE):
        await cluster.let_go_on(chance.uniform(1.0, 2.0))
        tried += await sleep_through_a_rebalance(cluster, chance.sample(names, 2))
        rounds += 1
    healthy_s = await cluster.until_healthy()
    fault = "two of three workers frozen (SIGSTOP) past the session time-out"
    await check_run(cluster, load.end(), load.said, fault, times=rounds * 2, healthy_s=healthy_s, seed=SEED)
    with capsys.disabled():
        sys.stdout.write(f"\n{rounds * 2} zombies, seed {SEED}: {tried} tried to write and were refused\n")
    assert tried > 0


class Engine:
    """An interface engine: the next message only after this one's AA; else the same again, to whoever listens."""

    def __init__(self, gateway: GatewayProcess, feed: str) -> None:
        self.gateway = gateway
        self.feed = feed
        self.acknowledged: list[int] = []
        self.ended = False

    async def send(self) -> None:
        """Send until told to end."""
        number = 0
        while not self.ended:
            message = chart(number, feed=self.feed, mrn=f"{self.feed[-1]}{number % PATIENTS}")
            answers = await send(self.gateway.mllp, [message], window=1)
            if [answer.code for answer in answers] == ["AA"]:
                self.acknowledged.append(number)
                number += 1


@pytest.mark.asyncio
async def test_gateway_learner_and_worker_killed_under_load_lose_nothing_acknowledged(
    cluster: Cluster, tmp_path: Path
) -> None:
    """What engines were told is stored is folded, in its order, whichever process of the service is killed when."""
    chance = random.Random(SEED)  # noqa: S311 - faults are drawn, not secrets
    await cluster.declare()
    cluster.start("w0")
    cluster.start("learner", command="learner")
    gateway = await asyncio.to_thread(GatewayProcess, tmp_path / "g", cluster.kafka, cluster.redis)
    engines = [Engine(gateway, f"MON|W{number}") for number in range(ENGINES)]
    sending = [asyncio.create_task(engine.send()) for engine in engines]
    try:
        for number in range(SERVICE_KILLS):
            await cluster.let_go_on(chance.uniform(*BETWEEN_S))
            name = SERVICE[number % len(SERVICE)]
            if name == "gateway":
                gateway.kill()
                gateway = await asyncio.to_thread(GatewayProcess, tmp_path / "g", cluster.kafka, cluster.redis)
                for engine in engines:
                    engine.gateway = gateway
            else:
                if name == "w0":
                    await cluster.until_at_work(name, WORKING_S)
                cluster.kill(name)
                cluster.restart(name)
        healthy_s = await cluster.until_healthy()
    finally:
        for engine in engines:
            engine.ended = True
        await asyncio.gather(*sending)
        gateway.kill()
    await cluster.drain()
    found = await verdict(cluster)
    ingested = await read(cluster.kafka, HL7)
    cluster.sent = len({(record.key, record.value) for record in ingested})
    found.repeats += len(ingested) - cluster.sent  # what an engine sent again, having heard no answer
    fault = "kill -9 of gateway, learner or worker under load by MLLP"
    found.note(cluster, fault, (), times=SERVICE_KILLS, healthy_s=healthy_s, seed=SEED)
    assert found.well() == []
    for engine in engines:
        assert len(engine.acknowledged) > 0
        assert is_subsequence(engine.acknowledged, numbers(ingested, engine.feed))
    assert len(found.ids) == sum(len(set(numbers(ingested, engine.feed))) for engine in engines)
