"""Faust's consumer, led by the store: each partition assigned is opened, and read from where its states stand.

Owns the one place where Faust's internals are touched (`seek_to_committed`, `Transport.Consumer`); Faust is pinned
exactly and `tests/stream/live/test_consumer.py` holds it to what is used here. Must not know a stage's content.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, ClassVar

from faust.transport.drivers.aiokafka import Consumer, Transport
from faust.types import TP

from stream.live.stage import LogRange

Opener = Callable[[TP, LogRange], Awaitable[int]]
"""Opens a partition that was assigned; gives the offset to read from."""
Retain = Callable[[Collection[TP]], None]
"""Hears which partitions are ours, before they are opened."""


class StoreLedConsumer(Consumer):
    """Goes on where the store says, never where the group's committed offset stands."""

    opener: ClassVar[Opener]
    retain: ClassVar[Retain]

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Open every assigned partition and seek to where its states stand."""
        assigned = sorted(self.assignment())
        type(self).retain(assigned)
        if not assigned:
            return {}
        begins = await self.earliest_offsets(*assigned)
        ends = await self.highwaters(*assigned)
        offsets: dict[TP, int] = {}
        for tp in assigned:
            offsets[tp] = await type(self).opener(tp, LogRange(begins[tp], ends[tp]))
        await self.seek_wait(offsets)
        return offsets


def install(app: Any, opener: Opener, retain: Retain) -> None:
    """Have an app use a consumer that opens partitions by `opener`, after `retain` heard of them all."""

    class ConsumerOfApp(StoreLedConsumer):
        pass

    ConsumerOfApp.opener = staticmethod(opener)
    ConsumerOfApp.retain = staticmethod(retain)

    class TransportOfApp(Transport):
        Consumer = ConsumerOfApp

    conf = app.conf
    app.transport = TransportOfApp(conf.broker_consumer, app)
