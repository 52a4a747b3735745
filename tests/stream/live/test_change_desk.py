"""The desk of a process: what it enters is linked to all before it, stands once, and counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import pytest

from connectors.kafka.admin import declare
from connectors.kafka.faults import BrokerError, NotSentError
from connectors.kafka.outbox import Outbox
from connectors.kafka.reading import read_topic
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import CONTROL
from connectors.signing import generate_key
from events import ChangeStep, Configuration, KillSwitch, Standing
from stream.chain import Chain
from stream.decision_keys import DecisionKey
from stream.decisions import Decision, Decisions, decision_key, decode_decision, encode_decision, signer
from stream.live import change_desk
from stream.live.change_desk import ChangeDesk
from stream.loudness import CHANGE_CONTROL
from stream.settings import Settings, configuration_hash, configuration_text

AT = 1_800_000_000_000
ONE, OTHER = "4f1c02aa91be", "0a1b2c3d4e5f"


def step(version: str) -> Decision:
    """Give a decision that changes nothing."""
    return Decision(ChangeStep(AT, version, "proposed"), "wardstream:change-control")


def missing(*versions: str) -> change_desk.Make:
    """Propose versions that nobody has proposed."""

    def make(decisions: Decisions) -> Sequence[Decision]:
        known = {one.decision.event.version for one in decisions.kept() if isinstance(one.decision.event, ChangeStep)}
        return [step(name) for name in versions if name not in known]

    return make


async def by_somebody(kafka: KafkaSettings, decision: Decision, previous: tuple[str, ...] = ()) -> None:
    """Write a decision past the desk."""
    outbox = Outbox(kafka, client_id="test")
    await outbox.start()
    await outbox.send([Record(CONTROL, decision_key(decision), encode_decision(decision))])
    await outbox.stop()


async def chain_of(kafka: KafkaSettings) -> Chain:
    """Read the chain of all that stands."""
    chain = Chain()
    async for record in read_topic(kafka, CONTROL):
        assert record.value is not None
        chain.take(record.offset + 1, record.value, decode_decision(record.value).previous)
    return chain


@asynccontextmanager
async def desk(kafka: KafkaSettings) -> AsyncIterator[ChangeDesk]:
    """Give a desk that reads."""
    await declare(kafka)
    made = ChangeDesk(kafka, "")
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@pytest.mark.asyncio
async def test_what_it_enters_is_linked_and_is_made_from_all_that_stands(kafka: KafkaSettings) -> None:
    """It has read what somebody wrote a moment before, names it, and enters nothing that stands already."""
    async with desk(kafka) as one:
        first = await one.enter(missing(ONE))
        await by_somebody(kafka, Decision(step(OTHER).event, "data-scientist", previous=one.decisions.chain.tips))
        again = await one.enter(missing(ONE, OTHER))
        await one.enter(lambda _decisions: [Decision(KillSwitch(AT, True), "duty-manager")])
        assert [decided.sequence for decided in first] == [1]
        assert again == []
        assert one.decisions.kill_switch
    chain = await chain_of(kafka)
    assert (chain.records, chain.faults, len(chain.tips)) == (3, (), 1)


@pytest.mark.asyncio
async def test_two_who_decide_at_once_never_interleave(kafka: KafkaSettings) -> None:
    """What each makes is made from what the other entered, and stands in one piece."""
    async with desk(kafka) as one:
        found = await asyncio.gather(*(one.enter(missing(ONE, OTHER)) for _ in range(5)))
        assert sorted(len(entered) for entered in found) == [0, 0, 0, 0, 2]
    assert (await chain_of(kafka)).faults == ()


@pytest.mark.asyncio
async def test_sent_and_not_heard_of_it_stands_once(kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the broker's answer is lost, the topic is read: the record is there, and is not written a second time."""
    send, lost = Outbox.send, []

    async def answer_is_lost(self: Outbox, records: Sequence[Record]) -> list[tuple[int, int]]:
        answers = await send(self, records)
        if not lost:
            lost.append(answers)
            raise NotSentError("unreachable", "no answer")
        return answers

    async with desk(kafka) as one:
        monkeypatch.setattr(Outbox, "send", answer_is_lost)
        await one.enter(missing(ONE, OTHER))
        assert len(lost) == 1
    assert (await chain_of(kafka)).records == 2


@pytest.mark.asyncio
async def test_what_cannot_be_known_to_stand_is_an_error(kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that never takes it: after some attempts the caller is told, and nothing is said to stand."""

    async def never(_self: Outbox, _records: Sequence[Record]) -> list[tuple[int, int]]:
        raise NotSentError("unreachable", "no answer")

    async with desk(kafka) as one:
        monkeypatch.setattr(Outbox, "send", never)
        with pytest.raises(BrokerError, match="overtaken"):
            await one.enter(missing(ONE))
    assert (await chain_of(kafka)).records == 0


@pytest.mark.asyncio
async def test_what_would_not_count_is_not_written(kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told in health by its kind, until one of that kind counts; what else was decided stands."""
    held = Decision(Standing(AT, ONE, "held"), "wardstream:monitor")
    async with desk(kafka) as one:
        monkeypatch.setattr(
            Decisions, "fault_of", lambda _self, decision: "unsigned" if type(decision.event) is ChangeStep else None
        )
        entered = await one.enter(lambda _decisions: [step(ONE), held])
        assert [type(decided.decision.event) for decided in entered] == [Standing]
        assert "a ChangeStep of this process would not count, for it is not signed" in " ".join(one.problems())
        monkeypatch.undo()
        await one.enter(missing(ONE))
        assert one.problems() == ()


@pytest.mark.asyncio
async def test_where_keys_are_declared_it_signs_last_of_all(kafka: KafkaSettings) -> None:
    """With its key what it enters counts, chain and all; without one nothing is written, and health says why."""
    pair = generate_key()
    key = DecisionKey(pair.public, (CHANGE_CONTROL,))
    settings = msgspec.structs.replace(Settings(), decision_keys={"learner": key})
    declared = Configuration(AT, configuration_hash(settings), configuration_text(settings))
    async with desk(kafka) as unsigned:
        await unsigned.enter(lambda _decisions: [Decision(declared, "safety-officer")])
        assert await unsigned.enter(missing(ONE)) == []
        assert "for it is not signed" in " ".join(unsigned.problems())
        signing = ChangeDesk(kafka, "", sign=signer(pair.private_pem))
        await signing.start()
        entered = await signing.enter(missing(ONE, OTHER))
        await signing.stop()
        assert [one.decision.event for one in entered] == [step(ONE).event, step(OTHER).event]
        assert all(one.decision.signature is not None for one in entered)
        assert await unsigned.enter(missing(ONE, OTHER)) == []
    chain = await chain_of(kafka)
    assert (chain.records, chain.faults) == (3, ())
