"""Patients carried over to another number of partitions: their states are the same bytes, and what is said goes on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import pytest

from alerts.book import AlertBook
from alerts.contract import to_json
from alerts.lifecycle import TERMINAL
from alerts.monitoring import Signal
from connectors.kafka.partitioning import partition_for
from events import (
    MILLIS_PER_MINUTE,
    Availability,
    CodeVersion,
    Envelope,
    KillSwitch,
    Merge,
    Promotion,
    decode_envelope,
    encode_envelope,
)
from features.state import PatientState
from features.store import MemoryStateStore
from stream.carried import carried_alerts
from stream.catalogues import catalogue_for
from stream.control import Control, read_control
from stream.decisions import Decision, Decisions, encode_decision
from stream.effects import AlertEvent, Effect, Forward
from stream.fold import fold_record, tick
from stream.identity import IdentityMap, Pseudonyms
from stream.live.carrying import RepartitionRefusedError, Snapshot, prelude_of
from stream.output_set import OutputSet
from stream.parse import Parser, RecentMessages, spread
from stream.pipeline import Pipeline
from stream.records import PatientRecord, RecordShelf
from stream.settings import Settings
from tests.live.cluster import hospital
from tests.live.parity import add_effect
from tests.stream.signed_cases import OFFICER_KEY, Log

OLD, NEW = 4, 7
SEEDS = (1, 2, 3)
BEDS, HOURS = 40, 60
STATE = PatientRecord(PatientState(catalogue_for(Settings())), AlertBook()).encode()


class Installation:
    """The folds of an installation, in memory."""

    def __init__(self, partitions: int, said: OutputSet | None = None) -> None:
        self.stores = [MemoryStateStore() for _ in range(partitions)]
        self.controls = [Control({}) for _ in range(partitions)]
        self.shelves = [
            RecordShelf(store, control.catalogue) for store, control in zip(self.stores, self.controls, strict=True)
        ]
        self.pipelines = [Pipeline(shelf, control) for shelf, control in zip(self.shelves, self.controls, strict=True)]
        self.said = OutputSet() if said is None else said
        self.alerts: dict[str, AlertEvent] = {}

    def write(self, number: int, envelope: Envelope) -> None:
        """Fold a record, and what is passed on of it."""
        waiting = deque([(number, envelope)])
        while waiting:
            at, one = waiting.popleft()
            for effect in fold_record(self.pipelines[at], decode_envelope(encode_envelope(one))):
                self._take(effect)
                if type(effect) is Forward:
                    to = effect.envelope
                    waiting.append((self.place(to.patient), to))

    def _take(self, effect: Effect) -> None:
        if type(effect) is Signal:
            return  # The monitoring learns of each partition, and begins anew with their number.
        add_effect(self.said, effect)
        if type(effect) is AlertEvent:
            self.alerts[effect.event_id] = effect

    def place(self, patient: str) -> int:
        """Give a patient's partition."""
        return partition_for(patient.encode(), len(self.pipelines))

    def take_in(self, envelopes: Iterable[Envelope]) -> None:
        """Fold patients' records."""
        for envelope in envelopes:
            self.write(self.place(envelope.patient), envelope)

    def reach(self, at: int) -> None:
        """Let time pass everywhere."""
        for number in range(len(self.pipelines)):
            self.write(number, tick(at // MILLIS_PER_MINUTE * MILLIS_PER_MINUTE))

    def states(self) -> dict[str, bytes]:
        """Give every patient's state as it is stored."""
        return {key: shelf.find(key).encode() for shelf in self.shelves for key in shelf.keys()}  # noqa: SIM118 - no dict

    def open_alerts(self) -> dict[str, list[str]]:
        """Give by patient all that was told of the alerts that are open."""
        newest = {event.alert_id: event for event in self.alerts.values()}
        told: dict[str, list[str]] = {}
        for event in self.alerts.values():
            if newest[event.alert_id].state not in TERMINAL:
                told.setdefault(event.patient, []).append(to_json(event).decode())
        return told


def envelopes_of(seed: int) -> list[Envelope]:
    """Give the records of a hospital's messages."""
    parser = Parser(IdentityMap(Pseudonyms()), RecentMessages())
    parsed = [parser.step(one.decoded, one.received_time or 0, one.position)[0] for one in hospital(BEDS, HOURS, seed)]
    return [record for one in parsed if isinstance(one, Envelope) for record in spread(one)]


def carried_over(old: Installation, at: int, said: OutputSet | None = None) -> Installation:
    """Carry an installation over to NEW partitions."""
    new = Installation(NEW, said)
    snapshot = Snapshot(old.open_alerts(), OLD)
    prelude = prelude_of(Decisions(), [read_control(one.encode()) for one in old.controls], at)
    for number in range(NEW):
        for envelope in prelude:
            new.write(number, envelope)
    new.take_in(snapshot.envelope(key, data, "events.v1/0") for key, data in sorted(old.states().items()))
    assert not snapshot.alerts
    return new


@pytest.mark.parametrize("seed", SEEDS)
def test_states_are_carried_to_the_byte(seed: int) -> None:
    """Every patient's state is what it was; nothing is scored, and what is told is what was told of open alerts."""
    records = envelopes_of(seed)
    old = Installation(OLD)
    old.take_in(records)
    at = -(-records[-1].received_time // MILLIS_PER_MINUTE) * MILLIS_PER_MINUTE
    old.reach(at)
    new = carried_over(old, at)
    assert new.states() == old.states()
    assert new.said.counts().get("scores", 0) == 0
    told = {text for texts in old.open_alerts().values() for text in texts}
    assert told
    assert {to_json(event).decode() for event in new.alerts.values()} == told
    assert all(new.alerts[name].former_ward == old.alerts[name].former_ward for name in new.alerts)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_said_is_what_would_have_been_said(seed: int) -> None:
    """Before and after together are the outputs of a hospital that never changed its partitions, byte for byte.

    Merges are told in the first half; after them a score of a merge itself would depend on who lies beside whom.
    """
    records = envelopes_of(seed)
    half = len(records) // 2
    later = [one for one in records[half:] if not any(type(event) is Merge for event in one.events)]
    at, end = records[half - 1].received_time, records[-1].received_time + 3_600_000
    unchanged = Installation(OLD)
    unchanged.take_in(records[:half])
    unchanged.take_in(later)
    unchanged.reach(end)
    old = Installation(OLD)
    old.take_in(records[:half])
    before = old.said.ids("scores")
    new = carried_over(old, at, old.said)
    new.take_in(later)
    new.reach(end)
    assert old.said.diverged == []
    assert old.said.difference(unchanged.said) == []
    assert len(old.said.ids("scores")) > len(before) > 0


def made(*events: KillSwitch | Promotion) -> Decisions:
    decisions = Decisions()
    for offset, event in enumerate(events):
        decisions.take(offset, encode_decision(Decision(event, "role:test")), 0)
    return decisions


def applied(decisions: Decisions, *more: CodeVersion | Availability) -> Control:
    control = Control({})
    for event in (*more, *(event for envelope in decisions.lacking(0, 9) for event in envelope.events)):
        control.apply(event)
    return control


def test_a_new_partition_begins_with_what_is_in_force() -> None:
    """Decisions with their numbers, the versions that the log calls available, and the release."""
    decisions = made(Promotion(1, "v1", True), KillSwitch(2, True), KillSwitch(3, False))
    old = applied(decisions, CodeVersion(0, "1.0"), Availability(0, "v1", True))
    reached = Control({})
    for envelope in prelude_of(decisions, [read_control(old.encode())], 9):
        assert envelope.received_time <= 9
        for event in envelope.events:
            reached.apply(event)
    assert (reached.sequence, reached.version, reached.enabled, reached.kill_switch) == (3, "v1", True, False)
    assert (reached.code_version, reached.available, reached.awaits) == ("1.0", ("v1",), True)


def test_an_old_partition_that_lacks_a_decision_is_refused() -> None:
    """Its patients were scored by other rules than those that would be in force for them."""
    decisions = made(Promotion(1, "v1", True), Promotion(2, "v2", True))
    behind = applied(made(Promotion(1, "v1", True)))
    controls: Sequence[Control] = [applied(decisions), behind]
    with pytest.raises(RepartitionRefusedError, match=r"has not applied what control\.v1 says"):
        prelude_of(decisions, [read_control(one.encode()) for one in controls], 9)


def test_a_decision_that_does_not_count_is_carried_into_no_partition() -> None:
    """With keys declared, what nobody signed is in neither the old partitions nor the new: they are equal."""
    log = Log()
    assert not log.decide(Promotion(1, "v1", enabled=True))
    assert log.decide(Promotion(2, "v2", enabled=True), OFFICER_KEY)
    assert not log.decide(KillSwitch(3, engaged=False))
    prelude = prelude_of(log.decisions, [read_control(applied(log.decisions).encode())], 9)
    assert [event.version for one in prelude for event in one.events if isinstance(event, Promotion)] == ["v2"]


def test_alerts_remember_the_ward_they_left() -> None:
    """An event's JSON does not name the ward it left: what was told before it does, so that ward hears of it too."""
    for seed in SEEDS:
        old = Installation(OLD)
        old.take_in(envelopes_of(seed))
        moved = [event for event in old.alerts.values() if event.former_ward is not None]
        for event in moved:
            texts = [to_json(one).decode() for one in old.alerts.values() if one.alert_id == event.alert_id]
            carried = Snapshot({event.patient: texts}, OLD).envelope(event.patient, STATE, "").events[0]
            again = {one.event_id: one for one in carried_alerts(carried)}
            assert again[event.event_id] == event
        if moved:
            return
    pytest.fail("no alert moved in any of these hospitals")


def test_a_record_that_is_too_large_is_refused() -> None:
    """Nothing that no worker could read is written."""
    with pytest.raises(RepartitionRefusedError, match="larger than a record"):
        Snapshot({"p": ["x" * 5_000_000]}, OLD).envelope("p", STATE, "events.v1/0")


def test_a_state_that_cannot_be_read_is_refused() -> None:
    """A damaged state is not made the beginning of a log."""
    with pytest.raises(RepartitionRefusedError, match="start the old workers, which fold it anew"):
        Snapshot({}, OLD).envelope("p", STATE[:-1], "events.v1/0")
