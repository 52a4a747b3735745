"""Where the delivery gate stood: the list of its positions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alerts.gate import GateChange, GatePositions, decode_change, encode_change

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
