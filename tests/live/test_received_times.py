"""Absurd received times: refused on `events.v1` alike by the live stages, a replay, and on a copy; a gateway's is not
believed. Whose clock is wrong stamps his records with it too: the broker stamps them anew.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from connectors.kafka.admin import declare
from connectors.kafka.headers import RECEIVED, received_time
from connectors.kafka.reading import read_topic
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import DEAD_LETTERS, EVENTS
from events import Envelope, Millis, encode_envelope
from events.times import INSTANT_MAX
from stream.kafka_log import KafkaLog
from stream.kafka_outcome import read_outputs
from stream.kafka_replay import EventsReplay
from stream.partition_fold import RECEIVED_AHEAD_MS_MAX
from tests.live.parity import HandHost, embedded_outputs, hospital_log, write_log

BEDS, HOURS = 20, 48.0
YEAR_MS = 366 * 24 * 3_600_000
HOUR_MS = 3_600_000


async def send_as_of(settings: KafkaSettings, topic: str, sent: list[tuple[Millis, int, bytes]]) -> None:
    """Write a topic as a machine does whose clock says `at`: (at, partition, value) each."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, acks="all")
    await producer.start()
    try:
        for at, partition, value in sent:
            headers = [(RECEIVED, b"%d" % at)]
            await producer.send_and_wait(
                settings.prefix + topic, value, b"LAB", partition, min(at, INSTANT_MAX), headers
            )
    finally:
        await producer.stop()


def absurd_records(partitions: int) -> list[tuple[Millis, int, bytes]]:
    """Give records of the future for each partition: tomorrow, next year, 2200, and a year of no calendar."""
    now = round(time.time() * 1_000)
    times = (now + RECEIVED_AHEAD_MS_MAX + HOUR_MS, now + YEAR_MS, INSTANT_MAX, 10**17)
    return [
        (at, number, encode_envelope(Envelope(f"absurd-{at}", "", 0, at, ())))
        for number in range(partitions)
        for at in times
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize("topic", ["hl7v2.ingest.v1", "fhir.ingest.v1"])
async def test_a_gateway_a_month_ahead_is_not_believed(kafka: KafkaSettings, topic: str) -> None:
    """What it took, and its ACK promised, is scored as of when the broker wrote it, not refused as of next month."""
    await declare(kafka)
    before = round(time.time() * 1_000)
    await send_as_of(kafka, topic, [(before + YEAR_MS // 12, 0, b"MSH|")])
    [record] = [each async for each in read_topic(kafka, topic)]
    taken = received_time(record.headers, record.record_time)
    assert before - HOUR_MS / 60 <= taken <= time.time() * 1_000 + HOUR_MS / 60


@pytest.mark.asyncio
async def test_absurd_times_are_refused_live_in_replay_and_on_a_copy(kafka: KafkaSettings, tmp_path: Path) -> None:
    """With them at its head a log gives what it gives without them; so does its replay, and so does a later copy."""
    log = hospital_log(kafka.partitions, beds=BEDS, hours=HOURS)
    embedded, absurd = embedded_outputs(log), absurd_records(kafka.partitions)
    assert embedded.counts()["alerts"] > 0
    for copy in ("first", "second"):
        settings = msgspec.structs.replace(kafka, prefix=f"{kafka.prefix}{copy}.")
        await declare(settings)
        await send_as_of(settings, EVENTS, absurd)
        await write_log(settings, log)
        await HandHost(settings, log).run()
        letters = [record async for record in read_topic(settings, DEAD_LETTERS)]
        assert len(letters) == len(absurd)
        folder = tmp_path / copy
        folder.mkdir()
        with KafkaLog(settings) as source:
            live, replay = read_outputs(source), EventsReplay(source, folder, {})
            replay.run()
        replay.finish(0.0)
        assert live.difference(embedded) == replay.outputs.difference(embedded) == []
        assert replay.disagreements() == []
