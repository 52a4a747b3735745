"""What waits to be told on a ward, and in which order.

Owns which events may wait, the order of those that do, and the bound of a ward's queue. Must not know how they are
encoded, nor when there is room (alerts/budget.py).

The riskiest is next. What is told is told: one that comes after the budget is spent waits, however risky, with place 1
if it is the riskiest; it is told at once when it worsens or is escalated. A risk that the model no longer knows is
ranked before every known one: what cannot be ranked must not be put last.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, NamedTuple, TypeVar

from alerts.contract import AlertEvent
from events import Millis

WAITING_MAX = 100
"""Alerts that wait on one ward: more than it has beds. Past it the riskiest is told, uncounted: never dropped."""
FIRST_OR_PERSISTS = frozenset({"risk_threshold", "risk_persists", "now_audible"})
"""Why the model speaks where it is neither worse nor answered: the first word, its repetition, the first aloud."""
PERSISTS = "risk_persists"
"""Of an alert that was told before; where it never was, it is what waited already that persists."""
MOVED = "transferred"
"""The reason of the one event that is also sent to a ward its alert has left. To the ward it comes to it is the first
word of the alert, whatever the one before was told: that ward cannot know."""
Content = TypeVar("Content")


class Waiting(NamedTuple, Generic[Content]):
    """One alert that waits: the newest event of it, which is what will be told."""

    content: Content
    event_id: str
    risk: float | None
    received: Millis
    since: Millis
    """When the alert began to wait here."""
    unheard: bool = False
    """Whether nothing of the alert was ever told here: then its end is the board's."""


def rank(risk: float | None, received: Millis, alert_id: str) -> tuple[float, Millis, str]:
    """Give what alerts that wait are sorted by: the riskiest first, then the longest known.

    >>> sorted([rank(0.2, 0, "a"), rank(0.4, 9, "b"), rank(None, 9, "c"), rank(0.4, 8, "d")])[:3]
    [(-inf, 9, 'c'), (-0.4, 8, 'd'), (-0.4, 9, 'b')]
    """
    return float("-inf") if risk is None else -risk, received, alert_id


def places(events: Iterable[AlertEvent]) -> dict[str, int]:
    """Give each waiting alert's place on its ward now, by its id; from the newest events of open alerts.

    The place that an event carries is that of the moment it went out: others have come and gone since.
    """
    ranks: dict[str, list[tuple[float, Millis, str]]] = {}
    for event in events:
        if event.disposition == "waiting":
            ranks.setdefault(event.ward, []).append(rank(event.probability, event.received_time, event.alert_id))
    return {
        alert_id: place
        for queue in ranks.values()
        for place, (_risk, _received, alert_id) in enumerate(sorted(queue), start=1)
    }
