"""The HL7 v2-to-FHIR guide's own tables, read from its CSV files.

Owns the reading: rows of a segment's map, the rows of the data type's map behind one, and the concept maps. Must not
know what we do with a field. The files are not in this repository (`shared_data`).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import msgspec

SEGMENT_MAPS = (
    "PID[Patient]",
    "PID[Account]",
    "PID[Appointment]",
    "PID[Provenance-Patient]",
    "PV1[Encounter]",
    "PV1[Patient]",
    "PV1[Coverage]",
    "PV1[Basic-EncounterHistory]",
    "OBR[DiagnosticReport]",
    "OBR[ServiceRequest]",
    "OBR[Specimen]",
    "OBX[Observation]",
    "OBX[Observation-Component]",
    "OBX[DocumentReference]",
)
"""Every map that the guide has for the four segments."""

_COLUMNS_MIN = 17
_HEADS = 2
"""Lines above the first row of a map."""


class Row(msgspec.Struct, frozen=True):
    """One row of a map: a field or a component, where it applies, and the FHIR element that it goes to."""

    map: str
    field: str
    name: str
    path: str
    """The FHIR attribute, below the map's resource; that of a component's row includes its field's."""
    condition: str = ""
    type: str = ""
    """FHIR's data type."""
    datatype: str = ""
    """The data type's map, `CX[Identifier]`; empty: the value as it is."""
    vocabulary: str = ""
    """The concept map, `AdministrativeSex`; empty: none."""
    assignment: str = ""
    """What is written whatever the field says, in quotes."""
    component: str = ""
    """`CX.1`, of a row of the data type's map."""
    v2_type: str = ""
    """HL7's data type."""

    @property
    def key(self) -> str:
        """The row's name: unique within all maps.

        >>> Row("PID[Patient]", "PID-7", "", "birthDate").key
        'PID[Patient] PID-7 -> birthDate'
        """
        where = f"{self.field} {self.component}".strip()
        return f"{self.map} {where} -> {self.path}" + (f" ({self.condition})" if self.condition else "")


def _table(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [[" ".join(cell.split()) for cell in row] for row in csv.reader(file)][_HEADS:]
    return [row + [""] * (_COLUMNS_MIN - len(row)) for row in rows]


def _file(folder: Path, name: str, exact: str) -> Path:
    """Find a map's file: the sheets are named alike but for the tail, and spelt as the sheet's author pleased."""
    wanted = exact.lower()
    [found] = [path for path in sorted(folder.iterdir()) if f"{name}{wanted} - " in path.name.lower()]
    return found


def _condition(row: list[str]) -> str:
    """Give the computable condition, else the narrative, shortened."""
    return (row[6] or row[8])[:80]


class Guide:
    """The guide's mapping folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def segment(self, name: str) -> list[Row]:
        """Give the rows of a segment's map that name a FHIR element, each once."""
        table = _table(_file(self._folder / "segments", "fhir r4_ ", name))
        rows = [
            Row(
                name,
                row[1] or name[:3],
                row[2],
                row[9],
                _condition(row),
                row[11],
                row[14],
                row[15],
                _literal(row[16]),
                "",
                row[3],
            )
            for row in table
            if row[9]
        ]
        return list(dict.fromkeys(rows))

    def unmapped(self, name: str) -> int:
        """Count the rows of a segment's map that lead nowhere."""
        return sum(not row[9] for row in _table(_file(self._folder / "segments", "fhir r4_ ", name)))

    def components(self, row: Row) -> list[Row]:
        """Give a row by the rows of its data type's map; the row itself where it has none, or is one vocabulary's."""
        if not row.datatype:
            return [row]
        table = _table(_file(self._folder / "datatypes", "fhir r4_ ", row.datatype))
        return list(dict.fromkeys(self._within(row, table)))

    def _within(self, row: Row, table: list[list[str]]) -> Iterator[Row]:
        for part in table:
            if not part[9]:
                continue
            below = part[9].removeprefix("Quantity.")
            path = row.path if below == "$value" else f"{row.path}{'' if below[0] == '[' else '.'}{below}"
            condition = " AND ".join(filter(None, (row.condition, _condition(part))))
            yield Row(
                row.map,
                row.field,
                row.name,
                path,
                condition,
                part[11],
                part[14],
                part[15] or row.vocabulary,
                _literal(part[16]),
                part[1],
                row.v2_type,
            )

    def concepts(self, name: str) -> dict[str, tuple[str, str]]:
        """Give a concept map: code to (FHIR code, its system); empty texts where the guide names no target."""
        table = _table(_file(self._folder / "codesystems", "concept map_ ", name.replace("/", "")))
        return {row[0].strip(): (row[6], _uri(row[7:10])) for row in table if row[0].strip()}


def _uri(cells: list[str]) -> str:
    return next((cell for cell in cells if cell.startswith("http")), "")


def _literal(cell: str) -> str:
    """Give what is written whatever the field says; an expression over components is no literal, and stays as it is.

    >>> _literal('"active"'), _literal('SN.1+" "+SN.2')
    ('active', 'SN.1+" "+SN.2')
    """
    return cell.strip('" ') if cell.count('"') == 2 else cell
