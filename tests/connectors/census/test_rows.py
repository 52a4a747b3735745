"""A census as CSV: what each column may hold, the line of every fault, and that a fault names nobody."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.census.messages import messages_of
from connectors.census.rows import CENSUS_BYTES_MAX, COLUMNS, ROWS_MAX, CensusError, Lying, read_census
from connectors.decoded import Decoded, Identifier
from connectors.hl7v2.codec import decode
from connectors.hl7v2.settings import Hl7Settings
from events import Admission, Demographics, Location, from_iso

AS_OF = from_iso("2026-03-03T06:00:00Z")
HEADER = ",".join(COLUMNS) + "\n"


def faults(text: str | bytes, **how: str) -> tuple[str, ...]:
    with pytest.raises(CensusError) as caught:
        read_census(text if isinstance(text, bytes) else text.encode(), AS_OF, **how)
    return caught.value.faults


def test_a_line_says_who_lies_where() -> None:
    """All columns are read; times by their offset, or by the zone that is named."""
    text = HEADER + "42,HOSP,Ward A,1,12,MAIN,E,2026-03-02 23:30,F,1942-09-02,V7\n43,,Ward A,,,,,,,,\n"
    first, second = read_census(text.encode(), AS_OF, authority="OTHER", zone="Europe/Berlin")
    place, since = Location("Ward A", "1", "12", "MAIN"), from_iso("2026-03-02T22:30:00Z")
    assert first == Lying("42", "HOSP", place, "E", since, "female", "1942-09-02", "V7")
    assert second == Lying("43", "OTHER", Location("Ward A"))


@pytest.mark.parametrize(
    "admitted",
    ["0001-01-01", "0001-01-01T00:00:00Z", "0001-01-01T00:00+14:00", "1899-12-30T00:00Z", "9999-12-31T23:59-14:00"],
)
def test_a_time_that_no_clock_has_is_a_fault_with_its_line(admitted: str) -> None:
    """What a system writes for no time is told as any fault is, and ends in no traceback."""
    [told] = faults(f"patient,ward,admitted\n42,W1,{admitted}\n", authority="H", zone="Europe/Berlin")
    assert told.startswith("line 2: admitted: lies ")


def test_columns_may_be_left_out_and_stand_in_any_order() -> None:
    """Patient and ward are enough where the command names the authority."""
    [one] = read_census(b"\xef\xbb\xbfWARD,Patient\r\nW1,42\r\n", AS_OF, authority="H")
    assert (one.patient, one.location.ward, one.patient_class) == ("42", "W1", "I")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (",H,W,,,,,,,,", "line 2: patient: empty"),
        ("42,,W,,,,,,,,", "line 2: authority: empty"),
        ("42,H,,,,,,,,,", "line 2: ward: empty"),
        ("42,H,W,,,,,2026-03-02 08:00,,,", "line 2: admitted: has no offset; name the zone with --zone"),
        ("42,H,W,,,,,02.03.2026,,,", "line 2: admitted: no time such as 2026-03-01T08:00+01:00"),
        ("42,H,W,,,,,2026-03-03T07:00Z,,,", "line 2: admitted: after the census"),
        ("42,H,W,,,,,,woman,,", "line 2: sex: none of male, female, other, unknown"),
        (
            "42,H,W,,,,,,,1842-01-01,",
            "line 2: birth_date: no date such as 1942-09-02, or not that of somebody who lives",
        ),
        ("42,H,W,,,,,,,2026-03-04,", "line 2: birth_date: no date"),
        ("42,H,W,,,,,,,,\n42,H,V,,,,,,,,", "line 3: patient: the same as in line 2"),
        ('42,H,"W\n1",,,,,,,,', "line 2: ward: has control characters"),
        ("42,H," + "W" * 101 + ",,,,,,,,", "line 2: ward: longer than 100 characters"),
        ("42,H,W", "line 2: 3 cells; the header has 11"),
        ("1.23457E+12,H,W,,,,,,,,", "line 2: patient: rounded by a spreadsheet; export the column as text"),
        ('"1,23457e+12",H,W,,,,,,,,', "line 2: patient: rounded by a spreadsheet"),
        ("42,H,W,,,,,,,,9E+15", "line 2: visit: rounded by a spreadsheet"),
        ('"=""0042""",H,W,,,,,,,,', "line 2: patient: a spreadsheet's formula, or its fault; save values"),
        ("42,H,#N/A,,,,,,,,", "line 2: ward: a spreadsheet's formula"),
        ('42,"H,W,,,,,,,,', "line 2: unexpected end of data"),
    ],
)
def test_a_fault_names_line_and_column(row: str, said: str) -> None:
    """Each fault says where it is and what is expected, and not what stands there."""
    [told] = faults(HEADER + row + "\n")
    assert told.startswith(said)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "line 1: no column patient"),
        (b"patient;ward\n", "line 1: cells are parted by commas, not by semicolons or tabs"),
        (b"Jane Doe,Ward A\n", "line 1: column 1 has no name that is known"),
        (b"patient,ward,ward\n", "line 1: a column stands twice"),
        (b"patient,ward\n42,W\xfcrzburg\n", "line 2: not UTF-8"),
        (b" " * (CENSUS_BYTES_MAX + 1), "line 1: longer than"),
        (b"patient,ward\n" + b"".join(b"%d,W\n" % n for n in range(ROWS_MAX + 1)), f"line {ROWS_MAX + 2}: more than"),
    ],
    ids=range(7),
)
def test_what_is_no_census_is_refused(data: bytes, said: str) -> None:
    """Wrong columns, encodings and sizes are refused, and a header that is a patient is not repeated."""
    told = faults(data, authority="H")[0]
    assert told.startswith(said)
    assert "Jane" not in told


def test_a_census_becomes_two_admissions() -> None:
    """The first says since when, the second where; both decode to what the line said, and again to the same bytes."""
    one = Lying("4|2", "HOSP", Location("Ward A", "1", "12"), "I", AS_OF - 86_400_000, "male", "1950-01-01", "V1")
    sent = list(messages_of(one, AS_OF, "PAS|MAIN"))
    assert sent == list(messages_of(one, AS_OF, "PAS|MAIN"))
    read = [each for each in (decode(data, Hl7Settings()) for data in sent) if isinstance(each, Decoded)]
    assert len(read) == len(sent)
    assert {(each.feed, each.encounter, each.subject) for each in read} == {
        ("PAS|MAIN", "V1", (Identifier("HOSP", "4|2"),))
    }
    assert [event for each in read for event in each.events if isinstance(event, Admission)] == [
        Admission(AS_OF - 86_400_000, Location(), "I", AS_OF),
        Admission(AS_OF, Location("Ward A", "1", "12"), "I"),
    ]
    assert Demographics(AS_OF, "1950-01-01", "male") in read[1].events
    assert len({each.message_id for each in read}) == 2
    assert len(list(messages_of(Lying("42", "H", Location("W")), AS_OF, "PAS|MAIN"))) == 1


@settings(max_examples=100)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: (HEADER + text).encode()))
def test_whatever_bytes_they_are_they_are_read_or_refused(data: bytes) -> None:
    """Any bytes are a census or a `CensusError` with a line for each fault."""
    told: tuple[str, ...] = ()
    try:
        assert all(one.patient and one.location.ward for one in read_census(data, AS_OF))
    except CensusError as error:
        told = error.faults
    assert all(fault.startswith("line ") for fault in told)
