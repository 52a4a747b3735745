"""A request's body into memory, within bounds: of one body, of all together, of time, of what gzip unpacks to.

Owns the reading and the room that all bodies share. Must not know what a body says.

`Content-Encoding: gzip` is accepted and unpacked here in steps, each of which is counted before the next, so that a
small body that unpacks to a huge one is refused when it passes the bound, not after. Any other coding is refused.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from connectors.http.faults import HttpFault, busy
from connectors.http.limits import HttpLimits

STEP_BYTES = 256 * 1024
"""Unpacked at a time, before others get their turn: below a millisecond."""

_GZIP_WINDOW_BITS = 31
"""zlib's way to say: gzip's header, the largest window."""
_PLAIN = frozenset({"", "identity"})
_GZIP = frozenset({"gzip", "x-gzip"})


class Room:
    """How much all bodies may take together. Nobody waits for room: who finds none is told to come again.

    >>> room = Room(10)
    >>> room.take(8), room.take(8), room.held_bytes
    (True, False, 8)
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self.held_bytes = 0

    def take(self, size: int) -> bool:
        """Take so many bytes of room; False where there are not as many."""
        if self.held_bytes + size > self._bytes_max:
            return False
        self.held_bytes += size
        return True

    def give_back(self, size: int) -> None:
        """Give room back."""
        self.held_bytes -= size


class _Growing:
    """A body as it grows, with the room that it holds."""

    def __init__(self, room: Room, bytes_max: int) -> None:
        self._room = room
        self._bytes_max = bytes_max
        self.data = bytearray()
        self.taken = 0

    def add(self, part: bytes) -> None:
        """Add a part; raises `HttpFault` where it or all bodies together get too large."""
        if len(self.data) + len(part) > self._bytes_max:
            raise too_large(self._bytes_max)
        if not self._room.take(len(part)):
            raise busy("too many bodies are being read at once: send it again later")
        self.taken += len(part)
        self.data += part


def too_large(bytes_max: int) -> HttpFault:
    """Say that a body is too large; the connection ends, for nobody will read the rest of it."""
    return HttpFault(413, f"the body is larger than {bytes_max} bytes", close=True)


@asynccontextmanager
async def body_of(request: web.Request, room: Room, limits: HttpLimits) -> AsyncIterator[bytes]:
    """Give the body, unpacked; its room is held until the block is left. Raises `HttpFault` for what cannot be read."""
    packed = _packed(request)
    if request.content_length is not None and request.content_length > limits.body_bytes_max:
        raise too_large(limits.body_bytes_max)
    growing = _Growing(room, limits.body_bytes_max)
    try:
        await _continue(request)
        try:
            async with asyncio.timeout(limits.read_timeout_s):
                await (_unpack(request, growing) if packed else _copy(request, growing))
        except TimeoutError:
            raise HttpFault(408, f"the body was not there within {limits.read_timeout_s:g} s", close=True) from None
        except (web.RequestPayloadError, HttpProcessingError):
            raise HttpFault(400, "the body's transfer coding is broken", close=True) from None
        yield bytes(growing.data)
    finally:
        room.give_back(growing.taken)


def _packed(request: web.Request) -> bool:
    coding = request.headers.get("Content-Encoding", "").strip().lower()
    if coding in _PLAIN:
        return False
    if coding in _GZIP:
        return True
    text = "this Content-Encoding is not supported: send gzip, or none"
    raise HttpFault(415, text, headers={"Accept-Encoding": "gzip"}, close=True)


async def _continue(request: web.Request) -> None:
    """Ask for the body where its sender waits to be asked (RFC 9110, section 10.1.1): only now is it wanted."""
    if request.headers.get("Expect", "").strip().lower() == "100-continue" and request.version >= (1, 1):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # aiohttp counts it as the answer's own beginning


async def _copy(request: web.Request, growing: _Growing) -> None:
    while part := await request.content.readany():
        growing.add(part)


async def _unpack(request: web.Request, growing: _Growing) -> None:
    unpacking = zlib.decompressobj(_GZIP_WINDOW_BITS)
    try:
        while part := await request.content.readany():
            while part and not unpacking.eof:
                growing.add(unpacking.decompress(part, STEP_BYTES))
                part = unpacking.unconsumed_tail
                await asyncio.sleep(0)
            if unpacking.unused_data or (unpacking.eof and part):
                raise HttpFault(400, "something follows the end of the gzip body", close=True)
        growing.add(unpacking.flush())
    except zlib.error:
        raise HttpFault(400, "the body is not gzip, as its Content-Encoding says it is", close=True) from None
    if growing.data and not unpacking.eof:
        raise HttpFault(400, "the gzip body ends too early")
