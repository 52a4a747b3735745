"""Stays: where one ends and the next begins, and what is known of them."""

from __future__ import annotations

from events import MILLIS_PER_HOUR, Admission, Demographics, Discharge, Location, Transfer
from stream.evaluating.stays import Stays

HOUR = MILLIS_PER_HOUR


def test_an_admission_after_a_discharge_is_another_stay_of_the_same_patient():
    """The outcome of one stay is none of the other's; the sex is the patient's in both."""
    stays = Stays()
    stays.hear("p", Demographics(0, sex="male"))
    stays.hear("p", Admission(0, Location("A")))
    first = stays.scored("p", HOUR)
    stays.outcome("p", 2 * HOUR)
    stays.hear("p", Discharge(3 * HOUR))
    stays.hear("p", Admission(9 * HOUR, Location("B")))
    second = stays.scored("p", 10 * HOUR)
    assert (first.number, second.number, first.patient, second.patient) == (0, 1, 0, 0)
    assert (first.onset, second.onset, second.sex, second.origin) == (2 * HOUR, None, "male", "B")
    assert (first.began, first.ended, second.began, second.ended) == (0, 3 * HOUR, 9 * HOUR, None)


def test_a_transfer_moves_the_stay_and_leaves_where_it_began():
    """The ward is where the patient lies; a ward told in passing moves nobody."""
    stays = Stays()
    stays.hear("p", Admission(0, Location("ED")))
    stays.hear("p", Transfer(HOUR, Location("Ward")))
    stays.hear("p", Transfer(2 * HOUR, Location("Lab"), incidental=True))
    stay = stays.scored("p", 3 * HOUR)
    assert (stay.ward, stay.origin) == ("Ward", "ED")


def test_the_first_outcome_of_a_stay_is_its_onset():
    """However they are told; and what is not scored is not kept."""
    stays = Stays()
    stays.outcome("p", 5 * HOUR)
    stays.outcome("p", 4 * HOUR)
    stays.outcome("q", HOUR)
    assert stays.scored("p", 0).onset == 4 * HOUR
    assert len(stays.known) == 1
    assert stays.patients == 1
