"""The stored form of [ward]'s fold: the fold's own record, one a ward, and one for each alert that waits.

Owns the forms, their keys, schema and checksum. Must not know how they change, nor a store. A field that is added at
the end of a form needs no new schema: an older record is read with its default, and an older release passes it by.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeVar

import msgspec

from alerts import sealing
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
    return sealing.seal(WARD_SCHEMA, stored)


def unseal(data: bytes, form: type[_Stored]) -> _Stored:
    """Read what `seal` wrote; raises `UnreadableWardStateError`, whose text holds nothing of the data."""
    try:
        found: _Stored = sealing.unseal(WARD_SCHEMA, data, form)
    except sealing.BrokenSealError as error:
        raise UnreadableWardStateError(f"a ward's state: {error}") from None
    return found
