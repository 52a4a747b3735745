"""Candidates of an absurd received time: what they say passes, and the partition's clock does not follow them."""

from __future__ import annotations

import pytest

from alerts.ward_records import write_tick
from connectors.kafka.topics import ALERT_STATES
from stream.live.stage import LogItem
from stream.partition_fold import RECEIVED_AHEAD_MS_MAX
from stream.ward_replay import RecordedWards
from tests.alerts.test_ward import candidate
from tests.alerts.ward_traffic import START
from tests.stream.live.test_ward_waits import Live, words

DATED_2099 = 4_070_908_800_000
DAY = 24 * 3_600_000


def records(absurd: int, record_time: int) -> list[LogItem]:
    """Give an open alert, another of an absurd time, a tick of one, and a third of the first one's hour."""
    contents = [
        (b"W1", candidate("a", 1, "raised", at=START)),
        (b"W1", candidate("b", 1, "raised", at=absurd)),
        (b"", write_tick(absurd)),
        (b"W1", candidate("c", 1, "raised", at=START + 1)),
    ]
    return [LogItem(offset, key, content, (), record_time) for offset, (key, content) in enumerate(contents)]


def test_an_absurd_received_time_silences_nothing_and_has_nothing_forgotten() -> None:
    """All three alerts are told and stand; the clock is a day ahead at the most, of the log's or the record's time."""
    live = Live(wards=None)
    live.log = records(DATED_2099, START)
    written = live.work()
    assert words(written) == [("a", "told"), ("b", "told"), ("c", "told")]
    assert [record.key for record in written if record.topic == ALERT_STATES] == [b"W1|a", b"W1|b", b"W1|c"]
    assert all(record.value for record in written)
    assert live.stage._fold.clock <= START + 2 * RECEIVED_AHEAD_MS_MAX


@pytest.mark.parametrize(("written", "moved"), [(START, RECEIVED_AHEAD_MS_MAX), (START - 3 * DAY, 0)])
def test_a_time_within_a_day_of_its_writing_is_believed(written: int, moved: int) -> None:
    """By the broker's word alone, and not by the partition's own clock, which a wrong one could lead on."""
    live = Live(wards=None)
    live.log = [
        LogItem(0, b"W1", candidate("a", 1, "raised", at=START), (), START),
        LogItem(1, b"W1", candidate("b", 1, "raised", at=START + RECEIVED_AHEAD_MS_MAX), (), written),
    ]
    live.work()
    assert live.stage._fold.clock == START + moved


def test_a_replay_moves_its_clock_as_the_live_fold_did() -> None:
    """The record's time is in the log: the replay of the records has the live fold's clock."""
    live, replay = Live(wards=None), RecordedWards(0)
    live.log = records(DATED_2099, START)
    live.work()
    for item in live.log:
        replay.take(item.offset, (item.key or b"").decode(), item.value or b"", item.record_time)
    assert replay._fold.encode_whole() == live.stage._fold.encode_whole()
