"""What is wrong with a story, by file and line.

Owns that error. Must not know what makes a story right.
"""

from __future__ import annotations


class StoryError(ValueError):
    """The author's: a story that cannot be read. The text names file, line, place and what is expected."""

    def __init__(self, name: str, line: int, place: str, words: str) -> None:
        """Say it in one line."""
        where = f"{place}: " if place else ""
        super().__init__(f"{name}, line {line}: {where}{words}")
        self.line = line


class PlaceError(ValueError):
    """Something is wrong at a place of a story; who knows the file makes a `StoryError` of it."""

    def __init__(self, place: tuple[str | int, ...], words: str) -> None:
        """Keep the place and the words."""
        super().__init__(words)
        self.place = place
        self.words = words
