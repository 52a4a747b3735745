"""Where the logs end, asked of the broker apart from the consumers that read them.

Owns that question, asked again and again over a connection of its own, and saying so when nobody answers. Must not know
who reads. A consumer that has died silently sees no new records, so it cannot be asked whether there are any.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from connectors.kafka.admin import partition_counts
from connectors.kafka.connection import client_options, describe_failure
from connectors.kafka.faults import BrokerError
from connectors.kafka.settings import KafkaSettings

LOOK_S = 3.0
"""Between two questions: a tenth of what a partition may stand still before that is told."""
ANSWER_S = 8.0
"""How long an answer may take: a broker that is restarted elects itself in less."""
CLOSE_S = 2.0


class Ends:
    """The offset that each partition's next record will have, as the broker last said."""

    def __init__(self, settings: KafkaSettings, password: str, topics: Iterable[str]) -> None:
        """Remember what to ask about; `start` asks. `topics` are short names."""
        self._settings = settings
        self._password = password
        self._topics = tuple(topics)
        self._known: dict[TopicPartition, int] = {}
        self._fault = ""
        self._task: asyncio.Task[None] | None = None

    def of(self, topic: str, partition: int) -> int:
        """Give the end of a partition, named as the broker names its topic; 0 before any answer."""
        return self.known(topic, partition) or 0

    def known(self, topic: str, partition: int) -> int | None:
        """Give the same; None before any answer, for who must not take that for an empty log."""
        return self._known.get(TopicPartition(topic, partition))

    def problems(self) -> tuple[str, ...]:
        """Say what keeps the broker from answering."""
        return (f"Kafka does not answer: {self._fault}",) if self._fault else ()

    def start(self) -> None:
        """Ask from now on, beside the caller."""
        self._task = asyncio.create_task(self._ask_forever(), name="ends of the logs")

    async def stop(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _ask_forever(self) -> None:
        while True:
            try:
                await self._ask_on_one_connection()
            except BrokerError as fault:
                self._fault = str(fault)
            except (KafkaError, OSError, TimeoutError) as fault:
                self._fault = describe_failure(self._settings, fault)
            except Exception as fault:  # noqa: BLE001 - a bug in the client must not end the watch unseen
                self._fault = f"the client fails ({type(fault).__name__})"
            await asyncio.sleep(LOOK_S)

    async def _ask_on_one_connection(self) -> None:
        async with asyncio.timeout(ANSWER_S):
            counts = await partition_counts(self._settings, self._password)
        prefix = self._settings.prefix
        places = [TopicPartition(prefix + name, n) for name in self._topics for n in range(counts.get(name, 0))]
        consumer = AIOKafkaConsumer(
            client_id="wardstream-ends", group_id=None, enable_auto_commit=False, **self._options()
        )
        try:
            async with asyncio.timeout(ANSWER_S):
                await consumer.start()
            while True:
                async with asyncio.timeout(ANSWER_S):
                    self._known = await consumer.end_offsets(places)
                self._fault = ""
                await asyncio.sleep(LOOK_S)
        finally:
            with suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await consumer.stop()

    def _options(self) -> dict[str, object]:
        return {**client_options(self._settings, self._password), "isolation_level": "read_committed"}
