"""A17, two patients who change places: which segments speak of which of them, and whether they can be believed.

Owns the order of an A17's segments (v2.5.1 chapter 3, section 3.3.17: EVN, then PID and PV1 of each) and what makes it
no swap. Must not know events. A PV1 is of the PID before it; nothing else says whose it is. Where that is in doubt
nobody is moved: an alert that names the other patient's bed sends the team to him.
"""

from __future__ import annotations

from typing import NamedTuple

from connectors.decoded import Identifier, RefusalReason
from connectors.hl7v2.dialect import NO_VISIT, Dialect, Visit
from connectors.hl7v2.faults import Fault
from connectors.strangers import contradicts

PATIENTS = 2


class Half(NamedTuple):
    """The lines that speak of one of the two."""

    pid: str
    pv1: str


def halves_of(lines: list[str], dialect: Dialect) -> tuple[str, list[Half]]:
    r"""Give the EVN line (empty where there is none) and the two halves; raises `Fault` where there are no two.

    >>> from connectors.hl7v2.dialect import dialect_of
    >>> evn, halves = halves_of(["MSH", "EVN|A17", "PID|1", "PV1|1", "PID|2", "PV1|2"], dialect_of("|^~\\&"))
    >>> evn, halves[1].pv1
    ('EVN|A17', 'PV1|2')
    """
    evn = ""
    pids: list[str] = []
    pv1s: list[str] = []
    for line in lines[1:]:
        name = line[:3].upper()
        if name == "MSH":
            raise Fault(RefusalReason.GARBAGE, "MSH[2]", "a second message begins inside the first")
        if name == "EVN":
            evn = evn or line
        elif name == "PID":
            _need_visit(pids, pv1s)
            if len(pids) == PATIENTS:
                raise Fault(RefusalReason.INVALID_VALUE, "PID[3]", "a swap is of two patients")
            pids.append(line)
        elif name == "PV1":
            if len(pv1s) >= len(pids):
                detail = "a second PV1 of one patient" if pids else "a PV1 before the patient whom it is of"
                raise Fault(RefusalReason.INVALID_VALUE, f"PV1[{len(pv1s) + 1}]", detail)
            pv1s.append(line)
    for number in range(len(pids) + 1, PATIENTS + 1):
        raise Fault(RefusalReason.MISSING_SEGMENT, f"PID[{number}]", "a swap names two patients")
    _need_visit(pids, pv1s)
    halves = [Half(*half) for half in zip(pids, pv1s, strict=True)]
    _check_numbers(halves, dialect)
    return evn, halves


def is_one(one: tuple[Identifier, ...], other: tuple[Identifier, ...]) -> bool:
    """Say whether two names of a message are one person's.

    Two who share an identifier are, unless an authority gives them different ones: a placeholder number is shared by
    many (as in `stream.identity`).
    """
    owned = ((name.authority, name.value) for name in one)
    return not contradicts(owned, other) and not set(one).isdisjoint(other)


def check(subjects: list[tuple[Identifier, ...]], visits: list[Visit]) -> None:
    """Check that two patients change places; raises `Fault`."""
    if is_one(*subjects):
        raise Fault(RefusalReason.INVALID_VALUE, "PID[2]-3", "one patient does not swap beds with himself")
    for number, visit in enumerate(visits, 1):
        if visit.location == NO_VISIT.location:
            raise Fault(RefusalReason.MISSING_FIELD, f"PV1[{number}]-3", "a transfer needs a location")
    if visits[0].location.bed and visits[0].location == visits[1].location:
        raise Fault(RefusalReason.INVALID_VALUE, "PV1[2]-3", "both patients in one bed")


def _need_visit(pids: list[str], pv1s: list[str]) -> None:
    """Check that every patient so far has a PV1."""
    if len(pv1s) < len(pids):
        raise Fault(
            RefusalReason.MISSING_SEGMENT, f"PV1[{len(pids)}]", "each patient of a swap needs a PV1 after the PID"
        )


def _check_numbers(halves: list[Half], dialect: Dialect) -> None:
    """Check that the set ids do not say the contrary of the order: PID 1 with PV1 2, and PID 2 with PV1 1."""
    people, visits = (
        [dialect.first(dialect.split(line, 2)[1]) for line in lines] for lines in zip(*halves, strict=True)
    )
    if people[0] != people[1] and visits == people[::-1]:
        raise Fault(RefusalReason.INVALID_VALUE, "PV1[1]-1", "the set ids say that each PV1 is of the other patient")
