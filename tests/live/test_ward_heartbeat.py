"""The ward heartbeat on a real broker, of a worker's own process: who lost the last alert event finds it out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alerts.contract import NO_WARD
from alerts.monitoring import Signal, decode_signal
from connectors.kafka.headers import header
from connectors.kafka.partitioning import partition_for
from connectors.kafka.reading import KafkaRecord, log_range, read_topic
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import ALERTS, CANDIDATES, DEAD_LETTERS, SIGNALS
from connectors.redis.settings import RedisSettings
from tests.alerts.test_ward import candidate
from tests.live.cluster import Cluster

WARDS = ("W1", "W2", "Ward A", NO_WARD)
EVENTS = 3
"""Alert events of each ward, each of an alert of its own."""
HEARD_WITHIN_S = 100.0
"""A minute may pass until the next beat."""


class Ticking(Cluster):
    """A cluster of the present: time passes where nothing comes."""

    def _write_config(self, live: str) -> None:
        super()._write_config(live)
        self.config.write_text(self.config.read_text().replace("ticks = false", "ticks = true"))


class Subscriber:
    """Reads the wards' alerts by the rule of docs/monitoring.md. It loses what it is told to lose."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self.heard: dict[str, int] = {}
        self._next: dict[int, int] = {}

    async def read(self, *, lose_last_of: str = "") -> None:
        """Read on from where it stands, and go on behind what there is."""
        found = [record async for record in read_topic(self._kafka, ALERTS, since=self._next)]
        lost = next((one for one in reversed(found) if one.key.decode() == lose_last_of), None)
        for record in found:
            if record is not lost:
                self.hear(record)

    def hear(self, record: KafkaRecord) -> None:
        """Note the number."""
        ward, number = record.key.decode(), int(header(record.headers, "ce_wardseq"))
        assert number == self.heard.get(ward, 0) + 1
        self.heard[ward] = number
        self._next[record.partition] = record.offset + 1

    def behind(self, heartbeats: list[Signal]) -> set[str]:
        """Say which wards it lacks an event of."""
        newest = {ward: number for one in heartbeats for ward, number in one.newest}
        return {ward for ward, number in newest.items() if number > self.heard.get(ward, 0)}


@pytest.fixture
def cluster(tmp_path: Path, kafka: KafkaSettings, redis_settings: RedisSettings) -> Iterator[Ticking]:
    made = Ticking(tmp_path, kafka, redis_settings)
    yield made
    made.stop()


async def heartbeats(kafka: KafkaSettings) -> list[Signal]:
    """Give what [ward] has said on signals.v1."""
    said = [decode_signal(record.value or b"") async for record in read_topic(kafka, SIGNALS)]
    return [one for one in said if one.subject.startswith("ward_partition|")]


def events(of: int) -> list[Record]:
    """Give an alert event for each ward."""
    return [
        Record(CANDIDATES, ward.encode(), candidate(f"{ward}{of}", 1, "raised", "" if ward == NO_WARD else ward))
        for ward in WARDS
    ]


@pytest.mark.asyncio
async def test_who_lost_a_wards_last_event_finds_it_out_by_the_next_heartbeat(cluster: Ticking) -> None:
    """Of wards that are quiet since: the heartbeat names a number beyond what was heard, and it is on alerts.v1."""
    await cluster.declare()
    for number in range(EVENTS):
        await cluster.put(events(number))
    cluster.start("w0", "ward")
    subscriber, said = Subscriber(cluster.kafka), list[Signal]()

    async def all_named() -> bool:
        said[:] = await heartbeats(cluster.kafka)
        named = {ward for one in said for ward, _ in one.newest}
        return named == set(WARDS) and len({one.partition for one in said}) == cluster.kafka.partitions

    async def all_told() -> bool:
        told = [record.key async for record in read_topic(cluster.kafka, ALERTS)]
        return len(told) == len(WARDS) * EVENTS

    await cluster.until(all_named, HEARD_WITHIN_S, lambda: f"no heartbeat names the wards: {said}")
    # What a heartbeat names was written before it; the broker shows a transaction some moments after its end.
    await cluster.until(all_told, HEARD_WITHIN_S, lambda: "what the heartbeats name is not on alerts.v1")
    await subscriber.read(lose_last_of="Ward A")
    assert subscriber.behind(said) == {"Ward A"}
    named = {ward: one.partition for one in said for ward, _ in one.newest}
    assert named == {ward: partition_for(ward.encode(), cluster.kafka.partitions) for ward in named}
    await subscriber.read()
    assert subscriber.behind(said) == set()
    assert subscriber.heard == dict.fromkeys(named, EVENTS)
    assert await log_range(cluster.kafka, DEAD_LETTERS) == dict.fromkeys(range(cluster.kafka.partitions), (0, 0))
    assert cluster.ended == []
