"""Observations that belong to one moment: joined, so that a patient is scored once a moment and never on half of one.

Owns which resources belong together: adjacent Observations of one feed, patient, encounter and sent time, as a Bundle
or a bulk export holds them. Must not know where they came from. HL7 says the same in one ORU; see docs/decisions/0004.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from connectors.decoded import Decoded, Refusal
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

    `parts` of the result counts the resources, for the accounting; `members` holds them, so that those which came
    before can be taken out again (`drop_parts`). What was joined already may be joined again, to the same result.

    >>> one = Decoded("f", "Observation/1", b"1", 5, 5, (), (), kind="Observation")
    >>> combine([one, one]).parts, combine([combine([one, one]), one]) == combine([one, one, one])
    (2, True)
    """
    members = tuple(member for part in parts for member in part.members or (part,))
    first = members[0]
    if len(members) == 1:
        return first
    content = blake2b(b"".join([member.content_hash for member in members]), digest_size=CONTENT_HASH_BYTES).digest()
    times = [member.event_time for member in members if member.event_time is not None]
    return msgspec.structs.replace(
        first,
        content_hash=content,
        event_time=max(times, default=None),
        events=tuple(_named(event, member.message_id) for member in members for event in member.events),
        parts=len(members),
        members=members,
        notes=tuple(note for member in members for note in member.notes),
    )


def drop_parts(decoded: Decoded, drop: Sequence[bool]) -> Decoded | None:
    """Take out the parts for which `drop` is true (those accepted before); None where nothing is left.

    `drop` has an entry for each part, also of a single message. What is left is as if the others had never come: one
    part left is that message alone, with its own hash.

    >>> one = Decoded("f", "Observation/1", b"1", 5, 5, (), (), kind="Observation")
    >>> drop_parts(combine([one, one]), [False, True]) == one, drop_parts(one, [True]) is None
    (True, True)
    """
    members = decoded.members or (decoded,)
    kept = [member for member, dropped in zip(members, drop, strict=True) if not dropped]
    if len(kept) == len(members):
        return decoded
    return combine(kept) if kept else None


def _named(event: Event, resource: str) -> Event:
    if type(event) is Observation:
        return msgspec.structs.replace(event, resource=resource)
    if type(event) is Correction:
        return msgspec.structs.replace(event, observation=msgspec.structs.replace(event.observation, resource=resource))
    return event
