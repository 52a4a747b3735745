"""The running service's two threads: one makes messages durable and lets them be acknowledged, one folds them.

Owns group commit, the bound on what waits, and the order in which things stop. Must not know a socket, a format, or
what is decided.

    offer ──► waiting (bounded) ──► commit thread: stamp, store, fsync ──► receipts (the sender is answered)
                                              │
                                              ▼ the log
                                    fold thread: fold, carry out, store states; answer questions in between

The two meet in the log alone. While one waits for the disk the other computes, so that an acknowledgement never waits
for a score. A message is stamped by the service's clock when it is stored, never when it was sent.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from connectors.intake import NotStoredError, NotStoredReason, Receipt
from connectors.sources.arrival import Arrival
from events import Millis
from stream.hearing import Hearing
from stream.receipts import receipt_for, storage_fault
from stream.record_types import settle_types
from stream.service import EmbeddedService

WAITING_MESSAGES_MAX = 4_096
"""Messages that wait for the disk: a second or two of the most that a hospital sends. Beyond, senders wait."""
WAITING_BYTES_MAX = 64 * 1024 * 1024
"""The same in bytes: sixty-four of the largest messages that are read."""
COMMIT_MESSAGES_MAX = 256
"""Messages made durable by one fsync. More would gain little and make the first of them wait."""
FOLD_RECORDS = 100
"""Records folded between two looks at the questions: some ten milliseconds."""
QUESTIONS_PER_LOOK = 4
"""Questions answered between two looks at the log: some 50 ms of a large hospital's board, so that a fold goes on."""
LOOK_S = 0.5
"""How often the fold thread looks for timers that are due when nothing arrives; they fire on whole minutes."""
RETRY_S = 1.0
"""After the disk refused: how long until the next try."""
MAINTAIN_S = 1.0
"""How often the fold thread writes back what lies in write-ahead logs and looks whether old records may go."""
IDLE_LOOK_S = 0.005
"""How often somebody who waits for all to be done looks."""
SWITCH_INTERVAL_S = 0.001
"""How long a thread that computes may keep the others waiting. The default, 5 ms, would be most of an answer's time."""

Answer = TypeVar("Answer")


class Observer(Protocol):
    """Hears what the engine does; for metrics. Called on the engine's threads: it must be quick and never raise."""

    def stored(self, arrivals: Sequence[Arrival], receipts: Sequence[Receipt], at: Millis, seconds: float) -> None:
        """A batch is durable; `seconds` is how long the disk took."""
        ...

    def not_stored(self, reason: NotStoredReason, count: int) -> None:
        """So many messages could not be stored."""
        ...

    def folded(self, records: int, seconds: float) -> None:
        """Records were folded and their effects carried out."""
        ...

    def failed(self, where: str, fault: BaseException) -> None:
        """Something went wrong: `store`, `fold` or `maintain`. It is tried again, but for a bug of ours."""
        ...


class _Job(NamedTuple):
    arrivals: Sequence[Arrival]
    future: Future[list[Receipt]]
    bytes_total: int


class Engine:
    """Runs one service. Made and used on the event loop's thread; `start` before use, `stop` at the end."""

    def __init__(
        self,
        service: EmbeddedService,
        now: Callable[[], Millis],
        observer: Observer,
        *,
        stamp: Callable[[Arrival, Millis], Millis] = lambda _arrival, now: now,
        on_fault: Callable[[], None] = lambda: None,
        tidy: Callable[[], object] = lambda: None,
    ) -> None:
        """`stamp` gives a message's received time (the demo's hospital has a time of its own); `on_fault` is called on
        the event loop's thread where a thread has died of a bug of ours; `tidy` now and then on the fold thread.
        """
        self._service = service
        self._now = now
        self._observer = observer
        self._stamp = stamp
        self._on_fault = on_fault
        self._tidy = tidy
        self._loop: AbstractEventLoop = asyncio.get_running_loop()
        self._room = asyncio.Event()
        self._room.set()
        self._waiting: deque[_Job] = deque()
        self._waiting_messages = self._waiting_bytes = 0
        self._errands: deque[Callable[[], None]] = deque()
        self._hearing = Hearing(resumed=service.host.pipeline.monitor.hears)
        self._commit_wake = threading.Condition()
        self._fold_wake = threading.Event()
        self._questions: deque[tuple[Callable[[EmbeddedService], object], Future[object]]] = deque()
        self._stopping = False
        self._committed = False
        self._folding_ended = False
        self._maintained = 0.0
        self._more_to_maintain = False
        self.closed_for: NotStoredReason | None = None
        """Why nothing is taken at present, where the operator's watch on the disk says so."""
        self.faults: dict[str, str] = {}
        """What went wrong at the last try, by where: the fault's type. Empty when all is well."""
        self.died: str = ""
        """Which thread died of a bug of ours; empty while both live."""
        self._threads = [
            threading.Thread(target=self._guarded, args=(name, body), name=name, daemon=True)
            for name, body in (("commit", self._commit_forever), ("fold", self._fold_forever))
        ]

    @property
    def waiting_messages(self) -> int:
        """How many messages wait to be made durable."""
        return self._waiting_messages

    def start(self) -> None:
        """Start both threads."""
        settle_types()
        for thread in self._threads:
            thread.start()

    async def offer(self, arrivals: Sequence[Arrival]) -> Future[list[Receipt]]:
        """Wait for room, then take the messages; see `connectors.intake.Intake`."""
        while not self._room.is_set() and not self._stopping:
            await self._room.wait()
        if self._stopping or self.died:
            raise NotStoredError("stopping" if not self.died else "failed")
        if self.closed_for is not None:
            self._hearing.missed()
            self._observer.not_stored(self.closed_for, len(arrivals))
            raise NotStoredError(self.closed_for)
        job = _Job(arrivals, self._loop.create_future(), sum(len(arrival.data or b"") for arrival in arrivals))
        with self._commit_wake:
            self._waiting.append(job)
            self._waiting_messages += len(arrivals)
            self._waiting_bytes += job.bytes_total
            if self._waiting_messages >= WAITING_MESSAGES_MAX or self._waiting_bytes >= WAITING_BYTES_MAX:
                self._room.clear()
            self._commit_wake.notify()
        return job.future

    async def ask(self, question: Callable[[EmbeddedService], Answer]) -> Answer:
        """Have a question answered on the fold thread, between two records: it sees a state that is whole."""
        future: Future[object] = self._loop.create_future()
        self._questions.append((question, future))
        self._fold_wake.set()
        if self._folding_ended:
            self._refuse_questions()
        return await future  # type: ignore[return-value] # the future of this question

    async def enter(self, errand: Callable[[EmbeddedService], Answer]) -> Answer:
        """Have something entered into the log by the commit thread, between two batches; what it raises is raised."""
        if self._stopping or self.died:
            raise NotStoredError("stopping" if not self.died else "failed")
        future: Future[object] = self._loop.create_future()
        self._commit_soon(lambda: self._reply(errand, future))
        return await future  # type: ignore[return-value] # the future of this errand

    async def idle(self) -> None:
        """Wait until everything that was taken is stored and folded."""
        while self._waiting_messages or "fold" in self.faults or await self.ask(_lag):  # noqa: ASYNC110 - two threads
            await asyncio.sleep(IDLE_LOOK_S)

    async def stop(self) -> None:
        """Take nothing more, store and answer what was taken, fold what is stored, end the threads."""
        self._stopping = True
        self._room.set()
        with self._commit_wake:
            self._commit_wake.notify()
        self._fold_wake.set()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    # -- the commit thread ------------------------------------------------------------------------------------------

    def _commit_forever(self) -> None:
        while True:
            with self._commit_wake:
                while not (self._waiting or self._errands or self._stopping):
                    self._commit_wake.wait()
                jobs = self._take_jobs()
                errands = list(self._errands)
                self._errands.clear()
                if not jobs and not errands and self._stopping:
                    break
            self._hearing.resume(self._service, self._now())
            for errand in errands:
                errand()
            if jobs:
                self._commit(jobs)
            self._fold_wake.set()
        self._committed = True
        self._fold_wake.set()

    def _take_jobs(self) -> list[_Job]:
        jobs: list[_Job] = []
        count = 0
        while self._waiting and (not jobs or count + len(self._waiting[0].arrivals) <= COMMIT_MESSAGES_MAX):
            jobs.append(self._waiting.popleft())
            count += len(jobs[-1].arrivals)
        return jobs

    def _commit(self, jobs: list[_Job]) -> None:
        now = self._now()
        stamped = [
            msgspec.structs.replace(arrival, received_time=self._stamp(arrival, now))
            for job in jobs
            for arrival in job.arrivals
        ]
        began = time.perf_counter()
        try:
            parsed = self._service.store(stamped)
        except Exception as fault:  # noqa: BLE001 - whatever it is, nothing is stored, and the senders are told so
            reason = storage_fault(fault)
            if reason == "failed" and len(jobs) > 1:
                for job in jobs:  # One message that we cannot store must not keep the others out.
                    self._commit([job])
                return
            self._hearing.missed()
            self.faults["store"] = type(fault).__name__
            self._observer.failed("store", fault)
            self._observer.not_stored(reason, len(stamped))
            self._loop.call_soon_threadsafe(self._settle, jobs, None, reason)
            return
        self._hearing.took(time.perf_counter() - began)
        self.faults.pop("store", None)
        receipts = [receipt_for(arrival, one) for arrival, one in zip(stamped, parsed, strict=True)]
        self._loop.call_soon_threadsafe(self._settle, jobs, receipts, None)
        self._observer.stored(stamped, receipts, now, time.perf_counter() - began)

    def _commit_soon(self, errand: Callable[[], None]) -> None:
        with self._commit_wake:
            self._errands.append(errand)
            self._commit_wake.notify()

    def _enter_tick(self, at: Millis) -> None:
        try:
            if self._service.enter_tick(at):
                self.faults.pop("store", None)
        except (sqlite3.Error, OSError, RuntimeError) as fault:
            self.faults["store"] = type(fault).__name__
            self._observer.failed("store", fault)

    def _settle(self, jobs: list[_Job], receipts: list[Receipt] | None, reason: NotStoredReason | None) -> None:
        """Answer on the event loop's thread: a batch is durable, or it is not stored."""
        at = 0
        for job in jobs:
            count = len(job.arrivals)
            self._waiting_messages -= count
            self._waiting_bytes -= job.bytes_total
            if job.future.cancelled():
                pass  # Its sender has gone; what he sent is stored all the same.
            elif receipts is not None:
                job.future.set_result(receipts[at : at + count])
            else:
                job.future.set_exception(NotStoredError(reason or "failed"))
            at += count
        if self._waiting_messages < WAITING_MESSAGES_MAX and self._waiting_bytes < WAITING_BYTES_MAX:
            self._room.set()

    # -- the fold thread --------------------------------------------------------------------------------------------

    def _fold_forever(self) -> None:
        while True:
            self._answer_questions()
            folded = self._fold()
            self._maintain()
            if folded:
                continue
            if self._committed and self._service.lag() == 0:
                break
            if "fold" in self.faults and self._committed:
                break  # What could not be folded is folded when the folder is opened again.
            self._let_time_pass()
            if not self._questions:
                self._fold_wake.wait(LOOK_S)
            self._fold_wake.clear()
        self._answer_questions()

    def _fold(self) -> int:
        began = time.perf_counter()
        try:
            folded = self._service.fold(FOLD_RECORDS)
        except (sqlite3.Error, OSError) as fault:
            self.faults["fold"] = type(fault).__name__
            self._observer.failed("fold", fault)
            threading.Event().wait(RETRY_S)
            return 0
        self.faults.pop("fold", None)
        if folded:
            self._observer.folded(folded, time.perf_counter() - began)
        return folded

    def _let_time_pass(self) -> None:
        """Where a timer is due and no record comes to fire it, have a tick entered into the log."""
        if self._service.lag():
            return
        now = self._now()
        if self._service.host.tick_is_due(now):
            self._commit_soon(partial(self._enter_tick, now))

    def _maintain(self) -> None:
        if not self._more_to_maintain and time.monotonic() - self._maintained < MAINTAIN_S:
            return
        self._tidy()
        try:
            self._more_to_maintain = self._service.maintain(self._now())
        except (sqlite3.Error, OSError) as fault:
            self._more_to_maintain = False
            self.faults["maintain"] = type(fault).__name__
            self._observer.failed("maintain", fault)
        else:
            self.faults.pop("maintain", None)
        self._maintained = time.monotonic()

    def _refuse_questions(self) -> None:
        """Let nobody wait for a thread that has ended."""
        while self._questions:
            try:
                _question, future = self._questions.popleft()
            except IndexError:  # The loop's thread and the one that ends may both be at it.
                return
            self._loop.call_soon_threadsafe(_fail, future, NotStoredError("stopping"))

    def _answer_questions(self) -> None:
        # As many as wait now: those that come meanwhile wait for the next records, or boards would keep alerts back.
        for _ in range(min(len(self._questions), QUESTIONS_PER_LOOK)):
            self._reply(*self._questions.popleft())

    # -- both -------------------------------------------------------------------------------------------------------

    def _reply(self, question: Callable[[EmbeddedService], object], future: Future[object]) -> None:
        """Answer who asked, on the event loop's thread."""
        try:
            answer = question(self._service)
        except Exception as fault:  # noqa: BLE001 - the asker's to handle; the thread goes on
            self._loop.call_soon_threadsafe(_fail, future, fault)
        else:
            self._loop.call_soon_threadsafe(_answer, future, answer)

    def _guarded(self, name: str, body: Callable[[], None]) -> None:
        """Run a thread; a bug of ours ends the service, for half of one would acknowledge and never alert."""
        try:
            body()
        except BaseException as fault:  # noqa: BLE001 - told, and the process is ended
            self.died = name
            self._committed = True
            self._loop.call_soon_threadsafe(self._room.set)
            self._loop.call_soon_threadsafe(self._on_fault)
            self._observer.failed(name, fault)  # Last: it writes a log, which may fail too.
        finally:
            if name == "fold":
                self._folding_ended = True
                self._refuse_questions()


def _lag(service: EmbeddedService) -> int:
    return service.lag()


def _answer(future: Future[object], answer: object) -> None:
    if not future.done():
        future.set_result(answer)


def _fail(future: Future[object], fault: Exception) -> None:
    if not future.done():
        future.set_exception(fault)
