"""Claims about the MLLP server and peers that mean well: answers, their order, what is held back, and the stop."""

from __future__ import annotations

import asyncio
import socket
import struct

import hl7
import pytest
from hl7.client import MLLPClient
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.hl7v2.framing import frame
from connectors.hl7v2.routes import Route
from connectors.hl7v2.settings import Hl7Settings
from connectors.intake import NotStoredError
from connectors.mllp.limits import MllpLimits
from tests.connectors.mllp.conftest import Ward

pytestmark = pytest.mark.asyncio

FLOOD_BYTES = 64 * 1024 * 1024
"""More than two sockets' buffers hold: some 10 MiB, if the system lets them grow."""


async def test_python_hl7_client(serve, message) -> None:
    """A client that we did not write gets AA for each message, by its control id, once it is stored."""
    async with serve() as ward:

        def send() -> list[bytes]:
            with MLLPClient("127.0.0.1", ward.port) as client:
                return [client.send_message(message(number)) for number in range(20)]

        answers = await asyncio.to_thread(send)
        for number, answer in enumerate(answers):
            ack = hl7.parse(answer.strip(b"\x0b\x1c\r").decode())
            assert str(ack["MSA"][0]) == f"MSA|AA|M{number}"
        assert [arrival.data for arrival in ward.intake.arrivals] == [message(number) for number in range(20)]
        assert [arrival.position for arrival in ward.intake.arrivals] == [f"mllp/1#{n}" for n in range(1, 21)]
        control_ids = [str(hl7.parse(answer.strip(b"\x0b\x1c\r").decode())["MSH"][0][10]) for answer in answers]
        assert len(set(control_ids)) == 20


async def test_answers_by_receipt(serve, message) -> None:
    """A repeat is AA too, for it is stored; an error of content is AE, a type that is not for us AR, each with ERR."""
    async with serve() as ward:
        client = await ward.connect()
        faulty = message(2).replace(b"PID|1||42", b"PID|1||")
        foreign = message(3).replace(b"ORU^R01", b"SIU^S12")
        await client.send(b"".join(map(frame, [message(1), message(1), faulty, foreign])))
        assert await client.answers(4) == [("AA", "M1"), ("AA", "M1"), ("AE", "M2"), ("AR", "M3")]
        assert ward.intake.reasons == ["ok", "ok", "missing_identifier", "unsupported_message_type"]
        assert ward.notices.counts("answered") == {"AA": 2, "AE": 1, "AR": 1}


async def test_what_a_sender_asks_for(serve, message) -> None:
    """Each message is answered as its own MSH-15 and MSH-16 say, in the order of the messages, accept before
    application; what was refused and nobody is to hear of is counted.
    """

    def asking(number: int, asked: bytes) -> bytes:
        return message(number).replace(b"|P|2.5.1||||||", b"|P|2.5.1|||" + asked + b"||", 1)

    faulty = asking(4, b"NE|NE").replace(b"PID|1||42", b"PID|1||")
    async with serve() as ward:
        client = await ward.connect()
        sent = [asking(1, b"AL|AL"), asking(2, b"NE|NE"), asking(3, b"AL|NE"), faulty, message(5), asking(6, b"NE|AL")]
        await client.send(b"".join(map(frame, sent)))
        assert await client.answers(5) == [("CA", "M1"), ("AA", "M1"), ("CA", "M3"), ("AA", "M5"), ("AA", "M6")]
        assert ward.notices.counts("untold") == {"AE": 1}
        assert len(ward.intake.arrivals) == 6
        ward.intake.refusing = "disk_full"
        await client.send(frame(asking(7, b"AL|AL")) + frame(asking(8, b"NE|SU")) + frame(message(9)))
        assert await client.answers(2) == [("CE", "M7"), ("AR", "M9")]
        assert ward.notices.counts("untold") == {"AE": 1, "not_stored": 1}


async def test_engines_that_do_not_mean_what_they_ask(message) -> None:
    """Where the configuration says so, for all or for a route, a message has one answer of the original mode."""
    asking = message(1).replace(b"|P|2.5.1||||||", b"|P|2.5.1|||AL|AL||", 1)
    other = asking.replace(b"|LAB|", b"|PAS|", 1)
    cases = (
        (Hl7Settings(acknowledgement="original"), ["AA", "AA"]),
        (Hl7Settings(routes=(Route("lab", sender="LAB|*", acknowledgement="original"),)), ["AA", "CA", "AA"]),
        (
            Hl7Settings(acknowledgement="original", routes=(Route("lab", sender="LAB|*", acknowledgement="asked"),)),
            ["CA", "AA", "AA"],
        ),
    )
    for settings_, codes in cases:
        ward = Ward(MllpLimits(linger_s=0.2), settings_)
        ward.port = await ward.server.start("127.0.0.1", 0)
        client = await ward.connect()
        await client.send(frame(asking) + frame(other))
        assert [code for code, _ in await client.answers(len(codes))] == codes
        ward.part()
        await ward.server.stop(5)


async def test_together(serve, message) -> None:
    """Frames that come in one packet are offered together, and answered in one write."""
    async with serve() as ward:
        client = await ward.connect()
        await client.send(b"".join(frame(message(number)) for number in range(10)))
        assert await client.answers(10) == [("AA", f"M{number}") for number in range(10)]
        assert ward.intake.offers == [10]
        assert (await ward.notices.until("answered")).count == 10


async def test_byte_by_byte_and_without_the_last_cr(serve, message) -> None:
    """A message that comes byte by byte is one message; a sender who forgets the CR after 0x1C is answered."""
    async with serve() as ward:
        client = await ward.connect()
        for byte in frame(message(1))[:-1]:
            await client.send(bytes([byte]))
        assert await client.answers(1) == [("AA", "M1")]
        await client.send(frame(message(2))[:-1])
        assert await client.answers(1) == [("AA", "M2")]


async def test_no_answer_before_the_receipt(serve, message) -> None:
    """Nobody is answered before his message is durable, though others are meanwhile."""
    async with serve() as ward:
        ward.intake.durable = False
        first, second = await ward.connect(), await ward.connect()
        await first.send(frame(message(1)))
        await ward.intake.until(lambda: len(ward.intake.arrivals) == 1)
        await second.send(frame(message(2)))
        await ward.intake.until(lambda: len(ward.intake.arrivals) == 2)
        ward.intake.settle(1)
        assert await second.answers(1) == [("AA", "M2")]
        assert ward.notices.counts("answered") == {"AA": 1}
        ward.intake.settle()
        assert await first.answers(1) == [("AA", "M1")]


async def test_answers_in_the_order_of_arrival(serve, message) -> None:
    """Answers come in the order of the messages, each as soon as it can, though a later one is durable first."""
    async with serve() as ward:
        ward.intake.durable = False
        client, other = await ward.connect(), await ward.connect()
        for number in (1, 2, 3):
            await client.send(frame(message(number)))
            await ward.intake.until(lambda: len(ward.intake.arrivals) == number)  # noqa: B023 - awaited here
        await other.send(frame(message(4)))
        await ward.intake.until(lambda: len(ward.intake.arrivals) == 4)
        ward.intake.settle(2)
        ward.intake.settle(3)
        assert await other.answers(1) == [("AA", "M4")]
        assert ward.notices.counts("answered") == {"AA": 1}
        ward.intake.settle(0)
        assert await client.answers(1) == [("AA", "M1")]
        assert ward.notices.counts("answered") == {"AA": 2}
        ward.intake.settle(1)
        assert await client.answers(2) == [("AA", "M2"), ("AA", "M3")]


async def test_in_flight_of_one_connection_is_bounded(serve, message) -> None:
    """No more messages than the limit are in flight; the next are offered when answers have gone out."""
    async with serve(messages_in_flight_max=4) as ward:
        ward.intake.durable = False
        client = await ward.connect()
        await client.send(b"".join(frame(message(number)) for number in range(10)))
        for stored in (4, 8, 10):
            await ward.intake.until(lambda: len(ward.intake.arrivals) >= stored)  # noqa: B023 - awaited here
            assert len(ward.intake.arrivals) == stored
            ward.intake.settle()
        assert await client.answers(10) == [("AA", f"M{number}") for number in range(10)]
        assert ward.intake.offers == [4, 4, 2]


async def test_in_flight_of_all_connections_is_bounded(serve, message) -> None:
    """Where all connections together have taken the room, the next waits until answers have gone out."""
    async with serve(bytes_in_flight_total_max=len(message(1))) as ward:
        ward.intake.durable = False
        first, second = await ward.connect(), await ward.connect()
        await first.send(frame(message(1)))
        await ward.intake.until(lambda: len(ward.intake.arrivals) == 1)
        await second.send(frame(message(2)) + b"x")
        await ward.notices.until("outside")
        assert len(ward.intake.arrivals) == 1
        ward.intake.settle()
        assert await first.answers(1) == [("AA", "M1")]
        await ward.intake.until(lambda: len(ward.intake.arrivals) == 2)
        ward.intake.settle()
        assert await second.answers(1) == [("AA", "M2")]


async def test_back_pressure(serve, message) -> None:
    """While the intake has no room nobody reads: the sender's writes block, after no more than the buffers hold."""
    async with serve() as ward:
        ward.intake.open.clear()
        client = socket.create_connection(("127.0.0.1", ward.port))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        client.settimeout(1)
        wire = frame(message(1)) * 100

        def flood() -> int:
            sent = 0
            while sent < FLOOD_BYTES:
                try:
                    sent += client.send(wire[sent % len(wire) :])
                except TimeoutError:
                    break
            return sent

        sent = await asyncio.to_thread(flood)
        assert sent < FLOOD_BYTES
        await ward.intake.until(lambda: ward.intake.waiting == 1)
        assert ward.intake.arrivals == []
        ward.intake.open.set()
        whole = sent // len(frame(message(1)))
        await ward.intake.until(lambda: len(ward.intake.arrivals) >= whole)
        assert len(ward.intake.arrivals) == whole
        assert max(ward.intake.offers) <= 256
        client.close()


async def test_not_stored(serve, message) -> None:
    """Where nothing is stored the answer is AR, the connection stays, and the same message is taken later."""
    async with serve() as ward:
        client = await ward.connect()
        ward.intake.refusing = "overloaded"
        await client.send(frame(message(1)))
        assert await client.answers(1) == [("AR", "M1")]
        ward.intake.refusing, ward.intake.failing = None, NotStoredError("disk_full")
        await client.send(frame(message(1)))
        assert await client.answers(1) == [("AR", "M1")]
        ward.intake.failing = RuntimeError("42^^^HOSP")
        await client.send(frame(message(1)))
        assert await client.answers(1) == [("AR", "M1")]
        ward.intake.failing = None
        await client.send(frame(message(1)))
        assert [code for code, _ in await client.answers(1)] == ["AA"]
        assert ward.notices.counts("not_stored") == {"overloaded": 1, "disk_full": 1, "failed": 1}
        assert ward.notices.counts("fault") == {"RuntimeError": 1}


async def test_peer_gone_before_its_answer(serve, message) -> None:
    """A message of a peer that breaks off before its answer is stored, and the answer is counted as not given."""
    async with serve() as ward:
        ward.intake.durable = False
        client = await ward.connect()
        await client.send(frame(message(1)))
        await ward.intake.until(lambda: len(ward.intake.arrivals) == 1)
        peer = client.writer.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.writer.transport.abort()
        await client.writer.wait_closed()
        while not ward.notices.counts("unanswered"):
            await ward.connect()  # a turn of the loop: the reset has come
            ward.intake.settle()
        assert (await ward.notices.until("closed")).why == "lost"
        assert ward.notices.counts("answered") == {}
        assert ward.intake.reasons == ["ok"]


async def test_half_close(serve, message) -> None:
    """A peer that ends its side after the last frame still gets all its answers, and then the end."""
    async with serve() as ward:
        ward.intake.durable = False
        client = await ward.connect()
        await client.send(b"".join(frame(message(number)) for number in range(3)))
        client.writer.write_eof()
        await ward.intake.until(lambda: len(ward.intake.arrivals) == 3)
        ward.intake.settle()
        assert await client.rest() == [("AA", "M0"), ("AA", "M1"), ("AA", "M2")]
        assert (await ward.notices.until("closed")).why == "peer"


async def test_slow_peer(serve, message) -> None:
    """A peer that sends and never reads its answers is closed after a while; what was read of it is stored."""
    header = b"|".join([b"MSH", b"^~\\&", *[b"x" * 250] * 4, b"20260101", b"", b"ORU^R01", b"y" * 250, b"P", b"2.5"])
    async with serve(write_s=0.1) as ward:
        client = await ward.connect()
        client.writer.transport.pause_reading()
        sending = asyncio.create_task(client.send(frame(header) * 20_000))
        closed = await ward.notices.until("closed")
        assert closed.why == "slow_peer"
        client.writer.transport.abort()
        await asyncio.gather(sending, return_exceptions=True)
        stored = len(ward.intake.arrivals)
        told = sum(ward.notices.counts("answered").values()) + sum(ward.notices.counts("unanswered").values())
        assert 0 < stored == told < 20_000
        assert max(ward.intake.offers) <= 256


async def test_stop_finishes_what_was_read(serve, message) -> None:
    """A stop accepts nobody more, stores and answers what was read, and keeps no half of a message."""
    async with serve() as ward:
        ward.intake.durable = False
        client, idle = await ward.connect(), await ward.connect()
        await client.send(frame(message(1)) + frame(message(2)) + frame(message(3))[:50])
        await ward.intake.until(lambda: len(ward.intake.arrivals) == 2)
        stopping = asyncio.create_task(ward.server.stop(20))
        assert await idle.rest() == []
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await ward.connect(opened=False)
        ward.intake.settle()
        assert await client.rest() == [("AA", "M1"), ("AA", "M2")]
        await stopping
        assert ward.notices.counts("closed") == {"stopping": 2}
        assert len(ward.intake.arrivals) == 2


async def test_stop_waits_no_longer_than_its_grace(serve, message) -> None:
    """A stop ends after its grace though the intake never answers; it leaves the intake's future alone."""
    async with serve() as ward:
        ward.intake.durable = False
        client = await ward.connect()
        await client.send(frame(message(1)))
        await ward.intake.until(lambda: len(ward.intake.arrivals) == 1)
        await ward.server.stop(0.05)
        assert ward.server.connections == 0
        [(future, _)] = ward.intake._pending
        assert not future.done()


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.lists(st.integers(1, 700), max_size=12))
@settings(max_examples=25)
async def test_same_messages_however_they_are_cut(serve, message, kinds: list[int], cuts: list[int]) -> None:
    """Whatever pieces a stream comes in, the intake gets the same messages, and the sender the same answers."""
    choices = {
        1: (frame(message(1)), ("AA", "M1"), "ok"),
        2: (b"\x0b" + message(2)[:-30] + frame(message(3)), ("AA", "M3"), "truncated"),
        3: (b"\x0bgarbage\x1c", ("AR", ""), "garbage"),
        4: (frame(message(4)[:60] + b"x" * 2_000), ("AR", "M4"), "oversized"),
    }
    wire = b"".join(choices[kind][0] for kind in kinds)
    answers = [choices[kind][1] for kind in kinds]
    reasons = [reason for kind in kinds for reason in [choices[kind][2], *["ok"] * (kind == 2)]]
    async with serve(message_bytes_max=1_000) as ward:
        client = await ward.connect()
        for cut in cuts:
            await client.send(wire[:cut])
            wire = wire[cut:]
        await client.send(wire)
        client.writer.write_eof()
        assert await client.rest() == answers
        assert ward.intake.reasons == reasons
