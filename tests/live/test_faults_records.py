"""Poison: records on every input that are none of ours. Each is a letter that says why; the partition goes on."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.kafka.partitioning import partition_for
from connectors.kafka.reading import read_topic
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.redis.settings import RedisSettings
from events import Envelope, encode_envelope
from events.encoding import READ_BYTES_MAX
from stream.partition_fold import RECEIVED_AHEAD_MS_MAX
from tests.live.cluster import Cluster, hospital
from tests.live.load import Load
from tests.live.verdict import check_run

HL7, FHIR, ACK, EVENTS, CANDIDATES = (
    "hl7v2.ingest.v1",
    "fhir.ingest.v1",
    "ack.ingest.v1",
    "events.v1",
    "candidates.v1",
)
NOISE = random.Random(3).randbytes(300)  # noqa: S311 - the same bytes each time
OVERSIZED = b"MSH|^~\\&|A|B|C|D|20260101||ORU^R01|1|P|2.5\r" + b"NTE|1||" + b"x" * 3_000_000
PATIENT = "0" * 32
WORKING_S = 20.0
"""Until a worker has started and has something to fold."""


@pytest.fixture
def cluster(tmp_path: Path, kafka: KafkaSettings, redis_settings: RedisSettings) -> Iterator[Cluster]:
    made = Cluster(tmp_path, kafka, redis_settings)
    yield made
    made.stop()


def poison(partitions: int) -> list[tuple[Record, str]]:
    """Give records that are none of ours, each with what its letter must say."""
    misplaced = (partition_for(PATIENT.encode(), partitions) + 1) % partitions
    elsewhere = encode_envelope(Envelope("misplaced", PATIENT, 0, 0, ()))
    tomorrow = round(time.time() * 1_000) + RECEIVED_AHEAD_MS_MAX + 3_600_000
    early = encode_envelope(Envelope("early", "", 0, tomorrow, ()))
    unknown = b'{"envelope_id":"e","patient":"","event_time":0,"received_time":0,"events":[{"type":"from_the_future"}]}'
    return [
        (Record(HL7, b"feed", NOISE), "garbage"),
        (Record(HL7, b"feed", OVERSIZED), "oversized"),
        (Record(HL7, b"", b"MSH|"), "missing_field"),
        (Record(HL7, b"feed", None), "garbage"),
        (Record(HL7, b"feed", b"{}", (("content-type", b"application/json"),)), "unsupported_message_type"),
        (Record(HL7, b"feed", b"MSH|", (("content-type", b""), ("ce_type", b"wardstream.hl7v2.ingest.v9"))), "version"),
        (Record(FHIR, b"feed", NOISE), "garbage"),
        (Record(FHIR, b"feed", b"[" * 100_000), "garbage"),
        (Record(ACK, b"feed", NOISE), "garbage"),
        (Record(ACK, b"feed", b'{"patient":"x","alert_id":"a","at":"now"}'), "invalid_value"),
        (Record(EVENTS, b"k", NOISE, (), 0), "no JSON"),
        (Record(EVENTS, b"k", None, (), 0), "no JSON"),
        (Record(EVENTS, b"", unknown, (), 0), "wrong type or value"),
        (Record(EVENTS, b"k", b'"' + b"x" * READ_BYTES_MAX + b'"', (), 0), "more than"),
        (Record(EVENTS, b"k", elsewhere, (), misplaced), "belongs on another partition"),
        (Record(EVENTS, b"", early, (), 0), "more than 24 h after it was written"),
        (Record(CANDIDATES, b"ward", NOISE), "undecodable"),
        (Record(CANDIDATES, b"ward", None), "undecodable"),
        (Record(CANDIDATES, b"", b"{}"), "no_key"),
    ]


async def letters(kafka: KafkaSettings) -> dict[str, dict[str, Any]]:
    """Give the dead letters by where the record stood."""
    found = [msgspec.json.decode(record.value or b"") async for record in read_topic(kafka, "deadletters.v1")]
    return {letter["source"]: letter for letter in found}


@pytest.mark.asyncio
async def test_poison_is_kept_as_letters_and_stops_no_partition(cluster: Cluster) -> None:
    """Nineteen kinds of poison on five topics amid a load: a letter each with its reason; the rest is folded."""
    load = Load(cluster, hospital(beds=100, hours=48))
    await cluster.declare()
    cluster.start("w0")
    load.begin()
    await cluster.until_at_work("w0", WORKING_S)
    poisoned = poison(cluster.kafka.partitions)
    records = [record for record, _ in poisoned]
    placed = await cluster.put(records)
    healthy_s = await cluster.until_healthy()
    kept = "each is a letter and the partition goes on: no process begins anew"
    await check_run(
        cluster,
        load.end(),
        load.said,
        "poison records",
        times=len(records),
        healthy_s=healthy_s,
        never_again=kept,
    )
    found = await letters(cluster.kafka)
    wrong = {}
    for (record, words), (partition, offset) in zip(poisoned, placed, strict=True):
        place = f"{record.topic}/{partition}/{offset}"
        letter = found.get(place) or found.get(f"{place}#1") or {}  # a FHIR record is one message or several
        said = f"{letter.get('reason')}: {letter.get('detail')}"
        if words not in said:
            wrong[f"{record.topic} {words}"] = said
    assert wrong == {}
    assert not cluster.deaths
