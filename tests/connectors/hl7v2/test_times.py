"""Claims about HL7 times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.hl7v2.times import birth_date, clock_of
from events import from_iso

LONDON = clock_of("Europe/London", "earlier")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026", "2026-01-01T00:00:00Z"),
        ("202604", "2026-03-31T23:00:00Z"),
        ("20260401", "2026-03-31T23:00:00Z"),
        ("2026040112", "2026-04-01T11:00:00Z"),
        ("202604011230", "2026-04-01T11:30:00Z"),
        ("20260401123045", "2026-04-01T11:30:45Z"),
        ("20260401123045.1", "2026-04-01T11:30:45.100Z"),
        ("20260401123045.1239", "2026-04-01T11:30:45.123Z"),
        ("202604011230-0530", "2026-04-01T18:00:00Z"),
        ("20260401123045.5+1400", "2026-03-31T22:30:45.500Z"),
        ("2026-04-01T12:30:45", "2026-04-01T11:30:45Z"),
        ("2026-04-01T12:30:45.250Z", "2026-04-01T12:30:45.250Z"),
        ("20260401 1230", "2026-04-01T11:30:00Z"),
        ("20260401123045637", "2026-04-01T11:30:45.637Z"),
        ("20260401123045637+0800", "2026-04-01T04:30:45.637Z"),
    ],
)
def test_readable(text: str, expected: str) -> None:
    """Every precision of TS and DTM and the ISO spellings are read, in the zone or at the offset given."""
    instant = LONDON.instants[text]
    assert instant is not None
    assert instant.millis == from_iso(expected)


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "01/02/2025", "20260230", "2026040125", "20260401240000", "20260401126000", "20260401120060",
        "202604011", "20260401120000+1500", "20260401120000+0060", "00000000000000", "99991231235959",
        "20260401120000.", "202604011200001", "2026040112000012", "202604011200001234", "20260401126045637",
        "20260401123045637.5", "20260401T123045637", "\uff12\uff10\uff12\uff16", "20260401-1", "18000101",
    ],
)  # fmt: skip
def test_unreadable(text: str) -> None:
    """What is no time, or no time anybody meant, is None: never an exception, never a guess."""
    assert LONDON.instants[text] is None


@pytest.mark.parametrize(
    ("text", "earlier", "later", "note"),
    [
        ("20261025013000", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "local_time_ambiguous"),
        ("20260329013000", "2026-03-29T01:30:00Z", "2026-03-29T01:30:00Z", "local_time_nonexistent"),
        ("20261025003000", "2026-10-24T23:30:00Z", "2026-10-24T23:30:00Z", ""),
        ("20261025020000", "2026-10-25T02:00:00Z", "2026-10-25T02:00:00Z", ""),
    ],
)
def test_strange_hours(text: str, earlier: str, later: str, note: str) -> None:
    """The repeated hour is read as configured, the missing hour is shifted forward, and both are noted."""
    for rule, expected in (("earlier", earlier), ("later", later)):
        instant = clock_of("Europe/London", rule).instants[text]
        assert instant is not None
        assert (instant.millis, instant.note) == (from_iso(expected), note)


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2150, 1, 1)),  # noqa: DTZ001 - a local time is the point
    st.sampled_from(["Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    st.sampled_from(["earlier", "later"]),
)
def test_agrees_with_zoneinfo(local: datetime, zone: str, rule: str) -> None:
    """A local time means what zoneinfo says it means, to the millisecond."""
    text = local.strftime("%Y%m%d%H%M%S").zfill(14)
    aware = local.replace(microsecond=0, tzinfo=ZoneInfo(zone))
    back = aware.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    if back == local.replace(microsecond=0) and rule == "later":
        aware = aware.replace(fold=1)
    instant = clock_of(zone, rule).instants[text]
    assert instant is not None
    assert instant.millis == (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


@given(st.text(max_size=24) | st.from_regex(r"[0-9]{4,14}(\.[0-9]{0,4})?([+-][0-9]{2,4})?", fullmatch=True))
def test_never_raises(text: str) -> None:
    """Any text is a time or is not."""
    instant = LONDON.instants[text]
    assert instant is None or isinstance(instant.millis, int)
    assert birth_date(text) is None or isinstance(birth_date(text), str)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("19420902", "1942-09-02"), ("194209", "1942-09"), ("1942", "1942"), ("198807050000", "1988-07-05"),
        ("1988-07-05", "1988-07-05"), ("0", None), ("19421301", None),
    ],
)  # fmt: skip
def test_birth_dates(text: str, expected: str | None) -> None:
    """A date of birth keeps the precision it was given in."""
    assert birth_date(text) == expected
