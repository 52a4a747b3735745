"""What `signals.v1` says of upstream now: which codes, units, scales and feeds are not as they were.

Owns following that topic and what it comes to by kind and subject. Must not know who is told. Each partition of the log
raises and clears by itself, of its own patients: something stands while any of them says so.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec

from alerts.monitoring.signal import Signal, decode_signal
from connectors.kafka.faults import BrokerError
from connectors.kafka.reading import log_range, read_topic, tail_topic
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import SIGNALS
from stream.model_monitors import UPSTREAM

RETRY_S = 1.0
"""Between two attempts to go on reading."""
HEARTBEAT = b'"kind":"heartbeat"'
"""All but a few records of the topic: they are not read."""
SUBJECTS_MAX = 10_000
"""By partition, kind and subject; past it the one of which nothing was heard for longest is forgotten."""


class Upstream:
    """What stands, by kind and subject.

    >>> from alerts.monitoring.signal import encode_signal, make_signal
    >>> upstream = Upstream()
    >>> for partition, state in ((0, "raised"), (1, "raised"), (0, "cleared")):
    ...     upstream.take(encode_signal(make_signal("unit_changed", "feed|LAB|K", state, 1, 5, 5, partition)))
    >>> [signal.state for signal in upstream.newest().values()]
    ['raised']
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.unreadable = 0
        self._said: dict[tuple[str, str, int], Signal] = {}

    def take(self, value: bytes | None) -> None:
        """Take the next record of a partition."""
        if value is None or HEARTBEAT in value:
            return
        try:
            signal = decode_signal(value)
        except (msgspec.DecodeError, ValueError, KeyError, TypeError):
            self.unreadable += 1
            return
        if signal.kind not in UPSTREAM:
            return
        key = (signal.kind, signal.subject, signal.partition)
        self._said.pop(key, None)
        self._said[key] = signal
        if len(self._said) > SUBJECTS_MAX:
            del self._said[next(iter(self._said))]

    def newest(self) -> dict[tuple[str, str], Signal]:
        """Give the newest word on each kind and subject; one that stands anywhere before one that has ended."""
        found: dict[tuple[str, str], Signal] = {}
        for (kind, subject, _), signal in sorted(self._said.items()):
            before = found.get((kind, subject))
            if before is None or (before.state != "raised" and signal.state == "raised"):
                found[kind, subject] = signal
        return found


class UpstreamTail(Upstream):
    """The same, kept up with `signals.v1`."""

    def __init__(self, kafka: KafkaSettings, password: str) -> None:
        """Begin with nothing; `start` reads the topic."""
        super().__init__()
        self._kafka, self._password = kafka, password
        self.caught_up = False
        """Whether what the topic had at the start was read: before that, nothing follows from silence."""
        self._fault = ""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Read what is kept, and go on, beside the caller."""
        self._task = asyncio.create_task(self._follow(), name=f"tail of {SIGNALS}")

    async def stop(self) -> None:
        """Read no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def problems(self) -> tuple[str, ...]:
        """Say what keeps it from reading."""
        return (f"{SIGNALS} is not followed: {self._fault}",) if self._fault else ()

    async def _follow(self) -> None:
        while True:
            try:
                # From what is kept now: after a gap too, for what was raised in it may stand.
                ranges = await log_range(self._kafka, SIGNALS, password=self._password)
                since = {partition: begin for partition, (begin, _) in ranges.items()}
                ends = {partition: end for partition, (_, end) in ranges.items()}
                async for record in read_topic(self._kafka, SIGNALS, password=self._password, since=since, until=ends):
                    self.take(record.value)
                self._fault, self.caught_up = "", True
                async for record in tail_topic(self._kafka, SIGNALS, password=self._password, since=ends):
                    self.take(record.value)
            except BrokerError as fault:
                self._fault = str(fault)
            await asyncio.sleep(RETRY_S)
