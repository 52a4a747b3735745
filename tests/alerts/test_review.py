"""Deferred scores that wait for a person: which wait, what may be answered, and how long an answer holds."""

from __future__ import annotations

import pytest

from alerts.review import REVIEWED_MS, SCORES_KEPT_MAX, WAIT_MS_MAX, ReviewDesk
from guardrails.verdict import Verdict

DEFERRED = Verdict("out_of_distribution", "defer", "unlike", "lactate")
PASSED = Verdict("delivery", "pass", "open")
MINUTE = 60_000


@pytest.fixture
def desk() -> ReviewDesk:
    """Give a desk at which one score waits."""
    desk = ReviewDesk()
    desk.hear("s0", 0, 0.6, DEFERRED, 0.1)
    return desk


def test_a_deferred_score_waits_with_its_reason(desk: ReviewDesk) -> None:
    """What waits says which score, since when, by which filter and why; later ones of the same wait renew it."""
    desk.hear("s1", MINUTE, 0.7, DEFERRED, 0.1)
    waiting = desk.waiting_at(MINUTE)
    assert waiting is not None
    assert (waiting.score_ids, waiting.since, waiting.at, waiting.probability) == (("s0", "s1"), 0, MINUTE, 0.7)
    assert (waiting.filter, waiting.reason, waiting.detail) == ("out_of_distribution", "unlike", "lactate")


@pytest.mark.parametrize(("probability", "verdict"), [(0.6, PASSED), (None, DEFERRED)])
def test_what_is_not_deferred_or_would_be_silent_anyway_waits_for_nobody(
    desk: ReviewDesk, probability: float | None, verdict: Verdict
) -> None:
    """A score that passes, or whose risk would not be told, ends the wait."""
    desk.hear("s1", MINUTE, probability, verdict, 0.1)
    assert desk.waiting is None


def test_a_wait_that_nothing_renews_is_over(desk: ReviewDesk) -> None:
    """After its time a score cannot be answered any more, and is not shown."""
    assert desk.waiting_at(WAIT_MS_MAX) is not None
    assert desk.waiting_at(WAIT_MS_MAX + 1) is None
    assert not desk.decide("s0", WAIT_MS_MAX + 1, tell=True)


def test_the_last_scores_of_a_wait_may_be_answered(desk: ReviewDesk) -> None:
    """While somebody decides, newer scores come: each of the last few stands for the wait; an unknown one does not."""
    for number in range(1, SCORES_KEPT_MAX + 1):
        desk.hear(f"s{number}", number * MINUTE, 0.6, DEFERRED, 0.1)
    assert not desk.decide("s0", 10 * MINUTE, tell=True)
    assert desk.decide("s1", 10 * MINUTE, tell=True)
    assert desk.told_until == 10 * MINUTE + REVIEWED_MS


def test_an_answer_given_twice_counts_once(desk: ReviewDesk) -> None:
    """The same answer again finds nothing that waits, and prolongs nothing."""
    assert desk.decide("s0", MINUTE, tell=True)
    assert not desk.decide("s0", 9 * MINUTE, tell=True)
    assert desk.told_until == MINUTE + REVIEWED_MS


def test_what_was_withheld_is_asked_again_only_if_it_rises_or_later(desk: ReviewDesk) -> None:
    """For its time a withheld risk waits no more, unless it rose by the step; then, and after it, it waits again."""
    assert desk.decide("s0", MINUTE, tell=False)
    desk.hear("s1", 2 * MINUTE, 0.69, DEFERRED, 0.1)
    assert desk.waiting is None
    desk.hear("s2", 3 * MINUTE, 0.7, DEFERRED, 0.1)
    assert desk.waiting is not None
    desk.decide("s2", 4 * MINUTE, tell=False)
    desk.hear("s3", 4 * MINUTE + REVIEWED_MS, 0.5, DEFERRED, 0.1)
    assert desk.waiting is not None
