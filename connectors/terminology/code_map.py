"""What a code map comes to: the table that is decided by, and what of it is not applied, with why.

Owns the reading of either format and the judgement against the catalogue. Must not know where a file lies.
"""

from __future__ import annotations

from itertools import islice

import msgspec

from connectors.terminology.concept_map import read_concept_map
from connectors.terminology.csv_map import read_csv
from connectors.terminology.rows import APPLIED, FAULTS_TOLD_MAX, NO_TARGET, CodeMapError, MapRow
from events import Coding
from features import UnitFault
from features.catalogue import Catalogue, UnknownFeatureError, default_catalogue
from features.units import conversion

UNIT_FAULTS = {
    UnitFault.UNKNOWN: "is no unit that is known here",
    UnitFault.MISMATCH: "cannot become",
    UnitFault.MISSING: "is empty",
}

Table = dict[str, dict[str, str]]
"""System to code to target: what `[codes]` of the configuration is."""


class CodeMap(msgspec.Struct, frozen=True):
    """A file's rows and what they come to."""

    name: str
    rows: tuple[MapRow, ...]
    table: Table
    left_out: tuple[tuple[MapRow, str], ...]
    """Rows that are not applied, each with why."""

    def told(self, *, whole: bool = True) -> list[str]:
        r"""Say what is not applied, a line a reason; not `whole`: without what has no target, and so says nothing.

        >>> read_map(b"system,code,target\nLAB,K,potassium\n", "lab.csv").told()
        ['lab.csv: 1 of 1 rows is not applied, no reviewer: line 2']
        """
        places: dict[str, list[str]] = {}
        for row, why in self.left_out:
            if whole or why != NO_TARGET:
                places.setdefault(why, []).append(row.place)
        said = [self._told(why, listed) for why, listed in islice(places.items(), FAULTS_TOLD_MAX)]
        if len(places) > FAULTS_TOLD_MAX:
            said.append(f"{self.name}: {len(places) - FAULTS_TOLD_MAX} more reasons")
        return said

    def _told(self, why: str, places: list[str]) -> str:
        more = f" and {len(places) - 5} more" if len(places) > 5 else ""
        verb = "is" if len(places) == 1 else "are"
        listed = ", ".join(places[:5])
        return f"{self.name}: {len(places)} of {len(self.rows)} rows {verb} not applied, {why}: {listed}{more}"


def read_map(data: bytes, name: str, catalogue: Catalogue | None = None) -> CodeMap:
    r"""Read a code map, CSV or ConceptMap by its first character; raises `CodeMapError`.

    Every row has to be right, also one that is not applied: a target that the catalogue has, a unit that becomes the
    feature's, and one target a code.

    >>> read_map(b"system,code,target,reviewer,reviewed\nLAB,K,2823-3,A. Chemist,2026-03-01\n", "lab.csv").table
    {'LAB': {'K': '2823-3'}}
    >>> read_map(b"system,code,unit,target\nLAB,K,mm[Hg],potassium\n", "lab.csv")
    Traceback (most recent call last):
    connectors.terminology.rows.CodeMapError: lab.csv, line 2: unit: 'mm[Hg]' cannot become mmol/L of potassium
    """
    catalogue = catalogue or default_catalogue()
    begins = data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    rows = read_concept_map(data, name) if begins == b"{" else read_csv(data, name)
    faults: list[str] = []
    firsts: dict[Coding, MapRow] = {}
    table: Table = {}
    left_out: list[tuple[MapRow, str]] = []
    for row in rows:
        why = row.left_out
        if row.relation not in APPLIED:
            left_out.append((row, why))
            continue
        found = _faults_of(row, catalogue)
        first = firsts.setdefault((row.system, row.code), row) if row.target else row
        if first.target != row.target:
            found.append(f"target: {row.system}|{row.code} is {row.target} here and {first.target} at {first.place}")
        faults += [f"{row.place}: {fault}" for fault in found]
        if why:
            left_out.append((row, why))
        else:
            table.setdefault(row.system, {})[row.code] = row.target
    if faults:
        raise CodeMapError(name, faults)
    return CodeMap(
        name, rows, {system: dict(sorted(table[system].items())) for system in sorted(table)}, tuple(left_out)
    )


def _faults_of(row: MapRow, catalogue: Catalogue) -> list[str]:
    if not row.target:
        return []
    try:
        feature, code = catalogue.target(row.target)
    except UnknownFeatureError:
        return [f"target: {row.target!r} is neither a feature of the catalogue nor a LOINC code that it has"]
    known = catalogue.resolve(((row.system, row.code),))
    faults = []
    if known is not None and known is not feature:
        faults.append(f"code: {row.system}|{row.code} is {known.name} in the catalogue, and cannot be {row.target}")
    elif known is not None and code and row.system == "loinc" and row.code != code:
        faults.append(f"code: {row.system}|{row.code} means itself, and cannot be {row.target}")
    if feature.kind == "numeric" and row.unit:
        said = conversion(row.unit, feature, feature.molar_mass_by_code.get(code, 0.0))
        if isinstance(said, UnitFault):
            other = f" {feature.unit} of {row.target}" if said is UnitFault.MISMATCH else ""
            faults.append(f"unit: {row.unit!r} {UNIT_FAULTS[said]}{other}")
    return faults
