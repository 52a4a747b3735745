"""Claims about the gateway's intake: its bounds, its order, and what it answers when Kafka does not.

The producer is a stand-in that a test can hold up and break; the real one is in tests/live/test_gateway.py.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence

import pytest

from connectors.fhir.settings import FhirSettings
from connectors.hl7v2.codec import decode
from connectors.hl7v2.settings import Hl7Settings
from connectors.http.arrivals import fhir_arrivals
from connectors.intake import NotStoredError
from connectors.kafka.faults import NotSentError
from connectors.kafka.headers import header
from connectors.kafka.record import Record
from connectors.sources.arrival import Arrival
from stream.feeds import Feeds
from stream.live.intake import IntakeLimits, KafkaIntake
from stream.metrics import IntakeMetrics
from stream.parse import IDENTIFIERS_MAX

NOW = 1_767_225_600_000
UNTIL_S = 30


class HeldSender:
    """Keeps what it is given; acknowledges, or fails, when it is told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[Sequence[Record], asyncio.Future[None]]] = []

    async def send(self, records: Sequence[Record]) -> None:
        """Wait until the test says what becomes of it."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.calls.append((records, future))
        await future


def message(number: int, feed: str = "LAB|MAIN", pid: str = "PID|1||42^^^MRN^MR\r") -> Arrival:
    data = (
        f"MSH|^~\\&|{feed}|||20260101000000||ORU^R01^ORU_R01|C{number}|P|2.5.1\r{pid}"
        f"OBR|1|||X|||20260101000000\rOBX|1|NM|8867-4^HR^LN||72|/min|||||F|||20260101000000\r"
    ).encode()
    return Arrival(f"mllp/1#{number}", None, data, "hl7v2", decode(data, Hl7Settings()))


@pytest.fixture
def sender() -> HeldSender:
    return HeldSender()


def intake_over(sender: HeldSender, **limits: float) -> KafkaIntake:
    metrics = IntakeMetrics(Feeds(), "test")
    return KafkaIntake(sender, lambda: NOW, metrics, IntakeLimits(**limits), source="/wardstream/gateway/g1")


async def settled() -> None:
    """Let every task that can go on go on."""
    loop = asyncio.get_running_loop()
    for _ in range(5):
        turn = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn


@pytest.mark.asyncio
async def test_a_receipt_comes_with_the_acknowledgement_and_not_before(sender) -> None:
    """Nothing is receipted before the producer says that it is acknowledged; then it is accepted."""
    intake = intake_over(sender)
    future = await intake.offer([message(1)])
    await settled()
    assert not future.done()
    sender.calls[0][1].set_result(None)
    assert [receipt.outcome for receipt in await future] == ["accepted"]
    assert intake.waiting_messages == intake.waiting_bytes == 0


@pytest.mark.asyncio
async def test_a_message_is_written_as_it_came_with_its_sender_and_received_time(sender) -> None:
    """A record holds the very bytes, is keyed by the sender, and carries CloudEvents headers and the received time."""
    intake = intake_over(sender)
    one = message(1)
    await intake.offer([one])
    await settled()
    [record] = sender.calls[0][0]
    assert (record.topic, record.key, record.value) == ("hl7v2.ingest.v1", b"LAB|MAIN", one.data)
    told = [header(record.headers, name) for name in ("ws_received", "ce_type", "content-type", "ce_source")]
    assert told == [str(NOW), "wardstream.hl7v2.ingest.v1", "application/hl7-v2", "/wardstream/gateway/g1"]


@pytest.mark.asyncio
async def test_a_refused_message_becomes_a_letter_with_its_bytes(sender) -> None:
    """What the codec refuses goes to the letters with reason, place and bytes, and the receipt carries the refusal."""
    intake = intake_over(sender)
    one = message(1, pid="")
    future = await intake.offer([one])
    await settled()
    [record] = sender.calls[0][0]
    letter = json.loads(record.value or b"")
    assert record.topic == "deadletters.v1"
    assert base64.b64decode(letter["data_base64"]) == one.data
    assert letter["source"] == "g1/mllp/1#1"
    sender.calls[0][1].set_result(None)
    [receipt] = await future
    assert receipt.outcome == "refused"
    assert receipt.refusal is not None
    assert receipt.refusal.reason == letter["reason"]


@pytest.mark.parametrize(("identifiers", "outcome"), [(1, "accepted"), (IDENTIFIERS_MAX + 1, "refused")])
@pytest.mark.asyncio
async def test_a_swap_is_one_record_and_has_one_answer(sender, identifiers: int, outcome: str) -> None:
    """An A17 goes as it came, once; what cannot be used of its second patient refuses it, as [parse] would."""
    many = "~".join(f"43^^^A{number}^MR" for number in range(identifiers))
    data = (
        "MSH|^~\\&|PAS|MAIN|||20260101000000||ADT^A17|C1|P|2.5.1\rEVN|A17|20260101000000\r"
        f"PID|1||42^^^MRN^MR\rPV1|1|I|A^1^2\rPID|2||{many}\rPV1|2|I|A^1^1\r"
    ).encode()
    future = await intake_over(sender).offer([Arrival("mllp/1#1", None, data, "hl7v2", decode(data, Hl7Settings()))])
    await settled()
    [record] = sender.calls[0][0]
    assert record.topic == ("hl7v2.ingest.v1" if outcome == "accepted" else "deadletters.v1")
    sender.calls[0][1].set_result(None)
    assert [receipt.outcome for receipt in await future] == [outcome]


@pytest.mark.asyncio
async def test_a_bundle_is_one_record_as_it_was_posted(sender) -> None:
    """Entries of a Bundle go as the one body they came in; with a refused one among them, [parse] keeps the letter."""
    body = (
        b'{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Basic","id":"b"}},'
        b'{"resource":{"resourceType":"Observation","status":"fnial"}}]}'
    )
    intake = intake_over(sender)
    future = await intake.offer(fhir_arrivals(body, FhirSettings(), "http/1"))
    await settled()
    [record] = sender.calls[0][0]
    assert (record.topic, record.value) == ("fhir.ingest.v1", body)
    sender.calls[0][1].set_result(None)
    assert [receipt.outcome for receipt in await future] == ["accepted", "refused"]


@pytest.mark.asyncio
async def test_a_bundle_of_which_nothing_can_be_used_is_letters_alone(sender) -> None:
    """Where every entry is refused, each becomes a letter, and nothing is written to the ingest topic."""
    entry = b'{"resource":{"resourceType":"Observation","status":"fnial"}}'
    body = b'{"resourceType":"Bundle","type":"collection","entry":[%b,%b]}' % (entry, entry)
    intake = intake_over(sender)
    await intake.offer(fhir_arrivals(body, FhirSettings(), "http/1"))
    await settled()
    assert [record.topic for record in sender.calls[0][0]] == ["deadletters.v1"] * 2


@pytest.mark.asyncio
async def test_what_is_not_acknowledged_is_told_to_be_sent_again(sender) -> None:
    """A send that fails gives no receipt: the sender is told to send again, and the fault is named."""
    intake = intake_over(sender)
    future = await intake.offer([message(1)])
    await settled()
    sender.calls[0][1].set_exception(NotSentError("unreachable", "no broker answered"))
    with pytest.raises(NotStoredError) as told:
        await future
    assert told.value.reason == "failed"
    assert intake.fault == "no broker answered"
    again = await intake.offer([message(1)])
    await settled()
    sender.calls[1][1].set_result(None)
    await again
    assert intake.fault == ""


@pytest.mark.asyncio
async def test_what_waits_behind_a_failed_message_of_its_sender_fails_with_it(sender) -> None:
    """Later messages of the failed one's sender are taken back; another sender's are not."""
    intake = intake_over(sender)
    first, second = await intake.offer([message(1)]), await intake.offer([message(2)])
    other = await intake.offer([message(3, feed="OTHER|X")])
    await settled()
    sender.calls[0][1].set_exception(NotSentError("unreachable", "no broker answered"))
    for future in (first, second):
        with pytest.raises(NotStoredError):
            await future
    await settled()
    assert sender.calls[1][1].cancelled()
    sender.calls[2][1].set_result(None)
    assert [receipt.outcome for receipt in await other] == ["accepted"]
    assert intake.waiting_messages == 0


@pytest.mark.asyncio
async def test_offers_wait_for_room_and_go_on_when_there_is_some(sender) -> None:
    """Past the bound an offer waits, holding nothing of ours, and goes on once Kafka has acknowledged."""
    intake = intake_over(sender, waiting_messages_max=2)
    await intake.offer([message(1), message(2)])
    waiting = asyncio.create_task(intake.offer([message(3)]))
    await settled()
    assert not waiting.done()
    assert intake.waiting_messages == 2
    sender.calls[0][1].set_result(None)
    async with asyncio.timeout(UNTIL_S):
        await waiting
    assert intake.waiting_messages == 1


@pytest.mark.asyncio
async def test_an_offer_waits_for_room_only_so_long(sender) -> None:
    """Where no room comes in time the sender is told to come again."""
    intake = intake_over(sender, waiting_messages_max=1, room_s=0.01)
    await intake.offer([message(1)])
    with pytest.raises(NotStoredError) as told:
        await intake.offer([message(2)])
    assert told.value.reason == "overloaded"


@pytest.mark.asyncio
async def test_stopping_answers_everybody(sender) -> None:
    """A stop takes nothing new, and leaves nobody without an answer."""
    intake = intake_over(sender)
    future = await intake.offer([message(1)])
    await settled()
    await intake.stop(0.01)
    with pytest.raises(NotStoredError):
        await future
    with pytest.raises(NotStoredError) as told:
        await intake.offer([message(2)])
    assert told.value.reason == "stopping"


@pytest.mark.asyncio
async def test_a_bug_of_ours_leaves_no_sender_waiting(sender) -> None:
    """Where sending raises what it should not, the sender is told to send again."""
    intake = intake_over(sender)
    future = await intake.offer([message(1)])
    await settled()
    sender.calls[0][1].set_exception(RuntimeError("ours"))
    with pytest.raises(NotStoredError):
        await future
    assert intake.fault == "RuntimeError"
