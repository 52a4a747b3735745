"""What replaces, takes back or comes out of order: the superseded value never wins, and no other value is touched."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events import Correction, Observation
from features.state import PatientState
from features.superseded import SUPERSEDED_MAX
from features.value import FUTURE_TOLERANCE_MS
from features.vector import VectorSpec

MINUTE, HOUR = 60_000, 3_600_000
NOW = 500_000 * HOUR
CUFF, ARTERIAL, SATURATION = ("loinc", "8480-6"), ("mdc", "150037"), ("loinc", "59408-5")
UNITS = {CUFF: "mm[Hg]", ARTERIAL: "mm[Hg]", SATURATION: "%"}
SPEC = VectorSpec(["spo2.last", "spo2.mean_6h", "spo2.count_24h", "spo2.max_24h", "spo2.slope_6h", "systolic_bp.last"])


def reading(identity, value, coding=SATURATION, at=NOW, **more) -> Observation:
    return Observation(identity, (coding,), value, UNITS[coding], at, **more)


def replaced(identity, value, coding=SATURATION, at=NOW, **more) -> Correction:
    return Correction(reading(identity, value, coding, at, **more))


def taken_back(identity, coding=SATURATION, at=NOW, value=None) -> Correction:
    return Correction(reading(identity, value, coding, at), withdrawn=True)


def folded(*steps, received=NOW) -> tuple[PatientState, list]:
    state = PatientState()
    fates = [
        state.correct(step, received, "m") if type(step) is Correction else state.observe(step, received, "m")
        for step in steps
    ]
    return state, fates


def held(state: PatientState, name: str = "spo2", at: int = NOW) -> float | None:
    latest = state.latest(name, at)
    return latest and latest.value


# Clocks that run ahead


@pytest.mark.parametrize("ahead", [1, 30_000, FUTURE_TOLERANCE_MS])
def test_a_clock_a_little_ahead_is_no_reason_to_wait(ahead):
    """A value from within the tolerance is used at once, as of its receipt; by observe and by correct."""
    for step in (reading(1, 82.0, at=NOW + ahead), replaced(1, 82.0, at=NOW + ahead)):
        state, (fate,) = folded(step)
        assert (fate.outcome, fate.observation_id, fate.event_time) == ("accepted", 1, NOW)
        assert (state.latest("spo2", NOW).value, state.latest("spo2", NOW).event_time) == (82.0, NOW)


def test_a_coded_answer_from_a_clock_ahead_is_used_at_once_too():
    """The slower way that answers take clamps the time as well."""
    state = PatientState()
    state.observe(Observation(1, (("loinc", "67775-7"),), None, "", NOW + 1, text="P"), NOW, "m")
    assert held(state, "consciousness") == 3.0


def test_a_reading_from_a_clock_ahead_sent_again_is_a_duplicate():
    """The repeat, whose time has come by now, does not move the reading and is no correction."""
    state, _ = folded(reading(1, 82.0, at=NOW + 30_000))
    assert state.observe(reading(1, 82.0, at=NOW + 30_000), NOW + MINUTE, "m").outcome == "duplicate"
    assert state.latest("spo2", NOW + HOUR).event_time == NOW


def test_a_correction_by_time_finds_what_a_clock_ahead_told():
    """The time that a replacement without a known id names is clamped as the reading's was."""
    state, (_, fate) = folded(reading(1, 82.0, at=NOW + 30_000), replaced(2, 97.0, at=NOW + 30_000))
    assert (fate.outcome, fate.observation_id) == ("corrected", 1)
    assert held(state) == 97.0
    assert state.statistic(NOW, "spo2.count_1h") == 1.0


# Out of order


@pytest.mark.parametrize("status", ["final", "preliminary"])
def test_an_original_after_its_correction_does_not_win(status):
    """Whether it comes late or again, the value that was replaced stays replaced, and is said to be superseded."""
    original = reading(1, 98.0, status=status)
    for steps in ((replaced(1, 80.0), original), (original, replaced(1, 80.0), original)):
        state, fates = folded(*steps)
        assert (fates[-1].outcome, fates[-1].reason, fates[-1].observation_id) == ("superseded", "corrected", 1)
        assert held(state) == 80.0


def test_an_original_after_its_withdrawal_does_not_come_back():
    """Whether it comes late or again, what was taken back stays away."""
    for steps in ((taken_back(1), reading(1, 80.0)), (reading(1, 80.0), taken_back(1), reading(1, 80.0))):
        state, fates = folded(*steps)
        assert (fates[-1].outcome, fates[-1].reason) == ("superseded", "withdrawn")
        assert held(state) is None


def test_a_newer_correction_still_applies():
    """A correction of a corrected or withdrawn result replaces it, and a withdrawal takes a corrected one back."""
    state, _ = folded(reading(1, 98.0), replaced(1, 80.0), replaced(1, 85.0))
    assert held(state) == 85.0
    state, fates = folded(reading(1, 98.0), taken_back(1), replaced(1, 85.0), reading(1, 98.0))
    assert (held(state), fates[-1].reason) == (85.0, "corrected")
    state, fates = folded(reading(1, 98.0), replaced(1, 80.0), taken_back(1), reading(1, 98.0))
    assert (held(state), fates[-1].reason) == (None, "withdrawn")


def test_a_later_value_under_a_corrected_id_is_a_new_one():
    """A monitor that numbers every value alike is not silenced by one correction."""
    state, fates = folded(reading(1, 98.0, at=NOW - HOUR), replaced(1, 97.0, at=NOW - HOUR), reading(1, 80.0))
    assert fates[-1].outcome != "superseded"
    assert held(state) == 80.0


def test_what_is_superseded_is_kept_with_the_state_and_in_a_merge():
    """A restart or a merge between correction and original changes nothing."""
    state, _ = folded(replaced(1, 80.0), taken_back(2, at=NOW - HOUR))
    merged = PatientState()
    merged.absorb(PatientState.decode(state.encode()))
    for again in (PatientState.decode(state.encode()), merged):
        assert again.observe(reading(1, 98.0), NOW, "m").outcome == "superseded"
        assert again.observe(reading(2, 98.0, at=NOW - HOUR), NOW, "m").outcome == "superseded"
        assert held(again) == 80.0


def test_the_oldest_mark_is_forgotten_first():
    """The marks are bounded: past the limit the oldest original may come in again, the newest may not."""
    state, _ = folded(*(taken_back(identity) for identity in range(SUPERSEDED_MAX + 1)))
    assert state.observe(reading(0, 98.0), NOW, "m").outcome == "accepted"
    assert state.observe(reading(SUPERSEDED_MAX, 98.0), NOW, "m").outcome == "superseded"


# Whose value it is


def test_withdrawing_a_quarantined_value_leaves_another_devices_value_alone():
    """Taking back the cuff's impossible pressure clears its notice; the arterial line's of the same time stays."""
    state, fates = folded(reading(1, 16070.0, CUFF), reading(2, 70.0, ARTERIAL), taken_back(1, CUFF))
    assert (fates[-1].outcome, fates[-1].observation_id) == ("withdrawn", 1)
    assert held(state, "systolic_bp") == 70.0
    assert state.quarantined("systolic_bp") is None


def test_replacing_a_quarantined_value_leaves_another_devices_value_alone():
    """The cuff's mended pressure stands beside the arterial line's."""
    state, fates = folded(reading(1, 16070.0, CUFF), reading(2, 70.0, ARTERIAL), replaced(1, 160.0, CUFF))
    assert fates[-1].outcome == "corrected"
    assert state.statistic(NOW, "systolic_bp.count_1h") == 2.0


def test_a_withdrawal_of_an_unknown_id_removes_nothing():
    """Only a replacement, which brings a value, may be taken to mean the only reading of its very time."""
    state, fates = folded(reading(2, 70.0, ARTERIAL), taken_back(1, CUFF))
    assert fates[-1].outcome == "unmatched_correction"
    assert held(state, "systolic_bp") == 70.0


def test_a_replacement_by_time_means_the_only_reading_of_that_time():
    """Of two at one time neither is removed; of one, its id is told; one taken back before means no other."""
    state, fates = folded(reading(1, 90.0), replaced(9, 95.0))
    assert (fates[-1].outcome, fates[-1].observation_id) == ("corrected", 1)
    state, fates = folded(reading(1, 90.0), reading(2, 91.0), replaced(9, 95.0))
    assert (fates[-1].outcome, fates[-1].reason) == ("accepted", "unmatched_correction")
    assert state.statistic(NOW, "spo2.count_1h") == 3.0
    state, fates = folded(taken_back(9), reading(1, 90.0), replaced(9, 95.0))
    assert state.statistic(NOW, "spo2.count_1h") == 2.0


def test_the_id_told_is_the_one_removed():
    """A corrected and a withdrawn fate name the entry that is no longer there."""
    _, fates = folded(reading(1, 90.0), replaced(1, 95.0), taken_back(1))
    assert [(fate.outcome, fate.observation_id) for fate in fates[1:]] == [("corrected", 1), ("withdrawn", 1)]


# Replacements that cannot be used


@pytest.mark.parametrize(
    ("value", "more", "reason"),
    [
        (820.0, {}, "impossible_value"),
        (None, {"text": "see note"}, "not_a_number"),
        (None, {"absent_reason": "null"}, "replaced_by_nothing"),
        (None, {}, "replaced_by_nothing"),
    ],
)
def test_an_unusable_replacement_does_not_erase_the_old_value(value, more, reason):
    """A true red is not taken back by a slip: the value stays and the notice says so, until a good value or a W."""
    state, (_, fate) = folded(reading(1, 82.0), replaced(1, value, **more))
    assert (fate.outcome, fate.reason) == ("quarantined", reason)
    assert (held(state), state.quarantined("spo2")) == (82.0, fate)
    state.observe(reading(1, 82.0), NOW, "m")
    assert state.quarantined("spo2") == fate
    assert state.correct(taken_back(1), NOW, "m").outcome == "withdrawn"
    assert (held(state), state.quarantined("spo2")) == (None, None)


def test_a_good_replacement_after_an_unusable_one_counts():
    """The mended correction replaces the old value and clears the notice."""
    state, _ = folded(reading(1, 82.0), replaced(1, 820.0), replaced(1, 92.0))
    assert (held(state), state.quarantined("spo2")) == (92.0, None)


def test_an_unusable_replacement_of_an_older_value_is_no_notice():
    """What a newer good value has overtaken is counted and shown nowhere."""
    state, fates = folded(reading(1, 82.0, at=NOW - HOUR), reading(2, 90.0), replaced(1, 820.0, at=NOW - HOUR))
    assert fates[-1].outcome == "quarantined"
    assert state.quarantined("spo2") is None


def test_a_replacement_of_nothing_by_nothing_is_absent():
    """With nothing to replace, no value is no value."""
    _, (fate,) = folded(replaced(1, None, absent_reason="not-performed"))
    assert (fate.outcome, fate.reason) == ("absent", "not-performed")


# Emptied series


def test_a_late_value_after_all_recent_ones_were_withdrawn():
    """A value that goes into a bucket, when no reading is held in full, is stored and breaks nothing."""
    times = [NOW + minute * MINUTE for minute in range(130)]
    state, _ = folded(*(reading(place, 97.0, at=time) for place, time in enumerate(times)), received=times[-1])
    for place in range(66, 130):
        assert state.correct(taken_back(place, at=times[place]), times[-1], "m").outcome == "withdrawn"
    assert state.observe(reading(500, 80.0, at=times[3] + 1000), times[-1], "m").outcome == "accepted"
    assert state.statistic(times[-1], "spo2.count_24h") == 67.0


steps_of_a_log = st.lists(
    st.tuples(
        st.sampled_from(["chart", "chart", "chart", "late", "ahead", "empty", "correct", "withdraw", "restart"]),
        st.integers(1, 150),
        st.sampled_from([20_000, MINUTE, 5 * MINUTE, HOUR]),
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=60, deadline=None)
@given(steps_of_a_log)
def test_no_log_of_values_and_corrections_breaks_the_fold(log):
    """Charting, late and early values, mass withdrawals, corrections and restarts in any order are all folded."""
    state, now, known = PatientState(), NOW, 0
    times: dict[int, int] = {}
    for kind, count, gap in log:
        if kind in {"chart", "late", "ahead"}:
            offset = {"chart": 0, "late": -count * 10 * MINUTE, "ahead": 30_000}[kind]
            for _ in range(count):
                now, known = now + gap, known + 1
                times[known] = now + offset
                state.observe(reading(known, 80.0 + known % 20, at=times[known]), now, "m")
        elif kind == "restart":
            state = PatientState.decode(state.encode())
        else:
            for identity in sorted(times, key=lambda one: times[one])[-count if kind == "empty" else -1 :]:
                change = replaced(identity, 85.0, at=times[identity])
                state.correct(change if kind == "correct" else taken_back(identity, at=times[identity]), now, "m")
        vectors = [state.vector(at, SPEC) for at in (now, now - HOUR, now - 20 * HOUR)]
        assert all(len(vector) == 6 for vector in vectors)
        latest = state.latest("spo2", now)
        assert latest is None or 80.0 <= latest.value <= 100.0


# Comparators


@pytest.mark.parametrize(
    ("code", "unit", "comparator", "value", "expected"),
    [
        ("9279-1", "/min", ">", 24.0, 25.0), ("9279-1", "/min", ">=", 24.0, 24.0), ("59408-5", "%", "<", 92.0, 91.0),
        ("59408-5", "%", "<=", 92.0, 92.0), ("8310-5", "Cel", ">", 38.0, 38.1), ("8310-5", "[degF]", ">", 100.4, 38.1),
        ("59408-5", "%", ">", 100.0, 100.0), ("9269-2", "{score}", "<", 15.0, 14.0), ("1988-5", "mg/L", "<", 0.0, 0.0),
    ],
)  # fmt: skip
def test_above_and_below_are_not_equal(code, unit, comparator, value, expected):
    """A value above 24 is scored as the next one that is charted, within what is possible; `>=` is the number."""
    state = PatientState()
    one = Observation(1, (("loinc", code),), value, unit, NOW, comparator=comparator)
    fate = state.observe(one, NOW, "m")
    assert fate.outcome == "accepted"
    assert fate.value == pytest.approx(expected)
