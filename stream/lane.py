"""One connection's share of the traffic: sent in order, settled one by one, sent again where the connection broke.

Owns what is in flight and when to try again. Must not know how messages are dealt to lanes, nor what carries them.

Order: a message that the receiver is too busy for is sent again before any later one is begun. Those already in flight
with it (a window above 1) may have been stored before it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

import msgspec
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, stop_before_delay
from tenacity.wait import wait_random_exponential

from stream.links import BROKEN, Answer, Link, judge
from stream.resuming import Ledger
from stream.traffic import Rendered

LANE_MESSAGES_MAX = 64
"""Dealt to a lane and not begun: enough that it never waits for the dealer."""
FIRST_WAIT_S = 0.1
"""A service that restarts is back in seconds; a busy one in less."""
WAIT_MAX_S = 15.0
"""A receiver that is back is found within this, and one that is down is asked four times a minute at least."""
REFUSALS_SHOWN_MAX = 20
"""Different reasons kept to be shown; a feed that is wrong is wrong in few ways."""


class SendError(Exception):
    """Sending is given up; the words say why and what to do."""


class BusyError(Exception):
    """The receiver has no room at present; `wait_s` is how long it asks to be left alone."""

    def __init__(self, words: str, wait_s: float) -> None:
        super().__init__(words)
        self.wait_s = wait_s


class Counts:
    """What has happened in this run, for people to see."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.sent = 0
        """Written, those written again included."""
        self.resent = 0
        self.acknowledged = 0
        self.refused = 0
        self.in_flight = 0
        self.interruptions = 0
        """Connections broken or not made, and answers that said: busy."""
        self.trouble = ""
        """The last of them, until something is settled again."""
        self.late_s = 0.0
        """How far the last message was behind its intended moment, and the most that any was."""
        self.late_max_s = 0.0
        self.hospital_time = 0
        """Sent time of the newest message written."""
        self.refusals: dict[str, int] = {}
        """What receivers said and how often; the newest kinds are left out once there are too many."""

    def note_refusal(self, words: str) -> None:
        """Count what a receiver said."""
        if words in self.refusals or len(self.refusals) < REFUSALS_SHOWN_MAX:
            self.refusals[words] = self.refusals.get(words, 0) + 1


class Patience(msgspec.Struct, frozen=True):
    """What to do about an interruption."""

    retry: bool = False
    """Whether to try again at all."""
    give_up_after_s: float = 300.0
    """Counted from the first interruption since anything was settled."""


class Task(msgspec.Struct, frozen=True):
    """A message and its intended moment on the clock."""

    rendered: Rendered
    due_s: float | None = None


class Lane:
    """One connection and the messages dealt to it: `queue` takes them, `None` is the end."""

    def __init__(
        self,
        link: Link,
        window: int,
        patience: Patience,
        counts: Counts,
        ledger: Ledger,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a lane over a link that is not open yet; counts and ledger are shared by all lanes."""
        self.queue: asyncio.Queue[Task | None] = asyncio.Queue(LANE_MESSAGES_MAX)
        self._link, self._window, self._patience = link, window, patience
        self._counts, self._ledger, self._clock = counts, ledger, clock
        self._taken: dict[int, Task] = {}
        """Taken from the queue and not settled, in order; at most the window and one."""
        self._written = -1
        """The highest number written; up to here, writing is writing again."""
        self._settled = 0
        self._open = False
        self._ended = False
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Begin nothing more; what is in flight is waited for."""
        self._stopping.set()
        if self.queue.empty():
            self.queue.put_nowait(None)

    async def run(self) -> None:
        """Send until the end, or until stopped; raises `SendError`."""
        try:
            while not await self._go_on():
                pass
        finally:
            await self._link.close()

    async def _go_on(self) -> bool:
        """Try until something is settled or all is done (True: done); raises `SendError` where patience ends."""
        done = False
        backoff = wait_random_exponential(multiplier=FIRST_WAIT_S, max=WAIT_MAX_S)

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            return max(float(backoff(state)), getattr(error, "wait_s", 0.0))

        stop: Any = stop_before_delay(self._patience.give_up_after_s) if self._patience.retry else stop_after_attempt(1)
        trouble = (*BROKEN, BusyError)
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(trouble), wait=wait, stop=stop, sleep=self._sleep, reraise=True
        )
        try:
            async for attempt in retrying:
                with attempt:
                    done = await self._attempt()
        except trouble as error:
            hint = "gave up" if self._patience.retry else "--retry waits and sends again"
            raise SendError(f"{error} ({hint})") from error
        return done

    async def _attempt(self) -> bool:
        """Open if need be and exchange messages; True: all done. Raises what interrupted, if nothing was settled."""
        settled = self._settled
        try:
            if self._stopping.is_set() and not self._open:
                return True
            if not self._open:
                await self._link.open()
                self._open = True
            await self._exchange()
        except (*BROKEN, BusyError) as error:
            self._counts.interruptions += 1
            self._counts.trouble = str(error)
            if not isinstance(error, BusyError):
                self._open = False
                await self._link.close()
            wait_s = max(FIRST_WAIT_S, getattr(error, "wait_s", 0.0))
            if self._patience.retry and self._settled > settled and wait_s < self._patience.give_up_after_s:
                # Jitter: lanes that were told to wait together need not come back together.
                await self._sleep(wait_s * random.uniform(1.0, 1.5))  # noqa: S311 - no secret
                return False
            raise
        return True

    async def _sleep(self, seconds: float) -> None:
        """Wait, but not past a stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _exchange(self) -> None:
        """Write messages and settle them, side by side, until the end."""
        room = asyncio.Semaphore(self._window)
        flights: asyncio.Queue[_Flight] = asyncio.Queue()  # bounded by `room`
        pusher = asyncio.create_task(self._push(room, flights))
        try:
            await self._settle(room, flights, pusher)
        finally:
            pusher.cancel()
            await asyncio.wait([pusher])
            while not flights.empty():
                flight = flights.get_nowait()
                if isinstance(flight, tuple):
                    flight[1].cancel()
                    self._counts.in_flight -= 1

    async def _push(self, room: asyncio.Semaphore, flights: asyncio.Queue[_Flight]) -> None:
        try:
            again = list(self._taken.values())
            while not self._stopping.is_set():
                await room.acquire()
                if self._stopping.is_set():
                    break
                task = again.pop(0) if again else await self._next()
                if task is None:
                    break
                number = task.rendered.number
                self._taken[number] = task
                answer = await self._link.submit(task.rendered.data)
                self._counts.in_flight += 1
                flights.put_nowait((task, answer))
                self._note_written(task)
            flights.put_nowait(None)
        except Exception as error:  # noqa: BLE001 - whatever it is, the settling side raises it
            flights.put_nowait(error)

    async def _next(self) -> Task | None:
        if self._ended:
            return None
        task = await self.queue.get()
        self._ended = task is None
        return task

    async def _settle(
        self, room: asyncio.Semaphore, flights: asyncio.Queue[_Flight], pusher: asyncio.Task[None]
    ) -> None:
        """Settle in order what is in flight; where the receiver is busy, let it empty and raise `BusyError`."""
        busy: BusyError | None = None
        while (flight := await flights.get()) is not None:
            if isinstance(flight, Exception):
                raise flight
            task, answer = flight
            try:
                verdict = judge(await answer)
            finally:
                self._counts.in_flight -= 1
            if verdict.kind == "wrong_place":
                raise SendError(f"{verdict.words}: check the address and the token")
            if verdict.kind == "busy":
                busy = busy or BusyError(verdict.words, verdict.wait_s)
                if not pusher.done():
                    pusher.cancel()
                    await asyncio.wait([pusher])
                    flights.put_nowait(None)
                continue
            self._note_settled(task, verdict.kind == "refused", verdict.words)
            room.release()
        if busy:
            raise busy

    def _note_written(self, task: Task) -> None:
        number, counts = task.rendered.number, self._counts
        counts.sent += 1
        counts.hospital_time = max(counts.hospital_time, task.rendered.sent_time)
        if number <= self._written:
            counts.resent += 1
            return
        self._written = number
        if task.due_s is not None:
            counts.late_s = max(0.0, self._clock() - task.due_s)
            counts.late_max_s = max(counts.late_max_s, counts.late_s)

    def _note_settled(self, task: Task, refused: bool, words: str) -> None:  # noqa: FBT001 - of a verdict
        del self._taken[task.rendered.number]
        self._settled += 1
        self._counts.trouble = ""
        if refused:
            self._counts.refused += 1
            self._counts.note_refusal(words)
        else:
            self._counts.acknowledged += 1
        self._ledger.settle(task.rendered.number, refused=refused)


_Flight = tuple[Task, asyncio.Future[Answer]] | Exception | None
"""A message in flight; or what ended the writing; or that it has come to its end."""
