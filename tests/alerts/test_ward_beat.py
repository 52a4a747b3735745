"""The ward's heartbeat as data: what it names, what it leaves out, and that no other signal's id moved for it."""

from __future__ import annotations

import json

import pytest

from alerts.monitoring import decode_signal, encode_signal
from alerts.monitoring.signal import make_signal
from alerts.ward import CandidateError, WardFold
from alerts.ward_beat import WARDS_NAMED_MAX, heartbeats, read_beat, write_beat
from alerts.ward_memory import WARD_REMEMBERED_MS
from alerts.ward_records import read_tick, write_tick
from tests.alerts.test_ward import candidate, fold


def test_a_heartbeat_names_each_ward_with_its_newest_number() -> None:
    """By name, whatever order they were told in; one that is only known by name was told nothing, and is not among
    them.
    """
    folded = WardFold()
    fold([("W2", candidate("b", 1, ward="W2")), *(("W1", candidate("a", seq)) for seq in (1, 2))], folded)
    folded._memory.open("W0")
    assert folded.newest() == [("W1", 2), ("W2", 1)]
    assert [folded.ward_seq(name) for name in ("W1", "W2", "W0")] == [2, 1, 0]


def test_a_ward_is_named_for_as_long_as_it_is_remembered() -> None:
    """However long it is quiet; one whose name nobody used for a year is forgotten, and counted from 1 if it comes."""
    folded = WardFold()
    fold([("W1", candidate("a", 1, "resolved"))], folded)
    folded.pass_time(WARD_REMEMBERED_MS, "x")
    assert folded.newest() == [("W1", 1)]
    folded.pass_time(2 * WARD_REMEMBERED_MS, "y")
    assert folded.newest() == []


@pytest.mark.parametrize("wards", [0, 1, WARDS_NAMED_MAX, WARDS_NAMED_MAX + 1, 3 * WARDS_NAMED_MAX])
def test_no_ward_is_left_out_however_many_there_are(wards: int) -> None:
    """Past the bound of one signal there are several, each with its place; where no ward was told anything, an empty
    one.
    """
    newest = [(f"W{number:05}", number + 1) for number in range(wards)]
    said = heartbeats(2, 60_000, newest)
    assert [pair for one in said for pair in one.newest] == newest
    assert all(len(one.newest) <= WARDS_NAMED_MAX for one in said)
    assert len({one.signal_id for one in said}) == len(said) == max(-(-wards // WARDS_NAMED_MAX), 1)
    details = [f"part {number} of {len(said)}" for number in range(1, len(said) + 1)] if len(said) > 1 else [""]
    assert [one.detail for one in said] == details


def test_a_heartbeat_is_read_back_as_it_was_written() -> None:
    """Its wards are pairs in the JSON; its id follows from all that it says."""
    (one,) = heartbeats(3, 60_000, [("W1", 7)])
    content = encode_signal(one)
    assert decode_signal(content) == one
    document = json.loads(content)
    assert (document["newest"], document["subject"], document["kind"]) == ([["W1", 7]], "ward_partition|3", "heartbeat")
    (other,) = heartbeats(3, 60_000, [("W1", 8)])
    assert one.signal_id != other.signal_id


def test_the_ids_and_the_bytes_of_other_signals_are_what_they_were() -> None:
    """The field is younger than they are: where it is empty it enters neither. The text is of the release before it."""
    signal = make_signal("feed_silent", "feed|LAB", "raised", 1, 60_000, 0, 0, feed="LAB", wards=("W3",))
    assert encode_signal(signal) == (
        b'{"code":"","detail":"","feature":"","feed":"LAB","kind":"feed_silent","partition":0,"patient":"",'
        b'"received_time":"1970-01-01T00:01:00Z","seq":1,"signal_id":"53214708-cf5e-5291-83e9-6dc346c58425",'
        b'"since":"1970-01-01T00:00:00Z","state":"raised","subject":"feed|LAB","ward":"","wards":["W3"]}'
    )


def test_a_beat_is_no_tick_and_a_tick_no_beat() -> None:
    """Each is read by its own form, so a release that knows no beats refuses one and moves no clock by it."""
    assert read_beat(write_tick(60_000)) is None
    assert read_beat(b"") is read_beat(b'{"beat":"soon"}') is read_beat(b'{"beat":7}') is None
    with pytest.raises(CandidateError, match="no_key"):
        read_tick(write_beat(60_000))
    with pytest.raises(CandidateError, match="no_key"):
        WardFold().take("", write_beat(60_000))
