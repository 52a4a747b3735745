"""Who hands an act in, and whether it is let in: by credential, right, ward and time.

Owns the decision. Must not know a socket or a topic, nor what an act does once it is in the log. An actor is who
authenticated, never what a document claims.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

from alerts.limits import LIMITS_MAX, PatientLimits
from connectors.acts.codec import Act, decoded_act
from connectors.acts.people import RIGHT_OF, PeopleSettings, Person
from connectors.decoded import Refusal, RefusalReason
from connectors.signing import Signature, SignatureError, SignatureFault, sign, verify
from events import MILLIS_PER_SECOND, Limit, Millis

DOMAIN = b"wardstream act 1\n"
"""Stands before what is signed: a signature on anything else, a model version say, can never pass for one on an act."""
TOKEN_CHARS_MIN = 22
"""128 bits as base64: a shorter token can be guessed, and is nobody's."""
ACTOR = "ws_actor"
"""The header of a record that a gateway signed: for whom."""
KEY_ID = "ws_key_id"
SIGNATURE = "ws_signature"


class Who(NamedTuple):
    """Somebody who authenticated."""

    actor: str
    person: Person


class Door:
    """Lets acts in, or says why not.

    >>> token = "0123456789abcdefghijkl"
    >>> door = Door(PeopleSettings(actors={"n1": Person("nurse", ("feedback",), token_sha256=token_hash(token))}))
    >>> door.by_token(token).actor, door.by_token("guess")
    ('n1', None)
    """

    def __init__(self, people: PeopleSettings) -> None:
        self.use(people)

    def use(self, people: PeopleSettings) -> None:
        """Go by these people from here on: who is not among them is nobody at once. Any thread may ask meanwhile."""
        by_key = {person.public_key: name for name, person in people.actors.items() if person.public_key}
        self._held = people, by_key

    @property
    def people(self) -> PeopleSettings:
        """Who may act, at this moment."""
        return self._held[0]

    def by_token(self, token: str) -> Who | None:
        """Say whose bearer token this is. Takes as long whoever's it is, and nobody's too."""
        given = token_hash(token) if len(token) >= TOKEN_CHARS_MIN else ""
        found = None
        for name, person in self.people.actors.items():
            if hmac.compare_digest(given, person.token_sha256) and given:
                found = Who(name, person)
        return found

    def by_signature(self, data: bytes, actor: str, signature: Signature) -> Who | Refusal:
        """Say who signed these bytes: an actor himself, or a gateway for the one that it names as `actor`."""
        people, by_key = self._held
        try:
            if not actor:
                key = _signer(by_key, signed_content(data, ""), signature)
                name = by_key[key]
                return Who(name, people.actors[name])
            _signer(people.gateway_keys, signed_content(data, actor), signature)
        except SignatureError as error:
            reason, words = _FAULTS[error.fault]
            return Refusal(reason, "signature", words)
        person = people.actors.get(actor)
        if person is None or not person.token_sha256:  # Who has no token never came over HTTP: he signs himself.
            return Refusal(RefusalReason.UNAUTHORISED, "actor", "a gateway speaks for somebody who may not act here")
        return Who(actor, person)

    def refusal(self, who: Who, act: Act, received: Millis) -> Refusal | None:
        """Say what keeps an act out: the right that its actor lacks, or its time; None where it may come in."""
        needed = RIGHT_OF[act.kind]
        if needed not in who.person.rights:
            return Refusal(RefusalReason.NOT_ENTITLED, "$.kind", f"this actor has no right to {needed}")
        untimely = self.untimely(act, received)
        if untimely is None and act.kind == "limit" and act.expires_at <= received:
            return Refusal(RefusalReason.OUTDATED, "$.expires_at", "it is over already")
        return untimely

    def untimely(self, act: Act, received: Millis) -> Refusal | None:
        """Say that an act comes too long after it was decided, or before it."""
        people = self.people
        if received - act.at > people.late_s_max * MILLIS_PER_SECOND:
            return Refusal(RefusalReason.LATE, "$.at", f"more than {people.late_s_max:g} s ago: look again, then act")
        if act.at - received > people.ahead_s_max * MILLIS_PER_SECOND:
            return Refusal(RefusalReason.FUTURE_TIME, "$.at", f"more than {people.ahead_s_max:g} s ahead of our clock")
        return None


def elsewhere(who: Who, ward: str | None) -> Refusal | None:
    """Say that a patient lies where this actor may not act; `ward` is None where nobody knows the patient."""
    if not who.person.wards or (ward is not None and ward in who.person.wards):
        return None
    return Refusal(RefusalReason.NOT_ENTITLED, "$.patient", "the patient is not on a ward of this actor's")


def outdated(act: Act, actor: str, limits: PatientLimits, received: Millis) -> Refusal | None:
    """Say that a limit would change nothing, by those that the patient is known to have.

    The same again is let in: it is known by its id, and what it asks for is so.
    """
    [event] = decoded_act(act, actor).events
    why_not = limits.why_not(event, received) if type(event) is Limit else ""
    if why_not not in _OUTDATED:
        return None
    return Refusal(RefusalReason.OUTDATED, "$.limit_id", _OUTDATED[why_not])


def token_hash(token: str) -> str:
    """Give what is kept of a token: it has 128 bits at the least, so that its plain hash cannot be turned back.

    >>> token_hash("x")[:8]
    '2d711642'
    """
    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def sign_act(private_pem: bytes, data: bytes, actor: str = "") -> Signature:
    """Sign an act's bytes; a gateway does so for an `actor`. Raises `connectors.signing.SigningKeyError`."""
    return sign(private_pem, signed_content(data, actor), domain=DOMAIN)


def signed_content(data: bytes, actor: str) -> bytes:
    r"""Give what is signed: for whom, then the very bytes. No actor's name has a line end.

    >>> signed_content(b"{}", "n1")
    b'n1\n{}'
    """
    return actor.encode() + b"\n" + data


def _signer(keys: Iterable[str], content: bytes, signature: Signature) -> str:
    """Give the one of these keys that signed; raises `SignatureError`. Two keys may share an id: each is tried."""
    fault: SignatureError | None = None
    for key in keys:
        try:
            verify([key], content, signature, domain=DOMAIN)
        except SignatureError as error:
            fault = error if fault is None or error.fault == "wrong_signature" else fault
        else:
            return key
    raise fault or SignatureError("unsigned" if not signature.hex else "unknown_key", "nobody is trusted")


_OUTDATED = {
    "limit_outdated": "a later decision stands under this limit_id: look again, then decide",
    "too_many_limits": f"the patient has {LIMITS_MAX} limits, which is all there may be",
}
_FAULTS: dict[SignatureFault, tuple[RefusalReason, str]] = {
    "unsigned": (RefusalReason.UNAUTHORISED, "it is not signed"),
    "unknown_key": (RefusalReason.UNAUTHORISED, "it is signed by a key that nobody here has"),
    "wrong_signature": (RefusalReason.FORGED, "its signature does not fit its content or its actor"),
}
