"""A census as CSV: a line for each patient in hospital.

Owns the columns, and what each may hold, with line numbers. Must not know messages. A fault names line and column, and
never what stands there: it is of a patient.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import msgspec

from connectors.spreadsheet import Columns, TableError, lines_of
from events import MILLIS_PER_SECOND, Location, Millis, Sex

CENSUS_BYTES_MAX = 8 * 1024 * 1024
ROWS_MAX = 20_000
"""As many patients as one partition watches: several times the largest hospital's beds."""
TEXT_CHARS_MAX = 100
"""Of a cell: numbers, wards and beds are shorter; a longer one is a column out of place."""
FAULTS_TOLD_MAX = 20
AGE_YEARS_MAX = 130
ADMITTED_YEAR_MIN = 1900
"""Before lie what systems write for no time: 0001-01-01, 1899-12-30."""

COLUMNS = (
    "patient", "authority", "ward", "room", "bed", "facility", "class", "admitted", "sex", "birth_date", "visit",
)  # fmt: skip
"""`patient` and `ward` are needed in each line, `authority` too unless the command names one; the others may be empty,
or left out. `class` is of HL7 table 0004 (I inpatient, E emergency)."""
_COLUMNS = Columns(
    COLUMNS, ("patient", "ward"), CENSUS_BYTES_MAX, ROWS_MAX, "patients",
    lambda number, _name: f"column {number} has no name that is known",
)  # fmt: skip
"""An unknown column is told by its number: a file without a header has a patient there."""
_NUMBERS = ("patient", "visit")
_ROUNDED = re.compile(r"[0-9]([.,][0-9]+)?E\+[0-9]+", re.IGNORECASE)
"""How a spreadsheet writes a long number that it took for one: its last digits are lost, so it is another's."""
_SPREADSHEETS = ("=", "#N/A", "#NAME?", "#REF!", "#VALUE!", "#NUM!", "#DIV/0!", "#NULL!")
"""A cell that begins so is a formula, or the fault of one."""
SEXES: dict[str, Sex] = {
    "m": "male", "male": "male", "f": "female", "female": "female", "o": "other", "other": "other", "u": "unknown",
    "unknown": "unknown",
}  # fmt: skip


class CensusError(ValueError):
    """A census cannot be used: the operator's to mend. The text has a line for each fault, and names nobody."""

    def __init__(self, faults: Sequence[str]) -> None:
        told = list(faults[:FAULTS_TOLD_MAX])
        if len(faults) > FAULTS_TOLD_MAX:
            told.append(f"{len(faults) - FAULTS_TOLD_MAX} more faults")
        super().__init__("\n".join(f"census, {line}" for line in told))
        self.faults = tuple(faults)


class Lying(msgspec.Struct, frozen=True):
    """One patient in hospital."""

    patient: str
    authority: str
    location: Location
    patient_class: str = "I"
    admitted: Millis | None = None
    sex: Sex | None = None
    birth_date: str | None = None
    visit: str = ""

    def __repr__(self) -> str:
        """Name nobody.

        >>> Lying("42", "HOSP", Location("Ward A"))
        Lying(…)
        """
        return "Lying(…)"


def read_census(data: bytes, as_of: Millis, *, authority: str = "", zone: str = "") -> list[Lying]:
    r"""Read a census of one moment; raises `CensusError`.

    `authority` is whose the numbers are in lines that name none; `zone` the IANA zone of times without an offset.

    >>> [one] = read_census(b"patient,ward,bed\n42,Ward A,12\n", 0, authority="HOSP")
    >>> one.location.ward, one.location.bed
    ('Ward A', '12')
    >>> read_census(b"patient,ward\n42,\n", 0, authority="HOSP")
    Traceback (most recent call last):
    connectors.census.rows.CensusError: census, line 2: ward: empty
    """
    found: list[Lying] = []
    faults: list[str] = []
    firsts: dict[tuple[str, str], int] = {}
    try:
        for number, cells in lines_of(data, _COLUMNS):
            if isinstance(cells, str):
                faults.append(f"line {number}: {cells}")
                continue
            said = dict.fromkeys(COLUMNS, "") | cells
            said["authority"] = said["authority"] or authority
            wrong, one = _read(said, as_of, zone)
            first = firsts.setdefault((said["authority"], said["patient"]), number)
            if said["patient"] and first != number:
                wrong.append(f"patient: the same as in line {first}")
            faults += [f"line {number}: {fault}" for fault in wrong]
            found.append(one)
    except TableError as error:
        raise CensusError(error.faults) from None
    if faults:
        raise CensusError(faults)
    return found


def _read(said: dict[str, str], as_of: Millis, zone: str) -> tuple[list[str], Lying]:
    faults = [f"{name}: empty" for name in ("patient", "authority", "ward") if not said[name]]
    for name, text in said.items():
        if len(text) > TEXT_CHARS_MAX:
            faults.append(f"{name}: longer than {TEXT_CHARS_MAX} characters")
        elif not text.isprintable():
            faults.append(f"{name}: has control characters, a line's end among them")
        elif text.startswith(_SPREADSHEETS):
            faults.append(f"{name}: a spreadsheet's formula, or its fault; save values")
        elif name in _NUMBERS and _ROUNDED.fullmatch(text):
            faults.append(f"{name}: rounded by a spreadsheet; export the column as text")
    sex = SEXES.get(said["sex"].lower())
    if said["sex"] and sex is None:
        faults.append("sex: none of male, female, other, unknown")
    admitted: Millis | None = None
    if said["admitted"]:
        try:
            admitted = _instant(said["admitted"], zone)
        except ValueError as error:
            faults.append(f"admitted: {error}")
        else:
            if admitted > as_of:
                faults.append("admitted: after the census")
    if said["birth_date"] and not _is_birth_date(said["birth_date"], as_of):
        faults.append("birth_date: no date such as 1942-09-02, or not that of somebody who lives")
    one = Lying(
        said["patient"],
        said["authority"],
        Location(said["ward"], said["room"], said["bed"], said["facility"]),
        said["class"] or "I",
        admitted,
        sex,
        said["birth_date"] or None,
        said["visit"],
    )
    return faults, one


def _instant(text: str, zone: str) -> Millis:
    """Read a time; raises `ValueError` with what is wrong, and without the time."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("no time such as 2026-03-01T08:00+01:00") from None
    if read.year < ADMITTED_YEAR_MIN:
        raise ValueError(f"lies before {ADMITTED_YEAR_MIN}; leave it empty where it is not known")
    if read.tzinfo is None:
        if not zone:
            raise ValueError("has no offset; name the zone with --zone")
        # The earlier of two where the hour comes twice: it never lies ahead.
        read = read.replace(tzinfo=ZoneInfo(zone), fold=0)
    try:
        return int(read.astimezone(UTC).timestamp()) * MILLIS_PER_SECOND
    except OverflowError:
        raise ValueError("lies after the calendar's end") from None


def _is_birth_date(text: str, as_of: Millis) -> bool:
    try:
        born = date.fromisoformat(text)
    except ValueError:
        return False
    today = datetime.fromtimestamp(as_of / MILLIS_PER_SECOND, UTC).date()
    return born.isoformat() == text and born <= today and today.year - born.year < AGE_YEARS_MAX
