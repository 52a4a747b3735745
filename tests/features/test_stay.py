"""Stay and demographics: what overwrites what when ADT events come late, twice or are taken back."""

from __future__ import annotations

import pytest

from events import MILLIS_PER_DAY, Admission, Cancellation, Demographics, Discharge, Location, Transfer
from features.state import PatientState
from features.stay import Stay

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


ED, OTHER_WARD = Location(ward="ED"), Location(ward="8A")
LATE = 10_000


def told(*events_of_encounters) -> Stay:
    """Fold (event, encounter) pairs, each received long after it happened."""
    state = PatientState()
    for event, encounter in events_of_encounters:
        state.apply(event, LATE, encounter)
    return state.stay


def test_the_end_of_another_encounter_leaves_the_stay_alone():
    """The emergency department's A03 after the ward's A01 does not end the stay; nor does its A11, A12 or A13."""
    begun = ((Admission(10, ED, "E"), "V0"), (Admission(20, WARD, "I"), "V1"))
    for event in (Discharge(30), Discharge(30, "20", deceased=True), *(Cancellation(30, what) for what in
                  ("admission", "transfer", "discharge"))):  # fmt: skip
        stay = told(*begun, (event, "V0"))
        assert (stay.admitted, stay.admitted_time, stay.location, stay.encounter) == (True, 20, WARD, "V1")
        assert not stay.deceased
    ended = told(*begun, (Discharge(30), "V1"), (Cancellation(40, "discharge"), "V0"))
    assert (ended.admitted, ended.discharged_time) == (False, 30)


@pytest.mark.parametrize("ending", ["V1", ""])
def test_the_end_of_this_or_an_unnamed_encounter_ends_the_stay(ending):
    """A discharge that names the stay's own encounter, or none, ends it."""
    stay = told((Admission(10, ED), "V0"), (Admission(20, WARD), "V1"), (Discharge(30), ending))
    assert (stay.admitted, stay.discharged_time) == (False, 30)


def test_another_encounter_begins_a_stay_although_it_is_dated_before_the_last_discharge():
    """An inpatient A01 of 20 told after the emergency department's A03 of 30 begins a stay, where it says."""
    stay = told((Admission(10, ED), "V0"), (Transfer(25, ED), "V0"), (Discharge(30), "V0"), (Admission(20, WARD), "V1"))
    assert (stay.admitted, stay.admitted_time, stay.discharged_time, stay.location) == (True, 20, None, WARD)
    same = told((Admission(10, ED), "V0"), (Discharge(30), "V0"), (Admission(20, WARD), "V0"))
    assert not same.admitted


def test_an_older_encounter_told_again_does_not_close_the_open_one():
    """A finished encounter that is sent again whole, while a newer one is open, leaves the patient in hospital."""
    finished = ((Admission(10, ED), "V0"), (Discharge(15), "V0"))
    stay = told((Admission(20, WARD), "V1"), *finished)
    assert (stay.admitted, stay.encounter, stay.location, stay.also_open) == (True, "V1", WARD, "")
    stay = told((Admission(20, ED), "V0"), (Admission(10, WARD), "V1"), (Discharge(30), "V0"))
    assert (stay.admitted, stay.encounter) == (True, "V1")


def test_a_transfer_of_a_new_encounter_after_a_discharge_opens_a_stay():
    """An A02 of an encounter whose A01 was lost says that the patient is in hospital."""
    stay = told((Admission(10, ED), "V0"), (Discharge(30), "V0"), (Transfer(40, WARD), "V1"))
    assert (stay.admitted, stay.location, stay.encounter) == (True, WARD, "V1")
    stay = told((Admission(10, ED), "V0"), (Discharge(30), "V0"), (Transfer(40, WARD), "V0"))
    assert not stay.admitted


def test_a_death_told_with_a_discharge_is_taken_back_with_it():
    """PID-30 = Y beside an A03, and repeated since, is undone by its A13; a death told before, or by it, stays."""
    dead = Demographics(20, deceased=True)
    for more in ((), (Demographics(25, deceased=True),)):
        for discharge in (Discharge(20), Discharge(20, "20", deceased=True)):
            stay = applied(Admission(10, WARD), dead, discharge, *more, Cancellation(30, "discharge")).stay
            assert (stay.admitted, stay.deceased) == (True, False)
    assert not applied(Admission(10, WARD), dead, Discharge(20), Cancellation(20, "discharge")).deceased
    before = (Admission(10, WARD), Demographics(15, deceased=True), Discharge(20, "20", deceased=True))
    assert applied(*before, Cancellation(30, "discharge")).deceased
    with_it = (Demographics(30, deceased=True), Cancellation(30, "discharge"))
    assert applied(Admission(10, WARD), dead, Discharge(20), *with_it).deceased


@pytest.mark.parametrize("birth_date", ["2062-06-01", "1970-01-02", "1839-12-31", "1840-01-01", "0001"])
def test_a_birth_date_that_cannot_be_true_is_an_unknown_age(birth_date):
    """One in the future would make a child of an adult, and nobody is older than 130: both are unknown."""
    assert Stay(birth_date=birth_date).age_years(0) is None


def test_the_oldest_age_is_below_130():
    """A hundred and thirtieth birthday is a slip, the day before it is not."""
    assert Stay(birth_date="1840-01-02").age_years(0) > 129.9
    assert Stay(birth_date="1840-01-01").age_years(0) is None


def test_an_event_dated_ahead_counts_as_of_its_receipt():
    """A transfer, admission, discharge or PID dated next year does not keep what comes after it from counting."""
    year = 365 * MILLIS_PER_DAY
    state = applied(Admission(10 + year, WARD), Transfer(year, ICU), Demographics(year, "1900", "male"))
    assert (state.admitted_time, state.stay.location_time) == (1_000, 1_001)
    for event in (Transfer(2_000, WARD), Demographics(2_000, "1950", "female"), Discharge(2_000)):
        state.apply(event, 2_000)
    assert (state.location, state.birth_date, state.sex) == (WARD, "1950", "female")
    assert (state.admitted, state.discharged_time) == (False, 2_000)


def test_a_place_told_in_passing_moves_nobody_whom_an_adt_message_placed():
    """The ward in a laboratory's PV1-3 counts only while no ADT message has said where the patient is."""
    passing = Transfer(30, WARD, incidental=True)
    assert applied(passing).location == WARD
    assert applied(passing).admitted
    assert applied(passing, Transfer(40, OTHER_WARD, incidental=True)).location == OTHER_WARD
    for by_adt in (Admission(10, ICU), Transfer(10, ICU)):
        assert applied(by_adt, passing).location == ICU
        assert applied(passing, by_adt).location == ICU
    assert applied(Admission(10, Location()), passing).location == WARD
    assert applied(Admission(10, ICU), Cancellation(20, "admission"), passing).location == WARD


def test_a_merge_prefers_the_place_an_adt_message_told():
    """A newer place told in passing to either record does not move the merged one."""
    ours, theirs = applied(Admission(10, ICU)), applied(Transfer(30, WARD, incidental=True))
    ours.absorb(theirs)
    assert ours.location == ICU
    theirs.absorb(applied(Admission(10, ICU)))
    assert theirs.location == ICU


def test_the_encounter_is_kept_with_the_state():
    """A discharge of another encounter leaves the stay alone after a restart too."""
    state = PatientState()
    state.apply(Admission(10, WARD), LATE, "V1")
    again = PatientState.decode(state.encode())
    again.apply(Discharge(30), LATE, "V0")
    assert again.admitted


def test_the_unit_of_origin_is_where_the_stay_began():
    """A further admission of an open stay, an encounter within it and any transfer leave it; the next has its own."""
    began = (Admission(10, Location("ED")), Admission(20, WARD), Transfer(30, ICU))
    assert applied(*began).stay.origin == "ED"
    assert applied(*began, Discharge(40), Admission(50, WARD)).stay.origin == WARD.ward
    assert applied(Transfer(10, ICU), Admission(20, WARD)).stay.origin == ICU.ward
    assert applied(Transfer(10, ICU, incidental=True)).stay.origin == ""
    assert applied(Admission(10, ICU), Cancellation(20, "admission"), Admission(30, WARD)).stay.origin == WARD.ward
    state = applied(Admission(10, Location("ED")))
    state.apply(Admission(1_000, WARD), LATE, "V2")
    assert state.stay.origin == "ED"


def test_ethnicity_is_the_newest_that_was_said():
    """As with sex: an older statement that comes late does not overwrite; it merges, and is stored with the state."""
    state = applied(Demographics(20, ethnicity="asian"), Demographics(10, ethnicity="white"), Demographics(30))
    assert state.stay.ethnicity == "asian"
    assert PatientState.decode(state.encode()).stay.ethnicity == "asian"
    other = applied(Demographics(40, ethnicity="black"))
    state.absorb(other)
    assert state.stay.ethnicity == "black"


def test_a_discharge_that_was_taken_back_before_it_arrived_is_none():
    """A13, then its A03: the patient is in hospital, and alive; a discharge of after that counts."""
    back = Cancellation(30, "discharge", WARD, told=True)
    for dead in ((), (Demographics(20, deceased=True),)):
        stay = applied(Admission(10, WARD), back, *dead, Discharge(20, "20", deceased=bool(dead))).stay
        assert (stay.admitted, stay.discharged_time, stay.deceased) == (True, None, False)
    assert not applied(Admission(10, WARD), back, Discharge(20), Discharge(40)).admitted
    assert applied(back, Discharge(20), Admission(10, WARD)).stay.admitted_time == 10


def test_an_encounter_under_way_does_not_take_back_what_ends_it_later():
    """FHIR's word is no act: a discharge that is told after it, dated before it, counts."""
    assert not applied(Admission(10, WARD), Cancellation(30, "discharge"), Discharge(20)).admitted


def test_an_admission_that_was_taken_back_before_it_arrived_is_none():
    """A11, then its A01 and a move: no stay, no place, no time; another visit's admission begins one."""
    events = (Cancellation(30, "admission"), Admission(10, WARD), Transfer(20, ICU))
    stay = told(*((event, "V1") for event in events))
    assert (stay.admitted, stay.admitted_time, stay.location, stay.origin) == (False, None, Location(), "")
    assert stay == told(*((event, "V1") for event in (events[0], *events[1:], *events[1:])))
    assert told(*((event, "V1") for event in events), (Admission(5, WARD), "V2")).admitted


def test_who_is_moved_after_an_admission_was_taken_back_is_in_hospital():
    """A01, A11, A01 anew of the same visit and so of the same time, A02: at the latest the move says he is here."""
    mistaken = (Admission(10, WARD), "V1"), (Cancellation(60, "admission"), "V1"), (Admission(10, WARD), "V1")
    put_right = told(*mistaken[:2], (Admission(10, ICU, "", 70), "V1"))
    assert (put_right.admitted, put_right.location, put_right.admitted_time) == (True, ICU, 10), "told after it"
    assert not told(*mistaken[:2], (Admission(10, ICU, "", 50), "V1")).admitted, "told before it, and late"
    assert not told(*mistaken).admitted
    stay = told(*mistaken, (Transfer(70, ICU), "V1"))
    assert (stay.admitted, stay.location) == (True, ICU)
    assert not told(*mistaken, (Transfer(70, ICU), "V1"), (Discharge(90), "V1")).admitted
    assert not told(*mistaken[:2], (Transfer(50, ICU), "V1")).admitted


def test_who_was_not_admitted_after_all_is_where_he_was_before():
    """Also if he was moved meanwhile: the place before the stay, not before the move."""
    moved = (Admission(30, WARD), "V1"), (Transfer(40, ICU), "V1"), (Cancellation(50, "admission"), "V1")
    assert told((Admission(10, ED), "V0"), (Discharge(20), "V0"), *moved).location == ED
    assert told(*moved).location == Location()


def test_an_admission_that_comes_after_what_followed_it_tells_where_and_as_what_the_stay_began():
    """A02 and A03 first: the ward of origin and the class are the admission's; the place is the move's."""
    stay = applied(Transfer(20, ICU), Discharge(30), Admission(10, WARD, "I")).stay
    assert (stay.origin, stay.patient_class, stay.location) == (WARD.ward, "I", ICU)
    assert (stay.admitted_time, stay.discharged_time) == (10, 30)


def test_a_move_taken_back_places_a_patient_nobody_has_told_of():
    """An A12 first: he is in hospital, there, and the admission of before does not move him."""
    stay = applied(Cancellation(20, "transfer", ICU), Admission(10, WARD)).stay
    assert (stay.admitted, stay.location, stay.admitted_time) == (True, ICU, 10)


def test_a_visit_that_began_under_a_merged_number_ends_by_its_own_discharge():
    """By the survivor's key its pseudonym is another one: after the merge it is unnamed until the next message."""
    retired = told((Admission(10, WARD), "V1 of retired"))
    survivor = Stay()
    survivor.absorb(retired)
    assert survivor.admitted
    survivor.discharge(Discharge(20), "V1 of survivor")
    assert (survivor.admitted, survivor.encounter) == (False, "V1 of survivor")


def test_who_is_known_by_results_alone_is_in_hospital_after_a_merge():
    """A laboratory's patient, merged into a number nobody has told of."""
    retired = told((Transfer(10, WARD, incidental=True), ""))
    survivor = Stay()
    survivor.absorb(retired)
    assert survivor.admitted
