"""Another number of partitions: an installation's patients carried over to a new prefix, each to his key's new place.

Owns the procedure: when it is refused, what is carried, and in which order. Must not know how anything is folded.
docs/live.md has what people do before and after, docs/decisions/0021 why it is done so.

The new log begins, in each partition, with what is in force; then each patient has one record (`Carried`) with his
state as it stood when the old log had been folded to its end. So nothing is scored again and nothing told otherwise;
alerts go on under their ids. A state that Redis loses later is folded anew from that record on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from connectors.kafka.admin import check, open_admin
from connectors.kafka.reading import log_range
from connectors.kafka.topics import ALERTS, CANDIDATES, CONTROL, EVENTS, EXAMPLES, IDENTITIES, MODELS, SCORES
from connectors.redis.carrying import parsed_through
from connectors.redis.connection import connect
from connectors.redis.layout import Client, layout_key, read_layout
from connectors.redis.partition_store import RedisPartitionStore
from stream.live.carrying import CarriedOver, End, RepartitionRefusedError, carry
from stream.live.holes import holds_nothing, open_transactions
from stream.live.parsing import INGEST_TOPICS
from stream.live_settings import STAGES
from stream.settings import SiteFile

EMPTY_BEFORE = (EVENTS, CANDIDATES, SCORES, ALERTS, CONTROL, MODELS, IDENTITIES, EXAMPLES)
"""Topics of the new prefix that must hold nothing; its ingest topics may: a gateway may take messages already."""
SESSION_MARGIN_S = 3.0
"""Beyond the session time-out: the broker looks at it now and then."""
LOOK_S = 0.5
Ranges = dict[str, dict[int, tuple[int, int]]]


async def repartition(old: End, new: End, tell: Callable[[str], None] = lambda _line: None) -> CarriedOver:
    """Carry an installation that is drained over to a new prefix.

    Raises `RepartitionRefusedError` before anything is written, or where somebody wrote to the old one meanwhile;
    `BrokerError`, `RedisConnectionError` and `StoreFault` where a server fails. After those the new prefix is to be
    thrown away: nothing of the old one is changed, ever.
    """
    _refuse_same(old.site, new.site)
    source = await asyncio.to_thread(connect, old.site.redis, old.redis_password)
    target = await asyncio.to_thread(connect, new.site.redis, new.redis_password)
    try:
        ranges = await _drained(old, source)
        await _ready(new, target)
        tell("the old installation is drained, the new one is empty")
        carried = await carry(old, new, source, target, len(ranges[EVENTS]), tell)
        if _ends(await _ranges(old)) != _ends(ranges):
            raise RepartitionRefusedError(
                "somebody wrote to the old installation meanwhile: see who still runs, let it drain, throw away the "
                "topics of the new prefix, and begin again"
            )
        await _nobody_works(old, "the old")
        await _nobody_works(new, "the new")
    finally:
        source.close()
        target.close()
    return carried


# -- when it is refused -----------------------------------------------------------------------------------------------


def _refuse_same(old: SiteFile, new: SiteFile) -> None:
    if (old.kafka.bootstrap, old.kafka.prefix) == (new.kafka.bootstrap, new.kafka.prefix):
        raise RepartitionRefusedError("both configurations have the same [kafka] prefix: give the new one another")
    if (old.redis.host, old.redis.port, old.redis.prefix) == (new.redis.host, new.redis.port, new.redis.prefix):
        raise RepartitionRefusedError("both configurations have the same [redis] prefix: give the new one another")


async def _ranges(end: End) -> Ranges:
    names = (*INGEST_TOPICS, EVENTS, CANDIDATES, CONTROL)
    return {name: await log_range(end.site.kafka, name, password=end.kafka_password) for name in names}


def _ends(ranges: Ranges) -> dict[str, list[int]]:
    return {name: [end for _, (_, end) in sorted(found.items())] for name, found in ranges.items()}


async def _drained(old: End, client: Client) -> Ranges:
    """See that the old installation has folded all it has, and that nobody works it; give how far its logs reach."""
    await _nobody_works(old, "the old")
    ranges = await _ranges(old)
    count = (await asyncio.to_thread(read_layout, client, old.site.redis.prefix)).partitions
    if count != len(ranges[EVENTS]):
        raise RepartitionRefusedError(
            f"Redis holds the states of {count} partitions under prefix {old.site.redis.prefix!r}, and {EVENTS} has "
            f"{len(ranges[EVENTS])}: the two are not one installation's"
        )
    unfolded = await asyncio.to_thread(_unfolded, old.site, client, ranges)
    behind = [
        f"{topic}/{number}: {end - at} records to fold"
        for (topic, number), (at, end) in unfolded.items()
        if not await holds_nothing(old.site.kafka, old.kafka_password, topic, number, at)
    ]
    held = await open_transactions(old.site.kafka, old.kafka_password, INGEST_TOPICS)
    behind += [f"{topic}/{number}: a writer's transaction is open" for topic, number in held]
    if behind:
        told = "; ".join(behind)
        raise RepartitionRefusedError(
            f"the old installation is not drained ({told}): stop its gateways, let its workers fold what there is, "
            "stop them, and begin again"
        )
    return ranges


def _unfolded(site: SiteFile, client: Client, ranges: Ranges) -> dict[tuple[str, int], tuple[int, int]]:
    """Give from where to where partitions are not folded; blocks. There may be no records: see `stream.live.holes`."""
    prefix = site.redis.prefix
    marks: dict[tuple[str, int], int] = {}
    for topic in INGEST_TOPICS:
        marks |= {(topic, number): parsed_through(client, prefix, topic, number) for number in ranges[topic]}
    for stage, topic in (("patient", EVENTS), ("ward", CANDIDATES)):
        for number in ranges[topic]:
            marks[topic, number] = RedisPartitionStore(client, prefix, stage, number).watermark()
    found = {}
    for (topic, number), mark in marks.items():
        begin, end = ranges[topic][number]
        at = max(mark + 1, begin)
        if at < end:
            found[topic, number] = (at, end)
    return found


async def _nobody_works(end: End, which: str) -> None:
    """See that no worker is in a group: it would write ticks, decisions and outputs meanwhile.

    One that has stopped is a member until its session times out, for it may be a restart: so long is waited.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + end.site.live.session_timeout_s + SESSION_MARGIN_S
    while members := await _members(end):
        if loop.time() > deadline:
            raise RepartitionRefusedError(f"{members} worker(s) of {which} installation run: stop them first")
        await asyncio.sleep(LOOK_S)


async def _members(end: End) -> int:
    kafka, count = end.site.kafka, 0
    async with open_admin(kafka, end.kafka_password) as client:
        for stage in STAGES:
            # One at a time: aiokafka reads an answer of several groups wrongly.
            for answer in await client.describe_consumer_groups([f"{kafka.prefix}wardstream.{stage}"]):
                count += sum(len(group["members"]) for group in answer.to_object()["groups"])
    return count


async def _ready(new: End, client: Client) -> None:
    """See that the new installation is declared, and that nothing has been folded there."""
    await check(new.site.kafka, new.kafka_password)
    await _nobody_works(new, "the new")
    for name in EMPTY_BEFORE:
        if any(end for _, end in (await log_range(new.site.kafka, name, password=new.kafka_password)).values()):
            raise RepartitionRefusedError(
                f"{new.site.kafka.prefix}{name} holds records: take a prefix that nobody has used; where an earlier "
                "attempt was broken off, you may delete the new topics (but the ingest topics), and declare them again"
            )
    if await asyncio.to_thread(client.exists, layout_key(new.site.redis.prefix)):
        raise RepartitionRefusedError(
            f"Redis holds states under prefix {new.site.redis.prefix!r} already: take another [redis] prefix"
        )
