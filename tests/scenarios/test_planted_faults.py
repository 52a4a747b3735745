"""The stories have teeth: each planted fault of the service fails the story that is about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alerts import floor_channel
from alerts.budget import Allowance
from alerts.channel import Channel
from alerts.limits import NO_LIMITS, PatientLimits
from alerts.monitoring.monitor import Monitor
from features.state import PatientState
from guardrails import chain, floor
from stream.control import Control
from stream.identity import IdentityMap
from stream.parse import RecentMessages
from stream.scenarios.judging import judge
from stream.scenarios.names import Names
from stream.scenarios.playing import play
from stream.scenarios.reading import read_story

FOLDER = Path(__file__).resolve().parents[2] / "scenarios"


def always(answer: Any) -> Callable[..., Any]:
    """Give a function that gives one answer."""
    return lambda *_given, **_named: answer


def without(name: str) -> tuple[Any, ...]:
    """Give the chain's checks without those of one filter."""
    return tuple(one.check for one in chain.CHAIN if one.name != name)


def never_red(total: int, *, red: bool, limit: Any = None) -> int:
    """Rank a score as if no parameter were ever red."""
    return RANK_OF(total, red=False, limit=limit)


RANK_OF = floor.rank_of
PLANTED: list[tuple[str, str, object, str, object]] = [
    ("red is not told", "red_score_is_not_an_emergency", floor, "rank_of", never_red),
    ("nothing is late", "late_charting_tells_its_age", floor, "LATE_AFTER_MS", 1 << 50),
    ("late news waits for nothing", "feed_outage_flood_in_order", floor_channel, "is_late_news", always(False)),
    ("late news is never told", "late_charting_tells_its_age", floor_channel, "tell_now", always(None)),
    ("a bad set counts as calm", "resolved_only_by_fresh_calm", floor, "_is_calm", always(True)),
    ("everybody has scale 2", "copd_code_without_a_limit_stays_on_scale_1", Control, "scale", always(2)),
    ("nobody has scale 2", "copd_on_scale_2", Control, "scale", always(1)),
    ("children are in scope", "child_is_out_of_scope", chain, "_CHECKS", without("scope")),
    ("two values are enough", "too_little_fresh_evidence", chain, "_CHECKS", without("freshness")),
    ("every risk is told", "wards_have_thresholds_of_their_own", chain, "_CHECKS", without("threshold")),
    ("an episode is told each time", "model_tells_rising_lactate", chain, "_CHECKS", without("refractory")),
    ("the kill switch does nothing", "kill_switch_spares_news2", chain, "_CHECKS", without("delivery")),
    ("everybody is alike", "unlike_what_the_model_knows", chain, "_CHECKS", without("out_of_distribution")),
    ("nothing is indeterminate", "indeterminate", chain, "_CHECKS", without("uncertainty")),
    ("there is always room", "ward_budget_is_spent", Allowance, "has_room", always(True)),
    ("no limit holds", "dying_man", PatientLimits, "at", always(NO_LIMITS)),
    ("no limit ends", "limit_ends_and_what_stands_is_told", PatientLimits, "end", always(False)),
    ("nothing escalates or expires", "emergency_escalates_and_resolves", Channel, "tick", always([])),
    ("an open alert stays on its ward", "bed_swap", Channel, "transfer", always([])),
    ("a correction takes nothing back", "correction_retracts", floor_channel.FloorChannel, "correct", always([])),
    ("repeats are new", "duplicate_messages", RecentMessages, "add", always(True)),
    ("merges join nobody", "merge_mid_alert", IdentityMap, "merge", always([])),
    ("impossible values go unseen", "impossible_values_of_a_well_patient", PatientState, "any_quarantined", False),
    ("the monitoring hears nothing", "feed_falls_silent", Monitor, "hear", always([])),
]
"""What is planted, the story that must fail by it, and where it is planted."""


def failures(name: str) -> list[str]:
    """Play a story; give what is wrong."""
    story = read_story(FOLDER / f"{name}.yaml")
    names = Names(story)
    return [line.words for line in judge(play(story, names), names).lines if line.mark != "ok"]


@pytest.mark.unfoldable
@pytest.mark.parametrize(
    ("name", "where", "what", "planted"), [fault[1:] for fault in PLANTED], ids=[f[0] for f in PLANTED]
)
def test_a_planted_fault_fails_its_story(
    monkeypatch: pytest.MonkeyPatch, name: str, where: object, what: str, planted: object
) -> None:
    """The story holds as the service is, and does not once the fault is planted."""
    assert failures(name) == []
    monkeypatch.setattr(where, what, planted)
    assert failures(name) != []
