"""Two workers at one partition, lost answers, late ones and restored snapshots in seeded disorder.

The log is the numbers from 0 on; record n touches patient n mod 7, whose state is a list of the records it has seen.
So what a store must hold at a watermark is known, and a record that was lost or folded twice shows.
"""

from __future__ import annotations

import random

import pytest
import redis

from connectors.redis.layout import PartitionKeys
from connectors.redis.partition_store import RedisPartitionStore
from connectors.redis.scripts import COMMIT
from features.store import Entry, FencedError, LostStateError, StoreUnavailableError

PATIENTS = 7
STEPS = 120
BATCH_MAX = 6


def holds_at(watermark: int) -> dict[str, bytes]:
    """Give what a right store holds when everything up to a record is in it."""
    seen: dict[str, list[int]] = {}
    for record in range(watermark + 1):
        seen.setdefault(f"p{record % PATIENTS}", []).append(record)
    return {patient: repr(records).encode() for patient, records in seen.items()}


class ChancyClient:
    """Loses calls, loses answers, and delivers lost calls late, as a seed says."""

    def __init__(self, client, chance: random.Random) -> None:
        self._client = client
        self._chance = chance
        self.trouble = False
        self.lost: list[tuple] = []

    def evalsha(self, sha, *words):
        """Call a script, or not, or without an answer."""
        if not self.trouble or sha != COMMIT.sha:
            return self._client.evalsha(sha, *words)
        fate = self._chance.choice(["well", "well", "well", "lost", "unanswered"])
        if fate == "lost":
            self.lost.append((sha, *words))
            raise redis.TimeoutError
        answer = self._client.evalsha(sha, *words)
        if fate == "unanswered":
            raise redis.TimeoutError
        return answer

    def deliver_late(self) -> None:
        """Let one lost call arrive now."""
        if self.lost:
            self._client.evalsha(*self.lost.pop(self._chance.randrange(len(self.lost))))

    def __getattr__(self, name):
        return getattr(self._client, name)


class Worker:
    """Folds the log as a worker does: what it could not commit stays with it, and goes into the next commit."""

    def __init__(self, client, prefix: str) -> None:
        self.store = RedisPartitionStore(client, prefix, "patient", 0)
        self.take()

    def take(self) -> None:
        """Take the partition and go on from the store's watermark."""
        self.epoch = self.store.acquire_epoch()
        self.at = self.store.watermark()
        self.pending: dict[str, bytes] = {}

    def fold(self, count: int) -> None:
        """Fold a batch and commit it; starts anew where the store says so."""
        try:
            batch = range(self.at + 1, self.at + 1 + count)
            patients = {f"p{record % PATIENTS}" for record in batch}
            states = {**self.store.load(patients - self.pending.keys()), **self.pending}
            for record in batch:
                patient = f"p{record % PATIENTS}"
                seen = [*eval(states.get(patient, b"[]")), record]  # noqa: S307 - our own list
                self.pending[patient] = states[patient] = repr(seen).encode()
            self.at += count
            entries = {key: Entry(state, self.at, b"{}") for key, state in self.pending.items()}
            self.store.commit_entries(self.epoch, entries, self.at)
            self.pending = {}
        except StoreUnavailableError:
            pass
        except FencedError:
            self.take()


def snapshot(client, prefix: str) -> dict[bytes, bytes]:
    """Take every key, as of one instant: nobody else is at work."""
    keys = PartitionKeys(prefix, "patient", 0)
    patients = [f"p{number}" for number in range(PATIENTS)]
    names = [keys.meta, keys.deadlines, *map(keys.state, patients), *map(keys.view, patients)]
    return {name: data for name in names if (data := client.dump(name)) is not None}


def check(client, prefix: str) -> None:
    """Hold what lies in Redis to what must be there at its watermark."""
    reader = RedisPartitionStore(client, prefix, "patient", 0)
    assert dict(reader.items()) == holds_at(reader.watermark())


@pytest.mark.parametrize("seed", range(25))
def test_no_record_is_lost_or_folded_twice(client, redis_settings, seed):
    """Whatever happens to calls and answers, the store always holds exactly the records up to its watermark."""
    chance, prefix = random.Random(seed), redis_settings.prefix  # noqa: S311 - a seed of a test
    chancy = ChancyClient(client, chance)
    workers = [Worker(chancy, prefix), Worker(chancy, prefix)]
    kept: dict[bytes, bytes] = snapshot(client, prefix)
    chancy.trouble = True
    for _ in range(STEPS):
        deed = chance.choices(["fold", "late", "snapshot", "restore", "take"], [20, 4, 2, 1, 1])[0]
        if deed == "fold":
            # The first one mostly: the other is a zombie, until it takes the partition.
            workers[chance.random() < 0.2].fold(chance.randint(0, BATCH_MAX))
        elif deed == "late":
            chancy.deliver_late()
        elif deed == "snapshot":
            kept = snapshot(client, prefix)
        elif deed == "restore":
            client.unlink(*snapshot(client, prefix))
            for key, value in kept.items():
                client.restore(key, 0, value)
        else:
            chance.choice(workers).take()
        check(client, prefix)
    chancy.trouble = False
    for _ in range(3):
        workers[0].fold(1)
    check(client, prefix)
    assert not workers[0].pending
    with pytest.raises((FencedError, LostStateError)):
        workers[1].store.load(["p0"])
