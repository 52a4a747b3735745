"""A step of a stage that asks the event loop a question never waits for the thread its answer needs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from faust.types import TP

from connectors.kafka.record import Record
from stream.live.stage import LogItem
from tests.stream.live.partitions import LOG
from tests.stream.live.test_stage_app import Broker, Plain, app_of, item

THREADS = 2
ANSWER_S = 30.0
"""A wait that only a hang outlasts."""


class Asking(Plain):
    """A partition whose work asks the loop what was told, as [ward] does before its gate first stands somewhere."""

    loop: asyncio.AbstractEventLoop

    def work(self, batch: Sequence[LogItem]) -> list[Record]:
        """Ask, and wait for the answer in this thread."""
        asyncio.run_coroutine_threadsafe(self._answer(), self.loop).result(ANSWER_S)
        return super().work(batch)

    async def _answer(self) -> None:
        """Ask the store, in a thread, as the loop does before it opens a producer."""
        assert await asyncio.to_thread(self.still_ours)


@pytest.mark.asyncio
async def test_more_partitions_than_threads_may_ask_at_once() -> None:
    """Many partitions whose first batches all ask the loop are all folded: none waits for a thread another holds."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS))
    partitions = {number: Asking(number) for number in range(THREADS * 20)}
    for one in partitions.values():
        one.loop = loop
    app = app_of(lambda _topic, number: partitions[number], Broker())
    for number in partitions:
        await app._open(TP("t", number), LOG)
    await asyncio.gather(*(app._work(TP("t", number), [item(0)]) for number in partitions))
    assert {one.folded for one in partitions.values()} == {0}
