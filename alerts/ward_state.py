"""The stored form of [ward]'s fold: the fold's own record, one a ward, and one for each alert that waits.

Owns the forms, their keys, schema and checksum. Must not know how they change, nor a store. A field that is added at
the end of a form needs no new schema: an older record is read with its default, and an older release passes it by.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeVar
from zlib import crc32

import msgspec

from events import Millis

WARD_SCHEMA = 1
"""The version of the stored form; another is refused, and the partition folded anew from its log."""
FOLD_KEY = "~fold"
WARD_KEY = "w/"
"""A ward's record lies under this and the ward's name: no name can pass for the fold's own key."""
WAITING_KEY = "q/"
"""An alert that waits lies under this, its ward's name, a bar and its id, which has none."""

Phase = Literal["open", "ended", "left"]


class UnreadableWardStateError(ValueError):
    """Stored states of this fold that are damaged or of another schema: fold the partition anew from its log."""


class Known(NamedTuple):
    """What is remembered of one alert in one ward."""

    seq: int
    phase: Phase
    heard: Millis


class StoredWard(msgspec.Struct, frozen=True, array_like=True):
    """One ward."""

    seq: int
    heard: Millis
    alerts: dict[str, Known]
    told: tuple[Millis, ...] = ()


class StoredWaiting(msgspec.Struct, frozen=True, array_like=True):
    """One alert that waits, with the event that is to be told."""

    event_id: str
    risk: float | None
    received: Millis
    since: Millis
    content: bytes
    unheard: bool = False


class StoredFold(msgspec.Struct, frozen=True, array_like=True):
    """What is of no one ward."""

    clock: Millis
    swept: int
    closed: bool


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    schema: int
    checksum: int
    content: bytes


_Stored = TypeVar("_Stored", StoredWard, StoredWaiting, StoredFold)


def waiting_key(ward: str, alert_id: str) -> str:
    """Name a waiting alert's record.

    >>> ward_and_alert(waiting_key("A|B", "a1"))
    ('A|B', 'a1')
    """
    return f"{WAITING_KEY}{ward}|{alert_id}"


def ward_and_alert(key: str) -> tuple[str, str]:
    """Give whose record a key names."""
    ward, _, alert_id = key.removeprefix(WAITING_KEY).rpartition("|")
    return ward, alert_id


def seal(stored: StoredWard | StoredWaiting | StoredFold) -> bytes:
    """Encode a record, with schema and checksum."""
    content = msgspec.msgpack.encode(stored)
    return msgspec.msgpack.encode(_Sealed(WARD_SCHEMA, crc32(content), content))


def unseal(data: bytes, form: type[_Stored]) -> _Stored:
    """Read what `seal` wrote; raises `UnreadableWardStateError`, whose text holds nothing of the data."""
    try:
        sealed = msgspec.msgpack.decode(data, type=_Sealed)
        if sealed.schema != WARD_SCHEMA:
            raise UnreadableWardStateError(f"ward schema {sealed.schema}, this release reads {WARD_SCHEMA}")
        if crc32(sealed.content) != sealed.checksum:
            raise UnreadableWardStateError("a ward state's checksum is wrong")
        return msgspec.msgpack.decode(sealed.content, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableWardStateError(type(error).__name__) from None
