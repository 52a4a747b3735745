"""The outbox: what must be on record before anybody is told that it is.

Owns sending in order, at once for many callers, in bounded memory and bounded time. Must not know what is sent. Each
partition has a lane: what waits there goes out as one batch while the batch before is on its way, so a lone caller
waits for one round trip and many callers share it.

A send that raises may have been stored all the same, now or a little later. The producer is idempotent and goes on
trying what it has begun; a lane sends nothing newer before that is settled, so order holds within a partition.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder

from connectors.kafka.connection import describe_failure, unseen
from connectors.kafka.faults import BrokerError, FencedProducerError, NotSentError, UnreachableError, WrongTopicError
from connectors.kafka.lanes import Call, Lane, Waiting, hush, weight
from connectors.kafka.partitioning import partition_for
from connectors.kafka.producing import (
    FENCED,
    TOO_LARGE,
    append,
    close_producer,
    count_partitions,
    describe_refusal,
    open_producer,
    send_transaction,
)
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import RECORD_BYTES_MAX, TOPICS

ANSWER_S = 15.0
"""How long a send may take. Longer than a leader's election; a sender on MLLP would give up at about 30."""
GIVE_UP_S = 60.0
"""A producer that has not settled a batch in this time is replaced by a new one: clients can die silently."""
WAITING_BYTES_MAX = 64 * 1024 * 1024
"""What may wait for acknowledgement in one process."""
RETRY_S = 0.5
"""Between two attempts to reach a broker."""


class Outbox:
    """Sends records and says where they lie, once every replica in sync has them.

    With a `transactional_id`, `transaction` takes the place of `send`: the broker then lets only the newest process
    that started under that id write, and an older one meets `FencedProducerError`.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        client_id: str,
        password: str = "",
        transactional_id: str | None = None,
        answer_s: float = ANSWER_S,
    ) -> None:
        self._settings = settings
        self._client_id = client_id
        self._password = password
        self._transactional_id = transactional_id
        self._answer_s = answer_s
        self._producer: AIOKafkaProducer | None = None
        self._opening: asyncio.Task[AIOKafkaProducer] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._counts: dict[str, int] = {}
        self._waiting_bytes = 0
        self._freed = asyncio.Event()
        self._turn = asyncio.Lock()
        self._ended: NotSentError | FencedProducerError | None = None
        self._fault = "no broker answered"

    async def start(self) -> None:
        """Connect; raises `UnreachableError`, `ConnectionSettingsError` or `WrongTopicError`, saying what to do."""
        await self._open()

    def partitions(self, topic: str) -> int:
        """Say how many partitions a topic has; raises `WrongTopicError` where there is no such topic."""
        count = self._counts.get(topic)
        if count is None:
            raise WrongTopicError(
                f"there is no topic {self._settings.prefix + topic}: create it with `wardstream topics declare`"
                f"{unseen(self._settings)}"
            )
        return count

    def partition_of(self, topic: str, key: bytes) -> int:
        """Say which partition of a topic a key lies in."""
        return partition_for(key, self.partitions(topic))

    @property
    def waiting_bytes(self) -> int:
        """What waits for acknowledgement, about."""
        return self._waiting_bytes

    async def send(self, records: Sequence[Record]) -> list[tuple[int, int]]:
        """Send records, in order within each partition; give (partition, offset) of each once all are acknowledged.

        An offset of -1 says: stored, but the broker no longer remembers where. Raises `NotSentError`: none, some or all
        of them may be stored then, and they may be sent again.
        """
        assert self._transactional_id is None, "a transactional outbox sends transactions"
        if not records:
            return []
        size = self._weigh(records)
        call = Call(len(records))
        try:
            async with asyncio.timeout(self._answer_s):
                await self._learn({record.topic for record in records})
                await self._room(size)
                self._put(records, call)
                await call.done
        except TimeoutError:
            full = self._waiting_bytes + size > WAITING_BYTES_MAX
            raise NotSentError(
                "full" if full else "unreachable", f"not acknowledged within {self._answer_s:g} s: {self._fault}"
            ) from None
        except UnreachableError as error:
            raise NotSentError("unreachable", str(error)) from None
        except WrongTopicError as error:
            raise NotSentError("refused", str(error)) from None
        finally:
            call.leave()
        return call.answers

    async def transaction(self, records: Sequence[Record]) -> list[tuple[int, int]]:
        """Send records so that readers of committed records see all of them or none; give where each lies.

        Raises `FencedProducerError` where a newer process has our transactional id, and `NotSentError` where it is not
        known whether the transaction stands. After either this outbox is of no more use: whoever still has the right to
        write makes a new one. It never reconnects by itself, for then a zombie would fence the rightful one.
        """
        assert self._transactional_id is not None, "made without a transactional id"
        if not records:
            return []
        self._weigh(records)
        async with self._turn:
            if self._ended is not None:
                raise self._ended
            producer = await self._open()
            placed = [(record, self._partition(record)) for record in records]
            try:
                async with asyncio.timeout(self._answer_s):
                    return await send_transaction(producer, self._settings.prefix, placed)
            except FENCED:
                error: NotSentError | FencedProducerError = FencedProducerError(
                    f"another process took over {self._transactional_id!r}: this one must not write any more"
                )
            except TimeoutError:
                error = NotSentError("unreachable", f"not committed within {self._answer_s:g} s")
            except KafkaError as fault:
                error = NotSentError("refused", describe_refusal(fault, placed[0][0].topic))
            except BaseException:
                self._end(producer, NotSentError("stopped", "a transaction was broken off"))
                raise
            self._end(producer, error)
            raise error

    async def stop(self) -> None:
        """Send what waits, then close; in bounded time, after which what is left is given up and callers are told."""
        stopped = NotSentError("stopped", "this process is stopping: send it again to another")
        self._ended = self._ended or stopped
        pumps = [lane.pump for lane in self._lanes.values() if lane.pump is not None]
        if pumps:
            _, late = await asyncio.wait(pumps, timeout=self._answer_s)
            for pump in late:
                pump.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for lane in self._lanes.values():
            self._let_go(lane.waiting, stopped)
            lane.waiting.clear()
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._producer is not None:
            self._retire(self._producer)
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _open(self) -> AIOKafkaProducer:
        """Give the producer, a new one where there is none; several who ask at once wait for the same attempt."""
        if self._producer is not None:
            return self._producer
        if self._ended is not None:
            raise self._ended
        if self._opening is None:
            self._opening = asyncio.create_task(self._connect())
            self._opening.add_done_callback(hush)
        return await asyncio.shield(self._opening)

    async def _connect(self) -> AIOKafkaProducer:
        try:
            producer = await open_producer(
                self._settings,
                client_id=self._client_id,
                password=self._password,
                transactional_id=self._transactional_id,
            )
            try:
                self._counts |= await count_partitions(producer, self._settings, {**TOPICS, **self._counts})
            except BaseException:
                await close_producer(producer)
                raise
            self._producer = producer
            return producer
        finally:
            self._opening = None

    def _retire(self, producer: AIOKafkaProducer) -> None:
        """Use a producer no more; it is closed beside us."""
        if self._producer is producer:
            self._producer = None
        task = asyncio.create_task(close_producer(producer))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _end(self, producer: AIOKafkaProducer, error: NotSentError | FencedProducerError) -> None:
        self._ended = error
        self._retire(producer)

    def _weigh(self, records: Sequence[Record]) -> int:
        size = 0
        for record in records:
            bytes_taken = weight(record)
            if bytes_taken > RECORD_BYTES_MAX:
                raise NotSentError(
                    "refused", f"a record for {record.topic} has {bytes_taken} bytes, {RECORD_BYTES_MAX} at the most"
                )
            size += bytes_taken
        return size

    async def _learn(self, topics: Iterable[str]) -> None:
        """See that the partitions of these topics are known; a topic may have been declared after we started."""
        missing = [topic for topic in topics if topic not in self._counts]
        if missing:
            producer = await self._open()
            self._counts |= await count_partitions(producer, self._settings, [*self._counts, *missing])

    async def _room(self, size: int) -> None:
        while self._waiting_bytes and self._waiting_bytes + size > WAITING_BYTES_MAX:
            self._freed.clear()
            await self._freed.wait()
        if self._ended is not None:
            raise self._ended

    def _partition(self, record: Record) -> int:
        count = self.partitions(record.topic)
        if record.partition is None:
            return partition_for(record.key, count)
        if not 0 <= record.partition < count:
            raise NotSentError("refused", f"{record.topic} has {count} partitions, and none is {record.partition}")
        return record.partition

    def _put(self, records: Sequence[Record], call: Call) -> None:
        partitions = [self._partition(record) for record in records]
        for place, (record, partition) in enumerate(zip(records, partitions, strict=True)):
            lane = self._lanes.get((record.topic, partition))
            if lane is None:
                lane = self._lanes[record.topic, partition] = Lane(record.topic, partition)
            lane.waiting.append((record, call, place))
            self._waiting_bytes += weight(record)
            if lane.pump is None:
                lane.pump = asyncio.create_task(self._pump(lane))

    async def _pump(self, lane: Lane) -> None:
        """Send what waits in a lane, batch after batch, until nothing does."""
        try:
            while lane.waiting:
                try:
                    producer = await self._open()
                except NotSentError:
                    raise
                except BrokerError as error:
                    self._fault = str(error)
                    self._forget_left(lane)
                    await asyncio.sleep(RETRY_S)
                    continue
                batch, taken = self._fill(producer, lane)
                if taken:
                    await self._deliver(producer, lane, batch, taken)
        except NotSentError as stopped:
            self._let_go(lane.waiting, stopped)
            lane.waiting.clear()
        finally:
            lane.pump = None

    def _fill(self, producer: AIOKafkaProducer, lane: Lane) -> tuple[BatchBuilder, list[Waiting]]:
        """Make a batch of what waits; the rest stays where it is."""
        batch = producer.create_batch()
        now = round(time.time() * 1_000)
        taken: list[Waiting] = []
        while lane.waiting:
            waiting = lane.waiting[0]
            if waiting[1].done.done():
                self._release(weight(waiting[0]))
            elif append(batch, waiting[0], now):
                taken.append(waiting)
            else:
                break
            lane.waiting.popleft()
        batch.close()
        return batch, taken

    async def _deliver(self, producer: AIOKafkaProducer, lane: Lane, batch: BatchBuilder, taken: list[Waiting]) -> None:
        error: NotSentError | None = NotSentError("stopped", "this process stopped before Kafka acknowledged")
        try:
            sent = await producer.send_batch(batch, self._settings.prefix + lane.topic, partition=lane.partition)
            sent.add_done_callback(hush)
            async with asyncio.timeout(GIVE_UP_S):
                base = (await sent).offset
            for index, (_, call, place) in enumerate(taken):
                call.answer(place, (lane.partition, base + index if base >= 0 else -1))
            error = None
        except (KafkaError, TimeoutError) as fault:
            # A producer that has failed once may have left a gap in its sequence numbers: it is not to be trusted more.
            self._retire(producer)
            if isinstance(fault, TOO_LARGE) or not (isinstance(fault, TimeoutError) or fault.retriable):
                error = NotSentError("refused", describe_refusal(fault, lane.topic))
            else:
                error = NotSentError("unreachable", describe_failure(self._settings, fault))
        finally:
            self._let_go(taken, error)

    def _let_go(self, waiting: Iterable[Waiting], error: NotSentError | None) -> None:
        """Count these out; where there is an error, tell those who wait for them."""
        freed = 0
        for record, call, _ in waiting:
            freed += weight(record)
            if error is not None:
                call.fail(error)
        self._release(freed)

    def _release(self, size: int) -> None:
        self._waiting_bytes -= size
        self._freed.set()

    def _forget_left(self, lane: Lane) -> None:
        """Drop what nobody waits for any more."""
        for _ in range(len(lane.waiting)):
            waiting = lane.waiting.popleft()
            if waiting[1].done.done():
                self._release(weight(waiting[0]))
            else:
                lane.waiting.append(waiting)
