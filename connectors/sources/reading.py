"""From one file's bytes to its arrivals, in the order in which they stand in it.

Owns the cutting of files into messages, their numbers, and the received time of what names none. Must not know where
the file lies, nor the order of files. What cannot be cut or unpacked is a refusal in its place, like any bad message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, BinaryIO, cast

import msgspec

from connectors.decoded import MESSAGE_BYTES_MAX, Decoded, Refusal, RefusalReason
from connectors.fhir import codec as fhir
from connectors.fhir.settings import BUNDLE_BYTES_MAX, LINE_BYTES_MAX
from connectors.hl7v2 import codec as hl7v2
from connectors.hl7v2 import framing
from connectors.sources.arrival import Arrival, Format, SourceSettings
from connectors.sources.files import Kind
from connectors.sources.unpacking import BREAKS_OFF, Guarded, Unpacking
from events import Millis

UNTIMED_MAX = 1_000
"""So many messages at a file's head may wait for the first one that names when it was sent; no more of them do."""
CHUNK_BYTES = 1024 * 1024
"""Read at once where a too long line is passed over."""

_Read = tuple[bytes | None, Decoded | Refusal]


def read_messages(name: str, kind: Kind, stream: IO[bytes], settings: SourceSettings) -> Iterator[Arrival]:
    """Yield the messages of one file, numbered from 1: `name#1`. Each has a received time.

    A message without one has that of the message before it in its file; at the head of a file that of the first one
    that names it. Where none does (monitors leave MSH-7 empty), it is when what the message itself tells was so: at the
    earliest it came then, and nothing in it lies ahead of it. One that tells no time has that of the one before, or 0.

    >>> import io
    >>> [a.position for a in read_messages("a.json", "json", io.BytesIO(b"{}"), SourceSettings())]
    ['a.json#1']
    """
    format_: Format = "hl7v2" if kind == "hl7" else "fhir"
    readers = {"hl7": _read_hl7, "json": _read_json, "ndjson": _read_ndjson}
    untimed: list[Arrival] = []
    time: Millis | None = None
    for number, (data, decoded) in enumerate(_told(readers[kind](stream, settings), stream), 1):
        if decoded.sent_time is not None:
            time = decoded.sent_time
        arrival = Arrival(f"{name}#{number}", time, data, format_, decoded)
        if time is None:
            untimed.append(arrival)
            if len(untimed) >= UNTIMED_MAX:
                yield from _by_what_they_tell(untimed)
                untimed = []
            continue
        if untimed:
            yield from (msgspec.structs.replace(waiting, received_time=time) for waiting in untimed)
            untimed = []
        yield arrival
    yield from _by_what_they_tell(untimed)


def _by_what_they_tell(untimed: list[Arrival]) -> Iterator[Arrival]:
    time: Millis = 0
    for arrival in untimed:
        if isinstance(arrival.decoded, Decoded) and arrival.decoded.event_time is not None:
            time = arrival.decoded.event_time
        yield msgspec.structs.replace(arrival, received_time=time)


def _told(read: Iterable[_Read], stream: IO[bytes]) -> Iterator[_Read]:
    """Add to what was read the refusal of what could not be read or unpacked."""
    yield from read
    fault = _fault(stream)
    if fault:
        reason = RefusalReason.TRUNCATED if fault == BREAKS_OFF else RefusalReason.GARBAGE
        yield None, Refusal(reason, "file", f"the file {fault}")


def _fault(stream: IO[bytes]) -> str:
    raw = getattr(stream, "raw", None)
    return raw.fault if isinstance(raw, Unpacking | Guarded) else ""


def _read_hl7(stream: IO[bytes], settings: SourceSettings) -> Iterator[_Read]:
    for piece in framing.split(cast("BinaryIO", stream), message_bytes_max=settings.hl7.message_bytes_max):
        yield piece.data, hl7v2.decode_piece(piece, settings.hl7)


def _read_json(stream: IO[bytes], settings: SourceSettings) -> Iterator[_Read]:
    data = stream.read(BUNDLE_BYTES_MAX + 1)
    if not data and _fault(stream):
        return iter(())  # nothing of it could be read: that is one refusal, not two
    return _with_bytes(fhir.decode_each(data, settings.fhir))


def _read_ndjson(stream: IO[bytes], settings: SourceSettings) -> Iterator[_Read]:
    while line := stream.readline(LINE_BYTES_MAX + 1):
        if len(line) > LINE_BYTES_MAX:
            while line and not line.endswith(b"\n"):
                line = stream.readline(CHUNK_BYTES)
            detail = f"a line of more than {LINE_BYTES_MAX} bytes"
            yield None, Refusal(RefusalReason.OVERSIZED, "$", detail, feed=settings.fhir.server)
        elif line.strip():
            data = line.rstrip(b"\r\n")
            yield from _with_bytes(fhir.decode_each(data, settings.fhir))


def _with_bytes(results: list[fhir.Read]) -> Iterator[_Read]:
    """Give each entry of a Bundle its own bytes, so that a dead letter can be tried again without the rest."""
    for result, data in results:
        yield data if len(data) <= MESSAGE_BYTES_MAX else None, result
