"""Merges and unmerges in a log of partitions: each result is in the end with the patient whose number it came under."""

from __future__ import annotations

from collections import deque
from random import Random
from zlib import crc32

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.contract import AlertEvent
from connectors.decoded import Decoded, Identifier
from connectors.kafka.lanes import weight
from connectors.kafka.record import Record
from connectors.kafka.topics import EVENTS, RECORD_BYTES_MAX, topic_headers
from events import (
    MILLIS_PER_HOUR,
    Envelope,
    Limit,
    Merge,
    Observation,
    Retirement,
    Unmerge,
    content_id,
    decode_envelope,
    encode_envelope,
)
from events.encoding import ENVELOPE_BYTES_MAX
from features.catalogue import default_catalogue
from features.store import MemoryStateStore
from stream.control import Control
from stream.effects import Effect, Forward, Unfoldable
from stream.fold import fold_record
from stream.identity import IdentityMap, Pseudonyms
from stream.merging import HOPS_MAX, passed_on
from stream.parse import Parser, RecentMessages, retirements, spread
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

    def tell(self, name: str, *events: object, retired: str = "", parted: str = "", former: str = "") -> Envelope:
        """Let a message arrive about the patient of this number; give its envelope."""
        self.told += 1
        self.at += 1_000
        decoded = Decoded(
            "PAS", str(self.told), str(self.told).encode().rjust(16, b"\0"), self.at, self.at, (number(name),),
            tuple(events), retired=(number(retired),) if retired else (), parted=(number(parted),) if parted else (),
            aliases=(number(former),) if former else (),
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

    def limit(self, name: str) -> int:
        """Tell a limit of its own name; give that."""
        identity = self.told + 1
        until = self.at + 240 * MILLIS_PER_HOUR
        self.tell(name, Limit(self.at + 1_000, str(identity), "not_for_escalation", until))
        return identity

    def merge(self, survivor: str, retired: str) -> Envelope:
        """Tell a merge (A40)."""
        return self.tell(survivor, Merge(self.at + 1_000, ""), retired=retired)

    def unmerge(self, one: str, other: str) -> Envelope:
        """Tell that two are not one (A37)."""
        return self.tell(one, Unmerge(self.at + 1_000, ""), parted=other)

    def renumber(self, now: str, before: str) -> Envelope:
        """Tell that a patient has another number (A47)."""
        return self.tell(now, former=before)

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
        random = random or seeded(0)
        while self.step(random):
            pass

    def record(self, key: str) -> PatientRecord | None:
        """Give what is kept of a patient key."""
        return self.of(key).shelf.find(key)

    def results(self, name: str) -> set[int]:
        """Give the results that are known of the patient whom a number leads to."""
        record = self.record(self.key(name))
        return set() if record is None else result_ids(record.state)

    def limits(self, name: str) -> set[int]:
        """Give the limits that hold for the patient whom a number leads to."""
        record = self.record(self.key(name))
        kept = () if record is None or record.limits is None else record.limits.kept
        return {int(one.limit_id) for one in kept}

    def effects(self) -> list[Effect]:
        """Give all effects so far."""
        return [effect for one in self.partitions for effect in one.effects]


def seeded(seed: int) -> Random:
    """Give the order of one run."""
    return Random(seed)  # noqa: S311 - which partition is folded next, seeded


def number(name: str) -> Identifier:
    """Give a patient's number."""
    return Identifier(AUTHORITY, name)


NAMES = "abcdef"
STEPS = st.one_of(
    st.tuples(st.just("chart"), st.sampled_from(NAMES), st.just("")),
    st.tuples(st.just("limit"), st.sampled_from(NAMES), st.just("")),
    st.tuples(st.just("merge"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.tuples(st.just("unmerge"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.tuples(st.just("restart"), st.just(""), st.just("")),
)


def run(
    log: Log, steps: list[tuple[str, str, str]], random: Random | None
) -> tuple[dict[str, set[int]], dict[str, set[int]]]:
    """Tell a story; give by number the results and the limits that came under it.

    Without `random` every record is folded at once.
    """
    charted: dict[str, set[int]] = {name: set() for name in NAMES}
    limited: dict[str, set[int]] = {name: set() for name in NAMES}
    for kind, one, other in steps:
        if kind == "chart":
            charted[one].add(log.chart(one, 60.0 + log.told % 60))
        elif kind == "limit":
            limited[one].add(log.limit(one))
        elif kind == "merge":
            log.merge(one, other)
        elif kind == "unmerge":
            log.unmerge(one, other)
        elif kind == "renumber":
            log.renumber(one, other)
        else:
            for partition in log.partitions:
                partition.restart()
        if random is None:
            log.settle()
        else:
            for _ in range(random.randrange(4)):
                log.step(random)
    log.settle(random)
    return charted, limited


@pytest.mark.parametrize("count", [0, 1, 3, 16])
@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=25), st.integers(0, 1_000))
def test_every_result_is_in_the_end_with_its_patient(count: int, steps: list[tuple[str, str, str]], seed: int) -> None:
    """However merges, unmerges, results and limits cross on their way between partitions, and whatever is evicted and
    loaded in between: when all has arrived, each is in the record that its number leads to, and in no other.
    """
    log = Log(count or 1, parted=count > 0)  # 0: in one piece, as the embedded service has it
    charted, limited = run(log, steps, seeded(seed))
    assert not [effect for effect in log.effects() if type(effect) is Unfoldable]
    expected: dict[str, set[int]] = {}
    limits: dict[str, set[int]] = {}
    for name in NAMES:
        expected.setdefault(log.key(name), set()).update(charted[name])
        limits.setdefault(log.key(name), set()).update(limited[name])
    for name in NAMES:
        if log.key(name):
            assert log.results(name) == expected[log.key(name)]
            assert log.limits(name) == limits[log.key(name)]
    for name in NAMES:
        own = log.own_key(name)
        record = log.record(own)
        if record is not None and own != log.key(name):
            assert record.away or own in expected


RENUMBERED = st.one_of(
    st.tuples(st.just("chart"), st.sampled_from(NAMES), st.just("")),
    st.tuples(st.just("limit"), st.sampled_from(NAMES), st.just("")),
    st.tuples(st.just("merge"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.tuples(st.just("renumber"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.tuples(st.just("restart"), st.just(""), st.just("")),
)


@pytest.mark.parametrize("count", [0, 3])
@settings(max_examples=60, deadline=None)
@given(st.lists(RENUMBERED, max_size=20), st.integers(0, 1_000))
def test_numbers_that_change_lose_no_result(count: int, steps: list[tuple[str, str, str]], seed: int) -> None:
    """However changes of numbers (A47), told in time or late, cross merges and results: each result is in the one
    record that its number leads to, and two numbers that were said to be one patient's lead to one.
    """
    log = Log(count or 1, parted=count > 0)
    charted, limited = run(log, steps, seeded(seed))
    assert not [effect for effect in log.effects() if type(effect) is Unfoldable]
    for key in {log.key(name) for name in NAMES} - {""}:
        names = [name for name in NAMES if log.key(name) == key]
        assert log.results(names[0]) == {result for name in names for result in charted[name]}
        assert log.limits(names[0]) == {limit for name in names for limit in limited[name]}
    for kind, one, other in steps:
        if kind in {"merge", "renumber"}:
            assert log.key(one) == log.key(other)


SICK = 180.0
"""A heart rate that is red by itself."""


def apart(log: Log, count: int) -> list[str]:
    """Give numbers that lie in as many different partitions."""
    names = {log.partitions.index(log.of(log.own_key(str(one)))): str(one) for one in range(200)}
    return list(names.values())[:count]


def said(log: Log, name: str) -> list[str]:
    """Give what was said of the key that a number has of itself."""
    alerts = [effect for effect in log.effects() if type(effect) is AlertEvent]
    return [f"{one.state} {one.reason}" for one in alerts if one.patient == log.own_key(name)]


def forwards(log: Log) -> list[Envelope]:
    return [effect.envelope for effect in log.effects() if type(effect) is Forward]


def test_a_retired_patients_alert_is_taken_back_and_rises_with_the_survivor() -> None:
    """Across partitions as within one: retracted as merged at the retired key, raised anew where the readings are now;
    and after an unmerge the other way round.
    """
    log = Log(4)
    survivor, retired = apart(log, 2)
    log.chart(survivor, 70.0)
    log.chart(retired, SICK)
    log.settle()
    log.merge(survivor, retired)
    log.settle()
    assert said(log, retired) == ["raised new_red", "retracted merge"]
    assert said(log, survivor) == ["raised new_red"]
    log.unmerge(survivor, retired)
    log.settle()
    assert said(log, survivor) == ["raised new_red", "retracted correction"]
    assert said(log, retired)[2:] == ["raised new_red"]


def test_what_is_late_for_a_retired_key_reaches_the_survivor_under_a_derived_id() -> None:
    """A record written under the retired key after its retirement is passed on whole, named, and counted as one hop; of
    a patient of whom nothing was known too.
    """
    log = Log(4)
    survivor, retired = apart(log, 2)
    log.merge(survivor, retired)
    log.settle()
    assert forwards(log) == []
    late = Envelope(
        "late", log.own_key(retired), 5, log.at, (Observation(9, HEART_RATE, 71.0, "/min", log.at),), "F", "M"
    )
    log.write(late)
    log.settle()
    [passed] = forwards(log)
    assert passed == msgspec.structs.replace(
        late,
        envelope_id=content_id("forward", "late"),
        patient=log.own_key(survivor),
        named=(log.own_key(retired),),
        hops=1,
    )
    assert log.results(retired) == {9}


def test_a_retirement_told_again_hands_nothing_over_again() -> None:
    """The same merge told twice to the retired side gives one handover."""
    log = Log(4)
    survivor, retired = apart(log, 2)
    log.chart(retired, 70.0)
    merge = log.merge(survivor, retired)
    log.settle()
    [again] = retirements(merge)
    log.write(again, msgspec.structs.replace(again, envelope_id="another"))
    log.settle()
    assert len(forwards(log)) == 1
    assert log.results(survivor) == {1}


@pytest.mark.parametrize("length", [2, 3])
def test_a_ring_of_merges_ends_where_it_began(length: int) -> None:
    """A into B (into C), and the last into A: the one that is retired last stays, has all readings, and hears all."""
    log = Log(4)
    names = apart(log, length)
    ids = {log.chart(name, 70.0) for name in names}
    keys = [log.own_key(name) for name in names]
    for number_, (one, into) in enumerate(zip(keys, [*keys[1:], keys[0]], strict=True)):
        log.write(Envelope(f"ring{number_}", one, 5, log.at, (Retirement(log.at, into),)))
        log.settle()
    last = log.record(keys[-1])
    assert last is not None
    assert (last.away, result_ids(last.state)) == ("", ids)
    log.write(Envelope("x", keys[0], 5, log.at, (Observation(99, HEART_RATE, 71.0, "/min", log.at),)))
    log.settle()
    assert result_ids(last.state) == {*ids, 99}


def test_keys_that_send_each_other_the_same_end_it_loudly() -> None:
    """Where two keys each think the other is right, a record is passed on so often and no more: it is told as
    unfoldable, and kept where it has come to.
    """
    log = Log(4)
    one, other = (log.own_key(name) for name in apart(log, 2))
    for name, (key, into) in (("1", (one, other)), ("2", (other, one))):
        log.write(Envelope(name, key, 5, log.at, (Retirement(log.at, into),)))
    log.settle()
    log.write(Envelope("x", one, 5, log.at, (Observation(9, HEART_RATE, 71.0, "/min", log.at),)))
    log.settle()
    told = [effect.fault for effect in log.effects() if type(effect) is Unfoldable]
    assert told == ["ForwardedTooOften"]
    assert len(forwards(log)) == HOPS_MAX
    kept = [log.record(key) for key in (one, other)]
    assert sum(record is not None and result_ids(record.state) == {9} for record in kept) == 1


def test_a_stand_in_key_is_joined_for_good() -> None:
    """A merge of a provisional key keeps nothing apart: no unmerge will ask for it."""
    log = Log(4)
    survivor, retired = apart(log, 2)
    log.chart(retired, 70.0)
    log.chart(survivor, 71.0)
    log.settle()
    log.write(*spread(Envelope("m", log.own_key(survivor), 5, log.at, (Merge(5, log.own_key(retired), True),))))
    log.settle()
    record = log.record(log.own_key(survivor))
    assert record is not None
    assert (record.merges, result_ids(record.state)) == (None, {1, 2})


# -- how long a record may grow ----------------------------------------------------------------------------------------


def longest(*events: object) -> Envelope:
    """Give the longest envelope that is made of a message."""
    envelope = Envelope(content_id("e", "1"), key_of(0), 1, 1, events, named=(key_of(99),), position="x")
    room = ENVELOPE_BYTES_MAX - len(encode_envelope(envelope))
    return msgspec.structs.replace(envelope, position="x" * (1 + room))


def key_of(place: int) -> str:
    """Give the patient key at one end of a chain of merges."""
    return f"{place:032x}"


@pytest.mark.parametrize("event", [Observation(1, HEART_RATE, 60.0, "/min", 1), Unmerge(1, "b")], ids=["chart", "A37"])
def test_the_longest_message_is_read_after_every_merge_it_is_passed_on_by(event: object) -> None:
    """An envelope as long as a message may make it is within the reader's limit, and Kafka's, at its last hop."""
    envelope = longest(event)
    assert len(encode_envelope(envelope)) == ENVELOPE_BYTES_MAX
    for hop in range(1, HOPS_MAX + 1):
        envelope = passed_on(envelope, key_of(hop), home=False).envelope
        data = encode_envelope(envelope)
        assert len(data) > ENVELOPE_BYTES_MAX
        assert decode_envelope(data) == envelope
        headers = topic_headers(EVENTS, envelope.envelope_id, "/wardstream/events.v1/63", envelope.received_time)
        assert weight(Record(EVENTS, envelope.patient.encode(), data, headers)) <= RECORD_BYTES_MAX
