"""A patient's state as bytes, for the store.

Owns the layout: one version byte, then LZ4 over MessagePack, in which each feature's arrays are columns, delta-coded
and packed little-endian in the narrowest width that holds them. Must not know what a state means. No pickle. The
result ids are 63 random bits each and do not compress; all else does.

A live worker writes a state with every message, so this is its hot path: LZ4 takes a tenth of zlib's time for 2 % more
bytes, and the columns are packed by NumPy. Differences are taken modulo 2**64, and so are the sums that undo them.
"""

from __future__ import annotations

import zlib
from array import array

import cramjam
import msgspec
import numpy as np
import numpy.typing as npt

from events import Millis
from features.intake import Intake
from features.series import FIRST_ID, R, Series, W
from features.stay import Stay
from features.superseded import Mark

SCHEMA_VERSION = 3
"""Raised with every change of the layout; a release that meets another version migrates or refolds."""
ZLIB_VERSION = 2
"""What release 0.1.0 wrote: the same within, under zlib. It is read, and written anew as it changes."""
ENCODED_BYTES_MAX = 1 << 20
"""A state is bounded far below this; more is no state of ours, and is not unpacked."""

_WIDTHS = (("b", "<i1", 1 << 7), ("h", "<i2", 1 << 15), ("i", "<i4", 1 << 31), ("q", "<i8", 1 << 63))
_TYPES = {"Q": "<i8"} | {code: kind for code, kind, _ in _WIDTHS}
"""`Q` is a column of plain numbers where 0.1.0 met differences beyond 63 bits."""
Words = npt.NDArray[np.int64]


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


_VERSION_BYTE = bytes([SCHEMA_VERSION])
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
    return _VERSION_BYTE + bytes(cramjam.lz4.compress_block(_encoder.encode(stored)))


def decode(data: bytes) -> Parts:
    """Decode what `encode` wrote; raises `UnknownStateVersionError`, `CorruptStateError`.

    >>> decode(b"?")
    Traceback (most recent call last):
    features.encoding.UnknownStateVersionError: version 63, this release reads 3
    """
    if not data or data[0] not in (SCHEMA_VERSION, ZLIB_VERSION):
        version = data[0] if data else "none"
        raise UnknownStateVersionError(f"version {version}, this release reads {SCHEMA_VERSION}")
    try:
        stored = _decoder.decode(_decompressed(data))
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
    except (
        zlib.error,
        cramjam.DecompressionError,
        msgspec.MsgspecError,
        ValueError,
        IndexError,
        OverflowError,
    ) as error:
        raise CorruptStateError(type(error).__name__) from None
    return parts


def _decompressed(data: bytes) -> bytes:
    """Undo the compression, within the bound."""
    if data[0] == ZLIB_VERSION:
        return zlib.decompressobj().decompress(data[1:], ENCODED_BYTES_MAX)
    if int.from_bytes(data[1:5], "little") > ENCODED_BYTES_MAX:  # LZ4's block says how long it will be
        raise ValueError("too long")
    return bytes(cramjam.lz4.decompress_block(data[1:]))


def _columns(words: array[int], stride: int, plain_from: int) -> tuple[Column, ...]:
    """Split an array of records into columns; those from `plain_from` on are ids, which have no useful differences."""
    if not words:  # a patient of few readings has no hourly rows: nearly everybody
        return (*[Column(_WIDTHS[0][0], b"")] * plain_from, *[Column("q", b"")] * (stride - plain_from))
    table: Words = np.frombuffer(words, dtype=np.int64).reshape(-1, stride)
    differences = table[:, :plain_from].copy()
    differences[1:] -= table[:-1, :plain_from]
    lows, highs = differences.min(axis=0).tolist(), differences.max(axis=0).tolist()
    packed = [_pack(differences[:, at], low, high) for at, (low, high) in enumerate(zip(lows, highs, strict=True))]
    ids = [Column("q", table[:, at].astype("<i8").tobytes()) for at in range(plain_from, stride)]
    return (*packed, *ids)


def _pack(differences: Words, low: int, high: int) -> Column:
    code, kind = next((code, kind) for code, kind, limit in _WIDTHS if -limit <= low and high < limit)
    return Column(code, differences.astype(kind).tobytes())


def _interleaved(columns: tuple[Column, ...], plain_from: int) -> array[int]:
    if not any(column.data for column in columns):
        return array("q")
    unpacked = [_unpack(column, delta=place < plain_from) for place, column in enumerate(columns)]
    table = np.stack(unpacked, axis=1)
    words: array[int] = array("q")
    words.frombytes(table.tobytes())
    return words


def _unpack(column: Column, *, delta: bool) -> Words:
    kind = _TYPES.get(column.width)
    if kind is None:
        raise ValueError("no such width")
    words: Words = np.frombuffer(column.data, dtype=kind).astype(np.int64)
    return words if column.width == "Q" or not delta else np.cumsum(words)
