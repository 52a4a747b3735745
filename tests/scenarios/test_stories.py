"""Every ward story holds on the embedded host."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.scenarios.judging import judge
from stream.scenarios.names import Names
from stream.scenarios.playing import play
from stream.scenarios.reading import read_story
from stream.scenarios.telling import timeline

FOLDER = Path(__file__).resolve().parents[2] / "scenarios"
FILES = sorted(FOLDER.rglob("*.yaml"))
AWAITING_MAX = 0
"""Stories that tell of something that is not built yet. Each is named in scenarios/README.md; the number only falls."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_ward_is_told_what_the_story_says_and_nothing_else(path: Path) -> None:
    """Played through the codecs, the story's wards are told what it expects, when it expects it, and no more."""
    story = read_story(path)
    names = Names(story)
    played = play(story, names)
    judged = judge(played, names)
    if story.awaits:
        assert not judged.well, f"it holds now: take `awaits` out of {path.name}"
    else:
        assert judged.well, "\n" + timeline(story, played, judged)


def test_few_stories_await_anything() -> None:
    """No more stories than known await what is not built."""
    assert len([path for path in FILES if read_story(path).awaits]) <= AWAITING_MAX


def test_there_are_forty_stories_and_more() -> None:
    """At least forty stories hold today."""
    assert len([path for path in FILES if not read_story(path).awaits]) >= 40


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_name_comes_out(path: Path) -> None:
    """No output of a story holds a patient's name, number or FHIR id."""
    story = read_story(path)
    names = Names(story)
    said = " ".join(str(output.document) for output in play(story, names).outputs)
    people = [*story.patients, *(names.fhir_id(name) for name in story.patients)]
    assert [name for name in people if name in said] == []
