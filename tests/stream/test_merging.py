"""Merges and unmerges in a log of partitions: each result is in the end with the patient whose number it came under."""

from __future__ import annotations

from collections import deque
from random import Random
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.decoded import Decoded, Identifier
from events import Envelope, Merge, Observation, Unmerge
from features.catalogue import default_catalogue
from features.store import MemoryStateStore
from stream.control import Control
from stream.effects import Effect, Forward, Unfoldable
from stream.fold import fold_record
from stream.identity import IdentityMap, Pseudonyms
from stream.parse import Parser, RecentMessages, spread
from stream.parts import result_ids
from stream.pipeline import Pipeline
from stream.records import PatientRecord, RecordShelf

HEART_RATE = (("loinc", "8867-4"),)
AUTHORITY = "MRN"


class Partition:
    """One partition of the log with its fold; `restart` stores what is known and begins anew from that."""

    def __init__(self) -> None:
        self.store = MemoryStateStore()
        self.waiting: deque[Envelope] = deque()
        self.effects: list[Effect] = []
        self.control = Control({})
        self._start()

    def _start(self) -> None:
        self.shelf = RecordShelf(self.store, default_catalogue(), live_max=2)
        self.pipeline = Pipeline(self.shelf, self.control)

    def restart(self) -> None:
        """Store all states, and go on from what was stored."""
        self.store.commit(self.store.acquire_epoch(), self.shelf.take_changes(), 0)
        self._start()

    def fold(self) -> list[Envelope]:
        """Fold the next record; give what it says to other keys."""
        effects = fold_record(self.pipeline, self.waiting.popleft())
        self.effects += effects
        return [effect.envelope for effect in effects if type(effect) is Forward]


class Log:
    """A partitioned log. In one piece (`count` 1, not `parted`) it is the embedded service's."""

    def __init__(self, count: int, *, parted: bool = True) -> None:
        self.identity = IdentityMap(Pseudonyms(b"key"))
        self.parser = Parser(self.identity, RecentMessages())
        self.partitions = [Partition() for _ in range(count)]
        self._parted = parted
        self.at = 1_000_000_000_000
        self.told = 0

    def of(self, key: str) -> Partition:
        """Give the partition of a patient key."""
        return self.partitions[crc32(key.encode()) % len(self.partitions)]

    def write(self, *envelopes: Envelope) -> None:
        """Append records."""
        for envelope in envelopes:
            self.of(envelope.patient).waiting.append(envelope)

    def tell(self, name: str, *events: object, retired: str = "", parted: str = "") -> Envelope:
        """Let a message arrive about the patient of this number; give its envelope."""
        self.told += 1
        self.at += 1_000
        decoded = Decoded(
            "PAS", str(self.told), str(self.told).encode().rjust(16, b"\0"), self.at, self.at, (number(name),),
            tuple(events), retired=(number(retired),) if retired else (), parted=(number(parted),) if parted else (),
        )  # fmt: skip
        parsed, _ = self.parser.step(decoded, self.at, "")
        assert type(parsed) is Envelope
        self.write(*(spread(parsed) if self._parted else [parsed]))
        return parsed

    def chart(self, name: str, value: float, *, result: int = 0) -> int:
        """Tell one heart rate; give the result's id."""
        identity = result or self.told + 1
        self.tell(name, Observation(identity, HEART_RATE, value, "/min", self.at + 1_000))
        return identity

    def merge(self, survivor: str, retired: str) -> Envelope:
        """Tell a merge (A40)."""
        return self.tell(survivor, Merge(self.at + 1_000, ""), retired=retired)

    def unmerge(self, one: str, other: str) -> Envelope:
        """Tell that two are not one (A37)."""
        return self.tell(one, Unmerge(self.at + 1_000, ""), parted=other)

    def key(self, name: str) -> str:
        """Give the patient key that a number leads to now; empty where it is unknown."""
        return self.identity.find((number(name),))

    def own_key(self, name: str) -> str:
        """Give the key that a number has of itself."""
        return Pseudonyms(b"key").of("patient", AUTHORITY, name)

    def step(self, random: Random) -> bool:
        """Fold one record of some partition that has one; say whether there was any."""
        busy = [one for one in self.partitions if one.waiting]
        if not busy:
            return False
        self.write(*random.choice(busy).fold())
        return True

    def settle(self, random: Random | None = None) -> None:
        """Fold until nothing waits."""
        random = random or Random(0)
        while self.step(random):
            pass

    def record(self, key: str) -> PatientRecord | None:
        """Give what is kept of a patient key."""
        return self.of(key).shelf.find(key)

    def results(self, name: str) -> set[int]:
        """Give the results that are known of the patient whom a number leads to."""
        record = self.record(self.key(name))
        return set() if record is None else result_ids(record.state)

    def effects(self) -> list[Effect]:
        """Give all effects so far."""
        return [effect for one in self.partitions for effect in one.effects]


def number(name: str) -> Identifier:
    """Give a patient's number."""
    return Identifier(AUTHORITY, name)


NAMES = "abcdef"
STEPS = st.one_of(
    st.tuples(st.just("chart"), st.sampled_from(NAMES), st.just("")),
    st.tuples(st.just("merge"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.tuples(st.just("unmerge"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.tuples(st.just("restart"), st.just(""), st.just("")),
)


def run(log: Log, steps: list[tuple[str, str, str]], random: Random | None) -> dict[str, set[int]]:
    """Tell a story; give by number the results that came under it. Without `random` every record is folded at once."""
    charted: dict[str, set[int]] = {name: set() for name in NAMES}
    for kind, one, other in steps:
        if kind == "chart":
            charted[one].add(log.chart(one, 60.0 + log.told % 60))
        elif kind == "merge":
            log.merge(one, other)
        elif kind == "unmerge":
            log.unmerge(one, other)
        else:
            for partition in log.partitions:
                partition.restart()
        if random is None:
            log.settle()
        else:
            for _ in range(random.randrange(4)):
                log.step(random)
    log.settle(random)
    return charted


@pytest.mark.parametrize(("count", "parted"), [(1, False), (1, True), (3, True), (16, True)])
@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=25), st.integers(0, 1_000))
def test_every_result_is_in_the_end_with_its_patient(
    count: int, parted: bool, steps: list[tuple[str, str, str]], seed: int
) -> None:
    """However merges, unmerges and results cross on their way between partitions, and whatever is evicted and loaded in
    between: when all has arrived, each result is in the record that its number leads to, and in no other.
    """
    log = Log(count, parted=parted)
    charted = run(log, steps, Random(seed))
    assert not [effect for effect in log.effects() if type(effect) is Unfoldable]
    expected: dict[str, set[int]] = {}
    for name, ids in charted.items():
        expected.setdefault(log.key(name), set()).update(ids)
    for name in NAMES:
        if log.key(name):
            assert log.results(name) == expected[log.key(name)]
    for name in NAMES:
        own = log.own_key(name)
        record = log.record(own)
        if record is not None and own != log.key(name):
            assert record.away or own in expected
