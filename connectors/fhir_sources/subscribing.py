"""The Subscriptions that we want on a server, and what is to be done about those that are there.

Owns the documents, in R4's own style and in the R5 backport's, and the judgement. Must not know a
request, nor a clock.

Sources: https://hl7.org/fhir/R4/subscription.html;
http://hl7.org/fhir/uv/subscriptions-backport/components.html (topic, filter, heartbeat period, payload content).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from connectors.fhir.parse import UNDECODABLE
from connectors.fhir_sources.pages import Found, read_instant, write_instant
from connectors.fhir_sources.settings import FhirServer
from events import MILLIS_PER_SECOND, Millis

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-"
REASON = "Wardstream: deterioration alerts"
PENDING_S = 600.0
"""A subscription that is only requested for longer will not become active by itself."""

TWINS = "there were several of it"
"""The one that is left is made anew: HAPI's stays active and tells nothing once its twin is deleted."""

Step = Literal["keep", "create", "renew", "remake", "remove"]


class Wanted(msgspec.Struct, frozen=True):
    """One subscription that we want."""

    criteria: str
    filters: tuple[str, ...] = ()
    heartbeat_s: int = 0
    content: str = ""


class There(msgspec.Struct, frozen=True):
    """One that is on the server."""

    id: str
    status: str
    criteria: str
    endpoint: str
    headers: tuple[str, ...]
    ends: Millis | None
    changed: Millis | None
    wanted: Wanted
    """What it asks for, in our words."""


class Todo(msgspec.Struct, frozen=True):
    """What is to be done about one; `there` is what it is done to, where there is one."""

    step: Step
    wanted: Wanted | None = None
    there: There | None = None
    why: str = ""
    """In words, where somebody should know."""


def wanted_of(server: FhirServer) -> tuple[Wanted, ...]:
    """Give the subscriptions that a configuration asks for.

    >>> from connectors.fhir_sources.settings import SubscriptionSettings
    >>> hook = SubscriptionSettings("criteria", "https://ward.example/fhir/subscriptions/ehr", "secret")
    >>> [one.criteria for one in wanted_of(FhirServer("https://ehr.example/fhir", ("Flag",), subscription=hook))]
    ['Flag?']
    """
    chosen = server.subscription
    if chosen.style == "criteria":
        return tuple(Wanted(one) for one in chosen.criteria or tuple(f"{kind}?" for kind in server.types))
    if chosen.style == "topic":
        return (Wanted(chosen.topic, chosen.filters, chosen.heartbeat_s, chosen.content),)
    return ()


def document(
    wanted: Wanted, endpoint: str, secret: str, ends: Millis, *, status: str = "requested", identity: str = ""
) -> bytes:
    """Write a Subscription.

    >>> b'"criteria":"Flag?"' in document(Wanted("Flag?"), "https://ward.example", "s", 0)
    True
    """
    channel: dict[str, Any] = {
        "type": "rest-hook",
        "endpoint": endpoint,
        "payload": "application/fhir+json",
        "header": [header_of(secret)],
    }
    resource: dict[str, Any] = {
        "resourceType": "Subscription",
        **({"id": identity} if identity else {}),
        "status": status,
        "reason": REASON,
        "criteria": wanted.criteria,
        "end": write_instant(ends),
        "channel": channel,
    }
    if wanted.content:
        resource["meta"] = {"profile": [f"{BACKPORT}subscription"]}
        channel["extension"] = [{"url": f"{BACKPORT}heartbeat-period", "valueUnsignedInt": wanted.heartbeat_s}]
        channel["_payload"] = {"extension": [{"url": f"{BACKPORT}payload-content", "valueCode": wanted.content}]}
    if wanted.filters:
        marks = [{"url": f"{BACKPORT}filter-criteria", "valueString": one} for one in wanted.filters]
        resource["_criteria"] = {"extension": marks}
    return msgspec.json.encode(resource)


def header_of(secret: str) -> str:
    """Write the header that the server shows us."""
    return f"Authorization: Bearer {secret}"


def read_there(found: Found) -> There | None:
    """Read a Subscription of the server; None for what is none.

    >>> data = document(Wanted("http://t", ("Flag?",), 60, "id-only"), "https://ward.example", "s", 0, identity="1")
    >>> one = read_there(Found("Subscription", "1", "1", 5, data))
    >>> one.wanted, one.ends
    (Wanted(criteria='http://t', filters=('Flag?',), heartbeat_s=60, content='id-only'), 0)
    """
    try:
        one = _decode(found.data)
    except UNDECODABLE:
        return None
    heartbeat = next((x.valueUnsignedInt for x in one.channel.extension if x.url == f"{BACKPORT}heartbeat-period"), 0)
    content = next((x.valueCode for x in one.channel.payload_.extension if x.url == f"{BACKPORT}payload-content"), "")
    filters = tuple(x.valueString for x in one.criteria_.extension if x.url == f"{BACKPORT}filter-criteria")
    return There(
        found.id,
        one.status,
        one.criteria,
        one.channel.endpoint,
        tuple(one.channel.header),
        read_instant(one.end),
        found.changed,
        Wanted(one.criteria, filters, heartbeat, content),
    )


def judge(
    wanted: Sequence[Wanted], found: Sequence[There], *, endpoint: str, secret: str, lasts_s: float, now: Millis
) -> list[Todo]:
    """Say what is to be done, so that each wanted one is there once, alive, ours, and lasts.

    Nothing is done to a subscription with another endpoint: it is somebody else's.

    >>> [one.step for one in judge((Wanted("Flag?"),), (), endpoint="e", secret="s", lasts_s=600, now=0)]
    ['create']
    """
    ours = [one for one in found if one.endpoint == endpoint]
    todo: list[Todo] = []
    for want in wanted:
        same = [one for one in ours if one.wanted == want]
        well = [one for one in same if _fault(one, secret, now) == ""]
        chosen = max(well or same, key=lambda one: (one.status == "active", one.ends or 0, one.id), default=None)
        todo += [Todo("remove", want, one) for one in same if one is not chosen]
        if chosen is None:
            todo.append(Todo("create", want))
        elif why := _fault(chosen, secret, now) or (TWINS if len(same) > 1 else ""):
            todo.append(Todo("remake", want, chosen, why))
        elif chosen.ends is not None and chosen.ends - now < lasts_s * MILLIS_PER_SECOND / 2:
            todo.append(Todo("renew", want, chosen))
        else:
            todo.append(Todo("keep", want, chosen))
    todo += [Todo("remove", None, one) for one in ours if one.wanted not in wanted]
    return todo


def _fault(one: There, secret: str, now: Millis) -> str:
    """Say why a subscription will tell us nothing; empty where it will."""
    if one.status not in {"requested", "active"}:
        return f"its status is {one.status}" if one.status in {"error", "off"} else "its status is none that we know"
    if one.ends is not None and one.ends <= now:
        return "it has ended"
    if one.headers and header_of(secret) not in one.headers:
        return "it does not know our secret"
    waits = one.status == "requested" and one.changed is not None
    if waits and one.changed is not None and now - one.changed > PENDING_S * MILLIS_PER_SECOND:
        return "the server does not activate it"
    return ""


class _Extension(msgspec.Struct, frozen=True):
    url: str = ""
    valueUnsignedInt: int = 0  # noqa: N815 - FHIR's own name
    valueCode: str = ""  # noqa: N815 - FHIR's own name
    valueString: str = ""  # noqa: N815 - FHIR's own name


class _Extended(msgspec.Struct, frozen=True):
    extension: tuple[_Extension, ...] = ()


class _Channel(msgspec.Struct, frozen=True):
    endpoint: str = ""
    header: tuple[str, ...] = ()
    extension: tuple[_Extension, ...] = ()
    payload_: _Extended = msgspec.field(name="_payload", default=_Extended())


class _Subscription(msgspec.Struct, frozen=True):
    status: str = ""
    criteria: str = ""
    end: str = ""
    channel: _Channel = _Channel()
    criteria_: _Extended = msgspec.field(name="_criteria", default=_Extended())


_decode = msgspec.json.Decoder(_Subscription).decode
