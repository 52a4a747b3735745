"""The [parse] step: decoded messages to envelopes, duplicates and dead letters, and the accounting of the three.

Owns de-duplication by content, identity resolution and the derivation of envelope ids. Must not know bytes, files or
sockets, nor how anything is stored. Pure: the same messages in the same order give the same envelopes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Protocol

import msgspec

from connectors.decoded import Decoded, Identifier, Refusal, RefusalReason
from connectors.fhir.grouping import drop_parts
from events import Cancellation, Envelope, Event, Handover, Merge, Millis, Retirement, Unmerge, content_id, uuid_text
from stream.identity import IdentityMap

RECENT_MESSAGES_MAX = 1_000_000
"""How many messages back a duplicate is recognised where no journal remembers all: a large hospital's day."""


IDENTIFIERS_MAX = 100
"""Of one message: a patient of many mergers has some tens. Each stays in memory."""


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that could not be used: why, where the fault is, where the bytes are."""

    reason: RefusalReason
    fault: str
    detail: str
    position: str
    received_time: Millis
    message_id: str = ""
    feed: str = ""


class Duplicate(msgspec.Struct, frozen=True):
    """A message whose content was accepted before."""

    message_id: str
    position: str


Parsed = Envelope | Duplicate | DeadLetter


class SeenMessages(Protocol):
    """Remembers which content was accepted."""

    def add(self, content_hash: bytes) -> bool:
        """Remember a content hash; say whether it is new."""
        ...


class RecentMessages:
    """Remembers the last `limit` accepted messages in memory.

    >>> seen = RecentMessages()
    >>> seen.add(b"a"), seen.add(b"a")
    (True, False)
    """

    __slots__ = ("_limit", "_seen")

    def __init__(self, limit: int = RECENT_MESSAGES_MAX) -> None:
        self._limit = limit
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def add(self, content_hash: bytes) -> bool:
        """Remember a content hash; say whether it is new."""
        if content_hash in self._seen:
            return False
        self._seen[content_hash] = None
        if len(self._seen) > self._limit:
            self._seen.popitem(last=False)
        return True


class Parser:
    """Turns decoded messages into records of the log.

    A message with no events for us is accepted too: its envelope has none, and the patient's fold passes it by.
    """

    __slots__ = ("_identity", "_seen")

    def __init__(self, identity: IdentityMap, seen: SeenMessages) -> None:
        self._identity = identity
        self._seen = seen

    def step(self, decoded: Decoded | Refusal, received_time: Millis, position: str) -> tuple[Parsed, int]:
        """Account for one message: an envelope, a duplicate or a dead letter, and nothing else.

        Gives it with the number of its parts that were accepted before: of resources that were joined to one moment,
        the new ones make the envelope.
        """
        if type(decoded) is Refusal:
            return _dead_letter(decoded, received_time, position), 0
        assert type(decoded) is Decoded
        if (fault := unusable(decoded) or self._swapped_with_himself(decoded)) is not None:
            return _dead_letter(fault, received_time, position), 0
        if not decoded.members:
            if not self._seen.add(decoded.content_hash):
                return Duplicate(decoded.message_id, position), decoded.parts
            return self._envelope(decoded, received_time, position), 0
        known = [not self._seen.add(content_hash) for content_hash in decoded.part_hashes]
        fresh = drop_parts(decoded, known)
        if fresh is None:
            return Duplicate(decoded.message_id, position), decoded.parts
        return self._envelope(fresh, received_time, position), sum(known)

    @property
    def conflicts(self) -> int:
        """How many messages named identifiers that disagree on a patient."""
        return self._identity.conflicts

    def take_identities(self) -> list[tuple[str, str, str, Millis]]:
        """Give the identity links made or used anew since the last call, for the journal, with when they were used."""
        used = self._identity.used
        return [(authority, value, key, used(key)) for authority, value, key, _ in self._identity.take_unsaved()]

    def take_former(self) -> list[tuple[str, str, str]]:
        """Give (authority, value, former keys) where an identifier's former keys changed, for the journal."""
        return self._identity.take_former()

    def forget_identities(self, patients: Iterable[str], before: Millis) -> list[tuple[str, str]]:
        """Let go of patients not named since `before`; give their identifiers, for the journal to remove."""
        return self._identity.forget(patients, before)

    def settle(self) -> None:
        """Let what was done to identities stand: the journal has the batch."""
        self._identity.settle()

    def undo(self) -> None:
        """Take back what was done to identities: the journal could not store the batch."""
        self._identity.undo()

    def _envelope(self, decoded: Decoded, received_time: Millis, position: str) -> Envelope:
        identity = self._identity
        if decoded.patient:
            return _said_of_a_key(decoded, identity.survivor(decoded.patient), received_time, position)
        subject = decoded.subject
        events: tuple[Event, ...] = decoded.events
        event_time = decoded.event_time
        if decoded.parted:
            patient, events = self._parted(decoded, received_time)
        elif decoded.aliases:
            patient, events = self._renumbered(decoded, received_time)
        else:
            patient = identity.resolve(subject) if subject else ""
        if patient:
            identity.touch(patient, received_time)
        if joined := identity.take_joined():
            at = received_time if event_time is None else event_time
            events = (*(Merge(at, key, provisional=True) for key in joined), *events)
        if decoded.retired:
            events = self._with_retired_key(decoded, events, patient)
        return Envelope(
            uuid_text(decoded.content_hash),
            patient,
            received_time if event_time is None else event_time,
            received_time,
            events,
            decoded.feed,
            decoded.message_id,
            position,
            identity.encounter(patient, decoded.encounter) if decoded.encounter else "",
            () if decoded.parted else identity.named(subject, patient),
        )

    def _swapped_with_himself(self, decoded: Decoded) -> Refusal | None:
        """Say that both halves of an A17 are one patient by now, as after a merge: of his two places one is wrong."""
        if decoded.beside is None or decoded.parted:
            return None
        patient = self._identity.meant(decoded.subject)
        if not patient or patient != self._identity.meant(decoded.beside.subject):
            return None
        reason, detail = RefusalReason.INVALID_VALUE, "both numbers are one patient's, who does not swap with himself"
        return Refusal(reason, "PID[2]-3", detail, decoded.message_id, decoded.feed, decoded.sent_time)

    def _parted(self, decoded: Decoded, received_time: Millis) -> tuple[str, tuple[Event, ...]]:
        """Part two people; give the key they shared and the message's events, with the unmerge where there was one.

        From whom a visit is moved is told of it only under a key of his own: where the other one kept the shared key,
        or nothing tells the two apart, it would be taken from the very patient whose it is.
        """
        identity = self._identity
        parted = identity.unmerge(decoded.subject, decoded.parted)
        taken_from = identity.find(decoded.subject) if parted is None else parted[0]
        is_his = bool(taken_from) and taken_from == identity.find(decoded.parted)
        said = tuple(event for event in decoded.events if not (is_his and type(event) is Cancellation))
        if parted is None:
            told = tuple(event for event in said if type(event) is not Unmerge)
            return identity.resolve(decoded.subject) if told else identity.find(decoded.subject), told
        patient, restored = parted
        identity.touch(restored, received_time)
        return patient, tuple(
            msgspec.structs.replace(event, restored=restored) if type(event) is Unmerge else event for event in said
        )

    def _renumbered(self, decoded: Decoded, received_time: Millis) -> tuple[str, tuple[Event, ...]]:
        """Have a patient known by another number too; where that was somebody's by now, the two are merged."""
        patient, retired = self._identity.renumber(decoded.subject, decoded.aliases)
        at = received_time if decoded.event_time is None else decoded.event_time
        return patient, (*(Merge(at, key) for key in retired), *decoded.events)

    def _with_retired_key(self, decoded: Decoded, told: tuple[Event, ...], survivor: str) -> tuple[Event, ...]:
        """Put a merge event for each retired patient in the place of the message's, and move their identifiers over."""
        retired_keys = self._identity.merge(survivor, decoded.retired)
        events: list[Event] = []
        for event in told:
            if type(event) is Merge and not event.retired:
                events.extend(msgspec.structs.replace(event, retired=key) for key in retired_keys)
            else:
                events.append(event)
        return tuple(events)


def spread(envelope: Envelope) -> list[Envelope]:
    """Give the records of a partitioned log that an envelope comes to: itself, and what it says to other keys.

    Of a log in one piece it is the only one. All of them are to be written, whether or not two keys lie in one
    partition today: what is late for a retired key then still finds the survivor.

    >>> [told.patient for told in spread(Envelope("e", "s", 0, 0, (Merge(0, "r"),)))]
    ['s', 'r']
    """
    events = envelope.events
    if not any(type(event) is Merge or type(event) is Unmerge for event in events):
        return [envelope]
    apart = tuple(
        msgspec.structs.replace(event, apart=True) if type(event) is Unmerge else event for event in envelope.events
    )
    whole = msgspec.structs.replace(envelope, events=apart)
    return [whole, *retirements(envelope), *restorations(envelope)]


def retirements(envelope: Envelope) -> list[Envelope]:
    """Tell each patient whom an envelope merges into its own that he is retired."""
    return [
        _told(envelope, "retirement", event.retired, Retirement(event.event_time, envelope.patient, event.provisional))
        for event in envelope.events
        if type(event) is Merge
    ]


def restorations(envelope: Envelope) -> list[Envelope]:
    """Tell each patient whom an envelope parts from its own that he is one again; his record follows by the fold."""
    return [
        _told(envelope, "restoration", event.restored, Handover(event.event_time, event.restored, home=True))
        for event in envelope.events
        if type(event) is Unmerge
    ]


def _told(envelope: Envelope, word: str, patient: str, event: Event) -> Envelope:
    return Envelope(
        content_id(word, envelope.envelope_id, patient),
        patient,
        envelope.event_time,
        envelope.received_time,
        (event,),
        envelope.feed,
        envelope.message_id,
        envelope.position,
    )


def _said_of_a_key(decoded: Decoded, patient: str, received_time: Millis, position: str) -> Envelope:
    """Give the envelope of a message that names the patient key itself: nobody is to be resolved, nor made known."""
    at = received_time if decoded.event_time is None else decoded.event_time
    name = uuid_text(decoded.content_hash)
    return Envelope(name, patient, at, received_time, decoded.events, decoded.feed, decoded.message_id, position)


def apart(decoded: Decoded | Refusal, position: str) -> list[tuple[Decoded | Refusal, str]]:
    """Part a message into what it says of each patient, each with its place: two of an A17, else one.

    What cannot be used of one is not used of the other: the message is one, and its sender is given one answer.

    >>> decoded = Decoded("f", "1", b"1", 0, 0, (), ())
    >>> [place for _, place in apart(msgspec.structs.replace(decoded, beside=decoded), "f.hl7#3")]
    ['f.hl7#3', 'f.hl7#3#2']
    """
    if not isinstance(decoded, Decoded) or decoded.beside is None or unusable(decoded) is not None:
        return [(decoded, position)]
    return [(decoded, position), (decoded.beside, f"{position}#2")]


def identifiers_of(decoded: Decoded) -> tuple[Identifier, ...]:
    """Give every identifier of a message, but those of what stands beside it."""
    if decoded.retired or decoded.parted or decoded.aliases:
        return (*decoded.subject, *decoded.retired, *decoded.parted, *decoded.aliases)
    return decoded.subject


def unusable(decoded: Decoded) -> Refusal | None:
    """Say what keeps a message that could be read from being used, or None: no patient, or too many identifiers."""
    if decoded.beside is not None and (fault := unusable(decoded.beside)) is not None:
        return fault
    if decoded.events and not decoded.subject and not decoded.patient:
        reason, detail = RefusalReason.MISSING_IDENTIFIER, "the message names no patient"
    elif len(identifiers_of(decoded)) > IDENTIFIERS_MAX:
        reason, detail = RefusalReason.INVALID_VALUE, f"more than {IDENTIFIERS_MAX} identifiers"
    else:
        return None
    return Refusal(reason, "subject", detail, decoded.message_id, decoded.feed)


def _dead_letter(refusal: Refusal, received_time: Millis, position: str) -> DeadLetter:
    return DeadLetter(
        refusal.reason,
        refusal.position,
        refusal.detail,
        position,
        received_time,
        refusal.message_id,
        refusal.feed,
    )
