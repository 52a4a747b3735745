r"""Sends HL7 v2 over MLLP and waits for each acknowledgement, several messages in flight if wished.

Owns the pairing of acknowledgements with messages: by order, and by MSA-2 against MSH-10, for a late ACK taken for the
next message's is how a message that was never stored gets counted. Must not know what a message says, when to send it,
or when to try again. Message content never gets into an error; a receiver's words get into `Acknowledged.error`, cut
short and in plain ASCII.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import NamedTuple, cast

import msgspec

from connectors.hl7v2.framing import MllpReader, frame

ACK_BYTES_MAX = 64 * 1024
"""A longer acknowledgement is none: an MSH, an MSA and a few ERR segments are below 2 KB."""
STRAY_BYTES_MAX = 4 * 1024
"""Bytes outside of frames; who sends more does not speak MLLP."""
WINDOW_MAX = 10_000
"""Messages in flight on one connection. It also bounds what is buffered for a receiver who does not read."""
CONNECT_TIMEOUT_S = 10.0
"""A receiver on the other side of the world answers in one."""
ACK_TIMEOUT_S = 30.0
"""What interface engines wait by default; an ACK here stands for an fsync, which takes milliseconds."""
CLOSE_TIMEOUT_S = 2.0
"""What is still unsent when we close has this long; then the connection is cut."""
ERROR_CHARS_MAX = 200
"""A receiver's words are shown to people, a line of them."""

POSITIVE = frozenset({"AA", "CA"})
NEGATIVE = frozenset({"AE", "AR", "CE", "CR"})
_UNSAFE = re.compile(rb"[^ -~]+")
_SEGMENT_END = re.compile(rb"[\r\n]+")


class MllpClientError(Exception):
    """The exchange is at an end; what is not acknowledged may or may not be stored. Open anew and send it again."""


class ConnectionBrokenError(MllpClientError):
    """No connection, one that broke, or no acknowledgement in time."""


class WrongAcknowledgementError(MllpClientError):
    """What came back is no acknowledgement, or not that of the message whose turn it is. It is counted as nothing."""


class Acknowledged(msgspec.Struct, frozen=True):
    """What the receiver says of one message.

    >>> Acknowledged("AA").stored, Acknowledged("AR", "MSH^1^12 203", "203").stored
    (True, False)
    """

    code: str
    """MSA-1 (table 0008): AA or CA stored; AE, AR, CE, CR refused."""
    error: str = ""
    """Where and why (ERR-2, ERR-3, ERR-8, or ERR-1, or MSA-3): plain ASCII, one line."""
    error_code: str = ""
    """ERR-3.1 (table 0357) of the first ERR, such as 101 (required field missing) or 207 (internal: try again)."""

    @property
    def stored(self) -> bool:
        """Whether the receiver has taken the message."""
        return self.code in POSITIVE


class _Waiting(NamedTuple):
    control_id: bytes
    answer: asyncio.Future[Acknowledged]
    deadline_s: float
    """On the loop's clock."""


def read_acknowledgement(data: bytes) -> tuple[bytes, Acknowledged]:
    r"""Give MSA-2 and what is said; raises `WrongAcknowledgementError` where `data` is no acknowledgement.

    >>> read_acknowledgement(b"MSH|^~\\&|X\rMSA|AE|77\rERR||PID^1^3|101^Required field missing|E\r")
    (b'77', Acknowledged(code='AE', error='PID^1^3 101^Required field missing', error_code='101'))
    """
    segments = [segment for segment in _SEGMENT_END.split(data) if segment]
    if not segments or segments[0][:3] != b"MSH" or len(segments[0]) <= 4:
        raise WrongAcknowledgementError("what came back does not begin with MSH")
    separator, component = segments[0][3:4], segments[0][4:5]
    said = [segment.split(separator) + [b""] * 9 for segment in segments]
    msa = next((fields for fields in said if fields[0] == b"MSA"), None)
    code = _plain(msa[1]) if msa else ""
    if msa is None or code not in POSITIVE | NEGATIVE:
        raise WrongAcknowledgementError("what came back has no MSA segment with a known code (table 0008)")
    err = next((fields for fields in said if fields[0] == b"ERR"), None)
    words = [err[2], err[3], err[8]] if err and err[3] else [err[1]] if err else [msa[3]]
    text = " ".join(_plain(word) for word in words if word.strip())[:ERROR_CHARS_MAX]
    error_code = _plain(err[3].split(component)[0]) if err else ""
    return msa[2].strip(), Acknowledged(code, "" if code in POSITIVE else text, error_code[:ERROR_CHARS_MAX])


def control_id_of(message: bytes) -> bytes:
    r"""Give MSH-10 as it stands; empty where there is none.

    >>> control_id_of(b"MSH|^~\\&|LAB|MAIN|||20260101||ORU^R01|77|P|2.5\rPID|1\r")
    b'77'
    """
    fields = _SEGMENT_END.split(message, 1)[0].split(message[3:4] or b"|", 10)
    return fields[9].strip() if len(fields) > 9 and fields[0] == b"MSH" else b""


def _plain(field: bytes) -> str:
    return _UNSAFE.sub(b"?", field.strip()).decode("ascii")


class MllpClient:
    """One connection to one receiver: `open`, then `send` as often as wished, then `close`. For one event loop.

        client = MllpClient("127.0.0.1", 2575, window=8)
        await client.open()
        async for acknowledged in client.send_all(messages): ...
        await client.close()

    After any `MllpClientError` the connection is cut and the client is of no more use but to be closed.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        window: int = 1,
        ack_timeout_s: float = ACK_TIMEOUT_S,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        tls: ssl.SSLContext | None = None,
        dial: Callable[[], Awaitable[socket.socket]] | None = None,
    ) -> None:
        """Name the receiver; `window` messages may be in flight. Nothing is opened yet.

        `dial` gives a socket that is connected already, in place of the receiver's address.
        """
        if not 1 <= window <= WINDOW_MAX:
            raise ValueError(f"a window is 1 to {WINDOW_MAX} messages")
        self._host, self._port = host, port
        self._window = window
        self._ack_timeout_s, self._connect_timeout_s = ack_timeout_s, connect_timeout_s
        self._tls, self._dial = tls, dial
        self._wire: _Wire | None = None

    @property
    def in_flight(self) -> int:
        """How many messages wait for their acknowledgement."""
        return len(self._wire.waiting) if self._wire else 0

    async def open(self) -> None:
        """Connect; raises `ConnectionBrokenError`."""
        assert self._wire is None, "a client is opened once"
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                wire = _Wire(loop, self._window, self._ack_timeout_s)
                if self._dial is not None:
                    await loop.create_connection(lambda: wire, sock=await self._dial())
                else:
                    await loop.create_connection(lambda: wire, self._host, self._port, ssl=self._tls)
        except TimeoutError:
            raise ConnectionBrokenError(f"no connection within {self._connect_timeout_s:g} s") from None
        except OSError as error:
            raise ConnectionBrokenError(f"no connection: {error.strerror or type(error).__name__}") from error
        self._wire = wire

    async def submit(self, message: bytes) -> asyncio.Future[Acknowledged]:
        """Wait for room in the window and write the message; the future is its acknowledgement, or the error.

        Messages are written in the order of the calls.
        """
        if self._wire is None:
            raise ConnectionBrokenError("not open")
        return await self._wire.submit(message)

    async def send(self, message: bytes) -> Acknowledged:
        """Send a message (without frame) and wait for its acknowledgement; raises `MllpClientError`."""
        return await (await self.submit(message))

    async def send_all(self, messages: Iterable[bytes]) -> AsyncIterator[Acknowledged]:
        """Send messages, a window of them ahead; yields each acknowledgement, in order. Raises `MllpClientError`."""
        ahead: deque[asyncio.Future[Acknowledged]] = deque()
        for message in messages:
            # Room is made here before it is asked for, so that `submit` never waits on an answer nobody has taken.
            while ahead and (len(ahead) >= self._window or ahead[0].done()):
                yield await ahead.popleft()
            ahead.append(await self.submit(message))
        while ahead:
            yield await ahead.popleft()

    async def close(self) -> None:
        """Close the connection; whoever still waits is told that it broke."""
        if self._wire is not None:
            await self._wire.close()


class _Wire(asyncio.Protocol):
    """The connection itself: frames out, frames in, and the queue of those who wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop, window: int, ack_timeout_s: float) -> None:
        self._loop = loop
        self._ack_timeout_s = ack_timeout_s
        self._room = asyncio.Semaphore(window)
        self._reader = MllpReader(ACK_BYTES_MAX)
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._failure: MllpClientError | None = None
        self._gone = asyncio.Event()
        self.waiting: deque[_Waiting] = deque()
        """At most the window."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    async def submit(self, message: bytes) -> asyncio.Future[Acknowledged]:
        await self._room.acquire()
        if self._failure is not None:
            self._room.release()
            raise type(self._failure)(*self._failure.args)
        assert self._transport is not None
        answer: asyncio.Future[Acknowledged] = self._loop.create_future()
        deadline_s = self._loop.time() + self._ack_timeout_s
        self.waiting.append(_Waiting(control_id_of(message), answer, deadline_s))
        if self._watch is None:
            self._watch = self._loop.call_at(deadline_s, self._look)
        self._transport.write(frame(message))
        return answer

    def data_received(self, data: bytes) -> None:
        for acknowledgement in self._reader.feed(data):
            try:
                self._take(acknowledgement)
            except WrongAcknowledgementError as error:
                self._fail(error)
                return
        if self._reader.strays > STRAY_BYTES_MAX:
            self._fail(WrongAcknowledgementError("the receiver does not speak MLLP"))

    def connection_lost(self, exc: Exception | None) -> None:
        words = "the connection broke" if exc else "the receiver closed the connection"
        self._fail(ConnectionBrokenError(words))
        self._gone.set()

    async def close(self) -> None:
        if self._transport is None:
            return
        self._fail(ConnectionBrokenError("closed"), cut=False)
        self._transport.close()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._gone.wait()
        except TimeoutError:
            self._transport.abort()
            await self._gone.wait()

    def _take(self, data: bytes) -> None:
        if len(data) > ACK_BYTES_MAX:
            raise WrongAcknowledgementError(f"an acknowledgement of more than {ACK_BYTES_MAX} bytes")
        control_id, acknowledged = read_acknowledgement(data)
        if not self.waiting:
            raise WrongAcknowledgementError("an acknowledgement that nobody waits for")
        if control_id != self.waiting[0].control_id:
            raise WrongAcknowledgementError("an acknowledgement of another message than the one whose turn it is")
        answer = self.waiting.popleft().answer
        if not answer.done():  # whoever waited may have been cancelled; the order stays
            answer.set_result(acknowledged)
        self._room.release()

    def _look(self) -> None:
        """See whether the oldest message has waited too long; look again when it will have."""
        self._watch = None
        if not self.waiting:
            return
        if self.waiting[0].deadline_s <= self._loop.time():
            self._fail(ConnectionBrokenError(f"no acknowledgement within {self._ack_timeout_s:g} s"))
        else:
            self._watch = self._loop.call_at(self.waiting[0].deadline_s, self._look)

    def _fail(self, failure: MllpClientError, *, cut: bool = True) -> None:
        """End the exchange: nothing that comes from now on is believed."""
        if self._failure is None:
            self._failure = failure
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if cut and self._transport is not None:
            self._transport.abort()
        while self.waiting:
            answer = self.waiting.popleft().answer
            if not answer.done():
                answer.set_exception(type(self._failure)(*self._failure.args))
                answer.exception()  # seen: asyncio need not complain where the caller has gone
            self._room.release()
