"""The port through which states are kept, and the store in memory that tests and replays use.

Owns the protocol and its words. Must not know any database. `features.checks` holds the laws that every store obeys.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

BEFORE_FIRST = -1
"""The watermark of an empty store: no record of the log is in it yet."""


class FencedError(Exception):
    """Somebody took a newer epoch: this worker no longer owns the partition and must stop (nobody's fault)."""


class WatermarkError(ValueError):
    """A commit would turn the watermark back: our own bug, refused before anything is written."""


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

    def commit(self, epoch: int, states: Mapping[str, bytes | None], watermark: int) -> None:
        """Write states with the new watermark."""
        if epoch != self._epoch:
            raise FencedError(f"epoch {epoch}, now {self._epoch}")
        if watermark < self._watermark:
            raise WatermarkError(f"{watermark} is before {self._watermark}")
        for key, state in states.items():
            if state is None:
                self._states.pop(key, None)
            else:
                self._states[key] = state
        self._watermark = watermark
