"""Code maps as CSV, as spreadsheets read and write them.

Owns the columns, their order, and the reading with line numbers. Must not know what a target means.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from connectors.terminology.rows import MAP_BYTES_MAX, ROWS_MAX, CodeMapError, MapRow, faults_of, system_of

COLUMNS = ("system", "code", "display", "unit", "target", "reviewer", "reviewed", "comment")
"""In the order they are written; `system`, `code` and `target` are needed, the others may be left out."""
NEEDED = ("system", "code", "target")
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
    text = _text(data, name)
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[MapRow] = []
    faults: list[str] = []
    columns: list[str] = []
    line = 1
    try:
        columns = [column.strip().lower() for column in next(lines, [])]
        faults += _faults_of_header(columns)
        if faults:
            raise CodeMapError(name, faults)
        line = lines.line_num + 1
        for cells in lines:
            place, line = f"line {line}", lines.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if len(rows) >= ROWS_MAX:
                raise CodeMapError(name, [f"{place}: more than {ROWS_MAX} rows"])
            if len(cells) != len(columns):
                faults.append(f"{place}: {len(cells)} cells; the header has {len(columns)}")
                continue
            said = {column: cell.strip() for column, cell in zip(columns, cells, strict=True)}
            row = MapRow(**{**said, "system": system_of(said["system"])}, place=place)
            faults += faults_of(row)
            rows.append(row)
    except csv.Error as error:
        raise CodeMapError(name, [*faults, f"line {lines.line_num}: {error}"]) from None
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


def _text(data: bytes, name: str) -> str:
    if len(data) > MAP_BYTES_MAX:
        raise CodeMapError(name, [f"line 1: longer than {MAP_BYTES_MAX} bytes"])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise CodeMapError(name, [f"line {line}: not UTF-8; save it as CSV UTF-8"]) from None


def _faults_of_header(columns: list[str]) -> list[str]:
    if len(columns) == 1 and any(mark in columns[0] for mark in ";\t"):
        return ["line 1: cells are parted by commas, not by semicolons or tabs"]
    unknown = [column for column in columns if column not in COLUMNS]
    faults = [f"line 1: unknown column {column!r}; there are {', '.join(COLUMNS)}" for column in unknown]
    faults += [f"line 1: no column {column}" for column in NEEDED if column not in columns]
    return faults + (["line 1: a column stands twice"] if len(set(columns)) < len(columns) else [])


def _harmless(cell: str) -> str:
    return f" {cell}" if cell.startswith(_FORMULA) else cell
