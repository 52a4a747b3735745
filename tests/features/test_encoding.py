"""States as bytes: versions and damage are named, limits hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import Admission, Demographics, Location, Observation
from features.encoding import SCHEMA_VERSION, CorruptStateError, UnknownStateVersionError
from features.state import PatientState
from features.vector import VectorSpec

SPEC = VectorSpec(["heart_rate.last", "heart_rate.mean_24h", "heart_rate.slope_24h", "heart_rate.min_24h", "age_years"])


def full_state() -> PatientState:
    state = PatientState()
    state.apply(Admission(5, Location("7B", "2", "1", "RJ1"), "I"), 10)
    state.apply(Demographics(5, "1950-01-02", "female"), 10)
    for minute in range(200):
        pulse = Observation(minute * 7, (("loinc", "8867-4"),), 60.0 + minute % 9, "/min", minute * 60_000)
        state.observe(pulse, minute * 60_000 + 5, f"m{minute}")
    state.observe(Observation(1, (("loinc", "8310-5"),), 6932.0, "Cel", 9), 12_000_000, "mx")
    return state


def test_everything_survives_the_round_trip():
    """Readings, buckets, origin, quarantine, stay and clock come back; encoding again gives the same bytes."""
    state = full_state()
    again = PatientState.decode(state.encode())
    at = 200 * 60_000
    assert again.vector(at, SPEC) == state.vector(at, SPEC)
    assert again.latest("heart_rate", at) == state.latest("heart_rate", at)
    assert again.quarantined("temperature") == state.quarantined("temperature")
    assert again.stay == state.stay
    assert again.last_received_time == state.last_received_time
    assert again.encode() == state.encode()


def test_an_empty_state_survives_the_round_trip():
    """Nothing known is a state too."""
    assert PatientState.decode(PatientState().encode()).encode() == PatientState().encode()


def test_another_version_is_named_and_not_read():
    """A state of another release raises by name, so that it is migrated or refolded."""
    data = full_state().encode()
    for other in (bytes([SCHEMA_VERSION + 1]) + data[1:], b""):
        with pytest.raises(UnknownStateVersionError):
            PatientState.decode(other)


@given(st.binary(max_size=64), st.integers(0, 400))
def test_damage_is_named(noise, place):
    """Bytes that are no state raise one of two named errors and nothing else."""
    data = full_state_bytes()
    damaged = data[:1] + noise if place % 2 else data[: 1 + place] + noise + data[1 + place + len(noise) :]
    try:
        decoded: object = PatientState.decode(damaged)
    except (CorruptStateError, UnknownStateVersionError) as error:
        decoded = error
    assert isinstance(decoded, PatientState | CorruptStateError | UnknownStateVersionError)


_BYTES = full_state().encode()


def full_state_bytes() -> bytes:
    return _BYTES


def test_times_far_apart_survive():
    """Differences that need more than 63 bits are kept too."""
    state = PatientState()
    for place, time in enumerate((-(2**62), 2**62)):
        state.observe(Observation(place, (("loinc", "8867-4"),), 60.0, "/min", time), 2**62, "m")
    assert PatientState.decode(state.encode()).encode() == state.encode()
