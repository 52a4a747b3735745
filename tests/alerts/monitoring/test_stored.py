"""What is kept of the monitoring: restored at any moment it says the same; what is damaged is begun anew."""

from __future__ import annotations

import pytest

from alerts.monitoring import (
    MONITOR_KEY,
    Monitor,
    MonitoringSettings,
    Signal,
    decode_signal,
    encode_signal,
    monitor_keys,
)
from alerts.sealing import seal
from events import Envelope, Observation
from features.catalogue import default_catalogue
from tests.alerts.monitoring.hospital_log import GLUCOSE, HOUR, MINUTE, PULSE, Log

WHOLE = 900


def story(log: Log, begin: int, end: int) -> None:
    """Tell part of a story that has silences, changes and people coming and going in it; message by message."""
    for number in range(begin, end):
        at = number * 4 * MINUTE
        if number % 100 == 99:
            log.tick(at + 3 * MINUTE)
        if 400 <= number < 490 or number % 211 == 0:
            continue
        values = [(PULSE, 60.0 + number * 7 % 31 if number < 600 or number % 9 else 77.0, "/min")]
        unit, factor = ("mmol/L", 1) if number < 700 else ("mg/dL", 18)
        values.append((GLUCOSE if number < 800 else ("LOCAL", "GLU"), factor * (5.0 + number * 3 % 17), unit))
        log.message(at, f"p{number % 9}", values, total=number % 9, ward=f"W{number % 3}")
        if number % 150 == 149:
            log.leave(at + MINUTE, f"p{number % 9}")
        if number == 750:
            log.tick(at + 2 * MINUTE, behind=True)
    log.records = dict(log.records)


def kept(monitor: Monitor, store: dict[str, bytes]) -> None:
    """Commit what has changed."""
    for key, data in monitor.take_changes().items():
        if data is None:
            store.pop(key, None)
        else:
            store[key] = data


@pytest.fixture(scope="module")
def whole() -> list[Signal]:
    """Give what is said of the whole story in one go."""
    log = Log()
    story(log, 0, WHOLE)
    return log.said


def test_the_story_is_worth_its_name(whole: list[Signal]) -> None:
    """It raises and clears silences of all three sorts and tells of changes."""
    kinds = {one.kind for one in whole}
    assert {"feed_silent", "ward_silent", "patient_silent", "unit_changed", "code_remapped"} <= kinds


@pytest.mark.parametrize("every", [1, 37, 300])
def test_restored_between_any_two_records_it_says_the_same(every: int, whole: list[Signal]) -> None:
    """A store that is written and read back every few records changes nothing, whatever the batch."""
    log, store = Log(), {}
    for begin in range(0, WHOLE, every):
        story(log, begin, min(begin + every, WHOLE))
        kept(log.monitor, store)
        fresh = Monitor()
        assert fresh.restore({**store, "other": b"x"}) or not store
        log.monitor = fresh
    assert log.said == whole


def test_only_what_was_touched_is_written() -> None:
    """One message writes its patient's chunk, its feed's, the wards and the head; without one nothing is written."""
    log = Log()
    story(log, 0, 50)
    log.monitor.take_changes()
    log.message(201 * MINUTE, "p1")
    assert len(log.monitor.take_changes()) <= 8
    assert log.monitor.take_changes() == {}


def test_what_a_message_writes_does_not_grow_with_the_hospital() -> None:
    """Of 3,000 patients, all told as silent, one who is heard again writes less than a hundredth of what is kept."""
    log, store = Log(), {}
    for number in range(3_000):
        log.message(number * HOUR // 3_000, f"p{number}", ward=f"W{number % 100}")
    log.tick(30 * HOUR)
    assert len(log.of("patient_silent")) == 3_000
    kept(log.monitor, store)
    log.message(30 * HOUR, "p7", ward="W7")
    changes = log.monitor.take_changes()
    assert len(changes) <= 7
    assert sum(len(data or b"") for data in changes.values()) * 100 < sum(map(len, store.values()))


def test_being_behind_writes_no_patient() -> None:
    """A tick that excuses everybody writes the head, wards and feeds: the host has enough to do then."""
    log = Log()
    for number in range(50):
        log.message(number, f"p{number}")
    log.monitor.take_changes()
    log.tick(HOUR, behind=True)
    sorts = {key.removeprefix(MONITOR_KEY)[:1] for key in log.monitor.take_changes()}
    assert sorts == {"", "f", "w"}


def test_a_tick_that_touches_nothing_else_is_kept() -> None:
    """Restored after it, a message received before it is heard at the same time as without the restart."""
    logs = []
    for restarted in (False, True):
        log, store = Log(), {}
        log.message(0, total=5)
        kept(log.monitor, store)
        log.tick(HOUR)
        kept(log.monitor, store)
        if restarted:
            log.monitor = Monitor()
            assert log.monitor.restore(store)
        log.message(HOUR // 2, total=5)
        log.tick(4 * HOUR)
        logs.append(log.said)
    assert [one.received_time // MINUTE for one in logs[0] if one.kind == "patient_silent"] == [225]
    assert logs[0] == logs[1]


def test_what_the_store_could_not_commit_is_written_with_the_next() -> None:
    """Changes that are put back come again."""
    log = Log()
    log.message(0)
    changes = log.monitor.take_changes()
    log.monitor.put_back(changes)
    assert log.monitor.take_changes() == changes


@pytest.mark.parametrize("sort", ["", "f", "w", "p"])
@pytest.mark.parametrize(
    "damage", [lambda data: data[:-3], lambda data: data[:-1] + b"?", lambda _data: b"\x93\x09\x00\xc4\x00"]
)
def test_a_state_that_cannot_be_read_is_begun_anew(sort: str, damage: object) -> None:
    """Cut off, altered or of another schema: nothing of it is taken over, and hearing goes on."""
    log, store = Log(), {}
    log.message(0)
    kept(log.monitor, store)
    key = next(key for key in sorted(store) if key.startswith(MONITOR_KEY + sort))
    store[key] = damage(store[key])  # type: ignore[operator]
    fresh = Monitor()
    assert not fresh.restore(store)
    assert fresh.standing() == []
    assert Log(monitor=fresh).message(HOUR) == []


@pytest.mark.parametrize("lost", ["head", "damaged", "schema 1"])
def test_nothing_is_left_of_a_state_that_could_not_be_read(lost: str) -> None:
    """Begun anew and restored again, it knows what it has heard since and nobody from before."""
    log = Log()
    store: dict[str, bytes] = {}
    for number in range(50):
        log.message(number, f"p{number}", ward=f"W{number}")
    kept(log.monitor, store)
    if lost == "head":
        del store[MONITOR_KEY]
    elif lost == "damaged":
        store[MONITOR_KEY] = b"?"
    else:
        store = {key: seal(1, []) for key in (MONITOR_KEY, "~monitor/wards", "~monitor/f3", "~monitor/p7")}
    begun = Log(monitor=Monitor())
    assert not begun.monitor.restore(store)
    begun.message(HOUR, "p3")
    kept(begun.monitor, store)
    fresh = Monitor()
    assert fresh.restore(store)
    assert list(fresh._desk.patients) == ["p3"]
    assert len(store) == 4


def test_a_code_that_is_mapped_no_more_observes_nobody_restarted_or_not() -> None:
    """A row is taken out of a code map: from then on its readings are no vital signs of a patient, who is told as
    overdue; a service that was restarted meanwhile says the same.
    """
    local = ("LAB", "HR-2")
    log, restarted, store = Log(), Log(monitor=Monitor()), {}
    log.monitor.use(default_catalogue().with_codes({local: "heart_rate"}), MonitoringSettings())
    for number in range(60):
        log.message(number * 5 * MINUTE, "q", [(local, 60.0 + number % 31, "/min")])
    log.monitor.use(default_catalogue(), MonitoringSettings())
    kept(log.monitor, store)
    assert restarted.monitor.restore(store)
    restarted.records, restarted.count = dict(log.records), log.count
    for number in range(60, 60 + 14 * 12):
        sent = [(local, 60.0 + number % 31, "/min"), (GLUCOSE, 5.0 + number % 7, "mmol/L")]
        assert log.message(number * 5 * MINUTE, "q", sent) == restarted.message(number * 5 * MINUTE, "q", sent)
    assert [one.patient for one in log.of("patient_silent")] == ["q"]


def test_a_saturation_of_a_blood_gas_is_no_vital_sign_after_a_restart_either() -> None:
    """2708-6 of arterial blood is no SpO2; a code keeps what its specimen made of it over a restart, and over a
    configuration of the same catalogue: blood gases alone do not observe a patient.
    """
    monitor, store = Monitor(), {}
    for at in range(0, HOUR, MINUTE):
        gas = Observation(at, (("loinc", "2708-6"),), 95.0, "%", at, qualifiers=(("HL70070", "ABLD"),))
        monitor.hear(Envelope(f"g{at}", "q", at, at, (gas,), feed="GAS"))
    kept(monitor, store)
    restarted = Monitor()
    assert restarted.restore(store)
    for one in (monitor, restarted):
        [channel] = one._feeds["GAS"].channels.values()
        assert (channel.feature, channel.vital) == ("sao2", False)


def test_every_key_is_one_that_no_patient_has() -> None:
    """They begin with a tilde, by which records, boards and doctors leave them out."""
    assert all(key.startswith("~monitor/") for key in monitor_keys())


def test_a_signal_is_read_back_as_it_was_written(whole: list[Signal]) -> None:
    """JSON and back is the same signal, and one content has one id."""
    assert [decode_signal(encode_signal(one)) for one in whole] == whole
    assert len({one.signal_id for one in whole}) == len(whole)
