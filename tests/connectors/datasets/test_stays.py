"""Stays on one time line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connectors.datasets.stays import Item, StayChart, merge_stays, schedule_start
from connectors.decoded import Decoded
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE


def test_stays_begin_5_3_an_hour_on_whole_minutes() -> None:
    """1,060 stays begin in 200 hours, each on a whole minute."""
    starts = [schedule_start(0, index) for index in range(1_061)]
    assert starts[-1] == 200 * MILLIS_PER_HOUR
    assert all(start % MILLIS_PER_MINUTE == 0 for start in starts)


@given(st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=8).map(sorted), max_size=12))
def test_merge_is_a_stable_sort(times: list[list[int]]) -> None:
    """Merging stays equals sorting all their messages by time, stays in their order."""
    times.sort(key=lambda stay: stay[0])
    stays: list[list[Item]] = [
        [StayChart("set", str(number)).write(str(place), "row", time, ()) for place, time in enumerate(stay)]
        for number, stay in enumerate(times)
    ]
    expected = [item for stay in stays for item in stay]
    expected.sort(key=lambda item: item[0])
    assert list(merge_stays(stays)) == [message for _, message in expected]


def test_a_death_tells_its_outcome() -> None:
    """A discharge of the dead says so twice: as a discharge and as an outcome."""
    _, message = StayChart("set", "1").discharge(5, deceased=True)
    assert isinstance(message, Decoded)
    assert [type(event).__name__ for event in message.events] == ["Discharge", "Outcome"]
