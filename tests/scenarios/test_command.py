"""`wardstream scenarios`: what it prints, and how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from stream.cli.scenarios import command

ROOT = Path(__file__).resolve().parents[2]
STORY = ROOT / "scenarios" / "resolved_only_by_fresh_calm.yaml"


@pytest.fixture
def run() -> object:
    """Give the command, run in this process; results carry its exit code and words."""

    def invoke(*arguments: object) -> tuple[object, str]:
        done = CliRunner().invoke(command, [str(one) for one in arguments], standalone_mode=False)
        return done.return_value if done.exception is None else done.exception, done.output

    return invoke


def test_a_story_that_holds_ends_with_0(run):
    """A story that holds is one line, and the exit code is 0."""
    code, said = run("run", STORY)
    assert code == 0
    assert said.splitlines()[0].startswith("ok     resolved_only_by_fresh_calm: One normal set")
    assert said.splitlines()[-1] == "1 stories, 0 failed, 0 await what is not built yet"


def test_a_story_that_fails_tells_the_moment_and_ends_with_1(run, tmp_path):
    """A failing story shows what was expected and what came, at what time; the exit code is 1."""
    path = tmp_path / "wrong.yaml"
    path.write_text(STORY.read_text(encoding="utf-8").replace("resolved: calm", "resolved: inputs_usable"))
    code, said = run("run", path)
    assert code == 1
    assert "FAILED wrong: One normal set" in said
    assert "+1:45" in said
    assert "MISSING  Mr Novak: floor resolved inputs_usable, notify" in said
    assert "TOO MUCH Mr Novak: floor resolved calm, notify" in said


def test_a_story_that_holds_and_awaits_fails(run, tmp_path):
    """`awaits` on a story that holds is a failure: nothing stays excused that works."""
    path = tmp_path / "stale.yaml"
    path.write_text("awaits: nothing any more\n" + STORY.read_text(encoding="utf-8"))
    code, said = run("run", path)
    assert code == 1
    assert "it passes: take `awaits` out" in said


def test_a_story_that_awaits_is_named_and_counted(run, tmp_path):
    """One that cannot hold yet is listed with its reason and counted, and does not fail the run."""
    path = tmp_path / "hoped.yaml"
    hoped = STORY.read_text(encoding="utf-8").replace("resolved: calm", "resolved: inputs_usable")
    path.write_text("awaits: what nobody built\n" + hoped)
    code, said = run("run", path)
    assert code == 0
    assert "awaits hoped" in said
    assert "what nobody built" in said
    assert "1 await what is not built yet" in said


def test_the_list_names_every_story_with_what_it_shows(run):
    """`--list` plays nothing and names each story of a folder."""
    code, said = run("run", "--list", ROOT / "scenarios")
    assert code == 0
    files = sorted((ROOT / "scenarios").glob("*.yaml"))
    assert [path.stem for path in files if f"{path.stem}: " not in said] == []
    assert "    pains.9, topic.daylight_saving" in said


@pytest.mark.parametrize("text", ["title: x\n", "title: [\n"])
def test_a_story_that_cannot_be_read_is_wrong_usage(run, tmp_path, text):
    """What cannot be read is named with file and line, as wrong usage."""
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    fault, _said = run("run", path)
    assert getattr(fault, "exit_code", None) == 2
    assert "broken.yaml, line " in str(fault)


def test_a_place_without_stories_is_wrong_usage(run, tmp_path):
    """An empty folder, or a name that leads nowhere, is no success."""
    for place in (tmp_path, tmp_path / "nowhere.yaml"):
        fault, _said = run("run", place)
        assert getattr(fault, "exit_code", None) == 2
