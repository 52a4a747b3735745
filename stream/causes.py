"""Why messages could not be used, as causes: the same fault of many messages is one thing to mend.

Owns the name of a cause and what to do about each. Must not know where a letter is kept.
"""

from __future__ import annotations

import re

import msgspec

from connectors.decoded import RefusalReason

_NUMBER = re.compile(r"\[\d+\]")
_BYTE = re.compile(r"\bbyte \d+")
_FHIR = re.compile(r"^\$(?:(?:\.entry\[\])+(?:\.resource(?!\w))?)*")


class Cause(msgspec.Struct, frozen=True, order=True):
    """One cause: the reason, and the place without the numbers that differ from message to message."""

    reason: str
    place: str

    def __str__(self) -> str:
        """Name it in one line.

        >>> str(Cause("invalid_time", "OBX-14"))
        'invalid_time at OBX-14'
        """
        return f"{self.reason} at {self.place}"


def cause_of(reason: str, fault: str) -> Cause:
    """Give the cause of a refusal by its reason and the position of its fault.

    >>> str(cause_of("invalid_time", "OBX[7]-14")), str(cause_of("truncated", "byte 512"))
    ('invalid_time at OBX-14', 'truncated at byte')
    >>> str(cause_of("missing_identifier", "$.entry[3].resource.subject"))
    'missing_identifier at subject'
    >>> str(cause_of("missing_field", "$.resourceType"))
    'missing_field at resourceType'
    """
    place = _NUMBER.sub("[]" if fault.startswith("$") else "", _BYTE.sub("byte", fault))
    if place.startswith("$"):
        place = _FHIR.sub("", place).lstrip(". ") or "$"
    return Cause(str(reason), place)


ADVICE: dict[str, str] = {
    RefusalReason.GARBAGE: "it is no HL7 v2 or FHIR: have the engine send messages only, each framed by itself",
    RefusalReason.TRUNCATED: "it breaks off: look at the engine's or the file's size limits and time-outs",
    RefusalReason.OVERSIZED: "send embedded documents elsewhere, or raise [hl7] message_bytes_max",
    RefusalReason.WRONG_ENCODING: "send UTF-8 and say so in MSH-18 (UNICODE UTF-8); FHIR is always UTF-8",
    RefusalReason.UNSUPPORTED_TYPE: "nothing in it is for us: filter the type out at the engine, or leave it refused",
    RefusalReason.UNSUPPORTED_VERSION: "have it sent as 2.1 to 2.9, or add it to [hl7] accepted_versions and try",
    RefusalReason.MISSING_SEGMENT: "the segment is required: have the engine add it",
    RefusalReason.MISSING_FIELD: "the field is required: have the engine fill it",
    RefusalReason.MISSING_IDENTIFIER: "nobody is named: fill PID-3, or the subject of the resource",
    RefusalReason.INVALID_VALUE: "the value is not what the standard allows there: correct it at the sender",
    RefusalReason.INVALID_TIME: "send YYYYMMDDHHMMSS+ZZZZ (HL7) or an instant with its zone (FHIR)",
    RefusalReason.FUTURE_TIME: "look at the sender's clock",
    RefusalReason.TOO_MANY_EVENTS: "send fewer results a message, or raise [hl7] events_max",
    RefusalReason.UNAUTHORISED: "the act was nobody's whom we know: see docs/acts.md",
    RefusalReason.FORGED: "the act's signature is of other content: see docs/acts.md",
    RefusalReason.NOT_ENTITLED: "the actor may not do this: see [people] and docs/acts.md",
    RefusalReason.LATE: "the act came too late: it is to be done again",
    RefusalReason.OUTDATED: "a later decision stands in its place",
    "unreadable_record": "somebody else writes to our topic: see who may",
}
"""What to do about each reason, in one line. Every reason has one; a test says so."""


def advice_for(reason: str) -> str:
    """Say what to do about a reason.

    >>> advice_for("future_time")
    "look at the sender's clock"
    """
    return ADVICE.get(reason, "see docs/decisions/0010 and 0011")
