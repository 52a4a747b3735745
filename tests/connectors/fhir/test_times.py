"""Claims about FHIR's times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.decoded import RefusalReason
from connectors.fhir.faults import Fault
from connectors.fhir.settings import FhirSettings
from connectors.fhir.times import is_date, read_time
from events import to_iso

LONDON = FhirSettings(server="s", zone="Europe/London", zone_for_zoneless="Europe/London")
STRICT = FhirSettings(server="s")


def read(text: str, settings: FhirSettings = STRICT) -> tuple[int, list[str]]:
    notes: list[str] = []
    return read_time(text, settings, ".at", notes), notes


@given(
    st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2199, 1, 1)),  # noqa: DTZ001 - the zone is drawn apart
    st.integers(-14 * 60, 14 * 60),
    st.sampled_from(["seconds", "milliseconds", "microseconds"]),
)
def test_instants(moment: datetime, offset_min: int, precision: str) -> None:
    """Every instant is read to its millisecond, whatever its offset."""
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=offset_min)))
    text = aware.isoformat(timespec=precision)
    expected = (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert read(text) == (expected, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00.1239999Z", 123),
        ("1970-01-01T00:00:60Z", 60_000),
        ("1970-01-01T00:00:00-00:00", 0),
    ],
)
def test_odd_but_legal(text: str, expected: int) -> None:
    """Seven digits of a second and a leap second are legal FHIR."""
    assert read(text) == (expected, [])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "20200101",
        "2020-13",
        "2020-02-30",
        "0000",
        "2020-W01-1T10:00:00Z",
        "2020-01-01 10:00:00Z",
        "2020-01-01T10:00Z",
        "2020-01-01T25:00:00Z",
        "2020-01-01T10:00:00",
        "2020-01-01T10:00:00+0100",
        "2020-01-01T10:00:00+01",
        "2020-01-01T10:00:00+01:00:30",
        "2020-01-01T10:00:00,5Z",
        "2020-01-01T10:00:00Z" + "0" * 100,
        "٢٠٢٠-01-01T10:00:00Z",
    ],
)
def test_no_times(text: str) -> None:
    """What R4's own syntax does not allow is refused, though Python would read some of it."""
    with pytest.raises(Fault) as caught:
        read(text)
    assert caught.value.path == ".at"
    assert not text or text not in caught.value.detail


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "9999-12-31T23:59:60Z",
        "0001-01-01T00:00:00",
        "9999-12-31T23:59:59",
        "0001-01-01",
        "9999",
        "1849-12-31T23:59:59Z",
        "2201-01-01T00:00:00Z",
    ],
)
def test_years_nobody_meant(text: str) -> None:
    """A year outside 1850 to 2200 is no time, however it is written: it is what systems fill in for `unknown`."""
    with pytest.raises(Fault) as caught:
        read(text, LONDON)
    assert (caught.value.reason, caught.value.path) == (RefusalReason.INVALID_TIME, ".at")


@pytest.mark.parametrize("text", ["1850-01-01T00:00:00Z", "2200-12-31T23:59:59.999Z"])
def test_the_first_and_the_last_instant(text: str) -> None:
    """The bounds themselves are times, and can be written out again."""
    assert to_iso(read(text)[0]) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-07-01", "2020-06-30T23:00:00+00:00"),
        ("2020-07", "2020-06-30T23:00:00+00:00"),
        ("2020", "2020-01-01T00:00:00+00:00"),
    ],
)
def test_dates(text: str, expected: str) -> None:
    """A date alone is the start of it in the feed's zone, and noted."""
    assert read(text, LONDON) == (int(datetime.fromisoformat(expected).timestamp() * 1000), ["date_only"])


@pytest.mark.parametrize(
    ("text", "expected", "note"),
    [
        ("2020-07-01T12:00:00", "2020-07-01T11:00:00+00:00", []),
        ("2020-10-25T01:30:00", "2020-10-25T00:30:00+00:00", ["local_time_ambiguous"]),
        ("2020-03-29T01:30:00", "2020-03-29T01:30:00+00:00", ["local_time_nonexistent"]),
    ],
)
def test_zoneless(text: str, expected: str, note: list[str]) -> None:
    """Where the operator named a zone for them, zoneless times are read in it; the odd hours are noted."""
    assert read(text, LONDON) == (int(datetime.fromisoformat(expected).timestamp() * 1000), ["zoneless", *note])


@given(st.text(max_size=40))
def test_any_text(text: str) -> None:
    """Any text is an instant or a fault."""
    is_date(text)
    try:
        assert isinstance(read(text, LONDON)[0], int)
    except Fault as fault:
        assert fault.path == ".at"  # noqa: PT017 - both ways are right
