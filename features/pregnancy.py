"""Whether the feeds say that a patient is pregnant, and until when that counts.

Owns which of two statements holds, and for how long (docs/decisions/0026). Must not know what follows from it, nor what
a clinician set. There are two kinds: PV1-15 of ADT, kept with the stay, and the observation "Pregnancy status" (LOINC
82810-3), a feature like any other: it can be corrected and withdrawn.

In doubt she is not, and NEWS2 is told: the newest statement holds; of two at the same time the one that denies it;
"unknown", or an answer that no table has, takes back what was known. It counts for the stay it was made in, and a week
at the most. Of a man, and from `AGE_YEARS_MAX` on, it is a slip, or another patient's.
"""

from __future__ import annotations

from events import MILLIS_PER_HOUR, Millis
from features.answers import PREGNANT
from features.feature_table import STATEMENT_AGE_H
from features.state import PatientState

HOLDS_MS = STATEMENT_AGE_H * MILLIS_PER_HOUR
"""From when it was true. A feed that says it with each message says it anew; where nobody does, a person must: a
clinician's limit, which names its end."""
AGE_YEARS_MAX = 60
"""Hardly any pregnancy begins later; most women in a hospital's beds are older, and theirs is the floor to keep."""
FEATURE = "pregnancy"


def pregnancy_until(state: PatientState, at: Millis) -> Millis | None:
    """Give when the statement that holds at `at` counts no more, in the past too; None where none says she is pregnant.

    >>> from events import Demographics
    >>> state = PatientState()
    >>> state.apply(Demographics(1_000, pregnant=True), received_time=1_000)
    >>> pregnancy_until(state, 2_000) == 1_000 + HOLDS_MS
    True
    """
    said_at = _said_at(state, at)
    stay = state.stay
    if said_at is None or stay.sex == "male":
        return None
    if stay.admitted_time is not None and said_at < stay.admitted_time:
        return None
    if said_at <= (stay.ended_time if stay.discharged_time is None else stay.discharged_time):
        return None
    age_years = state.age_years(at)
    return None if age_years is not None and age_years >= AGE_YEARS_MAX else said_at + HOLDS_MS


def is_pregnant(state: PatientState, at: Millis) -> bool:
    """Say whether a feed's statement that she is pregnant counts at `at`.

    >>> is_pregnant(PatientState(), 0)
    False
    """
    until = pregnancy_until(state, at)
    return until is not None and at < until


def _said_at(state: PatientState, at: Millis) -> Millis | None:
    """Give when the newest statement was made; None where there is none, or one of that time denies a pregnancy."""
    stay = state.stay
    said: list[tuple[Millis, bool]] = []
    if stay.pregnant is not None and stay.pregnant_time <= at:
        said.append((stay.pregnant_time, stay.pregnant))
    index = state.catalogue.index_of[FEATURE]
    if (held := state.latest_by_index(index, at)) is not None:
        values = [value for value, _, _ in state.held_at(index, held[1])] or [held[0]]
        said.append((held[1], all(value == PREGNANT for value in values)))
    if (unread := state.quarantined(FEATURE)) is not None:
        said.append((unread.event_time, False))
    newest = max((time for time, _ in said), default=None)
    return newest if all(pregnant for time, pregnant in said if time == newest) else None
