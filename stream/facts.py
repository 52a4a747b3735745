"""The facts of a patient that are no inputs: what figures are given by, and nothing is predicted from.

Owns what is remembered of each patient, how events change it, and the groups that follow. Must not know who gives
figures by them. Training rows, an evaluation's rows, the contest's, the monitors' counts and those that a version
brings are all told apart by these; the guardrail by `models.groups.groups_of_stay`, for the scoring core keeps its own
stay.
"""

from __future__ import annotations

import msgspec

from events import Admission, Cancellation, Demographics, Discharge, Envelope, Event, Handover, Millis, Transfer
from models.groups import Group, age_band_of, groups_of
from models.labels import PATIENTS_MAX

UNKNOWN = ""
WARDS_MAX = 8
"""Wards of a patient that are remembered, the newest: a label is known half a day after its score, or later."""


class PatientFacts(msgspec.Struct, frozen=True):
    """What is known of a patient that figures are given by and nothing is predicted from; empty where unknown."""

    sex: str = UNKNOWN
    ward_type: str = UNKNOWN
    """The ward where he lies."""
    unit_of_origin: str = UNKNOWN
    """The ward that the stay began in, as far as it was told."""
    ethnicity: str = UNKNOWN
    """Unknown wherever the site does not record it."""


class Known(msgspec.Struct, frozen=True):
    """All that is remembered of one patient."""

    facts: PatientFacts = PatientFacts()
    age: str = UNKNOWN
    """The age band."""
    left: bool = False
    """Whether the stay has ended: the next admission begins another."""
    wards: tuple[tuple[Millis, str], ...] = ()
    """Since when he lay where, by received time, the newest last."""

    def ward_at(self, at: Millis) -> str:
        """Give the ward at a moment; unknown before the first.

        >>> Known(wards=((10, "A"), (20, "ICU"))).ward_at(19)
        'A'
        """
        found = self.wards[0][1] if len(self.wards) == WARDS_MAX else UNKNOWN
        for since, ward in self.wards:
            if since > at:
                break
            found = ward
        return found


NO_FACTS = PatientFacts()
NOTHING = Known()


class Facts:
    """The facts of `patients_max` patients, also after they left: their labels come half a day later.

    Past it the one of whom nothing was heard for longest is forgotten, and counts as not recorded.

    >>> facts = Facts()
    >>> facts.hear(Envelope("e", "p", 0, 0, (Demographics(0, sex="female"),)))
    >>> facts.of("p").sex, facts.of("q").sex
    ('female', '')
    >>> facts.aged("p", 70.0); facts.groups_of("p", 0)[:2]
    (('sex', 'female'), ('age', '65-79'))
    """

    def __init__(self, patients_max: int = PATIENTS_MAX) -> None:
        self._patients_max = patients_max
        self._known: dict[str, Known] = {}
        """The patient of whom nothing was heard for longest first."""

    def of(self, patient: str) -> PatientFacts:
        """Give what is known of a patient now."""
        return self._known.get(patient, NOTHING).facts

    def groups_of(self, patient: str, at: Millis) -> tuple[Group, ...]:
        """Give a patient's groups, the ward as of `at`; an empty name is not recorded."""
        known = self._known.get(patient, NOTHING)
        facts = known.facts
        return groups_of(facts.sex, known.age, known.ward_at(at), facts.unit_of_origin, facts.ethnicity)

    def hear(self, envelope: Envelope) -> None:
        """Hear of what happened, before the score of the same message."""
        for event in envelope.events:
            self.happened(envelope.patient, event, envelope.received_time)

    def happened(self, patient: str, event: Event, received_time: Millis) -> None:
        """Hear of one event; one that says nothing new of these facts is passed over."""
        before = self._known.get(patient, NOTHING)
        if type(event) is Handover and not event.home:
            known = _joined(before, self._known.get(event.retired, NOTHING))
        else:
            known = _after(before, event)
        if known is before:
            return
        ward = known.facts.ward_type
        if ward != before.facts.ward_type:
            known = msgspec.structs.replace(known, wards=(*known.wards, (received_time, ward))[-WARDS_MAX:])
        self._keep(patient, known)

    def aged(self, patient: str, age_years: float) -> None:
        """Hear how old a patient is; NaN is unknown and changes nothing."""
        known, age = self._known.get(patient, NOTHING), age_band_of(age_years)
        if age and age != known.age:
            known = msgspec.structs.replace(known, age=age)
        self._keep(patient, known)

    def _keep(self, patient: str, known: Known) -> None:
        self._known.pop(patient, None)
        if known is not NOTHING:
            self._known[patient] = known
        if len(self._known) > self._patients_max:
            del self._known[next(iter(self._known))]

    def state(self) -> dict[str, Known]:
        """Give all it knows."""
        return dict(self._known)

    def restore(self, state: dict[str, Known]) -> None:
        """Go on from a state."""
        self._known = dict(state)


def _after(known: Known, event: Event) -> Known:
    if type(event) is Demographics:
        return _described(known, event)
    if type(event) is Admission:
        return _admitted(known, event)
    if type(event) is Transfer and not event.incidental:
        return _moved(known, event)
    if type(event) is Discharge:
        return msgspec.structs.replace(known, left=True)
    if type(event) is Cancellation and event.cancelled == "discharge":
        return msgspec.structs.replace(known, left=False)
    return known


def _joined(known: Known, retired: Known) -> Known:
    """Take over who a record that was merged into this one was said to be, where this one does not say."""
    facts, theirs = known.facts, retired.facts
    sex, ethnicity, age = facts.sex or theirs.sex, facts.ethnicity or theirs.ethnicity, known.age or retired.age
    if (sex, ethnicity, age) == (facts.sex, facts.ethnicity, known.age):
        return known
    return msgspec.structs.replace(known, facts=msgspec.structs.replace(facts, sex=sex, ethnicity=ethnicity), age=age)


def _described(known: Known, event: Demographics) -> Known:
    facts = known.facts
    sex, ethnicity = event.sex or facts.sex, event.ethnicity or facts.ethnicity
    if (sex, ethnicity) == (facts.sex, facts.ethnicity):
        return known
    return msgspec.structs.replace(known, facts=msgspec.structs.replace(facts, sex=sex, ethnicity=ethnicity))


def _admitted(known: Known, event: Admission) -> Known:
    """Begin a stay; a further admission of one that has not ended (A04, then A01) keeps where it began."""
    facts, told = known.facts, event.location.ward
    ward = told if known.left else told or facts.ward_type
    origin = ward if known.left else facts.unit_of_origin or ward
    facts = msgspec.structs.replace(facts, ward_type=ward, unit_of_origin=origin)
    return msgspec.structs.replace(known, facts=facts, left=False)


def _moved(known: Known, event: Transfer) -> Known:
    facts = known.facts
    ward = event.location.ward or facts.ward_type
    facts = msgspec.structs.replace(facts, ward_type=ward, unit_of_origin=facts.unit_of_origin or ward)
    return msgspec.structs.replace(known, facts=facts, left=False)
