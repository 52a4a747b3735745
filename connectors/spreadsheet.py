"""A table that somebody keeps in a spreadsheet, as CSV: its lines, each with its number, and what of it is no table.

Owns the reading: encoding, header, numbers of lines, bounds. Must not know what a column means, nor whom a fault names.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence

import msgspec


class Columns(msgspec.Struct, frozen=True):
    """What a table may have."""

    names: tuple[str, ...]
    needed: tuple[str, ...]
    bytes_max: int
    lines_max: int
    of_what: str
    """What a line is: `rows`, `patients`."""
    unknown: Callable[[int, str], str]
    """How a column that is not among `names` is told, by its number and name: the name may be a patient's."""


class TableError(ValueError):
    """It is no such table: each fault with its line. Whoever reads it says of which file."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


def lines_of(data: bytes, columns: Columns) -> Iterator[tuple[int, dict[str, str] | str]]:
    r"""Give each line that is not empty with its number: its cells by column, or why it has none.

    Raises `TableError` where it is no such table, or is longer than one may be.

    >>> columns = Columns(("a", "b"), ("a",), 100, 10, "rows", lambda number, name: f"unknown column {name!r}")
    >>> list(lines_of(b"A,b\n1, 2\n\n3\n", columns))
    [(2, {'a': '1', 'b': '2'}), (4, '1 cells; the header has 2')]
    >>> list(lines_of(b"b,c\n", columns))
    Traceback (most recent call last):
    connectors.spreadsheet.TableError: line 1: unknown column 'c'; there are a, b
    line 1: no column a
    """
    lines = csv.reader(io.StringIO(_text(data, columns.bytes_max), newline=""), strict=True)
    count = 0
    try:
        header = [name.strip().lower() for name in next(lines, [])]
        if faults := _faults_of(header, columns):
            raise TableError(faults)
        following = lines.line_num + 1
        for cells in lines:
            number, following = following, lines.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if count >= columns.lines_max:
                raise TableError([f"line {number}: more than {columns.lines_max} {columns.of_what}"])
            if len(cells) != len(header):
                yield number, f"{len(cells)} cells; the header has {len(header)}"
                continue
            count += 1
            yield number, {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
    except csv.Error as error:
        yield lines.line_num, str(error)


def _text(data: bytes, bytes_max: int) -> str:
    if len(data) > bytes_max:
        raise TableError([f"line 1: longer than {bytes_max} bytes"])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise TableError([f"line {line}: not UTF-8; save it as CSV UTF-8"]) from None


def _faults_of(header: list[str], columns: Columns) -> list[str]:
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        return ["line 1: cells are parted by commas, not by semicolons or tabs"]
    faults = [
        f"line 1: {columns.unknown(number, name)}; there are {', '.join(columns.names)}"
        for number, name in enumerate(header, 1)
        if name not in columns.names
    ]
    faults += [f"line 1: no column {name}" for name in columns.needed if name not in header]
    return faults + (["line 1: a column stands twice"] if len(set(header)) < len(header) else [])
