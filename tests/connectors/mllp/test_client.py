"""The MLLP client: each acknowledgement belongs to its message, or counts for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hl7.mllp import start_hl7_server

from connectors.mllp.client import (
    ACK_BYTES_MAX,
    STRAY_BYTES_MAX,
    ConnectionBrokenError,
    MllpClient,
    WrongAcknowledgementError,
    read_acknowledgement,
)

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
SURNAME = "NORRIS"


def message(control_id: str) -> bytes:
    header = f"MSH|^~\\&|LAB|MAIN|||20260101120000+0000||ADT^A08^ADT_A01|{control_id}|P|2.5.1\r"
    return f"{header}PID|1||{SURNAME}^^^HOSP^MR\r".encode()


def ack(control_id: str, code: str = "AA", rest: str = "") -> bytes:
    return f"\x0bMSH|^~\\&|R|R|LAB|MAIN|20260101||ACK|1|P|2.5.1\rMSA|{code}|{control_id}\r{rest}\x1c\r".encode()


async def read_frame(reader: asyncio.StreamReader) -> str:
    """Give the control id of the next message."""
    return (await reader.readuntil(b"\x1c\r")).split(b"|")[9].decode()


@asynccontextmanager
async def receiver(talk: Talk, **options: object) -> AsyncIterator[MllpClient]:
    """Let `talk` receive over a real socket; gives a client that is open."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = MllpClient("127.0.0.1", server.sockets[0].getsockname()[1], **options)
    try:
        await client.open()
        yield client
    finally:
        await client.close()
        server.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("window", [1, 8])
async def test_an_independent_receiver_gets_and_acknowledges_all(window):
    """python-hl7's server reads what is sent, in order, and each of its acknowledgements is taken."""
    received = []

    async def serve(reader, writer):
        try:
            while True:
                got = await reader.readmessage()
                received.append(str(got.segment("MSH")[10]))
                writer.writemessage(got.create_ack("AA"))
                await writer.drain()
        except asyncio.IncompleteReadError:
            writer.close()

    server = await start_hl7_server(serve, "127.0.0.1", 0)
    client = MllpClient("127.0.0.1", server.sockets[0].getsockname()[1], window=window)
    await client.open()
    names = [f"M{n}" for n in range(100)]
    answers = [answer async for answer in client.send_all(message(name) for name in names)]
    await client.close()
    server.close()
    assert received == names
    assert [answer.code for answer in answers] == ["AA"] * 100


@pytest.mark.asyncio
async def test_a_window_is_filled_and_kept():
    """As many messages as the window are in flight at once, and no more."""
    seen = []

    async def talk(reader, writer):
        while True:
            names = [await read_frame(reader) for _ in range(4)]
            seen.append(client.in_flight)
            writer.write(b"".join(ack(name) for name in names))

    async with receiver(talk, window=4) as client:
        answers = [answer.code async for answer in client.send_all(message(f"M{n}") for n in range(12))]
    assert answers == ["AA"] * 12
    assert seen == [4, 4, 4]


@pytest.mark.asyncio
async def test_a_late_acknowledgement_is_never_the_next_ones():
    """An ACK for a message given up on is not taken for the next: the second raises, on a connection that is cut."""

    async def talk(reader, writer):
        first = await read_frame(reader)
        await read_frame(reader)
        writer.write(ack(first) + ack(first))
        await reader.read()

    async with receiver(talk, window=2) as client:
        first, second = await client.submit(message("M1")), await client.submit(message("M2"))
        assert (await first).code == "AA"
        with pytest.raises(WrongAcknowledgementError, match="another message"):
            await second
        with pytest.raises(WrongAcknowledgementError):
            await client.send(message("M3"))


@pytest.mark.asyncio
async def test_an_acknowledgement_that_nobody_waits_for_ends_the_exchange():
    """A second ACK of one message is not kept for the next one."""

    async def talk(reader, writer):
        name = await read_frame(reader)
        writer.write(ack(name) + ack("M2"))
        await reader.read()

    async with receiver(talk) as client:
        await client.send(message("M1"))
        with pytest.raises(WrongAcknowledgementError, match="nobody"):
            await client.send(message("M2"))


@pytest.mark.asyncio
async def test_a_cancelled_wait_does_not_shift_the_others():
    """Whoever stops waiting leaves his place in the order: his ACK is not the next one's."""
    go_on = asyncio.Event()

    async def talk(reader, writer):
        names = [await read_frame(reader) for _ in range(2)]
        await go_on.wait()
        writer.write(ack(names[0], "AE") + ack(names[1]))
        await reader.read()

    async with receiver(talk, window=2) as client:
        first, second = await client.submit(message("M1")), await client.submit(message("M2"))
        first.cancel()
        go_on.set()
        assert (await second).code == "AA"


@pytest.mark.asyncio
async def test_silence_ends_the_exchange():
    """Without an acknowledgement in time all who wait are told, and none is counted."""

    async def talk(reader, writer):
        await reader.read()

    async with receiver(talk, window=3, ack_timeout_s=0.5) as client:
        waiting = [await client.submit(message(f"M{n}")) for n in range(3)]
        for answer in waiting:
            with pytest.raises(ConnectionBrokenError, match=r"within 0\.5 s"):
                await answer


@pytest.mark.asyncio
async def test_a_broken_connection_tells_what_is_unanswered():
    """What was acknowledged before the break stays so; the rest raises, and so does whoever waits for room."""

    async def talk(reader, writer):
        writer.write(ack(await read_frame(reader)))
        await read_frame(reader)
        writer.transport.abort()

    async with receiver(talk, window=2) as client:
        answers = [await client.submit(message(f"M{n}")) for n in (1, 2)]
        blocked = [asyncio.create_task(client.send(message(f"M{n}"))) for n in (3, 4, 5)]
        assert (await answers[0]).code == "AA"
        for answer in (answers[1], *blocked):
            with pytest.raises(ConnectionBrokenError):
                await answer


@pytest.mark.asyncio
async def test_a_port_where_nobody_listens_is_said():
    """A refused connection is a broken one, with no more than the system's words."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(ConnectionBrokenError, match="no connection"):
        await MllpClient("127.0.0.1", port).open()


NO_ACKS = {
    "http": b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * STRAY_BYTES_MAX,
    "oversized": ack("M1", rest="ERR|" + "x" * ACK_BYTES_MAX),
    "binary": b"\x0b\x00\xff\xfe\x1c\r",
    "empty": b"\x0b\x1c\r",
    "no_msa": b"\x0bMSH|^~\\&|R\rPID|1\r\x1c\r",
    "unknown_code": ack("M1", "OK"),
    "no_control_id": ack(""),
    "the_message_itself": b"\x0b" + message("M1") + b"\x1c\r",
}


@pytest.mark.asyncio
@pytest.mark.parametrize("case", NO_ACKS)
async def test_what_is_no_acknowledgement_is_none(case):
    """Whatever comes back that does not acknowledge the message raises, and quotes nothing."""

    async def talk(reader, writer):
        await read_frame(reader)
        writer.write(NO_ACKS[case])
        await reader.read()

    async with receiver(talk) as client:
        with pytest.raises(WrongAcknowledgementError) as raised:
            await client.send(message("M1"))
    assert SURNAME not in str(raised.value)
    assert "\x00" not in str(raised.value)


@pytest.mark.asyncio
async def test_an_endless_answer_is_bounded_by_time():
    """A frame that never ends is given up on when the acknowledgement is due, with next to nothing kept of it."""

    async def talk(reader, writer):
        await read_frame(reader)
        writer.write(b"\x0bMSH|" + b"x" * (4 * ACK_BYTES_MAX))
        await reader.read()

    async with receiver(talk, ack_timeout_s=0.2) as client:
        with pytest.raises(ConnectionBrokenError, match="within"):
            await client.send(message("M1"))


REFUSALS = {
    "v2.5.1": (b"MSA|AE|7\rERR||PID^1^3|101^Required^HL70357|E||||no identifier\r", "PID^1^3 101^Required^HL70357"),
    "v2.3": (b"MSA|AR|7|unknown type\r", "unknown type"),
    "v2.4": (b"MSA|AE|7\rERR|PID^1^3^101&Required\r", "PID^1^3^101&Required"),
    "lf": (b"MSA|AE|7|bad\n", "bad"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_says_where_and_why(case):
    """The words of ERR, or of MSA-3 where there is none, come with the code, in each version's layout."""
    rest, words = REFUSALS[case]
    control_id, answer = read_acknowledgement(b"MSH|^~\\&|R\r" + rest)
    assert control_id == b"7"
    assert not answer.stored
    assert answer.error.startswith(words)


def test_a_receivers_words_are_made_harmless():
    """Escape sequences and other bytes of a refusal do not reach a terminal."""
    _, answer = read_acknowledgement(b"MSH|^~\\&|R\rMSA|AE|7|\x1b[2J\xff" + b"y" * 500)
    assert answer.error.startswith("?[2J?y")
    assert len(answer.error) == 200
