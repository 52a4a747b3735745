"""The chain of decisions: each record names the ones before it by their hash, so that none is altered or lost unseen.

Owns the hash, what the next record has to name, and finding where the chain is broken. Must not know what a decision
comes to, nor where records are kept. Two writers may not know of each other (two commands on one topic): then both
name the same record, and the next names both. So what a record names are all records that none has named before it.

What the chain shows: a record before the newest ones that was altered, removed or put in between. What it cannot show
by itself: records cut off at the end, and a whole chain written anew by who may write everything. Against both a head
that was noted elsewhere is held (`wardstream audit verify --head`).
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

TIPS_MAX = 16
"""Records that a record names: as many commands at one moment are a mistake, not a habit."""
KNOWN_MAX = 10_000
"""Hashes in memory. A record names the newest ones; one this old was named long ago."""
FAULTS_MAX = 20


def record_hash(value: bytes) -> str:
    """Name a record by its bytes: SHA-256 in hexadecimal.

    >>> record_hash(b"")[:8]
    'e3b0c442'
    """
    return sha256(value).hexdigest()


class Chain:
    """The chain as far as it was read, in the order of the records.

    >>> chain = Chain()
    >>> chain.take(1, b"one", ())
    >>> chain.take(2, b"two", chain.tips)
    >>> chain.take(3, b"three", (record_hash(b"another"),))
    >>> chain.faults
    ('record 3 names 1 records that are not before it: one was altered or removed',)
    """

    def __init__(self) -> None:
        """Begin before the first record."""
        self.records = 0
        self.newest = ""
        """The hash of the newest record; a copy of an older one is none."""
        self.unchained = 0
        """Records before the first that names another: of earlier releases, or the very first."""
        self._begun = False
        self._known: dict[str, int] = {}
        self._tips: dict[str, int] = {}
        self._faults: list[str] = []
        self._faulty = 0

    @property
    def tips(self) -> tuple[str, ...]:
        """Give what the next record names: the records that none has named, the newest last."""
        return tuple(self._tips)

    @property
    def faults(self) -> tuple[str, ...]:
        """Say where it is broken; nothing where it is whole."""
        more = (f"{self._faulty - FAULTS_MAX} more",) if self._faulty > FAULTS_MAX else ()
        return (*self._faults, *more)

    def knows(self, name: str) -> bool:
        """Whether a record whose hash is this, or begins so, is among the newest ones read."""
        return name in self._known or any(known.startswith(name) for known in self._known)

    def take(self, sequence: int, value: bytes, previous: Iterable[str] | None) -> None:
        """Take the next record. `previous` is what it names; None where it cannot be read: its hash alone counts."""
        self.records += 1
        name = record_hash(value)
        copied = name in self._known
        if copied:
            # Its bytes say when, who and what was before: nobody writes them twice, but whoever copies a record does.
            self._fault(f"record {sequence} is a copy of one before it: it was put in")
        if previous is not None:
            self._link(sequence, tuple(previous))
        if copied:
            return
        self.newest = name
        self._known[name] = self._tips[name] = self.records
        if len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]
        if len(self._tips) > TIPS_MAX:
            del self._tips[next(iter(self._tips))]

    def lose(self, sequence: int) -> None:
        """Take note of a record that is gone."""
        self.records += 1
        self._fault(f"record {sequence} has no content: it was removed")

    def _link(self, sequence: int, previous: tuple[str, ...]) -> None:
        if not previous:
            if self._begun:
                self._fault(f"record {sequence} names none before it: no command of this release wrote it")
            else:
                self.unchained += 1
            return
        self._begun = True
        missing = [name for name in previous if name not in self._known]
        if missing:
            self._fault(
                f"record {sequence} names {len(missing)} records that are not before it: one was altered or removed"
            )
        places = [self._known[name] for name in previous if name in self._known]
        if places != sorted(places):
            # Of two that did not know of each other the later one counts, so their order is part of what is kept.
            self._fault(f"record {sequence} names records in another order than they stand in: they were exchanged")
        for name in previous:
            self._tips.pop(name, None)
        # Whoever names a record has read all before it, so he would have named these too.
        seen = max(places, default=0)
        for name in [name for name, place in self._tips.items() if place < seen]:
            del self._tips[name]
            self._fault(f"record {sequence} passes over one before it: that one was put in later")

    def _fault(self, words: str) -> None:
        self._faulty += 1
        if len(self._faults) < FAULTS_MAX:
            self._faults.append(words)
