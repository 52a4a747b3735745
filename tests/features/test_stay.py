"""Stay and demographics: what overwrites what when ADT events come late, twice or are taken back."""

from __future__ import annotations

import pytest

from events import Admission, Cancellation, Demographics, Discharge, Location, Transfer
from features.state import PatientState
from features.stay import MILLIS_PER_DAY, Stay

WARD, ICU = Location(ward="7B", bed="3"), Location(ward="ICU", bed="1")


def applied(*events) -> PatientState:
    state = PatientState()
    for place, event in enumerate(events):
        state.apply(event, received_time=1_000 + place)
    return state


def test_admission_transfer_discharge_tell_a_stay():
    """A01, A02 and A03 set where the patient is, since when, and until when."""
    state = applied(Admission(10, WARD, "I"), Transfer(20, ICU), Discharge(30))
    assert (state.location, state.admitted, state.admitted_time, state.discharged_time) == (ICU, False, 10, 30)
    assert state.patient_class == "I"
    assert state.last_received_time == 1_002


def test_older_events_do_not_overwrite_newer_ones():
    """A transfer and an admission that arrive late leave the newer place, and the admission still gives its time."""
    state = applied(Transfer(20, ICU), Admission(10, WARD), Transfer(15, WARD))
    assert (state.location, state.admitted, state.admitted_time) == (ICU, True, 10)


def test_a_discharge_older_than_a_readmission_does_not_end_it():
    """A late A03 of the stay before leaves the new stay open."""
    state = applied(Admission(10, WARD), Admission(50, ICU), Discharge(30))
    assert state.admitted


def test_cancellations_give_back_what_was_before():
    """A12 returns the place, A13 the stay and a death that the discharge brought, A11 the absence of a stay."""
    state = applied(Admission(10, WARD), Transfer(20, ICU), Cancellation(21, "transfer"))
    assert state.location == WARD
    state = applied(Admission(10, WARD), Discharge(20, deceased=True))
    assert state.deceased
    state.apply(Cancellation(21, "discharge"), 2_000)
    assert (state.admitted, state.discharged_time, state.deceased) == (True, None, False)
    state = applied(Admission(10, WARD), Cancellation(11, "admission"))
    assert (state.admitted, state.admitted_time, state.location) == (False, None, Location())


def test_demographics_keep_what_a_later_message_does_not_say():
    """None means not said; an older message does not overwrite a newer one."""
    state = applied(Demographics(10, birth_date="1950-02-03", sex="female"), Demographics(20, deceased=True))
    state.apply(Demographics(5, birth_date="1900", sex="male"), 3_000)
    assert (state.birth_date, state.sex, state.deceased) == ("1950-02-03", "female", True)


def test_an_empty_location_says_nothing():
    """An A01 without PV1-3 does not move a patient out of bed."""
    assert applied(Transfer(10, ICU), Admission(20, Location())).location == ICU


@pytest.mark.parametrize(
    ("birth_date", "day", "years"),
    [("1970-06-15", 16 * 365 + 4 + 164, 15), ("1970-06-15", 16 * 365 + 4 + 165, 16),
     ("1970", 16 * 365 + 4, 16), ("1970-07", 16 * 365 + 4 + 181, 16),
     ("1972-02-29", 365 * 3 + 1 + 59 - 1, 0), ("1972-02-29", 365 * 3 + 1 + 59, 1)],
)  # fmt: skip
def test_whole_years_of_age_are_those_of_the_calendar(birth_date, day, years):
    """A year of age comes on the birthday; of an incomplete date on the first day it may mean."""
    assert int(Stay(birth_date=birth_date).age_years(day * MILLIS_PER_DAY)) == years


def test_an_unreadable_or_missing_birth_date_is_an_unknown_age():
    """Nothing is made of a birth date that is none."""
    for birth_date in (None, "", "unknown", "1970-13-01", "0"):
        assert Stay(birth_date=birth_date).age_years(0) is None


def test_a_merge_takes_the_newer_of_each_group():
    """The newer encounter, place and person fields win, each by its own time."""
    ours, theirs = applied(Admission(10, WARD), Demographics(9, sex="male")), applied(Transfer(20, ICU))
    theirs.apply(Demographics(5, sex="female", birth_date="1950"), 3_000)
    ours.absorb(theirs)
    assert (ours.location, ours.admitted_time, ours.sex, ours.birth_date) == (ICU, 10, "male", "1950")
