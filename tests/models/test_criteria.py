"""qSOFA and SIRS: every edge of their tables, what is missing, and columns of rows against single patients."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import MILLIS_PER_HOUR, Observation
from features.catalogue import default_catalogue
from features.state import PatientState
from models.criteria import Criterion, Limit, count_criteria
from models.qsofa import QSOFA, qsofa_totals, score_qsofa
from models.sirs import SIRS, score_sirs, sirs_totals

NOW = 1_000 * MILLIS_PER_HOUR
CODES = {
    "respiration_rate": ("9279-1", "/min"),
    "systolic_bp": ("8480-6", "mm[Hg]"),
    "heart_rate": ("8867-4", "/min"),
    "gcs_total": ("9269-2", "{score}"),
    "temperature": ("8310-5", "Cel"),
    "paco2": ("2019-8", "mm[Hg]"),
    "white_cells": ("6690-2", "10*9/L"),
}
WELL = {
    "respiration_rate": 16.0,
    "systolic_bp": 120.0,
    "heart_rate": 70.0,
    "gcs_total": 15.0,
    "temperature": 37.0,
    "paco2": 40.0,
    "white_cells": 8.0,
}
ids = itertools.count(1)


def chart(state, name, value, at=NOW, outcome="accepted"):
    code, unit = CODES[name]
    intake = state.observe(Observation(next(ids), (("loinc", code),), value, unit, event_time=at), at, "m")
    assert intake.outcome == outcome, intake.reason


def chart_word(state, word, at=NOW):
    seen = Observation(next(ids), (("loinc", "67775-7"),), None, "", event_time=at, text=word)
    assert state.observe(seen, at, "m").outcome == "accepted"


def patient(at=NOW, **values):
    state = PatientState()
    for name, value in values.items():
        chart(state, name, value, at)
    return state


@pytest.mark.parametrize(
    ("name", "value", "points"),
    [
        ("respiration_rate", 21.4, 0), ("respiration_rate", 21.5, 1), ("respiration_rate", 22.0, 1),
        ("systolic_bp", 101.0, 0), ("systolic_bp", 100.5, 0), ("systolic_bp", 100.4, 1), ("systolic_bp", 100.0, 1),
        ("gcs_total", 15.0, 0), ("gcs_total", 14.0, 1), ("gcs_total", 3.0, 1),
    ],
)  # fmt: skip
def test_edges_of_qsofa(name, value, points):
    """22 breaths, 100 mmHg and GCS 14 each score a point, their neighbours none (Singer 2016, box 4)."""
    score = score_qsofa(patient(**{**WELL, name: value}), NOW)
    assert (score.total, score.low, score.high) == (points, points, points)
    assert score.met == (() if not points else ("altered_mentation" if name == "gcs_total" else name,))


@pytest.mark.parametrize(
    ("name", "value", "points"),
    [
        ("temperature", 38.0, 0), ("temperature", 38.1, 1), ("temperature", 36.0, 0), ("temperature", 35.9, 1),
        ("temperature", 38.04, 0), ("temperature", 38.05, 1), ("temperature", 35.95, 0), ("temperature", 35.94, 1),
        ("heart_rate", 90.0, 0), ("heart_rate", 91.0, 1),
        ("respiration_rate", 20.0, 0), ("respiration_rate", 21.0, 1), ("paco2", 32.0, 0), ("paco2", 31.0, 1),
        ("white_cells", 12.0, 0), ("white_cells", 12.1, 1), ("white_cells", 4.0, 0), ("white_cells", 3.9, 1),
    ],
)  # fmt: skip
def test_edges_of_sirs(name, value, points):
    """Each limit of Bone's table is exclusive: its own value scores nothing, the next charted one a point."""
    assert score_sirs(patient(**{**WELL, name: value}), NOW).total == points


def test_two_points_are_positive():
    """One point is negative, two are positive."""
    assert not score_qsofa(patient(**{**WELL, "gcs_total": 14.0}), NOW).positive
    assert score_qsofa(patient(**{**WELL, "gcs_total": 14.0, "systolic_bp": 90.0}), NOW).positive
    assert score_sirs(patient(**{**WELL, "temperature": 39.0, "heart_rate": 120.0}), NOW).positive


def test_breath_and_blood_gas_are_one_point():
    """A fast breath with a low PaCO2 is one point; either alone is enough, and either alone makes the point known."""
    assert score_sirs(patient(**{**WELL, "respiration_rate": 30.0, "paco2": 25.0}), NOW).total == 1
    alone = score_sirs(patient(paco2=25.0), NOW)
    assert (alone.met, alone.missing) == (("respiration",), ("temperature", "heart_rate", "white_cells"))


def test_the_newer_of_code_and_gcs_decides_and_the_worse_at_a_tie():
    """Between coded answer and GCS the newer counts; at equal times either being altered does."""
    state = patient(gcs_total=14.0)
    chart_word(state, "Alert")
    assert score_qsofa(state, NOW).met == ("altered_mentation",)
    chart_word(state, "Alert", NOW + 1)
    assert score_qsofa(state, NOW + 1).met == ()
    chart_word(state, "Voice", NOW + 2)
    assert score_qsofa(state, NOW + 2).met == ("altered_mentation",)


def test_sedation_excludes_mentation():
    """Under sedation a low GCS is no point; it is missing and opens the upper bound."""
    score = score_qsofa(patient(**{**WELL, "gcs_total": 3.0}), NOW, sedated=True)
    assert (score.total, score.high, score.missing) == (0, 1, ("altered_mentation",))


def test_of_two_readings_of_one_time_the_worse_counts():
    """Two pressures charted for one time: whichever order they came in, the one that scores counts."""
    for values in ((90.0, 120.0), (120.0, 90.0)):
        state = patient()
        for value in values:
            chart(state, "systolic_bp", value)
        assert score_qsofa(state, NOW).met == ("systolic_bp",)


def test_what_is_old_is_missing():
    """A reading counts to the catalogue's maximum age and not a millisecond longer; then it is named stale."""
    state = patient(**WELL)
    assert score_qsofa(state, NOW + 12 * MILLIS_PER_HOUR).missing == ()
    late = score_qsofa(state, NOW + 12 * MILLIS_PER_HOUR + 1)
    assert late.missing == late.stale == ("respiration_rate", "altered_mentation", "systolic_bp")
    assert (late.total, late.high) == (0, 3)
    assert score_sirs(state, NOW + 12 * MILLIS_PER_HOUR + 1).stale == ("temperature", "heart_rate", "respiration")


def test_nothing_later_than_asked_is_used():
    """A score as of an instant uses no reading with a later event time."""
    state = patient(**WELL)
    chart(state, "systolic_bp", 80.0, NOW + 1)
    assert score_qsofa(state, NOW).total == 0
    assert score_qsofa(state, NOW + 1).total == 1


def test_quarantine_keeps_the_last_good_value_and_opens_both_ways():
    """An impossible newer value is named; the good one counts, and both bounds open."""
    state = patient(**{**WELL, "temperature": 39.0})
    chart(state, "temperature", 390.0, NOW + 1, outcome="quarantined")
    score = score_sirs(state, NOW + 1)
    assert (score.total, score.low, score.high, score.quarantined) == (1, 0, 1, ("temperature",))


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "respiration_rate": st.integers(10, 30),
            "systolic_bp": st.integers(80, 130),
            "heart_rate": st.integers(60, 120),
            "gcs_total": st.integers(3, 15),
            "temperature": st.integers(340, 400).map(lambda tenths: tenths / 10),
            "paco2": st.integers(25, 45),
            "white_cells": st.integers(20, 150).map(lambda tenths: tenths / 10),
        },
    )
)
def test_columns_and_patients_agree(values):
    """A row's columns count the points that the patient's state does, and bounds hold the whole picture."""
    state = patient(**values)
    columns = {f"{name}.last": [values.get(name, float("nan"))] for name in CODES}
    for score, totals, table in ((score_qsofa, qsofa_totals, QSOFA), (score_sirs, sirs_totals, SIRS)):
        found = score(state, NOW)
        whole = score(patient(**{**WELL, **values}), NOW)
        counted = totals(columns)[0]
        if len(found.missing) == len(table):
            assert np.isnan(counted)
        else:
            assert counted == found.total
        assert found.low <= whole.total <= found.high


def test_columns_with_ages_take_the_newest():
    """With ages the younger of GCS and code decides each row, the altered one at a tie; without them either does."""
    columns = {"gcs_total.last": [14.0, 14.0, 14.0, 15.0], "consciousness.last": [0.0, 0.0, 0.0, float("nan")]}
    ages = {"gcs_total.age_h": [1.0, 2.0, 1.0, 1.0], "consciousness.age_h": [2.0, 1.0, 1.0, float("nan")]}
    assert qsofa_totals({**columns, **ages}).tolist() == [1.0, 0.0, 1.0, 0.0]
    assert qsofa_totals(columns).tolist() == [1.0, 1.0, 1.0, 0.0]


def test_columns_must_make_rows():
    """Columns of unequal length, or none that a criterion is read from, are an error."""
    with pytest.raises(ValueError, match="do not make rows"):
        sirs_totals({"temperature.last": [37.0], "heart_rate.last": [80.0, 90.0]})
    with pytest.raises(ValueError, match="do not make rows"):
        qsofa_totals({"sodium.last": [140.0]})


def test_every_criterion_can_be_read():
    """Every feature of both tables is in the catalogue and expires; names are unique."""
    for table in (QSOFA, SIRS):
        assert len({criterion.name for criterion in table}) == len(table)
        for criterion in table:
            for feature in criterion.features():
                assert default_catalogue().by_name(feature).max_age_ms is not None
    ageless = [feature.name for feature in default_catalogue().features if feature.max_age_ms is None]
    if ageless:
        from models.criteria import score_criteria

        with pytest.raises(ValueError, match="maximum age"):
            score_criteria([Criterion("x", (Limit(ageless[0], above=0.0),))], PatientState(), 0)
    assert count_criteria([Criterion("x", (Limit("heart_rate", below=60.0),))], {"heart_rate.last": [59.0]})[0] == 1.0
