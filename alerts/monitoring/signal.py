"""Signals: that something is no longer heard, or is not what it was. The contract of `signals.v1`.

Owns the record, its id and its JSON. Must not know how a signal came about, nor where it is carried. No field names a
person: a patient is the pseudonymous key that every output has.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import msgspec

from events import Millis, content_id, from_iso, to_iso

SignalKind = Literal[
    "feed_silent",
    "ward_silent",
    "patient_silent",
    "code_remapped",
    "code_silent",
    "code_unmapped",
    "unit_changed",
    "scale_changed",
    "flat_line",
    "feed_frozen",
    "monitor_full",
    "monitor_failed",
    "heartbeat",
]
KINDS: tuple[SignalKind, ...] = get_args(SignalKind)
SignalState = Literal["raised", "cleared", "alive"]
TIME_FIELDS = ("received_time", "since")


class Signal(msgspec.Struct, frozen=True, gc=False):
    """One thing that is said of what is not heard, or heard otherwise.

    `seq` is 1, 2, 3 ... without gaps for each partition, kind and subject, so an odd one raises and an even one clears;
    a heartbeat has 0. `received_time` is when it was said, by the log's clock; `since` is from when on it holds.
    """

    signal_id: str
    kind: SignalKind
    subject: str
    """What it is of, in one text: `feed|LAB`, `ward|W3`, `patient|<key>`, and what of it."""
    state: SignalState
    seq: int
    received_time: Millis
    since: Millis
    partition: int
    """The partition of the log that it was learned from: each knows its own share of the patients alone."""
    feed: str = ""
    ward: str = ""
    patient: str = ""
    code: str = ""
    """The code concerned, as `system|code`."""
    feature: str = ""
    wards: tuple[str, ...] = ()
    """The wards that it concerns."""
    detail: str = ""
    """In words, with numbers."""
    newest: tuple[tuple[str, int], ...] = ()
    """Of a heartbeat of [ward] (`ward_partition|N`): its wards by name, each with the newest `ce_wardseq` it was told.

    Left out of the JSON where there is none, and so of the id: it is younger than the ids of all other signals."""


_encoder = msgspec.json.Encoder(order="sorted")


def make_signal(
    kind: SignalKind, subject: str, state: SignalState, seq: int, at: Millis, since: Millis, partition: int, **of: Any
) -> Signal:
    """Make a signal; its id is derived from all that it says, so that work done again names it alike.

    >>> one, again = (make_signal("feed_silent", "feed|LAB", "raised", 1, 60_000, 0, 0, feed="LAB") for _ in range(2))
    >>> one == again, len(one.signal_id)
    (True, 36)
    """
    named = Signal("", kind, subject, state, seq, at, since, partition, **of)
    return msgspec.structs.replace(named, signal_id=content_id("signal", _encoder.encode(_document(named))))


def _document(signal: Signal) -> dict[str, Any]:
    document = msgspec.structs.asdict(signal)
    if not signal.newest:
        del document["newest"]
    return document


def encode_signal(signal: Signal) -> bytes:
    """Write a signal as JSON, its times as ISO 8601 in UTC."""
    document = _document(signal)
    for field in TIME_FIELDS:
        document[field] = to_iso(document[field])
    return _encoder.encode(document)


def decode_signal(content: bytes) -> Signal:
    """Read a signal back from the bytes it was written as.

    Raises `msgspec.ValidationError` where they are no signal of this release.

    >>> signal = make_signal("ward_silent", "ward|W3", "cleared", 2, 1_000, 0, 0, ward="W3")
    >>> decode_signal(encode_signal(signal)) == signal
    True
    """
    document = msgspec.json.decode(content)
    for field in TIME_FIELDS:
        document[field] = from_iso(document[field])
    return msgspec.convert(document, Signal)


def words_for(millis: Millis) -> str:
    """Write a span of time in the two largest units that say something.

    >>> words_for(2 * 3_600_000 + 5 * 60_000), words_for(12 * 60_000), words_for(30_000)
    ('2 h 5 min', '12 min', '0 min')
    """
    hours, minutes = divmod(millis // 60_000, 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
