"""What the stories show between them, and the pages made of them."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import msgspec
import pytest

from stream.scenarios.coverage import PAINS, UNREACHABLE, lacking, unfounded, wanted
from stream.scenarios.loading import generated, load_stories
from stream.scenarios.reading import parse_document
from stream.scenarios.schema import scenario_schema
from stream.scenarios.words import Story
from tests.safety.page import read_log

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "scenarios"


@pytest.fixture(scope="module")
def stories() -> dict[str, Story]:
    """Give every story by file name."""
    return load_stories(FOLDER)


def test_everything_has_a_story(stories: dict[str, Story]) -> None:
    """Each line of the pains, each reason of each filter and each state of an alert has a story that holds."""
    assert lacking(stories.values()) == []


def test_a_claim_is_expected_by_its_story(stories: dict[str, Story]) -> None:
    """No story claims to show a reason or a state that none of its steps expects."""
    assert {name: lines for name, story in stories.items() if (lines := unfounded(story))} == {}


def test_what_awaits_something_shows_nothing_yet(stories: dict[str, Story]) -> None:
    """Of stories that all await something, everything is lacking."""
    awaiting = [msgspec.structs.replace(story, awaits="x") for story in stories.values()]
    assert lacking(awaiting) == list(wanted())


def test_a_claim_that_nothing_expects_is_found(stories: dict[str, Story]) -> None:
    """A story whose expectations are taken out has no ground for its claims any more."""
    story = stories["dying_man.yaml"]
    bare = msgspec.structs.replace(story, timeline=story.timeline[:1], shows=("state.raised", "nonsense.1", "pains.99"))
    assert [line.partition(":")[0] for line in unfounded(bare)] == ["state.raised", "nonsense.1", "pains.99"]


def test_the_pains_are_those_of_the_list() -> None:
    """There are sixteen of them, and each reason that no story can reach says where it is tested instead."""
    assert len(PAINS) == 16
    assert all("tests/" in words for words in UNREACHABLE.values())
    named = [words[words.index("tests/") :].split()[0].rstrip(".,;") for words in UNREACHABLE.values()]
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_a_hazard_that_is_claimed_is_in_the_log(stories: dict[str, Story]) -> None:
    """Each hazard that a story names is one of the hazard log's."""
    known = {f"hazard.{one.id}" for one in read_log()}
    claimed = {claim for story in stories.values() for claim in story.shows if claim.startswith("hazard.")}
    assert claimed <= known


@pytest.mark.parametrize("path", ["scenarios/README.md", "docs/schemas/scenario.v1.json"])
def test_the_checked_in_page_is_the_generated_one(path: str) -> None:
    """The page of the stories and the schema are what `wardstream scenarios index` writes."""
    assert (ROOT / path).read_text(encoding="utf-8") == generated(ROOT)[Path(path)]


def test_the_schema_accepts_every_story() -> None:
    """An editor that checks by the published schema finds no fault in any story."""
    validator = jsonschema.Draft202012Validator(scenario_schema())
    faults = []
    for path in sorted(FOLDER.rglob("*.yaml")):
        document, _lines = parse_document(path.read_text(encoding="utf-8"), path.name)
        faults += [f"{path.name}: {error.message[:200]}" for error in validator.iter_errors(document)]
    assert faults == []
