"""Who and where: a patient's demographics and hospital stay, folded from ADT events.

Owns the rules of what overwrites what. Must not know readings. Each group of fields (encounter, place, each
demographic field) keeps the event time it was last set at: an older event that arrives late does not overwrite a newer
one; at equal times the later in the log wins. What a late event still adds (the true time of admission) is taken.
"""

from __future__ import annotations

from datetime import date

import msgspec

from events import Admission, Cancellation, Demographics, Discharge, Location, Millis, Transfer

NEVER: Millis = -(1 << 62)
"""Before every event time."""
MILLIS_PER_DAY = 86_400_000
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_DAYS_PER_YEAR = 365.25


class Stay(msgspec.Struct):
    """One patient's stay and demographics. Mutable: it belongs to one `PatientState`.

    >>> stay = Stay()
    >>> stay.admit(Admission(10, Location(ward="A")))
    >>> stay.transfer(Transfer(30, Location(ward="ICU")))
    >>> stay.transfer(Transfer(20, Location(ward="B")))
    >>> stay.location.ward
    'ICU'
    """

    admitted: bool = False
    admitted_time: Millis | None = None
    discharged_time: Millis | None = None
    patient_class: str = ""
    encounter_time: Millis = NEVER
    location: Location = Location()
    previous_location: Location = Location()
    location_time: Millis = NEVER
    birth_date: str | None = None
    birth_date_time: Millis = NEVER
    sex: str | None = None
    sex_time: Millis = NEVER
    deceased: bool = False
    deceased_time: Millis = NEVER
    deceased_by_discharge: bool = False

    def admit(self, event: Admission) -> None:
        """Begin a stay. A further admission of an open stay (A04, then A01) keeps the first time."""
        time = event.event_time
        if time >= self.encounter_time:
            self.admitted_time = (
                min(time, self.admitted_time) if self.admitted and self.admitted_time is not None else time
            )
            self.admitted, self.discharged_time = True, None
            self.patient_class = event.patient_class or self.patient_class
            self.encounter_time = time
        elif self.admitted_time is None or (self.admitted and time < self.admitted_time):
            self.admitted_time = time
        self._move(time, event.location)

    def transfer(self, event: Transfer) -> None:
        """Move. A patient who was never announced is in hospital all the same."""
        if self.encounter_time == NEVER:
            self.admitted = True
        self._move(event.event_time, event.location)

    def discharge(self, event: Discharge) -> None:
        """End the stay, unless a newer event of the encounter says otherwise."""
        if event.event_time < self.encounter_time:
            return
        self.admitted, self.discharged_time, self.encounter_time = False, event.event_time, event.event_time
        if event.deceased and not self.deceased:
            self.deceased, self.deceased_time, self.deceased_by_discharge = True, event.event_time, True

    def cancel(self, event: Cancellation) -> None:
        """Take an admission, transfer or discharge back; the place before it is the place again."""
        time = event.event_time
        if event.cancelled == "transfer":
            if time >= self.location_time:
                self.location, self.previous_location = _given(event.location, self.previous_location), Location()
                self.location_time = time
            return
        if time < self.encounter_time:
            return
        self.encounter_time = time
        self.discharged_time = None
        if event.cancelled == "admission":
            self.admitted, self.admitted_time = False, None
            self.location, self.previous_location = self.previous_location, Location()
            self.location_time = max(time, self.location_time)
            return
        self.admitted = True
        if self.deceased_by_discharge:
            self.deceased, self.deceased_by_discharge = False, False
        self._move(time, event.location)

    def describe(self, event: Demographics) -> None:
        """Merge what a message says of the person; what it does not say stays."""
        time = event.event_time
        if event.birth_date is not None and time >= self.birth_date_time:
            self.birth_date, self.birth_date_time = event.birth_date, time
        if event.sex is not None and time >= self.sex_time:
            self.sex, self.sex_time = event.sex, time
        if event.deceased is not None and time >= self.deceased_time:
            self.deceased, self.deceased_time, self.deceased_by_discharge = event.deceased, time, False

    def absorb(self, other: Stay) -> None:
        """Take in the stay of a record that was merged into this one: the newer of each group of fields."""
        if other.encounter_time > self.encounter_time:
            self.admitted, self.admitted_time = other.admitted, other.admitted_time
            self.discharged_time, self.patient_class = other.discharged_time, other.patient_class
            self.encounter_time = other.encounter_time
        if other.location_time > self.location_time:
            self.location, self.previous_location = other.location, other.previous_location
            self.location_time = other.location_time
        if other.birth_date is not None and other.birth_date_time > self.birth_date_time:
            self.birth_date, self.birth_date_time = other.birth_date, other.birth_date_time
        if other.sex is not None and other.sex_time > self.sex_time:
            self.sex, self.sex_time = other.sex, other.sex_time
        if other.deceased_time > self.deceased_time:
            self.deceased, self.deceased_time = other.deceased, other.deceased_time
            self.deceased_by_discharge = other.deceased_by_discharge

    def age_years(self, at: Millis) -> float | None:
        """Give the age in years, or None where no birth date is known or it cannot be read.

        Whole years are those of the calendar (UTC). Of an incomplete date the first day it may mean counts, so that a
        patient who may be an adult is one: NEWS2 is not valid under 16, and unknown age counts as adult.

        >>> Stay(birth_date="1970-01-01").age_years(16 * 365 * MILLIS_PER_DAY + 4 * MILLIS_PER_DAY)
        16.0
        """
        born = _first_day(self.birth_date)
        if born is None:
            return None
        try:
            today = date.fromordinal(_EPOCH_ORDINAL + at // MILLIS_PER_DAY)
        except (ValueError, OverflowError):
            return None
        years = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
        try:
            birthday = born.replace(year=born.year + years)
        except ValueError:
            birthday = date(born.year + years, 3, 1)  # born on 29 February
        return years + min((today - birthday).days / _DAYS_PER_YEAR, 0.9999)

    def _move(self, time: Millis, location: Location) -> None:
        if time < self.location_time or location == Location():
            return
        if location != self.location:
            self.previous_location, self.location = self.location, location
        self.location_time = time


def _given(location: Location, otherwise: Location) -> Location:
    return otherwise if location == Location() else location


def _first_day(birth_date: str | None) -> date | None:
    """Read `1942-09-02`, `1942-09` or `1942`; None where it is none of them."""
    if not birth_date:
        return None
    parts = birth_date.split("-")
    try:
        return date(int(parts[0]), int(parts[1]) if len(parts) > 1 else 1, int(parts[2]) if len(parts) > 2 else 1)
    except (ValueError, IndexError):
        return None
