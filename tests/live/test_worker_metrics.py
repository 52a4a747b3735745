"""`/metrics` of a worker at work, read as Prometheus reads it."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.samples import Sample

from alerts.monitoring import decode_signal
from alerts.ward import WardCounts
from connectors.kafka.reading import log_range, read_topic
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import CANDIDATES, EVENTS, MODELS, SIGNALS
from connectors.redis.settings import RedisSettings
from models.version import dump
from stream.live.parsing import INGEST_TOPICS
from stream.versions import load_versions
from tests.live.cluster import Cluster, hospital
from tests.live.processes import BEHIND
from tests.live.verdict import verdict

IDENTIFIER = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}")
"""A patient's key, or an id."""
SIGNALS_COUNTED = "wardstream_signals_total"


@pytest.fixture
def cluster(tmp_path: Path, kafka: KafkaSettings, redis_settings: RedisSettings) -> Iterator[Cluster]:
    made = Cluster(tmp_path, kafka, redis_settings)
    yield made
    made.stop()


async def written(cluster: Cluster, topic: str) -> int:
    """Give how many records a topic has ever had."""
    return sum(end for _, end in (await log_range(cluster.kafka, topic)).values())


@pytest.mark.asyncio
async def test_the_metrics_of_a_worker_say_what_lies_on_the_topics_and_name_nobody(cluster: Cluster) -> None:
    """Records folded, outcomes of messages and candidates, refused versions, all of it in bounded labels."""
    arrivals, again = hospital(beds=40, hours=48), 100
    await cluster.declare()
    version = next(iter(load_versions()[0].values()))
    await cluster.put([Record(MODELS, version.version.encode(), dump(version))])  # nobody signed it
    cluster.start("w0")
    await cluster.ingest(arrivals)
    await cluster.ingest(arrivals[:again])
    await cluster.drain()
    folded = {
        "parse": len(arrivals) + again,
        "patient": await written(cluster, EVENTS),
        "ward": await written(cluster, CANDIDATES),
    }
    samples: list[Sample] = []

    def told(name: str) -> dict[str, float]:
        return {next(iter(one.labels.values())): one.value for one in samples if one.name == name}

    async def counted_all() -> bool:
        """Say whether the last batch is counted: that is done after it was committed."""
        samples[:] = await asyncio.to_thread(cluster.metrics, "w0")
        return told("wardstream_stage_records_total") == folded

    await cluster.until(counted_all, why=lambda: f"{told('wardstream_stage_records_total')}, and not {folded}")
    found = await verdict(cluster)
    assert (found.well(), cluster.ended) == ([], [])
    outcomes = told("wardstream_parsed_total")
    assert outcomes["accepted"] == len(found.ids)
    assert outcomes["duplicates"] == len(arrivals) + again - len(found.ids)  # some the hospital sends twice by itself
    warded = told("wardstream_warded_total")
    assert set(warded) == set(WardCounts.__slots__)
    assert warded["passed"] == found.live.counts()["alerts"] > 0
    assert (warded["gaps"], warded["held"], warded["repeats"]) == (0, 0, 0)
    assert told("wardstream_versions_refused_total") == {"unsigned": 1}
    signals = [decode_signal(one.value or b"") async for one in read_topic(cluster.kafka, SIGNALS)]
    counted = {(one.labels["kind"], one.labels["state"]): one.value for one in samples if one.name == SIGNALS_COUNTED}
    assert counted == Counter((one.kind, one.state) for one in signals)
    assert ("heartbeat", "alive") in counted
    behind = Counter(one.labels["topic"].removeprefix(cluster.kafka.prefix) for one in samples if one.name == BEHIND)
    assert behind == dict.fromkeys((*INGEST_TOPICS, EVENTS, CANDIDATES), cluster.kafka.partitions)
    assert not any(one.value for one in samples if one.name == BEHIND)
    said = [value for one in samples for value in one.labels.values()]
    assert not [value for value in said if IDENTIFIER.search(value) or value.startswith("Ward")]
