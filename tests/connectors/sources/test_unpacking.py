"""Gzip, read as far as it goes."""

from __future__ import annotations

import gzip
import io

from hypothesis import given
from hypothesis import strategies as st

from connectors.sources.unpacking import Unpacking


@given(st.lists(st.binary(max_size=300), max_size=4))
def test_members_that_follow_one_another_are_read_as_one(parts: list[bytes]) -> None:
    """Unpacking concatenated gzip members gives what was packed, without fault."""
    stream = Unpacking(io.BytesIO(b"".join(gzip.compress(part, mtime=0) for part in parts)))
    assert (stream.read(), stream.fault) == (b"".join(parts), "")


@given(st.binary(min_size=1, max_size=2_000), st.data())
def test_a_broken_stream_gives_a_prefix_and_says_so(content: bytes, data: st.DataObject) -> None:
    """Cut anywhere after its first byte, a stream gives some beginning of its content and has a fault."""
    packed = gzip.compress(content, mtime=0)
    cut = data.draw(st.integers(1, len(packed) - 1))
    stream = Unpacking(io.BytesIO(packed[:cut]))
    assert content.startswith(stream.read() or b"")
    assert stream.fault == "breaks off"


def test_what_is_no_gzip_is_damaged() -> None:
    """Bytes that are no gzip give nothing but a fault."""
    stream = Unpacking(io.BytesIO(b"MSH|^~"))
    assert (stream.read(), stream.fault) == (b"", "is damaged")


@given(st.binary(min_size=1, max_size=2_000), st.integers(1, 8), st.integers(1, 255))
def test_a_wrong_checksum_costs_nothing(content: bytes, place: int, change: int) -> None:
    """Whatever byte of checksum or length is changed, all that was packed is given, with the fault."""
    packed = bytearray(gzip.compress(content, mtime=0))
    packed[-place] ^= change
    stream = Unpacking(io.BytesIO(packed))
    assert (stream.read(), stream.fault) == (content, "is damaged")


@given(st.binary(max_size=3_000), st.data())
def test_any_damage_is_an_end_not_an_error(content: bytes, data: st.DataObject) -> None:
    """A changed byte anywhere never raises, however the stream is read, and every size of reading gives the same."""
    packed = bytearray(gzip.compress(content, mtime=0))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    whole = Unpacking(io.BytesIO(packed)).read()
    small = Unpacking(io.BytesIO(packed))
    parts = []
    while part := small.read(7):
        parts.append(part)
    assert b"".join(parts) == whole
