"""Record headers: CloudEvents 1.0 in Kafka's binary mode, and our own.

Owns their names and their bytes. Must not know what a record says. Called for each record, so what repeats is encoded
once. No header names anybody: `ce_subject` holds a pseudonym at the most.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from connectors.kafka.record import Headers
from events import MILLIS_PER_MINUTE, MILLIS_PER_SECOND, Millis, to_iso
from events.times import INSTANT_MAX

RECEIVED = "ws_received"
"""When the gateway took the message: decimal milliseconds of the epoch, UTC."""
WARD_SEQUENCE = "ce_wardseq"
"""The ward's own count of what it was told: a CloudEvents extension, no part of the content."""
PORT = "mllpport"
"""The MLLP port that a message came to: a CloudEvents extension, for the routes that go by it."""
JSON = "application/json"
SCHEMAS = "https://wardstream.invalid/schemas/"
"""A name, not an address: `.invalid` never resolves (RFC 2606)."""

_CONSTANT_MAX = 256
"""Kinds of records by type, source, content type and schema: some tens."""
_SECONDS_MAX = 1_024
"""Records that are near in the log are near in time: a quarter of an hour of seconds."""


def cloud_headers(
    event_id: str,
    event_type: str,
    source: str,
    time_millis: Millis,
    *,
    content_type: str = JSON,
    schema: str = "",
    subject: str = "",
    received: Millis | None = None,
    **extensions: str | int,
) -> Headers:
    """Give a record's headers. `schema` is a file under `docs/schemas`; extensions are written as `ce_<name>`.

    >>> headers = cloud_headers("i-1", "wardstream.alerts.v1", "/ward/3", 0, wardseq=7)
    >>> header(headers, "ce_time"), header(headers, "ce_wardseq")
    ('1970-01-01T00:00:00Z', '7')
    """
    headers: Headers = (("ce_id", event_id.encode()), ("ce_time", _time(time_millis)))
    headers += _constant(event_type, source, content_type, schema)
    if subject:
        headers += (("ce_subject", subject.encode()),)
    if received is not None:
        headers += ((RECEIVED, b"%d" % received),)
    if extensions:
        headers += tuple((f"ce_{name}", str(value).encode()) for name, value in extensions.items())
    return headers


def header(headers: Iterable[tuple[str, bytes | None]], name: str) -> str:
    """Give a header's text, or an empty one where it is absent or no UTF-8. The last of several counts, as in Kafka.

    >>> header((("ce_id", b"a"), ("ce_id", b"b")), "ce_id"), header((), "ce_id")
    ('b', '')
    """
    found: bytes | None = None
    for key, value in headers:
        if key == name:
            found = value
    return (found or b"").decode("utf-8", "ignore")


def received_time(headers: Iterable[tuple[str, bytes | None]], record_time: Millis) -> Millis:
    """Give when a message was taken: the gateway's stamp, or the record's own time where an engine wrote it directly.

    >>> received_time((("ws_received", b"1500"),), 9), received_time((), 9), received_time((("ws_received", b"x"),), 9)
    (1500, 9, 9)
    """
    text = header(headers, RECEIVED)
    stamp = int(text) if text.isascii() and text.isdigit() and len(text) <= _MILLIS_DIGITS_MAX else record_time
    # A partition's clock never goes back: one stamp from the future would age every patient on it, for good.
    believed = stamp if stamp <= record_time + AHEAD_MS_MAX else record_time
    return min(max(believed, 0), INSTANT_MAX)


AHEAD_MS_MAX = 15 * MILLIS_PER_MINUTE
"""How far a gateway's clock may be ahead of that of who wrote the record (`stream.clock` follows no longer step)."""
_MILLIS_DIGITS_MAX = 15


@lru_cache(maxsize=_CONSTANT_MAX)
def _constant(event_type: str, source: str, content_type: str, schema: str) -> Headers:
    headers: Headers = (
        ("ce_specversion", b"1.0"),
        ("ce_type", event_type.encode()),
        ("ce_source", source.encode()),
        ("content-type", content_type.encode()),
    )
    return (*headers, ("ce_dataschema", (SCHEMAS + schema).encode())) if schema else headers


def _time(instant: Millis) -> bytes:
    seconds, millis = divmod(instant, MILLIS_PER_SECOND)
    return b"%s.%03dZ" % (_second(seconds), millis) if millis else _second(seconds) + b"Z"


@lru_cache(maxsize=_SECONDS_MAX)
def _second(seconds: int) -> bytes:
    return to_iso(seconds * MILLIS_PER_SECOND)[:-1].encode()
