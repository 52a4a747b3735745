"""Decisions: their form, what of them a partition lacks, and the tail that keeps up with the topic."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.admin import declare
from connectors.kafka.faults import UnreachableError
from connectors.kafka.outbox import Outbox
from connectors.kafka.reading import tail_topic
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import CONTROL
from events import (
    Availability,
    Configuration,
    Envelope,
    KillSwitch,
    Promotion,
    Standing,
    decode_envelope,
    encode_envelope,
)
from stream import decisions as decisions_module
from stream.control import Control
from stream.decisions import (
    Decision,
    Decisions,
    UnreadableDecisionError,
    availability,
    decision_key,
    decode_decision,
    encode_decision,
)
from stream.live import tails
from stream.live.decisions import DecisionTail
from stream.partition_fold import read_envelope
from stream.promotion import champion_of
from stream.settings import Settings, configuration_hash, configuration_text
from stream.versions import load_versions

UNTIL_S = 60.0
NOW = 1_800_000_000_000
SHIPPED, _WRONG = load_versions()
VERSION = next(iter(SHIPPED))


def promotion(version: str = VERSION, *, undoes: int = 0, enabled: bool = True) -> Decision:
    return Decision(Promotion(NOW - 5_000, version, enabled), "safety-officer", "reviewed", undoes)


def kill_switch(*, engaged: bool) -> Decision:
    return Decision(KillSwitch(NOW - 4_000, engaged, "why"), "duty-manager", "why")


def configuration() -> Decision:
    text = configuration_text(Settings())
    return Decision(Configuration(NOW - 3_000, configuration_hash(Settings()), text), "safety-officer")


def standing(version: str, word: Any) -> Decision:
    return Decision(Standing(NOW - 2_000, version, word, "drift"), "safety-officer", "drift")


def made(*wanted: Decision | bytes) -> Decisions:
    decisions = Decisions()
    for offset, decision in enumerate(wanted):
        decisions.take(offset, decision if isinstance(decision, bytes) else encode_decision(decision), NOW - 1_000)
    return decisions


EVERY = (promotion(), kill_switch(engaged=True), configuration(), kill_switch(engaged=False), promotion(""))


@pytest.mark.parametrize("decision", EVERY)
def test_a_decision_round_trips(decision: Decision) -> None:
    """A decision comes back equal from its record, and its key says what kind it is."""
    assert decode_decision(encode_decision(decision)) == decision
    assert decision_key(decision) in {b"promotion", b"killswitch", b"configuration"}


@pytest.mark.parametrize(
    "data",
    [
        None,
        b"",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        encode_decision(kill_switch(engaged=True)).replace(b"duty-manager", b"Jane Doe"),
        encode_decision(kill_switch(engaged=True)).replace(b"kill_switch", b"open_doors"),
        b" " * (decisions_module.DECISION_BYTES_MAX + 1),
    ],
)
def test_what_is_no_decision_is_refused_without_quoting_it(data: bytes | None) -> None:
    """Other bytes, a person's name for a role, or a kind of a later release: refused in words of our own."""
    with pytest.raises(UnreadableDecisionError) as refusal:
        decode_decision(data)
    assert "Jane" not in str(refusal.value)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=6))
def test_a_decision_takes_effect_once_however_often_it_is_appended(owners: list[tuple[int, int]]) -> None:
    """Owners come and go, know less than was applied and stop half-way: the partition comes to the same, in order."""
    decisions = made(*EVERY)
    control, once = Control(SHIPPED), Control(SHIPPED)
    enter(once, decisions.lacking(0, NOW))
    for behind, written in [*owners, (0, 5)]:
        known = max(0, control.sequence - behind)
        records = [decode_envelope(encode_envelope(each)) for each in decisions.lacking(known, NOW)]
        enter(control, records[:written])
    assert control.encode() == once.encode()
    assert decisions.lacking(control.sequence, NOW) == []


def test_what_is_appended_has_one_id_and_no_time_ahead() -> None:
    """The same decision is the same record for every partition and every owner; it never claims a time to come."""
    decisions = made(*EVERY)
    records = decisions.lacking(2, NOW)
    assert records == decisions.lacking(0, NOW)[2:] == made(*EVERY).lacking(2, NOW + 60_000)
    assert [record.received_time for record in decisions.lacking(0, NOW - 9_000)] == [NOW - 9_000] * 5
    assert len({record.envelope_id for record in decisions.lacking(0, NOW)}) == 5
    assert all(record.patient == "" for record in records)


def test_the_kill_switch_is_the_newest_word_on_it() -> None:
    """Whether it is engaged is what was said of it last, whatever else was decided since."""
    assert not made().kill_switch
    engaged = made(kill_switch(engaged=False), kill_switch(engaged=True), promotion())
    assert (engaged.kill_switch, engaged.kill_switch_sequence, engaged.newest) == (True, 2, 3)
    assert not made(*EVERY).kill_switch


def test_an_unreadable_decision_is_passed_over_and_told() -> None:
    """It is a problem in the health; the decisions after it are applied."""
    decisions = made(promotion(), b"{}", kill_switch(engaged=True))
    assert [record.events[0] for record in decisions.lacking(1, NOW)] == [
        KillSwitch(NOW - 4_000, engaged=True, reason="why", sequence=3)
    ]
    assert "decision 2 cannot be read" in decisions.problems()[0]


def test_a_configuration_of_another_release_is_told_and_never_entered() -> None:
    """No partition here could go by it. What is decided after it is entered, and the next configuration ends the word.

    Its place is not taken: a worker that can read it enters it, where nothing later was applied.
    """
    later = Decision(Configuration(NOW - 3_000, "0" * 16, '{"of_a_later_release":1}'), "safety-officer")
    codes = configuration_text(Settings(codes={"local": {"X1": "no_feature"}}))
    for unread in (later, Decision(Configuration(NOW, "0" * 16, codes), "safety-officer")):
        decisions = made(configuration(), unread)
        assert [each.sequence for each in decisions.kept()] == [1]
        assert [problem.partition(" (")[0] for problem in decisions.problems()] == [
            f"{CONTROL}: decision 2 cannot be read"
        ]
        assert decisions.newest == 2
        decisions.take(2, encode_decision(kill_switch(engaged=True)), NOW)
        assert [record.events[0].sequence for record in decisions.lacking(1, NOW)] == [3]  # type: ignore[union-attr]
        assert decisions.problems() != ()
        decisions.take(3, encode_decision(configuration()), NOW)
        assert decisions.problems() == ()


def test_a_decision_without_a_time_is_one_that_a_log_takes() -> None:
    """Written by a client that stamps nothing (-1), it is entered as of the beginning of time, which moves no clock."""
    decisions = Decisions()
    decisions.take(0, encode_decision(kill_switch(engaged=True)), -1)
    [entered] = decisions.lacking(0, NOW)
    assert read_envelope(encode_envelope(entered), 0, 1).received_time == 0


def test_a_topic_that_lost_decisions_is_told() -> None:
    """A partition that has applied more than the topic holds shows that the topic is another one."""
    decisions = made(promotion())
    assert decisions.problems(7) == ()
    decisions.caught_up = True
    assert "made anew" in decisions.problems(7)[0]
    assert decisions.problems(1) == ()


def test_what_is_held_is_bounded_and_what_is_in_force_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound the oldest are let go, never the newest of a kind: who lacks all gets what is in force."""
    monkeypatch.setattr(decisions_module, "DECISIONS_KEPT_MAX", 4)
    decisions = made(promotion(), configuration(), *(kill_switch(engaged=bool(n % 2)) for n in range(20)))
    assert [decided.sequence for decided in decisions.kept()] == [1, 2, 19, 20, 21, 22]


def test_holding_ever_more_versions_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is of a kind of its own and counts unsigned; how the version in force stands is kept whatever comes."""
    monkeypatch.setattr(decisions_module, "DECISIONS_KEPT_MAX", 4)
    monkeypatch.setattr(decisions_module, "VERSIONS_KEPT_MAX", 3)
    flood = (standing(f"{number:012x}", "held") for number in range(40))
    decisions = made(promotion(), standing(VERSION, "held"), configuration(), *flood)
    assert [decided.sequence for decided in decisions.kept()] == [1, 2, 3, *range(37, 44)]
    control = Control(SHIPPED)
    enter(control, decisions.lacking(0, NOW))
    assert control.silenced


def test_a_rollback_takes_its_promotion_away() -> None:
    """After a rollback the one before stands; a second one goes further back and never comes back to the first."""
    three = [promotion("a"), promotion("b"), promotion("c")]
    standing = made(*three).standing_promotions()
    assert [decided.sequence for decided in standing] == [1, 2, 3]
    once = [*three, promotion("b", undoes=3)]
    assert [decided.sequence for decided in made(*once).standing_promotions()] == [1, 2]
    twice = [*once, promotion("a", undoes=2)]
    assert [decided.sequence for decided in made(*twice).standing_promotions()] == [1]
    assert [decided.sequence for decided in made(*twice, promotion("d")).standing_promotions()] == [1, 6]


@pytest.mark.parametrize("back", [promotion("", undoes=2, enabled=False), promotion("b", undoes=2, enabled=False)])
def test_what_claims_to_go_back_and_does_not_makes_nobody_believe_that_a_former_version_speaks(back: Decision) -> None:
    """It counts unsigned, for it silences; who is champion is what workers go by, not what it claims to undo."""
    decisions = made(promotion("a"), promotion("b"), back)
    control = Control(SHIPPED)
    enter(control, decisions.lacking(0, NOW))
    assert not control.enabled
    assert champion_of(decisions) == ""
    assert decisions.standing_promotions()[-1].decision == back


def test_a_standing_is_a_decision_like_the_others() -> None:
    """Held, then restored: each is brought into a partition's log once, in order, and counts there."""
    held = standing(VERSION, "held")
    assert decode_decision(encode_decision(held)) == held
    assert decision_key(held) == b"standing"
    decisions = made(promotion(), held, standing(VERSION, "good"))
    control = Control(SHIPPED)
    enter(control, decisions.lacking(0, NOW)[:2])
    assert (control.silenced, control.sequence) == (True, 2)
    enter(control, decisions.lacking(control.sequence, NOW))
    assert (control.silenced, control.sequence) == (False, 3)


def test_the_newest_standing_of_each_version_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound the newest word on every version is kept: one held long ago is still held."""
    monkeypatch.setattr(decisions_module, "DECISIONS_KEPT_MAX", 2)
    words = [standing("a", "held"), standing("b", "held"), standing("b", "good")]
    decisions = made(*words, *(kill_switch(engaged=bool(n % 2)) for n in range(5)))
    assert [decided.sequence for decided in decisions.kept()] == [1, 3, 7, 8]
    assert {name: event.standing for name, event in decisions.standings.items()} == {"a": "held", "b": "good"}


def enter(control: Control, records: list[Envelope]) -> None:
    for record in records:
        control.apply(record.events[0])


def test_a_version_at_hand_is_called_available_before_its_promotion() -> None:
    """The log says first that the owner has the version, then promotes it; nothing is said twice."""
    control, upcoming = Control(SHIPPED), made(promotion()).lacking(0, NOW)
    records = availability(control, SHIPPED, NOW, upcoming)
    assert [record.events[0] for record in records] == [Availability(NOW, VERSION, available=True)]
    later = availability(control, SHIPPED, NOW + 9, upcoming)
    assert [record.envelope_id for record in later] == [record.envelope_id for record in records]
    enter(control, [*records, *upcoming])
    assert control.scorer is not None
    assert availability(control, SHIPPED, NOW) == []


def test_a_version_that_is_missing_is_said_to_be_and_come() -> None:
    """An owner without the version promotes it all the same, on NEWS2 alone; once it has come the log says so."""
    upcoming = made(promotion()).lacking(0, NOW)
    control, versions = Control(SHIPPED), dict[str, Any]()
    assert availability(control, versions, NOW, upcoming) == []
    enter(control, upcoming)
    assert control.scorer is None, "the fold has the version, and its log does not say so"
    versions.update(SHIPPED)
    (come,) = availability(control, versions, NOW)
    enter(control, [come])
    assert control.scorer is not None
    (gone,) = availability(control, {}, NOW)
    enter(control, [gone])
    (again,) = availability(control, SHIPPED, NOW)
    assert len({come.envelope_id, gone.envelope_id, again.envelope_id}) == 3


@pytest.mark.asyncio
async def test_the_tail_shows_what_was_decided_and_what_is_decided_next(kafka: KafkaSettings) -> None:
    """What stood on the topic is known when the tail has started; what follows arrives while it runs, in order."""
    await declare(kafka)
    outbox = Outbox(kafka, client_id="test")
    await outbox.start()
    tail = DecisionTail(kafka, "")
    try:
        await outbox.send([Record(CONTROL, decision_key(each), encode_decision(each)) for each in EVERY[:2]])
        await tail.start()
        assert (tail.decisions.newest, tail.decisions.kill_switch, tail.decisions.caught_up) == (2, True, True)
        await outbox.send([Record(CONTROL, decision_key(each), encode_decision(each)) for each in EVERY[2:]])
        await outbox.send([Record(CONTROL, b"x", b"no decision")])
        await until(lambda: tail.decisions.newest == 6)
        records = tail.decisions.lacking(0, NOW * 2)
        assert [record.events[0].sequence for record in records] == [1, 2, 3, 4, 5]  # type: ignore[union-attr]
        assert not tail.decisions.kill_switch
        assert [problem.partition(" cannot")[0] for problem in tail.problems()] == [f"{CONTROL}: decision 6"]
    finally:
        await tail.stop()
        await outbox.stop()


@pytest.mark.asyncio
async def test_a_tail_whose_broker_is_back_is_well_though_nothing_is_decided(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was away as the tail connected, which is told; back again, nothing is told, and nobody has to decide first."""
    await declare(kafka)
    tries: list[Any] = []

    def away_once(*given: Any, **named: Any) -> Any:
        tries.append(given)
        if len(tries) == 1:
            raise UnreachableError("no broker answered")
        return tail_topic(*given, **named)

    monkeypatch.setattr(tails, "tail_topic", away_once)
    tail = DecisionTail(kafka, "")
    try:
        await tail.start()
        await until(tail.problems)
        assert "no broker answered" in tail.problems()[0]
        await until(lambda: not tail.problems())
    finally:
        await tail.stop()


async def until(reached: Any) -> None:
    """Wait until something is so; the test fails where it does not become so in time."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look() -> None:
        event.set() if reached() else loop.call_later(0.02, look)

    look()
    async with asyncio.timeout(UNTIL_S):
        await event.wait()
