"""What the learner's process writes: words to the folds beside it, and records of its companions.

Owns one connection, opened when there is something to write, and waiting until a word was heard. Must not know what is
written. A word that may or may not have been stored is written again by whoever finds that it is still missed; heard
twice, it changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from connectors.kafka.faults import BrokerError, NotSentError
from connectors.kafka.outbox import Outbox
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import EXAMPLES, topic_headers
from stream.clock import wall_ms
from stream.live.examples import encode_example, told

SOURCE = "/wardstream/learner"
HEARD_WITHIN_S = 30.0
"""Until a word comes back from the topic: it is read at once by a fold that is not behind."""
LOOK_S = 0.02


class Telling:
    """Writes, one after another."""

    def __init__(self, kafka: KafkaSettings, password: str) -> None:
        """Nothing is opened yet."""
        self._kafka, self._password = kafka, password
        self._outbox: Outbox | None = None
        self._lock = asyncio.Lock()

    async def send(self, records: Sequence[Record]) -> list[int]:
        """Write records; give where each lies. Raises `BrokerError`: they may have been stored all the same."""
        async with self._lock:
            if self._outbox is None:
                outbox = Outbox(self._kafka, client_id="wardstream.learner", password=self._password)
                await outbox.start()
                self._outbox = outbox
            try:
                return [offset for _, offset in await self._outbox.send(list(records))]
            except BrokerError:
                await self._close()
                raise

    async def tell(self, name: str, content: bytes, reached: Callable[[], int]) -> None:
        """Write a word to a fold and wait until it was heard; `reached` gives the next record to be folded.

        Raises `BrokerError`.
        """
        example = told(name, content, reached())
        headers = topic_headers(EXAMPLES, example.example_id, SOURCE, wall_ms())
        [place] = await self.send([Record(EXAMPLES, name.encode(), encode_example(example), headers)])
        try:
            async with asyncio.timeout(HEARD_WITHIN_S):
                while reached() <= place:  # noqa: ASYNC110 - another task reads
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise NotSentError("unreachable", f"{EXAMPLES}: a word was not heard in {HEARD_WITHIN_S:g} s") from None

    async def stop(self) -> None:
        """Write no more."""
        async with self._lock:
            await self._close()

    async def _close(self) -> None:
        outbox, self._outbox = self._outbox, None
        if outbox is not None:
            with suppress(BrokerError):
                await outbox.stop()
