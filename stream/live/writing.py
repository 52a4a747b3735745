"""What a process writes now and then: one connection, and waiting until it was read back.

Owns the connection, opened when there is something to write and closed where a write failed. Must not know what is
written, nor whether what may have been stored is to be written again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from connectors.kafka.faults import BrokerError, NotSentError
from connectors.kafka.outbox import Outbox
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings


class Writing:
    """Writes, one after another."""

    def __init__(self, kafka: KafkaSettings, password: str, *, client_id: str) -> None:
        """Nothing is opened yet."""
        self._kafka, self._password, self._client_id = kafka, password, client_id
        self._outbox: Outbox | None = None
        self._lock = asyncio.Lock()

    async def send(self, records: Sequence[Record]) -> list[int]:
        """Write records; give where each lies. Raises `BrokerError`: they may have been stored all the same."""
        async with self._lock:
            if self._outbox is None:
                outbox = Outbox(self._kafka, client_id=self._client_id, password=self._password)
                await outbox.start()
                self._outbox = outbox
            try:
                return [offset for _, offset in await self._outbox.send(list(records))]
            except BrokerError:
                await self._close()
                raise

    async def stop(self) -> None:
        """Write no more, until something is sent again."""
        async with self._lock:
            await self._close()

    async def _close(self) -> None:
        outbox, self._outbox = self._outbox, None
        if outbox is not None:
            with suppress(BrokerError):
                await outbox.stop()


async def read_back(holds: Callable[[], bool], within_s: float, look_s: float, words: str) -> None:
    """Wait until another task has read so far that it is so. Raises `NotSentError` with `words` where it has not."""
    try:
        async with asyncio.timeout(within_s):
            while not holds():  # noqa: ASYNC110 - another task reads
                await asyncio.sleep(look_s)
    except TimeoutError:
        raise NotSentError("unreachable", words) from None
