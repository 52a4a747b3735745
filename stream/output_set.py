"""Outputs as a set: one content per id, whatever order and however often they came.

Owns the comparison of two such sets by id, and where one id came with two contents. Must not know where outputs come
from. `stream.digest` says in one line whether two runs are equal; this says which outputs are not.
"""

from __future__ import annotations

from collections import defaultdict
from hashlib import sha256

from stream.digest import RunDigest

NAMED_MAX = 20
"""Ids told of each kind of difference; the rest are counted."""


class OutputSet:
    """Outputs by kind and id; some 150 bytes of memory an output.

    >>> a, b = OutputSet(), OutputSet()
    >>> a.add("scores", "1", b"x"); b.add("scores", "1", b"x"); b.add("scores", "1", b"x")
    >>> a.hexdigest() == b.hexdigest()
    True
    >>> b.add("scores", "2", b"y"); a.difference(b)
    ['scores 2: only in the second']
    """

    def __init__(self) -> None:
        self._contents: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
        self._digest = RunDigest()
        self.diverged: list[str] = []
        """Outputs that came with two contents, as `kind id`: our bug, whoever shows it."""

    def add(self, kind: str, name: str, content: bytes) -> None:
        """Take one output."""
        digest = sha256(content).digest()
        known = self._contents[kind].setdefault(name, digest)
        if known != digest:
            self.diverged.append(f"{kind} {name}")
        if kind != "signals":  # What is said of silence is compared by id, and has a digest of its own in a replay.
            self._digest.add(kind, name, content)

    def ids(self, kind: str) -> set[str]:
        """Give the ids of a kind."""
        return set(self._contents.get(kind, ()))

    def has(self, kind: str, name: str) -> bool:
        """Say whether there is an output of that id."""
        return name in self._contents.get(kind, {})

    def counts(self) -> dict[str, int]:
        """Give how many outputs there are of each kind."""
        return {kind: len(contents) for kind, contents in sorted(self._contents.items())}

    def hexdigest(self) -> str:
        """Give the digest, as `stream.digest` does; raises `DivergedOutputError`."""
        return self._digest.hexdigest()

    def missing(self, other: OutputSet, kind: str) -> list[str]:
        """Give the ids of a kind that `other` has and this set has not."""
        return sorted(other.ids(kind) - self.ids(kind))

    def changed(self, other: OutputSet, kind: str) -> list[str]:
        """Give the ids of a kind that both have, with two contents."""
        mine, theirs = self._contents.get(kind, {}), other._contents.get(kind, {})
        return sorted(name for name in mine.keys() & theirs.keys() if mine[name] != theirs[name])

    def difference(self, other: OutputSet, named_max: int = NAMED_MAX) -> list[str]:
        """Say in which outputs two sets differ, a line each; nothing where they are equal."""
        lines: list[str] = []
        for kind in sorted(self._contents.keys() | other._contents.keys()):
            for names, words in (
                (other.missing(self, kind), "only in the first"),
                (self.missing(other, kind), "only in the second"),
                (self.changed(other, kind), "another content"),
            ):
                lines += [f"{kind} {name}: {words}" for name in names[:named_max]]
                if len(names) > named_max:
                    lines.append(f"{kind}: {len(names) - named_max} more {words}")
        return lines
