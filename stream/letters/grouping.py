"""Letters by cause: what is to be mended once, however many messages it refused.

Owns the groups and their order. Must not know where letters are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from stream.causes import Cause
from stream.letters.kept import KeptLetter

CAUSES_MAX = 10_000
"""Causes told apart: reasons times places are some hundreds; a place that a sender makes up could be more."""
FEEDS_SHOWN = 3
DIGEST_BYTES = 12
"""Of a message's digest: enough to tell a year's letters apart, in little memory."""


class Group(msgspec.Struct, frozen=True):
    """All letters of one cause."""

    cause: Cause
    letters: int
    messages: int
    """Different ones: a sender that repeats what was refused makes a letter each time."""
    open: int
    """Of the different messages, those that have not been taken since."""
    feeds: tuple[str, ...]
    first: str
    last: str
    example: str
    """The name of the newest letter."""


class _Gathered:
    """A group while it grows."""

    def __init__(self, letter: KeptLetter) -> None:
        self.letters = 0
        self.first = letter.received
        self.last = letter.received
        self.example = letter.name
        self.feeds: dict[str, None] = {}
        self.digests: dict[bytes, bool] = {}

    def add(self, letter: KeptLetter, taken: Callable[[KeptLetter], bool]) -> None:
        """Count a letter."""
        self.letters += 1
        self.first = min(self.first, letter.received)
        if letter.received >= self.last:
            self.last, self.example = letter.received, letter.name
        self.feeds[letter.feed or "(unknown)"] = None
        message = bytes.fromhex(letter.digest)[:DIGEST_BYTES]
        if message not in self.digests:
            self.digests[message] = taken(letter)


def grouped(letters: Iterable[KeptLetter], taken: Callable[[KeptLetter], bool] = lambda _letter: False) -> list[Group]:
    """Group letters by cause, the one with most open messages first; `taken` says whose message is in the log by now.

    >>> grouped([])
    []
    """
    groups: dict[Cause, _Gathered] = {}
    for letter in letters:
        cause = letter.cause
        if cause not in groups and len(groups) >= CAUSES_MAX:
            cause = Cause(letter.reason, "(other places)")
        groups.setdefault(cause, _Gathered(letter)).add(letter, taken)
    told = [_told(cause, group) for cause, group in groups.items()]
    return sorted(told, key=lambda group: (-group.open, -group.letters, group.cause))


def _told(cause: Cause, group: _Gathered) -> Group:
    feeds = tuple(sorted(group.feeds))
    more = (f"and {len(feeds) - FEEDS_SHOWN} more",) if len(feeds) > FEEDS_SHOWN else ()
    return Group(
        cause=cause,
        letters=group.letters,
        messages=len(group.digests),
        open=sum(not taken for taken in group.digests.values()),
        feeds=feeds[:FEEDS_SHOWN] + more,
        first=group.first,
        last=group.last,
        example=group.example,
    )
