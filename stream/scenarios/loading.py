"""Stories found on a disk.

Owns the finding, and the files that are written of them. Must not know how a story is played.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from stream.scenarios.page import page_text
from stream.scenarios.reading import read_story
from stream.scenarios.schema import schema_text
from stream.scenarios.words import Story

SUFFIX = ".yaml"
PAGE = Path("scenarios") / "README.md"
SCHEMA = Path("docs") / "schemas" / "scenario.v1.json"


class NoStoriesError(ValueError):
    """The operator's: there is no story at the place named."""


def find_stories(paths: Iterable[Path]) -> list[Path]:
    """Give the files of stories at these places, folders searched; raises `NoStoriesError` for a place with none."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.rglob(f"*{SUFFIX}")) if path.is_dir() else [path]
        if not inside or not inside[0].exists():
            raise NoStoriesError(f"no stories (*{SUFFIX}) at {path.name}: name a file or a folder of them")
        found += inside
    return found


def load_stories(folder: Path) -> dict[str, Story]:
    """Read every story of a folder, by file name; raises `StoryError`."""
    return {path.relative_to(folder).as_posix(): read_story(path) for path in find_stories([folder])}


def generated(root: Path) -> dict[Path, str]:
    """Give what the checked-in page and schema must say, by path below the root."""
    return {PAGE: page_text(load_stories(root / "scenarios")), SCHEMA: schema_text()}
