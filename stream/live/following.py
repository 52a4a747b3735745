"""Following a topic with all its partitions: what it has from a time on, in the order of time, then what comes.

Owns the hand-over from what was there to what comes, going on after a fault, and saying so meanwhile. Must not know
what a record says. For views of what was put out: they begin somewhere in the log, and a record may come twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from connectors.kafka.faults import BrokerError, LostRecordsError
from connectors.kafka.reading import KafkaRecord, log_range, read_topic, tail_topic
from connectors.kafka.settings import KafkaSettings
from events import Millis

RETRY_S = 1.0
"""Between two attempts to go on reading."""

Take = Callable[[KafkaRecord], object]


class Follower:
    """Reads one topic into `take`; what `take` cannot read it is to pass by, for a view must not stand still."""

    def __init__(self, settings: KafkaSettings, password: str, topic: str, take: Take) -> None:
        """Remember what to read; `start` reads it."""
        self._settings = settings
        self._password = password
        self._topic = topic
        self._take = take
        self._next: dict[int, int] = {}
        self._task: asyncio.Task[None] | None = None
        self.fault = ""
        """What keeps it from reading on, in words for an operator; empty when all is well."""

    async def start(self, since_time: Millis | None = None, records_max: int = 0) -> Millis:
        """Hand on what there is from a time on, at most about `records_max`, the newest; then follow beside the caller.

        Gives the record time from which on everything was handed on. Raises `BrokerError` where that cannot be.
        """
        reached = 0 if since_time is None else since_time
        ranges = await log_range(self._settings, self._topic, password=self._password)
        self._next = {partition: end for partition, (_, end) in ranges.items()}
        if since_time is not None and records_max:
            share = -(-records_max // len(ranges))
            since = {partition: max(begin, end - share) for partition, (begin, end) in ranges.items()}
            cut = {partition for partition, place in since.items() if place > ranges[partition][0]}
            found = []
            async for record in read_topic(
                self._settings, self._topic, password=self._password, since=since, until=self._next
            ):
                # Of each partition the first: at the very place may be the mark of a transaction, which is no record.
                first = record.partition in cut
                cut.discard(record.partition)
                if record.record_time >= since_time:
                    reached = max(reached, record.record_time) if first else reached
                    found.append(record)
            for record in sorted(found, key=lambda one: (one.record_time, one.partition, one.offset)):
                self._take(record)
        self._task = asyncio.create_task(self._go_on(), name=f"follower of {self._topic}")
        return reached

    async def stop(self) -> None:
        """Read no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _go_on(self) -> None:
        while True:
            try:
                tail = tail_topic(self._settings, self._topic, password=self._password, since=self._next)
                self.fault = ""
                async for record in tail:
                    self._next[record.partition] = record.offset + 1
                    self._take(record)
            except LostRecordsError as error:
                # The topic was made anew or its retention overtook us: a view goes on with what there is.
                self.fault = str(error)
                with suppress(BrokerError):
                    ranges = await log_range(self._settings, self._topic, password=self._password)
                    self._next = {partition: begin for partition, (begin, _) in ranges.items()}
            except BrokerError as error:
                self.fault = str(error)
            except Exception as error:  # noqa: BLE001 - a bug of ours in one record must not end the view unseen
                self.fault = f"{type(error).__name__} at a record of {self._topic}"
            await asyncio.sleep(RETRY_S)
