"""What a strict route refuses: oddities that are else survived by a declared rule, and noted.

Owns the table of those notes. Must not know how a note comes about. What is not in it is noted of a strict sender too:
it says something of a patient (an unknown sex), or of one value, and refusing the message would lose the others.
"""

from __future__ import annotations

from connectors.decoded import Decoded, RefusalReason
from connectors.hl7v2.faults import Fault

STRICT: dict[str, tuple[RefusalReason, str, str]] = {
    "version_absent": (RefusalReason.MISSING_FIELD, "MSH-12", "the route is strict: needs a version"),
    "charset_guessed": (RefusalReason.WRONG_ENCODING, "MSH-18", "the route is strict: needs the name of the set"),
    "msh2_escape_doubled": (RefusalReason.INVALID_VALUE, "MSH-2", "the route is strict: the escape mark stands twice"),
    "time_from_message": (RefusalReason.MISSING_FIELD, "OBX-14", "the route is strict: needs the time of observation"),
    "time_not_exact": (RefusalReason.INVALID_TIME, "OBX-14", "the route is strict: a time without its minute"),
    "local_time_ambiguous": (RefusalReason.INVALID_TIME, "OBX-14", "the route is strict: an hour that comes twice"),
    "local_time_nonexistent": (RefusalReason.INVALID_TIME, "OBX-14", "the route is strict: a time that there was not"),
    "obx2_empty": (RefusalReason.MISSING_FIELD, "OBX-2", "the route is strict: needs the type of the value"),
    "obx3_missing": (RefusalReason.MISSING_FIELD, "OBX-3", "the route is strict: needs the observation's code"),
    "obx11_unknown": (
        RefusalReason.INVALID_VALUE,
        "OBX-11",
        "the route is strict: a status that HL7 table 0085 has not",
    ),
    "evn_trigger_differs": (RefusalReason.INVALID_VALUE, "EVN-1", "the route is strict: another event than in MSH-9"),
    "event_time_unreadable": (RefusalReason.INVALID_TIME, "EVN-6", "the route is strict: is no HL7 time"),
}
"""The refusal by the note; in a message with several, the first of them in this order."""


def check_strictly(decoded: Decoded) -> None:
    """Raise `Fault` where a message has a note that a strict route refuses."""
    notes = {*decoded.notes, *(decoded.beside.notes if decoded.beside is not None else ())}
    for note, (reason, position, detail) in STRICT.items():
        if note in notes:
            raise Fault(reason, position, detail)
