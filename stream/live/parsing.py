"""An ingest record to what it says: the codecs, chosen by the topic, and what is no record of ours.

Owns which codec reads which topic, and the acknowledgements of ward systems. Must not know Redis, nor who is meant.
The codecs are those that the gateways answer by, so that what was acknowledged as understood is understood here.

Bad input is a refusal with its reason and place, never an exception.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Annotated, NamedTuple

import msgspec

from connectors.decoded import Decoded, Refusal, RefusalReason
from connectors.fhir.grouping import CONTENT_HASH_BYTES
from connectors.hl7v2.codec import decode
from connectors.http.arrivals import fhir_arrivals
from connectors.kafka.headers import header, received_time
from connectors.kafka.topics import TOPICS
from events import Acknowledgement, Millis, from_iso
from events.identifiers import join_parts
from events.times import INSTANT_MAX, INSTANT_MIN
from stream.live.stage import LogItem
from stream.settings import Settings

HL7, FHIR, ACKNOWLEDGEMENTS = "hl7v2.ingest.v1", "fhir.ingest.v1", "ack.ingest.v1"
INGEST_TOPICS = (HL7, FHIR, ACKNOWLEDGEMENTS)
ACKNOWLEDGEMENT_BYTES_MAX = 4 * 1024
"""An acknowledgement is some 200 bytes."""

_ANYTHING = frozenset({"", "application/octet-stream"})
"""What engines say that were told nothing: the topic says what it is."""
_CONTENT_TYPES = {
    HL7: _ANYTHING | {"application/hl7-v2", "application/hl7-v2+er7", "x-application/hl7-v2+er7", "text/plain"},
    FHIR: _ANYTHING | {"application/fhir+json", "application/json"},
    ACKNOWLEDGEMENTS: _ANYTHING | {"application/json"},
}
_OURS = "wardstream."
"""How the CloudEvents types of our own topics begin."""


class Taken(NamedTuple):
    """One message of an ingest record."""

    position: str
    """`topic/partition/offset`, and for an entry of a Bundle `#` and its number."""
    data: bytes
    decoded: Decoded | Refusal
    patient: str = ""
    """The patient key, where the message names that itself: an acknowledgement answers an alert, which has it."""


class IngestRecord(NamedTuple):
    """An ingest record, read."""

    offset: int
    received_time: Millis
    feed: str
    """The sender, as the record's key names it."""
    messages: list[Taken]


class AcknowledgementRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The value of a record of `ack.ingest.v1`."""

    patient: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    """The patient key, as the alert has it."""
    alert_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    at: Annotated[str, msgspec.Meta(max_length=40)]
    """When it was acknowledged: ISO 8601 with its zone."""
    actor: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """A role or a pseudonym, never a name."""


def read_item(topic: str, partition: int, item: LogItem, settings: Settings) -> IngestRecord:
    r"""Decode one ingest record; never raises.

    >>> item = LogItem(7, b"LAB|MAIN", b"hello", (), 0)
    >>> [taken] = read_item(HL7, 3, item, Settings()).messages
    >>> taken.position, taken.decoded.reason.value
    ('hl7v2.ingest.v1/3/7', 'garbage')
    """
    position = f"{topic}/{partition}/{item.offset}"
    feed = (item.key or b"").decode("utf-8", "replace")
    data = item.value or b""
    refusal = _refused(topic, item)
    if refusal is not None:
        messages = [Taken(position, data, msgspec.structs.replace(refusal, feed=feed))]
    else:
        messages = _READERS[topic](data, position, feed, settings)
    return IngestRecord(item.offset, received_time(item.headers, item.record_time), feed, messages)


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


def _hl7(data: bytes, position: str, _feed: str, settings: Settings) -> list[Taken]:
    return [Taken(position, data, decode(data, settings.hl7))]


def _fhir(data: bytes, position: str, _feed: str, settings: Settings) -> list[Taken]:
    return [
        Taken(arrival.position, arrival.data or b"", arrival.decoded)
        for arrival in fhir_arrivals(data, settings.fhir, position)
    ]


def _acknowledgement(data: bytes, position: str, feed: str, _settings: Settings) -> list[Taken]:
    said = _read_acknowledgement(data, feed)
    if isinstance(said, Refusal):
        return [Taken(position, data, said)]
    try:
        at = from_iso(said.at)
    except (ValueError, OverflowError):
        return [
            Taken(position, data, Refusal(RefusalReason.INVALID_TIME, "$.at", "no instant with its zone", feed=feed))
        ]
    if not INSTANT_MIN <= at <= INSTANT_MAX:
        return [Taken(position, data, Refusal(RefusalReason.INVALID_TIME, "$.at", "a year never meant", feed=feed))]
    content = join_parts(("acknowledgement", said.patient, said.alert_id, str(at), said.actor))
    decoded = Decoded(
        feed,
        said.alert_id,
        blake2b(content, digest_size=CONTENT_HASH_BYTES).digest(),
        at,
        at,
        (),
        (Acknowledgement(at, said.alert_id, said.actor),),
        kind="acknowledgement",
    )
    return [Taken(position, data, decoded, said.patient)]


def _read_acknowledgement(data: bytes, feed: str) -> AcknowledgementRecord | Refusal:
    if len(data) > ACKNOWLEDGEMENT_BYTES_MAX:
        return Refusal(RefusalReason.OVERSIZED, "$", f"more than {ACKNOWLEDGEMENT_BYTES_MAX} bytes", feed=feed)
    try:
        return _decoder.decode(data)
    except msgspec.ValidationError as error:
        # msgspec quotes what it found before the path: only the path is ours to repeat.
        _, told, path = str(error).rpartition(" - at ")
        return Refusal(
            RefusalReason.INVALID_VALUE, path.strip("`") if told else "$", "not as the schema says", feed=feed
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Refusal(RefusalReason.GARBAGE, "$", "no JSON", feed=feed)


_decoder = msgspec.json.Decoder(AcknowledgementRecord)
_READERS: dict[str, Callable[[bytes, str, str, Settings], list[Taken]]] = {
    HL7: _hl7,
    FHIR: _fhir,
    ACKNOWLEDGEMENTS: _acknowledgement,
}
