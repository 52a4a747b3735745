"""Dead letters as they are kept: in the journal of an embedded service, or on the live service's topic.

Owns the reading of both into one shape. Must not know what is done with a letter, and changes none.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import msgspec

from connectors.decoded import Decoded
from connectors.fhir.codec import decode_each
from connectors.hl7v2.codec import decode
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import DEAD_LETTERS
from connectors.sqlite.journal import SqliteJournal
from events import from_iso, to_iso
from stream.causes import Cause, cause_of
from stream.kafka_log import KafkaLog
from stream.parse import DeadLetter
from stream.settings import Settings


class KeptLetter(msgspec.Struct, frozen=True):
    """One dead letter."""

    name: str
    """By which it is asked for: its number in the journal, or `PARTITION-OFFSET` of the topic."""
    received: str
    reason: str
    fault: str
    """The position of the fault in the message: `OBX[2]-14`, `byte 512`, `$.entry[3].resource.subject`."""
    detail: str
    source: str
    """Where the message came in."""
    feed: str
    data: bytes
    size: int
    """Of the whole message; more than `data` has where only the beginning was kept."""
    digest: str
    """SHA-256 of the whole message: the same message refused twice is two letters of one digest."""

    @property
    def cause(self) -> Cause:
        """What it has in common with others."""
        return cause_of(self.reason, self.fault)

    @property
    def fhir(self) -> bool:
        """Whether it looks like FHIR JSON."""
        return self.data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{"

    def __repr__(self) -> str:
        """Name it, and nothing of what is in it."""
        return f"KeptLetter({self.name}, {self.cause})"


def folder_letters(folder: Path) -> Iterator[KeptLetter]:
    """Give the letters of an embedded service's folder, oldest first; it may be running."""
    journal = SqliteJournal(folder, read_only=True)
    try:
        for number, letter, original in journal.numbered_dead_letters():
            yield _from_journal(number, msgspec.json.decode(letter, type=DeadLetter), original or b"")
    finally:
        journal.close()


def _from_journal(number: int, letter: DeadLetter, data: bytes) -> KeptLetter:
    return KeptLetter(
        name=str(number),
        received=to_iso(letter.received_time),
        reason=letter.reason.value,
        fault=letter.fault,
        detail=letter.detail,
        source=letter.position,
        feed=letter.feed,
        data=data,
        # Of an oversized message the journal has the beginning, and how long it was nobody knows.
        size=len(data) + (letter.reason == "oversized"),
        digest=sha256(data).hexdigest(),
    )


class _Written(msgspec.Struct):
    """A letter as it stands on `deadletters.v1` (docs/schemas/deadletters.v1.json)."""

    reason: str
    fault: str
    detail: str
    source: str
    received_time: str
    feed: str
    bytes_total: int
    bytes_sha256: str
    data_base64: str


_decode_written = msgspec.json.Decoder(_Written).decode


def topic_letters(kafka: KafkaSettings, password: str) -> Iterator[KeptLetter]:
    """Give the letters of a live installation, a partition after the other; raises a `BrokerError`.

    A record that is no letter is passed over: only our services write here.
    """
    seen: set[str] = set()
    with KafkaLog(kafka, password) as log:
        for partition, extent in log.extents(DEAD_LETTERS).items():
            for record in log.read(DEAD_LETTERS, partition, extent):
                letter = read_written(f"{partition}-{record.offset}", record.value or b"")
                # A stage that began anew writes a letter again, byte for byte: it is the same one.
                if letter is not None and (same := f"{letter.source} {letter.received} {letter.digest}") not in seen:
                    seen.add(same)
                    yield letter


def read_written(name: str, value: bytes) -> KeptLetter | None:
    """Read a letter as it stands on the topic; None for what is none.

    >>> read_written("0-7", b"{}") is None
    True
    """
    try:
        one = _decode_written(value)
        from_iso(one.received_time)
        bytes.fromhex(one.bytes_sha256)
        data = base64.b64decode(one.data_base64, validate=True)
    except (msgspec.MsgspecError, ValueError, binascii.Error):
        return None
    return KeptLetter(
        name, one.received_time, one.reason, one.fault, one.detail, one.source, one.feed, data,
        one.bytes_total, one.bytes_sha256,
    )  # fmt: skip


class Taken:
    """Says which letters' messages have been taken since: the log of the folder holds their content.

    It reads a message by the configuration that it is given. By another one than the service's it may say no where yes
    would be right; driven again, such a message is a duplicate.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._journal = SqliteJournal(folder, read_only=True)
        self._settings = settings

    def __call__(self, letter: KeptLetter) -> bool:
        """Say whether all of a letter's message is in the log."""
        if not letter.data or len(letter.data) < letter.size:
            return False
        if letter.fhir:
            results = [result for result, _data in decode_each(letter.data, self._settings.fhir)]
        else:
            results = [decode(letter.data, self._settings.hl7)]
        return all(isinstance(one, Decoded) and self._journal.seen(one.content_hash) for one in results)

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()
