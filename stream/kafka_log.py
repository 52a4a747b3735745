"""Reading topics as logs, from the first record kept to where each partition ended when it was looked at.

Owns turning the reading of Kafka (asynchronous, in no group, committing nothing) into plain iteration, for replays and
checks. Must not know what a record says, and has no way to write one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from threading import Thread
from typing import Any, NamedTuple, Self, TypeVar

from connectors.kafka.reading import KafkaRecord, log_range, read_topic
from connectors.kafka.settings import KafkaSettings

CHUNK_RECORDS = 500
"""Records handed over from the client's thread at a time: some milliseconds of folding."""

Answer = TypeVar("Answer")


class Extent(NamedTuple):
    """What a partition holds: the first offset kept, and the one after the last."""

    begin: int
    end: int

    @property
    def records(self) -> int:
        """How many records that is at most: transactions leave marks between records.

        >>> Extent(3, 10).records
        7
        """
        return max(self.end - self.begin, 0)


class KafkaLog:
    """A reader of one installation's topics, for use in a `with` block.

    The client runs on an event loop in a thread of its own, and fetches ahead while what came is folded. Its methods
    raise what `connectors.kafka.reading` does, each error saying what to do.
    """

    def __init__(self, settings: KafkaSettings, password: str = "") -> None:
        self._settings = settings
        self._password = password
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="kafka-log", daemon=True)

    def __enter__(self) -> Self:
        """Start the client's thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the client's thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def extents(self, topic: str) -> dict[int, Extent]:
        """Give what each partition of a topic holds now; raises `WrongTopicError` where there is no such topic."""
        found = self._call(log_range(self._settings, topic, password=self._password))
        return {partition: Extent(*found[partition]) for partition in sorted(found)}

    def read(self, topic: str, partition: int, extent: Extent) -> Iterator[KafkaRecord]:
        """Give the records of a partition within an extent, in order."""
        if not extent.records:
            return
        records = read_topic(
            self._settings,
            topic,
            password=self._password,
            partitions=(partition,),
            since={partition: extent.begin},
            until={partition: extent.end},
        )
        try:
            while chunk := self._call(_take(records)):
                yield from chunk
        finally:
            self._call(_close(records))

    def read_all(self, topic: str) -> Iterator[KafkaRecord]:
        """Give all that a topic holds now, a partition after the other."""
        for partition, extent in self.extents(topic).items():
            yield from self.read(topic, partition, extent)


async def _take(records: AsyncIterator[KafkaRecord]) -> list[KafkaRecord]:
    chunk: list[KafkaRecord] = []
    while len(chunk) < CHUNK_RECORDS:
        record = await anext(records, None)
        if record is None:
            break
        chunk.append(record)
    return chunk


async def _close(records: AsyncIterator[KafkaRecord]) -> None:
    close = getattr(records, "aclose", None)
    if close is not None:
        await close()
