"""A stage's app beyond Faust: what an outage, a rebalance in the middle of a batch and a stuck partition do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from faust.types import TP

from connectors.kafka.faults import NotSentError
from connectors.kafka.record import Record
from connectors.redis.settings import RedisSettings
from features.store import FencedError
from stream.live import stage_app
from stream.live.stage import ForeignLogError, LogItem, StagePartition
from stream.live.stage_app import Deliver, StageApp
from stream.live.stage_settings import StageSettings
from tests.stream.live.partitions import LOG, SICK, START, UNTIL_S, Messages, items, patient_partition, until

SETTINGS = StageSettings("patient", ("t",), "g", "i", "127.0.0.1:1", 10, 0.01, 10, 30)
FIRST, SECOND = TP("t", 0), TP("t", 1)


class Heard:
    """Keeps what went wrong."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def worked(self, stage: str, records: int, outputs: int, seconds: float) -> None:
        """A batch was done."""

    def failed(self, stage: str, where: str, fault: BaseException) -> None:  # noqa: ARG002 - an observer's signature
        """Keep where."""
        self.failures.append(where)


class Plain:
    """A partition that writes one record a batch, and notes each look at what must enter the log."""

    epoch = 1
    problems: tuple[str, ...] = ()

    def __init__(self, number: int) -> None:
        self.number = number
        self.folded, self.idled, self.worked = -1, 0, 0

    def open(self, log: object) -> int:  # noqa: ARG002 - a stage's signature
        """Begin at the beginning."""
        return 0

    def still_ours(self) -> bool:
        """Nobody else is here."""
        return True

    def work(self, batch: Sequence[LogItem]) -> list[Record]:
        """Give a record that says which."""
        self.worked += 1
        self._at = batch[-1].offset
        return [Record("scores.v1", b"k", b"%d" % self._at)]

    def commit(self) -> None:
        """Say how far."""
        self.folded = self._at

    def idle(self, now: int) -> list[Record]:  # noqa: ARG002 - a stage's signature
        """Note it, and give nothing."""
        self.idled += 1
        return []


class Broker:
    """Takes what is written to it, and refuses while it is away for a partition."""

    def __init__(self) -> None:
        self.away: set[int] = set()
        self.taken: list[bytes | None] = []

    async def __call__(self, partition: StagePartition, records: Sequence[Record]) -> None:
        """Take records, or say that they were not sent."""
        if partition.number in self.away:
            raise NotSentError("unreachable", "no leader for scores.v1")
        self.taken += [record.value for record in records]


def app_of(make: Callable[[str, int], StagePartition], deliver: Deliver, heard: Heard | None = None) -> StageApp:
    """Make an app that nothing is read for: the tests hand it what Faust would."""
    return StageApp(SETTINGS, make, deliver, heard or Heard(), lambda: START)


def item(offset: int) -> LogItem:
    """Give a record."""
    return LogItem(offset, b"k", b"v", (), 0)


@asynccontextmanager
async def beside(doing: Awaitable[None]) -> AsyncIterator[asyncio.Future[None]]:
    """Do something meanwhile; it is given up in the end where it still runs."""
    task = asyncio.ensure_future(doing)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look and try again at once: nobody waits for a test."""
    monkeypatch.setattr(stage_app, "IDLE_LOOK_S", 0.02)
    monkeypatch.setattr(stage_app, "RETRY_S_MIN", 0.02)
    monkeypatch.setattr(stage_app, "RETRY_S_MAX", 0.05)


@pytest.mark.asyncio
async def test_a_batch_waits_out_an_outage_of_the_broker(quick: None) -> None:
    """It is folded once and tried until it is written; only then it is committed, and the next one goes on."""
    broker, heard = Broker(), Heard()
    partition = Plain(0)
    app = app_of(lambda _topic, _number: partition, broker, heard)
    await app._open(FIRST, LOG)
    await app._work(FIRST, [item(0)])
    broker.away = {0}
    async with beside(app._work(FIRST, [item(1), item(2)])) as batch:
        await until(lambda: len(heard.failures) > 3)
        assert (partition.folded, broker.taken, app.crashed) == (0, [b"0"], None)
        assert ["produce of t/0" in problem for problem in app.problems()] == [True]
        broker.away = set()
        async with asyncio.timeout(UNTIL_S):
            await batch
    await app._work(FIRST, [item(3)])
    assert (partition.folded, partition.worked, broker.taken) == (3, 3, [b"0", b"2", b"3"])
    assert app.problems() == []


@pytest.mark.asyncio
async def test_a_partition_that_cannot_be_written_stops_no_others_time(quick: None) -> None:
    """Ticks and decisions enter every other partition, while one batch waits for a leader."""
    broker, heard = Broker(), Heard()
    broker.away = {0}
    partitions = {number: Plain(number) for number in range(4)}
    app = app_of(lambda _topic, number: partitions[number], broker, heard)
    for number in partitions:
        await app._open(TP("t", number), LOG)
    async with beside(app._work(FIRST, [item(0)])):
        await until(lambda: heard.failures)
        before = {number: one.idled for number, one in partitions.items()}
        async with beside(app._idle_forever()):
            await until(lambda: all(one.idled > before[number] + 2 for number, one in partitions.items() if number))
        assert partitions[0].idled == before[0]


@pytest.mark.asyncio
async def test_a_partition_that_cannot_be_written_is_told_whatever_others_do(quick: None) -> None:
    """That another partition's batch was written takes nothing from the health."""
    broker = Broker()
    broker.away = {0}
    app = app_of(lambda _topic, number: Plain(number), broker)
    for tp in (FIRST, SECOND):
        await app._open(tp, LOG)
    async with beside(app._work(FIRST, [item(0)])):
        await until(app.problems)
        await app._work(SECOND, [item(0)])
        assert app.problems()


class Opening(Plain):
    """A partition whose opening takes until it is let, and fails as often as told."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__(0)
        self.failures, self.opened, self.inside, self.most = failures, 0, 0, 0
        self.let = threading.Event()

    def open(self, log: object) -> int:
        """Count who is here, and wait."""
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            assert self.let.wait(UNTIL_S)
            self.opened += 1
            if self.opened <= self.failures:
                raise ForeignLogError("the log seems to end before the states")
            return super().open(log)
        finally:
            self.inside -= 1


@pytest.mark.asyncio
async def test_a_partition_whose_opening_failed_is_opened_again() -> None:
    """It has taken the epoch by then, so the store calls it ours: its states are those of before all the same."""
    partition = Opening(failures=0)
    partition.let.set()
    app = app_of(lambda _topic, _number: partition, Broker())
    await app._open(FIRST, LOG)
    partition.failures, partition.opened = 1, 0
    app._lost_to(FIRST, FencedError("somebody took it"))
    with pytest.raises(ForeignLogError):
        await app._open(FIRST, LOG)
    app._lost.clear()
    await app._open(FIRST, LOG)
    assert partition.opened == 2


@pytest.mark.asyncio
async def test_nobody_opens_a_partition_beside_one_who_was_told_to_give_up() -> None:
    """A rebalance cancels the opening of the one before; its thread goes on, and is waited for."""
    partition = Opening()
    app = app_of(lambda _topic, _number: partition, Broker())
    first = asyncio.ensure_future(app._open(FIRST, LOG))
    await until(lambda: partition.inside)
    first.cancel()
    second = asyncio.ensure_future(app._open(FIRST, LOG))
    done, _ = await asyncio.wait([first, second], timeout=0.1)
    assert (done, partition.inside) == (set(), 1)
    partition.let.set()
    async with asyncio.timeout(UNTIL_S):
        assert await second == 0
        with pytest.raises(asyncio.CancelledError):
            await first
    assert (partition.opened, partition.most) == (2, 1)


@pytest.mark.asyncio
async def test_a_batch_that_was_broken_off_is_no_state_to_go_on_with() -> None:
    """Cancelled between folding and committing: the partition is opened anew, from where the store stands."""
    begun = asyncio.Event()

    async def deliver(_partition: StagePartition, _records: Sequence[Record]) -> None:
        begun.set()
        await asyncio.Event().wait()

    partition = Opening()
    partition.let.set()
    app = app_of(lambda _topic, _number: partition, deliver)
    await app._open(FIRST, LOG)
    async with beside(app._work(FIRST, [item(0)])):
        await begun.wait()
    await app._open(FIRST, LOG)
    assert partition.opened == 2


@pytest.mark.asyncio
async def test_a_partition_given_back_in_the_middle_of_a_batch_is_opened(redis_settings: RedisSettings) -> None:
    """Taken and given back while its batch was written: what is made for it then is opened before it works."""
    written, clear = asyncio.Event(), asyncio.Event()

    async def deliver(_partition: StagePartition, _records: Sequence[Record]) -> None:
        written.set()
        await clear.wait()

    app = app_of(lambda _topic, _number: patient_partition(redis_settings), deliver)
    messages = Messages()
    envelopes = [messages.envelope(minute, SICK) for minute in (0, 1)]
    assert await app._open(FIRST, LOG) == 0
    async with asyncio.timeout(UNTIL_S):
        async with beside(app._work(FIRST, items(envelopes[:1]))) as batch:
            await written.wait()
            app._retain([])
            clear.set()
            await batch
        app._retain([FIRST])
        start = await app._open(FIRST, LOG)
        await app._work(FIRST, items(envelopes[start:], start))
    [partition] = app.partitions
    assert (partition.epoch > 0, partition.folded) == (True, 1)
