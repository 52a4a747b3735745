"""The envelope: one record of `events.v1`, all that one source message says about one patient.

Owns the record's shape. Must not know how a record is stored or partitioned. A message with eight OBX becomes one
envelope with eight observations, so that a patient is scored once a message and never on half of one.
"""

from __future__ import annotations

import msgspec

from events.clinical import ClinicalEvent
from events.control import ControlEvent
from events.times import Millis

Event = ClinicalEvent | ControlEvent


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One record of the log.

    `envelope_id` is derived from the source message's content, never from an offset, so a message that arrives twice is
    the same record. `patient` is the resolved patient key; it is empty for control events that concern everybody.
    """

    envelope_id: str
    patient: str
    event_time: Millis
    received_time: Millis
    events: tuple[Event, ...]
    feed: str = ""
    """The sender (MSH-3/MSH-4, or the FHIR server), by its configured name."""
    message_id: str = ""
    """MSH-10, or the FHIR resource's type and id."""
    position: str = ""
    """Where it stood in its source, for people (`file.hl7#12`); enters no id and no digest."""
    encounter: str = ""
    """The encounter's pseudonymous key, or empty."""
    named: tuple[str, ...] = ()
    """The patient keys that led to `patient` through merges, from the one that the sender's identifiers had at first;
    empty where that is `patient`. By it an unmerge can tell whose readings were whose."""
    hops: int = 0
    """How often it was passed on from a retired key to the one that took over."""
