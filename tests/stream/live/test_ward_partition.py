"""[ward] over a real Redis: one event has one content, whatever crashes and whatever Redis loses."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence

import pytest

from alerts.gate import decode_change
from alerts.ward import WardCounts
from alerts.ward_state import FOLD_KEY
from connectors.kafka.admin import declare
from connectors.kafka.headers import header
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import ALERTS, GATES
from connectors.redis.connection import connect
from connectors.redis.layout import PartitionKeys
from connectors.redis.partition_store import RedisPartitionStore
from connectors.redis.settings import RedisSettings
from events import KillSwitch
from stream.decisions import Decision, Decisions, encode_decision
from stream.live.stage import LogItem
from stream.live.stage_settings import StageObserver
from stream.live.ward_stage import WardPartition
from stream.live.worker import Secrets, Worker
from stream.live_settings import LiveSettings
from stream.settings import SiteFile
from tests.alerts.test_ward import candidate
from tests.stream.live.partitions import LOG, of_schema_nine

COUNT = 6
CANDIDATES = [
    LogItem(offset, b"W1", candidate(f"a{offset}", 1, "raised", at=1_000 + offset, trigger="model"), (), 0)
    for offset in range(COUNT)
]
"""Alerts of the model, which a closed gate holds."""
ENGAGED = encode_decision(Decision(KillSwitch(0, engaged=True), "role:x"))


class Wards:
    """What went out, as Kafka keeps it, and partitions that begin anew over it: processes that follow each other."""

    def __init__(self, redis: RedisSettings) -> None:
        self.decisions = Decisions()
        self.told: list[Record] = []
        self.gates: list[Record] = []
        self._client = connect(redis)
        self._prefix = redis.prefix

    def partition(self, open_way: Callable[[WardPartition], None] = lambda _stage: None) -> WardPartition:
        """Make the partition as a new process has it, and open it."""
        stage = WardPartition(
            0,
            RedisPartitionStore(self._client, self._prefix, "ward", 0),
            self.decisions,
            lambda _number: [decode_change(record.value or b"") for record in self.gates],
            lambda _stage: max((int(header(one.headers, "ce_candidateoffset")) for one in self.told), default=-1),
            open_way=open_way,
        )
        self.start = stage.open(LOG)
        return stage

    def deliver(self, records: Sequence[Record]) -> None:
        """Keep what is written."""
        self.gates += [record for record in records if record.topic == GATES]
        self.told += [record for record in records if record.topic == ALERTS]

    def contents(self) -> dict[str, set[bytes | None]]:
        """Give what was told under each event's id."""
        return contents_of(self.told)


def contents_of(told: Sequence[Record]) -> dict[str, set[bytes | None]]:
    found: dict[str, set[bytes | None]] = defaultdict(set)
    for record in told:
        found[header(record.headers, "ce_id")].add(record.value)
    return found


def check_one_content(contents: dict[str, set[bytes | None]], held_from: int) -> None:
    """See that every event was told, with one content; held from an offset on."""
    assert len(contents) == COUNT
    assert {len(each) for each in contents.values()} == {1}
    assert [b'"held"' in (value or b"") for each in contents.values() for value in each] == [
        offset >= held_from for offset in range(COUNT)
    ]


@pytest.mark.parametrize("folded", [1, 3])
@pytest.mark.parametrize("told", range(COUNT))
def test_a_gate_moves_past_what_a_crash_left_told(redis_settings: RedisSettings, told: int, folded: int) -> None:
    """Who was killed between telling and noting so had told under an open gate: it closes past all that was told."""
    wards = Wards(redis_settings)
    stage = wards.partition()
    wards.deliver(stage.work(CANDIDATES[:folded]))
    stage.commit()
    wards.deliver(stage.work(CANDIDATES[folded : folded + told]))  # told, and killed before it is noted

    wards.decisions.take(0, ENGAGED, 0)
    stage = wards.partition()
    assert wards.start == folded
    wards.deliver(stage.work(CANDIDATES[folded:]))
    stage.commit()
    check_one_content(wards.contents(), held_from=min(folded + told, COUNT))


def test_a_closed_gate_stands_where_it_was_after_a_crash(redis_settings: RedisSettings) -> None:
    """Who was killed after telling under a closed gate is repeated under the same gate, also where it opened since."""
    wards = Wards(redis_settings)
    stage = wards.partition()
    wards.deliver(stage.work(CANDIDATES[:1]))
    stage.commit()
    wards.decisions.take(0, ENGAGED, 0)
    wards.deliver(stage.work(CANDIDATES[1:4]))  # held, and killed before it is noted

    wards.decisions.take(1, encode_decision(Decision(KillSwitch(0, engaged=False), "role:x")), 0)
    stage = wards.partition()
    wards.deliver(stage.work(CANDIDATES[1:]))
    stage.commit()
    assert {len(each) for each in wards.contents().values()} == {1}
    held = [b'"held"' in (value or b"") for each in wards.contents().values() for value in each]
    assert held == [False, True, True, True, False, False]


def test_what_is_decided_while_the_way_out_is_opened_counts(redis_settings: RedisSettings) -> None:
    """A producer takes seconds to open on a busy machine: the kill switch engaged meanwhile holds the very first alert.

    It is opened once for each time that the partition is taken.
    """
    wards, opened = Wards(redis_settings), list[int]()

    def open_way(stage: WardPartition) -> None:
        opened.append(stage.epoch)
        wards.decisions.take(0, ENGAGED, 0)

    stage = wards.partition(open_way)
    for offset in range(COUNT):
        wards.deliver(stage.work(CANDIDATES[offset : offset + 1]))
        stage.commit()
    check_one_content(wards.contents(), held_from=0)
    first = stage.epoch
    stage.open(LOG)
    stage.work([LogItem(COUNT, b"W1", candidate("z", 1, "raised", at=9_000), (), 0)])
    assert opened == [first, stage.epoch]


def test_a_record_of_an_absurd_time_becomes_a_letter(redis_settings: RedisSettings) -> None:
    """What is no candidate is kept as a letter, whatever its stamp says, and the partition goes on."""
    stage = Wards(redis_settings).partition()
    records = stage.work([LogItem(0, b"W1", b"garbage", (("ws_received", b"999999999999999"),), 0)])
    assert [record.topic for record in records] == ["gates.v1", "deadletters.v1"]
    stage.commit()
    assert stage.folded == 0


def test_a_ward_state_of_another_schema_is_folded_anew(redis_settings: RedisSettings) -> None:
    """The partition is emptied where it is opened, and the log is folded from its beginning to the same outputs."""
    wards = Wards(redis_settings)
    stage = wards.partition()
    first = stage.work(CANDIDATES[:3])
    stage.commit()
    client, name = connect(redis_settings), PartitionKeys(redis_settings.prefix, "ward", 0).state(FOLD_KEY)
    stored = client.get(name)
    assert isinstance(stored, bytes)
    client.set(name, of_schema_nine(stored))

    stage = wards.partition()
    assert wards.start == 0
    assert stage.work(CANDIDATES[:3]) == first
    stage.commit()
    wards.deliver([*first, *stage.work(CANDIDATES[3:])])
    stage.commit()
    check_one_content(wards.contents(), held_from=COUNT)


def test_what_was_done_is_counted_once_it_is_stored(redis_settings: RedisSettings) -> None:
    """A batch counts when it is committed, also past a partition opened anew; one that was let go of counts nothing."""
    wards = Wards(redis_settings)
    stage = wards.partition()
    stage.work(CANDIDATES[:2])
    assert not stage.counts.total()
    stage.commit()
    stage.work(CANDIDATES[2:4])
    stage.open(LOG)  # what was in the midst is let go of
    stage.work(CANDIDATES[2:])
    stage.commit()
    assert stage.counts["passed"] == COUNT
    assert set(stage.counts) == set(WardCounts.__slots__)


class Unheard(StageObserver):
    """Hears nothing."""


@pytest.mark.asyncio
async def test_a_worker_reads_the_gates_when_it_opens_a_partition(
    kafka: KafkaSettings, redis_settings: RedisSettings
) -> None:
    """Redis put back to before the gate closed: the worker that lives on reads from `gates.v1` where it closed."""
    await declare(kafka)
    site = SiteFile(kafka=kafka, redis=redis_settings, live=LiveSettings(stages=("ward",), name="w"))
    worker = Worker(site, ("ward",), Secrets(), code_version="c", observer=Unheard())
    await worker._outbox.start()
    decisions, told, client = worker.decisions.decisions, [], connect(redis_settings)
    stage = worker._make_ward("candidates.v1", 0)

    async def fold(items: Sequence[LogItem]) -> None:
        records = await asyncio.to_thread(stage.work, items)
        assert stage.number in worker._states._states, "what is computed waits for no producer"
        await worker._states(stage, records)
        told.extend(record for record in records if record.topic == ALERTS)
        await asyncio.to_thread(stage.commit)

    try:
        await asyncio.to_thread(stage.open, LOG)
        await fold(CANDIDATES[:1])
        keys = list(client.scan_iter(match=f"{redis_settings.prefix}:*"))
        before = {key: client.dump(key) for key in keys}
        decisions.take(0, ENGAGED, 0)
        await fold(CANDIDATES[1:3])
        client.unlink(*client.scan_iter(match=f"{redis_settings.prefix}:*"))
        for key, data in before.items():
            client.restore(key, 0, data)
        assert not await asyncio.to_thread(stage.still_ours)
        start = await asyncio.to_thread(stage.open, LOG)
        await fold(CANDIDATES[start:])
    finally:
        await worker._states.stop()
        await worker._outbox.stop()
    check_one_content(contents_of(told), held_from=1)
