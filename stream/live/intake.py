"""The gateway's intake: messages become records of the ingest topics, and are acknowledged when Kafka has them.

Owns the bound on what is not acknowledged yet, the order of a sender's messages, and how long a sender is kept waiting.
Must not know a socket, nor what a message means beyond what the codec said of it.

    offer ──► room (bounded) ──► stamp ──► outbox: each partition a batch at a time, acknowledged by all ──► receipts

What fails takes with it what waits behind it of the same sender: a later message must not be stored where an earlier
one was not. What was not acknowledged in time may be stored all the same; its sender repeats it, and [parse] knows it
by its content.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import Future
from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import groupby
from typing import Protocol

import msgspec

from connectors.decoded import Decoded, Refusal
from connectors.intake import NotStoredError, NotStoredReason, Receipt
from connectors.kafka.faults import NotSentError
from connectors.kafka.headers import PORT, cloud_headers
from connectors.kafka.record import Headers, Record
from connectors.kafka.topics import TOPICS
from connectors.sources.arrival import Arrival
from events import Millis, content_id, uuid_text
from stream.live.letters import dead_letter, feed_key, letter_record
from stream.parse import unusable

RECORD_VALUE_BYTES_MAX = 4 * 1024 * 1024
"""The longest message or Bundle that fits a record of an ingest topic; the servers refuse longer ones by their size."""
INGEST = {"hl7v2": TOPICS["hl7v2.ingest.v1"], "fhir": TOPICS["fhir.ingest.v1"], "act": TOPICS["ack.ingest.v1"]}
ANSWER_S = 10.0
"""How long Kafka has to acknowledge, and how long a sender waits for room before: together two thirds of what
interface engines wait by default (30 s), so that they are answered before they give up."""

FAULT_STANDS_S = 15.0
"""How long a fault is told after it was met last: two looks of a load balancer, and less than a broker's recovery."""


class IntakeLimits(msgspec.Struct, frozen=True):
    """What the intake bounds. The bytes stay below what the outbox holds, so that the wait for room is here alone."""

    waiting_messages_max: int = 4_096
    """Messages not acknowledged yet: a second or two of the most that a hospital sends."""
    waiting_bytes_max: int = 32 * 1024 * 1024
    """The same in bytes. Beyond either, senders wait, and TCP holds them back."""
    room_s: float = ANSWER_S
    """How long a sender waits for room until he is told to send it again."""


class Sender(Protocol):
    """What is needed of the producer (`connectors.kafka.outbox.Outbox`)."""

    async def send(self, records: Sequence[Record]) -> object:
        """Send records, in order; returns when all are acknowledged, raises `NotSentError` within bounded time."""
        ...


class Observer(Protocol):
    """Hears what the intake does; for metrics. It must be quick and never raise."""

    def stored(self, arrivals: Sequence[Arrival], receipts: Sequence[Receipt], at: Millis, seconds: float) -> None:
        """Kafka has what was offered together; `seconds` is how long that took."""
        ...

    def not_stored(self, reason: NotStoredReason, count: int) -> None:
        """So many messages were not acknowledged: their senders are told to send them again."""
        ...

    def failed(self, where: str, fault: BaseException) -> None:
        """Something went wrong: `send`, or `intake` for a bug of ours."""
        ...


class _Job(msgspec.Struct, frozen=True, eq=False):
    """What was offered together, until it is acknowledged."""

    arrivals: Sequence[Arrival]
    receipts: Sequence[Receipt]
    records: Sequence[Record]
    received: Millis
    bytes_total: int
    future: Future[list[Receipt]]

    @property
    def keys(self) -> set[bytes]:
        """The senders it is of."""
        return {record.key for record in self.records}


class KafkaIntake:
    """Takes messages in for one gateway. Made and used on the event loop; `stop` at the end."""

    def __init__(
        self,
        outbox: Sender,
        now: Callable[[], Millis],
        observer: Observer,
        limits: IntakeLimits | None = None,
        *,
        source: str = "/wardstream/gateway",
        sign: Callable[[Arrival], Headers] = lambda _arrival: (),
    ) -> None:
        """`source` names this gateway in its records; its last part stands before the positions in its letters.

        `sign` gives the headers by which [parse] knows that an act is of somebody whom this gateway authenticated.
        """
        self._outbox = outbox
        self._now = now
        self._observer = observer
        self._limits = limits or IntakeLimits()
        self._source = source
        self._sign = sign
        self._loop = asyncio.get_running_loop()
        self._jobs: dict[_Job, asyncio.Task[None]] = {}
        """What is on its way, the oldest first."""
        self._messages = self._bytes = 0
        self._room = asyncio.Event()
        self._room.set()
        self._stopping = False
        self._fault = ""
        self._fault_at = 0.0
        self.acknowledged_at: float | None = None
        """When Kafka last acknowledged, on `time.monotonic`; None before the first."""

    @property
    def waiting_messages(self) -> int:
        """How many messages are not acknowledged yet."""
        return self._messages

    @property
    def waiting_bytes(self) -> int:
        """How many bytes they have."""
        return self._bytes

    @property
    def fault(self) -> str:
        """Why Kafka did not acknowledge when last asked; empty when all is well, or nobody has asked for a while.

        A load balancer that was told so sends nothing more: only by forgetting are we asked again.
        """
        return self._fault if time.monotonic() - self._fault_at < FAULT_STANDS_S else ""

    async def offer(self, arrivals: Sequence[Arrival]) -> Future[list[Receipt]]:
        """Wait for room, then take the messages; see `connectors.intake.Intake`. All of one Bundle come together."""
        try:
            async with asyncio.timeout(self._limits.room_s):
                while not self._room.is_set() and not self._stopping:
                    await self._room.wait()
        except TimeoutError:
            self._observer.not_stored("overloaded", len(arrivals))
            raise NotStoredError("overloaded") from None
        if self._stopping:
            raise NotStoredError("stopping")
        # From here to the outbox nobody else has a turn: the order of offers is the order on the partitions.
        job = self._job(arrivals)
        self._hold(len(arrivals), job.bytes_total)
        self._jobs[job] = asyncio.create_task(self._carry(job))
        return job.future

    async def stop(self, grace_s: float) -> None:
        """Take nothing more; wait `grace_s` for what is on its way; the rest is told to be sent again."""
        self._stopping = True
        self._room.set()
        if self._jobs:
            await asyncio.wait(list(self._jobs.values()), timeout=grace_s)
        tasks = list(self._jobs.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry(self, job: _Job) -> None:
        """Send one job and answer by what became of it. An answer is given in every case, a bug of ours too."""
        reason: NotStoredReason = "stopping" if self._stopping else "failed"
        began = time.perf_counter()
        try:
            await self._outbox.send(job.records)
        except NotSentError as fault:
            self._blame(str(fault))
            self._observer.failed("send", fault)
            reason = {"full": "overloaded", "stopped": "stopping"}.get(fault.reason, "failed")  # type: ignore[assignment] # of the literals
            self._take_back(job, reason)
        except Exception as fault:  # noqa: BLE001 - our own bug: it is told, and the sender does not wait for good
            self._blame(type(fault).__name__)
            self._observer.failed("intake", fault)
            self._take_back(job, reason)
        else:
            self._fault = ""
            self.acknowledged_at = time.monotonic()
            self._observer.stored(job.arrivals, job.receipts, job.received, time.perf_counter() - began)
            if not job.future.done():
                job.future.set_result(list(job.receipts))
        finally:
            self._settle(job, reason)

    def _blame(self, fault: str) -> None:
        self._fault, self._fault_at = fault, time.monotonic()

    def _take_back(self, failed: _Job, reason: NotStoredReason) -> None:
        """Take back what is behind a failed job and of its senders; what the outbox has begun it goes on with."""
        keys = failed.keys
        after = False
        for job, task in list(self._jobs.items()):
            if after and keys & job.keys:
                keys |= job.keys
                self._settle(job, reason)
                task.cancel()
            after = after or job is failed

    def _settle(self, job: _Job, reason: NotStoredReason) -> None:
        """Give its room back, and an answer where it has none."""
        if self._jobs.pop(job, None) is not None:
            self._hold(-len(job.arrivals), -job.bytes_total)
        if not job.future.done():
            self._observer.not_stored(reason, len(job.arrivals))
            job.future.set_exception(NotStoredError(reason))

    def _hold(self, messages: int, size: int) -> None:
        limits = self._limits
        self._messages += messages
        self._bytes += size
        if self._messages >= limits.waiting_messages_max or self._bytes >= limits.waiting_bytes_max:
            self._room.clear()
        else:
            self._room.set()

    # -- what becomes of a message ----------------------------------------------------------------------------------

    def _job(self, arrivals: Sequence[Arrival]) -> _Job:
        now = self._now()
        records: list[Record] = []
        receipts: list[Receipt] = []
        for whole, group in groupby(arrivals, key=lambda arrival: arrival.whole):
            receipts += self._render(list(group), whole, now, records)
        size = sum(len(record.value or b"") for record in records)
        return _Job(arrivals, receipts, records, now, size, self._loop.create_future())

    def _render(
        self, arrivals: list[Arrival], whole: bytes | None, now: Millis, records: list[Record]
    ) -> list[Receipt]:
        """Add the records of arrivals that came in one piece, or of single ones; give their receipts.

        A Bundle goes onto the topic as it was posted, once: its entries mean nothing without one another. Where some of
        it can be used [parse] finds the rest of it too, and keeps the letters; where nothing can, they are kept here.
        """
        receipts = [_receipt(arrival) for arrival in arrivals]
        if whole is not None and any(receipt.refusal is None for receipt in receipts):
            records.append(self._record(arrivals[0], whole, now, content_id("posted", sha256(whole).digest())))
            return receipts
        for arrival, receipt in zip(arrivals, receipts, strict=True):
            if receipt.refusal is not None:
                letter = dead_letter(receipt.refusal, now, f"{self._source.rpartition('/')[2]}/{arrival.position}")
                records.append(letter_record(letter, arrival.data, receipt.refusal.feed))
            else:
                decoded = arrival.decoded
                assert isinstance(decoded, Decoded)
                records.append(self._record(arrival, arrival.data or b"", now, uuid_text(decoded.content_hash)))
        return receipts

    def _record(self, arrival: Arrival, data: bytes, now: Millis, name: str) -> Record:
        topic = INGEST[arrival.format]
        headers = cloud_headers(
            name, topic.event_type, self._source, now, content_type=topic.content_type, received=now
        )
        if arrival.port:
            headers += ((f"ce_{PORT}", b"%d" % arrival.port),)
        if arrival.format == "act":
            headers += self._sign(arrival)
        return Record(topic.name, feed_key(arrival.decoded.feed, arrival.position.partition("/")[0]), data, headers)


def _receipt(arrival: Arrival) -> Receipt:
    """Say what becomes of a message once it is on its topic: `accepted` too where [parse] will know it already."""
    decoded = arrival.decoded
    refusal = decoded if isinstance(decoded, Refusal) else unusable(decoded)
    return Receipt("accepted") if refusal is None else Receipt("refused", refusal)
