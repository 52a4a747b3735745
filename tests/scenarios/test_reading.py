"""A story that cannot be meant is refused, with its file, its line and what is expected."""

from __future__ import annotations

import pytest

from stream.scenarios.faults import StoryError
from stream.scenarios.reading import parse_story
from stream.scenarios.words import Story

WHOLE = """title: A story
shows: [topic.example]
story: Something happens.
start: 2026-03-02 08:00
patients:
  Mrs Okafor: {age: 74, sex: female}
timeline:
  - {at: +0:00, who: Mrs Okafor, admit: Ward A/12}
  - at: +1:10
    who: Mrs Okafor
    chart: {rest: normal, pulse: 132}
    then: [{raised: new_red, how: notify}]
"""
"""Line 8 admits, lines 9 to 12 chart."""


def test_times_are_texts_and_numbers_numbers() -> None:
    """`+1:10` stays a time (YAML 1.1 reads 70 seconds), and 132 is a number."""
    story = parse_story(WHOLE)
    assert (story.timeline[1].at, story.timeline[1].chart) == ("+1:10", {"rest": "normal", "pulse": 132.0})


FAULTS = [
    ("title: A story", "titel: A story", 1, "titel: is not a word of a story"),
    ("age: 74", "age: old", 6, "patients"),
    ("who: Mrs Okafor, admit", "who: Mr Nobody, admit", 8, "'Mr Nobody' is none of the patients"),
    ("admit: Ward A/12", "admit: Ward A/12, transfer: Ward B", 8, "a step is one thing"),
    ("{at: +0:00,", "{at: +2:00,", 9, "before the step above it"),
    ("{at: +0:00,", "{at: 0:00,", 8, "timeline 1 at"),
    ("    who: Mrs Okafor\n    chart", "    chart", 10, "needs `who`"),
    ("pulse: 132", "puls: 132", 11, "no vital sign or laboratory value"),
    ("pulse: 132", "pulse: fast", 11, "expected a number"),
    ("chart: {rest: normal, pulse: 132}", "hl7: PID|1||{mrn of Mr Nobody}", 11, "'Mr Nobody' is none of the patients"),
    ("rest: normal", "rest: usual", 11, "expected normal"),
    ("{raised: new_red, how: notify}", "{raised: because, how: notify}", 12, "timeline 2 then 1 raised"),
    ("{raised: new_red, how: notify}", "{raised: new_red}", 12, "each alert needs it"),
    ("{raised: new_red, how: notify}", "{raised: new_red, updated: calm, how: notify}", 12, "found raised, updated"),
    ("{raised: new_red, how: notify}", "{how: notify}", 12, "found none"),
    ("    then:", "    chart: {}\n    then:", 12, "stands here twice"),
    ("    then:", "    to: Ward B\n    then:", 12, "goes with cancel"),
    ("    then:", "    every: +0:05\n    then:", 9, "`every` needs `until`"),
    ("start: 2026-03-02 08:00", "start: 2026-03-02 08:00\nzone: Mars/Olympus", 5, "unknown time zone"),
    ("start: 2026-03-02 08:00", "start: tomorrow", 4, "start"),
    ("start:", "configuration: {guardrails: {raise_at: 2}}\nstart:", 4, "not a probability"),
    ("start:", "configuration: {guardrail: {}}\nstart:", 4, "unknown field"),
    ("start:", "model: {shadow: true}\nstart:", 4, "needs either a risk or an input"),
    ("start:", "model: {risk: high}\nstart:", 4, "expected a percentage"),
    (
        "start:",
        "model: {follows: mood, low: {at: 0, risk: 1 %}, high: {at: 1, risk: 2 %}}\nstart:",
        4,
        "expected an input",
    ),
    ("age: 74", "age: &a 74", 6, None),
    ("story: Something happens.", "story: *a", 3, "aliases are not read"),
    ("shows: [topic.example]", "shows: [nonsense]", 2, "shows 1"),
    ("title: A story", "title: [A story", 2, ""),
]


@pytest.mark.parametrize(("before", "after", "line", "words"), FAULTS)
def test_a_fault_is_named_with_its_line(before: str, after: str, line: int, words: str | None) -> None:
    """Each planted fault is refused on its own line, in words that say what is wrong; the harmless one is read."""
    assert WHOLE.count(before)
    text = WHOLE.replace(before, after, 1) if before != "    then:" else WHOLE.replace("    then:", after)
    if words is None:
        assert isinstance(parse_story(text), Story)
        return
    with pytest.raises(StoryError) as refused:
        parse_story(text, "a.yaml")
    assert str(refused.value).startswith("a.yaml, line ")
    assert (refused.value.line, words in str(refused.value)) == (line, True), str(refused.value)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "a: !!python/object:os.system x\n", "\x00", "a: " + "[" * 2_000])
def test_what_is_no_story_is_refused_and_run_by_nobody(text: str) -> None:
    """Empty files, lists, objects of Python, control characters and depth are refused as stories."""
    with pytest.raises(StoryError):
        parse_story(text)
