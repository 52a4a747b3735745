"""The ward heartbeat in the live [ward]: entered each minute, answered from the log alone, and touching nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.checks import Sent
from alerts.monitoring import Signal, decode_signal
from alerts.ward_beat import read_beat, write_beat
from alerts.ward_settings import WardSettings
from connectors.kafka.headers import header
from connectors.kafka.record import Record
from connectors.kafka.topics import ALERTS, SIGNALS
from events import KillSwitch
from stream.fold import TICK_MS
from stream.live.stage import OWED_MS
from tests.alerts.test_ward import candidate
from tests.alerts.test_ward_budget import ONE, said
from tests.alerts.ward_traffic import MINUTE, START, traffic
from tests.stream.live.test_ward_waits import Live

NOON = START // TICK_MS * TICK_MS + TICK_MS


def beats(records: list[Record]) -> list[int]:
    """Give the minutes of the beats among what was entered."""
    found = [read_beat(record.value or b"") for record in records]
    return [at for at in found if at is not None]


def heartbeats(records: list[Record]) -> list[Signal]:
    """Give what was said on signals.v1."""
    return [decode_signal(record.value or b"") for record in records if record.topic == SIGNALS]


def missed(told: list[Record], heartbeat: Signal) -> dict[str, range]:
    """Say what a consumer that has heard these events knows to be missing, by the rule of docs/monitoring.md."""
    heard: dict[str, int] = {}
    for record in told:
        ward = json.loads(record.value or b"")["ward"]
        heard[ward] = max(heard.get(ward, 0), int(header(record.headers, "ce_wardseq")))
    return {
        ward: range(heard.get(ward, 0) + 1, newest + 1)
        for ward, newest in heartbeat.newest
        if newest > heard.get(ward, 0)
    }


def test_each_minute_has_one_beat_whatever_the_gate() -> None:
    """Where nothing comes and nothing waits, and while the kill switch is engaged; none where ticks are off."""
    live = Live()
    assert beats(live.idle(NOON)) == [NOON]
    live.work()
    assert live.idle(NOON + TICK_MS - 1) == []
    assert beats(live.idle(NOON + TICK_MS)) == [NOON + TICK_MS]
    live.work()
    live.put(KillSwitch(0, engaged=True))
    assert beats(live.idle(NOON + 2 * TICK_MS + 7)) == [NOON + 2 * TICK_MS]
    assert [one.received_time for one in heartbeats(live.work())] == [NOON + 2 * TICK_MS]
    assert Live(ticks=False).idle(NOON) == []


def test_a_beat_that_does_not_come_back_is_entered_again_under_its_id() -> None:
    """Once more after a while; not one that came back. A clock that ran ahead and was put right does not end them."""
    live = Live()
    (first,) = live.stage.idle(NOON)
    assert live.stage.idle(NOON + OWED_MS - 1) == []
    (again,) = live.idle(NOON + OWED_MS)
    assert header(first.headers, "ce_id") == header(again.headers, "ce_id")
    live.work()
    assert live.idle(NOON + 2 * OWED_MS) == []
    assert beats(live.idle(NOON + 365 * 24 * 60 * MINUTE)) == [NOON + 365 * 24 * 60 * MINUTE]
    live.work()
    assert beats(live.idle(NOON + TICK_MS)) == [NOON + TICK_MS]


def test_a_consumer_that_lost_the_last_event_of_a_quiet_ward_finds_it_out() -> None:
    """The next heartbeat names a number beyond what he heard, and which; one who lost nothing is told that too."""
    live = Live(WardSettings(budget=9, flood_count=9))
    live.append(("W1", said("a", 1, "risk_threshold", 0)), ("W2", said("b", 1, "risk_threshold", 0, "W2")))
    live.append(("W1", said("c", 1, "risk_threshold", 1)))
    live.work()
    live.idle(NOON)
    (heartbeat,) = heartbeats(live.work())
    *heard, lost = live.told()
    assert (heartbeat.subject, heartbeat.newest) == ("ward_partition|0", (("W1", 2), ("W2", 1)))
    assert missed(live.told(), heartbeat) == {}
    assert missed(heard, heartbeat) == {"W1": range(2, 3)}
    assert header(lost.headers, "ce_wardseq") == "2"


def test_a_heartbeat_names_what_was_told_before_its_beat_and_nothing_after() -> None:
    """In one batch as in many: what stands behind the beat in the log is for the next one."""
    live = Live(WardSettings(budget=9, flood_count=9))
    live.append(("W1", said("a", 1, "risk_threshold", 0)), ("", write_beat(NOON)))
    live.append(("W1", said("b", 1, "risk_threshold", 1)), ("", write_beat(NOON + TICK_MS)))
    assert [one.newest for one in heartbeats(live.work())] == [(("W1", 1),), (("W1", 2),)]


def test_work_that_is_repeated_says_the_same_under_the_same_ids() -> None:
    """Killed between writing and noting, in another process, in other batches: byte for byte, headers too."""
    live = Live()
    live.append(("W1", said("a", 1, "risk_threshold", 0)), ("W1", said("b", 1, "risk_threshold", 1)))
    live.append(("", write_beat(NOON)), ("W1", candidate("c", 1, "raised", at=START + 2)))
    live.append(("", write_beat(NOON + TICK_MS)))

    def spoken(records: list[Record]) -> list[Any]:
        return [(one.key, one.value, one.headers) for one in records if one.topic == SIGNALS]

    first = spoken(live.work(commit=False))
    live.begin()
    assert spoken(live.work(commit=False)) == first
    assert len(first) == 2
    live.begin()
    items, again = live.log, list[Any]()
    for item in items:
        again += spoken(live.stage.work([item]))
        live.stage.commit()
        live.begin()
    assert again == first
    assert sum(live.stage.signals.values()) == 0, "counted for the process that said it"


@settings(max_examples=60, deadline=None)
@given(traffic(), st.lists(st.tuples(st.integers(0, 30), st.integers(-(10**6), 10**6)), max_size=8))
def test_beats_touch_neither_the_fold_nor_what_is_told(records: list[Sent], beaten: list[tuple[int, int]]) -> None:
    """With and without beats, of whatever minutes: the same events under the same numbers, the same states stored."""
    plain, with_beats = Live(), Live()
    for number, sent in enumerate(records):
        minutes = [START // MINUTE + minute for at, minute in beaten if at == number]
        with_beats.append(*(("", write_beat(minute * MINUTE)) for minute in minutes))
        for live in (plain, with_beats):
            live.append(sent)
    plain.work()
    with_beats.work()

    def told(live: Live) -> list[Any]:
        return [(one.key, one.value, header(one.headers, "ce_wardseq")) for one in live.told()]

    assert told(with_beats) == told(plain)
    assert with_beats.stage._fold.encode_whole() == plain.stage._fold.encode_whole()
    assert with_beats.contents() == with_beats.replayed() == plain.contents()


@pytest.mark.parametrize("content", [b'{"beat":"soon"}', b'{"beat":"2026-01-01T00:00:00Z","more":1}'])
def test_a_beat_that_nobody_can_read_becomes_a_letter(content: bytes) -> None:
    """As any record without a key that says nothing: it is told by no heartbeat."""
    live = Live()
    live.append(("", content))
    topics = [record.topic for record in live.work()]
    assert ("deadletters.v1" in topics, SIGNALS in topics, ALERTS in topics) == (True, False, False)


def test_a_beat_does_not_move_what_is_in_force() -> None:
    """Settings that are decided before a beat are in force from the beat on: nothing that is told changes by it."""
    live = Live(None)
    live.decide(ONE)
    live.append(("", write_beat(NOON)))
    live.work()
    live.append(("W1", said("a", 1, "risk_threshold", 0)), ("W1", said("b", 1, "risk_threshold", 1)))
    live.work()
    assert [change.position for change in live.gates()] == [0]
    assert live.contents() == live.replayed()
