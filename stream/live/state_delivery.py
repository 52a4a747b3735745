"""How what comes of [ward] is written: what the wards are told and the alerts' states in one transaction, then signals.

Owns the transactional producers, one a partition of [ward]. Must not know what is written.

`alerts.state.v1` is compacted: what a process that slept through a rebalance writes there late would be the last word,
and what it tells late might be told otherwise than its successor does. So each partition's owner writes under the
partition's own transactional id; the broker lets only the newest one write. A heartbeat comes after what it names, and
needs no owner: its content follows from the log, whoever writes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from connectors.kafka.faults import BrokerError, FencedProducerError, NotSentError
from connectors.kafka.outbox import Outbox
from connectors.kafka.record import Record
from connectors.kafka.topics import ALERT_STATES, ALERTS, SIGNALS
from features.store import FencedError
from stream.live.stage import StagePartition


class StateDelivery:
    """Writes for every partition of [ward] that this process holds."""

    def __init__(
        self, outbox: Outbox, make: Callable[[str], Outbox], read_newest: Callable[[int], Awaitable[int]]
    ) -> None:
        """`make` gives an outbox under a transactional id; `read_newest` looks on `alerts.v1`."""
        self._outbox = outbox
        self._read_newest = read_newest
        self._make = make
        self._states: dict[int, tuple[int, Outbox]] = {}
        """By partition: the epoch it was opened under, and its outbox."""

    async def __call__(self, partition: StagePartition, records: Sequence[Record]) -> None:
        """Write all; raises `NotSentError`, and `FencedError` where somebody else has the partition."""
        plain = [record for record in records if record.topic not in (ALERTS, ALERT_STATES, SIGNALS)]
        states = [record for record in records if record.topic in (ALERTS, ALERT_STATES)]
        if plain:
            await self._outbox.send(plain)
        if states:
            outbox = await self._of(partition)
            try:
                await outbox.transaction(states)
            except FencedProducerError as fault:
                await self._drop(partition.number)
                if await asyncio.to_thread(partition.still_ours):
                    # One who thought it his came late, and has let go of it since: we go on under a new producer.
                    raise NotSentError("unreachable", str(fault)) from None
                raise FencedError(str(fault)) from None
            except NotSentError:
                await self._drop(partition.number)
                raise
        signals = [record for record in records if record.topic == SIGNALS]
        if signals:
            await self._outbox.send(signals)

    async def open_way(self, partition: StagePartition) -> None:
        """Have what a partition's alerts are written by at hand. Raises `NotSentError` and `FencedError`."""
        await self._of(partition)

    async def newest_told(self, partition: StagePartition) -> int:
        """Give the newest candidate that `alerts.v1` has of a partition; -1 where none. No former owner tells another.

        Raises `NotSentError`, which says to ask again, and `FencedError`.
        """
        await self._of(partition)
        try:
            return await self._read_newest(partition.number)
        except BrokerError as fault:
            raise NotSentError("unreachable", str(fault)) from None

    async def _of(self, partition: StagePartition) -> Outbox:
        held = self._states.get(partition.number)
        if held is not None and held[0] == partition.epoch:
            return held[1]
        await self._drop(partition.number)
        # A new producer under the id shuts the last one out: only who owns the partition may have one.
        if not await asyncio.to_thread(partition.still_ours):
            raise FencedError(f"partition {partition.number} was taken")
        outbox = self._make(f"states.{partition.number}")
        try:
            await outbox.start()
            # Asked again: connecting takes time, in which another may have taken the partition and begun to write. One
            # who takes it after this answer opens his producer after ours, and ours is shut out.
            if not await asyncio.to_thread(partition.still_ours):
                raise FencedError(f"partition {partition.number} was taken")  # noqa: TRY301 - closed like the others
        except BrokerError as fault:
            await outbox.stop()
            raise NotSentError("unreachable", str(fault)) from None
        except BaseException:
            await outbox.stop()
            raise
        self._states[partition.number] = (partition.epoch, outbox)
        return outbox

    async def _drop(self, number: int) -> None:
        held = self._states.pop(number, None)
        if held is not None:
            await held[1].stop()

    async def stop(self) -> None:
        """Close every producer."""
        for number in list(self._states):
            await self._drop(number)
