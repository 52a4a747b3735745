"""Claims about peers that mean no good, or do not know better: answered, told, kept, and bounded."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.decoded import Decoded, Refusal
from connectors.hl7v2.codec import decode_piece
from connectors.hl7v2.framing import Framed, frame
from connectors.hl7v2.settings import Hl7Settings
from connectors.mllp import connection
from connectors.mllp.limits import MllpLimits

TEST_S = 30
"""Longer than anything a test waits for."""

pytestmark = pytest.mark.asyncio

TLS_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(32, 132))
HTTP = b"POST /fhir/Observation HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/fhir+json\r\n\r\n{}"


async def test_two_thousand_idle_connections(serve, message) -> None:
    """2,000 idle connections keep nobody out: the longest idle make room, and who has sent a message stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8_192)), hard))
    try:
        async with serve(connections_max=100) as ward:
            speaker = await ward.connect()
            await speaker.send(frame(message(1)))
            await speaker.answers(1)
            for _ in range(2_000):
                await ward.connect()
            assert ward.server.connections == 100
            newcomer = await ward.connect()
            for client in (newcomer, speaker):
                await client.send(frame(message(2)))
                assert await client.answers(1) == [("AA", "M2")]
            await ward.notices.until("closed", 1_902)
            assert ward.notices.counts("closed") == {"evicted": 1_902}
            assert ward.notices.counts("refused") == {}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_the_longest_idle_goes_first(serve) -> None:
    """Among those who have sent no message, one that has just sent something stays longer than one that has not."""
    async with serve(connections_max=2) as ward:
        first, second = await ward.connect(), await ward.connect()
        await first.send(b"?")
        await ward.notices.until("outside")
        await ward.connect()
        closed = await ward.notices.until("closed")
        assert (closed.connection, closed.why) == (2, "evicted")
        assert await second.rest() == []


async def test_refused_where_all_have_spoken(serve, message) -> None:
    """Where every connection has sent a message, a new one is refused, and has a place once one has gone."""
    async with serve(connections_max=1) as ward:
        speaker = await ward.connect()
        await speaker.send(frame(message(1)))
        await speaker.answers(1)
        late = await ward.connect(opened=False)
        await ward.notices.until("refused")
        with contextlib.suppress(ConnectionError):
            assert await late.reader.read() == b""
        speaker.writer.close()
        await ward.notices.until("closed")
        newcomer = await ward.connect()
        await newcomer.send(frame(message(2)))
        assert await newcomer.answers(1) == [("AA", "M2")]


async def test_half_sent_frame(serve, message) -> None:
    """Who stops within a frame is answered AE by the id that came, and closed; the half is kept."""
    async with serve(frame_idle_s=0.05) as ward:
        client = await ward.connect()
        await client.send(frame(message(1)) + frame(message(2))[:-20])
        assert await client.rest() == [("AA", "M1"), ("AE", "M2")]
        assert (await ward.notices.until("closed")).why == "half_sent"
        assert ward.intake.reasons == ["ok", "truncated"]
        assert ward.intake.arrivals[1].data == frame(message(2))[1:-20]


async def test_idle_between_frames_is_no_fault(serve, message) -> None:
    """A peer that is silent between frames is left alone, while another that stops within one is closed."""
    async with serve(frame_idle_s=0.05) as ward:
        idle, half = await ward.connect(), await ward.connect()
        await idle.send(frame(message(1)) + b"\r\n")
        assert await idle.answers(1) == [("AA", "M1")]
        await half.send(b"\x0bMSH")
        await half.rest()
        await idle.send(frame(message(2)))
        assert await idle.answers(1) == [("AA", "M2")]


async def test_peer_gone_within_a_frame(serve, message) -> None:
    """What a peer had sent of a message when it went is kept as a dead letter."""
    async with serve() as ward:
        client = await ward.connect()
        await client.send(frame(message(1))[:-20])
        client.writer.close()
        assert (await ward.notices.until("closed")).why == "peer"
        assert ward.intake.reasons == ["truncated"]


async def test_oversized_frame(serve, message) -> None:
    """A message that is too long is answered AR by its id when it ends, kept up to the limit, and the next is taken."""
    async with serve(message_bytes_max=2_000) as ward:
        client = await ward.connect()
        await client.send(frame(message(1) + b"x" * 5_000) + frame(message(2)))
        assert await client.answers(2) == [("AR", "M1"), ("AA", "M2")]
        assert ward.intake.reasons == ["oversized", "ok"]
        assert len(ward.intake.arrivals[0].data) == 2_001


async def test_endless_frame(serve, message) -> None:
    """A frame that never ends is answered AR once and closed, and takes no more memory than one message."""
    async with serve(message_bytes_max=2_000, overrun_bytes_max=2_000) as ward:
        client = await ward.connect()

        async def endless() -> None:
            await client.send(b"\x0b" + message(1))
            while True:
                await client.send(b"x" * 10_000)

        sending = asyncio.create_task(endless())
        assert await client.answers(1) == [("AR", "M1")]
        assert (await ward.notices.until("closed")).why == "endless_frame"
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        assert ward.intake.reasons == ["oversized"]
        assert len(ward.intake.arrivals[0].data) == 2_001


@pytest.mark.parametrize("data", [HTTP, TLS_HELLO, b"MSH|^~\\&|LAB|MAIN|||20260101||ORU^R01|1|P|2.5\r" * 3])
async def test_no_mllp(serve, data: bytes) -> None:
    """Who speaks HTTP, TLS or HL7 without frames is answered AR and closed, and what he said is kept as garbage."""
    async with serve() as ward:
        client = await ward.connect()
        await client.send(data)
        [(code, _)] = await client.rest()
        assert code == "AR"
        assert (await ward.notices.until("closed")).why == "no_frame"
        assert ward.intake.reasons == ["garbage"]
        assert ward.intake.arrivals[0].data == data.strip()


async def test_last_answer_can_be_read(serve) -> None:
    """After its last answer the server ends its own side, and lets the peer read it and close before it does."""
    async with serve(linger_s=20) as ward:
        client = await ward.connect()
        await client.send(HTTP)
        assert await client.rest() == [("AR", "")]
        await client.send(HTTP)
        await ward.connect()
        assert ward.notices.counts("closed") == {}
        client.writer.close()
        assert (await ward.notices.until("closed")).why == "no_frame"


async def test_a_little_that_is_no_mllp(serve) -> None:
    """A few bytes without a frame, and then nothing, are closed too, after a while."""
    async with serve(frame_idle_s=0.05) as ward:
        client = await ward.connect()
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert await client.rest() == [("AR", "")]
        assert (await ward.notices.until("closed")).why == "no_frame"


async def test_binary_garbage_in_a_frame(serve, message) -> None:
    """Garbage in a frame is answered AR without an id and kept, and so is a frame of nothing; the next is taken."""
    async with serve() as ward:
        client = await ward.connect()
        await client.send(frame(b"\x00\xff\x7f\x80garbage\r\n\x0b?") + frame(b"") + frame(message(1)))
        assert await client.answers(3) == [("AR", ""), ("AR", ""), ("AA", "M1")]
        assert ward.intake.reasons == ["garbage", "garbage", "ok"]


async def test_interleaved_frames(serve, message) -> None:
    """A frame that begins within another cuts it off: it is kept, and its sender gets the one answer that he waits
    for, the second's; so too where he begins the same message again.
    """
    async with serve() as ward:
        client = await ward.connect()
        await client.send(b"\x0b" + message(1)[:-30] + frame(message(2)) + frame(message(3)))
        assert await client.answers(2) == [("AA", "M2"), ("AA", "M3")]
        await client.send(b"\x0b" + message(4)[:-30] + frame(message(4)))
        client.writer.write_eof()
        assert await client.rest() == [("AA", "M4")]
        assert ward.intake.reasons == ["truncated", "ok", "ok", "truncated", "ok"]


async def test_bytes_between_frames(serve, message) -> None:
    """Bytes between frames are counted and kept, and not answered: there is one answer a frame, as was asked."""
    async with serve() as ward:
        client = await ward.connect()
        await client.send(frame(message(1)) + b"ping" + frame(message(2)))
        client.writer.write_eof()
        assert await client.rest() == [("AA", "M1"), ("AA", "M2")]
        assert ward.intake.reasons == ["ok", "garbage", "ok"]
        assert (await ward.notices.until("outside")).count == 4


async def test_half_sent_frames_of_all_are_bounded(serve, message) -> None:
    """Who begins a frame when too much is half sent already is answered AR, to come later, and closed; others go on."""
    async with serve(bytes_begun_total_max=300) as ward:
        first, second = await ward.connect(), await ward.connect()
        await first.send(b"x" + frame(message(1))[:200])
        await ward.notices.until("outside")
        await second.send(frame(message(2))[:200])
        assert await second.rest() == [("AR", "M2")]
        assert (await ward.notices.until("closed")).why == "overloaded"
        assert ward.notices.counts("not_stored") == {"overloaded": 1}
        await first.send(frame(message(1))[200:])
        assert await first.answers(1) == [("AA", "M1")]
        third = await ward.connect()
        await third.send(frame(message(3))[:200])
        await third.send(frame(message(3))[200:])
        assert await third.answers(1) == [("AA", "M3")]


async def test_end_block_within_a_field(serve, message) -> None:
    """A message with a 0x1C in a field is answered AE, never AA, and both its halves are kept; the next is taken."""
    async with serve() as ward:
        client = await ward.connect()
        begun, rest = message(1).replace(b"|8867-4", b"|\x1c8867-4").split(b"\x1c")
        await client.send(frame(begun + b"\x1c" + rest) + frame(message(2)))
        assert await client.answers(2) == [("AE", "M1"), ("AA", "M2")]
        assert ward.intake.reasons == ["truncated", "garbage", "ok"]
        kept = [arrival.data for arrival in ward.intake.arrivals]
        assert (kept[0], kept[1].rstrip()) == (begun, rest.rstrip())


async def test_end_block_within_a_field_at_the_end_of_a_read(serve, message) -> None:
    """Where a read ends right after that 0x1C, it is AE too: what follows is waited for, and where nothing does, a
    message that ends within an OBX is no whole one.
    """
    begun, rest = message(1).replace(b"|8867-4", b"|\x1c8867-4").split(b"\x1c")
    async with serve(end_block_s=TEST_S) as ward:
        client = await ward.connect()
        await client.send(frame(begun).rstrip(b"\r"))
        for byte in rest[:3]:
            await client.send(bytes([byte]))
        await client.send(rest[3:] + b"\x1c\r" + frame(message(2)))
        assert await client.answers(2) == [("AE", "M1"), ("AA", "M2")]
        assert ward.intake.reasons == ["truncated", "garbage", "ok"]
    async with serve() as ward:
        client = await ward.connect()
        await client.send(frame(begun).rstrip(b"\r"))
        assert await client.answers(1) == [("AE", "M1")]
        assert ward.intake.reasons == ["truncated"]


async def test_no_cr_after_the_end_block(serve, message) -> None:
    """A sender who forgets the CR after 0x1C is answered AA for each of his messages."""
    async with serve() as ward:
        client = await ward.connect()
        await client.send(frame(message(1)).rstrip(b"\r") + frame(message(2)).rstrip(b"\r"))
        assert await client.answers(2) == [("AA", "M1"), ("AA", "M2")]
        assert ward.intake.reasons == ["ok", "ok"]


async def test_a_long_message_is_decoded_beside_the_loop(serve, message, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message of more than DECODED_INLINE_BYTES_MAX is decoded in another thread than that which answers others."""
    threads: list[int] = []

    def noted(piece: Framed, given: Hl7Settings, port: int) -> Decoded | Refusal:
        threads.append(threading.get_ident())
        return decode_piece(piece, given, port)

    monkeypatch.setattr(connection, "decode_piece", noted)
    long = message(2) + b"NTE|1||" + b"x" * connection.DECODED_INLINE_BYTES_MAX + b"\r"
    async with serve() as ward:
        client = await ward.connect()
        for one in (message(1), long, message(3)):
            await client.send(frame(one))
            await client.answers(1)
    assert ward.intake.reasons == ["ok", "ok", "ok"]
    here = threading.get_ident()
    assert [thread == here for thread in threads] == [True, False, True]


SCRAPS = st.sampled_from(
    [b"\x0b", b"\x1c", b"\r", b"MSH|^~\\&|A|B|||20260101||ORU^R01|7|P|2.5\r", b"\x0bMSH", b"PID|1||4^^^H\r", b"GET /"]
)


@given(st.lists(st.lists(SCRAPS | st.binary(max_size=40), max_size=8).map(b"".join), max_size=6))
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
async def test_any_bytes(serve, message, parts: list[bytes]) -> None:
    """Whatever a peer sends, nothing fails, others are served, and no notice holds a byte of it."""
    async with serve(message_bytes_max=200, overrun_bytes_max=100) as ward:
        client = await ward.connect()
        for part in parts:
            try:
                await client.send(part)
            except ConnectionError:
                break
        if client.writer.can_write_eof() and not client.writer.transport.is_closing():
            client.writer.write_eof()
        await ward.notices.until("closed")
        other = await ward.connect()
        await other.send(frame(b"hello"))
        assert await other.answers(1) == [("AR", "")]
        assert ward.notices.counts("fault") == {}
        for notice in ward.notices.told:
            assert notice.code in {"", "AA", "AE", "AR"}
            assert notice.host in {"", "127.0.0.1"}


@pytest.mark.parametrize("name", MllpLimits.__struct_fields__)
async def test_limits_are_checked(name: str) -> None:
    """A limit that is no positive number is refused by its name."""
    with pytest.raises(ValueError, match=name):
        MllpLimits(**{name: 0})
