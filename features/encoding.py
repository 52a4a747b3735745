"""A patient's state as bytes, for the store.

Owns the layout: one version byte, then zlib over MessagePack, in which each feature's arrays are columns, delta-coded
and packed little-endian in the narrowest width that holds them. Must not know what a state means. No pickle. The
result ids are 63 random bits each and do not compress; all else does.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from itertools import accumulate
from operator import sub

import msgspec

from events import Millis
from features.intake import Intake
from features.series import FIRST_ID, R, Series, W
from features.stay import Stay
from features.superseded import Mark

SCHEMA_VERSION = 2
"""Raised with every change of the layout; a release that meets another version migrates or refolds."""
COMPRESSION_LEVEL = 1
"""Measured: level 6 saves 2 % more for three times the time; the ids are most of it."""
ENCODED_BYTES_MAX = 1 << 20
"""A state is bounded far below this; more is no state of ours, and is not unpacked."""

_WIDTHS = (("b", 1 << 7), ("h", 1 << 15), ("i", 1 << 31), ("q", 1 << 63))


class UnknownStateVersionError(ValueError):
    """The state was written by another release: migrate or refold (the operator's)."""


class CorruptStateError(ValueError):
    """The bytes are no state: the store's fault; refold."""


class Column(msgspec.Struct, frozen=True, array_like=True):
    """Whole numbers: the width they are packed in, and the bytes."""

    width: str
    data: bytes


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """The whole state.

    The features' arrays stand one after the other in shared columns; `raw_counts` and `row_counts` part them. (Columns
    of their own for each feature took twice as long to write.)
    """

    names: tuple[str, ...]
    steps: tuple[int, ...]
    inexact: tuple[bool, ...]
    raw_counts: tuple[int, ...]
    row_counts: tuple[int, ...]
    raw: tuple[Column, ...]
    rows: tuple[Column, ...]
    received_times: tuple[Millis, ...]
    message_ids: tuple[str, ...]
    quarantined: dict[str, tuple[Millis, Intake]]
    stay: Stay
    last_received_time: Millis
    superseded: tuple[Mark, ...]
    refused: dict[str, int]


class Parts(msgspec.Struct):
    """A state taken apart: (name, steps, series); (received_time, message_id) of the newest; the rest by feature."""

    series: list[tuple[str, int, Series]]
    newest: dict[str, tuple[Millis, str]]
    quarantined: dict[str, tuple[Millis, Intake]]
    stay: Stay
    last_received_time: Millis
    superseded: tuple[Mark, ...]
    refused: dict[str, int]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Stored)


def encode(parts: Parts) -> bytes:
    """Encode a state's parts."""
    raw: array[int] = array("q")
    rows: array[int] = array("q")
    for _, _, series in parts.series:
        raw.extend(series.raw)
        if series.rows is not None:
            rows.extend(series.rows)
    newest = [parts.newest[name] for name, _, _ in parts.series]
    stored = Stored(
        names=tuple(name for name, _, _ in parts.series),
        steps=tuple(steps for _, steps, _ in parts.series),
        inexact=tuple(series.inexact for _, _, series in parts.series),
        raw_counts=tuple(len(series.raw) for _, _, series in parts.series),
        row_counts=tuple(len(series.rows or ()) for _, _, series in parts.series),
        raw=_columns(raw, W, 2),
        rows=_columns(rows, R, FIRST_ID),
        received_times=tuple(received_time for received_time, _ in newest),
        message_ids=tuple(message_id for _, message_id in newest),
        quarantined=parts.quarantined,
        stay=parts.stay,
        last_received_time=parts.last_received_time,
        superseded=parts.superseded,
        refused=parts.refused,
    )
    return bytes([SCHEMA_VERSION]) + zlib.compress(_encoder.encode(stored), COMPRESSION_LEVEL)


def decode(data: bytes) -> Parts:
    """Decode what `encode` wrote; raises `UnknownStateVersionError`, `CorruptStateError`.

    >>> decode(b"?")
    Traceback (most recent call last):
    features.encoding.UnknownStateVersionError: version 63, this release reads 2
    """
    if not data or data[0] != SCHEMA_VERSION:
        version = data[0] if data else "none"
        raise UnknownStateVersionError(f"version {version}, this release reads {SCHEMA_VERSION}")
    try:
        unpacker = zlib.decompressobj()
        stored = _decoder.decode(unpacker.decompress(data[1:], ENCODED_BYTES_MAX))
        parts = Parts(
            [], {}, stored.quarantined, stored.stay, stored.last_received_time, stored.superseded, stored.refused
        )
        raw, rows = _interleaved(stored.raw, 2), _interleaved(stored.rows, FIRST_ID)
        raw_at = row_at = 0
        for place, name in enumerate(stored.names):
            series = Series()
            raw_end, row_end = raw_at + stored.raw_counts[place], row_at + stored.row_counts[place]
            series.raw = raw[raw_at:raw_end]
            series.rows = rows[row_at:row_end] if row_end > row_at else None
            series.inexact = stored.inexact[place]
            raw_at, row_at = raw_end, row_end
            parts.series.append((name, stored.steps[place], series))
            parts.newest[name] = (stored.received_times[place], stored.message_ids[place])
    except (zlib.error, msgspec.MsgspecError, ValueError, IndexError, OverflowError) as error:
        raise CorruptStateError(type(error).__name__) from None
    return parts


def _columns(words: array[int], stride: int, plain_from: int) -> tuple[Column, ...]:
    """Split an array of records into columns; those from `plain_from` on are ids, which have no useful differences."""
    return tuple(_pack(words[column::stride], delta=column < plain_from) for column in range(stride))


def _pack(words: array[int], *, delta: bool) -> Column:
    if not delta:
        return Column("q", _little(words))
    differences = list(map(sub, words, [0, *words[:-1]]))
    low, high = min(differences, default=0), max(differences, default=0)
    width = next((code for code, limit in _WIDTHS if -limit <= low and high < limit), "")
    if not width:  # a difference of two int64 may need 65 bits; such values are kept as they are
        return Column("Q", _little(words))
    return Column(width, _little(array(width, differences)))


def _interleaved(columns: tuple[Column, ...], plain_from: int) -> array[int]:
    unpacked = [_unpack(column, delta=place < plain_from) for place, column in enumerate(columns)]
    words: array[int] = array("q", bytes(8 * len(unpacked) * len(unpacked[0])))
    for place, column in enumerate(unpacked):
        words[place :: len(unpacked)] = column
    return words


def _unpack(column: Column, *, delta: bool) -> array[int]:
    words: array[int] = array("q" if column.width == "Q" else column.width)
    words.frombytes(column.data)
    if sys.byteorder == "big":
        words.byteswap()
    if column.width == "Q" or not delta:
        return words
    return array("q", accumulate(words))


def _little(words: array[int]) -> bytes:
    if sys.byteorder == "big":
        words = words[:]
        words.byteswap()
    return words.tobytes()
