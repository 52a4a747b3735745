"""The judge is strict: what is late, early, other, missing or too much fails, and is told."""

from __future__ import annotations

import pytest

from stream.scenarios.judging import judge
from stream.scenarios.names import Names
from stream.scenarios.playing import play
from stream.scenarios.reading import parse_story
from stream.scenarios.telling import timeline

STORY = """title: A story
shows: [topic.example]
story: An emergency.
start: 2026-03-02 08:00
patients:
  Mrs Okafor: {age: 74, sex: female}
  Mr Ito: {age: 60}
timeline:
  - {at: +0:00, who: Mrs Okafor, admit: Ward A/12}
  - at: +0:10
    who: Mrs Okafor
    chart: {rest: normal, respiration_rate: 28, spo2: 90, pulse: 132}
    then:
      - {raised: band_rise, how: interrupt, news2: 9, ward: Ward A, bed: "12", late: false, age: +0:01, scale: 1}
      - score: {news2: 9, respiration_rate: 3, missing: []}
      - verdict: {version_status: abstain no_version}
      - message: accepted
  - {at: +0:25, who: Mrs Okafor, then: [{escalated: unanswered, how: interrupt}]}
"""


def lines_of(text: str) -> list[str]:
    """Play a story; give what is wrong with it."""
    story = parse_story(text)
    names = Names(story)
    return [f"{line.mark}: {line.words}" for line in judge(play(story, names), names).lines if line.mark != "ok"]


def test_the_story_as_it_is_holds() -> None:
    """The story that the others change holds."""
    assert lines_of(STORY) == []


CHANGES = [
    ("how: interrupt, news2", "how: notify, news2"),
    ("news2: 9, ward", "news2: 8, ward"),
    ("ward: Ward A,", "ward: Ward B,"),
    ('bed: "12"', 'bed: "13"'),
    ("late: false", "late: true"),
    ("age: +0:01", "age: +0:02"),
    ("scale: 1", "scale: 2"),
    ("scale: 1", "parameters: [spo2]"),
    ("scale: 1", "trigger: model"),
    ("scale: 1", "who: Mr Ito"),
    ("scale: 1", "episode: same"),
    ("raised: band_rise", "raised: new_red"),
    ("raised: band_rise", "updated: band_rise"),
    ("escalated: unanswered", "expired: no_fresh_evidence"),
    ("at: +0:25", "at: +0:24"),
    ("at: +0:25", "at: +0:26"),
]


@pytest.mark.parametrize(("before", "after"), CHANGES)
def test_an_alert_that_is_not_as_expected_is_missing_and_too_much(before: str, after: str) -> None:
    """An expectation that differs in anything it says is missing, and what came instead is too much."""
    marks = [line.partition(":")[0] for line in lines_of(STORY.replace(before, after))]
    late = after == "at: +0:24"  # the story ends before the alert escalates
    assert sorted(marks) == (["missing"] if late else ["missing", "unexpected"])


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("{news2: 9, respiration", "{news2: 7, respiration", "there is news2 9"),
        ("missing: []", "missing: [spo2]", "missing"),
        ("respiration_rate: 3", "respiration_rate: none", "there is"),
        ("abstain no_version", "pass enabled", "there is version_status abstain no_version"),
        ("message: accepted", "message: duplicate", "there is accepted"),
        ("message: accepted", "withheld: {scope: under_16}", "version_status no_version"),
    ],
)
def test_a_score_or_message_that_is_not_as_expected_says_what_there_is(before: str, after: str, words: str) -> None:
    """What is wrong with a score, a verdict, a message or a suppression is told beside what there is."""
    [line] = lines_of(STORY.replace(before, after))
    assert line.startswith("missing: ")
    assert words in line


def test_an_alert_nobody_expected_fails_wherever_it_comes() -> None:
    """Taking one expectation out leaves its alert as too much."""
    [line] = lines_of(STORY.replace("then: [{escalated: unanswered, how: interrupt}]", "then: nothing"))
    assert line.startswith("unexpected: Mrs Okafor: floor escalated unanswered, interrupt")


def test_one_alert_answers_one_expectation() -> None:
    """The same expectation twice is missing once: nothing is counted twice."""
    twice = "then: [{escalated: unanswered, how: interrupt}, {escalated: unanswered, how: interrupt}]"
    [line] = lines_of(STORY.replace("then: [{escalated: unanswered, how: interrupt}]", twice))
    assert line.startswith("missing: ")


def test_the_timeline_says_what_was_expected_what_came_and_when() -> None:
    """A failure is told with its time since the start, the ward's clock, the step, and both sides."""
    story = parse_story(STORY.replace("how: interrupt, news2", "how: notify, news2"))
    names = Names(story)
    played = play(story, names)
    text = timeline(story, played, judge(played, names), whole=False)
    assert "+0:10  Mon 08:10" in text
    assert "Mrs Okafor: chart rest normal, respiration_rate 28" in text
    assert "MISSING  Mrs Okafor: floor raised band_rise, notify" in text
    assert "TOO MUCH Mrs Okafor: floor raised band_rise, interrupt" in text
    assert "+0:25" not in text


def test_a_story_gives_the_same_log_each_time() -> None:
    """Played twice, a story comes to the same log and the same outputs."""
    story = parse_story(STORY)
    first, second = play(story), play(story)
    assert (first.log, first.outputs) == (second.log, second.outputs)
