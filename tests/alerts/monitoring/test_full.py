"""Where the monitoring has no more room: it says so, and says when there is room again."""

from __future__ import annotations

import pytest

from alerts.monitoring import Monitor, feed, voice
from tests.alerts.monitoring.hospital_log import DAY, HOUR, PULSE, Log
from tests.alerts.monitoring.test_stored import kept


def coded(log: Log, at: int, code: str) -> None:
    """Chart a reading of a local code, and a pulse."""
    log.message(at, values=[(PULSE, 60.0 + log.count % 30, "/min"), (("LOCAL", code), 1.0, "u")], ward=None)


def crowded(log: Log, restored: dict[str, bytes] | None = None) -> list[tuple[str, int, int]]:
    """Send eight codes where five are told apart, then one of them for 31 days; give what is said of that."""
    for number in range(8):
        coded(log, number * HOUR, str(number))
    for hour in range(8, 31 * 24):
        coded(log, hour * HOUR, "1")
        if restored is not None and not hour % 7:
            kept(log.monitor, restored)
            log.monitor = Monitor()
            assert log.monitor.restore(restored)
    return [(one.state, one.seq, one.received_time // HOUR) for one in log.said if one.kind == "monitor_full"]


def test_a_feed_has_room_again_when_codes_are_no_longer_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal is cleared 30 days after the oldest code was heard; a new one is then told apart."""
    monkeypatch.setattr(feed, "CHANNELS_MAX", 5)
    log = Log()
    assert crowded(log) == [("raised", 1, 4), ("cleared", 2, 30 * 24)]
    coded(log, 31 * DAY, "new")
    assert not [one for one in log.monitor.standing() if one.kind == "monitor_full"]


def test_restored_now_and_then_it_finds_room_in_the_same_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """When room was looked for is kept."""
    monkeypatch.setattr(feed, "CHANNELS_MAX", 5)
    assert crowded(Log(), {}) == crowded(Log())


def test_a_code_that_is_told_of_makes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """One told as remapped stays, and what is kept can be written and read."""
    monkeypatch.setattr(feed, "CHANNELS_MAX", 4)
    log = Log()
    coded(log, 0, "a")
    watched = log.monitor._feeds["CHART"]
    gone = next(one for one in watched.channels.values() if one.feature)
    watched.lost[gone.index] = gone
    for number in range(5):
        log.message(40 * DAY + number, values=[(("LOCAL", f"b{number}"), 1.0, "u")], ward=None)
    assert gone in watched.channels.values()
    store: dict[str, bytes] = {}
    kept(log.monitor, store)
    assert Monitor().restore(store)


def test_signals_beyond_the_limit_are_counted_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ten patients who fall silent three are told, and once that there are more; cleared, it says how many."""
    monkeypatch.setattr(voice, "OPEN_MAX", 5)
    monkeypatch.setattr(voice, "ROOM_AGAIN", 3)
    log = Log()
    store: dict[str, bytes] = {}
    for number in range(10):
        log.message(0, f"p{number}")
    log.message(14 * HOUR, "other", values=[(PULSE, 70.0, "/min")], ward="W4")
    assert [len(log.of(kind)) for kind in ("feed_silent", "ward_silent", "patient_silent")] == [1, 1, 3]
    [full] = log.of("monitor_full")
    assert full.subject == "partition|signals"
    unsaid = log.monitor._voice.unsaid
    assert unsaid == 7
    kept(log.monitor, store)
    log.monitor = Monitor()
    assert log.monitor.restore(store)
    for number in range(10):
        log.message(14 * HOUR + number, f"p{number}")
    [cleared] = log.of("monitor_full", "cleared")
    assert cleared.seq == 2
    assert cleared.detail == f"there is room again; {unsaid} were not told"


def test_what_stands_is_restored_in_the_order_in_which_it_was_told() -> None:
    """The longest told comes first, whatever parts it is kept in."""
    log = Log()
    store: dict[str, bytes] = {}
    for number in range(40):
        log.message(number * HOUR // 4, f"p{number * 17 % 40}", ward=f"W{number}")
    log.tick(40 * HOUR)
    kept(log.monitor, store)
    fresh = Monitor()
    assert fresh.restore(store)
    assert len(fresh.standing()) > 40
    assert fresh.standing() == log.monitor.standing()
    assert list(fresh._voice.told) == list(log.monitor._voice.told)
