"""A code map as rows, whatever file it came from, and what is wrong with one.

Owns the row, the limits of a file and of a text, and how faults are told. Must not know CSV or JSON, nor the catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

import msgspec

from connectors.fhir.systems import SHORT_NAMES
from connectors.hl7v2.dialect import SYSTEMS

MAP_BYTES_MAX = 4 * 1024 * 1024
"""20,000 rows of 200 bytes: a large laboratory's whole catalogue, ten times what a site maps."""
ROWS_MAX = 20_000
TEXT_CHARS_MAX = 200
"""Of a cell: codes, units and names are shorter; a longer one is a column out of place."""
FAULTS_TOLD_MAX = 20
"""So many faults of one file are told, and how many more there are."""
APPLIED = frozenset({"equal", "equivalent"})
"""Relations of a ConceptMap that say that two codes mean the same (R4 `equivalence`, R5 `relationship`). A target that
is wider, narrower or only related is another measurement, and is never applied."""

NO_TARGET = "no target"
"""Why a row is not applied that maps its code to nothing."""

LOINC_CODE = re.compile(r"[0-9]{1,7}-[0-9]")


class MapRow(msgspec.Struct, frozen=True):
    """One line of a code map.

    >>> MapRow("LAB", "K", target="potassium", reviewer="A. Chemist", reviewed="2026-03-01").left_out
    ''
    >>> MapRow("LAB", "K", target="potassium").left_out
    'no reviewer'
    """

    system: str
    """The sender's coding system as events name it: OBX-3.3, `codes` of a route, or Coding.system."""
    code: str
    display: str = ""
    unit: str = ""
    """The unit that the code comes in; checked, and never put in the place of one that was not sent."""
    target: str = ""
    """A feature of the catalogue or a LOINC code that it has; empty: nothing yet."""
    reviewer: str = ""
    reviewed: str = ""
    """ISO date."""
    comment: str = ""
    relation: str = "equivalent"
    place: str = ""
    """Where it stands: `line 12`, `group[0].element[3]`; not part of what it says."""

    @property
    def left_out(self) -> str:
        """Why it is not applied, in words; empty where it is."""
        if self.relation not in APPLIED:
            return f"{self.relation}, not equivalent"
        if not self.target:
            return NO_TARGET
        return "" if self.reviewer else "no reviewer"

    @property
    def plain(self) -> MapRow:
        """The same as either format can say it: a target that is not equivalent goes into the comment, unreviewed.

        >>> MapRow("LAB", "K", target="2823-3", reviewer="A. Chemist", relation="wider").plain.comment
        'wider: 2823-3'
        """
        if self.relation in APPLIED:
            return msgspec.structs.replace(self, relation="equivalent", place="")
        comment = f"{self.relation}: {self.target}" + (f"; {self.comment}" if self.comment else "")
        return MapRow(self.system, self.code, self.display, self.unit, comment=comment[:TEXT_CHARS_MAX])


class CodeMapError(ValueError):
    """A code map cannot be used: the operator's to mend. The text has a line for each fault, with its place."""

    def __init__(self, name: str, faults: Sequence[str]) -> None:
        told = [f"{name}, {fault}" for fault in faults[:FAULTS_TOLD_MAX]]
        if len(faults) > FAULTS_TOLD_MAX:
            told.append(f"{name}: {len(faults) - FAULTS_TOLD_MAX} more faults")
        super().__init__("\n".join(told))
        self.faults = tuple(faults)


def system_of(text: str) -> str:
    """Give a coding system by the name that events have: standard ones by their short names, others as they are.

    >>> system_of("http://loinc.org"), system_of("LN"), system_of("WinPath")
    ('loinc', 'loinc', 'WinPath')
    """
    return SHORT_NAMES.get(text) or SYSTEMS.get(text.upper()) or text


def faults_of(row: MapRow) -> list[str]:
    """Say what of a row cannot be, without knowing what its target means; each with its place.

    >>> faults_of(MapRow("LAB", "", reviewer="A", reviewed="yesterday", place="line 2"))
    ['line 2: code: empty', "line 2: reviewed: 'yesterday' is no date such as 2026-03-01"]
    """
    found = [] if row.code else ["code: empty"]
    for name in ("system", "code", "display", "unit", "target", "reviewer", "reviewed", "comment", "relation"):
        text = getattr(row, name)
        if len(text) > TEXT_CHARS_MAX:
            found.append(f"{name}: longer than {TEXT_CHARS_MAX} characters")
        elif not text.isprintable():
            found.append(f"{name}: has control characters, a line's end among them")
    if row.reviewer and not _is_date(row.reviewed):
        found.append(f"reviewed: {row.reviewed!r} is no date such as 2026-03-01")
    elif row.reviewed and not row.reviewer:
        found.append("reviewer: empty beside a date of review")
    return [f"{row.place}: {fault}" for fault in found]


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
