"""Another number of partitions: an installation's log carried over to a new prefix, each record to its key's new place.

Owns the procedure: when it is refused, what is carried, and in which order. Must not know how anything is folded: the
workers under the new prefix fold the carried log anew. docs/live.md has what people do before and after.

Why it is right: what a fold says of a patient depends on his own records in their order, on the control records among
them, and on the whole minutes at which his timers fired. A patient's records lie in one old partition and come to one
new one, in their order. Old partitions are merged by their clocks (each its records' highest received time so far).
Where a partition's clock had passed a whole minute that a record itself does not tell, a tick of that minute is put
before it, so that the same timers have fired. What a fold passed on to another key stands in the log already, and is
not passed on twice (`CARRIED`). A decision reached the old partitions within moments of each other, and stands at the
first of these moments in all new ones: what was scored between them may be scored otherwise. `compare_alerts` tells.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from hashlib import sha256
from typing import NamedTuple

import msgspec

from connectors.kafka.admin import check, open_admin
from connectors.kafka.outbox import Outbox
from connectors.kafka.partitioning import partition_for
from connectors.kafka.reading import KafkaRecord, log_range, read_topic
from connectors.kafka.record import Record
from connectors.kafka.topics import topic_headers
from connectors.redis.carrying import carry_parse, parsed_through
from connectors.redis.connection import connect
from connectors.redis.identity_store import RedisIdentityStore
from connectors.redis.layout import Client, layout_key, read_layout
from connectors.redis.partition_store import RedisPartitionStore
from events import Envelope, Millis, decode_envelope, encode_envelope
from events.encoding import UndecodableEnvelopeError
from stream.fold import TICK_MS, tick
from stream.live.outputs import CANDIDATES, CARRIED, EVENTS
from stream.live.parsing import INGEST_TOPICS
from stream.live_settings import STAGES
from stream.repeats import RecentRecords
from stream.settings import SiteFile

CONTROL, MODELS, IDENTITIES = "control.v1", "models.v1", "identities.v1"
EMPTY_BEFORE = (EVENTS, CANDIDATES, "scores.v1", "alerts.v1", CONTROL, MODELS, IDENTITIES, "examples.v1")
"""Topics of the new prefix that must hold nothing; its ingest topics may: a gateway may take messages already."""
BATCH_RECORDS = 500
SESSION_MARGIN_S = 3.0
"""Beyond the session time-out: the broker looks at it now and then."""
LOOK_S = 0.5
Ranges = dict[str, dict[int, tuple[int, int]]]


class RepartitionRefusedError(Exception):
    """The installation, or where it is to go, is not ready: the operator's. The text says what to do first."""


class Carried(msgspec.Struct, frozen=True):
    """What was carried over."""

    events: int
    """Records of patients."""
    controls: int
    """Records of no patient, each once to every partition."""
    ticks: int
    """Ticks put in, so that the same timers have fired."""
    repeats: int
    """Records that their fold had dropped, and that stay behind."""
    unreadable: int
    """Records that no fold could read: they are on deadletters.v1 already."""
    decisions: int
    versions: int
    identities: int
    remembered: int
    """Keys of what [parse] knows in Redis."""


class End(NamedTuple):
    """One of the two installations, with its secrets."""

    site: SiteFile
    kafka_password: str = ""
    redis_password: str = ""


async def repartition(old: End, new: End, tell: Callable[[str], None] = lambda _line: None) -> Carried:
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
        carried = await _carry(old, new, source, target, ranges, tell)
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
    behind = await asyncio.to_thread(_behind, old.site, client, ranges)
    if behind:
        told = "; ".join(behind)
        raise RepartitionRefusedError(
            f"the old installation is not drained ({told}): stop its gateways, let its workers fold what there is, "
            "stop them, and begin again"
        )
    return ranges


def _behind(site: SiteFile, client: Client, ranges: Ranges) -> list[str]:
    """Say which partitions have records that are not folded; blocks."""
    prefix = site.redis.prefix
    marks: dict[tuple[str, int], int] = {}
    for topic in INGEST_TOPICS:
        marks |= {(topic, number): parsed_through(client, prefix, topic, number) for number in ranges[topic]}
    for stage, topic in (("patient", EVENTS), ("ward", CANDIDATES)):
        for number in ranges[topic]:
            marks[topic, number] = RedisPartitionStore(client, prefix, stage, number).watermark()
    return [
        f"{topic}/{number}: {end - 1 - mark} records to fold"
        for (topic, number), mark in marks.items()
        if (begin := ranges[topic][number][0]) < (end := ranges[topic][number][1]) and max(mark, begin - 1) < end - 1
    ]


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


# -- what is carried --------------------------------------------------------------------------------------------------


async def _carry(
    old: End, new: End, source: Client, target: Client, ranges: Ranges, tell: Callable[[str], None]
) -> Carried:
    outbox = Outbox(new.site.kafka, client_id="wardstream.repartition", password=new.kafka_password)
    await outbox.start()
    try:
        decisions = await _carry_decisions(old, outbox)
        versions = await _carry_newest(old, outbox, MODELS)
        identities = await _carry_newest(old, outbox, IDENTITIES)
        remembered = await asyncio.to_thread(_carry_memory, old, new, source, target)
        tell(f"carried: {decisions} decisions, {versions} model versions, {identities} identity links")
        counts = await _carry_events(old, new, outbox, ranges[EVENTS], tell)
    finally:
        await outbox.stop()
    return Carried(
        events=counts["events"],
        controls=counts["controls"],
        ticks=counts["ticks"],
        repeats=counts["repeats"],
        unreadable=counts["unreadable"],
        decisions=decisions,
        versions=versions,
        identities=identities,
        remembered=remembered,
    )


async def _carry_decisions(old: End, outbox: Outbox) -> int:
    """Carry `control.v1` whole: a decision's place is its number."""
    count = 0
    async for record in read_topic(old.site.kafka, CONTROL, password=old.kafka_password):
        copied = Record(CONTROL, record.key, record.value, record.headers, 0)
        [(_, offset)] = await outbox.send([copied])
        if offset != record.offset:
            raise RepartitionRefusedError(
                f"{CONTROL}: decision {record.offset + 1} would be number {offset + 1} at the new prefix: the topic is "
                "not whole, or somebody decided there already. Take a new prefix, and see docs/live.md"
            )
        count += 1
    return count


async def _carry_newest(old: End, outbox: Outbox, topic: str) -> int:
    """Carry the newest record of each key of a compacted topic."""
    newest: dict[bytes, KafkaRecord] = {}
    async for record in read_topic(old.site.kafka, topic, password=old.kafka_password):
        newest.pop(record.key, None)
        if record.value is not None:
            newest[record.key] = record
    batch = [Record(topic, one.key, one.value, one.headers) for one in newest.values()]
    for at in range(0, len(batch), BATCH_RECORDS):
        await outbox.send(batch[at : at + BATCH_RECORDS])
    return len(batch)


def _carry_memory(old: End, new: End, source: Client, target: Client) -> int:
    """Carry what [parse] knows, and note each new ingest partition as one whose Redis has lost nothing; blocks."""
    count = carry_parse(source, old.site.redis.prefix, target, new.site.redis.prefix)
    identities = RedisIdentityStore(target, new.site.redis.prefix)
    for topic in INGEST_TOPICS:
        for number in range(new.site.kafka.partitions):
            place, _ = identities.take(topic, number)
            identities.commit(place, place.watermark)
    return count


class _Placed(NamedTuple):
    """A record of the old log, ordered by its partition's clock."""

    clock: Millis
    partition: int
    offset: int
    record: KafkaRecord
    envelope: Envelope


async def _carry_events(
    old: End, new: End, outbox: Outbox, ranges: dict[int, tuple[int, int]], tell: Callable[[str], None]
) -> Counter[str]:
    spread = Spread(new.site.kafka.partitions)
    partitions = [_read(old, number, ranges[number], len(ranges), spread.counts) for number in sorted(ranges)]
    batch: list[Record] = []
    done = 0
    async for placed in _merged(partitions):
        batch += spread.take(placed)
        if len(batch) >= BATCH_RECORDS:
            await outbox.send(batch)
            done += len(batch)
            batch = []
            if done // 100_000 > (done - BATCH_RECORDS) // 100_000:
                tell(f"carried: {done} records of {EVENTS}")
    await outbox.send(batch)
    return spread.counts


async def _read(
    old: End, number: int, extent: tuple[int, int], count: int, counts: Counter[str]
) -> AsyncIterator[_Placed]:
    """Give what a partition's fold took, in order; what it dropped or could not read stays behind."""
    recent = RecentRecords()
    clock: Millis = 0
    records = read_topic(
        old.site.kafka, EVENTS, password=old.kafka_password, partitions=(number,), until={number: extent[1]}
    )
    async for record in records:
        try:
            envelope = decode_envelope(record.value or b"")
        except UndecodableEnvelopeError:
            counts["unreadable"] += 1
            continue
        if envelope.patient and partition_for(envelope.patient.encode(), count) != number:
            counts["unreadable"] += 1
            continue
        if not recent.add(envelope.envelope_id):
            counts["repeats"] += 1
            continue
        clock = max(clock, envelope.received_time)
        yield _Placed(clock, number, record.offset, record, envelope)


async def _merged(partitions: Sequence[AsyncIterator[_Placed]]) -> AsyncIterator[_Placed]:
    """Merge partitions by clock; each one's records stay in their order."""
    firsts = [(await anext(partition, None), partition) for partition in partitions]
    heads = [(first[:3], first, partition) for first, partition in firsts if first is not None]
    heapq.heapify(heads)
    while heads:
        _, placed, partition = heads[0]
        yield placed
        following = await anext(partition, None)
        if following is None:
            heapq.heappop(heads)
        else:
            heapq.heapreplace(heads, (following[:3], following, partition))


class Spread:
    """Where the records of the old log go; what it needs to know is how far each new partition's clock is."""

    def __init__(self, partitions: int) -> None:
        self.counts: Counter[str] = Counter()
        self._clocks = [0] * partitions
        self._controls = RecentRecords()

    def take(self, placed: _Placed) -> list[Record]:
        """Give the records that one of the old log comes to, in order within each new partition."""
        envelope, record = placed.envelope, placed.record
        headers = (*record.headers, (CARRIED, f"{EVENTS}/{record.partition}/{record.offset}".encode()))
        if not envelope.patient:
            # The partitions have the same ticks and decisions, under the same ids.
            if not self._controls.add(envelope.envelope_id):
                return []
            self.counts["controls"] += 1
            return [self._place(record, headers, number, envelope) for number in range(len(self._clocks))]
        number = partition_for(envelope.patient.encode(), len(self._clocks))
        self.counts["events"] += 1
        minute = placed.clock // TICK_MS * TICK_MS
        before = []
        if envelope.received_time < minute and self._clocks[number] < minute:
            self.counts["ticks"] += 1
            before = [self._tick(minute, number)]
        return [*before, self._place(record, headers, number, envelope)]

    def _place(
        self, record: KafkaRecord, headers: tuple[tuple[str, bytes], ...], number: int, envelope: Envelope
    ) -> Record:
        self._clocks[number] = max(self._clocks[number], envelope.received_time)
        return Record(EVENTS, record.key, record.value, headers, number)

    def _tick(self, minute: Millis, number: int) -> Record:
        self._clocks[number] = minute
        made = tick(minute)
        headers = topic_headers(EVENTS, made.envelope_id, "/wardstream/repartition", minute)
        return Record(EVENTS, b"", encode_envelope(made), (*headers, (CARRIED, b"tick")), number)


# -- afterwards -------------------------------------------------------------------------------------------------------


async def compare_alerts(old: End, new: End) -> tuple[int, list[str]]:
    """Give how many alert events the old installation told, and which of them the new one does not tell alike.

    To be asked once the new workers have folded what was carried.
    """
    told, anew = await _alerts(old), await _alerts(new)
    wrong = [f"{name}: not told by the new installation" for name in sorted(told.keys() - anew.keys())]
    wrong += [f"{name}: told otherwise" for name in sorted(told.keys() & anew.keys()) if told[name] != anew[name]]
    return len(told), wrong


async def _alerts(end: End) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    async for record in read_topic(end.site.kafka, "alerts.v1", password=end.kafka_password):
        content = record.value or b""
        found[msgspec.json.decode(content, type=_Alert).event_id] = sha256(content).digest()
    return found


class _Alert(msgspec.Struct):
    event_id: str
