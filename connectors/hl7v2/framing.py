"""Framing: where one message ends and the next begins, in files and on a wire.

Owns MLLP's marks, batch wrappers (FHS, BHS, BTS, FTS; HL7 v2.5.1 chapter 2, section 2.10.3) and plain concatenation.
Must not know what a message says, nor open a file or a socket: bytes are given.

Nothing is dropped in silence: what stands outside every message is a piece of its own, which the codec refuses as
garbage. Memory is bounded by one message, however long the source is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, Literal

import msgspec

from connectors.decoded import MESSAGE_BYTES_MAX

CHUNK_BYTES = 64 * 1024
"""Read at a time: some seventy messages."""

OUTSIDE_BYTES_MAX = 4 * 1024
"""Kept of what stands outside of frames: enough to see that it was HTTP, TLS, or HL7 without a frame."""

START_BLOCK = b"\x0b"
END_BLOCK = b"\x1c"
CARRIAGE_RETURN = b"\r"

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n\x0b\x1c\x00"
_LINE_END = re.compile(rb"\x1c[\r\n]*|[\r\n]+")
_FRAME_WITHIN = re.compile(rb"(?=\x0b(?:\xef\xbb\xbf)?MSH)", re.IGNORECASE)
"""A frame that begins within a line: the message before it was cut off."""
_OPENING = re.compile(rb"\x0b(?:\xef\xbb\xbf)?MSH", re.IGNORECASE)
"""A frame that begins within a frame: the one before was cut off. A lone 0x0B is no more than a strange byte."""
_OPENING_BEGUN = re.compile(rb"\x0b(?:\xef(?:\xbb(?:\xbf(?:M(?:SH?)?)?)?)?|M(?:SH?)?)?\Z", re.IGNORECASE)
_OPENING_BYTES = 7
_SILENT = b" \t\r\n\x1c\x00"
"""Outside of a frame these say nothing: the CR after 0x1C, and what senders put beside it."""
_SILENT_BYTES = tuple(bytes([blank]) for blank in _SILENT)
_AFTER_FRAME = frozenset(_SILENT + START_BLOCK)
"""What may follow 0x1C: the CR, what stands for it, and the next frame of a sender who forgets it."""
_LINE_ENDS = frozenset({b"\r", b"\n", END_BLOCK})
_BATCH = frozenset({b"FHS", b"BHS", b"BTS", b"FTS"})

Kind = Literal["message", "garbage", "oversized", "truncated"]
"""`truncated`: a message whose frame was opened and never closed."""


class Framed(msgspec.Struct, frozen=True):
    """One piece of a source, as it stood there but for the frame."""

    number: int
    """Its place in the source, from 1; garbage counts too, so that a number names one piece."""
    data: bytes
    """The bytes. Of an oversized piece, one byte more than the limit, so that the codec refuses it for its length."""
    kind: Kind = "message"
    open_ended: bool = False
    """Whether its last line has no end: it may have been cut off there, and `codec.decode_piece` looks closer."""
    notes: tuple[str, ...] = ()
    """`batch_count_mismatch` at the last message of a batch whose BTS-1 counts other than what was there."""
    superseded: bool = False
    """Of a truncated one: another frame began inside it, so that its sender waits for the answer to that one alone."""


def frame(message: bytes) -> bytes:
    r"""Put a message between MLLP's marks.

    >>> frame(b"MSH|")
    b'\x0bMSH|\x1c\r'
    """
    return START_BLOCK + message + END_BLOCK + CARRIAGE_RETURN


def split(source: bytes | BinaryIO, *, message_bytes_max: int = MESSAGE_BYTES_MAX) -> Iterator[Framed]:
    r"""Part a source into messages: MLLP-framed, batch-wrapped or plain, also mixed; lines end with CR, LF or CRLF.

    A message begins at a line that begins with MSH. A source without content yields nothing: it holds no message, and
    none is missing. Raises only what reading `source` raises.

    >>> [piece.kind for piece in split(b"hello\nMSH|^~\\&|A\rPID|1\r\rMSH|^~\\&|B\r")]
    ['garbage', 'message', 'message']
    """
    splitter = _Splitter(message_bytes_max)
    for line in _lines(source, message_bytes_max):
        if line.find(START_BLOCK, 1) < 0:
            yield from splitter.line(line)
            continue
        for part in _FRAME_WITHIN.split(line):
            if part:
                yield from splitter.line(part)
    yield from splitter.end()


def _lines(source: bytes | BinaryIO, limit: int) -> Iterator[bytes]:
    """Give the lines with their ends; of a line past `limit`, parts. Every byte is looked at once.

    A line end that two chunks share gives a line of its remainder, which is blank and changes nothing.
    """
    parts: list[bytes] = []
    size = 0
    for chunk in [source] if isinstance(source, bytes) else iter(lambda: source.read(CHUNK_BYTES), b""):
        at = 0
        for match in _LINE_END.finditer(chunk):
            line = chunk[at : match.end()]
            at = match.end()
            if parts:
                parts.append(line)
                line = b"".join(parts)
                parts, size = [], 0
            yield line
        if at < len(chunk):
            parts.append(chunk[at:])
            size += len(chunk) - at
            if size > limit + CHUNK_BYTES:
                yield b"".join(parts)
                parts, size = [], 0
    if parts:
        yield b"".join(parts)


class _Splitter:
    """Gathers lines into pieces. One finished piece is held back, so that a batch trailer can leave its note on it."""

    __slots__ = ("_batch", "_framed", "_held", "_in_message", "_limit", "_number", "_open_ended", "_parts", "_size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._number = 0
        self._parts: list[bytes] = []
        self._size = 0
        self._in_message = False
        self._framed = False
        self._open_ended = False
        self._held: Framed | None = None
        self._batch = 0

    def line(self, line: bytes) -> Iterator[Framed]:
        plain = line.lstrip(_BLANK)
        opens = START_BLOCK in line[: len(line) - len(plain)]
        if plain[:3] == _BYTE_ORDER_MARK:
            plain = plain[3:]
        name = plain[:3].upper()
        if not plain[3:4].isalnum() and (name == b"MSH" or name in _BATCH):
            yield from self._close(cut=opens and self._framed)
            self._framed = opens or self._framed
            if name == b"MSH":
                self._in_message = True
                self._batch += 1
            else:
                yield from self._wrapper(name, plain)
                return
        elif not self._in_message:
            self._framed = opens or self._framed
            if not plain:
                self._framed = self._framed and END_BLOCK not in line
                return
        self._add(plain if not self._parts else line)
        self._open_ended = line[-1:] not in _LINE_ENDS
        if END_BLOCK in line:
            yield from self._close()
            self._framed = False

    def end(self) -> Iterator[Framed]:
        yield from self._close(cut=self._framed)
        if self._held is not None:
            yield self._held
            self._held = None

    def _add(self, line: bytes) -> None:
        room = self._limit + 1 - self._size
        if room > 0:
            self._parts.append(line[:room])
            self._size += min(room, len(line))

    def _close(self, *, cut: bool = False) -> Iterator[Framed]:
        """Finish the piece in hand, if any, and let go of the one before it."""
        data = b"".join(self._parts)
        over = self._size > self._limit
        told: Kind = "truncated" if cut else "message"
        kind: Kind = "oversized" if over else told if self._in_message else "garbage"
        self._parts, self._size, self._in_message = [], 0, False
        if not over:
            data = data.rstrip(_BLANK)
        if data:
            if self._held is not None:
                yield self._held
            self._number += 1
            self._held = Framed(self._number, data, kind, open_ended=self._open_ended)

    def _wrapper(self, name: bytes, line: bytes) -> Iterator[Framed]:
        """Take a batch segment: it is no message, but its count is checked."""
        if name == b"BHS":
            self._batch = 0
        elif name == b"BTS":
            counted = line[4:].split(line[3:4] or b"|", 1)[0].strip(_BLANK)
            if counted.isdigit() and counted.lstrip(b"0") != str(self._batch).encode().lstrip(b"0"):
                if self._held is None:
                    self._number += 1
                    yield Framed(self._number, line.rstrip(_BLANK), "garbage", notes=("batch_count_mismatch",))
                else:
                    self._held = msgspec.structs.replace(self._held, notes=("batch_count_mismatch",))
            self._batch = 0


class MllpReader:
    r"""Takes bytes from a connection as they come, and gives the pieces that they complete.

    A frame ends at 0x1C, so that a sender who forgets the CR is answered too: what follows says whether the 0x1C stood
    within the message. Where nothing has followed yet the frame is `ending`; who has waited long enough for more calls
    `settle`. A piece is a `message`; or `oversized` (one byte more than the limit is kept, given when its frame ends);
    or `truncated` (a new frame began inside it, or the connection ended); or `garbage`, which stood outside of every
    frame.

    >>> reader = MllpReader()
    >>> reader.feed(b"\x0bMSH|1"), reader.feed(b"\x1c\r\x0bMSH|2\x1c\r")
    ([], [b'MSH|1', b'MSH|2'])
    >>> reader.read(b"\x0bMSH|3\x1c"), reader.ending, [piece.data for piece in reader.settle()]
    ([], True, [b'MSH|3'])
    >>> [(piece.data, piece.kind) for piece in reader.read(b"\x0bMSH|3\x0bMSH|4\x1c\r")]
    [(b'MSH|3', 'truncated'), (b'MSH|4', 'message')]
    """

    __slots__ = (
        "_buffer",
        "_carry",
        "_limit",
        "_number",
        "_open",
        "_outside",
        "_size",
        "ending",
        "outside_bytes",
        "strays",
    )

    def __init__(self, message_bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        self._limit = message_bytes_max
        self._buffer = bytearray()
        self._carry = b""
        self._open = False
        self._size = 0
        self._number = 0
        self._outside = bytearray()
        self.ending = False
        """Whether the last byte so far was a 0x1C within a frame: its end, or a strange byte of the message."""
        self.outside_bytes = 0
        """Bytes since the last frame, blanks aside: a peer that sends many speaks no MLLP."""
        self.strays = 0
        """Bytes outside of frames so far, blanks aside."""

    @property
    def in_frame(self) -> bool:
        """Whether a frame has begun that is not complete."""
        return self._open

    @property
    def pending_bytes(self) -> int:
        """How much is held of what is not complete."""
        return len(self._buffer) + len(self._carry) + len(self._outside)

    @property
    def overrun_bytes(self) -> int:
        """How far the open frame is past the limit already."""
        return max(0, self._size - self._limit)

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; give the frames that they end, for who waits for answers and judges them itself."""
        return [piece.data for piece in self.read(data) + self.settle() if piece.kind in {"message", "oversized"}]

    def settle(self) -> list[Framed]:
        """Take a 0x1C that nothing followed for the end of its frame: give the piece, if there is one.

        It is `open_ended` where no line end stood before it either, as behind the last segment there should.
        """
        if not self.ending:
            return []
        self.ending = False
        return self._close("message", open_ended=bytes(self._buffer[-1:]) not in _LINE_ENDS)

    def read(self, data: bytes) -> list[Framed]:
        """Take the next bytes; give the pieces that they complete, in order."""
        if self._carry:
            data, self._carry = self._carry + data, b""
        pieces: list[Framed] = []
        if self.ending and data:
            self.ending = False
            pieces += self._close("message" if data[0] in _AFTER_FRAME else "truncated")
        at = 0
        end = 0
        while at < len(data):
            if not self._open:
                start = data.find(START_BLOCK, at)
                self._skip(data[at : start if start >= 0 else len(data)])
                if start < 0:
                    break
                pieces += self._take_outside()
                self._open = True
                at = start + 1
                continue
            if 0 <= end < at or at == 0:  # looked for once, however many frames begin before it
                end = data.find(END_BLOCK, at)
            stop = end if end >= 0 else len(data)
            opening = None
            if data.find(START_BLOCK, at, stop) >= 0:
                opening = _OPENING.search(data, at, stop)
            if opening is not None:
                self._take(data[at : opening.start()])
                pieces += self._close("truncated", superseded=True)
                self._open = True
                at = opening.start() + 1
                continue
            if end < 0:
                begun = _OPENING_BEGUN.search(data, max(at, len(data) - _OPENING_BYTES))
                if begun is not None:
                    stop = begun.start()
                    self._carry = data[stop:]
                self._take(data[at:stop])
                break
            self._take(data[at:end])
            at = end + 1
            if at == len(data):
                self.ending = True
                break
            # A 0x1C that something else follows than surrounds a frame stood within the message: it is cut there.
            pieces += self._close("message" if data[at] in _AFTER_FRAME else "truncated")
        return pieces

    def end(self) -> list[Framed]:
        """Give what is not complete, at the end of the connection: nothing, or one piece."""
        if self.ending:
            return self.settle()
        if self._open:
            self._take(self._carry)
            self._carry = b""
            return self._close("truncated")
        return self._take_outside()

    def _take(self, data: bytes) -> None:
        self._size += len(data)
        room = self._limit + 1 - len(self._buffer)
        if room > 0:
            self._buffer += data[:room]

    def _close(
        self, kind: Literal["message", "truncated"], *, superseded: bool = False, open_ended: bool = False
    ) -> list[Framed]:
        data = bytes(self._buffer)
        over = self._size > self._limit
        self._buffer.clear()
        self._size = 0
        self._open = False
        if kind == "truncated" and not data.strip(_BLANK):
            return []  # 0x0B twice, or a frame of nothing: no message was cut off
        self._number += 1
        told: Kind = "oversized" if over else kind
        return [Framed(self._number, data, told, open_ended=open_ended, superseded=superseded)]

    def _skip(self, data: bytes) -> None:
        said = len(data) - sum(data.count(blank) for blank in _SILENT_BYTES) if data.strip(_SILENT) else 0
        self.strays += said
        self.outside_bytes += said
        if said or self._outside:
            self._outside += data[: OUTSIDE_BYTES_MAX - len(self._outside)]

    def _take_outside(self) -> list[Framed]:
        data = bytes(self._outside).strip(_SILENT)
        self._outside.clear()
        self.outside_bytes = 0
        if not data:
            return []
        self._number += 1
        return [Framed(self._number, data, "garbage")]
