"""The importer of PhysioNet 2012."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from connectors.datasets.physionet2012 import EPOCH, parse_stay, read
from connectors.decoded import Decoded, Refusal, RefusalReason
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, Discharge, Observation

HEADER = "Time,Parameter,Value\n"


def messages_of(lines: str, death_after_days: int | None = None) -> list[Decoded]:
    items = parse_stay("1", (HEADER + lines).encode(), EPOCH, death_after_days)
    return [message for _, message in items if isinstance(message, Decoded)]


def values_of(message: Decoded) -> list[tuple[str, float | None]]:
    return [(e.codings[0][1], e.value) for e in message.events if isinstance(e, Observation)]


def test_one_minute_is_one_message() -> None:
    """All parameters of one minute are one message; -1 is missing."""
    rows = [m for m in messages_of("00:07,HR,73\n00:07,RespRate,19\n00:07,Weight,-1\n01:00,HR,70") if m.kind == "row"]
    assert [values_of(m) for m in rows] == [[("8867-4", 73.0), ("9279-1", 19.0)], [("8867-4", 70.0)]]
    assert rows[0].event_time == EPOCH + 7 * MILLIS_PER_MINUTE


def test_repeats_in_one_minute_keep_a_time_of_their_own() -> None:
    """Of values of one thing in one minute the last has the minute; an arterial pressure comes after a cuff's."""
    rows = [m for m in messages_of("00:07,SysABP,120\n00:07,NISysABP,111\n00:07,HR,1\n00:07,HR,2") if m.kind == "row"]
    assert [values_of(m) for m in rows] == [[("8480-6", 111.0), ("8867-4", 1.0)], [("8480-6", 120.0), ("8867-4", 2.0)]]
    assert [m.message_id for m in rows] == ["1#00:06:59", "1#00:07"]


def test_death_is_told_at_the_length_of_stay_and_not_before_48_h() -> None:
    """A recording ends at 48 h; a later death is told when it came."""

    def closings(days: int | None) -> list[tuple[int, bool]]:
        closed = messages_of("00:07,HR,73", days)
        return [
            ((e.event_time - EPOCH) // MILLIS_PER_HOUR, e.deceased)
            for m in closed
            for e in m.events
            if isinstance(e, Discharge)
        ]

    assert closings(None) == [(48, False)]
    assert closings(5) == [(48, False), (120, True)]
    assert closings(1) == closings(-1) == [(48, True)]


def test_bad_lines_are_refused_in_their_place() -> None:
    """Each line that is not as described is a refusal of its own; the rest stands."""
    lines = "00:07,HR,73\n00:08,HR\n00:09,Mood,3\n00:10,HR,high\n99,HR,3\n00:11,HR,inf"
    found = [m for _, m in parse_stay("1", (HEADER + lines).encode(), EPOCH) if isinstance(m, Refusal)]
    assert [m.position for m in found] == ["1#line3", "1#line4", "1#line5", "1#line6", "1#line7"]
    assert {m.reason for m in found} == {RefusalReason.INVALID_VALUE}


def test_real_stays_come_in_order_and_complete(shared_data: Path) -> None:
    """On each 40th stay: times never go back, nothing is refused, no feature is told twice in one message."""
    messages = list(read(shared_data / "physionet2012", every=40))
    decoded = [m for m in messages if isinstance(m, Decoded)]
    assert len(decoded) == len(messages) > 7_000
    times = [m.sent_time for m in decoded if m.sent_time is not None]
    assert all(before <= after for before, after in pairwise(times))
    for message in decoded:
        codes = [code for code, _ in values_of(message)]
        assert len(codes) == len(set(codes))
    ids = [e.observation_id for m in decoded for e in m.events if isinstance(e, Observation)]
    assert len(ids) == len(set(ids))
    deaths = sum(e.deceased for m in decoded for e in m.events if isinstance(e, Discharge))
    assert 5 <= deaths <= 30
