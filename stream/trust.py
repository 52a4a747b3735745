"""Whose decisions count: signatures on decisions, checked against the keys that the decisions themselves declare.

Owns what a signature stands for, making one, and the verdict on a decision. Must not know where decisions are kept,
nor what one comes to. A verdict is a function of the records up to the decision: the live service, an embedded one, a
command and an auditor come to the same, today and in ten years.

Where no key is declared everything counts, as it did before there were signatures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

import msgspec

from connectors.signing import SIGNATURE_BYTES, Signature, SignatureError, SignatureFault, key_id, sign, verify
from events import ChangeStep, Configuration, KillSwitch, Promotion, Standing
from stream.decision_keys import DecisionKey
from stream.loudness import CHANGE_CONTROL, MACHINE, is_louder, machine_may

DOMAIN = b"wardstream decision 1\n"
"""Stands before what is signed: no signature on a model version, an act or evidence passes for one on a decision."""
HEX = re.compile(rf"[0-9a-f]{{{2 * SIGNATURE_BYTES}}}")
EVIDENCE_DOMAIN = b"wardstream evidence 1\n"

DecisionFault = SignatureFault | Literal["wrong_role", "rewritten", "outdated", "not_a_machines", "not_automatic"]

WORDS: Mapping[DecisionFault, str] = {
    "unsigned": "it is not signed",
    "unknown_key": "it is signed by a key that is not among the [decision_keys] in force",
    "wrong_signature": "its signature does not fit it: it was altered after signing",
    "wrong_role": "its key may not sign for the role that it names",
    "rewritten": "its bytes are not those that a command of ours writes: it was copied or altered",
    "outdated": "it was signed without knowledge of the decision before it: look, and decide again",
    "not_a_machines": "a part of the service decided what only a person may",
    "not_automatic": "nobody decided it, and the plan in force lets no version go by itself",
}


class DecisionSignature(msgspec.Struct, frozen=True):
    """Who signed a decision, by key id, and the signature in hexadecimal.

    Of any other form it is wrong, and the decision is read all the same: a kill switch counts whatever stands here.
    """

    key_id: Annotated[str, msgspec.Meta(max_length=64)]
    signature: Annotated[str, msgspec.Meta(max_length=1_024)]


class Claim(NamedTuple):
    """What a verdict is on."""

    event: Promotion | Configuration | KillSwitch | Standing | ChangeStep
    who: str
    content: bytes
    """The canonical bytes of all of it but its signature."""
    signature: DecisionSignature | None
    canonical: bool
    """Whether it stands in the log in its canonical bytes."""
    informed: bool
    """Whether it names the newest record before it."""
    standing: Standing | None
    """How the version that it names stands so far."""


class Verdict(NamedTuple):
    """Whether a decision counts, and who signed it."""

    fault: DecisionFault | None
    """Why it does not count."""
    signer: str
    """The name of the key whose signature fits; empty where there is none."""
    needed: bool
    """Whether it needs a signature to count."""


def sign_content(private_pem: bytes, content: bytes, *, domain: bytes = DOMAIN) -> DecisionSignature:
    """Sign canonical bytes; raises `SigningKeyError`."""
    found = sign(private_pem, content, domain=domain)
    return DecisionSignature(found.key_id, found.hex)


def signer_of(
    keys: Mapping[str, DecisionKey],
    role: str,
    content: bytes,
    signature: DecisionSignature | None,
    *,
    domain: bytes = DOMAIN,
) -> tuple[str, DecisionFault | None]:
    """Give the name of the key that signed these bytes, and what is wrong with its signature for this role.

    >>> signer_of({}, "safety-officer", b"", None)
    ('', 'unsigned')
    """
    if signature is not None and not HEX.fullmatch(signature.signature):
        return "", "wrong_signature"
    trusted = [key.public_key for key in keys.values()]
    given = None if signature is None else Signature(signature.key_id, signature.signature)
    try:
        signing = verify(trusted, content, given, domain=domain)
    except SignatureError as error:
        return "", error.fault
    holders = {name: key for name, key in keys.items() if key_id(key.public_key) == signing}
    entitled = [name for name, key in holders.items() if key.may_sign(role)]
    return (entitled[0], None) if entitled else (next(iter(holders)), "wrong_role")


def verdict_on(claim: Claim, keys: Mapping[str, DecisionKey], *, automatic: bool) -> Verdict:
    """Say whether a decision counts, under the keys in force before it.

    `automatic`: whether the plan in force lets a version go without a person. What makes the model say less counts
    whatever is wrong with its signature; who signed it is said all the same. Not for where no key is in force.
    """
    needed = is_louder(claim.event, claim.standing)
    signer, fault = signer_of(keys, claim.who, claim.content, claim.signature)
    if fault is None and not claim.canonical:
        fault = "rewritten"
    if not needed:
        return Verdict(None, signer if fault is None else "", needed=False)
    if fault is None and claim.who.startswith(MACHINE):
        fault = _machines_fault(claim, automatic=automatic)
    if fault is None and not claim.informed:
        fault = "outdated"
    return Verdict(fault, signer, needed=True)


def _machines_fault(claim: Claim, *, automatic: bool) -> DecisionFault | None:
    if not machine_may(claim.event):
        return "not_a_machines"
    forward = claim.who == CHANGE_CONTROL and isinstance(claim.event, Promotion)
    return "not_automatic" if forward and not automatic else None


def refusal_words(fault: DecisionFault, keys: Mapping[str, DecisionKey]) -> str:
    """Say to who decides why it would not count, and what to do.

    >>> print(refusal_words("unsigned", {"officer": DecisionKey("a5" * 32, ("safety-officer",))}))
    nothing is decided, for it is not signed. Give --key FILE, the private key of one of: officer (as safety-officer). \
Without one: engage the kill switch, hold or demote a version, or promote `none`
    """
    held = ", ".join(f"{name} (as {', '.join(key.roles)})" for name, key in keys.items())
    advice = {
        "unsigned": f"Give --key FILE, the private key of one of: {held}",
        "unknown_key": f"Give --key FILE, the private key of one of: {held}",
        "wrong_role": f"Name a role that the key has (--as), or take another key: {held}",
    }.get(fault, "Look how things stand, and decide it again")
    without = "Without one: engage the kill switch, hold or demote a version, or promote `none`"
    return f"nothing is decided, for {WORDS[fault]}. {advice}. {without}"
