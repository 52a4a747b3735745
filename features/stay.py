"""Who and where: a patient's demographics and hospital stay, folded from ADT events.

Owns the rules of what overwrites what. Must not know readings. Each group of fields (encounter, place, each
demographic field) keeps the event time it was last set at: an older event that arrives late does not overwrite a newer
one; at equal times the later in the log wins. What a late event still adds (the true time of admission) is taken.

A stay has an encounter, where the sender names one (PV1-19, Encounter.identifier). What ends or takes back another
encounter leaves the stay alone, so that the discharge from the emergency department does not end the stay on the ward.
In doubt a patient is in hospital: one who is not there has no results, and one who is must be told of.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache

import msgspec

from events import MILLIS_PER_DAY, Admission, Cancellation, Demographics, Discharge, Location, Millis, Transfer

NEVER: Millis = -(1 << 62)
"""Before every event time."""
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_DAYS_PER_YEAR = 365.25
AGE_YEARS_MAX = 130
"""Nobody has lived to this; an older birth date is a slip or a stand-in, and the age is unknown."""
AGES_MAX = 8_192
"""Ages remembered, by birth date and day: twice the patients kept live, about 1 MB."""


NOWHERE = Location()


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
    encounter: str = ""
    """Of the open stay, or of the last; empty while no sender named it."""
    encounter_time: Millis = NEVER
    also_open: str = ""
    """An encounter that was told of while a newer one was open: the stay goes on in it when the newer one ends."""
    also_open_time: Millis = NEVER
    location: Location = Location()
    previous_location: Location = Location()
    location_time: Millis = NEVER
    placed: bool = False
    """Whether the location was told by an ADT message, and not in passing by a result."""
    birth_date: str | None = None
    birth_date_time: Millis = NEVER
    sex: str | None = None
    sex_time: Millis = NEVER
    deceased: bool = False
    deceased_time: Millis = NEVER
    death_told_time: Millis = NEVER
    """The event time of what first told the death that is recorded; a discharge of that time takes it back with it."""
    pregnant: bool | None = None
    """What ADT said of a pregnancy; None where it said nothing. `features.pregnancy` says for how long that counts."""
    pregnant_time: Millis = NEVER
    ended_time: Millis = NEVER
    """When a stay last ended, also where another has begun since, which an admission told late may date back."""
    origin: str = ""
    """The ward that the stay began in, as far as it was told: figures and guardrails by unit of origin."""
    ethnicity: str | None = None
    """None wherever the site does not record it; nothing is predicted from it."""
    ethnicity_time: Millis = NEVER
    before: Location = Location()
    """Where the patient was, by ADT messages, before the stay began: there he is again if it is taken back."""
    back_time: Millis = NEVER
    """When a discharge was last taken back by an act of its own: one of before that, arriving later, is that one."""

    def admit(self, event: Admission, encounter: str = "") -> None:
        """Begin a stay. A further admission of an open stay (A04, then A01) keeps the first time and where it began.

        One that arrives after what followed it adds when and where the stay began, and moves nobody; one that had been
        taken back before it arrived is none, unless it was told again since (`told_time`).
        """
        time = event.event_time
        if self._is_another(encounter):
            self.origin = (self.origin if self.admitted else "") or event.location.ward
            self._begin_another(event, encounter)
            return
        again = self._is_taken_back(time)
        told = time if event.told_time is None else event.told_time
        if again and told < self.encounter_time:
            return
        if not self.admitted and time >= self.encounter_time:
            self.before = self._placed_at()
        if not self.admitted or not self.origin or (self.admitted_time is None and time < self.location_time):
            self.origin = event.location.ward or (self.origin if self.admitted else "")
        if again or time >= self.encounter_time:
            self.admitted_time = (
                min(time, self.admitted_time) if self.admitted and self.admitted_time is not None else time
            )
            self.admitted, self.discharged_time = True, None
            self.patient_class = event.patient_class or self.patient_class
            self.encounter_time = told if again else time
        elif self.admitted_time is None or (self.admitted and time < self.admitted_time):
            self.admitted_time = time
            self.patient_class = self.patient_class or event.patient_class
        self.encounter = encounter or self.encounter
        self._place(told if again else time, event.location)

    def transfer(self, event: Transfer, encounter: str = "") -> None:
        """Move. A patient who was never announced, or not for this encounter since the last ended, is in hospital."""
        if event.incidental:
            if self.encounter_time == NEVER:
                self.admitted = True
            if not self.placed or self.location == NOWHERE:
                self._move(event.event_time, event.location)
            return
        if self.encounter_time == NEVER:
            self.admitted = True
            self.encounter = self.encounter or encounter
        elif not self.admitted and self._is_another(encounter):
            self._open(encounter, event.event_time)
            self.origin = ""
        elif self._is_taken_back(event.event_time):
            return
        elif not self.admitted and self.discharged_time is None and event.event_time > self.encounter_time:
            self.admitted = True  # moved after an admission was taken back: he is here, whoever's message was lost
        if self.admitted:
            self.origin = self.origin or event.location.ward
        self._place(event.event_time, event.location)

    def discharge(self, event: Discharge, encounter: str = "") -> None:
        """End the stay, unless it is another encounter that ends, or a newer event of this one says otherwise."""
        time = event.event_time
        if self._is_another(encounter):
            if encounter == self.also_open:
                self.also_open, self.also_open_time = "", NEVER
            return
        if time < self.encounter_time:
            if time <= self.back_time and self.death_told_time == time:
                self.deceased, self.death_told_time = False, NEVER  # it came with a discharge that had been taken back
            return
        self.encounter = encounter or self.encounter
        if event.deceased and not self.deceased:
            self.deceased, self.deceased_time, self.death_told_time = True, time, time
        if self.also_open and not self.deceased:
            self._open(self.also_open, self.also_open_time)
            return
        self.admitted, self.discharged_time, self.encounter_time = False, time, time
        self.ended_time = time

    def cancel(self, event: Cancellation, encounter: str = "") -> None:
        """Take an admission, transfer or discharge of this encounter back; the place before it is the place again.

        With a discharge goes the death that it told, by its disposition or by the PID-30 beside it, unless a person's
        record told it before, or the cancellation itself does.
        """
        time = event.event_time
        of_no_stay = not self.admitted and self.encounter_time == NEVER
        if self._is_another(encounter) or (event.moved and encounter != self.encounter and not of_no_stay):
            if event.cancelled == "admission" and encounter == self.also_open:
                self.also_open, self.also_open_time = "", NEVER
        elif event.cancelled == "transfer":
            self._cancel_transfer(event, encounter)
        elif time >= self.encounter_time:
            self.encounter = self.encounter or encounter
            if event.cancelled == "admission":
                self._cancel_admission(time)
            elif self.admitted and not event.told:
                # There is none to take back: a later discharge, of before this was told, still counts.
                self._place(time, event.location)
            else:
                self._cancel_discharge(event)

    def _cancel_transfer(self, event: Cancellation, encounter: str) -> None:
        time = event.event_time
        if self.encounter_time == NEVER:
            self.admitted, self.encounter = True, self.encounter or encounter
        if time >= self.location_time:
            self.location, self.previous_location = _given(event.location, self.previous_location), NOWHERE
            self.location_time = time
            self.placed = self.placed or event.location != NOWHERE

    def _cancel_admission(self, time: Millis) -> None:
        self.admitted, self.admitted_time, self.discharged_time, self.origin = False, None, None, ""
        self.encounter_time = time
        self.location, self.previous_location, self.placed = self.before, NOWHERE, False
        self.location_time = max(time, self.location_time)
        if self.also_open:
            self._open(self.also_open, self.also_open_time)

    def _cancel_discharge(self, event: Cancellation) -> None:
        time, ended = event.event_time, self.discharged_time
        if event.told:
            self.back_time = time
        self.admitted, self.discharged_time, self.encounter_time = True, None, time
        if self.ended_time == ended:
            self.ended_time = NEVER
        told_again = ended is not None and self.deceased_time > ended and self.deceased_time >= time
        if self.deceased and self.death_told_time == ended and not told_again:
            self.deceased, self.death_told_time = False, NEVER
        self._place(time, event.location)

    def describe(self, event: Demographics) -> None:
        """Merge what a message says of the person; what it does not say stays."""
        time = event.event_time
        if event.birth_date is not None and time >= self.birth_date_time:
            self.birth_date, self.birth_date_time = event.birth_date, time
        if event.sex is not None and time >= self.sex_time:
            self.sex, self.sex_time = event.sex, time
        if event.deceased is not None and time >= self.deceased_time:
            if event.deceased != self.deceased:
                self.deceased, self.death_told_time = event.deceased, time if event.deceased else NEVER
            self.deceased_time = time
        if event.pregnant is not None and (
            time > self.pregnant_time or (time == self.pregnant_time and not event.pregnant)
        ):
            self.pregnant, self.pregnant_time = event.pregnant, time
        if event.ethnicity is not None and time >= self.ethnicity_time:
            self.ethnicity, self.ethnicity_time = event.ethnicity, time

    def absorb(self, other: Stay) -> None:
        """Take in the stay of a record that was merged into this one: the newer of each group of fields."""
        if other.encounter_time > self.encounter_time:
            self.admitted, self.admitted_time = other.admitted, other.admitted_time
            self.discharged_time, self.patient_class = other.discharged_time, other.patient_class
            # A visit's pseudonym is of the patient's key too: by this record's, the same visit has another one.
            self.encounter_time, self.encounter = other.encounter_time, ""
            self.also_open, self.also_open_time = other.also_open, other.also_open_time
            self.ended_time, self.origin = other.ended_time, other.origin
            self.before, self.back_time = other.before, other.back_time
        elif other.encounter_time == self.encounter_time == NEVER:
            self.admitted = self.admitted or other.admitted
        if (other.placed, other.location_time) > (self.placed, self.location_time):
            self.location, self.previous_location = other.location, other.previous_location
            self.location_time, self.placed = other.location_time, other.placed
        if other.birth_date is not None and other.birth_date_time > self.birth_date_time:
            self.birth_date, self.birth_date_time = other.birth_date, other.birth_date_time
        if other.sex is not None and other.sex_time > self.sex_time:
            self.sex, self.sex_time = other.sex, other.sex_time
        if other.deceased_time > self.deceased_time:
            self.deceased, self.deceased_time = other.deceased, other.deceased_time
            self.death_told_time = other.death_told_time
        if other.pregnant_time > self.pregnant_time or (
            other.pregnant_time == self.pregnant_time and other.pregnant is False
        ):
            self.pregnant, self.pregnant_time = other.pregnant, other.pregnant_time
        if other.ethnicity_time > self.ethnicity_time:
            self.ethnicity, self.ethnicity_time = other.ethnicity, other.ethnicity_time

    def age_years(self, at: Millis) -> float | None:
        """Give the age in years, or None where no birth date is known, it cannot be read, or it cannot be true.

        Whole years are those of the calendar (UTC). Of an incomplete date the first day it may mean counts, so that a
        patient who may be an adult is one: NEWS2 is not valid under 16, and unknown age counts as adult.

        >>> Stay(birth_date="1970-01-01").age_years(16 * 365 * MILLIS_PER_DAY + 4 * MILLIS_PER_DAY)
        16.0
        """
        return None if not self.birth_date else _age_years(self.birth_date, at // MILLIS_PER_DAY)

    def _is_another(self, encounter: str) -> bool:
        return bool(encounter and self.encounter) and encounter != self.encounter

    def _is_taken_back(self, time: Millis) -> bool:
        """Say whether what is told late, of this time, belongs to an admission that was taken back."""
        return not self.admitted and self.discharged_time is None and time < self.encounter_time

    def _placed_at(self) -> Location:
        return self.location if self.placed else NOWHERE

    def _begin_another(self, event: Admission, encounter: str) -> None:
        """Begin the stay of another encounter, whenever the last ended: its times are its own.

        While a newer one is open, an older one (a resent Encounter, an admission dated back) only waits beside it.
        """
        time = event.event_time
        if self.admitted and self.admitted_time is not None and time < self.admitted_time:
            self.also_open, self.also_open_time = encounter, time
            self._place(time, event.location)
            return
        if not self.admitted:
            self.location_time = NEVER  # wherever the last stay ended, this one is where it says
        self.before = self._placed_at()
        self._open(encounter, time)
        self.patient_class = event.patient_class or self.patient_class
        self._place(time, event.location)

    def _open(self, encounter: str, time: Millis) -> None:
        self.admitted, self.admitted_time, self.discharged_time = True, time, None
        self.encounter, self.encounter_time = encounter, time
        self.also_open, self.also_open_time = "", NEVER

    def _place(self, time: Millis, location: Location) -> None:
        """Move by an ADT message: the first one counts whatever a result said in passing, however late."""
        if location == NOWHERE:
            return
        if not self.placed:
            self.placed, self.location_time = True, NEVER
        self._move(time, location)

    def _move(self, time: Millis, location: Location) -> None:
        if time < self.location_time or location == NOWHERE:
            return
        if location is not self.location and location != self.location:
            self.previous_location, self.location = self.location, location
        self.location_time = time


class Resident:
    """Whoever has a stay: what is asked of it, read only."""

    __slots__ = ("stay",)

    def __init__(self) -> None:
        self.stay = Stay()

    def age_years(self, at: Millis) -> float | None:
        """Give the age in years at `at`, or None."""
        return self.stay.age_years(at)

    @property
    def location(self) -> Location:
        """Where the patient lies."""
        return self.stay.location

    @property
    def admitted(self) -> bool:
        """Whether a stay is open."""
        return self.stay.admitted

    @property
    def admitted_time(self) -> Millis | None:
        """When the stay began, if that is known."""
        return self.stay.admitted_time

    @property
    def discharged_time(self) -> Millis | None:
        """When the stay ended, if it has."""
        return self.stay.discharged_time

    @property
    def patient_class(self) -> str:
        """HL7 table 0004 of the stay."""
        return self.stay.patient_class

    @property
    def sex(self) -> str | None:
        """Administrative sex, if known."""
        return self.stay.sex

    @property
    def birth_date(self) -> str | None:
        """As much as is known of an ISO date."""
        return self.stay.birth_date

    @property
    def deceased(self) -> bool:
        """Whether a death is recorded."""
        return self.stay.deceased


def _given(location: Location, otherwise: Location) -> Location:
    return otherwise if location == Location() else location


@lru_cache(AGES_MAX)
def _age_years(birth_date: str, day: int) -> float | None:
    """Give the age on a day since 1970: a function of the two alone, asked twice a score and the same all day."""
    born = _first_day(birth_date)
    if born is None:
        return None
    try:
        today = date.fromordinal(_EPOCH_ORDINAL + day)
    except (ValueError, OverflowError):
        return None
    years = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    if not 0 <= years < AGE_YEARS_MAX:
        return None
    try:
        birthday = born.replace(year=born.year + years)
    except ValueError:
        birthday = date(born.year + years, 3, 1)  # born on 29 February
    return years + min((today - birthday).days / _DAYS_PER_YEAR, 0.9999)


def _first_day(birth_date: str) -> date | None:
    """Read `1942-09-02`, `1942-09` or `1942`; None where it is none of them."""
    parts = birth_date.split("-")
    try:
        return date(int(parts[0]), int(parts[1]) if len(parts) > 1 else 1, int(parts[2]) if len(parts) > 2 else 1)
    except (ValueError, IndexError):
        return None
