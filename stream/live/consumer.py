"""Faust's consumer, led by the store: each partition assigned is opened, and read from where its states stand.

Owns the one place where Faust's internals are touched (`Transport.Consumer` and what is overridden here); Faust is
pinned exactly and `tests/live/test_consumer.py` holds it to what is used here. Must not know a stage's content.

Faust makes four tasks of each message that it hands to an agent, some 150 microseconds. We fold a partition's records
together, so what was fetched of a partition goes through Faust as one message: a bundle.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar

from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from stream.live.stage import ForeignLogError, LogItem, LogRange

FETCH_WAIT_MS = 100
"""How long the broker keeps a fetch for which there is nothing. aiokafka asks a broker for one thing at a time: a
record on a partition that was just read waits until the fetch for the others comes back. With Faust's 1.5 s one alert
in fifty came more than a second late."""

BUFFERED_LOOK_S = 0.02
"""How soon to look again while what was fetched waits for the agent. Faust waits a second, whatever becomes free
meanwhile; aiokafka wakes nobody for what it has had since before. One alert in fifty came a second late for that."""

Opener = Callable[[TP, LogRange], Awaitable[int]]
"""Opens a partition that was assigned; gives the offset to read from."""
Retain = Callable[[Collection[TP]], None]
"""Hears which partitions are ours, before they are opened."""


class Bundle(ConsumerMessage):
    """Records of one partition, one after the other; to Faust it is a message that stands where the last one does."""

    __slots__ = ("items",)

    items: Sequence[LogItem]


class CommittedThread(AIOKafkaConsumerThread):
    """Reads committed records alone: what a writer's transaction aborted must not be folded, nor what it may abort.

    And soon: see `FETCH_WAIT_MS`.
    """

    def _create_worker_consumer(self, transport: Any) -> Any:
        """Have aiokafka leave the others out, which Faust does only where it writes transactions itself."""
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"  # noqa: SLF001 - read when it starts; there is no other way
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001 - likewise
        return consumer

    def reach(self, tp: TP) -> tuple[int, int]:
        """Give the last stable offset, and how many lie between it and the log's end; (0, 0) before any answer."""
        consumer = self._ensure_consumer()
        stable, high = consumer.last_stable_offset(tp), consumer.highwater(tp)
        return (0, 0) if stable is None or stable < 0 or high is None else (stable, max(high - stable, 0))


class StoreLedConsumer(Consumer):
    """Goes on where the store says, never where the group's committed offset stands; and hands on bundles."""

    opener: ClassVar[Opener]
    retain: ClassVar[Retain]
    bundle_records_max: ClassVar[int]
    _thread: CommittedThread

    def _new_consumer_thread(self) -> CommittedThread:
        return CommittedThread(self, loop=self.loop, beacon=self.beacon)

    def reach(self, tp: TP) -> tuple[int, int]:
        """Give up to where committed records reach, and how many offsets an open transaction holds back beyond."""
        return self._thread.reach(tp)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Open every assigned partition and seek to where its states stand."""
        assigned = sorted(self.assignment())
        type(self).retain(assigned)
        if not assigned:
            return {}
        begins = await self.earliest_offsets(*assigned)
        ends = dict(await self.highwaters(*assigned))
        offsets: dict[TP, int] = {}
        for tp in assigned:
            try:
                offsets[tp] = await type(self).opener(tp, LogRange(begins[tp], ends[tp]))
            except ForeignLogError:
                # A process that was stopped for a while asked long ago where the log ends.
                ends.update(await self.highwaters(tp))
                offsets[tp] = await type(self).opener(tp, LogRange(begins[tp], ends[tp]))
        await self.seek_wait(offsets)
        return offsets

    async def _wait_next_records(self, timeout: float) -> Any:  # noqa: ASYNC109 - Faust's
        """Give what was fetched next; where the agent has all it can take of a partition, look for it again soon."""
        while self._buffered_partitions and not self._get_active_partitions():
            if self.should_stop or not self.flow_active:
                break
            await self.sleep(BUFFERED_LOOK_S)
        return await super()._wait_next_records(BUFFERED_LOOK_S if self._buffered_partitions else timeout)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109 - Faust's
        """Bundle what was fetched of each partition."""
        size = self.bundle_records_max
        fetched = await super()._getmany(active_partitions, timeout)
        return {
            tp: [records[start : start + size] for start in range(0, len(records), size)]
            for tp, records in fetched.items()
        }

    def _to_message(self, tp: TP, record: Any) -> Bundle:
        last = record[-1]
        bundle = Bundle(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1_000,
            last.timestamp_type,
            None,
            None,
            b"",
            None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )
        bundle.items = [
            LogItem(each.offset, each.key, each.value, tuple(each.headers), max(each.timestamp, 0)) for each in record
        ]
        return bundle

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Leave alone what lies between the ends of two bundles: Faust would take it for lost."""

    def _new_offset(self, tp: TP) -> int | None:
        """Give what the group may note as done: the agent acknowledges in order. Nobody goes on from there."""
        acked = self._acked[tp]
        if not acked:
            return None
        newest: int = max(acked)
        acked.clear()
        self._acked_index[tp].clear()
        return newest + 1


def install(app: Any, opener: Opener, retain: Retain, bundle_records_max: int) -> None:
    """Have an app use a consumer that opens partitions by `opener`, after `retain` heard of them all.

    Its agents are handed `Bundle`s, of so many records at the most.
    """

    class ConsumerOfApp(StoreLedConsumer):
        pass

    ConsumerOfApp.opener = staticmethod(opener)
    ConsumerOfApp.retain = staticmethod(retain)
    ConsumerOfApp.bundle_records_max = bundle_records_max

    class TransportOfApp(Transport):
        Consumer = ConsumerOfApp

    conf = app.conf
    app.transport = TransportOfApp(conf.broker_consumer, app)
