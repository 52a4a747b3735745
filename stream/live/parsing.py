"""An ingest record to what it says: the codecs, chosen by the topic, and what is no record of ours.

Owns which codec reads which topic. Must not know Redis, nor who is meant.
The codecs are those that the gateways answer by, so that what was acknowledged as understood is understood here.

Bad input is a refusal with its reason and place, never an exception.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from connectors.decoded import Decoded, Refusal, RefusalReason
from connectors.hl7v2.codec import decode
from connectors.http.arrivals import fhir_arrivals
from connectors.kafka.headers import PORT, header, received_time
from connectors.kafka.topics import TOPICS
from events import Millis
from stream.live.act_records import ActReader, credible
from stream.live.stage import LogItem
from stream.parse import apart
from stream.settings import Settings

HL7, FHIR, ACKNOWLEDGEMENTS = "hl7v2.ingest.v1", "fhir.ingest.v1", "ack.ingest.v1"
INGEST_TOPICS = (HL7, FHIR, ACKNOWLEDGEMENTS)

_ANYTHING = frozenset({"", "application/octet-stream"})
"""What engines say that were told nothing: the topic says what it is."""
_CONTENT_TYPES = {
    HL7: _ANYTHING | {"application/hl7-v2", "application/hl7-v2+er7", "x-application/hl7-v2+er7", "text/plain"},
    FHIR: _ANYTHING | {"application/fhir+json", "application/json"},
    ACKNOWLEDGEMENTS: _ANYTHING | {"application/json"},
}
PORT_DIGITS_MAX = 5
_OURS = "wardstream."
"""How the CloudEvents types of our own topics begin."""


class Taken(NamedTuple):
    """One message of an ingest record."""

    position: str
    """`topic/partition/offset`, and for an entry of a Bundle, or the second patient of an A17, `#` and its number."""
    data: bytes
    decoded: Decoded | Refusal


class IngestRecord(NamedTuple):
    """An ingest record, read."""

    offset: int
    received_time: Millis
    feed: str
    """The sender, as the record's key names it."""
    messages: list[Taken]


def read_item(
    topic: str, partition: int, item: LogItem, settings: Settings, acts: ActReader | None = None
) -> IngestRecord:
    r"""Decode one ingest record. `acts` reads what people did; raises only what that does.

    >>> item = LogItem(7, b"LAB|MAIN", b"hello", (), 0)
    >>> [taken] = read_item(HL7, 3, item, Settings()).messages
    >>> taken.position, taken.decoded.reason.value
    ('hl7v2.ingest.v1/3/7', 'garbage')
    """
    position = f"{topic}/{partition}/{item.offset}"
    feed = (item.key or b"").decode("utf-8", "replace")
    data = item.value or b""
    received = received_time(item.headers, item.record_time)
    if topic == ACKNOWLEDGEMENTS:
        received = credible(received, item.record_time)
    refusal = _refused(topic, item)
    if refusal is not None:
        messages = [Taken(position, data, msgspec.structs.replace(refusal, feed=feed))]
    elif topic == ACKNOWLEDGEMENTS:
        messages = [Taken(position, data, (acts or ActReader()).read(item, feed, received))]
    else:
        messages = _READERS[topic](data, position, settings, _port(item))
    return IngestRecord(item.offset, received, feed, messages)


def by_patient(record: IngestRecord) -> IngestRecord:
    """Part the messages that speak of two patients: each is resolved and recorded by itself."""
    messages = [
        Taken(position, taken.data, decoded)
        for taken in record.messages
        for decoded, position in apart(taken.decoded, taken.position)
    ]
    return record._replace(messages=messages)


def _refused(topic: str, item: LogItem) -> Refusal | None:
    """Say what keeps a record from being looked at, or None."""
    if not item.key:
        return Refusal(RefusalReason.MISSING_FIELD, "record key", "the record has no key: the sender's name")
    if item.value is None:
        return Refusal(RefusalReason.GARBAGE, "byte 1", "the record has no value")
    if item.headers:
        kind = header(item.headers, "content-type").partition(";")[0].strip().lower()
        if kind not in _CONTENT_TYPES[topic]:
            return Refusal(RefusalReason.UNSUPPORTED_TYPE, "content-type", "another format than the topic's")
        event_type = header(item.headers, "ce_type")
        if event_type.startswith(_OURS) and event_type != TOPICS[topic].event_type:
            return Refusal(RefusalReason.UNSUPPORTED_VERSION, "ce_type", "another schema than the topic's")
    return None


def _port(item: LogItem) -> int:
    """Give the MLLP port that a message came to, where the gateway wrote it: a route may go by it."""
    text = header(item.headers, f"ce_{PORT}") if item.headers else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= PORT_DIGITS_MAX else 0


def _hl7(data: bytes, position: str, settings: Settings, port: int) -> list[Taken]:
    return [Taken(position, data, decode(data, settings.hl7, port))]


def _fhir(data: bytes, position: str, settings: Settings, _port: int) -> list[Taken]:
    return [
        Taken(arrival.position, arrival.data or b"", arrival.decoded)
        for arrival in fhir_arrivals(data, settings.fhir, position)
    ]


_READERS: dict[str, Callable[[bytes, str, Settings, int], list[Taken]]] = {HL7: _hl7, FHIR: _fhir}
