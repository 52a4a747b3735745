"""Records of an absurd received time on `events.v1`: refused alike by the live stages, a replay, and on a copy."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from connectors.kafka.admin import declare
from connectors.kafka.outbox import Outbox
from connectors.kafka.reading import read_topic
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import DEAD_LETTERS, EVENTS
from events import Envelope, encode_envelope
from events.times import INSTANT_MAX
from stream.kafka_log import KafkaLog
from stream.kafka_outcome import read_outputs
from stream.kafka_replay import EventsReplay
from stream.partition_fold import RECEIVED_AHEAD_MS_MAX
from tests.live.parity import HandHost, embedded_outputs, hospital_log, write_log

BEDS, HOURS = 20, 48.0
YEAR_MS = 366 * 24 * 3_600_000
HOUR_MS = 3_600_000


def absurd_records(partitions: int) -> list[Record]:
    """Give records of the future for each partition: tomorrow, next year, 2200, and a year of no calendar."""
    now = round(time.time() * 1_000)
    times = (now + RECEIVED_AHEAD_MS_MAX + HOUR_MS, now + YEAR_MS, INSTANT_MAX, 10**17)
    return [
        Record(EVENTS, b"", encode_envelope(Envelope(f"absurd-{at}", "", 0, at, ())), (), number)
        for number in range(partitions)
        for at in times
    ]


@pytest.mark.asyncio
async def test_absurd_times_are_refused_live_in_replay_and_on_a_copy(kafka: KafkaSettings, tmp_path: Path) -> None:
    """With them at its head a log gives what it gives without them; so does its replay, and so does a later copy."""
    log = hospital_log(kafka.partitions, beds=BEDS, hours=HOURS)
    embedded, absurd = embedded_outputs(log), absurd_records(kafka.partitions)
    assert embedded.counts()["alerts"] > 0
    for copy in ("first", "second"):
        settings = msgspec.structs.replace(kafka, prefix=f"{kafka.prefix}{copy}.")
        await declare(settings)
        outbox = Outbox(settings, client_id="test")
        await outbox.start()
        await outbox.send(absurd)
        await outbox.stop()
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
