"""The monitoring in [patient] over a real Redis: signals, heartbeats, and ticks that say that records wait."""

from __future__ import annotations

from collections import Counter

import pytest

from alerts.monitoring import Signal, decode_signal
from connectors.kafka.record import Record
from connectors.redis.connection import connect
from connectors.redis.identity_store import RedisIdentityStore
from connectors.redis.settings import RedisSettings
from events import Envelope, decode_envelope
from features.store import StoreUnavailableError
from stream.effects import encode_effect
from stream.fold import tick
from stream.live.patient_stage import PatientPartition
from stream.partition_fold import PartitionFold
from tests.stream.live.partitions import LOG, MINUTE, START, WELL, Messages, items, patient_partition

SIGNALS = "signals.v1"


def signals(records: list[Record]) -> list[Signal]:
    """Give what was written to signals.v1."""
    return [decode_signal(record.value or b"") for record in records if record.topic == SIGNALS]


def a_day() -> list[Envelope]:
    """Give somebody's vital signs each twenty minutes, with five silent hours in it, and ticks at the turn of each."""
    messages, log = Messages(), []
    for minute in range(0, 24 * 60, 20):
        if not 600 <= minute < 900:
            values = {**WELL, "hr": 60.0 + minute * 7 % 31}
            log.append(messages.envelope(minute, values, str(minute % 3)))
        if not minute % 60:
            log.append(tick(START + minute * MINUTE + 5_000))
    return log


def work(stage: PatientPartition, log: list[Envelope], begin: int = 0) -> list[Record]:
    """Fold records and commit."""
    written = stage.work(items(log, begin))
    stage.commit()
    return written


def test_another_process_after_any_batch_says_the_same(redis_settings: RedisSettings) -> None:
    """Restored from Redis before every batch, a partition says what a replay of its log says, byte for byte."""
    log, written = a_day(), []
    for begin in range(0, len(log), 7):
        stage = patient_partition(redis_settings)
        stage.open(LOG)
        written += work(stage, log[begin : begin + 7], begin)
    fold = PartitionFold(0, 1, {})
    replayed = [one for envelope in log for one in fold.fold(envelope) if type(one) is Signal]
    live = [record.value for record in written if record.topic == SIGNALS and b'"alive"' not in (record.value or b"")]
    assert "feed_silent" in {one.kind for one in replayed}
    assert live == [encode_effect(one) for one in replayed]


def test_a_batch_that_is_repeated_says_the_same_under_the_same_ids(redis_settings: RedisSettings) -> None:
    """A process that dies between writing and committing leaves a repeat that is byte-identical, heartbeats too."""
    log = a_day()
    first = patient_partition(redis_settings)
    first.open(LOG)
    work(first, log[:40])
    lost = first.work(items(log[40:], 40))
    second = patient_partition(redis_settings)
    assert second.open(LOG) == 40
    assert work(second, log[40:], 40) == lost


def test_each_minute_of_the_log_has_a_heartbeat(redis_settings: RedisSettings) -> None:
    """One for each minute that the clock enters, after what the record came to; none within one; keyed by partition."""
    stage, messages = patient_partition(redis_settings), Messages()
    stage.open(LOG)
    log = [messages.envelope(0, WELL), messages.envelope(0.5, WELL), messages.envelope(2.2, WELL)]
    written = work(stage, log)
    beats = [one for one in signals(written) if one.kind == "heartbeat"]
    assert [(one.received_time - START, one.seq, one.partition) for one in beats] == [(0, 0, 0), (2 * MINUTE, 0, 0)]
    assert written[-1].topic == SIGNALS
    assert written[-1].key == b"partition|0"


def test_what_is_written_is_counted(redis_settings: RedisSettings) -> None:
    """By kind and state, heartbeats too, over batches and past a partition opened anew."""
    stage = patient_partition(redis_settings)
    log, written = a_day(), []
    for begin in range(0, len(log), 25):
        stage.open(LOG)
        written += work(stage, log[begin : begin + 25], begin)
    counted = Counter((one.kind, one.state) for one in signals(written))
    assert ("feed_silent", "raised") in counted
    assert stage.counts.signals == counted


def test_a_silent_partition_is_given_a_tick_a_minute(redis_settings: RedisSettings) -> None:
    """So that its heartbeat goes on where nobody lies; once a minute, and none where ticks are switched off."""
    stage = patient_partition(redis_settings)
    stage.open(LOG)
    work(stage, [Messages().envelope(0, WELL)])
    entered = [record for second in range(0, 120, 10) for record in stage.idle(START + second * 1000)]
    ticks = [decode_envelope(record.value or b"") for record in entered]
    found = {one.received_time - START for one in ticks if one.message_id == "tick"}
    assert found == {MINUTE}
    off = patient_partition(redis_settings, number=1, ticks=False)
    off.open(LOG)
    assert [record for record in off.idle(START + MINUTE) if b'"tick"' in (record.value or b"")] == []


def test_while_records_wait_before_the_log_its_ticks_say_so(redis_settings: RedisSettings) -> None:
    """Five hours of [parse] standing still: ticks are `behind`, and neither they nor the flood tell a silence."""
    waiting = [True]
    stage = patient_partition(redis_settings)
    stage._behind = lambda: waiting[0]
    stage.open(LOG)
    messages = Messages()
    log = [messages.envelope(minute, WELL, "1") for minute in (0, 10)]
    written = work(stage, log)
    offset = len(log)
    for minute in range(11, 310):
        ticks = [decode_envelope(record.value or b"") for record in stage.idle(START + minute * MINUTE)]
        ticks = [one for one in ticks if one.message_id == "tick"]
        assert all(event.behind for one in ticks for event in one.events)  # type: ignore[union-attr]
        written += work(stage, ticks, offset)
        offset += len(ticks)
    flood = [messages.envelope(minute, WELL, "1") for minute in range(20, 310, 10)]
    written += work(stage, flood, offset)
    waiting[0] = False
    after = [decode_envelope(record.value or b"") for record in stage.idle(START + 311 * MINUTE)]
    written += work(stage, [one for one in after if one.message_id == "tick"], offset + len(flood))
    assert {one.kind for one in signals(written)} == {"heartbeat"}
    assert stage.pipeline.control.clock == START + 311 * MINUTE


def test_how_far_parse_is_can_be_asked_by_anybody(redis_settings: RedisSettings) -> None:
    """The watermark of an ingest partition is what its worker committed; -1 where nobody has begun."""
    store = RedisIdentityStore(connect(redis_settings), redis_settings.prefix)
    assert store.watermark("hl7v2.ingest.v1", 0) == -1
    place, _ = store.take("hl7v2.ingest.v1", 0)
    store.commit(place, 41)
    other = RedisIdentityStore(connect(redis_settings), redis_settings.prefix)
    assert other.watermark("hl7v2.ingest.v1", 0) == 41
    assert other.watermark("fhir.ingest.v1", 0) == -1


def test_a_store_that_does_not_answer_is_no_silence(redis_settings: RedisSettings) -> None:
    """Where nobody can say whether records wait, no tick is entered: the question is asked again."""

    def ask() -> bool:
        raise StoreUnavailableError("away")

    stage = patient_partition(redis_settings)
    stage._behind = ask
    stage.open(LOG)
    work(stage, [Messages().envelope(0, WELL)])
    with pytest.raises(StoreUnavailableError):
        stage.idle(START + MINUTE)
