"""The model's inputs: their names, their expiry, their hash."""

from __future__ import annotations

from math import isnan

from events import MILLIS_PER_HOUR, Admission, Location, Observation
from features.state import PatientState
from models.inputs import CLINICAL_INPUTS, NEWS2_PARTS, SCHEMA_HASH, VECTOR_NAMES, clinical_vector

HOUR = MILLIS_PER_HOUR


def named(state, at):
    return dict(zip(CLINICAL_INPUTS.names, clinical_vector(state, at), strict=True))


def test_names_are_distinct_and_few():
    """No input is named twice, every indicator is an input, and the row stays within its hot-path size."""
    assert len(set(CLINICAL_INPUTS.names)) == len(CLINICAL_INPUTS.names) == len(VECTOR_NAMES) + len(NEWS2_PARTS)
    assert set(CLINICAL_INPUTS.indicators) <= set(CLINICAL_INPUTS.names)
    assert 50 <= len(CLINICAL_INPUTS.names) <= 70
    assert SCHEMA_HASH.startswith("sha256:")


def test_a_value_past_its_age_is_unknown():
    """A vital sign counts for 12 h; after that its value and age are unknown to the model."""
    state = PatientState()
    state.observe(Observation(1, (("loinc", "8867-4"),), 140.0, "/min", event_time=0), 0, "m")
    fresh = named(state, 12 * HOUR)
    assert (fresh["heart_rate.last"], fresh["heart_rate.age_h"], fresh["news2.pulse"]) == (140.0, 12.0, 3.0)
    old = named(state, 12 * HOUR + 1)
    assert isnan(old["heart_rate.last"])
    assert isnan(old["heart_rate.age_h"])
    assert isnan(old["news2.pulse"])
    assert isnan(old["news2.total"])


def test_all_numbers_are_floats():
    """Every entry of a row is a float, so that it encodes and hashes in one way."""
    state = PatientState()
    state.apply(Admission(0, Location(ward="A")), 0)
    state.observe(Observation(1, (("loinc", "8867-4"),), 140.0, "/min", event_time=0), 0, "m")
    assert {type(entry) for entry in clinical_vector(state, HOUR)} == {float}
    assert named(state, HOUR)["hours_since_admission"] == 1.0
