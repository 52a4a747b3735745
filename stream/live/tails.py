"""A tail: one topic of one partition, read from its beginning, then on and on, into something that remembers it.

Owns catching up before anybody relies on it, going on for as long as the process lives, and saying so when that fails.
Must not know what a record says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from inspect import isawaitable

from connectors.kafka.faults import BrokerError
from connectors.kafka.reading import KafkaRecord, log_range, read_topic, tail_topic
from connectors.kafka.settings import KafkaSettings

RETRY_S = 1.0
"""Between two attempts to go on reading."""


class Tail:
    """Reads one topic into `take`, in order, each record once. Where `take` gives an awaitable, it is waited for."""

    def __init__(
        self, settings: KafkaSettings, password: str, topic: str, take: Callable[[KafkaRecord], object]
    ) -> None:
        """Remember what to read; `start` reads it."""
        self._settings = settings
        self._password = password
        self._topic = topic
        self._take = take
        self._next = 0
        self._fault = ""
        self._task: asyncio.Task[None] | None = None

    async def start(self, since: int | None = None) -> None:
        """Read what the topic has now, from `since` on, then go on beside the caller.

        Raises `BrokerError` where that cannot be.
        """
        begin, end = (await log_range(self._settings, self._topic, password=self._password))[0]
        self._next = begin = begin if since is None else since
        async for record in read_topic(
            self._settings, self._topic, password=self._password, since={0: begin}, until={0: end}
        ):
            await self._hand_on(record)
        self._next = max(self._next, end)
        self._task = asyncio.create_task(self._go_on(), name=f"tail of {self._topic}")

    async def stop(self) -> None:
        """Read no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    @property
    def reached(self) -> int:
        """The offset of the next record to hear of."""
        return self._next

    def problems(self) -> tuple[str, ...]:
        """Say what keeps it from reading on, if anything does."""
        return (f"{self._topic} is not followed: {self._fault}",) if self._fault else ()

    async def _go_on(self) -> None:
        away = False
        while True:
            try:
                if away:  # a topic that nothing is written to would never show that its broker is back
                    await log_range(self._settings, self._topic, password=self._password)
                    self._fault, away = "", False
                async for record in tail_topic(
                    self._settings, self._topic, password=self._password, since={0: self._next}
                ):
                    self._fault = ""
                    await self._hand_on(record)
            except BrokerError as error:
                self._fault, away = str(error), True
            except Exception as error:  # noqa: BLE001 - what a record does to our code must not end the tail unseen
                self._fault = f"{type(error).__name__} at record {self._next}"
            await asyncio.sleep(RETRY_S)

    async def _hand_on(self, record: KafkaRecord) -> None:
        taken = self._take(record)
        if isawaitable(taken):
            await taken
        self._next = record.offset + 1
