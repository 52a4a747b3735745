"""What a codec hands on: a decoded message whose people are still the sender's identifiers, or a refusal.

Owns the two result types shared by the HL7 v2 and FHIR codecs, and the named reasons of refusal. Must not know how an
identifier is resolved to a patient key: that is the pipeline's [parse] step.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from events import Event, Millis

MESSAGE_BYTES_MAX = 1024 * 1024
"""A longer message is refused: the largest ward message seen in the public corpora is below 200 KB."""
EVENTS_PER_MESSAGE_MAX = 5_000
"""A message with more observations than this is refused: a day of hourly charting of 40 values is 960."""


class RefusalReason(StrEnum):
    """Why a message could not be used; each is a counter and a word in `dead_letters.ndjson`."""

    GARBAGE = "garbage"
    TRUNCATED = "truncated"
    OVERSIZED = "oversized"
    WRONG_ENCODING = "wrong_encoding"
    UNSUPPORTED_TYPE = "unsupported_message_type"
    UNSUPPORTED_VERSION = "unsupported_version"
    MISSING_SEGMENT = "missing_segment"
    MISSING_FIELD = "missing_field"
    MISSING_IDENTIFIER = "missing_identifier"
    INVALID_VALUE = "invalid_value"
    INVALID_TIME = "invalid_time"
    FUTURE_TIME = "future_time"
    TOO_MANY_EVENTS = "too_many_events"
    UNAUTHORISED = "unauthorised"
    """Of an act, as the ones below: nobody we know stands behind it."""
    FORGED = "forged"
    """Its signature is another's, or of other content."""
    NOT_ENTITLED = "not_entitled"
    """We know who it is, and he may not do this, or not there."""
    LATE = "late"
    """It comes too long after it was decided."""
    OUTDATED = "outdated"
    """Of a limit: it is over already, a later decision stands in its place, or the patient has as many as may be."""


class Identifier(msgspec.Struct, frozen=True):
    """A sender's name for a patient: PID-3.4 and .1, Patient.identifier, or a FHIR server's `Patient/id`."""

    authority: str
    value: str

    def __repr__(self) -> str:
        """Name the authority only: a value in a log or a traceback would name a patient.

        >>> Identifier("HOSP", "42")
        Identifier('HOSP', …)
        """
        return f"Identifier({self.authority!r}, …)"


class Refusal(msgspec.Struct, frozen=True):
    """A message, or one entry of a Bundle, that could not be used. `detail` never quotes the message's content."""

    reason: RefusalReason
    position: str
    """`PID-3`, `OBX[2]-5.1`, `byte 512`, `$.entry[3].resource.subject`."""
    detail: str
    message_id: str = ""
    feed: str = ""
    sent_time: Millis | None = None


class Decoded(msgspec.Struct, frozen=True):
    """One message that can be used. No events means: understood, and nothing in it is for us."""

    feed: str
    message_id: str
    content_hash: bytes
    """16 bytes over what makes it this message (for HL7: everything after MSH, with type, sender and MSH-10)."""
    sent_time: Millis | None
    """MSH-7; `issued`, else meta.lastUpdated. In files this is the received time."""
    event_time: Millis | None
    subject: tuple[Identifier, ...]
    """All identifiers of the patient, best first. Empty only where there are no events."""
    events: tuple[Event, ...]
    encounter: str = ""
    """Visit number (PV1-19) or Encounter id, as the sender's own."""
    retired: tuple[Identifier, ...] = ()
    """MRG-1: the identifiers that are merged into `subject` (A40)."""
    kind: str = ""
    """`ADT^A01`, `ORU^R01`, `Observation`: for counts."""
    parts: int = 1
    """How many messages this stands for: resources of one moment that were joined are each accounted for."""
    members: tuple[Decoded, ...] = ()
    """The messages that were joined into this one, in order; empty where it is a single one."""
    notes: tuple[str, ...] = ()
    """Counted oddities survived by a declared rule (`obx2_empty`, `local_time_ambiguous`), not reasons to refuse."""
    parted: tuple[Identifier, ...] = ()
    """The identifiers of somebody who is not `subject`, though a merge said so (A37's second PID, A45's PID)."""
    patient: str = ""
    """The patient key, where the message names that itself: an act answers an alert, which has it."""
    beside: Decoded | None = None
    """What the same message says of a second patient (A17, A44, A45): [parse] resolves and records it by itself."""
    aliases: tuple[Identifier, ...] = ()
    """What `subject` was called before (MRG-1 of an A47): the same person, of whom nobody is retired."""

    @property
    def part_hashes(self) -> tuple[bytes, ...]:
        """The content hashes of the messages that were joined; empty where it is a single one."""
        return tuple(member.content_hash for member in self.members)

    def __repr__(self) -> str:
        """Say what it is and how much, and nothing of whom: no identifier, visit number, id or value.

        >>> Decoded("LAB|MAIN", "77", b"", None, None, (Identifier("HOSP", "42"),), (), kind="ORU^R01")
        Decoded('ORU^R01' of 'LAB|MAIN', 0 events, 1 identifiers, 1 parts)
        """
        counts = f"{len(self.events)} events, {len(self.subject)} identifiers, {self.parts} parts"
        return f"Decoded({self.kind!r} of {self.feed!r}, {counts})"
