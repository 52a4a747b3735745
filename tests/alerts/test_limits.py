"""A patient's limits: which hold, until when, and what they come to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.limits import CLOCK_SLACK_MS, KINDS, LIMIT_MS_MAX, LIMITS_MAX, NO_LIMITS, PatientLimits, limit_fault
from events import Limit

HOUR = 3_600_000
DAY = 24 * HOUR


def limit(kind: Any = "thresholds", at: int = 0, lasts: int = DAY, name: str = "l", **fields: Any) -> Limit:
    """Make a limit decided at a time; of thresholds 8 and 10 unless it is said which."""
    if kind == "thresholds":
        fields = {"notify_at": 8, "interrupt_at": 10, **fields}
    return Limit(at, name, kind, at + lasts, **fields)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"notify_at": 9, "interrupt_at": 7}, "bad_thresholds"),
        ({"notify_at": 0, "interrupt_at": 7}, "bad_thresholds"),
        ({"notify_at": 9, "interrupt_at": 21}, "bad_thresholds"),
        ({"kind": "end_of_life", "notify_at": 9, "interrupt_at": 7}, "bad_thresholds"),
        ({"lasts": 0}, "limit_over"),
        ({"lasts": LIMIT_MS_MAX + CLOCK_SLACK_MS + 1}, "limit_too_long"),
        ({"name": ""}, "limit_unnamed"),
        ({"lasts": LIMIT_MS_MAX}, ""),
        ({"kind": "end_of_life"}, ""),
        ({"lasts": -DAY, "withdrawn": True}, ""),
    ],
)
def test_what_is_no_limit_is_refused_by_its_fault(changes: dict[str, Any], fault: str) -> None:
    """Each fault has its name, and a refused one changes nothing."""
    one, limits = limit(**changes), PatientLimits()
    assert limit_fault(one, 0) == fault
    assert (limits.take(one, 0) == fault) is bool(fault)
    assert bool(limits.kept) is (fault == "")


def test_a_limit_holds_until_its_end_and_not_a_moment_longer() -> None:
    """At its expiry it is no more, and says then that something ended."""
    limits = PatientLimits()
    assert limits.take(limit(reason="known_baseline", actor="registrar"), 0) == "limit_set"
    at = limits.at(DAY - 1)
    assert at.thresholds is not None
    assert (at.thresholds.notify_at, at.thresholds.interrupt_at, at.thresholds.recorded_by) == (8, 10, "registrar")
    assert at.reason == "known_baseline"
    assert limits.at(DAY) == NO_LIMITS
    assert (limits.next_end(), limits.end(DAY - 1), limits.end(DAY), limits.end(DAY)) == (DAY, False, True, False)


def test_the_same_name_replaces_and_withdraws() -> None:
    """A later decision under one name replaces the former, and a withdrawal ends it at once."""
    limits = PatientLimits()
    limits.take(limit(), 0)
    assert limits.take(limit(at=HOUR, notify_at=9), HOUR) == "limit_replaced"
    assert limits.at(HOUR).thresholds is not None
    assert limits.take(limit(at=2 * HOUR, withdrawn=True), 2 * HOUR) == "limit_withdrawn"
    assert limits.at(2 * HOUR) == NO_LIMITS
    assert limits.take(limit(name="other", withdrawn=True), 2 * HOUR) == "unknown_limit"


def test_what_comes_again_or_too_late_changes_nothing() -> None:
    """The record that set a limit, come again after its withdrawal, does not bring it back; nor does an older one."""
    limits = PatientLimits()
    limits.take(limit(at=HOUR), HOUR)
    kept = limits.kept
    assert (limits.take(limit(at=HOUR), 2 * HOUR), limits.kept) == ("limit_repeated", kept)
    assert (limits.take(limit(at=0, notify_at=2), 2 * HOUR), limits.kept) == ("limit_outdated", kept)
    limits.take(limit(at=3 * HOUR, withdrawn=True), 3 * HOUR)
    assert limits.take(limit(at=3 * HOUR, withdrawn=True), 4 * HOUR) == "limit_repeated"
    assert limits.take(limit(at=HOUR), 4 * HOUR) == "limit_outdated"
    assert limits.at(4 * HOUR) == NO_LIMITS


@pytest.mark.parametrize(
    ("changes", "why_not"),
    [
        ({}, "limit_repeated"),
        ({"notify_at": 9}, "limit_outdated"),
        ({"actor": "somebody else"}, "limit_outdated"),
        ({"at": HOUR - 1}, "limit_outdated"),
        ({"at": HOUR + 1}, ""),
        ({"name": "other", "at": 0}, ""),
        ({"lasts": 0}, "limit_over"),
        ({"at": 0, "withdrawn": True}, ""),
    ],
)
def test_why_a_limit_would_change_nothing_is_known_before_it_is_taken(changes: dict[str, Any], why_not: str) -> None:
    """What a door asks is what the fold says: the same again, one that a later decision stands above, one that is over;
    asking changes nothing.
    """
    limits = PatientLimits()
    limits.take(limit(at=HOUR), HOUR)
    kept, one = limits.kept, limit(**{"at": HOUR, **changes})
    assert (limits.why_not(one, 2 * HOUR if "lasts" not in changes else HOUR), limits.kept) == (why_not, kept)
    if why_not:
        assert (limits.take(one, 2 * HOUR if "lasts" not in changes else HOUR), limits.kept) == (why_not, kept)


def test_a_decision_dated_in_the_future_can_be_replaced() -> None:
    """A sender's clock that is ahead binds nobody: a decision counts from when it was stored at the latest."""
    limits = PatientLimits()
    limits.take(limit(at=10 * DAY), 0)
    assert limits.take(limit(at=HOUR, notify_at=9), HOUR) == "limit_replaced"


def test_of_two_that_speak_of_the_floor_the_later_holds() -> None:
    """The end of life makes the floor the board's until totals are set after it; ended, the former holds again."""
    limits = PatientLimits()
    limits.take(limit(), 0)
    limits.take(limit("end_of_life", HOUR, 2 * HOUR, "e"), HOUR)
    assert (limits.at(HOUR).board_only, limits.at(HOUR).thresholds) == (True, None)
    limits.take(limit(at=2 * HOUR, name="t", lasts=HOUR // 2), 2 * HOUR)
    assert (limits.at(2 * HOUR).board_only, limits.at(2 * HOUR).end_of_life) == (False, True)
    assert limits.at(2 * HOUR + HOUR // 2).board_only
    assert limits.at(3 * HOUR).thresholds is not None


def test_the_end_of_life_may_name_its_own_totals() -> None:
    """Then the floor tells by them; nothing escalates either way, while any such limit lasts."""
    limits = PatientLimits()
    limits.take(limit("end_of_life", notify_at=9, interrupt_at=12), 0)
    limits.take(limit("not_for_escalation", lasts=2 * DAY, name="n"), 0)
    at = limits.at(HOUR)
    assert at.thresholds is not None
    assert (at.board_only, at.thresholds.notify_at, at.escalate_from) == (False, 9, 2 * DAY)


def test_each_kind_changes_its_own() -> None:
    """Scale 2 and pregnancy are said by themselves, and every limit in force is named."""
    limits = PatientLimits()
    limits.take(limit("scale_2", name="s", reason="hypercapnic"), 0)
    limits.take(limit("pregnancy", 1, name="p"), 1)
    at = limits.at(HOUR)
    assert (at.scale_2, at.pregnancy, at.end_of_life, at.escalate_from) == (True, True, False, 0)
    assert at.reason == "hypercapnic,pregnancy"


def test_what_is_kept_is_bounded() -> None:
    """One beyond the most that is kept is refused; a known one may still be replaced and withdrawn."""
    limits = PatientLimits()
    said = [limits.take(limit(name=str(number)), 0) for number in range(LIMITS_MAX + 1)]
    assert said == ["limit_set"] * LIMITS_MAX + ["too_many_limits"]
    assert limits.take(limit(at=1, name="0", withdrawn=True), 1) == "limit_withdrawn"


def test_limits_joined_are_parted_as_they_came() -> None:
    """Two records joined have both; parted each has its own, also what came under either number meanwhile."""
    here, there = PatientLimits(), PatientLimits()
    here.take(limit(), 0)
    there.take(limit(), 0)
    there.take(limit("scale_2", name="s"), 0)
    here.join(there, "b")
    here.take(limit("pregnancy", 5, name="p"), 5, "b")
    assert [(one.source, one.limit_id) for one in here.kept] == [("", "l"), ("b", "l"), ("b", "s"), ("b", "p")]
    restored = here.part({"b"}, "b")
    assert [(one.source, one.limit_id) for one in here.kept] == [("", "l")]
    assert [(one.source, one.limit_id) for one in restored.kept] == [("", "l"), ("", "s"), ("", "p")]


def test_a_limit_replaced_under_another_number_is_neither_s_after_an_unmerge() -> None:
    """Shortened under the survivor's number it ends then; and parted, nobody is silenced by what was of the other."""
    here, there = PatientLimits(), PatientLimits()
    there.take(limit("not_for_escalation"), 0)
    here.join(there, "b")
    assert here.take(limit("not_for_escalation", at=HOUR, lasts=HOUR), HOUR) == "limit_replaced"
    assert here.at(HOUR).escalate_from == 2 * HOUR
    restored = here.part({"b"}, "b")
    assert (restored.at(HOUR), here.at(HOUR).escalate_from) == (NO_LIMITS, 2 * HOUR)


def test_a_limit_is_withdrawn_under_either_number() -> None:
    """After a merge a withdrawal under the survivor's number finds the limit that came under the other."""
    here, there = PatientLimits(), PatientLimits()
    there.take(limit(), 0)
    here.join(there, "b")
    assert here.take(limit(at=9, withdrawn=True), 9) == "limit_withdrawn"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.sampled_from(["a", "b"]),
        st.integers(0, 40),
        st.integers(1, 40),
        st.booleans(),
        st.sampled_from(["", "q"]),
    ),
    max_size=12,
)


@given(STEPS)
def test_limits_told_twice_and_stored_are_the_same(steps: list[Any]) -> None:
    """Each record told once or twice in a row, with storing between, leaves the same limits."""
    once, twice = PatientLimits(), PatientLimits()
    for number, (kind, name, event_time, lasts, withdrawn, source) in enumerate(steps):
        totals = {"notify_at": 6, "interrupt_at": 8} if kind == "thresholds" else {}
        one = Limit(event_time, name, kind, 40 + number + lasts, withdrawn=withdrawn, **totals)
        once.take(one, 40 + number, source)
        twice.take(one, 40 + number, source)
        twice = PatientLimits.decode(twice.encode())
        twice.take(one, 40 + number, source)
    assert once.kept == twice.kept
