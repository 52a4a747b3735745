"""Claims about framing."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.decoded import Refusal, RefusalReason
from connectors.hl7v2.codec import decode
from connectors.hl7v2.framing import Framed, MllpReader, frame, split
from connectors.hl7v2.settings import Hl7Settings

A = b"MSH|^~\\&|A\rPID|1"
B = b"MSH|^~\\&|B\rPID|2"


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
    assert list(split(b"BHS|^~\\&\rBTS|2\r")) == [Framed(1, b"BTS|2", "garbage", ("batch_count_mismatch",))]


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


@given(st.lists(st.binary(min_size=1, max_size=30).map(lambda data: b"MSH" + data.replace(b"\x1c", b""))), st.data())
def test_mllp_reader(messages: list[bytes], data: st.DataObject) -> None:
    """The reader gives back what was framed, however the wire cuts it."""
    wire = b"".join([frame(message) for message in messages])
    reader = MllpReader()
    found = []
    while wire:
        size = data.draw(st.integers(1, len(wire)))
        found += reader.feed(wire[:size])
        wire = wire[size:]
    assert found == messages
    assert (reader.strays, reader.pending) == (0, b"")


def test_mllp_reader_bounds_and_counts() -> None:
    """An overlong frame is cut one byte past the limit, strays are counted, and a broken-off frame is kept."""
    reader = MllpReader(message_bytes_max=4)
    assert reader.feed(b"no" + frame(b"123456789") + frame(b"12") + b"\x0b12") == [b"12345", b"12"]
    assert (reader.strays, reader.pending) == (2, b"12")
