"""A stored record in its seal: the schema's number, a checksum, the content.

Owns the seal of what `alerts` keeps apart from a patient's record ([ward]'s fold, the monitoring). Must not know what
is sealed, nor a store.
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

import msgspec


class BrokenSealError(ValueError):
    """Damaged, or of another schema: the text holds nothing of the data."""


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    schema: int
    checksum: int
    content: bytes


def seal(schema: int, stored: object) -> bytes:
    """Encode a record, with schema and checksum.

    >>> unseal(1, seal(1, ["a"]), list[str])
    ['a']
    """
    content = msgspec.msgpack.encode(stored)
    return msgspec.msgpack.encode(_Sealed(schema, crc32(content), content))


def unseal(schema: int, data: bytes, form: Any) -> Any:
    """Read what `seal` wrote, as a `form`; raises `BrokenSealError`.

    >>> unseal(1, seal(2, ["a"]), list[str])
    Traceback (most recent call last):
    alerts.sealing.BrokenSealError: schema 2, this release reads 1
    """
    try:
        sealed = msgspec.msgpack.decode(data, type=_Sealed)
        if sealed.schema != schema:
            raise BrokenSealError(f"schema {sealed.schema}, this release reads {schema}")
        if crc32(sealed.content) != sealed.checksum:
            raise BrokenSealError("a checksum is wrong")
        return msgspec.msgpack.decode(sealed.content, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BrokenSealError(type(error).__name__) from None
