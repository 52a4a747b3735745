"""Silence of feeds, wards and patients: when it is told, when not, and when it ends."""

from __future__ import annotations

from alerts.monitoring import MonitoringSettings
from events import Envelope, Tick
from tests.alerts.monitoring.hospital_log import DAY, HOUR, MINUTE, Log, Record

NIGHT = range(22, 30)
"""Hours of a night, counted on over midnight."""


def habit(log: Log, days: int, start: int = 0, shift: int = 0) -> int:
    """Chart each five minutes by day, each hour at night, for some days; give the end."""
    at = start * DAY
    while at < (start + days) * DAY:
        log.message(at, f"p{at // MINUTE % 7}")
        hour = (at + shift) // HOUR % 24
        at += HOUR if hour >= 22 or hour < 6 else 5 * MINUTE
    return at


def test_a_feed_that_falls_silent_is_told_and_clears_when_it_is_heard_again() -> None:
    """After a day of a message each five minutes, ten minutes without one are told, and the next one clears it."""
    log = Log()
    for minute in range(0, 1500, 5):
        log.message(minute * MINUTE)
    last = 1495 * MINUTE
    assert log.tick(last + 9 * MINUTE) == []
    log.tick(last + 30 * MINUTE)
    raised = log.of("feed_silent")
    assert [(one.feed, one.since, one.seq, one.wards) for one in raised] == [("CHART", last, 1, ("W3",))]
    assert raised[0].received_time % MINUTE == 0
    assert raised[0].received_time <= last + 15 * MINUTE
    cleared = log.message(last + 40 * MINUTE)
    assert [(one.kind, one.state, one.seq) for one in cleared if one.feed == "CHART"] == [("feed_silent", "cleared", 2)]


def test_before_anything_is_learned_the_stated_default_counts() -> None:
    """On the first day a feed may be silent for `feed_silence_ms_first`, however often it spoke."""
    log = Log()
    for minute in range(60):
        log.message(minute * MINUTE)
    log.tick(59 * MINUTE + 89 * MINUTE)
    assert log.of("feed_silent") == []
    log.tick(59 * MINUTE + 91 * MINUTE)
    assert [one.received_time for one in log.of("feed_silent")] == [149 * MINUTE]


def test_what_is_usual_at_night_is_told_by_day() -> None:
    """Of one feed an hour's silence at night is usual; by day half an hour is told."""
    log = Log()
    habit(log, 4)
    assert log.of("feed_silent") == []
    noon = 4 * DAY
    while noon < 4 * DAY + 12 * HOUR:
        log.message(noon)
        noon += HOUR if noon % DAY < 6 * HOUR else 5 * MINUTE
    log.tick(noon + 30 * MINUTE)
    assert [one.kind for one in log.of("feed_silent")] == ["feed_silent"]


def test_a_night_of_daylight_saving_change_is_usual() -> None:
    """Where every habit moves by one hour over night, in either direction, no feed or ward is called silent."""
    for shift in (-HOUR, HOUR):
        log = Log()
        habit(log, 5)
        habit(log, 2, start=5, shift=shift)
        assert log.of("feed_silent") + log.of("ward_silent") == []


def test_results_that_come_in_bursts_are_not_silent_in_between() -> None:
    """Of two hundred results at once each hour, the hour between is usual."""
    log = Log()
    for hour in range(48):
        for second in range(200):
            log.message(hour * HOUR + second * 1000, f"p{second}", ward=None)
    assert log.of("feed_silent") == []


def test_a_long_outage_does_not_become_usual_at_once() -> None:
    """After an outage of two hours, the next one at the same hour is told as soon as the first was."""
    log = Log()
    delays = []
    at = 0
    for day in range(8):
        while at < day * DAY + 12 * HOUR:
            log.message(at)
            at += 5 * MINUTE
        if day in (5, 6):
            log.tick(at + 2 * HOUR)
            delays.append(log.of("feed_silent")[-1].received_time - at)
            at += 2 * HOUR
    assert len(log.of("feed_silent")) == 2
    assert delays[1] - delays[0] <= 10 * MINUTE


def test_a_silent_ward_is_told_though_the_feed_speaks_of_others() -> None:
    """A ward of eight whose observations stop is told by name while the feed goes on with another ward."""
    log = Log()
    for minute in range(0, 1500, 5):
        log.message(minute * MINUTE, f"a{minute // 5 % 8}", ward="W3")
        log.message(minute * MINUTE, f"b{minute // 5 % 8}", ward="W4")
    for minute in range(1500, 1800, 5):
        log.message(minute * MINUTE, f"b{minute // 5 % 8}", ward="W4")
    assert [one.ward for one in log.of("ward_silent")] == ["W3"]
    assert log.of("feed_silent") == []
    assert log.message(1801 * MINUTE, "a1")[0].state == "cleared"


def test_a_ward_of_one_patient_is_not_silent_between_his_observations() -> None:
    """One patient of NEWS2 0, observed 12-hourly, makes no silent ward, on the first day or later."""
    log = Log()
    for half_day in range(8):
        log.message(half_day * 12 * HOUR)
        log.message(half_day * 12 * HOUR + HOUR, "q", ward="W9")
    assert log.of("ward_silent") + log.of("patient_silent") == []


def test_a_ward_that_nobody_lies_on_is_not_silent() -> None:
    """When the last patient of a silent ward leaves, its signal is cleared and none follows."""
    log = Log()
    log.message(0)
    log.tick(20 * HOUR)
    assert log.of("ward_silent") != []
    log.leave(21 * HOUR)
    assert [one.detail for one in log.of("ward_silent", "cleared")] == ["nobody lies there"]
    log.tick(10 * DAY)
    assert len(log.of("ward_silent")) == 1


def test_observations_are_overdue_by_the_interval_of_the_last_news2() -> None:
    """Nothing heard: told after 2 h 45 min at NEWS2 5, 7 h 45 min at 2, 13 h 45 min at 0: RCP interval and grace."""
    log = Log()
    for patient, total in (("a", 5), ("b", 2), ("c", 0)):
        log.message(0, patient, total=total)
    log.tick(24 * HOUR)
    told = {one.patient: one.received_time // MINUTE for one in log.of("patient_silent")}
    assert told == {"a": 165, "b": 465, "c": 825}
    log.message(24 * HOUR, "a")
    assert [one.patient for one in log.of("patient_silent", "cleared")] == ["a"]


def test_a_laboratory_result_is_no_observation() -> None:
    """Blood results do not make a patient observed."""
    log = Log()
    log.message(0, total=5)
    for hour in (1, 2, 3):
        log.message(hour * HOUR, values=((("loinc", "2345-7"), 5.5, "mmol/L"),), feed="LAB", total=5)
    assert [one.received_time for one in log.of("patient_silent")] == [165 * MINUTE]


def test_a_discharge_ends_the_watch() -> None:
    """Nobody is overdue who left; who was overdue when he left is cleared."""
    log = Log()
    log.message(0, "a", total=5)
    log.message(0, "b", total=5)
    log.leave(HOUR, "a")
    log.tick(4 * HOUR)
    assert [one.patient for one in log.of("patient_silent")] == ["b"]
    log.leave(5 * HOUR, "b")
    assert [one.detail for one in log.of("patient_silent", "cleared")] == ["no longer here"]


def batches(log: Log, shifts: int) -> None:
    """Take observations of ten patients each four hours, and chart them all at the end of each twelve-hour shift."""
    for shift in range(1, shifts + 1):
        end = shift * 12 * HOUR
        for taken in (end - 12 * HOUR, end - 8 * HOUR, end - 4 * HOUR):
            for patient in range(10):
                log.message(end + patient * MINUTE, f"p{patient}", event_time=max(taken, 0), total=2)


def test_a_ward_that_charts_after_its_shift_is_told_once_and_then_known() -> None:
    """By batches 12 h apart, each patient of NEWS2 1 to 4 is overdue in the first shifts; later nobody is."""
    log = Log()
    batches(log, 16)
    told = log.of("patient_silent")
    assert all(one.received_time < 3 * DAY for one in told)
    assert len(told) <= 40
    assert log.of("ward_silent") == [one for one in log.of("ward_silent") if one.received_time < 3 * DAY]


def test_the_sickest_are_overdue_however_late_the_ward_usually_charts() -> None:
    """A ward that charts each twelve hours does not make twelve hours usual for a patient of NEWS2 5."""
    log = Log()
    for shift in range(20):
        log.message(shift * 12 * HOUR, total=5)
    late = [one.received_time - one.since for one in log.of("patient_silent")]
    assert len(late) == 19
    assert max(late) <= 3 * HOUR + 46 * MINUTE


def test_a_catch_up_flood_clears_the_silence_and_raises_nothing() -> None:
    """After an outage of two hours the feed sends all it has: one silence, cleared by the first, and no more."""
    log = Log()
    for minute in range(0, 1500, 5):
        log.message(minute * MINUTE, f"p{minute % 8}", total=2)
    back = 1495 * MINUTE + 2 * HOUR
    log.tick(back - MINUTE)
    for late in range(24):
        log.message(back + late * 1000, f"p{late % 8}", event_time=back - 2 * HOUR + late * 5 * MINUTE, total=2)
    log.tick(back + 5 * MINUTE)
    assert [(one.kind, one.state) for one in log.said if one.feed] == [
        ("feed_silent", "raised"),
        ("feed_silent", "cleared"),
    ]


def test_while_we_are_behind_no_silence_is_told() -> None:
    """Records wait for two hours before the log: ticks that say so raise nothing, nor does the catching up."""
    log = Log()
    for minute in range(0, 1500, 5):
        log.message(minute * MINUTE, f"p{minute % 8}", total=5)
    stalled = 1500
    for minute in range(stalled, stalled + 180):
        log.tick(minute * MINUTE, behind=True)
    for minute in range(stalled, stalled + 180, 5):
        log.message(minute * MINUTE, f"p{minute % 8}", total=5)
    log.tick((stalled + 181) * MINUTE)
    assert log.said == []


def test_a_feed_that_stayed_silent_while_we_were_behind_is_told_afterwards() -> None:
    """What counts anew from the last tick that was behind is told a limit after it."""
    log = Log()
    for minute in range(0, 1500, 5):
        log.message(minute * MINUTE)
    log.tick(1600 * MINUTE, behind=True)
    log.tick(1640 * MINUTE)
    assert [one.since for one in log.of("feed_silent")] == [1600 * MINUTE]


def test_a_feed_that_says_nothing_by_its_silence_is_not_told() -> None:
    """A feed that is named in `unwatched_feeds` may be silent."""
    log = Log(MonitoringSettings(unwatched_feeds=("CHART",)))
    log.message(0)
    log.tick(3 * DAY)
    assert log.of("feed_silent") == []


def test_switched_off_nothing_is_said() -> None:
    """With `enabled = false` no silence is told."""
    log = Log(MonitoringSettings(enabled=False))
    log.message(0)
    log.tick(3 * DAY)
    assert log.said == []


def test_seq_is_gapless_for_each_subject() -> None:
    """Of one subject and kind, 1 raises, 2 clears, 3 raises ..."""
    log = Log()
    for day in range(4):
        log.message(day * DAY)
    seqs = [(one.seq, one.state) for one in log.said if one.kind == "feed_silent"]
    assert seqs == [(number, "raised" if number % 2 else "cleared") for number in range(1, 7)]


def admit(log: Log, at: int, patient: str, record: Record) -> None:
    """Let a patient come of whom nothing else is heard."""
    envelope = Envelope(f"a{at}{patient}", patient, at, at, (Tick(at),), feed="ADT")
    log.said += log.monitor.hear(envelope)
    log.monitor.follow(envelope, record, None, log.said)


def test_a_ward_that_was_never_heard_is_told_from_its_first_patient_on() -> None:
    """Patients lie there and nothing comes of them: after four hours the ward is told, where enough lie there; one that
    is filled anew counts from there.
    """
    log = Log()
    records = [Record() for _ in range(4)]
    for number, record in enumerate(records):
        admit(log, 0, f"p{number}", record)
    log.tick(4 * HOUR - MINUTE)
    assert log.of("ward_silent") == []
    log.tick(4 * HOUR)
    assert [(one.ward, one.since) for one in log.of("ward_silent")] == [("W3", 0)]
    for number, record in enumerate(records):
        record.stay.admitted = False
        admit(log, 5 * HOUR, f"p{number}", record)
    assert [one.detail for one in log.of("ward_silent", "cleared")] == ["nobody lies there"]
    for number in range(4):
        admit(log, 9 * HOUR, f"q{number}", Record())
    log.tick(13 * HOUR)
    assert [(one.ward, one.since) for one in log.of("ward_silent")] == [("W3", 0), ("W3", 9 * HOUR)]


def test_who_was_never_observed_is_not_said_to_have_left() -> None:
    """After three days without an observation patients and ward are watched no more; what clears the signals says
    that, and not that they left and nobody lies there: nobody said so.
    """
    log = Log()
    for number in range(4):
        admit(log, 0, f"p{number}", Record())
    log.tick(73 * HOUR)
    cleared = log.of("patient_silent", "cleared") + log.of("ward_silent", "cleared")
    assert len(cleared) == 5
    assert {one.detail for one in cleared} == {"72 h without an observation: no longer watched"}
