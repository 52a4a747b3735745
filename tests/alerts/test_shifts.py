"""Shifts in the site's own time, over the nights on which the clocks change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.shifts import SHIFT_MS_MAX, Shifts, read_start
from events import from_iso, to_iso
from events.times import INSTANT_MAX, INSTANT_MIN

HOUR = 3_600_000
ZONES = st.sampled_from(["UTC", "Europe/London", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"])
STARTS = st.sampled_from([("07:00", "19:00"), ("00:00",), ("01:30", "02:00", "02:15"), ("06:00", "14:00", "22:00")])


@given(ZONES, STARTS, st.integers(INSTANT_MIN, INSTANT_MAX))
def test_every_instant_is_in_one_shift(zone: str, starts: tuple[str, ...], at: int) -> None:
    """A shift holds the instant, and its neighbours meet it: none overlaps, and no instant is left out."""
    begin, end = Shifts(zone, starts).around(at)
    assert begin <= at < end <= begin + 2 * SHIFT_MS_MAX
    if begin > INSTANT_MIN and end < INSTANT_MAX:
        assert Shifts(zone, starts).around(begin) == (begin, end)
        assert Shifts(zone, starts).around(begin - 1)[1] == begin
        assert Shifts(zone, starts).around(end)[0] == end


@given(ZONES, STARTS, st.lists(st.integers(0, 4_000_000_000_000), max_size=6))
def test_what_was_asked_before_changes_no_answer(zone: str, starts: tuple[str, ...], asked: list[int]) -> None:
    """One that was asked before and a new one give the same shifts."""
    used = Shifts(zone, starts)
    assert [used.around(at) for at in asked] == [Shifts(zone, starts).around(at) for at in asked]


@pytest.mark.parametrize(
    ("starts", "at", "shift"),
    [
        # Clocks back on 25 October 2026 at 02:00 BST: the night is 13 hours, one shift, one budget.
        (("07:00", "19:00"), "2026-10-25T00:30:00Z", ("2026-10-24T18:00:00Z", "2026-10-25T07:00:00Z")),
        (("07:00", "19:00"), "2026-10-25T06:59:59Z", ("2026-10-24T18:00:00Z", "2026-10-25T07:00:00Z")),
        # 01:30 comes twice: the first one begins the shift, the second does not.
        (("01:30", "13:00"), "2026-10-25T00:30:00Z", ("2026-10-25T00:30:00Z", "2026-10-25T13:00:00Z")),
        (("01:30", "13:00"), "2026-10-25T01:30:00Z", ("2026-10-25T00:30:00Z", "2026-10-25T13:00:00Z")),
        # Clocks forward on 29 March 2026 at 01:00 GMT: the night is 11 hours.
        (("07:00", "19:00"), "2026-03-29T03:00:00Z", ("2026-03-28T19:00:00Z", "2026-03-29T06:00:00Z")),
        # 01:30 does not come: the shift begins as if nobody had touched the clock, at 02:30 by the new one.
        (("01:30", "13:00"), "2026-03-29T01:29:59Z", ("2026-03-28T13:00:00Z", "2026-03-29T01:30:00Z")),
    ],
)
def test_the_night_the_clocks_change_is_one_shift(starts: tuple[str, ...], at: str, shift: tuple[str, str]) -> None:
    """On both nights a shift is longer or shorter by an hour, and none begins twice or is lost."""
    assert tuple(map(to_iso, Shifts("Europe/London", starts).around(from_iso(at)))) == shift


@pytest.mark.parametrize("text", ["7:00", "24:00", "07:60", "", "0700", "07:00:00", "07:00 "])
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    """Only two digits, a colon and two digits of a day's hours and minutes are a start."""
    with pytest.raises(ValueError, match="no time of day"):
        read_start(text)
