"""Which FHIR servers are asked, and how: the `[fhir_sources]` table of `wardstream.toml`.

Owns the shape, the defaults with their reasons, and the contradictions that are refused. Must not know a socket.
Nothing here changes what is decided, so none of it enters the log. Secrets are files: none stands in the configuration.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

from connectors.fhir.resource_types import RESOURCE_TYPES
from connectors.loopback import is_loopback

SERVER_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
"""A server's name is a label of metrics and a part of a path."""
TYPES = ("Patient", "Encounter", "Observation", "Condition", "Flag", "ServiceRequest")
"""What we read, in the order in which it is asked: who, where, then what was measured."""
PAGE_MAX = 1_000
URL = re.compile(r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[1-9][0-9]{0,4})?(/[^?#\s]*)?")
"""By hand, for the configuration is read by the pure core too, which knows no library of the network. It takes
no query, no fragment and no user."""

Seconds = Annotated[float, msgspec.Meta(gt=0, le=31 * 86_400)]


class SmartSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """SMART Backend Services: a signed assertion is exchanged for a token (HL7 SMART App Launch 2.2, Backend Services).

    >>> SmartSettings().wanted
    False
    >>> SmartSettings(client_id="ward")
    Traceback (most recent call last):
    ValueError: smart.key_file: empty; expected a PEM file with the private key of client_id
    """

    client_id: str = ""
    """As the authorization server registered us; without one there is no SMART."""
    key_file: str = ""
    """PEM file: our private key (RSA, or EC on P-384), without a password; readable by the service's user alone."""
    key_id: str = ""
    """The key's `kid` in the key set that was registered."""
    algorithm: Literal["RS384", "ES384"] = "RS384"
    scope: str = "system/*.rs"
    """What is asked for. Subscriptions need the right to write them too: `system/Subscription.cruds`."""
    token_url: str = ""
    """Where tokens are given; empty: what the server's `.well-known/smart-configuration` names."""

    def __post_init__(self) -> None:
        if bool(self.client_id) != bool(self.key_file):
            lacking = "key_file" if self.client_id else "client_id"
            text = "a PEM file with the private key of client_id" if self.client_id else "the name of key_file's owner"
            raise ValueError(f"smart.{lacking}: empty; expected {text}")
        if self.token_url:
            check_url("smart.token_url", self.token_url)

    @property
    def wanted(self) -> bool:
        """Whether there is SMART at all."""
        return bool(self.client_id)


class SubscriptionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rest-hook Subscriptions: the server tells us; polling goes on beside it, for servers stop telling in silence.

    >>> SubscriptionSettings(style="topic", endpoint="https://ward.example/fhir/subscriptions/ehr", secret_file="s")
    Traceback (most recent call last):
    ValueError: subscription.topic: empty; expected the canonical URL of a topic the server has
    """

    style: Literal["none", "criteria", "topic"] = "none"
    """`criteria`: as R4 has it, a search each. `topic`: the R5 backport to R4, with numbered events and heartbeats."""
    endpoint: str = ""
    """Where the server reaches us: the address of our `/fhir/subscriptions/NAME`, as seen from there."""
    secret_file: str = ""
    """What stands in this file the server shows us as a bearer token with each delivery; nobody else knows it."""
    criteria: tuple[str, ...] = ()
    """Searches (`Observation?category=vital-signs`); empty: one a type of `types`, of all there is."""
    topic: str = ""
    filters: tuple[str, ...] = ()
    """Of a topic: filter criteria as the backport writes them (`Observation?category=vital-signs`)."""
    content: Literal["full-resource", "id-only"] = "full-resource"
    """Of a topic: whether notifications carry the resources, or we read each that they name."""
    heartbeat_s: Annotated[int, msgspec.Meta(ge=5, le=86_400)] = 60
    """Of a topic: how often the server says that it lives. Two of them missing are told, and the server is polled."""
    lasts_s: Annotated[float, msgspec.Meta(ge=600, le=366 * 86_400)] = 7 * 86_400
    """A subscription ends by itself after so long, lest one that was forgotten send for ever; it is renewed at half."""
    look_s: Seconds = 60.0
    """How often the server is asked how its subscriptions are."""
    missed_max: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 3
    """So many resources in a row found by polling that should have been told: the subscription counts as broken, and is
    made anew."""

    def __post_init__(self) -> None:
        if self.style == "none":
            return
        check_url("subscription.endpoint", self.endpoint)
        if not self.secret_file:
            raise ValueError("subscription.secret_file: empty; expected a file with a secret of 32 characters or more")
        if self.style == "topic" and not self.topic:
            raise ValueError("subscription.topic: empty; expected the canonical URL of a topic the server has")


class FhirServer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One FHIR server.

    >>> FhirServer("https://ehr.example/fhir").types[0]
    'Patient'
    >>> FhirServer("http://ehr.example/fhir")
    Traceback (most recent call last):
    ValueError: base_url: http beyond this machine can be read on the way; expected https, or without_tls = true
    """

    base_url: str = ""
    types: tuple[str, ...] = TYPES
    poll_s: Annotated[float, msgspec.Meta(ge=1, le=3_600)] = 20.0
    """How often the server is asked what has changed: about as long as a reading may be late where nothing tells us."""
    overlap_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 300.0
    """Each time, so much of what was asked before is asked again: what is stamped now is seen once it is committed."""
    look_back_s: Seconds = 86_400.0
    """Where it is not known how far we were (the first look, or after a loss): so much is read, and whoever is in a bed
    now."""
    page_size: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = 200
    """Resources asked for at a time; fewer where the server or we cannot take as many."""
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=600)] = 30.0
    """For connecting, and for each pause within an answer; the whole of one may take four times as long."""
    without_tls: bool = False
    """Speak http to another machine. Only where the network itself keeps others out; no token is ever sent so."""
    ca_file: str = ""
    """PEM file: the authorities of the server's certificate; empty: the system's."""
    token_file: str = ""
    """A bearer token that does not change; SMART is better."""
    smart: SmartSettings = SmartSettings()
    subscription: SubscriptionSettings = SubscriptionSettings()

    def __post_init__(self) -> None:
        check_url("base_url", self.base_url, without_tls=self.without_tls)
        if self.base_url.endswith("/"):
            raise ValueError("base_url: ends with a slash; expected none, such as https://ehr.example/fhir")
        if not self.types:
            raise ValueError("types: empty; expected at least one")
        for one in self.types:
            if one not in RESOURCE_TYPES:
                raise ValueError(f"types: {one!r} is no resource type of FHIR R4")
        if self.token_file and self.smart.wanted:
            raise ValueError("token_file: set beside smart; expected one of them")
        if (self.token_file or self.smart.wanted) and not secured(self.base_url):
            raise ValueError("without_tls: a token would be read by anyone on the way; expected https")


class FhirSources(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All FHIR servers that are asked; without one nobody is.

    >>> FhirSources().servers
    {}
    >>> FhirSources({"Main EHR": FhirServer("https://ehr.example/fhir")})
    Traceback (most recent call last):
    ValueError: servers: 'Main EHR'; expected a short name such as 'ehr'
    """

    servers: dict[str, FhirServer] = {}
    state_folder: str = ""
    """Where it is kept how far each server was read; empty: the embedded service's data folder, the gateway's
    `[live] state_folder`."""

    def __post_init__(self) -> None:
        for name in self.servers:
            if not SERVER_NAME.fullmatch(name):
                raise ValueError(f"servers: {name!r}; expected a short name such as 'ehr'")


def secured(url: str) -> bool:
    """Say whether nobody on the way can read along: TLS, or this machine alone.

    >>> secured("https://ehr.example/fhir"), secured("http://127.0.0.1:8080/fhir"), secured("http://ehr.example")
    (True, True, False)
    """
    parts = URL.fullmatch(url)
    return parts is not None and (parts["scheme"] == "https" or is_loopback(parts["host"].strip("[]")))


def check_url(key: str, url: str, *, without_tls: bool = False) -> None:
    """Refuse what is no address of a server; raises `ValueError` that names the key.

    >>> check_url("base_url", "https://user@ehr.example")
    Traceback (most recent call last):
    ValueError: base_url: expected a URL such as https://ehr.example/fhir, with no query, fragment or user
    """
    if URL.fullmatch(url) is None:
        raise ValueError(f"{key}: expected a URL such as https://ehr.example/fhir, with no query, fragment or user")
    if not secured(url) and not without_tls:
        text = "http beyond this machine can be read on the way; expected https, or without_tls = true"
        raise ValueError(f"{key}: {text}")
