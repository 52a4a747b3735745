"""NEWS2 of a patient's state: what counts, what is missing, and the bounds."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import MILLIS_PER_HOUR, Observation
from features.state import PatientState
from models.news2 import PARAMETERS, SOURCES, band_of, news2_evidence, score_news2
from models.news2_table import POINTS_MAX

NOW = 1_000 * MILLIS_PER_HOUR
CODES = {
    "respiration_rate": ("9279-1", "/min"),
    "spo2": ("59408-5", "%"),
    "fio2": ("3150-6", "%"),
    "o2_flow": ("3151-8", "L/min"),
    "systolic_bp": ("8480-6", "mm[Hg]"),
    "heart_rate": ("8867-4", "/min"),
    "gcs_total": ("9269-2", "{score}"),
    "temperature": ("8310-5", "Cel"),
}
WELL = {
    "respiration_rate": 16.0,
    "spo2": 97.0,
    "fio2": 21.0,
    "systolic_bp": 120.0,
    "heart_rate": 70.0,
    "gcs_total": 15.0,
    "temperature": 37.0,
}
ACVPU = {"Alert": 0, "Confusion": 3, "Voice": 3, "Pain": 3, "Unresponsive": 3}
ids = itertools.count(1)


def chart(state, name, value, at=NOW, *, quarantined=False):
    code, unit = CODES[name]
    intake = state.observe(Observation(next(ids), (("loinc", code),), value, unit, event_time=at), at, "m")
    assert intake.outcome == ("quarantined" if quarantined else "accepted"), intake.reason


def chart_word(state, loinc, word, at=NOW, system="loinc"):
    seen = Observation(next(ids), ((system, loinc),), None, "", event_time=at, text=word)
    assert state.observe(seen, at, "m").outcome == "accepted"


def patient(at=NOW, **values):
    state = PatientState()
    for name, value in values.items():
        chart(state, name, value, at)
    return state


def test_a_well_patient_scores_nothing():
    """With everything normal and known, total and both bounds are 0, the band is low and nothing is red."""
    score = score_news2(patient(**WELL), NOW)
    assert (score.total, score.low, score.high, score.band, score.red, score.missing) == (0, 0, 0, "low", False, ())


def test_an_unknown_patient_is_wide_open():
    """With nothing known the total is 0, the bounds are 0 and 20, and every parameter is named as missing."""
    score = score_news2(PatientState(), NOW)
    assert (score.total, score.low, score.high, score.missing) == (0, 0, 20, PARAMETERS)
    assert score.stale == score.quarantined == ()


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "respiration_rate": st.integers(0, 60),
            "spo2": st.integers(60, 100),
            "fio2": st.integers(21, 100),
            "systolic_bp": st.integers(40, 260),
            "heart_rate": st.integers(20, 220),
            "gcs_total": st.integers(3, 15),
            "temperature": st.integers(300, 420).map(lambda tenths: tenths / 10),
        },
    ),
    st.sampled_from([1, 2]),
)
def test_bounds_hold_the_truth(values, scale):
    """Whatever is left out, the total of the full picture lies within the bounds of the partial one."""
    whole = score_news2(patient(**{**WELL, **values}), NOW, scale)
    part = score_news2(patient(**values), NOW, scale)
    assert part.low == part.total <= whole.total <= part.high
    assert whole.total == whole.low == whole.high
    assert whole.total == sum(getattr(whole, name) for name in PARAMETERS)
    assert part.missing == tuple(name for name in PARAMETERS if getattr(part, name) is None)
    assert part.red == any(getattr(part, name) == 3 for name in PARAMETERS)


VITALS = {
    "respiration_rate": st.integers(5, 30),
    "spo2": st.integers(80, 100),
    "fio2": st.sampled_from([21, 40]),
    "systolic_bp": st.integers(70, 230),
    "heart_rate": st.integers(35, 140),
    "gcs_total": st.integers(12, 15),
    "temperature": st.integers(340, 400).map(lambda tenths: tenths / 10),
}


@given(
    st.fixed_dictionaries(VITALS),
    st.fixed_dictionaries(VITALS),
    st.sets(st.sampled_from(sorted(VITALS))),
    st.sets(st.sampled_from(sorted(VITALS))),
    st.sampled_from([1, 2]),
)
def test_bounds_hold_the_truth_of_what_is_missing_or_quarantined(charted, truth, gone, impossible, scale):
    """Whatever the missing and the quarantined values are in truth, the total lies within the bounds."""
    state = patient(**{name: value for name, value in charted.items() if name not in gone})
    for name in impossible:
        chart(state, name, 99_999.0, NOW + 1, quarantined=True)
    part = score_news2(state, NOW + 1, scale)
    real = {name: truth[name] if name in gone | impossible else charted[name] for name in charted}
    whole = score_news2(patient(**real), NOW, scale)
    assert part.low <= whole.total <= part.high
    assert part.low <= part.total <= part.high


def test_the_lower_bound_is_reached_on_scale_2():
    """With oxygen quarantined on scale 2, a saturation of 97 is from 0 (air) to 5 (oxygen), whatever was charted."""
    for fio2 in (21.0, 40.0):
        state = patient(**{**WELL, "fio2": fio2})
        chart(state, "fio2", 9_999.0, NOW + 1, quarantined=True)
        score = score_news2(state, NOW + 1, scale=2)
        assert (score.total, score.low, score.high) == (0 if fio2 == 21.0 else 5, 0, 5)


CONFLICTS = [
    ("respiration_rate", 30.0, 16.0, 3), ("respiration_rate", 8.0, 16.0, 3), ("spo2", 82.0, 98.0, 3),
    ("systolic_bp", 85.0, 120.0, 3), ("heart_rate", 135.0, 70.0, 3), ("temperature", 34.9, 37.0, 3),
    ("fio2", 40.0, 21.0, 2), ("gcs_total", 13.0, 15.0, 3),
]  # fmt: skip


@pytest.mark.parametrize(("name", "worse", "better", "expected"), CONFLICTS)
def test_of_two_values_of_one_time_the_one_with_most_points_counts(name, worse, better, expected):
    """Neither the order of ids nor that of arrival decides between two newest readings; the evidence says which did."""
    for values in ((worse, better), (better, worse), (better, worse, better)):
        state = patient(**{name: 50.0 if name == "fio2" else better}, at=NOW - 1)
        for value in values:
            chart(state, name, value)
        for again in (state, PatientState.decode(state.encode())):
            assert score_news2(again, NOW).total == expected
            assert [reading.value for reading in news2_evidence(again, NOW)] == [worse]
        chart(state, name, better, NOW + 1)
        assert score_news2(state, NOW + 1).total == 0
        assert score_news2(state, NOW).total == expected


def test_of_two_saturations_of_one_time_scale_2_takes_the_worse_on_that_scale():
    """On oxygen, scale 2 has 97 % worse than 90 %; on air the other way round is not so."""
    for fio2, expected in ((40.0, 5), (21.0, 0)):
        for values in ((97.0, 90.0), (90.0, 97.0)):
            state = patient(fio2=fio2)
            for value in values:
                chart(state, "spo2", value)
            assert score_news2(state, NOW, scale=2).total == expected


@given(
    st.integers(60, 100),
    st.sampled_from([1, 2]),
    st.lists(st.sampled_from(["respiration_rate", "systolic_bp", "heart_rate", "temperature"]), unique=True),
)
def test_upper_bound_is_reached(spo2, scale, gone):
    """The upper bound is no looser than it must be: the worst values of what is missing reach it exactly."""
    worst = {"respiration_rate": 40.0, "systolic_bp": 60.0, "heart_rate": 200.0, "temperature": 34.0}
    known = {name: value for name, value in {**WELL, "spo2": spo2}.items() if name not in (*gone, "fio2")}
    part = score_news2(patient(**known), NOW, scale)
    whole = score_news2(patient(**known, fio2=40.0, **{name: worst[name] for name in gone}), NOW, scale)
    assert part.high == whole.total


def test_age_limit_is_twelve_hours():
    """A reading of exactly 12 h counts; a millisecond older is stale: None, named, and the bounds open."""
    state = patient(**WELL)
    assert score_news2(state, NOW + 12 * MILLIS_PER_HOUR).missing == ()
    late = score_news2(state, NOW + 12 * MILLIS_PER_HOUR + 1)
    assert (late.stale, late.missing, late.total, late.high) == (PARAMETERS, PARAMETERS, 0, 20)


def test_nothing_later_than_at_is_used():
    """A score as of an instant uses no reading with a later event time."""
    state = patient(**WELL)
    chart(state, "heart_rate", 140.0, NOW + 1)
    assert score_news2(state, NOW).pulse == 0
    assert score_news2(state, NOW + 1).pulse == 3


def test_air_whatever_the_flow():
    """FiO2 of 21 % is air beside any flow charted at the same time or before."""
    state = patient(**WELL)
    chart(state, "o2_flow", 4.0)
    assert score_news2(state, NOW).oxygen == 0


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ([("fio2", 21.0), ("o2_flow", 2.0)], 2),
        ([("o2_flow", 2.0), ("fio2", 21.0)], 0),
        ([("fio2", 40.0), ("o2_flow", 0.0)], 0),
        ([("o2_flow", 0.0), ("fio2", 40.0)], 2),
        ([("o2_flow", 0.25)], 2),
        ([("fio2", 21.4)], 0),
        ([], None),
    ],
)
def test_the_newest_source_tells_oxygen(order, expected):
    """The newest of fraction and flow decides; no record is unknown, never air."""
    state = PatientState()
    for minutes, (name, value) in enumerate(order):
        chart(state, name, value, NOW + minutes * 60_000)
    assert score_news2(state, NOW + MILLIS_PER_HOUR).oxygen == expected


@pytest.mark.parametrize(("word", "expected"), sorted(ACVPU.items()))
def test_coded_consciousness(word, expected):
    """Alert scores 0; new confusion, voice, pain and unresponsive score 3."""
    state = PatientState()
    chart_word(state, "67775-7", word)
    score = score_news2(state, NOW)
    assert (score.consciousness, score.red) == (expected, expected == 3)


def test_newer_consciousness_wins_and_worse_at_a_tie():
    """Between coded answer and GCS the newer counts, and at equal times the worse."""
    state = patient(gcs_total=14.0)
    chart_word(state, "67775-7", "Alert")
    assert score_news2(state, NOW).consciousness == 3
    chart_word(state, "67775-7", "Alert", NOW + 1)
    assert score_news2(state, NOW + 1).consciousness == 0
    chart(state, "gcs_total", 13.0, NOW + 2)
    assert score_news2(state, NOW + 2).consciousness == 3


def test_sedation_excludes_consciousness():
    """Under sedation a low GCS neither scores nor is red; it is missing and opens the upper bound."""
    score = score_news2(patient(**{**WELL, "gcs_total": 3.0}), NOW, sedated=True)
    assert (score.total, score.high, score.red, score.missing) == (0, 3, False, ("consciousness",))


def test_quarantine_keeps_the_last_good_value_and_opens_both_ways():
    """An impossible newer value does not erase a fresh good one: it is named, and both bounds open."""
    state = patient(**{**WELL, "temperature": 38.5})
    chart(state, "temperature", 6932.0, NOW + 1, quarantined=True)
    score = score_news2(state, NOW + 1)
    assert (score.temperature, score.total, score.low, score.high) == (1, 1, 0, 3)
    assert (score.quarantined, score.missing) == (("temperature",), ())


def test_quarantine_without_a_good_value():
    """A parameter known only by an impossible value is missing and named as quarantined."""
    state = PatientState()
    chart(state, "temperature", 6932.0, NOW, quarantined=True)
    score = score_news2(state, NOW)
    assert score.temperature is None
    assert score.quarantined == ("temperature",)
    assert "temperature" in score.missing


def test_quarantine_is_over_with_a_newer_good_value():
    """A good value after the impossible one closes the bounds again."""
    state = patient(**WELL)
    chart(state, "temperature", 6932.0, NOW + 1, quarantined=True)
    chart(state, "temperature", 37.0, NOW + 2)
    score = score_news2(state, NOW + 2)
    assert (score.quarantined, score.high) == ((), 0)


def test_extreme_is_not_impossible():
    """SpO2 45 % and 27 degrees are scored as red."""
    score = score_news2(patient(**{**WELL, "spo2": 45.0, "temperature": 27.0}), NOW)
    assert (score.spo2, score.temperature, score.total, score.red) == (3, 3, 6, True)


def test_scale_2_with_oxygen_unknown_is_bounded_both_ways():
    """On scale 2 a saturation of 97 with oxygen unknown is between 0 (air) and 5 (oxygen), and has no sub-score."""
    values = {name: value for name, value in WELL.items() if name != "fio2"}
    score = score_news2(patient(**values), NOW, scale=2)
    assert (score.spo2, score.oxygen, score.low, score.high) == (None, None, 0, 5)
    assert score_news2(patient(**values), NOW, scale=1).high == 2


def test_red_does_not_raise_the_band_of_five_and_more():
    """Red is a flag beside the band: it lifts only a low total, to low-medium."""
    assert [band_of(total, red=True) for total in (3, 4, 5, 6, 7, 20)] == [
        "low_medium", "low_medium", "medium", "medium", "high", "high",
    ]  # fmt: skip
    assert [band_of(total, red=False) for total in (0, 4, 5, 7)] == ["low", "low", "medium", "high"]


def test_oxygen_is_never_red():
    """Supplemental oxygen scores 2 and no red."""
    score = score_news2(patient(**{**WELL, "fio2": 28.0}), NOW)
    assert (score.oxygen, score.total, score.red) == (2, 2, False)


def test_evidence_is_what_was_used():
    """The evidence holds the reading behind each sub-score, of the source that decided, and no other."""
    state = patient(**{**WELL, "o2_flow": 2.0})
    chart(state, "gcs_total", 14.0, NOW + 1)
    chart_word(state, "67775-7", "Alert", NOW)
    used = [reading.feature for reading in news2_evidence(state, NOW + 1)]
    assert used == ["respiration_rate", "spo2", "fio2", "systolic_bp", "heart_rate", "gcs_total", "temperature"]
    assert "gcs_total" not in [reading.feature for reading in news2_evidence(state, NOW + 1, sedated=True)]
    assert news2_evidence(state, NOW + 13 * MILLIS_PER_HOUR) == ()


def test_sources_cover_the_chart():
    """Every parameter of the chart is read from somewhere and has a maximum."""
    assert tuple(SOURCES) == PARAMETERS == tuple(POINTS_MAX)
