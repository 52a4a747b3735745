"""The lifecycle table: what follows what, and that every alert can end."""

from __future__ import annotations

from typing import get_args

import pytest

from alerts.lifecycle import TERMINAL, TRANSITIONS, State, diagram, may_follow


def test_the_table_knows_every_state_and_no_other() -> None:
    """Each declared state has its row, and each row names declared states only."""
    states = set(get_args(State))
    assert set(TRANSITIONS) == states | {"none"}
    assert {after for afters in TRANSITIONS.values() for after in afters} <= states


@pytest.mark.parametrize("state", [state for state in get_args(State) if state not in TERMINAL])
def test_every_open_state_can_end_each_way(state: State) -> None:
    """From every open state an alert can be resolved, retracted and expire."""
    assert all(may_follow(state, end) for end in TERMINAL)


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_the_ends_are_final(state: State) -> None:
    """Nothing follows an end."""
    assert TRANSITIONS[state] == ()


def test_an_alert_is_born_once() -> None:
    """Only nothing is followed by raised."""
    assert [before for before, afters in TRANSITIONS.items() if "raised" in afters] == ["none"]


def test_the_diagram_shows_every_transition() -> None:
    """The mermaid text has one arrow for each entry of the table and one out of each end."""
    lines = diagram().splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert len(lines) == 1 + sum(map(len, TRANSITIONS.values())) + len(TERMINAL)
    assert "    escalated --> acknowledged" in lines
