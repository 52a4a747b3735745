"""The states of one partition in Redis: the store that says which records are done.

Owns what a worker knows of its partition's store: its epoch, and which commits it can have left there. Must not know
what a state says, nor Kafka. Every call is one script (see `scripts`), so that it is atomic and fenced.

A commit is known by its number under an epoch. One whose answer was lost may or may not be in the store, and may even
arrive there later than the next one; so until an answer comes, every commit without one is expected there, and a later
one must hold everything of it (as `RecordShelf.put_back` sees to).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from connectors.redis.faults import FAULTS, translated
from connectors.redis.layout import Client, PartitionKeys
from connectors.redis.scripts import ACQUIRE, CLEAR, COMMIT, CONDEMN, INDEX, LOAD, Script
from events import MILLIS_PER_HOUR, Millis
from features.store import (
    BEFORE_FIRST,
    Entry,
    FencedError,
    LostStateError,
    StoreFullError,
    WatermarkError,
)

ENTRIES_MAX = 100_000
"""Entries of one commit: Redis serves nobody else while it runs, which is some 20 ms at 10,000 small ones."""
UNANSWERED_MAX = 16
"""Commits in a row without an answer; then this worker has to take a new epoch. Each is a time-out long."""
EXPIRY_MIN_MS = 24 * MILLIS_PER_HOUR
"""What is written lives at least so long, by Redis's clock: a log of long ago must not expire as it is folded."""
ITEMS_PER_READ = 500
"""States that `items` reads at once: 5 MB of the largest."""

_NO_EPOCH = ""
_NOWHERE = "+inf"
"""The place in the index of a key without a deadline: the index is also the list of all keys."""


class RedisPartitionStore:
    """The port `features.store.PartitionStore` on one partition's keys.

    Not for two threads at once; the client may be shared.
    """

    def __init__(self, client: Client, prefix: str, stage: str, partition: int) -> None:
        self._client = client
        self._keys = PartitionKeys(prefix, stage, partition)
        self._epoch = _NO_EPOCH
        self._number = 0
        """Of the last commit that was tried under this epoch."""
        self._watermark = BEFORE_FIRST
        self._marks: list[str] = []
        """What the store can hold by our doing, as `number:watermark`: the last answered commit, then the others."""
        self.was_lost = False
        """Whether the last `acquire_epoch` found a store that was not whole, and emptied it: its log is folded anew."""

    def acquire_epoch(self) -> int:
        """Take a new epoch: above every one before, also those of before a restored snapshot (Redis's time in µs)."""
        keys = self._keys
        _, epoch, watermark, whole = self._call(
            ACQUIRE, [keys.meta, keys.deadlines], [keys.state_prefix, keys.view_prefix]
        )
        self._epoch, self._watermark, self.was_lost = epoch.decode(), int(watermark), not whole
        self._number = 0
        self._marks = [f"0:{self._watermark}"]
        return int(epoch)

    def watermark(self) -> int:
        """Give the watermark: that of the last commit of this object; of a reader, that in Redis."""
        if self._epoch:
            return self._watermark
        try:
            found = self._client.hget(self._keys.meta, "watermark")
        except FAULTS as error:
            raise translated(error) from error
        return BEFORE_FIRST if found is None else int(found)

    def load(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Give the states of those keys that have one, in one call; fenced once an epoch was taken."""
        wanted = list(keys)
        if not wanted:
            return {}
        place = self._keys
        names = [place.meta, place.deadlines, *(place.state(key) for key in wanted)]
        answer = self._call(LOAD, names, [self._epoch, self._expected(), *wanted])
        return {key: state for key, state in zip(wanted, answer[1:], strict=True) if state is not None}

    def keys(self) -> set[str]:
        """Give every key that has a state."""
        return {key for key, _ in self._index("-inf", "+inf")}

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Give every key with its state, in order of key: each part is fenced, the whole is no single moment."""
        every = sorted(self.keys())
        for start in range(0, len(every), ITEMS_PER_READ):
            part = every[start : start + ITEMS_PER_READ]
            found = self.load(part)
            yield from ((key, found[key]) for key in part if key in found)

    def deadlines(self) -> list[tuple[Millis, str]]:
        """Give (deadline, key) of every key that has one, the first due first; reads no state."""
        return [(int(float(score)), key) for key, score in self._index("-inf", "(+inf")]

    def commit(self, epoch: int, states: Mapping[str, bytes | None], watermark: int) -> None:
        """Write states (None deletes) with the new watermark."""
        entries = {key: None if state is None else Entry(state) for key, state in states.items()}
        self.commit_entries(epoch, entries, watermark)

    def commit_entries(self, epoch: int, entries: Mapping[str, Entry | None], watermark: int) -> None:
        """Write entries (None deletes) with the new watermark, in one script: all of it or nothing.

        Raises what `features.store.PartitionStore.commit_entries` says.
        """
        if len(entries) > ENTRIES_MAX:
            raise ValueError(f"{len(entries)} entries in one commit, at most {ENTRIES_MAX}")
        keys, arguments = self._written(entries)
        self._attempt(COMMIT, epoch, watermark, keys, [str(watermark), *arguments])

    def clear(self, epoch: int) -> None:
        """Delete every state and view; the watermark is `BEFORE_FIRST` again."""
        self._attempt(CLEAR, epoch, BEFORE_FIRST, [], [self._keys.state_prefix, self._keys.view_prefix])

    def _attempt(self, script: Script, epoch: int, watermark: int, keys: list[bytes], arguments: list[Any]) -> None:
        """Run a script that writes under a number of its own, and remember what the store can hold afterwards."""
        if not self._epoch:
            raise FencedError("no epoch was taken: acquire one before the first commit")
        if len(self._marks) > UNANSWERED_MAX:
            raise LostStateError(f"{UNANSWERED_MAX} commits without an answer: take a new epoch")
        expected = self._expected()
        self._number += 1
        mark = f"{self._number}:{watermark}"
        self._marks.append(mark)
        place = self._keys
        try:
            self._call(
                script, [place.meta, place.deadlines, *keys], [str(epoch), expected, str(self._number), *arguments]
            )
        except (FencedError, WatermarkError, StoreFullError):
            self._marks.remove(mark)
            raise
        self._marks = [mark]
        self._watermark = watermark

    def _written(self, entries: Mapping[str, Entry | None]) -> tuple[list[bytes], list[Any]]:
        """Give keys and arguments of a commit in the order that the script reads them in."""
        state, view = self._keys.state, self._keys.view
        for_good: list[bytes] = []
        values: list[bytes] = []
        for_a_time: list[bytes] = []
        expiring: list[Any] = []
        deleted: list[bytes] = []
        index: list[Any] = []
        leaving: list[str] = []
        for key, entry in entries.items():
            if entry is None:
                deleted += (state(key), view(key))
                leaving.append(key)
                continue
            index += (_NOWHERE if entry.deadline is None else entry.deadline, key)
            written = (
                ((state(key), entry.state), (view(key), entry.view)) if entry.view else ((state(key), entry.state),)
            )
            if not entry.view:
                deleted.append(view(key))
            for name, value in written:
                if entry.expire_at is None:
                    for_good.append(name)
                    values.append(value)
                else:
                    for_a_time.append(name)
                    expiring += (value, entry.expire_at)
        counts = [len(for_good), len(for_a_time), len(index) // 2, EXPIRY_MIN_MS]
        return [*for_good, *for_a_time, *deleted], [*counts, *values, *expiring, *index, *leaving]

    def _index(self, low: str, high: str) -> list[tuple[str, bytes]]:
        _, flat = self._call(INDEX, [self._keys.meta, self._keys.deadlines], [self._epoch, self._expected(), low, high])
        return [(key.decode(), score) for key, score in zip(flat[::2], flat[1::2], strict=True)]

    def _expected(self) -> str:
        return f" {' '.join(self._marks)} "

    def _call(self, script: Script, keys: list[bytes], arguments: list[Any]) -> list[Any]:
        """Run a script; raises what its answer, or Redis's own, means."""
        try:
            answer = script.run(self._client, keys, arguments)
            word = answer[0].decode()
            if word == "GONE" and self._epoch:
                CONDEMN.run(self._client, [self._keys.meta], [self._epoch])
        except FAULTS as error:
            raise translated(error) from error
        if word == "OK":
            return answer
        said = answer[1].decode()
        if word == "FENCED":
            raise FencedError(f"a newer epoch was taken: {said}")
        if word == "BACK":
            raise WatermarkError(f"the watermark would turn back from {said}")
        raise LostStateError(f"the store is not as this worker left it ({said})")
