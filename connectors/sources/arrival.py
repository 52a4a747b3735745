"""What a source gives: one message with its place, its received time, its bytes and what the codec made of it.

Owns the types that all sources share. Must not know any file format.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol

import msgspec

from connectors.decoded import Decoded, Refusal
from connectors.fhir.settings import FhirSettings
from connectors.hl7v2.settings import Hl7Settings
from events import Millis

Format = Literal["hl7v2", "fhir", "act"]
"""What a message is written in; files hold no acts."""

RECORDS_IN_MEMORY = 20_000
"""A sorted run: at the 3 KB of an ordinary message with its events about 60 MB."""
BYTES_IN_MEMORY = 64 * 1024 * 1024
"""A run ends at this many bytes of messages too, so that large messages do not fill memory."""


class SourceError(ValueError):
    """The operator's: a SOURCE that cannot be opened. The text names it and says what to do."""


class Arrival(msgspec.Struct, frozen=True):
    """One message of a source.

    >>> Arrival("ward.hl7#12", 0, b"", "hl7v2", Refusal("garbage", "byte 0", "empty")).position
    'ward.hl7#12'
    """

    position: str
    """File and number of the message within it, from 1; for people, never part of an id."""
    received_time: Millis | None
    """`Decoded.sent_time`, or what was received just before it in its file. Never None once sorted."""
    data: bytes | None
    """The message's own bytes (for an entry of a Bundle: the resource's); None where no bytes were ever sent."""
    format: Format
    decoded: Decoded | Refusal
    whole: bytes | None = None
    """What it was posted in, where that is more than `data`: a Bundle, whose entries lean on one another."""
    port: int = 0
    """The MLLP port that it came to, where a route of `[hl7]` goes by it; it is read by that again from the log."""

    def __repr__(self) -> str:
        """Say what came and how much of it: its bytes and its file's name may name a patient.

        >>> Arrival("Doe_John.hl7#1", 0, b"MSH|", "hl7v2", Refusal("garbage", "byte 0", "empty", "", "", 0))
        Arrival(hl7v2, 4 bytes, garbage at byte 0)
        """
        what = repr(self.decoded)
        if isinstance(self.decoded, Refusal):
            what = f"{self.decoded.reason} at {self.decoded.position}"
        return f"Arrival({self.format}, {len(self.data or b'')} bytes, {what})"


class SourceSettings(msgspec.Struct, frozen=True):
    """How to read sources: the codecs' settings, and the bounds of the external sort.

    >>> SourceSettings().fhir.server
    'fhir'
    """

    hl7: Hl7Settings = Hl7Settings()
    fhir: FhirSettings = FhirSettings(server="fhir")
    records_in_memory: int = RECORDS_IN_MEMORY
    bytes_in_memory: int = BYTES_IN_MEMORY
    every: int = 1
    """Of a public data set, keep each n-th stay (for samples); 1 keeps all."""


class Source(Protocol):
    """A SOURCE, opened. Iterating it anew reads it anew."""

    name: str

    @property
    def skipped(self) -> tuple[str, ...]:
        """Files that are no messages by their names; complete once iteration has ended."""
        ...

    @property
    def bytes_total(self) -> int:
        """For a progress bar; 0 until it is known."""
        ...

    @property
    def bytes_read(self) -> int:
        """How much of that has been read."""
        ...

    def __iter__(self) -> Iterator[Arrival]:
        """Yield arrivals in order of received time; raises `SourceError` where there is nothing to read."""
        ...
