"""Dead letters on `deadletters.v1`: what could not be used, why, where the fault is, and the bytes.

Owns the letter's JSON and its key. Must not know who refused: gateway, [parse] and the folds write the same shape. The
bytes name people, as the ingest topics do: who may read those may read these, and nobody else.
"""

from __future__ import annotations

import base64
from hashlib import sha256

import msgspec

from connectors.decoded import Refusal
from connectors.kafka.headers import cloud_headers, received_time
from connectors.kafka.record import Record
from connectors.kafka.topics import DEAD_LETTERS, TOPICS
from events import Millis, content_id, to_iso
from stream.live.stage import LogItem
from stream.parse import DeadLetter

SOURCE = "/wardstream/letters"
KEY_BYTES_MAX = 128
"""As much of a feed's name as is a key: names have some tens of characters, and a sender chooses them."""
LETTER_BYTES_MAX = 2 * 1024 * 1024
"""Bytes of the original in a letter: twice the longest HL7 message, and in base64 still below a record's limit. Of a
longer one, a posted Bundle, the beginning is kept; size and hash are those of the whole."""
UNREADABLE = "unreadable_record"
"""The reason of a letter about a record that is no record of ours at all."""

_encode = msgspec.json.Encoder(order="sorted").encode
_SCHEMA = TOPICS[DEAD_LETTERS].schema
_TYPE = TOPICS[DEAD_LETTERS].event_type


def feed_key(feed: str, fallback: str = "unknown") -> bytes:
    """Give the key of a sender's records: its name, cut to a length; `fallback` where it gave none.

    >>> feed_key("LAB|MAIN"), feed_key("", "mllp"), len(feed_key("x" * 1000))
    (b'LAB|MAIN', b'mllp', 128)
    """
    return feed.encode("utf-8", "replace")[:KEY_BYTES_MAX] or fallback.encode()


def dead_letter(refusal: Refusal, received: Millis, position: str) -> DeadLetter:
    """Make a letter of a refusal: `position` says where the message stood."""
    return DeadLetter(
        refusal.reason, refusal.position, refusal.detail, position, received, refusal.message_id, refusal.feed
    )


def letter_record(letter: DeadLetter, data: bytes | None, feed: str) -> Record:
    """Give the record of a letter with the bytes it is about. The same letter is the same record, its id too.

    >>> from connectors.decoded import RefusalReason
    >>> letter = DeadLetter(RefusalReason.GARBAGE, "byte 1", "no MSH", "mllp/1#1", 0)
    >>> msgspec.json.decode(letter_record(letter, b"x", "").value)["data_base64"]
    'eA=='
    """
    return _record(
        {
            "reason": letter.reason,
            "fault": letter.fault,
            "detail": letter.detail,
            "source": letter.position,
            "received_time": to_iso(letter.received_time),
            "message_id": letter.message_id,
            "feed": letter.feed,
        },
        data or b"",
        feed_key(feed),
        letter.received_time,
    )


def unreadable_record(topic: str, partition: int, item: LogItem, detail: str) -> Record:
    """Give the letter about a record that a stage cannot read; `detail` quotes nothing of it."""
    received = received_time(item.headers, item.record_time)
    document: dict[str, object] = {
        "reason": UNREADABLE,
        "fault": "record",
        "detail": detail,
        "source": f"{topic}/{partition}/{item.offset}",
        "received_time": to_iso(received),
        "message_id": "",
        "feed": "",
    }
    return _record(document, item.value or b"", feed_key("", topic), received)


def _record(document: dict[str, object], data: bytes, key: bytes, received: Millis) -> Record:
    digest = sha256(data).hexdigest()
    document |= {
        "bytes_total": len(data),
        "bytes_sha256": digest,
        "data_base64": base64.b64encode(data[:LETTER_BYTES_MAX]).decode(),
    }
    name = content_id("letter", str(document["source"]), str(document["reason"]), str(received), digest)
    return Record(DEAD_LETTERS, key, _encode(document), cloud_headers(name, _TYPE, SOURCE, received, schema=_SCHEMA))
