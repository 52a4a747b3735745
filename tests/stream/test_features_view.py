"""A patient's view says what is known now, and what its reader needs to judge the age of it."""

from __future__ import annotations

import msgspec
import pytest

from alerts.book import AlertBook
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, Admission, Location, Observation
from features.catalogue import default_catalogue
from features.state import PatientState
from stream.features_view import UnknownViewError, features_view, read_view
from stream.records import PatientRecord

T = 1_767_225_600_000
PULSE = (("loinc", "8867-4"),)
SPO2 = (("loinc", "59408-5"),)


def pulse(identity, value, at):
    """A heart rate at a time."""
    return Observation(identity, PULSE, value, "/min", event_time=at)


@pytest.fixture
def record():
    """Somebody on a ward, with a pulse of ten minutes ago."""
    state = PatientState()
    state.apply(Admission(T - MILLIS_PER_HOUR, location=Location(ward="W1", bed="3")), T - MILLIS_PER_HOUR)
    state.observe(pulse(1, 72.0, T - 10 * MILLIS_PER_MINUTE), T, "m1")
    return PatientRecord(state, AlertBook(), heard=T)


def test_a_feature_has_value_unit_and_both_times(record):
    """Of each feature that was ever read, and of no other, there is the newest reading with unit and times."""
    view = read_view(features_view("p", record, T + 500))
    assert set(view.features) == {"heart_rate"}
    feature = view.features["heart_rate"]
    assert (feature.value, feature.unit, feature.event_time, feature.received_time) == (
        72.0, "/min", T - 10 * MILLIS_PER_MINUTE, T,
    )  # fmt: skip
    assert feature.max_age_ms == default_catalogue().by_name("heart_rate").max_age_ms


def test_it_says_who_where_and_when(record):
    """Patient, place, presence, when last heard of and when written are in it."""
    view = read_view(features_view("p", record, T + 500))
    assert (view.patient, view.location, view.admitted) == ("p", Location(ward="W1", bed="3"), True)
    assert (view.as_of, view.written_at) == (T, T + 500)


def test_a_value_grows_stale_by_the_readers_clock(record):
    """Up to its maximum age a value counts, and not a millisecond longer."""
    feature = read_view(features_view("p", record, T)).features["heart_rate"]
    assert not feature.stale(feature.event_time + feature.max_age_ms)
    assert feature.stale(feature.event_time + feature.max_age_ms + 1)


def test_an_older_reading_that_comes_late_does_not_replace_the_newest(record):
    """What was read later is what is shown, whatever came last."""
    record.state.observe(pulse(2, 140.0, T - MILLIS_PER_HOUR), T + 1, "m2")
    assert read_view(features_view("p", record, T)).features["heart_rate"].value == 72.0


def test_a_quarantined_newer_value_is_said_beside_the_older_one(record):
    """Where the newest value was impossible, the older one is shown, and that it is older."""
    record.state.observe(pulse(3, 7_000.0, T), T, "m3")
    view = read_view(features_view("p", record, T))
    assert (view.features["heart_rate"].value, view.held_back) == (72.0, ("heart_rate",))


def test_a_quarantined_value_alone_is_no_feature(record):
    """An impossible value of a feature that was never read is told as held back, and has no value."""
    record.state.observe(Observation(4, SPO2, 900.0, "%", event_time=T), T, "m4")
    view = read_view(features_view("p", record, T))
    assert ("spo2" in view.features, view.held_back) == (False, ("spo2",))


def test_one_record_is_one_document(record):
    """The same record at the same moment gives the same bytes, also after it was stored and read."""
    again = PatientRecord.decode(record.encode(), default_catalogue())
    assert features_view("p", again, T) == features_view("p", record, T)


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff", b"null"])
def test_what_is_no_view_is_refused(data):
    """Bytes that are no document of ours are an error of a kind of its own."""
    with pytest.raises(UnknownViewError, match="not a view"):
        read_view(data)


def test_a_view_of_another_release_is_refused(record):
    """A document of a later version is not guessed at."""
    document = msgspec.json.decode(features_view("p", record, T))
    with pytest.raises(UnknownViewError, match="version 2"):
        read_view(msgspec.json.encode(document | {"view": 2}))


def test_a_new_field_does_not_make_a_view_unreadable(record):
    """What a later release adds is passed over."""
    document = msgspec.json.decode(features_view("p", record, T))
    assert read_view(msgspec.json.encode(document | {"more": 1})) == read_view(features_view("p", record, T))
