"""An act's bytes to what it says, and what it says with its actor to an event of the log.

Owns the decoding, the bounds that a shape alone cannot state, and the event each kind becomes. Must not know who may
act, nor how the bytes came. Pure: bad input is a refusal with its reason and place, never an exception, and quotes
nothing of what was sent.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Literal, NamedTuple

import msgspec

from alerts.limits import LIMIT_MS_MAX
from connectors.acts.documents import (
    Acknowledge,
    AcknowledgementRecord,
    ActKind,
    Agree,
    DecideReview,
    Disagree,
    Dismiss,
    Document,
    SetLimit,
    WithdrawLimit,
)
from connectors.decoded import Decoded, Refusal, RefusalReason
from connectors.fhir.grouping import CONTENT_HASH_BYTES
from events import Event, Millis, from_iso
from events.control import Acknowledgement, Feedback, Limit, LimitKind, Review
from events.identifiers import join_parts
from events.times import INSTANT_MAX, INSTANT_MIN, MILLIS_PER_HOUR

ACT_BYTES_MAX = 4 * 1024
"""An act is some 300 bytes."""

WITH_THRESHOLDS: tuple[LimitKind, ...] = ("thresholds", "end_of_life")
"""At the end of life a ward may still want to be told from some total on."""
_PATH = re.compile(r"`\$(\.[a-z_]{1,16})*`")
"""Of our own fields: an unknown one's name is quoted too, and may say anything."""


class Act(NamedTuple):
    """An act that could be read."""

    kind: ActKind
    document: Document | AcknowledgementRecord
    at: Millis
    """When it was decided."""
    expires_at: Millis = 0
    """Of a limit."""

    @property
    def plain(self) -> bool:
        """Whether it is the acknowledgement of earlier releases, which has no id of its own."""
        return type(self.document) is AcknowledgementRecord


def read_act(data: bytes, feed: str = "") -> Act | Refusal:
    """Read an act; `feed` is named in a refusal.

    >>> said = {"kind": "agree", "act_id": "0123456789abcdef", "patient": "0" * 32, "alert_id": "a", "at": "1970-01-01"}
    >>> read_act(msgspec.json.encode(said)).position
    '$.at'
    >>> read_act(msgspec.json.encode(said | {"at": "1970-01-01T00:00:00Z"})).kind
    'agree'
    """
    if len(data) > ACT_BYTES_MAX:
        return Refusal(RefusalReason.OVERSIZED, "$", f"more than {ACT_BYTES_MAX} bytes", feed=feed)
    try:
        kind = _kinds.decode(data).kind
        document = (_plain if kind is None else _documents).decode(data)
        return _checked(document, feed)
    except msgspec.ValidationError as error:
        # msgspec quotes what it found before the path: only the path is ours to repeat.
        _, told, path = str(error).rpartition(" - at ")
        position = path.strip("`") if told and _PATH.fullmatch(path) else "$"
        return Refusal(RefusalReason.INVALID_VALUE, position, "not as the schema says", feed=feed)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Refusal(RefusalReason.GARBAGE, "$", "no JSON", feed=feed)


def decoded_act(act: Act, actor: str) -> Decoded:
    """Give the message that an act comes to; `actor` is who authenticated.

    It is of no feed: whether somebody acts says nothing of whether a sender is well.

    >>> [event] = decoded_act(Act("agree", Agree("0" * 16, "0" * 32, "", "a"), 0), "nurse").events
    >>> event.verdict, event.actor
    ('agree', 'nurse')
    """
    document = act.document
    if type(document) is AcknowledgementRecord:
        name = document.alert_id
        # As in earlier releases: what was taken then is a duplicate now.
        content = join_parts(("acknowledgement", document.patient, name, str(act.at), actor))
    else:
        name = document.act_id  # type: ignore[union-attr]
        # All that it says, and not its id alone: another act under an id that is taken must not be lost as a repeat.
        # Only not when: who got no answer tries again, and may stamp it anew.
        content = join_parts(("act", name, _encode(msgspec.structs.replace(document, at="")).decode()))
    return Decoded(
        "",
        name,
        blake2b(content, digest_size=CONTENT_HASH_BYTES).digest(),
        act.at,
        act.at,
        (),
        (_event(act, actor),),
        kind=act.kind,
        patient=document.patient,
    )


class _Kind(msgspec.Struct, frozen=True):
    """What tells an act from a plain acknowledgement."""

    kind: str | None = None


def _checked(document: Document | AcknowledgementRecord, feed: str) -> Act | Refusal:
    """Read the times of a document, and say what is wrong beyond the shape of its fields."""
    at = _instant(document.at, "$.at", feed)
    if type(at) is Refusal:
        return at
    assert type(at) is int
    if type(document) is not SetLimit:
        return Act(_KIND_OF[type(document)], document, at)
    expires_at = _instant(document.expires_at, "$.expires_at", feed)
    if type(expires_at) is Refusal:
        return expires_at
    assert type(expires_at) is int
    fault = _limit_fault(document, at, expires_at)
    if fault is not None:
        return Refusal(RefusalReason.INVALID_VALUE, *fault, document.act_id, feed)
    return Act("limit", document, at, expires_at)


def _instant(text: str, position: str, feed: str) -> Millis | Refusal:
    try:
        instant = from_iso(text)
    except (ValueError, OverflowError):
        return Refusal(RefusalReason.INVALID_TIME, position, "no instant with its zone", feed=feed)
    if not INSTANT_MIN <= instant <= INSTANT_MAX:
        return Refusal(RefusalReason.INVALID_TIME, position, "a year never meant", feed=feed)
    return instant


def _limit_fault(document: SetLimit, at: Millis, expires_at: Millis) -> tuple[str, str] | None:
    """Give the place and the words of what contradicts itself in a limit, or None."""
    thresholds = document.thresholds
    if document.limit == "thresholds" and thresholds is None:
        return "$.thresholds", "missing, and the limit is of these"
    if thresholds is not None and document.limit not in WITH_THRESHOLDS:
        return "$.thresholds", f"only with {' and '.join(WITH_THRESHOLDS)}"
    if thresholds is not None and thresholds.interrupt_at < thresholds.notify_at:
        return "$.thresholds.interrupt_at", "below notify_at"
    if expires_at <= at:
        return "$.expires_at", "not after the act itself"
    if expires_at - at > LIMIT_MS_MAX:
        return "$.expires_at", f"more than {LIMIT_MS_MAX // MILLIS_PER_HOUR // 24} days on"
    return None


def _event(act: Act, actor: str) -> Event:
    """Give the event of an act."""
    document = act.document
    at = act.at
    match document:
        case AcknowledgementRecord() | Acknowledge():
            return Acknowledgement(at, document.alert_id, actor)
        case Dismiss() | Disagree() | Agree():
            return Feedback(at, document.alert_id, _VERDICTS[type(document)], document.reason or "", actor)
        case DecideReview():
            return Review(at, document.score_id, document.decision, actor, document.reason or "")
        case WithdrawLimit():
            return Limit(at, document.limit_id, document.limit, at, actor, document.reason or "", withdrawn=True)
        case SetLimit():
            return _limit(document, act, actor)


def _limit(document: SetLimit, act: Act, actor: str) -> Limit:
    limit = Limit(act.at, document.limit_id, document.limit, act.expires_at, actor, document.reason)
    thresholds = document.thresholds
    if thresholds is None:
        return limit
    return msgspec.structs.replace(
        limit,
        notify_at=thresholds.notify_at,
        interrupt_at=thresholds.interrupt_at,
        tell_red=thresholds.tell_red,
    )


_VERDICTS: dict[type, Literal["agree", "disagree", "dismissed"]] = {
    Agree: "agree",
    Disagree: "disagree",
    Dismiss: "dismissed",
}
_KIND_OF: dict[type, ActKind] = {
    AcknowledgementRecord: "acknowledge",
    Acknowledge: "acknowledge",
    Dismiss: "dismiss",
    Disagree: "disagree",
    Agree: "agree",
    DecideReview: "review",
    WithdrawLimit: "withdraw_limit",
}
_encode = msgspec.json.Encoder(order="deterministic").encode
_kinds = msgspec.json.Decoder(_Kind)
_plain = msgspec.json.Decoder(AcknowledgementRecord)
_documents: msgspec.json.Decoder[Document] = msgspec.json.Decoder(Document)
