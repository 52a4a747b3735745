"""Code maps as CSV: columns, encoding, limits, and the line of every fault."""

from __future__ import annotations

import pytest

from connectors.terminology.csv_map import read_csv, write_csv
from connectors.terminology.rows import MAP_BYTES_MAX, ROWS_MAX, CodeMapError, MapRow

HEADER = b"system,code,display,unit,target,reviewer,reviewed,comment\n"


def faults(data: bytes) -> tuple[str, ...]:
    with pytest.raises(CodeMapError) as caught:
        read_csv(data, "m.csv")
    return caught.value.faults


def test_a_spreadsheet_s_file_is_read() -> None:
    """A byte order mark, CRLF, quoted cells over several lines' worth of commas and empty lines are CSV as it comes."""
    data = (
        b"\xef\xbb\xbf"
        + HEADER.replace(b"\n", b"\r\n")
        + b'LN,X-1,"Sodium, serum",mmol/L,sodium,A,2026-03-01,\r\n,,,,,,,\r\n'
    )
    [row] = read_csv(data, "m.csv")
    assert (row.system, row.code, row.display, row.place) == ("loinc", "X-1", "Sodium, serum", "line 2")


def test_each_fault_has_the_line_on_which_its_row_begins() -> None:
    """All faults of a file are told at once, each by its line, also behind a cell that has a line's end in it."""
    told = faults(
        HEADER
        + b'L,A,"two\nlines",,sodium,,,\n'
        + b"L,,,,sodium,,,\n"
        + b"L,B,,,sodium,A. Chemist,01.03.2026,\n"
        + b"L,C,,,sodium,,2026-03-01,\n"
        + b"L,D,,,sodium\n"
    )
    assert told == (
        "line 2: display: has control characters, a line's end among them",
        "line 4: code: empty",
        "line 5: reviewed: '01.03.2026' is no date such as 2026-03-01",
        "line 6: reviewer: empty beside a date of review",
        "line 7: 5 cells; the header has 8",
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "line 1: no column system"),
        (b"system;code;target\n", "line 1: cells are parted by commas, not by semicolons or tabs"),
        (b"system,code,target,traget\n", "line 1: unknown column 'traget'"),
        (b"system,code,code,target\n", "line 1: a column stands twice"),
        (HEADER + b"L,K\xe4lium,,,,,,\n", "line 2: not UTF-8"),
        (HEADER + b'L,"K,,,,,,\n', "line 2: unexpected end of data"),
        (HEADER + b"L,K\x00,,,,,,\n", "line 2: "),
        (HEADER + b"L," + b"K" * 201 + b",,,,,,\n", "line 2: code: longer than 200 characters"),
        (b" " * (MAP_BYTES_MAX + 1), "line 1: longer than 4194304 bytes"),
        (b"system,code,target\n" + b"L,K,\n" * (ROWS_MAX + 1), f"line {ROWS_MAX + 2}: more than {ROWS_MAX} rows"),
    ],
    ids=range(10),
)
def test_what_is_no_map_is_refused_by_name(data: bytes, said: str) -> None:
    """Wrong separators, columns, encodings, quotes and sizes are refused with their line."""
    assert faults(data)[0].startswith(said)


def test_many_faults_are_told_in_part() -> None:
    """Twenty faults are told, and how many more there are."""
    with pytest.raises(CodeMapError) as caught:
        read_csv(b"system,code,target\n" + b"L,,\n" * 50, "m.csv")
    assert (len(str(caught.value).splitlines()), str(caught.value).splitlines()[-1]) == (21, "m.csv: 30 more faults")


def test_no_cell_is_a_formula() -> None:
    """What a spreadsheet would compute is written with a space before it, and read back without."""
    rows = [MapRow("L", "=1+1", display="@SUM(A1)", comment="-1")]
    assert ", @SUM(A1)," in write_csv(rows)
    assert [row.plain for row in read_csv(write_csv(rows).encode(), "m.csv")] == rows
