"""The engine: group commit, order, back-pressure, faults of the disk, ticks in a silence, and stopping in order."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from connectors.decoded import Identifier, Refusal, RefusalReason
from connectors.hl7v2.codec import decode
from connectors.hl7v2.render import Result, render_oru
from connectors.hl7v2.settings import Hl7Settings
from connectors.intake import NotStoredError, NotStoredReason, Receipt
from connectors.sources import Arrival
from events import Location, Millis
from stream import engine as engine_module
from stream.engine import Engine
from stream.release import Release
from stream.service import EmbeddedService
from stream.settings import Settings

START = 1_767_225_600_000
MINUTE = 60_000


class Heard:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.turned_away: list[tuple[NotStoredReason, int]] = []
        self.faults: list[str] = []
        self.records = 0

    def stored(self, arrivals: Sequence[Arrival], receipts: Sequence[Receipt], at: Millis, seconds: float) -> None:
        """Hear of a batch."""
        assert len(arrivals) == len(receipts)
        assert at >= START
        assert seconds >= 0
        self.batches.append(len(arrivals))

    def not_stored(self, reason: NotStoredReason, count: int) -> None:
        """Hear of what was not stored."""
        self.turned_away.append((reason, count))

    def folded(self, records: int, seconds: float) -> None:
        """Hear of the fold."""
        assert seconds >= 0
        self.records += records

    def failed(self, where: str, fault: BaseException) -> None:
        """Hear of a fault."""
        self.faults.append(f"{where} {type(fault).__name__}")


class Running:
    """An engine over a service of its own, on a clock moved by hand."""

    def __init__(self, folder: Path) -> None:
        self.service = EmbeddedService(folder, Release(Settings(), "test"), {})
        self.heard = Heard()
        self.time = START
        self.ended = asyncio.Event()
        self.engine = Engine(self.service, lambda: self.time, self.heard, on_fault=self.ended.set)
        self.sent = 0

    def arrival(self, mrn: str = "1", *, heart_rate: float = 72.0) -> Arrival:
        """Make a message of one patient."""
        self.sent += 1
        data = render_oru(
            control_id=f"C{self.sent}", sent_time=START, feed="MON|W", patient=Identifier("MRN", mrn), encounter="",
            location=Location(), observed_time=START + self.sent, order=f"O{self.sent}",
            results=[Result("8867-4", value=heart_rate, unit="/min")],
        )  # fmt: skip
        return Arrival(f"test#{self.sent}", None, data, "hl7v2", decode(data, Hl7Settings()))

    async def put(self, *arrivals: Arrival) -> list[Receipt]:
        """Offer messages and wait until they are durable."""
        return await (await self.engine.offer(arrivals))

    def log(self) -> list[Any]:
        """Give the log's records that are of patients."""
        return [envelope for _offset, envelope in self.service.journal.read() if envelope.patient]


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Callable[[Running], Awaitable[None]]], None]:
    """Give a runner of a story on a fresh engine, which is stopped after it."""

    def run(story: Callable[[Running], Awaitable[None]]) -> None:
        async def whole() -> None:
            running = Running(tmp_path / "data")
            running.engine.start()
            try:
                async with asyncio.timeout(60):
                    await story(running)
            finally:
                await running.engine.stop()
                running.service.close()

        asyncio.run(whole())

    return run


Run = Callable[[Callable[[Running], Awaitable[None]]], None]


def test_receipts_say_what_became_of_each_message(run: Run) -> None:
    """Accepted, known already, refused by the codec, and without a patient: one receipt each, in order."""

    async def story(running: Running) -> None:
        first = running.arrival()
        refused = Arrival("x", None, b"hello", "hl7v2", Refusal(RefusalReason.GARBAGE, "byte 0", "no MSH"))
        receipts = await running.put(first, first, refused)
        assert [receipt.outcome for receipt in receipts] == ["accepted", "duplicate", "refused"]
        assert receipts[2].refusal == refused.decoded
        assert len(list(running.service.journal.dead_letters())) == 1

    run(story)


def test_what_is_acknowledged_is_on_the_disk(run: Run, tmp_path: Path) -> None:
    """At the moment of a receipt another process reads the message from the journal file."""

    async def story(running: Running) -> None:
        await running.put(running.arrival())
        with sqlite3.connect(f"file:{tmp_path / 'data' / 'journal.db'}?mode=ro", uri=True) as other:
            assert other.execute("SELECT count(*) FROM messages").fetchone() == (1,)

    run(story)


def test_many_messages_share_a_commit_and_keep_their_order(run: Run) -> None:
    """Messages that come while the disk works are stored together, in the order they were offered."""

    async def story(running: Running) -> None:
        offered = [running.arrival(str(number % 7)) for number in range(1_000)]
        futures = [await running.engine.offer([arrival]) for arrival in offered]
        await asyncio.gather(*futures)
        assert [envelope.message_id for envelope in running.log()] == [f"C{n}" for n in range(1, 1_001)]
        await running.engine.stop()  # The observer hears of a batch after its senders.
        assert sum(running.heard.batches) == 1_000
        assert max(running.heard.batches) > 20
        assert max(running.heard.batches) <= engine_module.COMMIT_MESSAGES_MAX

    run(story)


def test_messages_are_stamped_when_they_are_stored(run: Run) -> None:
    """The received time is the service's clock, whatever the message says."""

    async def story(running: Running) -> None:
        await running.put(running.arrival())
        running.time += 5 * MINUTE
        await running.put(running.arrival())
        assert [envelope.received_time for envelope in running.log()] == [START, START + 5 * MINUTE]

    run(story)


def test_senders_wait_where_too_much_waits(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a disk that stands still, what is taken is bounded; once it goes on, everybody is answered."""
    monkeypatch.setattr(engine_module, "WAITING_MESSAGES_MAX", 10)

    async def story(running: Running) -> None:
        gate = threading.Event()
        store = running.service.store

        def slow(arrivals: Sequence[Arrival]) -> Any:
            gate.wait()
            return store(arrivals)

        monkeypatch.setattr(running.service, "store", slow)
        offers = [asyncio.ensure_future(running.engine.offer([running.arrival()])) for _ in range(50)]
        while sum(one.done() for one in offers) < 10:
            await asyncio.to_thread(lambda: None)
        done, waiting = await asyncio.wait(offers[10:], timeout=0.2)
        assert (len(done), len(waiting)) == (0, 40)
        assert running.engine.waiting_messages == 10
        gate.set()
        receipts = [await future for future in await asyncio.gather(*offers)]
        assert [receipt.outcome for [receipt] in receipts] == ["accepted"] * 50
        assert len(running.log()) == 50

    run(story)


def test_a_full_disk_refuses_and_the_same_message_is_taken_later(run: Run) -> None:
    """While SQLite has no room nothing is acknowledged, readiness knows why, and after it there is no duplicate."""

    async def story(running: Running) -> None:
        await running.put(running.arrival())
        database = running.service.journal._db
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count = {pages}")
        large = [running.arrival() for _ in range(300)]
        with pytest.raises(NotStoredError) as caught:
            await running.put(*large)
        assert caught.value.reason == "disk_full"
        assert running.engine.faults == {"store": "OperationalError"}
        assert running.heard.turned_away == [("disk_full", 300)]
        assert len(running.log()) == 1
        database.execute("PRAGMA max_page_count = 1000000")
        receipts = await running.put(*large)
        assert {receipt.outcome for receipt in receipts} == {"accepted"}
        assert running.engine.faults == {}
        assert len(running.log()) == 301

    run(story)


def test_a_message_that_we_cannot_store_keeps_no_other_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug of ours that one message wakes refuses that one; what came with it is stored."""

    async def story(running: Running) -> None:
        step = running.service.host._parser.step
        offered = [running.arrival() for _ in range(5)]

        def faulty(decoded: Any, received: Millis, position: str) -> Any:
            if position == offered[2].position:
                raise KeyError("a bug")
            return step(decoded, received, position)

        monkeypatch.setattr(type(running.service.host._parser), "step", lambda _self, *of: faulty(*of))
        futures = [await running.engine.offer([arrival]) for arrival in offered]
        outcomes = await asyncio.gather(*futures, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [list, list, NotStoredError, list, list]
        assert [envelope.message_id for envelope in running.log()] == ["C1", "C2", "C4", "C5"]
        assert running.heard.faults == ["store KeyError"]

    run(story)


def test_a_sender_that_went_away_has_its_message_stored(run: Run) -> None:
    """Cancelling the wait for a receipt takes nothing back, and disturbs nobody else."""

    async def story(running: Running) -> None:
        first = await running.engine.offer([running.arrival()])
        first.cancel()
        await running.put(running.arrival())
        assert len(running.log()) == 2

    run(story)


def test_time_passes_in_a_silence(run: Run) -> None:
    """An alert that nobody answers escalates though no message comes: a tick enters the log, and a replay has it."""

    async def story(running: Running) -> None:
        await running.put(running.arrival(heart_rate=140.0))
        await running.engine.idle()
        assert [row.state for row in running.service.outputs.alerts_after(0, 10)] == ["raised"]
        running.time += 61 * MINUTE
        while (await running.engine.ask(lambda service: service.outputs.alerts_after(0, 10)))[-1].state == "raised":
            await asyncio.to_thread(lambda: None)
        states = [row.state for row in running.service.outputs.alerts_after(0, 10)]
        assert states == ["raised", "escalated"]
        assert [envelope.message_id for _offset, envelope in running.service.journal.read()][-1] == "tick"

    run(story)


def test_a_question_sees_what_was_folded(run: Run) -> None:
    """Asked after the fold is done, a question reads the patient's state; its error is the asker's."""

    async def story(running: Running) -> None:
        await running.put(running.arrival())
        await running.engine.idle()
        [patient] = {envelope.patient for envelope in running.log()}
        record = await running.engine.ask(lambda service: service.host.shelf.find(patient))
        assert record is not None
        assert record.heard == START
        with pytest.raises(ZeroDivisionError):
            await running.engine.ask(lambda _service: 1 // 0)
        await running.put(running.arrival())
        await running.engine.idle()
        assert running.heard.records >= 2

    run(story)


def test_an_errand_is_done_by_the_thread_that_stores(run: Run) -> None:
    """Its answer is the asker's, and so is what it raises; the service goes on, and takes none once it stops."""

    async def story(running: Running) -> None:
        def fail(_service: EmbeddedService) -> None:
            raise LookupError("his to handle")

        assert await running.engine.enter(lambda _service: threading.current_thread().name) == "commit"
        with pytest.raises(LookupError):
            await running.engine.enter(fail)
        assert [one.outcome for one in await running.put(running.arrival())] == ["accepted"]
        entered = asyncio.create_task(running.engine.enter(lambda service: service.enter_tick(running.time + MINUTE)))
        await running.engine.idle()
        assert await entered
        await running.engine.stop()
        with pytest.raises(NotStoredError, match="stopping"):
            await running.engine.enter(fail)

    run(story)


def test_a_fold_that_cannot_write_tries_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs that the disk refuses once are put out at the next try, once; meanwhile messages are still taken."""
    monkeypatch.setattr(engine_module, "RETRY_S", 0.01)

    async def story(running: Running) -> None:
        append = running.service.outputs.append_outputs
        tries: list[int] = []

        def refuse_once(rows: Any) -> list[str]:
            tries.append(len(rows))
            if len(tries) == 1:
                raise sqlite3.OperationalError("database or disk is full")
            return append(rows)

        monkeypatch.setattr(running.service.outputs, "append_outputs", refuse_once)
        await running.put(running.arrival(heart_rate=140.0))
        await running.engine.idle()
        assert len(tries) >= 2
        assert [row.state for row in running.service.outputs.alerts_after(0, 10)] == ["raised"]
        assert running.heard.faults == ["fold OperationalError"]
        assert running.engine.faults == {}

    run(story)


def test_stopping_stores_and_folds_what_was_taken(run: Run) -> None:
    """What was offered before the stop is answered and folded; what is offered after it is told to come again."""

    async def story(running: Running) -> None:
        futures = [await running.engine.offer([running.arrival()]) for _ in range(200)]
        await running.engine.stop()
        receipts = await asyncio.gather(*futures)
        assert len(receipts) == 200
        assert running.service.lag() == 0
        with pytest.raises(NotStoredError, match="stopping"):
            await running.engine.offer([running.arrival()])

    run(story)


def test_a_thread_that_dies_ends_the_service(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug that kills the fold is told at once: half a service would acknowledge and never alert."""

    async def story(running: Running) -> None:
        def broken(_limit: int | None = None) -> int:
            raise LookupError("a bug")

        monkeypatch.setattr(running.service, "fold", broken)
        await running.put(running.arrival())
        await running.ended.wait()
        assert running.engine.died == "fold"
        with pytest.raises(NotStoredError, match="failed"):
            await running.engine.offer([running.arrival()])
        with pytest.raises(NotStoredError, match="stopping"):
            await running.engine.ask(lambda service: service.lag())
        await running.engine.stop()
        assert "fold LookupError" in running.heard.faults

    run(story)
