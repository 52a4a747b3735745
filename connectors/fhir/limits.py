"""Flag, ServiceRequest and Condition, where a site has said which of their codes mean a limit or a pregnancy.

Owns which of these resources count, and what they come to. Must not know what a limit changes. A site that names no
code reads none of them: they are understood, and hold nothing for us.

**What may be said this way** (docs/decisions/0043). A Flag or ServiceRequest may set `scale_2` and
`not_for_escalation`, none of which silences the floor; what does (`end_of_life`, `thresholds`, `pregnancy` as a limit)
is an act, by somebody who has the right and proves who he is. A Condition sets no limit: a diagnosis is no decision. It
may say a pregnancy, as PV1-15 does in HL7 v2, for a week at the most (docs/decisions/0026).

**Who.** A limit counts only where its author (Flag.author, ServiceRequest.requester) is one whom the site has named;
another's is refused, so that nobody believes it in force. Anybody's word ends one: that tells more, never less. So does
a Flag that no longer has the code.

**How long.** To Flag.period.end or ServiceRequest.occurrencePeriod.end, 90 days ahead at the most; without an end a
week from when this version was stored. A newer version replaces an older one, in whatever order they come.
"""
# ruff: noqa: N815 - fields are spelt as FHIR spells them

from __future__ import annotations

from hashlib import blake2b
from typing import Literal

import msgspec

from alerts.limits import LIMIT_MS_MAX
from connectors.decoded import Decoded, Identifier, Refusal, RefusalReason
from connectors.fhir import wire
from connectors.fhir.faults import Fault
from connectors.fhir.message import Piece, message_id
from connectors.fhir.parse import UNDECODABLE, refuse_undecodable
from connectors.fhir.references import base_of, codings_in, foreign_base, id_of, subject_of
from connectors.fhir.times import read_time
from events import MILLIS_PER_HOUR, Demographics, Event, Limit, LimitKind, Millis

WITHOUT_END_MS = 7 * 24 * MILLIS_PER_HOUR
"""As a feed's word on a pregnancy: a decision that nobody repeats within a week is looked at again."""
FIRST_VERSION = "1"
"""What servers that count versions begin with: there was none before it."""
ACTOR_HEX_DIGITS = 12
"""Of an author's hash: an actor is a pseudonym, and a reference to a Practitioner names one."""
PREGNANCY_MS_MAX = 45 * 7 * 24 * MILLIS_PER_HOUR
"""No pregnancy lasts longer. Problem lists are seldom cleared: one of years ago, stored anew, would silence us."""
KINDS = ("Flag", "ServiceRequest", "Condition")

_ORDERS = frozenset({"order", "original-order", "reflex-order", "filler-order", "instance-order", "directive"})
_CLINICALLY_ACTIVE = frozenset({"active", "recurrence", "relapse"})
_NOT = "!"
"""Before a code of a ServiceRequest: it is one not to be done (`doNotPerform`)."""


class Flag(msgspec.Struct, frozen=True, tag_field="resourceType", tag="Flag"):
    """https://hl7.org/fhir/R4/flag.html; R5 spells it alike."""

    id: str | None = None
    meta: wire.Meta | None = None
    status: Literal["active", "inactive", "entered-in-error"] | None = None
    code: wire.CodeableConcept | None = None
    subject: wire.Reference | None = None
    encounter: wire.Reference | None = None
    period: wire.Period | None = None
    author: wire.Reference | None = None


class Concept(wire.CodeableConcept, frozen=True):
    """A CodeableConcept of R4, or R5's CodeableReference with one inside."""

    concept: wire.CodeableConcept | None = None


class ServiceRequest(msgspec.Struct, frozen=True, tag_field="resourceType", tag="ServiceRequest"):
    """https://hl7.org/fhir/R4/servicerequest.html, https://hl7.org/fhir/R5/servicerequest.html."""

    id: str | None = None
    meta: wire.Meta | None = None
    status: Literal["draft", "active", "on-hold", "revoked", "completed", "entered-in-error", "unknown"] | None = None
    intent: str | None = None
    doNotPerform: bool | None = None
    code: Concept | None = None
    subject: wire.Reference | None = None
    encounter: wire.Reference | None = None
    occurrencePeriod: wire.Period | None = None
    requester: wire.Reference | None = None


class Condition(msgspec.Struct, frozen=True, tag_field="resourceType", tag="Condition"):
    """https://hl7.org/fhir/R4/condition.html; R5 spells what is read alike."""

    id: str | None = None
    meta: wire.Meta | None = None
    clinicalStatus: wire.CodeableConcept | None = None
    verificationStatus: wire.CodeableConcept | None = None
    code: wire.CodeableConcept | None = None
    subject: wire.Reference | None = None
    encounter: wire.Reference | None = None
    onsetDateTime: str | None = None
    abatementDateTime: str | None = None
    recordedDate: str | None = None


Read = Flag | ServiceRequest | Condition
_decode = msgspec.json.Decoder(Read).decode


def read_decision(piece: Piece, position: str) -> Decoded | Refusal | None:
    """Read one of `KINDS`; None where the site has not chosen its code. Raises `Fault`."""
    settings = piece.around.settings
    if not settings.limits and not settings.pregnancy_conditions:
        return None
    try:
        found = _decode(piece.data)
    except UNDECODABLE as error:
        refused = refuse_undecodable(error, piece.data, position)
        return msgspec.structs.replace(refused, feed=settings.server)
    if isinstance(found, Condition):
        return _pregnancy(found, piece)
    kind = _kind(found, piece)
    return _recoded(found, piece) if kind is None else _limit(found, kind, piece)


def _kind(found: Flag | ServiceRequest, piece: Piece) -> LimitKind | None:
    mark, code = "", found.code
    if isinstance(found, ServiceRequest):
        mark = _NOT if found.doNotPerform else ""
        code = found.code.concept or found.code if found.code is not None else None
    chosen = piece.around.settings.limits
    return next((chosen[mark + one] for one in _codes(code) if mark + one in chosen), None)


def _limit(found: Flag | ServiceRequest, kind: LimitKind, piece: Piece) -> Decoded | None:
    notes: list[str] = []
    server = piece.around.settings.server
    if found.status is None:
        raise Fault(RefusalReason.MISSING_FIELD, ".status", "it does not say whether it is in force")
    if not found.id:
        raise Fault(RefusalReason.MISSING_FIELD, ".id", "a limit needs a name by which it can be ended")
    if isinstance(found, ServiceRequest) and (found.intent not in _ORDERS or found.status == "draft"):
        return None
    subject = subject_of(found.subject, piece.around, ".subject")
    sent = _stored_at(found.meta, piece, notes)
    if isinstance(found, Flag):
        author, author_path, period, period_path = found.author, ".author", found.period, ".period"
    else:
        author, author_path = found.requester, ".requester"
        period, period_path = found.occurrencePeriod, ".occurrencePeriod"
    begins, ends = _times(period, piece, period_path, notes)
    withdrawn = found.status != "active" or (ends is not None and ends <= sent)
    until = sent if withdrawn else sent + WITHOUT_END_MS if ends is None else ends
    if not withdrawn:
        if begins is not None and begins > sent:
            raise Fault(RefusalReason.INVALID_TIME, f"{period_path}.start", "not yet in force: send it when it is")
        if until - sent > LIMIT_MS_MAX:
            raise Fault(RefusalReason.INVALID_TIME, f"{period_path}.end", "more than 90 days ahead")
        _check_author(author, piece, author_path)
    limit_id = f"fhir/{server}/{piece.kind}/{found.id}"
    limit = Limit(sent, limit_id, kind, until, _actor(author, piece), "", withdrawn=withdrawn)
    return _decoded(found, piece, subject, sent, limit, notes)


def _recoded(found: Flag | ServiceRequest, piece: Piece) -> Decoded | None:
    """End what an earlier version of a Flag may have set, by a code that it no longer has. An order's never changes."""
    meta, settings = found.meta, piece.around.settings
    if not isinstance(found, Flag) or not settings.limits or not found.id:
        return None
    if meta is None or meta.lastUpdated is None or meta.versionId in (None, FIRST_VERSION):
        return None
    notes = ["flag_not_chosen"]
    try:
        subject, sent = subject_of(found.subject, piece.around, ".subject"), piece.sent(meta, notes)
    except Fault:  # of a ward, of a clinician: no patient's, and never was
        return None
    assert sent is not None, "it was stored at a time"
    limit_id, actor = f"fhir/{settings.server}/{piece.kind}/{found.id}", _actor(found.author, piece)
    ended = Limit(sent, limit_id, "scale_2", sent, actor, "", withdrawn=True)
    return _decoded(found, piece, subject, sent, ended, notes)


def _pregnancy(found: Condition, piece: Piece) -> Decoded | None:
    if not set(_codes(found.code)) & set(piece.around.settings.pregnancy_conditions):
        return None
    notes: list[str] = []
    subject = subject_of(found.subject, piece.around, ".subject")
    sent = _stored_at(found.meta, piece, notes)
    confirmed = "confirmed" in _words(found.verificationStatus)
    holds = confirmed and not _CLINICALLY_ACTIVE.isdisjoint(_words(found.clinicalStatus))
    if holds:
        for text, path in ((found.onsetDateTime, ".onsetDateTime"), (found.recordedDate, ".recordedDate")):
            if text and sent - read_time(text, piece.around.settings, path, notes) > PREGNANCY_MS_MAX:
                raise Fault(RefusalReason.INVALID_TIME, path, "more than 45 weeks ago: no pregnancy lasts so long")
        over = found.abatementDateTime
        holds = not over or read_time(over, piece.around.settings, ".abatementDateTime", notes) > sent
    return _decoded(found, piece, subject, sent, Demographics(sent, pregnant=holds), notes)


def _decoded(
    found: Read, piece: Piece, subject: tuple[Identifier, ...], sent: Millis, event: Event, notes: list[str]
) -> Decoded:
    around = piece.around
    return Decoded(
        feed=around.settings.server,
        message_id=message_id(piece.kind, found.id, found.meta),
        content_hash=piece.hashed(subject),
        sent_time=sent,
        event_time=sent,
        subject=subject,
        events=(event,),
        encounter=id_of(found.encounter, around) if found.encounter is not None else "",
        kind=piece.kind,
        notes=tuple(notes),
    )


def _stored_at(meta: wire.Meta | None, piece: Piece, notes: list[str]) -> Millis:
    """Give when this version was stored. Bundle.timestamp does not stand in: each page read again would renew it."""
    sent = piece.sent(meta, notes) if meta is not None and meta.lastUpdated is not None else None
    if sent is None:
        raise Fault(RefusalReason.MISSING_FIELD, ".meta.lastUpdated", "nothing says when this version was stored")
    return sent


def _times(
    period: wire.Period | None, piece: Piece, path: str, notes: list[str]
) -> tuple[Millis | None, Millis | None]:
    if period is None:
        return None, None
    settings = piece.around.settings
    begins = None if period.start is None else read_time(period.start, settings, f"{path}.start", notes)
    ends = None if period.end is None else read_time(period.end, settings, f"{path}.end", notes)
    return begins, ends


def _check_author(author: wire.Reference | None, piece: Piece, path: str) -> None:
    """Raise `Fault` unless the site has named this author."""
    if author is None:
        raise Fault(RefusalReason.MISSING_FIELD, path, "a limit counts only by somebody's name")
    if not set(_author_names(author, piece)) & set(piece.around.settings.limit_authors):
        raise Fault(RefusalReason.NOT_ENTITLED, path, "not among those who may set limits ([fhir] limit_authors)")


def _author_names(author: wire.Reference, piece: Piece) -> list[str]:
    """Give what an author may be named by: `Practitioner/17` of this server, or `system|value`."""
    names: list[str] = []
    text = (author.reference or "").partition("/_history/")[0]
    base = base_of(text)
    if text and not piece.around.origin and not foreign_base(base, piece.around.settings):
        names.append(text[len(base) :].lstrip("/"))
    if author.identifier is not None and author.identifier.system and author.identifier.value:
        names.append(f"{author.identifier.system}|{author.identifier.value}")
    return names


def _actor(author: wire.Reference | None, piece: Piece) -> str:
    names = [] if author is None else _author_names(author, piece)
    server = piece.around.settings.server
    if not names:
        return f"fhir/{server}"
    return f"fhir/{server}/{blake2b(names[0].encode()).hexdigest()[:ACTOR_HEX_DIGITS]}"


def _codes(concept: wire.CodeableConcept | None) -> list[str]:
    return [f"{coding.system}|{coding.code}" for coding in codings_in(concept) if coding.system and coding.code]


def _words(concept: wire.CodeableConcept | None) -> frozenset[str]:
    return frozenset(coding.code for coding in codings_in(concept) if coding.code)
