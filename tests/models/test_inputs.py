"""The model's inputs: their names, their expiry, their hash."""

from __future__ import annotations

from itertools import islice
from math import isnan
from pathlib import Path

import pytest

from connectors.datasets.physionet2019 import read_stays
from connectors.decoded import Decoded
from events import MILLIS_PER_HOUR, Admission, Demographics, Location, Observation
from features.state import PatientState
from models.inputs import (
    CLINICAL_INPUTS,
    LEARNING_INPUTS,
    LEARNING_ROW,
    NEWS2_PARTS,
    SCHEMA_HASH,
    VECTOR_NAMES,
    RowSpec,
    UnknownInputError,
    clinical_vector,
    computes,
    schema_hash_of,
)
from models.rows import Inputs

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


def learned(state, at):
    return dict(zip(LEARNING_INPUTS.names, LEARNING_ROW.row(state, at), strict=True))


def patient(*values, at=0):
    """Give a patient with values (code, value, unit) measured at one time."""
    state = PatientState()
    for number, (code, value, unit) in enumerate(values):
        state.observe(Observation(at + number, (("loinc", code),), value, unit, event_time=at), at, "m")
    return state


def test_the_shipped_versions_inputs_are_what_they_were():
    """The hash of the short row is the one that every version made so far carries."""
    assert SCHEMA_HASH == "sha256:96f51f8260c97d568bf6626bad1b9099b6ad030b35da13ed0b48ec355948ec2d"
    assert schema_hash_of(CLINICAL_INPUTS) == SCHEMA_HASH != schema_hash_of(LEARNING_INPUTS)


def test_the_learners_row_holds_the_short_one():
    """Every input of the shipped version is among the learner's, each once, and every public vital sign and test."""
    names = LEARNING_INPUTS.names
    assert set(CLINICAL_INPUTS.names) < set(names)
    assert len(set(names)) == len(names) <= 300
    measured = {name.partition(".")[0] for name in names if name.endswith(".last")}
    assert {"mean_bp", "etco2", "bilirubin_direct", "troponin_i", "sao2", "fibrinogen", "gcs_total"} <= measured
    assert len(measured) >= 34


@pytest.mark.parametrize("name", ["", "x", "heart_rate.lost", "heart_rate.sd_1h", "news2.pain", "missing:spo2.last"])
def test_a_version_of_unknown_inputs_is_refused_by_name(name):
    """What this release does not compute is named in the refusal, and such a version is not usable."""
    strange = Inputs(("heart_rate.last", name))
    with pytest.raises(UnknownInputError, match=f"^{name}: no input"):
        RowSpec(strange)
    assert not computes(strange, SCHEMA_HASH)


def test_a_hash_that_means_something_else_is_refused():
    """Names alone do not make a version usable: order and indicators are in the hash too."""
    turned = Inputs(CLINICAL_INPUTS.names[::-1], CLINICAL_INPUTS.indicators)
    assert not computes(turned, SCHEMA_HASH)
    assert computes(turned, schema_hash_of(turned))


def test_an_expired_value_takes_its_change_with_it():
    """Past its age a value, its change and the time of the one before are unknown; the day's window is empty."""
    state = patient(("8867-4", 100.0, "/min"))
    state.observe(Observation(9, (("loinc", "8867-4"),), 140.0, "/min", event_time=HOUR), HOUR, "m")
    points = [f"heart_rate.{point}" for point in ("last", "age_h", "change", "previous_age_h")]
    assert [learned(state, 13 * HOUR)[name] for name in points] == [140.0, 12.0, 40.0, 13.0]
    old = learned(state, 13 * HOUR + 1)
    assert all(isnan(old[name]) for name in points)
    assert old["heart_rate.max_24h"] == 140.0
    assert learned(state, 26 * HOUR)["heart_rate.count_24h"] == 0.0


def test_derived_inputs_are_those_of_the_values_shown():
    """Shock index, pulse pressure, SpO2/FiO2 and ROX follow from the row's own values; unknown parts make them so."""
    state = patient(
        ("8867-4", 120.0, "/min"), ("8480-6", 80.0, "mm[Hg]"), ("8462-4", 50.0, "mm[Hg]"),
        ("59408-5", 92.0, "%"), ("3150-6", 40.0, "%"), ("9279-1", 25.0, "/min"),
    )  # fmt: skip
    row = learned(state, HOUR)
    assert (row["shock_index"], row["pulse_pressure"], row["spo2_to_fio2"]) == (1.5, 30.0, 230.0)
    assert row["rox_index"] == pytest.approx(230.0 / 25.0)
    assert row["vital_count_24h"] == 5.0
    assert isnan(row["modified_shock_index"])
    assert isnan(row["anion_gap"])
    assert isnan(learned(state, 13 * HOUR)["shock_index"])


def test_hours_are_of_the_stay_and_the_day():
    """Age and hours of stay are the state's, the hour of day is UTC's."""
    state = PatientState()
    state.apply(Admission(0, Location(ward="A")), 0)
    state.apply(Demographics(0, birth_date="1920"), 0)
    row = learned(state, 30 * HOUR)
    assert (row["hours_since_admission"], row["hour_of_day"]) == (30.0, 6.0)
    assert 50 <= row["age_years"] < 51


def states_of(folder: Path, stays: int):
    """Give (state, time) after each message of the first real stays."""
    for items in islice(read_stays(folder), stays):
        state = PatientState()
        for time, read in items:
            assert isinstance(read, Decoded)
            for event in read.events:
                if type(event) is Observation:
                    state.observe(event, time, read.message_id)
                elif isinstance(event, Admission | Demographics):
                    state.apply(event, time)
            yield state, time


def test_any_part_of_the_row_is_that_part_of_it(shared_data):
    """On real stays a row of some names, in whatever order, has the numbers of the whole row, carried on or not."""
    backwards = RowSpec(Inputs(LEARNING_INPUTS.names[::-7]))
    rows = 0
    for state, at in states_of(shared_data / "physionet2019", 4):
        whole = LEARNING_ROW.row(state, at)
        assert repr(backwards.row(state, at)) == repr(backwards.pick(whole))
        assert repr(clinical_vector(state, at)) == repr(RowSpec(CLINICAL_INPUTS).pick(LEARNING_ROW.row(state, at)))
        rows += 1
    assert rows > 100
