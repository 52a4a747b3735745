"""A sender that goes on while a fault strikes: at a steady pace before it and through it, with the last of it after.

Its records are under way whenever anything happens: a bunch sent beforehand would be folded by then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

from connectors.kafka.outbox import Outbox
from connectors.sources.arrival import Arrival
from tests.live.cluster import Cluster, ingest_record

PER_S = 250.0
"""A large hospital's peak, and a third of what two workers on two cores fold: they are at work most of the time."""
BATCH = 10
TAIL = 200
"""Messages that are kept for the time after the fault."""
PATIENCE_S = 60.0
"""For how long a sender repeats what was not acknowledged."""


class Load:
    """Messages for a cluster. `begin`, then `end`; `said` is what was sent, to hold the run against."""

    def __init__(self, cluster: Cluster, arrivals: Sequence[Arrival], per_s: float = PER_S) -> None:
        self.said: list[Arrival] = []
        self._cluster = cluster
        self._per_s = per_s
        self._paced, self._tail = arrivals[:-TAIL], arrivals[-TAIL:]
        self._told_to_end = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Send from now on, until told to end or nothing but the tail is left."""
        self._task = asyncio.create_task(self._send())

    async def end(self) -> None:
        """Send no more at a pace, then the tail at once; all is acknowledged on return."""
        assert self._task is not None, "not begun"
        self._told_to_end.set()
        await self._task
        await self._cluster.ingest(self._tail, patience_s=PATIENCE_S)
        self.said += self._tail

    async def _send(self) -> None:
        outbox = Outbox(self._cluster.kafka, client_id="test-load", answer_s=30.0)
        await outbox.start()
        began = time.monotonic()
        try:
            for at in range(0, len(self._paced), BATCH):
                batch = self._paced[at : at + BATCH]
                await self._cluster.send_with(outbox, [ingest_record(one) for one in batch], PATIENCE_S)
                self.said += batch
                self._cluster.sent += len(batch)
                due = began + len(self.said) / self._per_s
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(due - time.monotonic(), 0.0)):
                        await self._told_to_end.wait()
                if self._told_to_end.is_set():
                    return
        finally:
            await outbox.stop()
