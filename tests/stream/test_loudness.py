"""Which decisions need a signature: the table of docs/change-control.md is the rule of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from events import ChangeStep, KillSwitch, Promotion, Standing
from stream.decisions import DecisionEvent
from stream.loudness import is_louder
from tests.stream.signed_cases import configuration, keyed

PAGE = Path(__file__).parents[2] / "docs" / "change-control.md"
ONE = "4f1c02aa91be"
DEMOTED = Standing(0, ONE, "demoted")
ROWS: dict[str, list[tuple[DecisionEvent, Standing | None]]] = {
    "promote a version that speaks": [(Promotion(0, ONE, enabled=True), None)],
    "go back (`rollback`) to a version that speaks": [(Promotion(0, ONE, enabled=True), None)],
    "restore a version": [(Standing(0, ONE, "good"), held) for held in (None, DEMOTED)],
    "hold a version that was demoted": [(Standing(0, ONE, "held"), DEMOTED)],
    "release the kill switch": [(KillSwitch(0, engaged=False), None)],
    "configure: limits, wards, this plan, the keys": [(configuration(keyed()).event, None)],
    "a step of change control: proposed, what the gates said": [
        (ChangeStep(0, ONE, "proposed"), None), (ChangeStep(0, ONE, "passed"), None),
        (ChangeStep(0, ONE, "failed"), None),
    ],
    "engage the kill switch": [(KillSwitch(0, engaged=True), None)],
    "hold, or demote, a version": [
        (Standing(0, ONE, "held"), None), (Standing(0, ONE, "held"), Standing(0, ONE, "held")), (DEMOTED, None),
        (DEMOTED, DEMOTED), (DEMOTED, Standing(0, ONE, "held")),
    ],
    "promote in shadow, or promote `none` (NEWS2 alone)": [
        (Promotion(0, ONE, enabled=False), None), (Promotion(0, "", enabled=False), None),
        (Promotion(0, "", enabled=True), None),
    ],
}  # fmt: skip


def table() -> dict[str, str]:
    """Read the page's table."""
    [text] = re.findall(
        r"\| decision \| signature \|\n\| --- \| --- \|\n((?:\|.*\|\n)+)", PAGE.read_text(encoding="utf-8")
    )
    return dict(re.findall(r"^\| (.*) \| (needed|none) \|$", text, re.MULTILINE))


def test_the_page_has_every_row() -> None:
    """No decision is judged by a rule that the page does not have."""
    assert set(table()) == set(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_the_page_is_the_rule(row: str) -> None:
    """What the page says of a decision is what becomes of it."""
    for event, standing in ROWS[row]:
        assert is_louder(event, standing) == (table()[row] == "needed")
