"""What the stories must show between them, and what each claims to show.

Owns the list of everything that needs a story: each line of the pains, each reason a filter may give, each state of an
alert, each signal of the monitoring. Must not know where the stories lie. A claim counts only if the story expects it:
a label is no evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from alerts.lifecycle import TRANSITIONS
from alerts.monitoring.signal import KINDS
from guardrails.chain import CHAIN
from guardrails.floor import Applicability, floor_verdict
from stream.scenarios.words import STATES, Expected, Story

PAINS = tuple(f"pains.{number}" for number in range(1, 17))
"""The sixteen lines of what users of such systems suffer today (docs/hospital.md names the sources of some)."""
FLOOR_REASONS: tuple[Applicability, ...] = ("under_16", "pregnancy", "deceased")
SIGNALS = tuple(kind for kind in KINDS if kind not in ("heartbeat", "monitor_full", "monitor_failed"))
"""What the monitoring says of the ward's systems; the others are of itself (tests/alerts/monitoring)."""
UNREACHABLE: dict[str, str] = {
    "filter.version_status.not_finite": "the scorer gives no number that is none (`no_probability`); the filter is the "
    "second lock, held by tests/guardrails/test_filters.py",
    "filter.version_status.model_failed": "it takes a bug of ours in the scorer; tests/guardrails/test_filters.py",
}
"""Reasons that no message can bring about, each with why and where it is tested instead."""
SUBJECTS = ("pains", "filter", "state", "hazard", "topic", "news2", "act", "signal", "ward")
"""What a word of `shows` may begin with."""

assert all(floor_verdict(reason).reason == reason for reason in FLOOR_REASONS), "each is a verdict of the floor"


def wanted() -> tuple[str, ...]:
    """Give everything that needs a story.

    >>> "state.raised" in wanted(), "filter.scope.under_16" in wanted(), "pains.16" in wanted()
    (True, True, True)
    """
    reasons = [f"filter.{one.name}.{reason}" for one in CHAIN for reason in one.REASONS]
    floor = [f"filter.news2_floor.{reason}" for reason in FLOOR_REASONS]
    states = [f"state.{state}" for state in TRANSITIONS if state != "none"]
    signals = [f"signal.{kind}" for kind in SIGNALS]
    return tuple(one for one in (*PAINS, *floor, *reasons, *states, *signals) if one not in UNREACHABLE)


def lacking(stories: Iterable[Story]) -> list[str]:
    """Give what no story shows; one that awaits something shows nothing yet."""
    shown = {claim for story in stories if not story.awaits for claim in story.shows}
    return [one for one in wanted() if one not in shown]


def unfounded(story: Story) -> list[str]:
    """Give the claims of a story that it does not expect, or that are none of the known ones."""
    expected = set(_expected(story))
    known = set(wanted())
    lines = []
    for claim in story.shows:
        subject = claim.partition(".")[0]
        if subject not in SUBJECTS:
            lines.append(f"{claim}: a claim begins with one of {', '.join(SUBJECTS)}")
        elif subject in ("pains", "filter", "state", "signal") and claim not in known:
            lines.append(f"{claim}: there is no such thing to show")
        elif subject in ("filter", "state", "signal") and claim not in expected:
            lines.append(f"{claim}: no step expects it")
    return lines


def _expected(story: Story) -> Iterator[str]:
    for step in story.timeline:
        for one in step.then if isinstance(step.then, tuple) else ():
            yield from _claims(one)


def _claims(one: Expected) -> Iterator[str]:
    for state in STATES:
        if getattr(one, state) is not None:
            yield f"state.{state}"
    if one.signal is not None:
        yield f"signal.{one.signal.partition(' ')[0]}"
    verdicts: Mapping[str, str] = one.verdict or {}
    for name, words in verdicts.items():
        yield f"filter.{name}.{words.rpartition(' ')[2]}"
    for name, reason in (one.withheld or {}).items():
        yield f"filter.{name}.{reason}"
