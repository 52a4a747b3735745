"""Signatures of model versions and of acts: Ed25519 (RFC 8032), by keys that a site makes itself.

Owns keys, signing and checking. Must not know what is signed beyond its bytes, where a signature travels, or who holds
a key. A private key is a PEM file without a pass phrase and belongs on the machine of who signs, never on a worker's;
the public key is 64 hexadecimal digits for `[live] version_keys`.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Literal, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from connectors.weak_keys import signs_for_nobody

DOMAIN = b"wardstream model version 1\n"
"""Stands before what is signed: a signature on anything else can never pass for one on a version. What else is signed
has a domain of its own (`connectors.acts.door`)."""
KEY_ID_DIGITS = 16
"""Of the SHA-256 of the raw public key: tells the keys of one site apart. It is no secret and proves nothing."""
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64

SignatureFault = Literal["unsigned", "unknown_key", "wrong_signature"]


class SigningKeyError(ValueError):
    """A private key that cannot be used: the operator's to mend; the text holds nothing of the file."""


class SignatureError(ValueError):
    """Content that nobody trusted has signed as it is. `fault` says which of the ways."""

    def __init__(self, fault: SignatureFault, text: str) -> None:
        """Keep the fault beside the words."""
        super().__init__(text)
        self.fault: SignatureFault = fault


class KeyPair(NamedTuple):
    """A new key; its repr would show it, so it is not for logs."""

    private_pem: bytes
    public: str


class Signature(NamedTuple):
    """Who signed, by key id, and the signature in hexadecimal."""

    key_id: str
    hex: str


def generate_key() -> KeyPair:
    """Make a key pair from the operating system's randomness.

    >>> len(generate_key().public)
    64
    """
    key = Ed25519PrivateKey.generate()
    return KeyPair(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), _public(key))


def public_key(private_pem: bytes) -> str:
    """Give the public key, in hexadecimal, of a private one; raises `SigningKeyError`."""
    return _public(_private(private_pem))


def key_id(public: str) -> str:
    """Name a public key (64 hexadecimal digits).

    >>> key_id("00" * 32)
    '66687aadf862bd77'
    """
    return sha256(bytes.fromhex(public)).hexdigest()[:KEY_ID_DIGITS]


def sign(private_pem: bytes, content: bytes, *, domain: bytes = DOMAIN) -> Signature:
    """Sign content; raises `SigningKeyError`.

    >>> pair = generate_key()
    >>> verify([pair.public], b"content", sign(pair.private_pem, b"content")) == key_id(pair.public)
    True
    """
    key = _private(private_pem)
    return Signature(key_id(_public(key)), key.sign(domain + content).hex())


def verify(trusted: Iterable[str], content: bytes, signature: Signature | None, *, domain: bytes = DOMAIN) -> str:
    """Give the id of the trusted key that signed this content; raises `SignatureError`.

    `trusted` are public keys in hexadecimal. Every one of them that has the signature's key id is tried.
    """
    if signature is None or not signature.hex or not signature.key_id:
        raise SignatureError("unsigned", "it is not signed")
    known = [public for public in trusted if key_id(public) == signature.key_id]
    if not known:
        raise SignatureError("unknown_key", "it is signed by a key that is not among `[live] version_keys`")
    try:
        raw = bytes.fromhex(signature.hex)
    except ValueError:
        raise SignatureError("wrong_signature", "its signature is no hexadecimal") from None
    for public in known:
        if signs_for_nobody(public):
            continue
        try:
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(raw, domain + content)
        except InvalidSignature:
            continue
        return signature.key_id
    raise SignatureError("wrong_signature", "its signature does not fit its content: it was altered after signing")


def _private(pem: bytes) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise SigningKeyError(
            "the key has a pass phrase; give one without, on a machine only its holder uses"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise SigningKeyError("no private key in PEM; `wardstream models keygen` makes one") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningKeyError("not an Ed25519 key; `wardstream models keygen` makes one")
    return key


def _public(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
