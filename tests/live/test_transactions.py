"""An engine that writes with Kafka transactions: what it commits comes out once, what it aborts never."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from faust.types import TP

from connectors.kafka.admin import declare
from connectors.kafka.faults import UnreachableError
from connectors.kafka.outbox import Outbox
from connectors.kafka.partitioning import partition_for
from connectors.kafka.reading import log_range, read_topic
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.redis.settings import RedisSettings
from connectors.sources.arrival import Arrival
from stream.kafka_source import KafkaSource
from stream.live import progress
from stream.live.following import Follower
from stream.live.holes import Seen, holds_nothing, look_again, open_transactions
from stream.live.stage import GapError, LogItem, LogRange, StagePartition
from stream.live.stage_app import StageApp
from stream.live.stage_settings import StageObserver, StageSettings
from stream.settings import Settings
from tests.live.cluster import DRAIN_S, IN_TRANSACTIONS, Cluster, expected_ids, hospital, ingest_record
from tests.live.processes import ANSWER_S, BEHIND
from tests.live.test_consumer import Recording, Silent
from tests.live.verdict import verdict
from tests.stream.live.partitions import until
from tests.stream.live.test_stage_app import Heard

HL7 = "hl7v2.ingest.v1"
STILL_S = 4.0
"""How long a partition may stand still in these tests before that is told: a hole taken for a record would be."""
EACH = 15
"""Messages in a transaction."""
SEED_ABORTED = 8
"""Another hospital's messages are aborted: none of them may come out."""


@pytest.fixture
def cluster(tmp_path: Path, kafka: KafkaSettings, redis_settings: RedisSettings) -> Iterator[Cluster]:
    made = Cluster(tmp_path, kafka, redis_settings, live=f"progress_s_max = {STILL_S}")
    yield made
    made.stop()


class Engine:
    """A writer with a transactional id of its own."""

    def __init__(self, kafka: KafkaSettings, name: str) -> None:
        self._prefix = kafka.prefix
        self.producer = AIOKafkaProducer(
            bootstrap_servers=kafka.bootstrap, transactional_id=kafka.prefix + name, transaction_timeout_ms=120_000
        )

    async def begin(self, records: Sequence[Record]) -> list[int]:
        """Open a transaction and write records into it; give their offsets. They lie in the log when this returns."""
        await self.producer.begin_transaction()
        sent = [
            await self.producer.send(
                self._prefix + one.topic, one.value, one.key, one.partition, headers=list(one.headers)
            )
            for one in records
        ]
        return [(await future).offset for future in sent]

    async def commit(self) -> None:
        """End it: what was written stands."""
        await self.producer.commit_transaction()

    async def abort(self) -> None:
        """End it: what was written never was."""
        await self.producer.abort_transaction()


@asynccontextmanager
async def engines(kafka: KafkaSettings, *names: str) -> AsyncIterator[list[Engine]]:
    """Start writers; they are stopped in the end."""
    made = [Engine(kafka, name) for name in names]
    async with AsyncExitStack() as ended:
        for one in made:
            await one.producer.start()
            ended.push_async_callback(one.producer.stop)
        yield made


def numbered(*numbers: int) -> list[Record]:
    """Give records for partition 0 of the HL7 topic."""
    return [Record(HL7, b"k", b"%d" % number, (), 0) for number in numbers]


def portions(arrivals: Sequence[Arrival]) -> list[list[Record]]:
    return [[ingest_record(one) for one in arrivals[at : at + EACH]] for at in range(0, len(arrivals), EACH)]


def behind(cluster: Cluster, name: str) -> float:
    """Give how many records a worker has yet to fold, by its own word; infinite before it has every partition."""
    held = [one.value for one in cluster.metrics(name) if one.name == BEHIND]
    whole = len(held) == cluster.kafka.partitions * 5  # three ingest topics, events.v1, candidates.v1
    return sum(held) if whole else inf


async def until_caught_up(cluster: Cluster, name: str, newest: dict[int, int]) -> None:
    """Wait until the newest committed record of each HL7 partition is folded, and the worker says it has all."""

    async def caught_up() -> bool:
        parsed = all(cluster.parsed(HL7, number) >= offset for number, offset in newest.items())
        lag = await cluster.behind()
        folded = parsed and lag["patient"] == lag["ward"] == 0 and await asyncio.to_thread(behind, cluster, name) == 0
        # What it told the wards can be read once the marks are there, a little after it was committed.
        return folded and await open_transactions(cluster.kafka, "", IN_TRANSACTIONS) == []

    await cluster.until(caught_up, DRAIN_S, supervised=False)


async def until_ended(kafka: KafkaSettings, end: int, topic: str = HL7, partition: int = 0) -> None:
    """Wait until a partition ends there for readers: marks come a little after the writer's answer."""
    async with asyncio.timeout(DRAIN_S):
        while (await log_range(kafka, topic))[partition][1] < end:
            pass


async def committed(kafka: KafkaSettings) -> dict[int, list[int]]:
    """Give the offsets of the records that stand on the HL7 topic."""
    found: dict[int, list[int]] = {}
    async for record in read_topic(kafka, HL7):
        found.setdefault(record.partition, []).append(record.offset)
    return found


async def interleave(kafka: KafkaSettings, kept: list[list[Record]], aborted: list[list[Record]]) -> None:
    """Write in transactions that lie across one another: of three that are open at a time, one is aborted."""
    async with engines(kafka, "first", "second", "third") as (first, second, third):
        while kept:
            await first.begin(kept.pop(0))
            await third.begin(aborted.pop(0))
            if kept:
                await second.begin(kept.pop(0))
                await second.commit()
            await third.abort()
            await first.commit()
        for portion in aborted:  # at the end of the log: nothing but what is no record
            await third.begin(portion)
            await third.abort()


# -- a worker ---------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_what_is_committed_comes_out_once_and_what_is_aborted_never(cluster: Cluster) -> None:
    """Transactions across one another, some aborted, the last ones too: a worker folds each committed message once.

    It is well and has caught up in the end, though the log ends with no record; so is one that is started then. The
    replay of the log says what it said, and a reader of the ingest topic has the committed messages.
    """
    arrivals = [one for one in hospital(beds=12, hours=24) if one.format == "hl7v2"]
    kept = portions(arrivals)
    others = [one for one in hospital(beds=12, hours=24, seed=SEED_ABORTED) if one.format == "hl7v2"]
    aborted = portions(others)[: len(kept) // 2 + 4]
    await cluster.declare()
    half = len(aborted) // 2
    await interleave(cluster.kafka, kept[: 2 * half], aborted[:half])
    cluster.start("w")
    await cluster.until_healthy()
    await interleave(cluster.kafka, kept[2 * half :], aborted[half:])
    standing: dict[int, list[int]] = {}
    async with asyncio.timeout(DRAIN_S):
        while sum(map(len, standing.values())) < len(arrivals):
            standing = await committed(cluster.kafka)
    assert sum(map(len, standing.values())) == len(arrivals)
    newest = {number: offsets[-1] for number, offsets in standing.items()}
    ends = {number: end for number, (_, end) in (await log_range(cluster.kafka, HL7)).items()}
    assert all(offset < ends[number] - 1 for number, offset in newest.items())
    await until_caught_up(cluster, "w", newest)
    found = await verdict(cluster)
    assert (found.ids ^ expected_ids(arrivals), found.repeats, found.well()) == (set(), 0, [])
    source = KafkaSource(HL7, cluster.kafka, Settings())
    assert len(list(source)) == len(arrivals)
    await cluster.until_healthy()
    cluster.terminate("w")
    cluster.restart("w")
    await cluster.until_healthy()
    await until_caught_up(cluster, "w", newest)
    assert (cluster.deaths, cluster.health("w", "live", ANSWER_S).well) == (0, True)


@pytest.mark.asyncio
async def test_a_transaction_that_stays_open_is_told_and_waited_for(cluster: Cluster) -> None:
    """Records behind an open transaction are not folded, the health says why, and no new process is asked for.

    Once it ends, they are; the worker is well.
    """
    arrivals = [one for one in hospital(beds=8, hours=6) if one.format == "hl7v2"]
    first, *rest = [ingest_record(one) for one in arrivals]
    await cluster.declare()
    cluster.start("w")
    await cluster.until_healthy()
    async with engines(cluster.kafka, "slow") as [slow]:
        [offset] = await slow.begin([first])
        placed = await cluster.put(rest)
        said = await cluster.until_said("w", "a writer's transaction is open since", supervised=False)
        [held] = {number for number, _ in placed}
        assert f"{HL7}/{held}" in said
        assert [cluster.health("w", kind, ANSWER_S).well for kind in ("ready", "live")] == [False, True]
        assert (cluster.parsed(HL7, held), behind(cluster, "w")) == (offset - 1, len(arrivals))
        assert await open_transactions(cluster.kafka, "", [HL7]) == [(HL7, held)]
        await slow.commit()
    await until_caught_up(cluster, "w", {held: placed[-1][1]})
    await cluster.until_healthy()
    found = await verdict(cluster)
    assert (found.ids ^ expected_ids(arrivals), found.well(), cluster.deaths) == (set(), [], 0)
    assert await open_transactions(cluster.kafka, "", [HL7]) == []


# -- the proof --------------------------------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def declared(kafka: KafkaSettings) -> KafkaSettings:
    await declare(kafka)
    return kafka


async def app_over(kafka: KafkaSettings, observer: StageObserver | None = None) -> tuple[StageApp, TP, Recording]:
    """Give a stage with one partition open, whose second readings ask a real broker; a test hands it its records."""
    partition = Recording(0, 0, lambda: None)
    place = TP(kafka.prefix + HL7, 0)

    async def deliver(_partition: StagePartition, _records: Sequence[Record]) -> None:
        raise AssertionError("nothing is given")

    settings = StageSettings("parse", (place.topic,), "g", "i", kafka.bootstrap, 100, 0.01, 10.0, 30.0)
    look = partial(look_again, kafka, "")
    app = StageApp(settings, lambda _t, _n: partition, deliver, observer or Silent(), lambda: 0, look=look)
    await app._open(place, LogRange(0, 0))
    return app, place, partition


def items(*offsets: int) -> list[LogItem]:
    return [LogItem(offset, b"k", b"%d" % offset, (), 0) for offset in offsets]


def folded(partition: Recording) -> list[int]:
    return [one.offset for batch in partition.batches for one in batch]


@pytest.mark.asyncio
async def test_a_record_that_our_consumer_lost_is_no_hole(
    declared: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a true hole one record is missing: the hole is passed, what comes behind the loss is refused."""
    async with engines(declared, "engine") as [engine]:
        for portion in (numbered(0, 1), numbered(3), numbered(5, 6)):
            await engine.begin(portion)
            await engine.commit()
    await until_ended(declared, 8)
    app, place, partition = await app_over(declared)
    await app._work(place, items(0, 1, 3, 6))  # 2, 4 and 7 are marks; 5 was lost on its way
    assert folded(partition) == [0, 1, 3]
    await app._work(place, items(6))
    assert folded(partition) == [0, 1, 3]
    monkeypatch.setattr(progress, "GAP_S_MAX", 0.0)
    with pytest.raises(GapError, match=f"{HL7}/0: record 4 does not come"):
        app.watch()
    await app._work(place, items(5, 6))
    assert folded(partition) == [0, 1, 3, 5, 6]


@pytest.mark.asyncio
async def test_a_second_reading_gives_what_stands_and_how_far_it_came(declared: KafkaSettings) -> None:
    """Committed records alone, as far as they are through; an open transaction's are none, and end it."""
    place = (declared.prefix + HL7, 0)
    look = partial(look_again, declared, "")
    async with engines(declared, "engine", "other") as [engine, other]:
        await engine.begin(numbered(0, 1))
        await engine.commit()
        await engine.begin(numbered(3))
        await engine.abort()
        await until_ended(declared, 5)
        assert await look(*place, 0, 3) == Seen(0, 5, (0, 1))
        assert await look(*place, 2, None) == Seen(2, 5, ())
        assert await look(*place, 1, None) == Seen(1, 5, (1,))
        assert await holds_nothing(declared, "", HL7, 0, 2)
        assert not await holds_nothing(declared, "", HL7, 0, 1)
        await other.begin(numbered(5))
        assert await look(*place, 2, None) == Seen(2, 5, ())
        await other.commit()
        await until_ended(declared, 7)
        assert await look(*place, 2, None) == Seen(2, 7, (5,))


@pytest.mark.asyncio
async def test_no_answer_proves_nothing(declared: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offsets that the log has not got to: None. A broker that is not there: an error that says so. Both in time."""
    monkeypatch.setattr("stream.live.holes.TRY_S", 2.0)  # time enough to hear where the log ends
    place = (declared.prefix + HL7, 0)
    assert await look_again(declared, "", *place, 0, 1) is None
    assert await look_again(declared, "", *place, 5, 6) is None
    monkeypatch.setattr("stream.live.holes.TRY_S", 0.5)
    nobody = msgspec.structs.replace(declared, bootstrap="127.0.0.1:1")
    with pytest.raises(UnreachableError, match="no broker answered"):
        await look_again(nobody, "", *place, 0, 1)
    with pytest.raises(UnreachableError, match="no broker answered"):
        await holds_nothing(nobody, "", HL7, 0, 0)


@pytest.mark.asyncio
async def test_a_broker_that_is_away_is_waited_for_before_a_hole_is_judged(
    own_kafka: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the second reading: the stage says so and does not end; back again, the hole is passed."""
    monkeypatch.setattr("stream.live.holes.TRY_S", 0.5)
    broker = await asyncio.to_thread(own_kafka)
    kafka = broker.settings(prefix="h.")
    await declare(kafka)
    async with engines(kafka, "engine") as [engine]:
        for portion in (numbered(0, 1), numbered(3)):
            await engine.begin(portion)
            await engine.commit()
    await until_ended(kafka, 5)
    app, place, partition = await app_over(kafka, Heard())
    await asyncio.to_thread(broker.kill)
    monkeypatch.setattr(progress, "GAP_S_MAX", 0.0)
    batch = asyncio.ensure_future(app._work(place, items(0, 1, 3)))
    await until(app.problems)
    assert [f"second reading of {place.topic}/0 fails: no broker answered" in one for one in app.problems()] == [True]
    app.watch()
    assert (folded(partition), app.dead()) == ([], [])
    monkeypatch.setattr("stream.live.holes.TRY_S", 10.0)
    await asyncio.to_thread(broker.start)
    async with asyncio.timeout(DRAIN_S):
        await batch
    app.watch()
    assert (folded(partition), app.problems()) == ([0, 1, 3], [])


# -- views ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("records_max", [2, 3, 4, 5])
@pytest.mark.asyncio
async def test_a_view_knows_how_far_back_it_reaches_over_marks(declared: KafkaSettings, records_max: int) -> None:
    """Wherever among records and marks the newest of them begin: what was left out is not said to have been read."""
    topic, key = "alerts.v1", b"W1"
    outbox = Outbox(declared, client_id="test", transactional_id="ward")
    await outbox.start()
    for number in range(4):
        await outbox.transaction([Record(topic, key, b"%d" % number)])
    await outbox.stop()
    await until_ended(declared, 2 * 4, topic, partition_for(key, declared.partitions))  # a mark after each of the four
    written = [one async for one in read_topic(declared, topic)]
    assert {one.partition for one in written} == {partition_for(key, declared.partitions)}
    taken: list[bytes | None] = []
    follower = Follower(declared, "", topic, lambda one: taken.append(one.value))
    reached = await follower.start(0, records_max * declared.partitions)
    await follower.stop()
    first = len(written) - len(taken)
    assert taken == [one.value for one in written[first:]]
    assert (first > 0, reached) == (True, written[first].record_time)
