"""How much a ward is told: its budget in a shift, and a flood."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alerts.budget import REMEMBERED_MS, Allowance, count_telling
from alerts.ward_settings import WardSettings
from tests.alerts.ward_traffic import MINUTE, SETTINGS, START

TIMES = st.lists(st.integers(0, 72 * 60).map(lambda minutes: START + minutes * MINUTE), max_size=12).map(sorted)


@given(SETTINGS, TIMES)
def test_room_comes_when_it_is_said_to_come(settings: WardSettings, told: list[int]) -> None:
    """There is no room before the time that is named, and there is at that time."""
    allowance, now = Allowance(settings), (told[-1] if told else START)
    at = allowance.next_room("W1", told, now)
    assert allowance.has_room("W1", told, at)
    if at > now:
        assert not allowance.has_room("W1", told, now)
        assert not allowance.has_room("W1", told, at - 1)


@given(SETTINGS, TIMES, st.data())
def test_tellings_that_are_within_limits_are_so_in_any_order(
    settings: WardSettings, times: list[int], data: st.DataObject
) -> None:
    """Where all have room in order of time, all have room in any other order."""
    allowance = Allowance(settings)

    def fit(order: list[int]) -> bool:
        told: list[int] = []
        for at in order:
            if not allowance.has_room("W1", told, at):
                return False
            count_telling(told, at, START)
        return True

    if fit(times):
        assert fit(data.draw(st.permutations(times)))


def test_what_nothing_can_depend_on_is_forgotten() -> None:
    """Of two weeks of tellings those are kept that may still count."""
    told: list[int] = []
    for hour in range(14 * 24):
        count_telling(told, START + hour * 60 * MINUTE, START + hour * 60 * MINUTE)
    newest = told[-1]
    assert told[0] == newest - REMEMBERED_MS
    assert len(told) == REMEMBERED_MS // (60 * MINUTE) + 1


def test_another_ward_has_its_own_budget() -> None:
    """A ward that is named has its number, every other the common one."""
    allowance = Allowance(WardSettings(budget=1, budgets={"W2": 2}, flood_count=9))
    assert [allowance.has_room(ward, [START], START + MINUTE) for ward in ("W1", "W2")] == [False, True]
