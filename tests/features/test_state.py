"""The fold: quarantine, corrections, point-in-time vectors, merges, memory."""

from __future__ import annotations

import math
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events import Correction, Observation
from features.catalogue import default_catalogue
from features.state import PatientState
from features.value import FUTURE_TOLERANCE_MS
from features.vector import UnknownStatisticError, VectorSpec

HOUR = 3_600_000
NOW = 500_000 * HOUR
PULSE, RATE, SATURATION, SYSTOLIC, TEMPERATURE = "8867-4", "9279-1", "59408-5", "8480-6", "8310-5"
VITALS = [(PULSE, "/min", 80.0), (RATE, "/min", 16.0), (SATURATION, "%", 97.0), (SYSTOLIC, "mm[Hg]", 120.0),
          ("8462-4", "mm[Hg]", 70.0), ("8478-0", "mm[Hg]", 85.0), (TEMPERATURE, "Cel", 37.0),
          ("3150-6", "%", 28.0)]  # fmt: skip
LABS = ["2524-7", "14749-6", "2951-2", "2823-3", "1963-8", "2075-0", "2601-3", "2000-8", "22664-7", "1925-7"]
SPEC = VectorSpec(["heart_rate.last", "heart_rate.mean_6h", "heart_rate.count_24h", "temperature.last", "lactate.last",
                   "lactate.count_24h", "age_years", "hours_since_admission"])  # fmt: skip


def observation(code, value, unit="/min", at=NOW, identity=1, **more):
    return Observation(identity, (("loinc", code),), value, unit, at, **more)


def taken(*observations):
    state = PatientState()
    return state, [state.observe(one, NOW, "m") for one in observations]


@pytest.mark.parametrize(
    ("code", "value", "unit", "reason"),
    [
        (TEMPERATURE, 6932.0, "Cel", "impossible_value"),
        (TEMPERATURE, 98.6, "Cel", "impossible_value"),
        (TEMPERATURE, 37.0, "", "missing_unit"),
        (TEMPERATURE, 37.0, "mm[Hg]", "unit_mismatch"),
        (TEMPERATURE, 37.0, "warm", "unknown_unit"),
        (SYSTOLIC, 16070.0, "mm[Hg]", "impossible_value"),
        (RATE, 20147.0, "/min", "impossible_value"),
        (SATURATION, 101.0, "%", "impossible_value"),
        (SATURATION, 0.0, "%", "impossible_value"),
        (PULSE, math.nan, "/min", "not_a_number"),
        (PULSE, math.inf, "/min", "impossible_value"),
        ("3150-6", 0.4, "%", "impossible_value"),
        ("3150-6", 0.4, "", "impossible_value"),
        ("3094-0", 14.0, "furlong", "unknown_unit"),
    ],
)
def test_what_cannot_be_is_quarantined_with_its_reason(code, value, unit, reason):
    """Impossible and unit-confused values never become readings, are never mended by guess, and are shown."""
    state, (intake,) = taken(observation(code, value, unit))
    assert (intake.outcome, intake.reason) == ("quarantined", reason)
    assert state.latest(intake.feature, NOW) is None
    assert state.quarantined(intake.feature) == intake


@pytest.mark.parametrize(
    ("code", "value", "unit", "expected"),
    [
        (SATURATION, 45.0, "%", 45.0), (TEMPERATURE, 27.0, "Cel", 27.0), (PULSE, 0.0, "/min", 0.0),
        (TEMPERATURE, 98.6, "[degF]", 37.0), (TEMPERATURE, 36.6, "MDC_DIM_DEGC", 36.6), ("3150-6", 0.4, "1", 40.0),
        ("3150-6", 28.0, "", 28.0), ("3094-0", 28.0, "mg/dL", 9.995), ("1925-7", -3.5, "mmol/L", -3.5),
        ("2744-1", 7.35, "1", 7.35), (PULSE, 72, "beats/min", 72.0),
    ],
)  # fmt: skip
def test_what_is_extreme_but_possible_is_a_reading(code, value, unit, expected):
    """Impossible is not extreme; units in every usual spelling are converted."""
    state, (intake,) = taken(observation(code, value, unit))
    assert intake.outcome == "accepted"
    assert state.latest(intake.feature, NOW).value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("answers", "text", "expected"),
    [
        ((("loinc", "LA9340-6"),), "", 0), ((("snomed", "130987000"),), "", 1),
        ((("local", "?"), ("loinc", "LA17108-4")), "", 2),
        ((), "P", 3), ((), " unresponsive ", 4), ((), "Alert", 0),
    ],
)  # fmt: skip
def test_consciousness_is_read_by_table(answers, text, expected):
    """ACVPU comes as LOINC or SNOMED CT answers, letters or whole words."""
    state, _ = taken(observation("67775-7", None, "", answers=answers, text=text))
    assert state.latest("consciousness", NOW).value == expected


def test_an_answer_in_no_table_is_quarantined():
    """A sentence about consciousness is not searched for a word, and a bare number is of no known scale."""
    for more in ({"text": "alert but confused"}, {"answers": (("loinc", "LA1-1"),)}):
        _, (intake,) = taken(observation("67775-7", None, "", **more))
        assert (intake.outcome, intake.reason) == ("quarantined", "unknown_answer")
    _, (intake,) = taken(observation("67775-7", 2.0, ""))
    assert intake.reason == "unknown_answer"


def test_absent_and_unmapped_are_not_quarantine():
    """No value is absent with the sender's reason; no known code is unmapped."""
    state, intakes = taken(
        observation(PULSE, None, absent_reason="not-performed"),
        observation("99999-9", 1.0),
        observation(PULSE, None, text="?"),
    )
    assert [(i.outcome, i.reason) for i in intakes] == [
        ("absent", "not-performed"), ("unmapped", ""), ("quarantined", "not_a_number")
    ]  # fmt: skip
    assert state.latest("heart_rate", NOW) is None


def test_a_time_from_the_future_is_quarantined_beyond_the_tolerance():
    """A clock a little ahead is borne, and its reading used as of its receipt; further ahead it is not used."""
    state, intakes = taken(
        observation(PULSE, 70.0, at=NOW + FUTURE_TOLERANCE_MS),
        observation(PULSE, 71.0, at=NOW + FUTURE_TOLERANCE_MS + 1, identity=2),
    )
    assert [(i.outcome, i.reason) for i in intakes] == [("accepted", ""), ("quarantined", "future_time")]
    assert (state.latest("heart_rate", NOW).value, state.latest("heart_rate", NOW).event_time) == (70.0, NOW)


def test_a_quarantined_value_shows_until_a_newer_good_one():
    """An older good value does not hide a quarantined newer one; a newer good one clears it."""
    state, _ = taken(observation(PULSE, 9999.0, at=NOW - 60), observation(PULSE, 70.0, at=NOW - HOUR, identity=2))
    assert state.quarantined("heart_rate").value == 9999.0
    state.observe(observation(PULSE, 71.0, at=NOW, identity=3), NOW, "m")
    assert state.quarantined("heart_rate") is None
    state.observe(observation(PULSE, 9999.0, at=NOW - HOUR, identity=4), NOW, "m")
    assert state.quarantined("heart_rate") is None


def test_a_correction_finds_its_target_by_id_or_by_its_very_time():
    """OBX-11 C replaces and D removes; where the id is new, the only reading of that code and time is meant."""
    state, _ = taken(observation(PULSE, 70.0), observation(RATE, 30.0, identity=2))
    assert state.correct(Correction(observation(PULSE, 90.0)), NOW, "m2").outcome == "corrected"
    assert state.latest("heart_rate", NOW).value == 90.0
    assert state.latest("heart_rate", NOW).message_id == "m2"
    assert state.correct(Correction(observation(RATE, 13.0, identity=77)), NOW, "m2").outcome == "corrected"
    assert state.latest("respiration_rate", NOW).value == 13.0
    gone = state.correct(Correction(observation(RATE, None, identity=77), withdrawn=True), NOW, "m3")
    assert (gone.outcome, gone.value) == ("withdrawn", 13.0)
    assert state.latest("respiration_rate", NOW) is None


def test_a_correction_without_target_is_a_reading_or_said_to_be_unmatched():
    """A replacement for what never came is taken; a withdrawal of it is counted and changes nothing."""
    state, _ = taken()
    taken_in = state.correct(Correction(observation(PULSE, 90.0)), NOW, "m")
    assert (taken_in.outcome, taken_in.reason) == ("accepted", "unmatched_correction")
    away = state.correct(Correction(observation(RATE, None), withdrawn=True), NOW, "m")
    assert away.outcome == "unmatched_correction"


def test_a_status_of_corrected_or_withdrawn_is_a_correction():
    """A codec that marks the observation itself is understood too."""
    state, _ = taken(observation(PULSE, 70.0), observation(PULSE, 75.0, status="corrected"))
    assert state.latest("heart_rate", NOW).value == 75.0
    state.observe(observation(PULSE, None, status="withdrawn"), NOW, "m")
    assert state.latest("heart_rate", NOW) is None


def test_withdrawing_a_quarantined_value_clears_the_notice():
    """What was quarantined and then taken back is no longer shown."""
    state, _ = taken(observation(PULSE, 7000.0))
    state.correct(Correction(observation(PULSE, None), withdrawn=True), NOW, "m")
    assert state.quarantined("heart_rate") is None


def test_equal_times_lose_nothing():
    """Two features charted at one instant, and two readings of one feature at one instant, are all kept."""
    state, _ = taken(
        observation(PULSE, 70.0, identity=5), observation(RATE, 15.0, identity=6), observation(PULSE, 72.0, identity=7)
    )
    assert state.latest("respiration_rate", NOW).value == 15.0
    assert state.statistic(NOW, "heart_rate.count_1h") == 2.0
    assert state.latest("heart_rate", NOW).value == 72.0


events_in_log = st.lists(
    st.tuples(
        st.sampled_from([PULSE, TEMPERATURE, "2524-7"]),
        st.integers(-30 * HOUR, 2 * HOUR),
        st.integers(35, 45),
        st.integers(0, 30),
    ),
    max_size=40,
)


def folded(log, received=NOW):
    state = PatientState()
    units = {PULSE: "/min", TEMPERATURE: "Cel", "2524-7": "mmol/L"}
    for step, (code, offset, value, identity) in enumerate(log):
        state.observe(observation(code, float(value), units[code], NOW + offset, identity), received + step, f"m{step}")
    return state


@settings(max_examples=60)
@given(events_in_log, st.randoms(use_true_random=False))
def test_a_vector_is_unchanged_by_readings_after_its_instant(log, random):
    """Readings of the hour after T, wherever in the log they stand, change nothing of the vector at T."""
    log = [(code, when, value, place) for place, (code, when, value, _) in enumerate(log) if -24 * HOUR <= when <= HOUR]
    before = [entry for entry in log if entry[1] <= 0]
    random.shuffle(log)
    with_later, without = folded(log, NOW + HOUR), folded(before)
    assert with_later.vector(NOW, SPEC) == pytest.approx(without.vector(NOW, SPEC), nan_ok=True)
    for name in ("heart_rate", "temperature", "lactate"):
        later, alone = with_later.latest(name, NOW), without.latest(name, NOW)
        assert (later and (later.value, later.event_time)) == (alone and (alone.value, alone.event_time))


@settings(max_examples=30)
@given(events_in_log, st.integers(0, 40))
def test_the_state_at_a_place_in_the_log_knows_nothing_after_it(log, cut):
    """What is folded later leaves no trace in a state that was encoded before."""
    earlier = folded(log[:cut])
    kept = earlier.encode()
    folded(log)
    assert earlier.encode() == kept
    assert PatientState.decode(kept).vector(NOW, SPEC) == pytest.approx(earlier.vector(NOW, SPEC), nan_ok=True)


@settings(max_examples=60)
@given(events_in_log, st.integers(0, 40))
def test_a_fold_continued_from_its_bytes_is_the_fold(log, cut):
    """Encoding in the middle of a log and going on gives the very bytes of never having stopped."""
    units = {PULSE: "/min", TEMPERATURE: "Cel", "2524-7": "mmol/L"}
    state = PatientState.decode(folded(log[:cut]).encode())
    for step, (code, offset, value, identity) in list(enumerate(log))[cut:]:
        state.observe(observation(code, float(value), units[code], NOW + offset, identity), NOW + step, f"m{step}")
    assert state.encode() == folded(log).encode()


def test_a_merge_brings_readings_quarantine_and_origin_together():
    """After absorb, the newest reading of either is the latest, with its message; nothing is lost."""
    ours, theirs = PatientState(), PatientState()
    ours.observe(observation(PULSE, 70.0, at=NOW - HOUR, identity=1), NOW, "old")
    theirs.observe(observation(PULSE, 90.0, identity=2), NOW, "new")
    theirs.observe(observation(TEMPERATURE, 999.0, "Cel", identity=3), NOW, "new")
    ours.absorb(theirs)
    latest = ours.latest("heart_rate", NOW)
    assert (latest.value, latest.message_id) == (90.0, "new")
    assert ours.statistic(NOW, "heart_rate.count_6h") == 2.0
    assert ours.quarantined("temperature") is not None


def test_an_unknown_statistic_is_refused_by_name():
    """A vector that asks for what is not there fails when it is compiled, not when a patient is scored."""
    for name in ("heart_rate.mean_7h", "heart_rate.median_6h", "heart_rate.", "heart_rate"):
        with pytest.raises(UnknownStatisticError):
            VectorSpec([name])
    with pytest.raises(KeyError):
        VectorSpec(["pulse.last"])


def charted(patient: int, every_ms: int, hours: int) -> PatientState:
    state = PatientState()
    for step in range(hours * HOUR // every_ms):
        at = NOW + step * every_ms + (patient * 7919 + step * 104_729) % 30_000
        message_id = f"MSG{patient:04d}{step:06d}"
        for place, (code, unit, value) in enumerate(VITALS):
            drift = ((step * 31 + place * 17 + patient) % 21 - 10) / 10
            identity = (step * 8 + place + patient * 999_983) * 0x9E3779B97F4A7C15 % 2**63
            state.observe(
                observation(code, min(value + drift, 100.0 if unit == "%" else 1e9), unit, at, identity), at, message_id
            )
        if step % (24 * HOUR // every_ms) == 0:
            for place, code in enumerate(LABS * 2):
                identity = (step * 100 + place + patient * 999_979) * 0xC2B2AE3D27D4EB4F % 2**63
                state.observe(observation(code, 3.0 + place, "mmol/L", at, identity), at, message_id)
    return state


@pytest.mark.parametrize(
    ("every_ms", "hours", "patients", "resident_max", "encoded_max"),
    [(HOUR, 48, 40, 18_000, 8_000), (60_000, 24, 2, 46_000, 20_000)],
)
def test_memory_a_patient_is_within_its_bound(every_ms, hours, patients, resident_max, encoded_max):
    """Hourly charting over two days, and a message a minute for one, stay within the stated bytes, kept and stored."""
    charted(0, every_ms, 1)
    tracemalloc.start()
    try:
        states = [charted(patient, every_ms, hours) for patient in range(patients)]
        resident = tracemalloc.get_traced_memory()[0] / patients
    finally:
        tracemalloc.stop()
    assert resident < resident_max
    assert max(len(state.encode()) for state in states) < encoded_max


def test_every_feature_of_the_catalogue_takes_a_value_in_its_own_unit():
    """A value in the middle of what is possible, in the canonical unit, is accepted for every numeric feature."""
    for feature in default_catalogue().features:
        if feature.kind == "numeric":
            middle = (feature.possible_min + feature.possible_max) / 2
            state = PatientState()
            one = Observation(1, (feature.codes[0],), middle, feature.unit, NOW)
            assert state.observe(one, NOW, "m").outcome == "accepted", feature.name
            assert state.latest(feature.name, NOW).value == pytest.approx(middle, abs=1 / feature.steps)
