"""The page about an alert's life says what the tables say, and the tables leave nothing out."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from alerts.contract import Reason
from alerts.lifecycle import TERMINAL, TRANSITIONS, State
from alerts.limits import KINDS
from alerts.page import LIMIT_ROWS, alerts_page
from alerts.reasons import REASONS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "alerts.md"


def test_the_checked_in_page_is_the_generated_one() -> None:
    """docs/alerts.md is the one that the tables and the settings write."""
    assert PAGE.read_text(encoding="utf-8") == alerts_page(), "run: python -m alerts.page > docs/alerts.md"


def test_every_reason_of_the_contract_has_its_row() -> None:
    """No reason is published that the table does not explain, and none is explained that is never published."""
    assert set(REASONS) == set(get_args(Reason))


def test_every_state_is_entered_for_some_reason() -> None:
    """Each state, the ends too, has a reason to come to it, and no reason enters one that nothing leads to."""
    assert {state for row in REASONS.values() for state in row.states} == set(get_args(State))
    assert {after for afters in TRANSITIONS.values() for after in afters} == set(get_args(State))
    assert set(get_args(State)) > TERMINAL


def test_every_kind_of_limit_says_what_it_changes() -> None:
    """The page has a row for each kind that a clinician may set."""
    assert tuple(LIMIT_ROWS) == KINDS
