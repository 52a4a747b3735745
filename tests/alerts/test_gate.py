"""Where the delivery gate stood: the list of its positions."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import gate
from alerts.gate import GateChange, GatePositions, decode_change, encode_change
from alerts.ward_settings import WardSettings, write_wards

TEXTS = [write_wards(WardSettings(budget=number)) for number in (1, 2, 3)]
DECIDED = st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.sampled_from([None, *TEXTS])), max_size=20)
MOVES = st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=20)


@given(MOVES)
def test_a_position_that_was_passed_keeps_its_gate(moves: list[tuple[int, bool]]) -> None:
    """Moving the gate at or past the newest position changes nothing for any position before."""
    positions = GatePositions(0)
    at = 0
    for step, closed in moves:
        at += step
        before = [positions.closed_at(position) for position in range(at)]
        positions.change(at, closed=closed)
        assert [positions.closed_at(position) for position in range(at)] == before
        assert positions.closed_at(at) is closed is positions.closed


@given(MOVES)
def test_stored_positions_say_the_same(moves: list[tuple[int, bool]]) -> None:
    """What is stored, and what is published change by change, gives the gate at every position."""
    positions = GatePositions(3)
    changes = [positions.change(at, closed=closed, sequence=number) for number, (at, closed) in enumerate(moves)]
    restored = GatePositions.decode(3, positions.encode())
    published = GatePositions(3, tuple(decode_change(encode_change(each)) for each in changes if each is not None))
    for at in range(60):
        assert restored.closed_at(at) == positions.closed_at(at) == published.closed_at(at)


def test_a_gate_that_stands_so_already_is_not_recorded_again() -> None:
    """Only a change is a change, and one is never set before an earlier one."""
    positions = GatePositions(1)
    assert positions.change(5, closed=False) is None
    assert positions.change(9, closed=True, sequence=4) == GateChange(1, 9, closed=True, sequence=4)
    assert positions.change(9, closed=True, sequence=5) is None
    opened = positions.change(2, closed=False, sequence=6)
    assert opened is not None
    assert opened.position == 9


@given(DECIDED)
def test_settings_stand_from_a_position_on(decided: list[tuple[int, bool, str | None]]) -> None:
    """Whatever gate and settings become later, what stood at a position that was passed stands there for good."""
    positions, at = GatePositions(0), 0
    for number, (step, closed, wards) in enumerate(decided):
        at += step
        before = [(positions.closed_at(place), positions.wards_at(place)) for place in range(at)]
        positions.change(at, closed=closed, sequence=number, wards=wards)
        assert [(positions.closed_at(place), positions.wards_at(place)) for place in range(at)] == before
        assert positions.closed_at(at) is closed
        assert wards is None or positions.wards == wards
    restored = GatePositions.decode(0, positions.encode())
    published = GatePositions(0, tuple(decode_change(encode_change(change)) for change in reversed(positions.changes)))
    for place in range(at + 2):
        for other in (restored, published):
            assert (other.closed_at(place), other.wards_at(place)) == (
                positions.closed_at(place),
                positions.wards_at(place),
            )


def test_before_the_first_settings_there_was_no_budget() -> None:
    """What was told by a release that had no budget is told so by a redo and a replay."""
    positions = GatePositions(0)
    positions.change(3, closed=True)
    positions.change(5, closed=True, wards=TEXTS[0])
    assert [positions.wards_at(place) for place in (3, 4, 5)] == [None, None, WardSettings(budget=1)]


def test_what_is_forgotten_leaves_what_stood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound the oldest changes go, and the settings that they put into force stand all the same."""
    monkeypatch.setattr(gate, "CHANGES_KEPT_MAX", 3)
    positions = GatePositions(0)
    positions.change(0, closed=False, wards=TEXTS[1])
    for place in range(1, 10):
        positions.change(place, closed=place % 2 == 1)
    assert len(positions.changes) == 3
    assert positions.wards_at(9) == WardSettings(budget=2)


def test_settings_of_a_later_release_are_passed_by() -> None:
    """A change whose settings this release cannot read leaves those of before in force, and its gate stands."""
    first, later = GateChange(0, 1, closed=False, wards=TEXTS[0]), GateChange(0, 2, closed=True, wards='{"moons":3}')
    positions = GatePositions(0, (first, later))
    assert (positions.wards_at(2), positions.closed_at(2)) == (WardSettings(budget=1), True)


def test_a_change_of_an_earlier_release_is_read() -> None:
    """A record of `gates.v1` without settings moves the gate alone."""
    old = msgspec.json.encode({"partition": 2, "position": 7, "closed": True, "sequence": 1})
    assert decode_change(old) == GateChange(2, 7, closed=True, sequence=1)
