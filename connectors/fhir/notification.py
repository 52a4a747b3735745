"""What a subscription notification says of itself: which topic, of what type, and which numbers its events have.

Owns the reading of a notification's status, in its three spellings: `Parameters` (R4 by the Subscriptions Backport
guide), `SubscriptionStatus` of R4B and of R5. Must not know what follows from it: a gap in the numbers is the client's
to find and to fill. The resources beside the status are the codec's, as those of any Bundle.

Sources: http://hl7.org/fhir/uv/subscriptions-backport/notifications.html,
https://hl7.org/fhir/R4B/subscriptionstatus.html, https://hl7.org/fhir/R5/subscriptionstatus.html. A number is an
integer64, which JSON writes as a text; R4 has no such type, and its Parameters carry a text too. Plain numbers are read
as well, for servers send them.
"""
# ruff: noqa: N815 - fields are spelt as FHIR spells them

from __future__ import annotations

from typing import Literal, get_args

import msgspec
from msgspec import UNSET, Raw, UnsetType

from connectors.fhir import wire
from connectors.fhir.parse import UNDECODABLE

NotificationType = Literal["handshake", "heartbeat", "event-notification", "query-status", "query-event"]
TYPES: frozenset[str] = frozenset(get_args(NotificationType))
"""http://hl7.org/fhir/subscription-notification-type."""
NUMBER_DIGITS_MAX = 19
"""An integer64 has as many."""
NOTIFICATION_EVENTS_MAX = 100_000
"""As many as a Bundle may have entries; what is beyond is not listed."""

Number = int | str


class NotificationEvent(msgspec.Struct, frozen=True):
    """One event of a notification: its number from the subscription's start, and the resource it is about."""

    number: int | None
    """None where the server gave none, or none that is a number."""
    focus: str = ""
    """A reference as sent: `Encounter/1` or an absolute URL; empty in an `empty` notification."""


class Notification(msgspec.Struct, frozen=True):
    """The status that a notification begins with."""

    type: NotificationType
    subscription: str = ""
    """The Subscription's reference, as sent."""
    topic: str = ""
    """The canonical URL of its topic."""
    status: str = ""
    """Of the Subscription: `active`, `error`, `off`, ..."""
    events_since_start: int | None = None
    """How many events there were, this notification's included; the next event's number is one more."""
    events: tuple[NotificationEvent, ...] = ()


class _Part(msgspec.Struct, frozen=True):
    name: str | None = None
    valueString: Number | None = None
    valueUnsignedInt: Number | None = None
    valuePositiveInt: Number | None = None
    valueInteger: Number | None = None
    valueInteger64: Number | None = None
    valueDecimal: Number | None = None
    valueCode: str | None = None
    valueCanonical: str | None = None
    valueUri: str | None = None
    valueReference: wire.Reference | None = None
    part: list[_Part] | None = None


class _Parameters(msgspec.Struct, frozen=True, tag_field="resourceType", tag="Parameters"):
    parameter: list[_Part] | None = None


class _Event(msgspec.Struct, frozen=True):
    eventNumber: Number | None = None
    focus: wire.Reference | None = None


class _Status(msgspec.Struct, frozen=True, tag_field="resourceType", tag="SubscriptionStatus"):
    status: str | None = None
    type: str | None = None
    eventsSinceSubscriptionStart: Number | None = None
    notificationEvent: list[_Event] | None = None
    subscription: wire.Reference | None = None
    topic: str | None = None


class _Entry(msgspec.Struct, frozen=True):
    resource: Raw | UnsetType = UNSET


class _Bundle(msgspec.Struct, frozen=True, tag_field="resourceType", tag="Bundle"):
    entry: list[Raw] | None = None


_decode = msgspec.json.Decoder(_Bundle | _Parameters | _Status).decode
_decode_entry = msgspec.json.Decoder(_Entry).decode


def read_notification(data: bytes) -> Notification | None:
    """Read a notification Bundle's status, or a status by itself; None where it is no notification. Never raises.

    >>> found = read_notification(b'{"resourceType":"Bundle","type":"subscription-notification","entry":[{"resource":'
    ...     b'{"resourceType":"SubscriptionStatus","type":"event-notification","topic":"http://t","status":"active",'
    ...     b'"eventsSinceSubscriptionStart":"310","notificationEvent":[{"eventNumber":"310",'
    ...     b'"focus":{"reference":"Encounter/1"}}]}}]}')
    >>> found.type, found.topic, found.events_since_start, found.events
    ('event-notification', 'http://t', 310, (NotificationEvent(number=310, focus='Encounter/1'),))
    >>> read_notification(b'{"resourceType":"Bundle","type":"history","entry":[]}') is None
    True
    """
    try:
        found = _decode(data)
        if isinstance(found, _Bundle):
            raw = _decode_entry(found.entry[0]).resource if found.entry else UNSET
            if isinstance(raw, UnsetType):
                return None
            found = _decode(raw)
    except UNDECODABLE:
        return None
    if isinstance(found, _Status):
        return _from_status(found)
    return _from_parameters(found) if isinstance(found, _Parameters) else None


def _from_status(found: _Status) -> Notification | None:
    kind = _type(found.type)
    if kind is None:
        return None
    events = [
        NotificationEvent(_number(one.eventNumber), _reference(one.focus))
        for one in (found.notificationEvent or ())[:NOTIFICATION_EVENTS_MAX]
    ]
    return Notification(
        kind,
        _reference(found.subscription),
        found.topic or "",
        found.status or "",
        _number(found.eventsSinceSubscriptionStart),
        tuple(events),
    )


def _from_parameters(found: _Parameters) -> Notification | None:
    named = {one.name: one for one in found.parameter or () if one.name}
    kind = _type(_text(named.get("type")))
    if kind is None or "subscription" not in named:
        return None
    listed = [one for one in found.parameter or () if one.name == "notification-event"][:NOTIFICATION_EVENTS_MAX]
    events: list[NotificationEvent] = []
    for one in listed:
        parts = {part.name: part for part in one.part or () if part.name}
        events.append(NotificationEvent(_value(parts.get("event-number")), _text(parts.get("focus"))))
    return Notification(
        kind,
        _text(named.get("subscription")),
        _text(named.get("topic")),
        _text(named.get("status")),
        _value(named.get("events-since-subscription-start")),
        tuple(events),
    )


def _type(text: str | None) -> NotificationType | None:
    return text if text in TYPES else None  # type: ignore[return-value] # TYPES are its words


def _text(part: _Part | None) -> str:
    if part is None:
        return ""
    if part.valueReference is not None:
        return _reference(part.valueReference)
    stated = part.valueCode or part.valueCanonical or part.valueUri or part.valueString
    return str(stated) if stated is not None else ""


def _value(part: _Part | None) -> int | None:
    if part is None:
        return None
    stated = (
        part.valueString,
        part.valueInteger64,
        part.valueUnsignedInt,
        part.valuePositiveInt,
        part.valueInteger,
        part.valueDecimal,
    )
    return _number(next((one for one in stated if one is not None), None))


def _number(stated: Number | None) -> int | None:
    text = str(stated) if stated is not None else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= NUMBER_DIGITS_MAX else None


def _reference(reference: wire.Reference | None) -> str:
    return (reference.reference if reference is not None else None) or ""
