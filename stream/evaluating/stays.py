"""Stays as an evaluation sees them: when each began and ended, when its outcome was, and who was in it.

Owns the fold from a patient's events to stays. Must not know scores' inputs, labels,
learners, or what counts as an outcome. A patient's facts are what had been said by then; nothing of a later message is
told of an earlier score.
"""

from __future__ import annotations

import msgspec

from events import Admission, Discharge, Event, Millis
from stream.facts import Facts


class Stay(msgspec.Struct):
    """One stay of one patient; times in ms."""

    number: int = -1
    """From 0 in order of the stays' first scores; -1 while nothing was scored."""
    patient: int = -1
    """From 0 in order of the patients' first scores."""
    began: Millis | None = None
    """Admission, or the first score where none was told."""
    ended: Millis | None = None
    """Discharge, as far as it was told."""
    onset: Millis | None = None
    """The first outcome of a configured kind."""
    sex: str = ""
    ward: str = ""
    origin: str = ""
    """The ward the stay began in."""
    ethnicity: str = ""
    """Empty wherever the site does not record it. These four are as of the last score."""


class Stays:
    """All stays of a run, by patient key; those that were scored are kept, in order of their first score.

    >>> from events import Demographics
    >>> stays = Stays()
    >>> stays.hear("p", Demographics(0, sex="female")); stays.outcome("p", 9)
    >>> stays.scored("p", 5).sex, stays.known[0].onset, stays.known[0].number
    ('female', 9, 0)
    """

    def __init__(self) -> None:
        self.known: list[Stay] = []
        self._open: dict[str, Stay] = {}
        self._facts = Facts()
        self._patients: dict[str, int] = {}

    @property
    def patients(self) -> int:
        """How many patients were scored."""
        return len(self._patients)

    def hear(self, patient: str, event: Event) -> None:
        """Take in what happened to a patient."""
        self._facts.happened(patient, event, 0)
        stay = self._open.setdefault(patient, Stay())
        if type(event) is Admission:
            if stay.ended is not None and event.event_time >= stay.ended:
                stay = self._open[patient] = Stay()
            stay.began = event.event_time if stay.began is None else min(stay.began, event.event_time)
        elif type(event) is Discharge:
            stay.ended = event.event_time if stay.ended is None else min(stay.ended, event.event_time)

    def outcome(self, patient: str, at: Millis | None) -> None:
        """Take in an outcome that counts: the first of a stay is its onset. None takes it back."""
        stay = self._open.setdefault(patient, Stay())
        stay.onset = at if at is None or stay.onset is None else min(stay.onset, at)

    def scored(self, patient: str, at: Millis) -> Stay:
        """Give the stay that a score at `at` is of."""
        stay = self._open.setdefault(patient, Stay())
        if stay.number < 0:
            stay.number = len(self.known)
            stay.patient = self._patients.setdefault(patient, len(self._patients))
            stay.began = at if stay.began is None else stay.began
            self.known.append(stay)
        facts = self._facts.of(patient)
        stay.sex, stay.ward, stay.origin = facts.sex, facts.ward_type, facts.unit_of_origin
        stay.ethnicity = facts.ethnicity
        return stay
