"""The patients of a sample, in numbers: who was observed, where they lie, by whose numbers they go.

Owns what is remembered of each patient: a few marks under a pseudonym. Must not know a name, a number or a value.
"""

from __future__ import annotations

from enum import IntFlag, auto

from connectors.decoded import Decoded
from events import Admission, Cancellation, Demographics, Envelope, Location, Merge, Transfer
from models.news2 import PARAMETERS, SOURCES
from stream.conformance.counting import Counted
from stream.conformance.shape import Inputs, People

PATIENTS_MAX = 1_000_000
"""Patients told apart, at some 100 bytes; those beyond are counted in no figure here. A sample has some thousands."""
BEDS_MAX = 100_000


class Mark(IntFlag):
    """What is known of a patient."""

    OBSERVED = auto()
    WARD = auto()
    BED = auto()
    ADMITTED = auto()
    BORN = auto()


_INPUT_OF = {feature: number for number, name in enumerate(PARAMETERS) for feature in SOURCES[name]}
"""Feature to the place of the NEWS2 input that it serves."""


class Persons:
    """All patients of a sample."""

    def __init__(self) -> None:
        self._marks: dict[str, Mark] = {}
        self._observed_at: dict[str, str] = {}
        """In which message a patient was observed first: kept until a ward of theirs is known."""
        self._input_patients: list[set[str]] = [set() for _ in PARAMETERS]
        self._input_results = [0] * len(PARAMETERS)
        self._authorities = Counted()
        self._wards = Counted()
        self._beds: set[Location] = set()
        self.unnamed = 0
        self.unnamed_example = ""

    def name(self, decoded: Decoded, example: str) -> None:
        """Count by whose numbers a message names its patient."""
        for authority in dict.fromkeys(identifier.authority for identifier in decoded.subject):
            self._authorities.add(authority, example)

    def take(self, envelope: Envelope, example: str) -> None:
        """Mark what an envelope says of its patient, results aside."""
        mark = Mark(0)
        for event in envelope.events:
            if isinstance(event, Admission | Transfer | Cancellation):
                if isinstance(event, Admission):
                    mark |= Mark.ADMITTED
                mark |= self._placed(event.location, example)
            elif isinstance(event, Demographics):
                mark |= Mark.BORN if event.birth_date else Mark(0)
            elif isinstance(event, Merge) and event.retired in self._marks:
                mark |= self._marks.pop(event.retired)
                self._observed_at.pop(event.retired, None)
        self._mark(envelope.patient, mark)

    def observe(self, patient: str, feature: str, example: str) -> None:
        """Mark that a usable result of a feature was seen."""
        self._mark(patient, Mark.OBSERVED)
        if Mark.WARD not in self._marks.get(patient, Mark(0)):
            self._observed_at.setdefault(patient, example)
        number = _INPUT_OF.get(feature)
        if number is not None:
            self._input_results[number] += 1
            self._input_patients[number].add(patient)

    def _placed(self, location: Location, example: str) -> Mark:
        if not location.ward:
            return Mark(0)
        self._wards.add(location.ward, example)
        if not location.bed:
            return Mark.WARD
        if len(self._beds) < BEDS_MAX:
            self._beds.add(location)
        return Mark.WARD | Mark.BED

    def _mark(self, patient: str, mark: Mark) -> None:
        if patient and (patient in self._marks or len(self._marks) < PATIENTS_MAX):
            self._marks[patient] = self._marks.get(patient, Mark(0)) | mark
            if Mark.WARD in mark:
                self._observed_at.pop(patient, None)

    def inputs(self) -> tuple[Inputs, ...]:
        """Give how much of each input of NEWS2 there is."""
        return tuple(
            Inputs(name, self._input_results[number], len(self._input_patients[number]), SOURCES[name])
            for number, name in enumerate(PARAMETERS)
        )

    def told(self, conflicts: int) -> People:
        """Give the figures; `conflicts` is how many messages' identifiers disagreed."""
        observed = [mark for mark in self._marks.values() if Mark.OBSERVED in mark]
        return People(
            patients=len(self._marks),
            observed=len(observed),
            observed_without_ward=sum(Mark.WARD not in mark for mark in observed),
            observed_without_bed=sum(Mark.BED not in mark for mark in observed),
            without_birth_date=sum(Mark.BORN not in mark for mark in self._marks.values()),
            never_admitted=sum(Mark.ADMITTED not in mark for mark in observed),
            conflicts=conflicts,
            authorities=self._authorities.told(),
            unnamed_authority=self.unnamed,
            unnamed_example=self.unnamed_example,
            wards=self._wards.told(),
            beds=len(self._beds),
            example_without_ward=next(iter(self._observed_at.values()), ""),
        )
