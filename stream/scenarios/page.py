"""scenarios/README.md: every story with what it shows, and every word a story may use.

Owns the page's text. Must not know where it is written: a test holds the checked-in page equal to this.
"""

from __future__ import annotations

from collections.abc import Mapping

from stream.scenarios.schema import words_tables
from stream.scenarios.words import Story

HEAD = """# Ward stories

What the ward must be told, must not be told, and when: each file is one story in clinical words. CI plays it through
the codecs on the embedded host, and from the same log through real workers on Kafka and Redis. Whatever a ward is told
is expected in the story, or the story fails.

    wardstream scenarios run                       # all of them
    wardstream scenarios run scenarios/bed_swap.yaml -v
    wardstream scenarios run --list

This page is written by `wardstream scenarios index`. How to add a story: [CONTRIBUTING](../CONTRIBUTING.md).

"""


def page_text(stories: Mapping[str, Story]) -> str:
    """Write the page of these stories, by file name."""
    awaiting = {name: story for name, story in stories.items() if story.awaits}
    rows = "\n".join(_row(name, stories[name]) for name in sorted(stories))
    text = f"{HEAD}## The {len(stories)} stories\n\n| story | shows |\n| --- | --- |\n{rows}\n"
    if awaiting:
        lines = "\n".join(f"- [{story.title}]({name}): {story.awaits}" for name, story in sorted(awaiting.items()))
        text += f"\n## Stories that cannot pass yet\n\nEach is counted in CI, and fails once it passes.\n\n{lines}\n"
    return f"{text}\n## The words of a story\n\n{words_tables()}"


def _row(name: str, story: Story) -> str:
    title = story.title.replace("|", "\\|")
    return f"| [{title}]({name}) | {', '.join(story.shows)} |"
