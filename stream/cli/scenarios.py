"""`wardstream scenarios run / index`: ward stories played on the embedded host, and the page of them.

Owns the commands and what they print. Must not know how a story is read, played or judged.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stream.cli import EXIT_DONE, EXIT_FAILED

if TYPE_CHECKING:
    from stream.scenarios.words import Story

HELP = """Play ward stories: what must be told, must not be told, and when.

A story is a YAML file in clinical words (scenarios/README.md has them all). It goes through the codecs, [parse] and the
folds of the embedded host; everything the ward is told must be expected in it, at its minute.

\b
Examples:
  wardstream scenarios run
  wardstream scenarios run scenarios/dying_man.yaml --verbose
  wardstream scenarios run --list
  wardstream scenarios index
"""
RUN_HELP = """Play the stories at PATHS (default: the folder `scenarios`).

Of each that fails it is told what was expected, what came, and when. Exit 1 where one fails; a story that says what it
awaits is named, and fails once it passes.
"""


@click.group("scenarios", help=HELP)
def command() -> None:
    """Group the commands."""


@command.command("run", help=RUN_HELP)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--list", "listing", is_flag=True, help="Only list the stories, with what each shows.")
@click.option("--verbose", "-v", is_flag=True, help="Tell each story whole, also those that hold.")
def run(paths: tuple[Path, ...], *, listing: bool, verbose: bool) -> int:
    """Play stories."""
    from stream.scenarios.faults import StoryError
    from stream.scenarios.loading import NoStoriesError, find_stories
    from stream.scenarios.reading import read_story

    try:
        stories = [(path, read_story(path)) for path in find_stories(paths or (Path("scenarios"),))]
    except (StoryError, NoStoriesError) as error:
        raise click.UsageError(str(error)) from None
    if listing:
        for path, story in stories:
            mark = f"  AWAITS {story.awaits}" if story.awaits else ""
            click.echo(f"{path.stem}: {story.title}\n    {', '.join(story.shows)}{mark}")
        return EXIT_DONE
    return _play(stories, verbose=verbose)


@command.command("index")
def index() -> int:
    """Write scenarios/README.md and docs/schemas/scenario.v1.json anew, from the root of the repository."""
    from stream.scenarios.faults import StoryError
    from stream.scenarios.loading import NoStoriesError, generated

    try:
        pages = generated(Path())
    except (StoryError, NoStoriesError) as error:
        raise click.UsageError(str(error)) from None
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
        click.echo(f"wrote {path}")
    return EXIT_DONE


def _play(stories: list[tuple[Path, Story]], *, verbose: bool) -> int:
    from stream.scenarios.judging import judge
    from stream.scenarios.names import Names
    from stream.scenarios.playing import play
    from stream.scenarios.telling import timeline

    failed = awaiting = 0
    for path, story in stories:
        names = Names(story)
        played = play(story, names)
        judged = judge(played, names)
        holds = judged.well != bool(story.awaits)
        failed += not holds
        awaiting += holds and bool(story.awaits)
        state = "FAILED" if not holds else "awaits" if story.awaits else "ok"
        click.echo(f"{state:7}{path.stem}: {story.title}")
        if story.awaits:
            click.echo(f"       {'it passes: take `awaits` out' if judged.well else story.awaits}")
        if verbose or (not holds and not judged.well):
            click.echo(timeline(story, played, judged, whole=verbose))
    click.echo(f"{len(stories)} stories, {failed} failed, {awaiting} await what is not built yet")
    return EXIT_FAILED if failed else EXIT_DONE
