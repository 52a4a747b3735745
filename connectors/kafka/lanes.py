"""What waits to be sent: calls with their answers, and a lane for each partition.

Owns that accounting. Must not know a client.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from connectors.kafka.record import Record

HEADER_BYTES = 400
"""What a record's headers weigh beside its key and value, by experience: for the bound on memory alone."""


class Call:
    """One call of `send`: its answers, and how many are still to come."""

    __slots__ = ("answers", "done", "left")

    def __init__(self, count: int) -> None:
        self.answers: list[tuple[int, int]] = [(-1, -1)] * count
        self.left = count
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(self, error: Exception) -> None:
        """Tell whoever waits that something of it was not sent; the first telling counts."""
        if not self.done.done():
            self.done.set_exception(error)

    def answer(self, place: int, at: tuple[int, int]) -> None:
        """Note where one record lies."""
        self.answers[place] = at
        self.left -= 1
        if self.left == 0 and not self.done.done():
            self.done.set_result(None)

    def leave(self) -> None:
        """Nobody waits any more: what of it is still to be sent is not."""
        if not self.done.cancel() and not self.done.cancelled():
            self.done.exception()  # told otherwise, or too late to be told


Waiting = tuple[Record, Call, int]
"""A record, the call it came with, and its place there."""


def weight(record: Record) -> int:
    """Say how much memory a record takes, about.

    >>> weight(Record("alerts.v1", b"W1", b"{}"))
    404
    """
    return len(record.key) + len(record.value or b"") + HEADER_BYTES


def hush(future: asyncio.Future[Any]) -> None:
    """Take note of what a future that nobody waits for any more came to."""
    if not future.cancelled():
        future.exception()


class Lane:
    """One partition: what waits for it, and the task that sends it."""

    __slots__ = ("partition", "pump", "topic", "waiting")

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.waiting: deque[Waiting] = deque()
        self.pump: asyncio.Task[None] | None = None
