"""CONTRIBUTING's example of a story is one that holds."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

from stream.scenarios.judging import judge
from stream.scenarios.names import Names
from stream.scenarios.playing import play
from stream.scenarios.reading import parse_story

PAGE = Path(__file__).resolve().parents[2] / "CONTRIBUTING.md"


def test_the_example_holds() -> None:
    """The story in CONTRIBUTING is read and holds as it stands there."""
    [text] = re.findall(r"^(    title: .*?)\n\n1\. ", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    story = parse_story(dedent(text), "CONTRIBUTING.md")
    names = Names(story)
    judged = judge(play(story, names), names)
    assert [line.words for line in judged.lines if line.mark != "ok"] == []
    assert judged.lines
