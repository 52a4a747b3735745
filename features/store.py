"""The port through which states are kept, and the store in memory that tests and replays use.

Owns the protocol and its words. Must not know any database. `features.checks` holds the laws that every store obeys.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from events import Millis

BEFORE_FIRST = -1
"""The watermark of an empty store: no record of the log is in it yet."""


class StoreFault(Exception):  # noqa: N818 - the family; each of its kinds is an error
    """The store could not do what was asked. It says nothing of the record at hand: that one must be folded again."""


class FencedError(StoreFault):
    """Somebody took a newer epoch: this worker no longer owns the partition and must stop (nobody's fault)."""


class WatermarkError(ValueError):
    """A commit would turn the watermark back: our own bug, refused before anything is written."""


class LostStateError(FencedError):
    """The store is not as this worker left it: restored from an older snapshot, wiped, or keys of it were evicted.

    What a worker must do is what a fenced one does: stop, take a new epoch, and go on from the watermark it finds.
    """


class StoreFullError(StoreFault):
    """The store has no room, and nothing of the commit was written: the operator's to mend (more memory)."""


class StoreUnavailableError(StoreFault):
    """The store did not answer, or refuses to serve: the operator's to mend.

    A commit that raises this may have been written all the same. The same one may be repeated, and so may a later one
    that holds everything of it: the store finds out which was.
    """


class Entry(NamedTuple):
    """What a commit writes of one key.

    `deadline` is when the fold's next timer of it is due, in the log's time. `view` is a document that anybody may
    read. `expire_at` is when the store may forget state and view by itself: a safety net for a log that nobody folds
    any more, and never what a fold relies on.
    """

    state: bytes
    deadline: Millis | None = None
    view: bytes = b""
    expire_at: Millis | None = None


class StateStore(Protocol):
    """Patient states, and the position in the log that they stand for.

    A commit writes states and watermark together or not at all. States are bytes; the store does not look into them.
    """

    def acquire_epoch(self) -> int:
        """Take a new epoch, one higher than any before; every older one is refused from now on."""
        ...

    def watermark(self) -> int:
        """Give the position of the last record whose effect is in the store; `BEFORE_FIRST` if none."""
        ...

    def load(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Give the states of those keys that have one."""
        ...

    def keys(self) -> set[str]:
        """Give every key that has a state."""
        ...

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Give every key with its state, in order of key: read once, when a host opens."""
        ...

    def commit(self, epoch: int, states: Mapping[str, bytes | None], watermark: int) -> None:
        """Write states (None deletes) with the new watermark. Raises `FencedError`, `WatermarkError`."""
        ...


class PartitionStore(StateStore, Protocol):
    """A state store of one partition of a log, which other workers may take over at any moment.

    After `acquire_epoch`, every reading is fenced as commits are: raises `FencedError` where a newer epoch was taken,
    `LostStateError` where the store is not as this object left it. A worker never computes from what it should not see.
    """

    def deadlines(self) -> list[tuple[Millis, str]]:
        """Give (deadline, key) of every key that has one: read once, when a partition is taken over."""
        ...

    def commit_entries(self, epoch: int, entries: Mapping[str, Entry | None], watermark: int) -> None:
        """Write entries (None deletes) with the new watermark, as `commit` does.

        Raises `FencedError`, `LostStateError`, `WatermarkError`, `StoreFullError`: nothing was written. Raises
        `StoreUnavailableError`: see there.
        """
        ...

    def clear(self, epoch: int) -> None:
        """Delete every state; the watermark is `BEFORE_FIRST` again. For states that this release cannot read."""
        ...


class MemoryStateStore:
    """States in a dict.

    >>> store = MemoryStateStore()
    >>> epoch = store.acquire_epoch()
    >>> store.commit(epoch, {"p": b"state"}, watermark=0)
    >>> store.load(["p", "q"]), store.watermark()
    ({'p': b'state'}, 0)
    """

    def __init__(self) -> None:
        self._states: dict[str, bytes] = {}
        self._deadlines: dict[str, Millis] = {}
        self.views: dict[str, bytes] = {}
        self._epoch = 0
        self._watermark = BEFORE_FIRST

    def acquire_epoch(self) -> int:
        """Take a new epoch."""
        self._epoch += 1
        return self._epoch

    def watermark(self) -> int:
        """Give the position of the last record whose effect is here."""
        return self._watermark

    def load(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Give the states of those keys that have one."""
        return {key: self._states[key] for key in keys if key in self._states}

    def keys(self) -> set[str]:
        """Give every key that has a state."""
        return set(self._states)

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Give every key with its state, in order of key."""
        return iter(sorted(self._states.items()))

    def deadlines(self) -> list[tuple[Millis, str]]:
        """Give (deadline, key) of every key that has one."""
        return sorted((deadline, key) for key, deadline in self._deadlines.items())

    def commit(self, epoch: int, states: Mapping[str, bytes | None], watermark: int) -> None:
        """Write states with the new watermark."""
        entries = {key: None if state is None else Entry(state) for key, state in states.items()}
        self.commit_entries(epoch, entries, watermark)

    def commit_entries(self, epoch: int, entries: Mapping[str, Entry | None], watermark: int) -> None:
        """Write entries with the new watermark; a dict forgets nothing by itself."""
        self._check(epoch)
        if watermark < self._watermark:
            raise WatermarkError(f"{watermark} is before {self._watermark}")
        for key, entry in entries.items():
            for kept in (self._states, self._deadlines, self.views):
                kept.pop(key, None)
            if entry is not None:
                self._states[key] = entry.state
                if entry.deadline is not None:
                    self._deadlines[key] = entry.deadline
                if entry.view:
                    self.views[key] = entry.view
        self._watermark = watermark

    def clear(self, epoch: int) -> None:
        """Delete every state."""
        self._check(epoch)
        for kept in (self._states, self._deadlines, self.views):
            kept.clear()
        self._watermark = BEFORE_FIRST

    def _check(self, epoch: int) -> None:
        if epoch != self._epoch:
            raise FencedError(f"epoch {epoch}, now {self._epoch}")
