"""Observations that belong to one moment: joined, so that a patient is scored once a moment and never on half of one.

Owns which resources belong together: adjacent Observations of one feed, patient, encounter and sent time, as a Bundle
or a bulk export holds them. Must not know where they came from. HL7 says the same in one ORU; see docs/decisions/0004.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from connectors.decoded import EVENTS_PER_MESSAGE_MAX, Decoded, Refusal
from events import Correction, Event, Observation

CONTENT_HASH_BYTES = 16


def belong_together(first: Decoded | Refusal, second: Decoded | Refusal) -> bool:
    """Say whether two adjacent results are of one patient's one moment.

    >>> one = Decoded("f", "Observation/1", b"1", 5, 5, (), (), kind="Observation")
    >>> belong_together(one, one), belong_together(one, msgspec.structs.replace(one, sent_time=6))
    (True, False)
    """
    return (
        type(first) is Decoded
        and type(second) is Decoded
        and first.kind == second.kind == "Observation"
        and first.sent_time is not None
        and first.sent_time == second.sent_time
        and first.subject == second.subject
        and first.encounter == second.encounter
        and first.feed == second.feed
    )


def combine(parts: Sequence[Decoded]) -> Decoded:
    """Make one of results that belong together; each observation keeps the id of the resource it came in.

    `parts` of the result counts the resources, for the accounting.

    >>> one = Decoded("f", "Observation/1", b"1", 5, 5, (), (), kind="Observation")
    >>> combine([one, one]).parts
    2
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    events = tuple(_named(event, part.message_id) for part in parts for event in part.events)
    content = blake2b(b"".join([part.content_hash for part in parts]), digest_size=CONTENT_HASH_BYTES).digest()
    times = [part.event_time for part in parts if part.event_time is not None]
    return msgspec.structs.replace(
        first,
        content_hash=content,
        event_time=max(times, default=None),
        events=events,
        parts=len(parts),
        notes=tuple(note for part in parts for note in part.notes),
    )


def is_full(parts: Sequence[Decoded]) -> bool:
    """Say whether a moment has as many events as one message may.

    >>> is_full([])
    False
    """
    return sum(len(part.events) for part in parts) >= EVENTS_PER_MESSAGE_MAX


def _named(event: Event, resource: str) -> Event:
    if type(event) is Observation:
        return msgspec.structs.replace(event, resource=resource)
    if type(event) is Correction:
        return msgspec.structs.replace(event, observation=msgspec.structs.replace(event.observation, resource=resource))
    return event
