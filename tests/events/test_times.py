"""Instants are whole milliseconds, and their text loses none of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import from_iso, to_iso

FIRST = -30_610_224_000_000
"""1000-01-01: `to_iso` is for the times of people, and year numbers of four digits."""
LAST = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z."""


@given(st.integers(FIRST, LAST))
def test_instants_round_trip(instant: int) -> None:
    """An instant written and read again is the same instant."""
    assert from_iso(to_iso(instant)) == instant


@given(st.integers(FIRST, LAST), st.integers(FIRST, LAST))
def test_whole_seconds_sort_as_text(one: int, other: int) -> None:
    """The texts of whole seconds sort as the instants do."""
    one, other = one // 1000 * 1000, other // 1000 * 1000
    assert (to_iso(one) < to_iso(other)) == (one < other)


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001 - the zone is drawn apart
    st.integers(-14 * 60, 14 * 60),
)
def test_a_zone_moves_the_text_and_not_the_instant(moment: datetime, offset_min: int) -> None:
    """The same moment written in any zone is the same instant."""
    aware = moment.replace(tzinfo=UTC)
    local = aware.astimezone(timezone(timedelta(minutes=offset_min)))
    assert from_iso(local.isoformat()) == from_iso(aware.isoformat())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.001Z", 1),
        ("1969-12-31T23:59:59.999Z", -1),
        ("2024-02-29T12:30:00+00:00", 1_709_209_800_000),
        ("2024-02-29T12:30:00-05:30", 1_709_229_600_000),
    ],
)
def test_known_instants_are_read(text: str, expected: int) -> None:
    """Known texts give known instants."""
    assert from_iso(text) == expected


@pytest.mark.parametrize("text", ["2024-01-01", "2024-01-01T00:00:00", "", "now", "2024-13-01T00:00:00Z"])
def test_a_zone_is_never_guessed(text: str) -> None:
    """A text without a zone, or that is no instant, is refused."""
    with pytest.raises(ValueError, match=r".+"):
        from_iso(text)
