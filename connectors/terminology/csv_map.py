"""Code maps as CSV, as spreadsheets read and write them.

Owns the columns, their order, and the reading with line numbers. Must not know what a target means.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from connectors.spreadsheet import Columns, TableError, lines_of
from connectors.terminology.rows import MAP_BYTES_MAX, ROWS_MAX, CodeMapError, MapRow, faults_of, system_of

COLUMNS = ("system", "code", "display", "unit", "target", "reviewer", "reviewed", "comment")
"""In the order they are written; `system`, `code` and `target` are needed, the others may be left out."""
_COLUMNS = Columns(
    COLUMNS,
    ("system", "code", "target"),
    MAP_BYTES_MAX,
    ROWS_MAX,
    "rows",
    lambda _number, name: f"unknown column {name!r}",
)
_FORMULA = ("=", "+", "-", "@")
"""A spreadsheet computes a cell that begins so; written with a space before it, which reading takes away."""


def read_csv(data: bytes, name: str) -> tuple[MapRow, ...]:
    r"""Read a code map; raises `CodeMapError` with the line of each fault.

    >>> [row] = read_csv(b"system,code,target\nLAB,K,potassium\n", "lab.csv")
    >>> row.target, row.place, row.left_out
    ('potassium', 'line 2', 'no reviewer')
    >>> read_csv(b"code,target\nK,potassium\n", "lab.csv")
    Traceback (most recent call last):
    connectors.terminology.rows.CodeMapError: lab.csv, line 1: no column system
    """
    rows: list[MapRow] = []
    faults: list[str] = []
    try:
        for number, said in lines_of(data, _COLUMNS):
            if isinstance(said, str):
                faults.append(f"line {number}: {said}")
                continue
            row = MapRow(**{**said, "system": system_of(said["system"])}, place=f"line {number}")
            faults += faults_of(row)
            rows.append(row)
    except TableError as error:
        raise CodeMapError(name, error.faults) from None
    if faults:
        raise CodeMapError(name, faults)
    return tuple(rows)


def write_csv(rows: Iterable[MapRow]) -> str:
    r"""Write rows as `read_csv` reads them, each `plain`.

    >>> write_csv([MapRow("LAB", "K", target="potassium")]).splitlines()[1]
    'LAB,K,,,potassium,,,'
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in (row.plain for row in rows):
        writer.writerow([_harmless(getattr(row, column)) for column in COLUMNS])
    return out.getvalue()


def _harmless(cell: str) -> str:
    return f" {cell}" if cell.startswith(_FORMULA) else cell
