"""A worker's threads and its event loop: a question that nobody answers ends nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from connectors.kafka.admin import declare
from connectors.kafka.outbox import Outbox
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import CONTROL
from connectors.redis.settings import RedisSettings
from events import KillSwitch
from stream.decisions import Decision, encode_decision
from stream.live import stage_app
from stream.live import worker as worker_module
from stream.live.stage import LogItem
from stream.live.worker import Secrets, Worker
from stream.live_settings import LiveSettings
from stream.settings import SiteFile
from tests.stream.live.partitions import LOG, until
from tests.stream.live.test_stage_app import FIRST, Broker, Heard, Plain, app_of, beside, item

STILL_S = 0.05


class Asking(Plain):
    """A partition whose work asks the loop something, as [ward] does before its gate first stands somewhere."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(0)
        self._worker = worker
        self.answered = asyncio.Event()
        self.given_up = 0

    def work(self, batch: Sequence[LogItem]) -> list[Record]:
        """Ask, in this thread."""
        self._worker._asked(self._answer())
        return super().work(batch)

    async def _answer(self) -> None:
        try:
            await self.answered.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise


@pytest.mark.asyncio
async def test_a_question_that_is_not_answered_in_time_is_told_and_asked_again(
    redis_settings: RedisSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stage does not die of it: it says what it waits for, gives up the old question, and goes on once answered."""
    monkeypatch.setattr(worker_module, "ASKED_S", 0.05)
    monkeypatch.setattr(stage_app, "RETRY_S_MIN", 0.02)
    monkeypatch.setattr(stage_app, "RETRY_S_MAX", 0.05)
    worker = Worker(SiteFile(redis=redis_settings), ("ward",), Secrets(), code_version="c", observer=Heard())
    partition = Asking(worker)
    app = app_of(lambda _topic, _number: partition, Broker())
    await app._open(FIRST, LOG)
    async with beside(app._work(FIRST, [item(0)])) as batch:
        await until(lambda: partition.given_up > 1)
        assert app.problems() == ["patient: work of t/0 fails: Kafka gave no answer within 0.05 s"]
        partition.answered.set()
        await batch
    assert (partition.folded, app.problems()) == (0, [])


@pytest.mark.asyncio
async def test_a_reader_of_decisions_that_died_silently_is_told(
    kafka: KafkaSettings, redis_settings: RedisSettings
) -> None:
    """A kill switch that nobody here hears of: the broker's own word on the log's end shows it. A new process helps.

    While it is heard, or nothing is decided, nothing is told.
    """
    await declare(kafka)
    site = SiteFile(kafka=kafka, redis=redis_settings, live=LiveSettings(name="w", progress_s_max=STILL_S))
    worker = Worker(site, ("ward",), Secrets(), code_version="c", observer=Heard())
    outbox = Outbox(kafka, client_id="test")
    await outbox.start()
    engaged = Record(CONTROL, b"killswitch", encode_decision(Decision(KillSwitch(0, engaged=True), "role:x")))

    def told() -> list[str]:
        worker.watch()
        return [one for one in worker.problems() if CONTROL in one]

    try:
        await worker.decisions.start()
        worker._ends.start()
        await outbox.send([engaged])
        await until(lambda: worker.decisions.decisions.kill_switch and worker._ends.of(kafka.prefix + CONTROL, 0) == 1)
        assert (told(), worker.dead()) == ([], [])
        tail = worker.decisions._tail._task
        assert tail is not None
        tail.cancel()
        await outbox.send([engaged])
        await until(told)
        assert "stands still since" in told()[0]
        assert worker.dead() == told()
    finally:
        await worker._ends.stop()
        await outbox.stop()
