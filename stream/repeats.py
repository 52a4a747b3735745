"""Which records of a partition came before: the newest ids, as a function of the partition's log alone.

Owns the window and its stored form. Must not know what a record says. [parse] may write a record twice (a crash between
writing it and noting so); each fold drops the second one, live and in replay alike.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from hashlib import blake2b

CHUNK_IDS = 1_000
"""Ids to a stored chunk: what is written anew with every batch is at most 8 KB."""
CHUNKS_MAX = 100
"""With 1,000 ids each: a repeat is at most some batches away, or as far as Redis was restored back."""
BYTES_AN_ID = 8
CHUNK_KEY = "~recent/"
"""Chunks lie in the store beside the patients, under keys that no patient key can have."""


class RecentRecords:
    """The newest record ids of one partition, by chunks; the oldest chunk is forgotten whole.

    >>> recent = RecentRecords()
    >>> recent.add("one"), recent.add("one")
    (True, False)
    """

    __slots__ = ("_changed", "_chunks", "_first", "_known")

    def __init__(self) -> None:
        self._known: set[bytes] = set()
        self._chunks: deque[list[bytes]] = deque([[]])
        self._first = 0
        """The number of the oldest chunk."""
        self._changed: set[int] = set()

    def add(self, envelope_id: str) -> bool:
        """Remember a record's id; say whether it is new."""
        name = blake2b(envelope_id.encode(), digest_size=BYTES_AN_ID).digest()
        if name in self._known:
            return False
        self._known.add(name)
        newest = self._chunks[-1]
        newest.append(name)
        self._changed.add(self._first + len(self._chunks) - 1)
        if len(newest) >= CHUNK_IDS:
            self._chunks.append([])
            if len(self._chunks) > CHUNKS_MAX:
                self._known.difference_update(self._chunks.popleft())
                self._first += 1
        return True

    def take_changes(self) -> dict[str, bytes | None]:
        """Give the chunks changed since the last call, and None for those forgotten, for the store."""
        changes: dict[str, bytes | None] = {}
        for number in self._changed:
            if number >= self._first:
                changes[chunk_key(number)] = number.to_bytes(8) + b"".join(self._chunks[number - self._first])
        if self._changed and self._first:
            # A chunk's key is used anew once it is forgotten; only the number in it says which one it is.
            changes.setdefault(chunk_key(self._first - 1), None)
        self._changed.clear()
        return changes

    def restore(self, stored: Mapping[str, bytes]) -> None:
        """Take over what `take_changes` gave over time; `stored` may hold other keys too."""
        chunks = sorted(
            (int.from_bytes(data[:8]), data[8:]) for key, data in stored.items() if key.startswith(CHUNK_KEY)
        )
        if not chunks:
            return
        self._first = chunks[0][0]
        self._chunks = deque(
            [data[at : at + BYTES_AN_ID] for at in range(0, len(data), BYTES_AN_ID)] for _number, data in chunks
        )
        if len(self._chunks[-1]) >= CHUNK_IDS:
            self._chunks.append([])
        self._known = {name for chunk in self._chunks for name in chunk}


def chunk_key(number: int) -> str:
    """Give the store key of a chunk.

    >>> chunk_key(0)
    '~recent/0'
    """
    return f"{CHUNK_KEY}{number % (CHUNKS_MAX + 1)}"


def chunk_keys() -> list[str]:
    """Give every key that a chunk may lie under, for one read when a partition is opened."""
    return [chunk_key(number) for number in range(CHUNKS_MAX + 1)]
