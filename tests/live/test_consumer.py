"""What we rest on inside Faust, on a real broker: an agent is handed bundles, whole, in order, within their bound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP

from connectors.kafka.admin import declare
from connectors.kafka.outbox import Outbox
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from stream.live import progress, stage_app
from stream.live.consumer import BUFFERED_LOOK_S, FETCH_WAIT_MS, StoreLedConsumer
from stream.live.ends import Ends
from stream.live.holes import look_again
from stream.live.stage import LogItem, LogRange, StagePartition, StarvedError, first_offset
from stream.live.stage_app import StageApp
from stream.live.stage_settings import StageObserver, StageSettings
from tests.bench import PARTITIONS
from tests.stream.live.partitions import until
from tests.stream.live.test_stage_app import Heard

RECORDS = 1_000
EACH = RECORDS // PARTITIONS
BATCH = 64
DONE_S = 60.0


class Recording:
    """A partition that keeps what it is given."""

    epoch = 1
    problems: tuple[str, ...] = ()

    def __init__(self, number: int, start: int, heard: Callable[[], None]) -> None:
        self.number = number
        self._heard = heard
        self.folded = start - 1
        self._at = start - 1
        self.batches: list[list[LogItem]] = []

    def open(self, log: LogRange) -> int:
        """Begin where it stands."""
        return first_offset(self.folded, log)

    def still_ours(self) -> bool:
        """Nobody else is here."""
        return True

    def work(self, batch: Sequence[LogItem]) -> list[Record]:
        """Keep it."""
        self.batches.append(list(batch))
        self._at = batch[-1].offset
        return []

    def commit(self) -> None:
        """Say how far."""
        self.folded = self._at
        self._heard()

    def idle(self, now: int) -> list[Record]:  # noqa: ARG002 - a stage's signature
        """Give nothing."""
        return []


class Running(NamedTuple):
    """A stage that runs."""

    app: StageApp
    partitions: dict[int, Recording]
    done: asyncio.Event
    """Set when all is folded."""


class Silent:
    """Hears of nothing."""

    def worked(self, stage: str, records: int, outputs: int, seconds: float) -> None:
        """A batch."""

    def failed(self, stage: str, where: str, fault: BaseException) -> None:
        """A fault: none is expected here."""
        raise AssertionError(f"{stage}, {where}: {fault!r}")


@asynccontextmanager
async def reading(
    kafka: KafkaSettings, start: int, still_s_max: float = 30.0, observer: StageObserver | None = None
) -> AsyncIterator[Running]:
    """Run a stage over events.v1 from a place in each partition."""
    partitions: dict[int, Recording] = {}
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look() -> None:
        """Commits come in threads of their own."""
        if len(partitions) == kafka.partitions and all(one.folded + 1 == EACH for one in partitions.values()):
            loop.call_soon_threadsafe(done.set)

    def make(_topic: str, number: int) -> StagePartition:
        partitions[number] = Recording(number, start, look)
        return partitions[number]

    async def deliver(_partition: StagePartition, _records: Sequence[Record]) -> None:
        raise AssertionError("nothing is given")

    settings = StageSettings(
        "patient",
        (f"{kafka.prefix}events.v1",),
        f"{kafka.prefix}wardstream.patient",
        "only.patient",
        kafka.bootstrap,
        BATCH,
        0.01,
        10.0,
        still_s_max,
    )
    ends = Ends(kafka, "", ["events.v1"])
    ends.start()
    again = partial(look_again, kafka, "")
    app = StageApp(settings, make, deliver, observer or Silent(), lambda: 0, ends.of, again)
    await app.start()
    try:
        yield Running(app, partitions, done)
    finally:
        await app.stop()
        await ends.stop()


async def send_one(kafka: KafkaSettings) -> None:
    """Write one more record to partition 0."""
    outbox = Outbox(kafka, client_id="test")
    await outbox.start()
    await outbox.send([Record("events.v1", b"k", b"more", (), 0)])
    await outbox.stop()


async def until_folded_again(running: Running) -> None:
    """Watch a stage as its worker does, until it has that one."""

    def folded_again() -> bool:
        running.app.watch()
        return running.partitions[0].folded == EACH

    await until(folded_again)


async def watch_on(app: StageApp) -> None:
    """Watch a stage as its worker does, until it says that it must end."""

    def watched() -> bool:
        app.watch()
        return False

    await until(watched)


async def folded(kafka: KafkaSettings, start: int) -> dict[int, Recording]:
    """Run a stage until it has all; give its partitions."""
    async with reading(kafka, start) as running, asyncio.timeout(DONE_S):
        await running.done.wait()
    return running.partitions


@pytest_asyncio.fixture
async def written(kafka: KafkaSettings) -> KafkaSettings:
    """Give a broker with records on every partition of events.v1."""
    await declare(kafka)
    outbox = Outbox(kafka, client_id="test")
    await outbox.start()
    try:
        records = [
            Record("events.v1", b"k%d" % number, b"%d" % number, (("n", b"%d" % number),), number % kafka.partitions)
            for number in range(RECORDS)
        ]
        await outbox.send(records)
    finally:
        await outbox.stop()
    return kafka


@pytest.mark.asyncio
async def test_an_agent_is_handed_every_record_in_order_in_bounded_batches(written: KafkaSettings) -> None:
    """Of each partition: every offset once, in order, never more than the bound, key, value and headers as written."""
    partitions = await folded(written, 0)
    assert sorted(partitions) == list(range(written.partitions))
    for number, one in partitions.items():
        items = [item for batch in one.batches for item in batch]
        assert [item.offset for item in items] == list(range(EACH))
        assert all(0 < len(batch) <= BATCH for batch in one.batches)
        assert max(len(batch) for batch in one.batches) > 1
        for place, item in enumerate(items):
            text = b"%d" % (place * written.partitions + number)
            assert (item.key, item.value, item.headers) == (b"k" + text, text, (("n", text),))
            assert item.record_time > 0


@pytest.mark.asyncio
async def test_a_fetch_for_which_there_is_nothing_comes_back_soon(written: KafkaSettings) -> None:
    """The broker is asked to wait as long as we say, not Faust's second and a half: an alert would wait with it."""
    async with reading(written, 0) as running, asyncio.timeout(DONE_S):
        await running.done.wait()
        thread = running.app.app.consumer._thread
        assert thread._ensure_consumer()._fetcher._fetch_max_wait_ms == FETCH_WAIT_MS


@pytest.mark.asyncio
async def test_while_an_agent_has_all_it_can_take_what_becomes_free_is_looked_for_soon(
    written: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in a second: neither where every partition waits, nor where one is free of which there is nothing."""
    slept_s: list[float] = []
    fetched_s: list[float] = []
    async with reading(written, 0) as running:
        await asyncio.wait_for(running.done.wait(), DONE_S)
        consumer = running.app.app.consumer
        sleep, getmany = consumer.sleep, consumer._getmany

        async def slept(seconds: float) -> None:
            slept_s.append(seconds)
            await sleep(seconds)

        async def got(active_partitions: set[TP], timeout: float) -> Mapping[TP, object]:  # noqa: ASYNC109 - Faust's
            if consumer._buffered_partitions:
                fetched_s.append(timeout)
            return await getmany(active_partitions, timeout)

        monkeypatch.setattr(consumer, "sleep", slept)
        monkeypatch.setattr(consumer, "_getmany", got)
        every = sorted(consumer.assignment())
        for tp in every:
            consumer.on_buffer_full(tp)
        await until(lambda: BUFFERED_LOOK_S in slept_s)
        consumer.on_buffer_drop(every[0])
        await until(lambda: len(fetched_s) > 2)
        await send_one(written)
        await until(lambda: running.partitions[0].folded == EACH)
        for tp in every:
            consumer.on_buffer_drop(tp)
    assert max(fetched_s) == BUFFERED_LOOK_S
    assert 1 not in slept_s, "Faust's own wait; its others are in the way of nothing"


@pytest.mark.asyncio
async def test_reading_goes_on_where_the_partition_stands(written: KafkaSettings) -> None:
    """The first record is the one after those that the store has, wherever the group's offset stands."""
    partitions = await folded(written, 100)
    assert {one.batches[0][0].offset for one in partitions.values()} == {100}


@pytest.mark.asyncio
async def test_a_log_that_seems_to_end_too_early_is_asked_for_once_more(
    written: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was stopped between asking where a log ends and opening it takes no log for another's."""
    real, asked = StoreLedConsumer.highwaters, []

    async def stale_at_first(self: StoreLedConsumer, *places: TP) -> Mapping[TP, int]:
        asked.append(places)
        return dict.fromkeys(places, 1) if len(asked) == 1 else await real(self, *places)

    monkeypatch.setattr(StoreLedConsumer, "highwaters", stale_at_first)
    partitions = await folded(written, 100)
    assert {one.batches[0][0].offset for one in partitions.values()} == {100}
    assert len(asked) == 1 + written.partitions


@pytest.mark.asyncio
async def test_what_was_fetched_and_never_handed_on_is_read_again(
    written: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Faust drops it where two rebalances overlap: the stage goes back to the record that is next, and says so."""
    monkeypatch.setattr(progress, "TAIL_S", 0.5)
    heard = Heard()
    async with reading(written, 0, observer=heard) as running:
        async with asyncio.timeout(DONE_S):
            await running.done.wait()
        place = TP(f"{written.prefix}events.v1", 0)
        dropped: list[Sequence[LogItem]] = []
        real = running.app._work_all

        async def drop(tp: TP, items: Sequence[LogItem]) -> None:
            if tp == place and not dropped:
                dropped.append(items)
            else:
                await real(tp, items)

        monkeypatch.setattr(running.app, "_work_all", drop)
        await send_one(written)
        await until_folded_again(running)
        assert [item.offset for item in dropped[0]] == [EACH]
        assert [item.offset for item in running.partitions[0].batches[-1]] == [EACH]
        assert set(heard.failures) == {"read again"}


@pytest.mark.asyncio
async def test_what_was_never_handed_on_is_read_again_however_busy_the_others_are(
    written: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partition need not wait for a moment at which nothing of any other is left: under load there is none."""
    monkeypatch.setattr(progress, "TAIL_S", 0.5)
    monkeypatch.setattr(stage_app, "TURN_S_MAX", 2.0)
    heard = Heard()
    async with reading(written, 0, observer=heard) as running:
        async with asyncio.timeout(DONE_S):
            await running.done.wait()
        place = TP(f"{written.prefix}events.v1", 0)
        dropped: list[Sequence[LogItem]] = []
        real = running.app._work_all
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def drop(tp: TP, items: Sequence[LogItem]) -> None:
            if tp == place and not dropped:
                dropped.append(items)
                return
            if tp != place:
                await asyncio.wait([never], timeout=0.2)
            await real(tp, items)

        monkeypatch.setattr(running.app, "_work_all", drop)
        outbox = Outbox(written, client_id="test")
        await outbox.start()
        await outbox.send([Record("events.v1", b"k", b"more", (), 0)])
        await until(lambda: dropped)
        busy = asyncio.create_task(_keep_busy(outbox))
        try:
            await until_folded_again(running)
        finally:
            busy.cancel()
            await asyncio.wait([busy])
            await outbox.stop()
        assert set(heard.failures) == {"read again"}


async def _keep_busy(outbox: Outbox) -> None:
    while True:
        await outbox.send([Record("events.v1", b"k", b"other", (), 1)])


@pytest.mark.asyncio
async def test_a_stage_to_which_nothing_is_handed_on_ends(written: KafkaSettings) -> None:
    """While all is folded, or records come, it goes on; where Faust's flow stays shut and records wait, it ends."""
    async with reading(written, 0, still_s_max=1.0) as running:
        async with asyncio.timeout(DONE_S):
            await running.done.wait()
        running.app.watch()
        running.app.app.consumer.stop_flow()
        await send_one(written)
        with pytest.raises(StarvedError, match="patient: records wait"):
            await watch_on(running.app)
        assert running.partitions[0].folded + 1 == EACH


@pytest.mark.asyncio
async def test_the_group_is_told_how_far_we_are(written: KafkaSettings) -> None:
    """For those who watch the group's lag: its offsets end behind the last record, although bundles leave gaps."""
    await folded(written, 0)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=written.bootstrap, group_id=f"{written.prefix}wardstream.patient", enable_auto_commit=False
    )
    await consumer.start()
    try:
        committed = {
            await consumer.committed(TopicPartition(f"{written.prefix}events.v1", number))
            for number in range(written.partitions)
        }
    finally:
        await consumer.stop()
    assert committed == {EACH}
