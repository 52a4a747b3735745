"""One stage of the live host as a Faust app: the agent, the partitions it holds, and the order of their steps.

Owns what happens to a batch (work, produce, wait, commit, ack), what happens when that fails, and how far each
partition is. Must not know what a stage folds.

Where the store or the broker cannot be had the batch is tried again until they can: nothing is skipped, and the health
says so meanwhile. Where somebody else took a partition (a rebalance, a process that slept through one) its records are
let go of: whoever owns it folds them.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import faust
from aiokafka.errors import IllegalStateError
from faust.types import TP
from mode.supervisors import CrashingSupervisor

from connectors.kafka.faults import NotSentError, UnreachableError
from connectors.kafka.record import Record
from events import Millis
from features.store import FencedError, LostStateError, StoreFault
from stream.live.consumer import install
from stream.live.holes import Look, in_turn, looks_nowhere
from stream.live.progress import Place, Progress, ProgressWatch, Standing, Starvation
from stream.live.stage import LogItem, LogRange, StagePartition, StarvedError
from stream.live.stage_settings import StageObserver, StageSettings
from stream.live.steps import Answer, Steps

RETRY_S_MIN, RETRY_S_MAX = 0.2, 5.0
"""Between two tries while the store or the broker cannot be had."""
IDLE_LOOK_S = 1.0
"""How often each partition is asked what must enter the log by itself."""
LOST_S_MAX = 15.0
"""A partition that the store gave to somebody else, while the broker says it is ours for so long: begin anew."""
BUNDLES_MAX = 16
"""Taken at a time, of all partitions: what was fetched of a partition at once is one, or several of the longest."""
TURN_S_MAX = 10.0
"""How long a partition's records may wait behind those of others; longer than what is buffered takes."""
BUFFERED_MAX = 16
"""Bundles that wait; fetching pauses beyond."""

Step = Callable[[], Awaitable[Answer]]
Deliver = Callable[[StagePartition, Sequence[Record]], Awaitable[object]]
"""Writes what came of a partition; returns when all of it is acknowledged."""


class StageApp:
    """One stage, running. Made and used on the event loop's thread."""

    def __init__(
        self,
        settings: StageSettings,
        make: Callable[[str, int], StagePartition],
        deliver: Deliver,
        observer: StageObserver,
        now: Callable[[], Millis],
        end_of: Callable[[str, int], int] = lambda _topic, _partition: 0,
        look: Look = looks_nowhere,
    ) -> None:
        """`end_of` says where a partition ends, by another's word than the consumer's own, which may have died.

        `look` reads a partition a second time, where offsets have no record: see `stream.live.holes`.
        """
        self.settings = settings
        self._make = make
        self._deliver = deliver
        self._observer = observer
        self._now = now
        self._end_of = end_of
        self._look = look
        self._partitions: dict[TP, StagePartition] = {}
        self._locks: dict[TP, asyncio.Lock] = {}
        self._lost: dict[TP, float] = {}
        """Partitions that somebody else took, and when we learned of it."""
        self._opened: set[TP] = set()
        """Partitions whose states in memory are those of the store, or of a batch under way."""
        self._next: dict[TP, int] = {}
        """The offset of the record that each partition is to fold next."""
        self._progress = ProgressWatch(settings.name, settings.progress_s_max)
        self._starvation = Starvation(settings.name, settings.progress_s_max)
        self._entering: dict[TP, asyncio.Task[None]] = {}
        self._faults: dict[str, str] = {}
        self._steps = Steps(settings.name)
        self.app = self._build()
        self._idle: asyncio.Task[None] | None = None

    def _build(self) -> Any:
        settings = self.settings
        app = faust.App(
            settings.group,
            broker=[f"kafka://{address.strip()}" for address in settings.brokers.split(",")],
            broker_credentials=settings.credentials,
            store="memory://",
            datadir=str(Path(tempfile.gettempdir()) / "wardstream-faust"),  # it makes folders, and keeps nothing there
            web_enabled=False,
            topic_disable_leader=True,
            topic_allow_declare=False,
            topic_partitions=1,
            agent_supervisor=CrashingSupervisor,
            stream_wait_empty=False,
            stream_publish_on_commit=False,
            stream_buffer_maxsize=BUFFERED_MAX,
            consumer_auto_offset_reset="earliest",
            consumer_group_instance_id=settings.instance,
            broker_session_timeout=settings.session_timeout_s,
            broker_heartbeat_interval=settings.session_timeout_s / 3,
            broker_commit_interval=0.5,
            key_serializer="raw",
            value_serializer="raw",
        )
        install(app, self._open, self._retain, settings.batch_records_max)
        source = app.topic(*settings.topics, key_serializer="raw", value_serializer="raw", internal=True)

        async def work(stream: Any) -> None:
            await self._work_forever(stream)

        app.agent(source, name=f"{settings.group}.agent", concurrency=1)(work)
        return app

    # -- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Join the group and begin."""
        await self.app.start()
        self._idle = asyncio.create_task(self._idle_forever())

    async def stop(self) -> None:
        """Leave the group. What is in the middle of a batch is repeated by whoever comes next."""
        for task in (self._idle, *self._entering.values()):
            if task is not None:
                task.cancel()
        await self.app.stop()
        self._steps.close()

    @property
    def crashed(self) -> BaseException | None:
        """Why the app has died, if it has: the process must end, for a supervisor to start another."""
        reason = self.app.crash_reason
        if reason is None and self._idle is not None and self._idle.done() and not self._idle.cancelled():
            reason = self._idle.exception()
        assert reason is None or isinstance(reason, BaseException)
        return reason

    # -- partitions -------------------------------------------------------------------------------------------------

    async def _open(self, tp: TP, log: LogRange) -> int:
        """Open a partition that was assigned, after whatever batch of it is under way; one still ours goes on."""
        async with self._lock(tp):
            partition = self._partitions.get(tp)
            if partition is None:
                partition = self._partitions[tp] = self._make(tp.topic, tp.partition)
                self._opened.discard(tp)
            if tp in self._lost or tp not in self._opened or not await self._insist("look", partition.still_ours):
                self._opened.discard(tp)  # who takes it and fails has the epoch, and not the states
                try:
                    start = await self._insist("open", partial(partition.open, log))
                except FencedError as fault:
                    # Somebody took it while we did: another rebalance follows, or `_idle_forever` ends this process.
                    self._lost_to(tp, fault)
                    return log.end
            else:
                start = partition.folded + 1
            self._lost.pop(tp, None)
            self._progress.came(tp)
            self._next[tp] = start
            self._opened.add(tp)
            return start

    def _lost_to(self, tp: TP, fault: FencedError) -> None:
        self._lost[tp] = time.monotonic()
        self._observer.failed(self.settings.name, "fenced", fault)

    def _retain(self, assigned: Collection[TP]) -> None:
        """Let go of the partitions that are no longer ours."""
        for tp in [tp for tp in self._partitions if tp not in assigned]:
            del self._partitions[tp]
            self._opened.discard(tp)
            self._lost.pop(tp, None)
            self._progress.forget(tp)

    def _lock(self, tp: TP) -> asyncio.Lock:
        return self._locks.setdefault(tp, asyncio.Lock())

    async def _insist(self, where: str, step: Callable[[], Answer]) -> Answer:
        """Do a blocking step, in a thread of the stage's own, until the store lets it be done."""
        return await self._until_done(where, lambda: self._steps.do(step))

    async def _until_done(self, where: str, step: Step[Answer]) -> Answer:
        """Try until the store and the broker can be had; a fence is no outage."""
        wait_s = RETRY_S_MIN
        while True:
            try:
                done = await step()
            except FencedError:
                self._faults.pop(where, None)  # somebody has taken the partition: what failed is no longer ours
                raise
            except (StoreFault, NotSentError, UnreachableError) as fault:
                self._faults[where] = str(fault)
                self._observer.failed(self.settings.name, where, fault)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, RETRY_S_MAX)
            else:
                self._faults.pop(where, None)
                return done

    # -- batches ----------------------------------------------------------------------------------------------------

    async def _work_forever(self, stream: Any) -> None:
        settings = self.settings
        async for events in stream.noack_take(BUNDLES_MAX, within=settings.linger_s):
            groups: dict[TP, list[LogItem]] = {}
            for event in events:
                groups.setdefault(event.message.tp, []).extend(event.message.items)
            await asyncio.gather(*(self._work_all(tp, items) for tp, items in groups.items()))
            for event in events:
                await stream.ack(event)

    async def _work_all(self, tp: TP, items: Sequence[LogItem]) -> None:
        """Fold one partition's part, a batch after the other."""
        size = self.settings.batch_records_max
        for start in range(0, len(items), size):
            await self._work(tp, items[start : start + size])

    async def _work(self, tp: TP, items: Sequence[LogItem]) -> None:
        """Fold one partition's part of a batch, until it is committed or somebody else owns it."""
        async with self._lock(tp):
            partition = self._partitions.get(tp)
            if partition is None or tp in self._lost:
                return
            try:
                fresh = await self._in_turn(tp, partition, items)
                if not fresh:
                    return
                began = time.perf_counter()
                records = await self._insist(f"work of {tp.topic}/{tp.partition}", partial(partition.work, fresh))
                if records:
                    await self._while_ours("produce", tp, partition, partial(self._deliver, partition, records))
                await self._insist(f"commit of {tp.topic}/{tp.partition}", partition.commit)
            except LostStateError:
                raise  # The records before these must be read again: by a process that begins anew.
            except FencedError as fault:
                self._lost_to(tp, fault)
                return
            except BaseException:
                self._opened.discard(tp)  # half done: only who opens it anew may go on
                raise
            if self._partitions.get(tp) is partition:  # else it was let go of meanwhile: nothing of it is ours to note
                self._next[tp] = fresh[-1].offset + 1
            self._observer.worked(self.settings.name, len(fresh), len(records), time.perf_counter() - began)

    async def _while_ours(self, what: str, tp: TP, partition: StagePartition, step: Step[Answer]) -> Answer:
        """Have the broker do something while the partition is ours: who slept through a rebalance writes no more."""

        async def ask() -> Answer:
            if where in self._faults and not await asyncio.to_thread(partition.still_ours):
                raise FencedError(f"{tp.topic}/{tp.partition} was taken while the broker could not be had")
            return await step()

        where = f"{what} of {tp.topic}/{tp.partition}"
        return await self._until_done(where, ask)

    async def _in_turn(self, tp: TP, partition: StagePartition, items: Sequence[LogItem]) -> list[LogItem]:
        """Give those of a batch that are next to be folded; note where later ones came instead.

        Where there is a hole before a later one, a second reading says whether it is one; it is waited for.
        """
        at, last = self._next[tp], items[-1].offset
        fresh = in_turn(items, at)
        at += len(fresh)
        if last >= at:
            look = partial(self._look, tp.topic, tp.partition, at, last + 1)
            seen = await self._while_ours("second reading", tp, partition, look)
            fresh += in_turn(items, at, seen)
        if fresh:
            self._progress.came(tp)
            at = fresh[-1].offset + 1
        if last >= at:
            self._progress.missing(tp, at)
        return fresh

    # -- what enters the log by itself ------------------------------------------------------------------------------

    async def _idle_forever(self) -> None:
        while True:
            await asyncio.sleep(IDLE_LOOK_S)
            assigned = self._assigned()
            for tp, partition in list(self._partitions.items()):
                if tp in self._lost:
                    if tp in assigned and time.monotonic() - self._lost[tp] > LOST_S_MAX:
                        raise FencedError(f"{tp.topic}/{tp.partition} was taken by nobody that the broker knows")
                    continue
                task = self._entering.get(tp)
                if task is not None and task.done():
                    task.result()
                if task is None or task.done():
                    # Beside the others: one that cannot be written must not keep time and decisions from the rest.
                    self._entering[tp] = asyncio.create_task(self._enter(tp, partition))

    async def _enter(self, tp: TP, partition: StagePartition) -> None:
        await self._look_ahead(tp, partition)
        async with self._lock(tp):
            if self._partitions.get(tp) is not partition or tp not in self._opened or tp in self._lost:
                return
            records = await self._insist(f"idle of {tp.topic}/{tp.partition}", partial(partition.idle, self._now()))
            if records:
                try:
                    await self._while_ours("produce", tp, partition, partial(self._deliver, partition, records))
                except FencedError as fault:
                    self._lost_to(tp, fault)

    async def _look_ahead(self, tp: TP, partition: StagePartition) -> None:
        """Where a partition stands still before the log's end: see whether there are records at all."""
        at = self._standing(tp, partition)
        begin = self._progress.unproved_from(tp, at)
        if begin is None:
            return
        with suppress(UnreachableError):  # `Ends` tells of that; ticks and decisions do not wait for it
            seen = await self._look(tp.topic, tp.partition, begin, None)
            if seen is not None and seen.first_from(begin) == seen.end:
                self._progress.emptied(tp, at.folded, seen.end)
            elif seen is not None:
                await self._read_again(tp)

    async def _read_again(self, tp: TP) -> None:
        """Go back to the record that is next, where it stands in the log and nothing of it that was handed on is left.

        Faust drops what it fetched where two rebalances overlap, and does not go back by itself. While something of
        others is left this partition may merely wait for its turn; but under load there always is.
        """
        async with self._lock(tp):
            consumer = self.app.consumer
            if tp not in self._assigned() or not consumer.flow_active or tp in self._lost:
                return
            left = {bundle.tp for bundle in consumer.unacked}
            if tp in left or (left and self._progress.still_s(tp) < TURN_S_MAX):
                return
            fault = StarvedError(f"{tp.topic}/{tp.partition}: record {self._next[tp]} was not handed on")
            self._observer.failed(self.settings.name, "read again", fault)
            with suppress(IllegalStateError):  # it is no longer ours
                await consumer.seek_wait({tp: self._next[tp]})

    def _assigned(self) -> Collection[TP]:
        return self.app.consumer.assignment() if self.app.started else ()

    @property
    def partitions(self) -> list[StagePartition]:
        """Those at hand."""
        return list(self._partitions.values())

    # -- how far ----------------------------------------------------------------------------------------------------

    def watch(self, *, outage: bool = False) -> None:
        """Note since when each partition stands still; to be called about every second.

        Raises `GapError`; and `StarvedError`, unless there is an outage that others know of.
        """
        standings, assigned = self._standings(), self._assigned()
        self._progress.look(standings)
        under_way = outage or self._faults or any(lock.locked() for lock in self._locks.values())
        behind = any(one.lag for one in self._progress.progress(standings) if (one.topic, one.partition) in assigned)
        waits = not under_way and (behind or any(tp not in self._opened for tp in assigned))
        self._starvation.look(sorted(self._next.items()), waits=waits, now=time.monotonic())

    def _standings(self) -> dict[Place, Standing]:
        return {tp: self._standing(tp, partition) for tp, partition in self._partitions.items()}

    def _standing(self, tp: TP, partition: StagePartition) -> Standing:
        seen, held = self.app.consumer.reach(tp) if tp in self._assigned() else (0, 0)
        # Where retention took what was never folded, it goes on from the log's beginning: nothing before that waits.
        folded = max(partition.folded, self._next[tp] - 1) if tp in self._opened else partition.folded
        return Standing(folded, max(seen, self._end_of(tp.topic, tp.partition)), held)

    def progress(self) -> list[Progress]:
        """Give how far each partition is; cheap, and without asking anybody."""
        return self._progress.progress(self._standings())

    def problems(self) -> list[str]:
        """Say what is wrong, in words for an operator."""
        name = self.settings.name
        found = [f"{name}: {where} fails: {fault}" for where, fault in sorted(self._faults.items())]
        found += [problem for partition in self._partitions.values() for problem in partition.problems]
        standings = self._standings()
        return [*found, *self._progress.stuck(standings), *self._progress.held(standings), *self._crash()]

    def dead(self, *, outage: bool = False) -> list[str]:
        """Say what a new process would mend: this one has died, or stands still though nothing outside it fails."""
        stuck = [] if outage or self._faults else self._progress.stuck(self._standings())
        return [*self._crash(), *stuck]

    def _crash(self) -> list[str]:
        return [] if self.crashed is None else [f"{self.settings.name}: died of {type(self.crashed).__name__}"]
