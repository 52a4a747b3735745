"""A44 and A45: an account or a visit that was charted under one patient and is another's.

Owns which visit is moved, and what that says of each of the two. Must not know whether a merge had joined them: [parse]
does. What is not known by its number is not moved: to take the wrong stay away leaves a patient whom nobody watches.
"""

from __future__ import annotations

from typing import NamedTuple

from connectors.decoded import RefusalReason
from connectors.hl7v2.adt import PREADMITTED, encounter_of, says_who
from connectors.hl7v2.adt import demographics as demographics_of
from connectors.hl7v2.dialect import NO_VISIT, Dialect, Patient, Visit
from connectors.hl7v2.faults import Fault
from connectors.hl7v2.header import Header, instant_if_readable
from connectors.hl7v2.settings import Hl7Settings
from events import Admission, Cancellation, Event, Millis


class Move(NamedTuple):
    """The lines that speak of one moved visit: whose it was, and what it is."""

    mrg: str
    pv1: str = ""


def move_of(lines: list[str], dialect: Dialect) -> Move:
    r"""Give the visit that is moved: of several, the one that is not over (PV1-45); raises `Fault` where two are not.

    A PV1 is of the MRG before it (v2.5.1 chapter 3, section 3.3.45).

    >>> from connectors.hl7v2.dialect import dialect_of
    >>> move_of(["MSH", "MRG|1", "PV1|1|I", "MRG|1||||V2"], dialect_of("|^~\\&")).mrg
    Traceback (most recent call last):
    connectors.hl7v2.faults.Fault: invalid_value at MRG[2]
    """
    moves: list[Move] = []
    for line in lines[1:]:
        name = line[:3].upper()
        if name == "MRG":
            moves.append(Move(line))
        elif name == "PV1" and not moves:
            moves.append(Move("", line))
        elif name == "PV1" and not moves[-1].pv1:
            moves[-1] = Move(moves[-1].mrg, line)
    if len(moves) > 1 and not moves[0].mrg:  # of a sender that writes its only PV1 before MRG
        moves[:2] = [Move(moves[1].mrg, moves[1].pv1 or moves[0].pv1)]
    open_ones = [number for number, move in enumerate(moves) if not (move.pv1 and dialect.visits[move.pv1].discharged)]
    if len(open_ones) > 1:
        detail = "more than one visit is moved that is not over: one a message"
        raise Fault(RefusalReason.INVALID_VALUE, f"MRG[{open_ones[1] + 1}]", detail)
    return moves[open_ones[0]] if open_ones else (moves or [Move("")])[0]


def prior_number(header: Header, mrg: str, number: str, settings: Hl7Settings) -> str:
    """Give the number that the visit had: MRG-5, or MRG-3 where accounts name visits; else the one it has."""
    field = 5 if settings.visit_number == "PV1-19" else 3
    return header.dialect.first(header.dialect.split(mrg, 6)[field]) or number


def taken_away(number: str, when: Millis) -> list[Event]:
    """Say of the one whose visit it was that he is not here by it; nothing where nobody says which it was."""
    return [Cancellation(when, "admission", moved=True)] if number else []


def given(header: Header, patient: Patient, visit: Visit, when: Millis, settings: Hl7Settings) -> list[Event]:
    """Say of the one whose visit it is that he is here by it; nothing where it has no number, or is over."""
    if not encounter_of(patient, visit, settings) or visit.discharged:
        return []
    events: list[Event] = []
    if says_who(patient, settings):
        events.append(demographics_of(patient, when, settings))
    location = NO_VISIT.location if visit.patient_class == PREADMITTED else visit.location
    stated = instant_if_readable(header, visit.admitted, "PV1-44")
    began = when if stated is None else stated.millis
    events.append(Admission(began, location, visit.patient_class, when if when > began else None))
    return events
