"""Sends a hospital's traffic over several connections, on schedule, and counts in order what is settled.

Owns the dealing: patients to connections, messages at their intended moments. Must not know MLLP, HTTP or a file.

All of a patient's messages go over one connection, so their order stays. A merge joins two patients, so it waits for
all before it and holds back all after it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from stream.lane import Counts, Lane, Patience, Task
from stream.links import Link
from stream.pacing import Schedule
from stream.resuming import Ledger
from stream.traffic import Rendered

CONNECTIONS_MAX = 256
"""More than any interface engine opens to one receiver."""
AHEAD_MESSAGES_MAX = 1_000
"""How far dealing may run ahead of the first unsettled message: what a kill makes us send again at most."""
STOP_TIMEOUT_S = 5.0
"""After a stop, what is in flight has this long; a message that is not answered by then is sent again next time."""


class Sender:
    """One run of sending: `run` it once; `stop` ends it early and cleanly."""

    def __init__(
        self,
        make_link: Callable[[], Link],
        *,
        connections: int = 1,
        window: int = 1,
        patience: Patience = Patience(),  # noqa: B008 - frozen
        ledger: Ledger | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a sender; `make_link` is called once a connection. `clock` is the one the schedule is read by."""
        self.counts = Counts()
        self.ledger = ledger or Ledger()
        self.stopped = False
        """Whether it ended because of `stop`."""
        self._clock = clock
        self._lanes = [
            Lane(make_link(), window, patience, self.counts, self.ledger, clock=clock) for _ in range(connections)
        ]
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Begin no further message; `run` returns once those in flight are settled, or after `STOP_TIMEOUT_S`."""
        self._stop.set()

    async def run(self, messages: AsyncIterator[Rendered], schedule: Schedule) -> None:
        """Send all; raises `SendError`, and what `messages` raises. Counts and ledger tell how far it came."""
        dealer = asyncio.create_task(self._deal(messages, schedule))
        lanes = [asyncio.create_task(lane.run()) for lane in self._lanes]
        stop = asyncio.create_task(self._stop.wait())
        everything: asyncio.Future[list[None]] = asyncio.gather(dealer, *lanes)
        waited: list[asyncio.Future[Any]] = [everything, stop]
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if everything.done():
                await everything
                return
            self.stopped = True
            dealer.cancel()
            for lane in self._lanes:
                lane.stop()
            ended, _ = await asyncio.wait(lanes, timeout=STOP_TIMEOUT_S)
            for task in ended:
                task.result()
        finally:
            for left in (dealer, stop, *lanes):
                left.cancel()
            # Whatever they raise by now is either known or the consequence of what is.
            await asyncio.gather(everything, stop, *lanes, return_exceptions=True)

    async def _deal(self, messages: AsyncIterator[Rendered], schedule: Schedule) -> None:
        first = self.ledger.settled
        async for rendered in messages:
            due_s = schedule.due_s(rendered.number - first, rendered.sent_time)
            if due_s is not None and (pause_s := due_s - self._clock()) > 0:
                await asyncio.sleep(pause_s)
            await self.ledger.wait_until(rendered.number - AHEAD_MESSAGES_MAX)
            lane = self._lanes[rendered.patient % len(self._lanes)]
            if rendered.alone and len(self._lanes) > 1:
                await self.ledger.wait_until(rendered.number)
                await lane.queue.put(Task(rendered, due_s))
                await self.ledger.wait_until(rendered.number + 1)
            else:
                await lane.queue.put(Task(rendered, due_s))
        for lane in self._lanes:
            await lane.queue.put(None)
