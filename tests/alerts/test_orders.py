"""Alerts under random orders of events: gapless, final, finite, and the floor untouched by the model's side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.contract import AlertEvent, to_json
from alerts.lifecycle import TERMINAL, may_follow
from alerts.reasons import REASONS
from events import Acknowledgement, Feedback, Location
from guardrails.limits import ClinicianLimit
from models.news2 import PARAMETERS

HOUR, MINUTE = 3_600_000, 60_000

POINTS = st.tuples(*[st.sampled_from([None, 0, 0, 1, 2, 3])] * 7)
RISK = st.sampled_from([None, 0.0, 0.2, 0.4, 0.6, 0.7, 0.95, float("nan")])
QUARANTINED = st.sampled_from([(), (), ("spo2",), ("temperature",), ("respiration_rate", "spo2", "pulse"), PARAMETERS])
DEPARTED = st.sampled_from([False, False, False, True])
CHANGED = st.frozensets(st.integers(1, 9), max_size=4)
NO_LIMIT: dict[str, Any] = {}
LIMITS: dict[str, dict[str, Any]] = {
    "none": NO_LIMIT,
    "lower": {"limit": ClinicianLimit(3, 6, 10**12, reason="lower")},
    "higher": {"limit": ClinicianLimit(9, 12, 10**12, tell_red=False, reason="higher")},
    "end_of_life": {"board_only": True, "escalate_from": 10**12, "limit_reason": "end_of_life"},
    "not_for_escalation": {"escalate_from": 10**12, "limit_reason": "not_for_escalation"},
    "pregnancy": {"applies": "pregnancy", "limit_reason": "pregnancy"},
}
"""What a clinician's limit makes of the scores that follow."""
STEP = st.one_of(
    st.tuples(st.just("score"), POINTS, RISK, QUARANTINED, DEPARTED),
    st.tuples(st.just("score"), POINTS, RISK, QUARANTINED, DEPARTED),
    st.tuples(st.just("tick")),
    st.tuples(st.just("acknowledge"), st.sampled_from(["news2_floor", "model"])),
    st.tuples(
        st.just("judge"), st.sampled_from(["news2_floor", "model"]), st.sampled_from(["agree", "disagree", "dismissed"])
    ),
    st.tuples(st.just("limit"), st.sampled_from(sorted(LIMITS))),
    st.tuples(st.just("correct"), POINTS, POINTS, CHANGED),
    st.tuples(st.just("correct_model"), RISK, CHANGED),
    st.tuples(st.just("transfer"), st.sampled_from(["W1", "W2"])),
    st.tuples(st.just("end"), st.sampled_from(["discharged", "admission_cancelled", "merged"])),
    st.tuples(st.just("kill_switch"), st.booleans()),
    st.tuples(st.just("shadow"), st.booleans()),
)
STORIES = st.lists(st.tuples(st.sampled_from([0, MINUTE, 20 * MINUTE, HOUR, 7 * HOUR]), STEP), max_size=25)


def play(bed: Any, story: list[Any]) -> int:
    at = 0
    limit = NO_LIMIT
    for number, (pause, (act, *details)) in enumerate(story):
        at += pause
        if act == "score":
            *scores, quarantined, departed = details
            name = f"e{at}-{number // 4}"
            bed.score(at, *scores, envelope_id=name, quarantined=quarantined, departed=departed, **limit)
        elif act == "limit":
            limit = LIMITS[details[0]]
        elif act == "kill_switch":
            bed.guardrails = bed.guardrails.with_kill_switch(engaged=details[0])
        elif act == "shadow":
            bed.guardrails = bed.guardrails.with_shadow(shadow=details[0])
        elif act != "nothing":
            bed.keep(happen(bed, at, act, details))
    return at


def answer(bed: Any, at: int, act: str, details: list[Any]) -> Any:
    book, killed = bed.book, bed.guardrails.kill_switch
    channel = book.floor if details[0] == "news2_floor" else book.model
    alert_id = channel.open.alert_id if channel.open else "none"
    if act == "judge":
        return book.judge(Feedback(at, alert_id, details[1], "artefact"), at, kill_switch=killed)
    return book.acknowledge(Acknowledgement(at, alert_id), at, kill_switch=killed)


def happen(bed: Any, at: int, act: str, details: list[Any]) -> Any:
    """Let one thing happen to the book beside a score; give what it says."""
    book, killed = bed.book, bed.guardrails.kill_switch
    if act == "tick":
        return book.tick(at, kill_switch=killed)
    if act in ("acknowledge", "judge"):
        return answer(bed, at, act, details)
    if act == "correct":
        now, then, changed = details
        return book.correct_floor(at, now=bed.news2(now), then=bed.news2(then), changed=changed)
    if act == "correct_model":
        probability, changed = details
        return book.correct_model(at, probability_then=probability, threshold=0.5, changed=changed, kill_switch=killed)
    if act == "transfer":
        return book.transferred(at, Location(ward=details[0]), kill_switch=killed)
    return getattr(book, details[0])(at, kill_switch=killed)


def by_alert(events: list[AlertEvent]) -> dict[str, list[AlertEvent]]:
    alerts: dict[str, list[AlertEvent]] = defaultdict(list)
    for event in events:
        alerts[event.alert_id].append(event)
    return alerts


@settings(deadline=None, max_examples=300)
@given(story=STORIES)
def test_every_alert_lives_by_the_table_and_ends(story: list[Any], new_bed: Callable[[], Any]) -> None:
    """Seq is gapless, each state may follow the last and has one of its reasons, no id is twice, every alert ends."""
    bed = new_bed()
    at = play(bed, story)
    at += bed.alerts.expire_ms
    bed.keep(bed.book.tick(at))
    assert bed.book.idle
    assert bed.book.next_deadline is None
    for events in by_alert(bed.said).values():
        assert all(event.state in REASONS[event.reason].states for event in events)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        states = ["none", *(event.state for event in events)]
        assert all(may_follow(before, after) for before, after in pairwise(states))  # type: ignore[arg-type]
        assert states[-1] in TERMINAL
        assert len({event.episode_id for event in events}) == 1
    assert len({event.event_id for event in bed.said}) == len(bed.said)


@settings(deadline=None, max_examples=100)
@given(story=STORIES)
def test_the_same_story_is_told_in_the_same_bytes(story: list[Any], new_bed: Callable[[], Any]) -> None:
    """Two tellings of one story, each through a stored book, give the same bytes."""
    first, second = new_bed(), new_bed()
    play(first, story)
    play(second, story)
    assert [to_json(event) for event in first.said] == [to_json(event) for event in second.said]


@settings(deadline=None, max_examples=200)
@given(story=STORIES, risks=st.lists(RISK, min_size=25, max_size=25), switches=st.tuples(st.booleans(), st.booleans()))
def test_the_floor_is_the_same_bytes_whatever_the_model_does(
    story: list[Any], risks: list[Any], switches: tuple[bool, bool], new_bed: Callable[[], Any]
) -> None:
    """Other risks, no risks, kill switch, shadow, other thresholds: the floor's events do not change by a byte."""
    plain, other = new_bed(), new_bed()
    other.guardrails = (
        type(other.guardrails)(raise_at=0.1, clear_at=0.01, min_fresh=7)
        .with_kill_switch(engaged=switches[0])
        .with_shadow(shadow=switches[1])
    )
    retold = [
        (pause, (*step[:2], risk, *step[3:]) if step[0] == "score" else step)
        for (pause, step), risk in zip(story, risks, strict=False)
    ]
    play(plain, story)
    play(other, retold)
    floors = [[to_json(event) for event in bed.said if event.trigger == "news2_floor"] for bed in (plain, other)]
    assert floors[0] == floors[1]


@settings(deadline=None, max_examples=100)
@given(story=STORIES)
def test_under_the_kill_switch_no_score_makes_the_model_heard(story: list[Any], new_bed: Callable[[], Any]) -> None:
    """With the switch engaged throughout, not one model event is told."""
    bed = new_bed()
    bed.guardrails = bed.guardrails.with_kill_switch(engaged=True)
    play(bed, [(pause, step) for pause, step in story if step[0] != "kill_switch"])
    assert "told" not in {event.disposition for event in bed.said if event.trigger == "model"}


@settings(deadline=None, max_examples=200)
@given(story=STORIES)
def test_nothing_is_escalated_while_a_limit_forbids_it(story: list[Any], new_bed: Callable[[], Any]) -> None:
    """Under a limit that is in force throughout, no event of any story is `escalated`, and the floor still speaks."""
    bed, free = new_bed(), new_bed()
    told = [(pause, step) for pause, step in story if step[0] != "limit"]
    play(bed, [(0, ("limit", "not_for_escalation")), *told])
    play(free, told)
    assert "escalated" not in {event.state for event in bed.said}
    beside = [[event.reason for event in one.said if event.state != "escalated"] for one in (bed, free)]
    assert beside[0] == beside[1]


@settings(deadline=None, max_examples=200)
@given(story=STORIES)
def test_an_answer_never_keeps_news_from_the_ward(story: list[Any], new_bed: Callable[[], Any]) -> None:
    """Whatever was acknowledged, dismissed or disagreed with, the same floor news is told as without any answer."""
    answered, free = new_bed(), new_bed()
    play(answered, story)
    play(
        free, [(pause, step if step[0] not in ("acknowledge", "judge") else ("shadow", False)) for pause, step in story]
    )
    news = [
        [(event.received_time, event.reason, event.disposition, event.priority) for event in bed.said if is_news(event)]
        for bed in (answered, free)
    ]
    assert news[0] == news[1]


def is_news(event: AlertEvent) -> bool:
    return event.trigger == "news2_floor" and event.state not in ("acknowledged", "escalated")
