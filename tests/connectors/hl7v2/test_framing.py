"""Claims about framing."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.decoded import Refusal, RefusalReason
from connectors.hl7v2 import framing
from connectors.hl7v2.codec import decode, decode_piece
from connectors.hl7v2.framing import Framed, MllpReader, frame, split
from connectors.hl7v2.settings import Hl7Settings
from events import Observation

A = b"MSH|^~\\&|A\rPID|1"
B = b"MSH|^~\\&|B\rPID|2"
LINE_END = framing._LINE_END


def pieces(data: bytes, **more: int) -> list[tuple[bytes, str]]:
    """Split bytes, and the same from a stream; both must agree."""
    framed = list(split(data, **more))
    assert framed == list(split(io.BytesIO(data), **more))
    assert [piece.number for piece in framed] == list(range(1, len(framed) + 1))
    return [(piece.data, piece.kind) for piece in framed]


@pytest.mark.parametrize(
    "data",
    [
        A + b"\r" + B,
        A + b"\r\r" + B + b"\r\r",
        A + b"\n\n" + B + b"\n",
        A + b"\r\n\r\n" + B + b"\r\n",
        frame(A) + frame(B),
        b"\x0b" + A + b"\x1c\x0b" + B + b"\x1c",
        b"\xef\xbb\xbf" + A + b"\r\xef\xbb\xbf" + B,
        frame(b"\xef\xbb\xbf" + A) + b"\n" + B,
        b"FHS|^~\\&|X\rBHS|^~\\&|X\r" + A + b"\r" + B + b"\rBTS|2\rFTS|1\r",
        b"\r\n  " + A + b"\r" + B,
    ],
)
def test_two_messages(data: bytes) -> None:
    """Two messages are found however they are framed, parted or wrapped."""
    assert pieces(data) == [(A, "message"), (B, "message")]


@pytest.mark.parametrize("data", [b"", b"\r\n\r\n", b"\x0b\x1c\r", b"\xef\xbb\xbf"])
def test_nothing(data: bytes) -> None:
    """A source without content holds no message, and none is missing."""
    assert pieces(data) == []


def test_garbage_is_a_piece() -> None:
    """What stands outside every message is given on, so that it can be dead-lettered."""
    data = b"hello\rworld\r" + frame(A) + b"noise\r" + frame(B)
    assert pieces(data) == [(b"hello\rworld", "garbage"), (A, "message"), (b"noise", "garbage"), (B, "message")]


@pytest.mark.parametrize(
    ("trailer", "notes"),
    [
        (b"BTS|2", ()),
        (b"BTS|02", ()),
        (b"BTS", ()),
        (b"BTS|3", ("batch_count_mismatch",)),
        (b"BTS|0", ("batch_count_mismatch",)),
    ],
)
def test_batch_count(trailer: bytes, notes: tuple[str, ...]) -> None:
    """A batch whose trailer counts other than what was there leaves a note on its last message."""
    framed = list(split(b"BHS|^~\\&\r" + A + b"\r" + B + b"\r" + trailer + b"\r" + A))
    assert [piece.notes for piece in framed] == [(), notes, ()]


def test_empty_batch_that_counts() -> None:
    """A batch that promises messages and holds none is a piece of its own."""
    assert list(split(b"BHS|^~\\&\rBTS|2\r")) == [Framed(1, b"BTS|2", "garbage", notes=("batch_count_mismatch",))]


def test_oversized_is_cut_and_refused() -> None:
    """An overlong message is cut one byte past the limit, which the codec refuses; the next one is whole."""
    long = A + b"\r" + b"X" * 300_000 + b"\r" + b"Y" * 300
    cut, whole = split(io.BytesIO(long + b"\r" + B), message_bytes_max=100)
    assert (cut.kind, len(cut.data)) == ("oversized", 101)
    assert (whole.data, whole.kind) == (B, "message")
    refusal = decode(cut.data, Hl7Settings(message_bytes_max=100))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is RefusalReason.OVERSIZED


class Endless(io.RawIOBase):
    """A source that never ends its line."""

    def __init__(self, chunks: int) -> None:
        super().__init__()
        self.chunks = chunks

    def read(self, size: int = -1) -> bytes:
        """Give one more chunk without a line end."""
        self.chunks -= 1
        return b"x" * size if self.chunks >= 0 else b""


CUT = A + b"\rOBX|1|NM|8867-4^^LN||15"


@pytest.mark.parametrize(
    "data",
    [
        b"\x0b" + CUT,
        b"\x0b" + CUT + b"\r",
        b"\x0b\r\n" + CUT,
        frame(B) + b"\x0b" + CUT,
        b"\x0b" + CUT + frame(B),
        b"\x0b" + CUT + b"\r" + frame(B),
        b"\x0b" + CUT + b"\x0b\xef\xbb\xbf" + B + b"\x1c",
    ],
)
def test_a_frame_that_is_not_closed_is_truncated(data: bytes) -> None:
    """A frame that another one or the end of the source cuts off is told as truncated, bytes and all; others stand."""
    found = pieces(data)
    assert (CUT, "truncated") in found
    assert [piece for piece in found if piece[1] != "truncated"] == [(B, "message")] * (B in data)


RESULT = b"MSH|^~\\&|L|M|||20260301120000||ORU^R01|1|P|2.5\rPID|1||1^^^H\rOBR|1||F1|||20260301120000\r"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (RESULT + b"OBX|1|NM|8867-4^^LN||15", "truncated"),
        (RESULT + b"OBX|1|NM|8867-4^^LN||150|/min", "truncated"),
        (RESULT + b"OBX|1|NM|8867-4^^LN||150|/min\r", 150.0),
        (RESULT + b"OBX|1|NM|8867-4^^LN||150|/min|||||F", 150.0),
        (RESULT.replace(b"\r", b"\n") + b"obx|1|NM|8867-4^^LN||15", "truncated"),
        (b"\x0b" + RESULT + b"OBX|1|NM|8867-4^^LN||150|/min|||||F\r", "truncated"),
        (b"\x0b" + RESULT + b"OBX|1|NM|8867-4^^LN||150\x1c", 150.0),
        (b"\x0b" + RESULT[:70], "truncated"),
    ],
)
def test_what_was_cut_off_gives_no_value(data: bytes, expected: str | float) -> None:
    """An open frame, or a file that ends within an OBX before OBX-11, is refused under its id; all else is read."""
    [piece] = split(data)
    result = decode_piece(piece, Hl7Settings())
    assert result.message_id == "1"
    if isinstance(result, Refusal):
        assert (result.reason.value, result.position) == (expected, f"byte {len(piece.data)}")
    else:
        assert [event.value for event in result.events if isinstance(event, Observation)] == [expected]


def test_a_frame_may_hold_a_batch() -> None:
    """Messages that share one frame end where the next begins; only the last of an open frame is cut."""
    inside = b"\x0bBHS|^~\\&\r" + A + b"\r" + B + b"\rBTS|2"
    assert pieces(inside + b"\x1c\r") == [(A, "message"), (B, "message")]
    assert pieces(b"\x0b" + A + b"\r" + B) == [(A, "message"), (B, "truncated")]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (A + b"\r" + B, [False, True]),
        (A + b"\r" + B + b"\r", [False, False]),
        (A + b"\r" + B + b"\n", [False, False]),
        (frame(A), [False]),
        (A + frame(B), [True, False]),
        (A + b"\r" + B + b"\rBTS|2", [False, False]),
    ],
)
def test_a_last_line_without_end_is_told(data: bytes, expected: list[bool]) -> None:
    """A message that ends within its last line says so, in a file and before a frame that breaks in."""
    pieces(data)
    assert [piece.open_ended for piece in split(data)] == expected


class Counted:
    """Counts the bytes that are searched for line ends."""

    def __init__(self) -> None:
        self.searched = 0

    def finditer(self, data: bytes) -> Iterator[re.Match[bytes]]:
        """Search, and count."""
        self.searched += len(data)
        return LINE_END.finditer(data)


@pytest.mark.parametrize("limit", [1_000, 64 * 1024 * 1024])
@pytest.mark.parametrize("content", [b"x", b"\r", b"MSH|\r", b"\x0bMSH"])
def test_every_byte_is_searched_once(monkeypatch: pytest.MonkeyPatch, content: bytes, limit: int) -> None:
    """Work grows with the length of the source, not with its square, whatever it is made of."""
    counted = Counted()
    monkeypatch.setattr(framing, "_LINE_END", counted)
    data = content * (2_000_000 // len(content))
    for _ in split(io.BytesIO(data), message_bytes_max=limit):
        pass
    assert counted.searched == len(data)


def test_endless_line_is_bounded() -> None:
    """A line that never ends becomes one cut piece, not memory."""
    [piece] = split(Endless(20), message_bytes_max=1000)  # type: ignore[arg-type]
    assert (piece.kind, len(piece.data)) == ("oversized", 1001)


SCRAPS = [A, B, b"\x0b", b"\x1c", b"\r", b"\n", b"BTS|1\r", b"BHS|", b"MSH", b"x" * 40, b"\xef\xbb\xbf"]


@given(st.lists(st.sampled_from(SCRAPS) | st.binary(max_size=9)), st.integers(1, 7))
def test_any_bytes(parts: list[bytes], limit: int) -> None:
    """Any bytes are split without an exception; a stream and its bytes give the same pieces, within the limit."""
    found = pieces(b"".join(parts), message_bytes_max=limit * 10)
    assert all(len(data) <= limit * 10 + 1 for data, _ in found)


def pieces_of(found: list[Framed]) -> list[tuple[bytes, str]]:
    """Say what a reader gave."""
    return [(piece.data, piece.kind) for piece in found]


@given(st.lists(st.binary(min_size=1, max_size=30).map(lambda data: b"MSH" + data.replace(b"\x1c", b""))), st.data())
def test_mllp_reader(messages: list[bytes], data: st.DataObject) -> None:
    """The reader gives back what was framed, however the wire cuts it."""
    messages = [message.replace(b"\x0bMSH", b"") for message in messages]
    wire = b"".join([frame(message) for message in messages])
    reader = MllpReader()
    found = []
    while wire:
        size = data.draw(st.integers(1, len(wire)))
        found += reader.feed(wire[:size])
        wire = wire[size:]
    assert found == messages
    assert (reader.strays, reader.pending_bytes, reader.end()) == (0, 0, [])


def test_mllp_reader_bounds_and_counts() -> None:
    """An overlong frame is cut one byte past the limit, what stands outside is kept, and a broken-off frame is too."""
    reader = MllpReader(message_bytes_max=4)
    assert pieces_of(reader.read(b"no" + frame(b"123456789") + frame(b"12") + b"\x0b12")) == [
        (b"no", "garbage"),
        (b"12345", "oversized"),
        (b"12", "message"),
    ]
    assert (reader.strays, reader.pending_bytes, reader.in_frame) == (2, 2, True)
    assert pieces_of(reader.end()) == [(b"12", "truncated")]
    assert reader.end() == []


def test_mllp_reader_interleaved_frames() -> None:
    """A frame that begins within a frame cuts the first one off, also byte by byte; a lone 0x0B is content."""
    wire = b"\x0b" + A + b"\x0b" + B + b"\x1c\r\x0bMSH|a\x0bb\x1c\r\x0b\x0b" + A + b"\x1c"
    expected = [(A, "truncated"), (B, "message"), (b"MSH|a\x0bb", "message"), (A, "message")]
    reader = MllpReader()
    assert pieces_of(reader.read(wire) + reader.settle()) == expected
    reader = MllpReader()
    assert pieces_of([piece for byte in wire for piece in reader.read(bytes([byte]))] + reader.end()) == expected
    whole = MllpReader()
    found = whole.read(wire) + whole.end()
    assert [piece.number for piece in found] == [1, 2, 3, 4]
    assert [piece.superseded for piece in found] == [True, False, False, False]


def test_mllp_reader_holds_back_nothing_for_good() -> None:
    """What looked like the beginning of a frame within a frame, and was the end of the connection, is kept."""
    reader = MllpReader()
    assert reader.read(b"\x0bMSH|1\x0bMS") == []
    assert pieces_of(reader.end()) == [(b"MSH|1\x0bMS", "truncated")]


def test_mllp_reader_endless() -> None:
    """A frame without an end, and bytes without a frame, take bounded memory, and say how much it was."""
    reader = MllpReader(message_bytes_max=1_000)
    reader.read(b"\x0b")
    for _ in range(1_000):
        assert reader.read(b"x" * 1_000) == []
    assert (reader.overrun_bytes, reader.pending_bytes) == (999_000, 1_001)
    assert pieces_of(reader.end()) == [(b"x" * 1_001, "oversized")]
    reader = MllpReader()
    for _ in range(1_000):
        assert reader.read(b"x" * 1_000) == []
    assert (reader.outside_bytes, reader.pending_bytes) == (1_000_000, framing.OUTSIDE_BYTES_MAX)


def test_mllp_reader_blanks_are_silent() -> None:
    """Line ends, blanks and further end marks between frames are neither strays nor pieces."""
    reader = MllpReader()
    assert pieces_of(reader.read(frame(A) + b"\r\n \x1c\r\x00\t" + frame(B) + b"\n")) == [
        (A, "message"),
        (B, "message"),
    ]
    assert (reader.strays, reader.outside_bytes, reader.end()) == (0, 0, [])


def test_mllp_reader_end_block_within_a_message() -> None:
    """A message with a 0x1C within is never whole, wherever the wire cuts it, and what follows it is kept."""
    wire = b"\x0b" + A + b"\x1cY" + B + b"\x1c\r" + frame(A)
    for at in range(len(wire) + 1):
        reader = MllpReader()
        found = pieces_of(reader.read(wire[:at]) + reader.read(wire[at:]))
        assert found == [(A, "truncated"), (b"Y" + B, "garbage"), (A, "message")]
        assert reader.end() == []


def test_mllp_reader_without_the_cr() -> None:
    """Frames whose sender forgets the CR after 0x1C, or puts blanks there, are whole however the wire cuts them."""
    for after in (b"", b"\n", b"\r\n", b" ", b"\x00", b"\x1c\r"):
        wire = b"\x0b" + A + b"\x1c" + after + b"\x0b" + B + b"\x1c" + after
        for at in range(len(wire) + 1):
            reader = MllpReader()
            found = pieces_of(reader.read(wire[:at]) + reader.read(wire[at:]) + reader.settle())
            assert (found, reader.end()) == ([(A, "message"), (B, "message")], [])


def test_mllp_reader_ending() -> None:
    """A 0x1C that nothing follows leaves its frame ending, until more comes or who waits has waited; a line end before
    it says that the last segment is whole.
    """
    for body, open_ended in ((A + b"\r", False), (A + b"\n", False), (A, True)):
        reader = MllpReader()
        assert reader.read(b"\x0b" + body + b"\x1c") == []
        assert reader.ending
        assert reader.read(b"") == []
        (piece,) = reader.settle()
        assert (piece.data, piece.kind, piece.open_ended, reader.ending) == (body, "message", open_ended, False)
        assert (reader.settle(), reader.in_frame, reader.end()) == ([], False, [])


WIRE_SCRAPS = [*SCRAPS, b"\x0bMSH", b"\x0b\xef\xbb\xbfMSH", b"\x0bms", b"\x1c\r"]


@given(st.lists(st.sampled_from(WIRE_SCRAPS) | st.binary(max_size=9)).map(b"".join), st.integers(1, 7), st.data())
def test_mllp_reader_any_bytes(wire: bytes, limit: int, data: st.DataObject) -> None:
    """Any bytes give the same pieces and counts however they are cut, within the limits."""
    whole = MllpReader(limit * 10)
    expected = pieces_of(whole.read(wire) + whole.end())
    reader = MllpReader(limit * 10)
    found: list[Framed] = []
    rest = wire
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        found += reader.read(rest[:size])
        rest = rest[size:]
        assert reader.pending_bytes <= limit * 10 + 1 + 7 + framing.OUTSIDE_BYTES_MAX
    found += reader.end()
    assert pieces_of(found) == expected
    assert [piece.number for piece in found] == list(range(1, len(found) + 1))
    assert reader.strays == whole.strays
    assert all(len(content) <= limit * 10 + 1 for content, kind in expected if kind != "garbage")
