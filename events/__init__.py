"""The vocabulary of Wardstream: what happened, in the words of the ward.

Owns the clinical events, the control events, the envelope that carries them through the log, the canonical encoding and
its digest. Must not know any wire format (HL7, FHIR), any store, any clock. It is the leaf of the import order: every
other package may import it and it imports none of them.

All times are whole milliseconds since 1970-01-01T00:00:00Z (`Millis`): they compare, subtract and encode exactly.
"""

from events.clinical import (
    Admission,
    Cancellation,
    Carried,
    ClinicalEvent,
    Coding,
    Correction,
    Demographics,
    Discharge,
    Ethnicity,
    Handover,
    Location,
    Merge,
    Observation,
    Outcome,
    Retirement,
    Sex,
    Transfer,
    Unmerge,
)
from events.control import (
    Acknowledgement,
    Availability,
    ChangeStep,
    CodeVersion,
    Configuration,
    ControlEvent,
    Feedback,
    KillSwitch,
    Limit,
    LimitKind,
    Promotion,
    Review,
    Standing,
    Tick,
)
from events.encoding import decode_envelope, encode_envelope, envelope_digest
from events.envelope import Envelope, Event
from events.identifiers import content_id, observation_id, uuid_text
from events.times import MILLIS_PER_DAY, MILLIS_PER_HOUR, MILLIS_PER_MINUTE, MILLIS_PER_SECOND, Millis, from_iso, to_iso

__all__ = [
    "MILLIS_PER_DAY",
    "MILLIS_PER_HOUR",
    "MILLIS_PER_MINUTE",
    "MILLIS_PER_SECOND",
    "Acknowledgement",
    "Admission",
    "Availability",
    "Cancellation",
    "Carried",
    "ChangeStep",
    "ClinicalEvent",
    "CodeVersion",
    "Coding",
    "Configuration",
    "ControlEvent",
    "Correction",
    "Demographics",
    "Discharge",
    "Envelope",
    "Ethnicity",
    "Event",
    "Feedback",
    "Handover",
    "KillSwitch",
    "Limit",
    "LimitKind",
    "Location",
    "Merge",
    "Millis",
    "Observation",
    "Outcome",
    "Promotion",
    "Retirement",
    "Review",
    "Sex",
    "Standing",
    "Tick",
    "Transfer",
    "Unmerge",
    "content_id",
    "decode_envelope",
    "encode_envelope",
    "envelope_digest",
    "from_iso",
    "observation_id",
    "to_iso",
    "uuid_text",
]
