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
from events import Acknowledgement, Location
from models.news2 import PARAMETERS

HOUR, MINUTE = 3_600_000, 60_000

POINTS = st.tuples(*[st.sampled_from([None, 0, 0, 1, 2, 3])] * 7)
RISK = st.sampled_from([None, 0.0, 0.2, 0.4, 0.6, 0.7, 0.95, float("nan")])
QUARANTINED = st.sampled_from([(), (), ("spo2",), ("temperature",), ("respiration_rate", "spo2", "pulse"), PARAMETERS])
DEPARTED = st.sampled_from([False, False, False, True])
CHANGED = st.frozensets(st.integers(1, 9), max_size=4)
STEP = st.one_of(
    st.tuples(st.just("score"), POINTS, RISK, QUARANTINED, DEPARTED),
    st.tuples(st.just("score"), POINTS, RISK, QUARANTINED, DEPARTED),
    st.tuples(st.just("tick")),
    st.tuples(st.just("acknowledge"), st.sampled_from(["news2_floor", "model"])),
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
    for number, (pause, (act, *details)) in enumerate(story):
        at += pause
        book, killed = bed.book, bed.guardrails.kill_switch
        if act == "score":
            *scores, quarantined, departed = details
            bed.score(at, *scores, envelope_id=f"e{at}-{number // 4}", quarantined=quarantined, departed=departed)
        elif act == "tick":
            bed.keep(book.tick(at, kill_switch=killed))
        elif act == "acknowledge":
            channel = book.floor if details[0] == "news2_floor" else book.model
            bed.keep(
                book.acknowledge(
                    Acknowledgement(at, channel.open.alert_id if channel.open else "none"), at, kill_switch=killed
                )
            )
        elif act == "correct":
            now, then, changed = details
            bed.keep(book.correct_floor(at, now=bed.news2(now), then=bed.news2(then), changed=changed))
        elif act == "correct_model":
            probability, changed = details
            bed.keep(
                book.correct_model(at, probability_then=probability, threshold=0.5, changed=changed, kill_switch=killed)
            )
        elif act == "transfer":
            bed.keep(book.transferred(at, Location(ward=details[0]), kill_switch=killed))
        elif act == "end":
            bed.keep(getattr(book, details[0])(at, kill_switch=killed))
        elif act == "kill_switch":
            bed.guardrails = bed.guardrails.with_kill_switch(engaged=details[0])
        else:
            bed.guardrails = bed.guardrails.with_shadow(shadow=details[0])
    return at


def by_alert(events: list[AlertEvent]) -> dict[str, list[AlertEvent]]:
    alerts: dict[str, list[AlertEvent]] = defaultdict(list)
    for event in events:
        alerts[event.alert_id].append(event)
    return alerts


@settings(deadline=None, max_examples=300)
@given(story=STORIES)
def test_every_alert_lives_by_the_table_and_ends(story: list[Any], new_bed: Callable[[], Any]) -> None:
    """Seq is gapless from 1, each state may follow the last, no id is used twice, and every alert ends."""
    bed = new_bed()
    at = play(bed, story)
    at += bed.alerts.expire_ms
    bed.keep(bed.book.tick(at))
    assert bed.book.idle
    assert bed.book.next_deadline is None
    for events in by_alert(bed.said).values():
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
