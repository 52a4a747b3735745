"""An act of each kind, and the event that it becomes for the actor `n1`: what tests of the contract share."""

from __future__ import annotations

from typing import Any

from events import Acknowledgement, from_iso
from events.control import Feedback, Limit, Review

PATIENT = "0123456789abcdef" * 2
AT = from_iso("2026-01-01T12:00:00Z")
COMMON = {"act_id": "5f1c4cf9-0000-4000-8000-000000000001", "patient": PATIENT, "at": "2026-01-01T12:00:00Z"}
ALERT = {**COMMON, "alert_id": "a-1"}
LIMIT = {
    **COMMON,
    "kind": "limit",
    "limit_id": "l-1",
    "limit": "thresholds",
    "expires_at": "2026-01-03T12:00:00Z",
    "reason": "known_baseline",
    "thresholds": {"notify_at": 7, "interrupt_at": 9, "tell_red": False},
}
UNTIL = from_iso("2026-01-03T12:00:00Z")
EACH: list[tuple[dict[str, Any], Any]] = [
    ({**ALERT, "kind": "acknowledge"}, Acknowledgement(AT, "a-1", "n1")),
    (
        {**ALERT, "kind": "dismiss", "reason": "measurement_error"},
        Feedback(AT, "a-1", "dismissed", "measurement_error", "n1"),
    ),
    ({**ALERT, "kind": "disagree"}, Feedback(AT, "a-1", "disagree", "", "n1")),
    ({**ALERT, "kind": "agree", "reason": "other"}, Feedback(AT, "a-1", "agree", "other", "n1")),
    (
        {**COMMON, "kind": "review", "score_id": "s-1", "decision": "withhold"},
        Review(AT, "s-1", "withhold", "n1"),
    ),
    (LIMIT, Limit(AT, "l-1", "thresholds", UNTIL, "n1", "known_baseline", 7, 9, tell_red=False)),
    (
        {**LIMIT, "limit": "end_of_life", "thresholds": None, "reason": "comfort_care"},
        Limit(AT, "l-1", "end_of_life", UNTIL, "n1", "comfort_care"),
    ),
    (
        {**LIMIT, "limit": "end_of_life", "reason": "comfort_care"},
        Limit(AT, "l-1", "end_of_life", UNTIL, "n1", "comfort_care", 7, 9, tell_red=False),
    ),
    (
        {**COMMON, "kind": "withdraw_limit", "limit_id": "l-1", "limit": "scale_2"},
        Limit(AT, "l-1", "scale_2", AT, "n1", withdrawn=True),
    ),
]
