"""A device's readings are thinned by a rule: order does not matter, nothing extreme is lost, no nurse is drowned."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import Correction, Observation
from features.newest import BESIDE_MS
from features.series import RAW_ENTRIES_MAX, W
from features.state import PatientState
from features.thinning import QUARTER_MS
from features.vector import VectorSpec
from models.news2 import News2, news2_evidence, score_news2
from models.news2_table import points

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
NOW = 500_000 * HOUR
MONITOR, NURSE = ("mdc", "151562"), ("loinc", "9279-1")
SPEC = VectorSpec(
    [f"respiration_rate.{kind}" for kind in ("last", "age_h", "count_1h", "mean_6h", "min_6h", "max_6h", "slope_6h")]
)


def reading(identity: int, value: float, at: int, coding: tuple[str, str] = MONITOR, **more: Any) -> Observation:
    return Observation(identity, (coding,), value, "/min", at, **more)


def folded(*observations: Observation, received: int | None = None) -> PatientState:
    state = PatientState()
    for one in observations:
        state.observe(one, one.event_time if received is None else received, f"m{one.observation_id}")
    return state


def held(state: PatientState, at: int) -> list[tuple[float, int, int]]:
    """Give all that is held in full of the respiration rate, up to `at`."""
    index = state.catalogue.index_of["respiration_rate"]
    series = state._series[index]
    times = [] if series is None else sorted(set(series.raw[0::W]))
    return [one for time in times if time <= at for one in state.held_at(index, time)]


def score(state: PatientState, at: int) -> News2:
    return score_news2(state, at)


numbers = st.integers(0, 6 * 60)
devices = st.lists(st.tuples(numbers, st.integers(5, 40)), max_size=60)
people = st.lists(st.tuples(numbers, st.integers(5, 40)), max_size=10)


def day(from_devices: list[tuple[int, int]], from_people: list[tuple[int, int]]) -> list[Observation]:
    """Readings of up to three hours; each has an id of its own, several may have one time."""
    told = [reading(n, float(v), NOW + t * MINUTE // 2) for n, (t, v) in enumerate(from_devices)]
    return told + [reading(1_000 + n, float(v), NOW + t * MINUTE // 2, NURSE) for n, (t, v) in enumerate(from_people)]


@given(devices, people, st.randoms(use_true_random=False))
def test_no_order_of_arrival_matters(from_devices: Any, from_people: Any, random: Any) -> None:
    """Shuffled and sent again within the lateness bound, the same readings end in the same state, byte for byte."""
    in_order = sorted(day(from_devices, from_people), key=lambda one: one.event_time)
    end = NOW + 4 * HOUR
    expected = folded(*in_order, received=end)
    shuffled = [*in_order, *random.choices(in_order, k=min(5, len(in_order)))] if in_order else []
    random.shuffle(shuffled)
    found = folded(*shuffled, received=end)
    assert found.encode() == expected.encode()
    assert found.vector(end, SPEC) == pytest.approx(expected.vector(end, SPEC), nan_ok=True)


@given(devices, people)
def test_nothing_extreme_and_nothing_newest_is_lost(from_devices: Any, from_people: Any) -> None:
    """Of each quarter of an hour the lowest, the highest and the newest are those of all readings that came."""
    every = day(from_devices, from_people)
    state = folded(*every, received=NOW + 4 * HOUR)
    kept = held(state, NOW + 4 * HOUR)
    for quarter in {one.event_time // QUARTER_MS for one in every}:
        came = [(one.event_time, one.value) for one in every if one.event_time // QUARTER_MS == quarter]
        stays = [(time, value) for value, time, _ in kept if time // QUARTER_MS == quarter]
        values = [value for _, value in came]
        assert min(value for _, value in stays) == min(v for v in values if v is not None)
        assert max(value for _, value in stays) == max(v for v in values if v is not None)
        assert max(time for time, _ in stays) == max(time for time, _ in came)


@given(devices, people)
def test_a_quarter_holds_four_readings_of_devices(from_devices: Any, from_people: Any) -> None:
    """However many come, at the most four stay a quarter of an hour; every entry of a person stays."""
    state = folded(*day(from_devices, from_people), received=NOW + 4 * HOUR)
    kept = held(state, NOW + 4 * HOUR)
    assert {one for _, _, one in kept if one >= 1_000} == {1_000 + n for n in range(len(from_people))}
    per_quarter: dict[int, int] = {}
    for _, time, one in kept:
        if one < 1_000:
            per_quarter[time // QUARTER_MS] = per_quarter.get(time // QUARTER_MS, 0) + 1
    assert all(count <= 4 for count in per_quarter.values())


def flood(hours: float, value: float = 15.0, begin: int = NOW) -> list[Observation]:
    """One number a second, by the monitor."""
    return [reading(n, value, begin + n * SECOND) for n in range(int(hours * 3600))]


def test_a_flood_does_not_drive_out_what_a_nurse_charted() -> None:
    """After three hours of seconds a nurse's entries are all there in full, and can be corrected exactly."""
    entries = [reading(10**6 + n, 18.0 + n, NOW + n * 20 * MINUTE + 500, NURSE) for n in range(9)]
    state = folded(*sorted([*flood(3), *entries], key=lambda one: one.event_time))
    end = NOW + 3 * HOUR
    kept = held(state, end)
    assert [value for value, _, one in kept if one >= 10**6] == [18.0 + n for n in range(9)]
    assert len(kept) <= RAW_ENTRIES_MAX
    mended = state.correct(Correction(reading(10**6, 30.0, NOW + 500, NURSE)), end, "c")
    assert (mended.outcome, mended.observation_id) == ("corrected", 10**6)
    assert state.statistic(end, "respiration_rate.max_6h") == 30.0


def test_a_flood_is_counted() -> None:
    """Each reading that took another's place, or found its own taken, is one `thinned`; the others are accepted."""
    state = PatientState()
    fates = [state.observe(one, one.event_time, "m") for one in flood(0.25)]
    assert {one.outcome for one in fates[2:]} == {"thinned"}
    assert [one.outcome for one in fates[:2]] == ["accepted", "accepted"]
    low = state.observe(reading(7_000, 4.0, NOW + 500), NOW + HOUR, "m")
    assert (low.outcome, low.reason, low.value) == ("thinned", "kept", 4.0)
    lost = state.observe(reading(7_001, 12.0, NOW + 700), NOW + HOUR, "m")
    assert (lost.outcome, lost.reason, lost.value) == ("thinned", "gone", 12.0)


def test_what_a_nurse_counted_stands_beside_the_monitor_for_an_hour() -> None:
    """A red rate that a nurse counted is not hidden by the monitor's number of the next second, for an hour."""
    state = folded(reading(1, 26.0, NOW, NURSE))
    for n in range(1, 3602):
        state.observe(reading(10 + n, 16.0, NOW + n * SECOND), NOW + n * SECOND, "m")
        if n in (1, 60, 1800, 3600):
            assert score(state, NOW + n * SECOND).respiration_rate == 3
    assert score(state, NOW + BESIDE_MS + SECOND).respiration_rate == 0
    assert news2_evidence(state, NOW + BESIDE_MS)[0].observation_id == 1


@pytest.mark.parametrize(
    ("measured", "between", "parameter", "score_at_least"),
    [
        (("3150-6", "%", 50.0, 40.0), ("3151-8", "L/min", 0.0), "oxygen", 2),
        (("9269-2", "{score}", 9.0, 12.0), ("80288-4", "", 0.0), "consciousness", 3),
    ],
)
def test_a_person_of_before_lends_a_devices_newest_no_older_time(
    measured: Any, between: Any, parameter: str, score_at_least: int
) -> None:
    """Oxygen by the ventilator now, more of it charted half an hour ago, none charted between them: there is oxygen."""
    code, unit, charted, now = measured
    other, other_unit, value = between
    answers = () if other_unit else (("snomed", "248234008"),)
    state = PatientState()
    for one in (
        Observation(1, (("loinc", code),), charted, unit, NOW),
        Observation(2, (("loinc", other),), None if answers else value, other_unit, NOW + 20 * MINUTE, answers=answers),
        Observation(3, (("loinc", code),), now, unit, NOW + HOUR // 2, qualifiers=(("mdc", "AMEAS"),)),
    ):
        assert state.observe(one, one.event_time, "m").outcome == "accepted"
    assert getattr(score(state, NOW + HOUR // 2), parameter) == score_at_least


def test_a_newer_entry_of_a_person_is_the_one_that_counts() -> None:
    """Beside the monitor stands the newest entry of a person; an older one is superseded by it."""
    state = folded(
        reading(1, 26.0, NOW, NURSE), reading(2, 18.0, NOW + 10 * MINUTE, NURSE), reading(3, 16.0, NOW + 11 * MINUTE)
    )
    assert score(state, NOW + 11 * MINUTE).respiration_rate == 0


def test_two_entries_of_one_time_both_stand_beside_the_monitor() -> None:
    """Two rates that people counted at one time (two sub-ids): the monitor's next number hides the worse of neither."""
    state = folded(reading(1, 30.0, NOW, NURSE), reading(2, 16.0, NOW, NURSE))
    assert score(state, NOW).respiration_rate == 3
    state.observe(reading(3, 16.0, NOW + SECOND), NOW + SECOND, "m")
    assert score(state, NOW + SECOND).respiration_rate == 3


def test_a_monitors_emergency_is_seen_at_once() -> None:
    """A nurse's normal entry of just now hides nothing that the monitor sees, and evidence names the monitor."""
    state = folded(*flood(0.1), reading(9_999, 16.0, NOW + 6 * MINUTE, NURSE))
    at = NOW + 6 * MINUTE + SECOND
    state.observe(reading(10_000, 32.0, at), at, "monitor")
    assert score(state, at).respiration_rate == 3
    [evidence] = news2_evidence(state, at)
    assert (evidence.observation_id, evidence.value, evidence.message_id) == (10_000, 32.0, "monitor")


def test_a_short_desaturation_is_remembered() -> None:
    """Ten seconds below in an hour of good ones: seen while they last, and the window's lowest afterwards."""
    normal = flood(1)
    seen = []
    state = PatientState()
    for one in normal:
        low = 7.0 if 600 <= (one.event_time - NOW) // SECOND < 610 else 15.0
        state.observe(reading(one.observation_id, low, one.event_time), one.event_time, "m")
        seen.append(score(state, one.event_time).respiration_rate)
    assert seen[600:610] == [3] * 10
    assert seen[610] == 0
    assert state.statistic(NOW + HOUR, "respiration_rate.min_6h") == 7.0


def test_two_devices_of_one_second_both_stand() -> None:
    """Two probes that tell different numbers at one time: neither is let go for the other, and the worse one counts."""
    state = PatientState()
    index = state.catalogue.index_of["respiration_rate"]
    for n, (first, second) in enumerate([(9.0, 34.0), (16.0, 27.0), (17.0, 13.0)] * 200):
        for probe, value in ((0, first), (1, second)):
            state.observe(reading(2 * n + probe, value, NOW + n * SECOND), NOW + n * SECOND, "m")
        at_once = {value for value, _, _ in state.beside(index, NOW + n * SECOND)}
        assert at_once == {first, second}
        assert score(state, NOW + n * SECOND).respiration_rate == max(
            points("respiration_rate", value) or 0 for value in at_once
        )


def test_a_feed_of_a_quarter_of_an_hour_is_thinned_of_nothing() -> None:
    """A device that tells one number in 15 minutes keeps each: what is no flood folds as it always did."""
    told = [reading(n, 12.0 + n % 9, NOW + n * QUARTER_MS) for n in range(24)]
    as_person = [reading(n, 12.0 + n % 9, NOW + n * QUARTER_MS, NURSE) for n in range(24)]
    end = NOW + 6 * HOUR
    ours, theirs = folded(*told), folded(*as_person)
    assert ours.vector(end, SPEC) == theirs.vector(end, SPEC)
    assert held(ours, end) == held(theirs, end)


@pytest.mark.parametrize(
    ("coding", "qualifiers", "is_device"),
    [
        (MONITOR, (), True),
        (MONITOR, (("mdc", "MMEAS"),), False),
        (NURSE, (("", "AMEAS"),), True),
        (NURSE, (("fhir", "DeviceMetric"),), True),
        (NURSE, (), False),
    ],
)
def test_whose_a_reading_is(coding: Any, qualifiers: Any, is_device: bool) -> None:  # noqa: FBT001 - a table's column
    """By its first coding or its method, and never by its value or its feed."""
    told = [reading(n, 15.0, NOW + n * SECOND, coding, qualifiers=qualifiers) for n in range(20)]
    assert (len(held(folded(*told), NOW + HOUR)) < 20) is is_device


def test_a_correction_means_its_own_kind() -> None:
    """A correction of an unknown id, found by its time, never takes a person's entry for a device's."""
    for first, second in ((MONITOR, NURSE), (NURSE, MONITOR)):
        state = folded(reading(1, 26.0, NOW, first))
        fate = state.correct(Correction(reading(2, 14.0, NOW, second)), NOW, "c")
        assert fate.outcome == "accepted"
        assert score(state, NOW).respiration_rate == 3


def test_a_devices_reading_is_corrected_and_taken_back_by_its_id() -> None:
    """What is kept of a device can be replaced and withdrawn, under the id that the sender gave."""
    state = folded(reading(1, 26.0, NOW), reading(2, 15.0, NOW + SECOND))
    fate = state.correct(Correction(reading(1, 20.0, NOW)), NOW + MINUTE, "c")
    assert (fate.outcome, fate.observation_id) == ("corrected", 1)
    gone = state.correct(Correction(reading(2, 15.0, NOW + SECOND), withdrawn=True), NOW + MINUTE, "c")
    assert (gone.outcome, gone.observation_id) == ("withdrawn", 2)
    assert state.observe(reading(2, 15.0, NOW + SECOND), NOW + MINUTE, "m").outcome == "superseded"
    assert held(state, NOW + HOUR) == [(20.0, NOW, 1)]


@pytest.mark.parametrize(("told", "changed"), [((("mdc", "AMEAS"),), ()), ((), (("mdc", "AMEAS"),))])
def test_a_change_need_not_repeat_whose_a_reading_was(told: Any, changed: Any) -> None:
    """A deletion without OBX-17, an Observation entered in error without its device: what it names no longer counts."""
    first = reading(1, 30.0, NOW, NURSE, qualifiers=told)
    again = reading(1, 16.0, NOW, NURSE, qualifiers=changed)
    state = folded(first)
    gone = state.correct(Correction(again, withdrawn=True), NOW + MINUTE, "c")
    assert (gone.outcome, gone.observation_id, gone.value) == ("withdrawn", 1, 30.0)
    assert score(state, NOW + MINUTE).respiration_rate is None
    state = folded(first)
    mended = state.correct(Correction(again), NOW + MINUTE, "c")
    assert (mended.outcome, mended.observation_id) == ("corrected", 1)
    assert held(state, NOW + HOUR) == [(16.0, NOW, 1)]
    state = folded(first)
    absent = Observation(1, (NURSE,), None, "/min", NOW, qualifiers=changed)
    unusable = state.correct(Correction(absent), NOW, "c")
    assert (unusable.outcome, unusable.reason) == ("quarantined", "replaced_by_nothing")


def test_what_two_records_had_is_thinned_together() -> None:
    """Two records of one patient, each with a flood, come to what one record with both would hold."""
    first, second = flood(0.5), [reading(50_000 + n, 20.0 + n % 5, NOW + n * SECOND + 500) for n in range(1800)]
    ours, theirs = folded(*first), folded(*second)
    ours.absorb(theirs)
    together = folded(*first, *second)
    assert held(ours, NOW + HOUR) == held(together, NOW + HOUR)


def test_it_is_kept_over_a_restart() -> None:
    """A stored state goes on as the one that was never stored: what is a device's is known again."""
    state = folded(reading(1, 26.0, NOW, NURSE), *flood(0.2, begin=NOW + SECOND))
    again = PatientState.decode(state.encode())
    more = reading(60_000, 14.0, NOW + 13 * MINUTE)
    for one in (state, again):
        one.observe(more, more.event_time, "m")
    assert again.encode() == state.encode()
    assert score(again, more.event_time).respiration_rate == 3


@given(
    st.lists(
        st.tuples(st.integers(0, 7_200), st.integers(5, 40)), min_size=1, max_size=40, unique_by=lambda one: one[0]
    ),
    st.lists(st.tuples(st.integers(0, 7_200), st.integers(5, 40)), max_size=4, unique_by=lambda one: one[0]),
)
def test_the_worse_of_the_newest_two_scores(from_devices: Any, from_people: Any) -> None:
    """At any time NEWS2 has the points of the newest reading, or of the person's newest beside a device's, if more."""
    told = [reading(n, float(v), NOW + t * SECOND) for n, (t, v) in enumerate(from_devices)]
    told += [reading(1_000 + n, float(v), NOW + t * SECOND, NURSE) for n, (t, v) in enumerate(from_people)]
    told.sort(key=lambda one: (one.event_time, one.observation_id))
    state = PatientState()
    for at_once, one in enumerate(told, 1):
        state.observe(one, one.event_time, "m")
        newest, known = one.event_time, told[:at_once]
        counting = [each for each in known if each.event_time == newest]
        entries = [each for each in known if each.observation_id >= 1_000]
        if all(each.observation_id < 1_000 for each in counting) and entries:
            counting += [entries[-1]] if newest - entries[-1].event_time <= BESIDE_MS else []
        expected = max(points("respiration_rate", each.value or 0) or 0 for each in counting)
        assert score(state, newest).respiration_rate == expected
