"""Signatures: what is believed, and each way in which it is not."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from connectors.signing import (
    Signature,
    SignatureError,
    SigningKeyError,
    generate_key,
    key_id,
    public_key,
    sign,
    verify,
)
from connectors.weak_keys import SMALL_ORDER, signs_for_nobody

PAIR, OTHER = generate_key(), generate_key()


@given(st.binary(max_size=200))
def test_what_a_trusted_key_signed_is_believed(content: bytes) -> None:
    """A signature by any trusted key holds for exactly that content, and names its key."""
    signature = sign(PAIR.private_pem, content)
    assert verify([OTHER.public, PAIR.public], content, signature) == key_id(PAIR.public) == signature.key_id
    assert public_key(PAIR.private_pem) == PAIR.public


@given(st.binary(min_size=1, max_size=60), st.integers(0, 10_000))
def test_one_flipped_bit_is_noticed(content: bytes, place: int) -> None:
    """Content or signature with any one bit changed is refused."""
    signature = sign(PAIR.private_pem, content)
    at, bit = place % len(content), 1 << place % 8
    altered = content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :]
    with pytest.raises(SignatureError, match="altered") as refusal:
        verify([PAIR.public], altered, signature)
    assert refusal.value.fault == "wrong_signature"
    raw = bytearray.fromhex(signature.hex)
    raw[place % 64] ^= bit
    with pytest.raises(SignatureError):
        verify([PAIR.public], content, Signature(signature.key_id, raw.hex()))


@pytest.mark.parametrize(
    ("signature", "fault"),
    [
        (None, "unsigned"),
        (Signature("", ""), "unsigned"),
        (sign(OTHER.private_pem, b"content"), "unknown_key"),
        (Signature(key_id(PAIR.public), sign(OTHER.private_pem, b"content").hex), "wrong_signature"),
        (Signature(key_id(PAIR.public), "no hexadecimal"), "wrong_signature"),
        (Signature(key_id(PAIR.public), "00"), "wrong_signature"),
    ],
)
def test_each_refusal_is_named(signature: Signature | None, fault: str) -> None:
    """Missing, by a stranger, or wrong: each is said by its name."""
    with pytest.raises(SignatureError) as refusal:
        verify([PAIR.public], b"content", signature)
    assert refusal.value.fault == fault


@pytest.mark.parametrize("sign_bit", [0, 0x80])
@pytest.mark.parametrize("encoded", sorted(SMALL_ORDER))
def test_nothing_is_believed_of_a_key_that_anybody_can_sign_for(encoded: bytes, sign_bit: int) -> None:
    """No private key is needed for one of small order: R of small order and S = 0 fit one content in eight or more."""
    public = (encoded[:-1] + bytes([encoded[-1] | sign_bit])).hex()
    assert signs_for_nobody(public)
    for number in range(64):
        for point in SMALL_ORDER:
            with pytest.raises(SignatureError):
                verify([public], b"%d" % number, Signature(key_id(public), point.hex() + "00" * 32))


def test_the_points_of_small_order_are_all_there_are() -> None:
    """Eight times such a point is the neutral one: of the curve -x2 + y2 = 1 + d x2 y2, y is one of five, two twice."""
    prime = 2**255 - 19
    heights = {int.from_bytes(one, "little") % prime for one in SMALL_ORDER}
    order_8 = {y for y in heights if y not in (0, 1, prime - 1)}
    d = -121665 * pow(121666, -1, prime) % prime
    assert len(heights) == 5
    for y in order_8:
        x2 = (y * y - 1) * pow(d * y * y + 1, -1, prime) % prime
        # Doubled, its height is (y2 + x2) / (1 - d x2 y2) = 0: of order 4, so it is of order 8 itself.
        assert (y * y + x2) % prime == 0


def test_with_no_trusted_key_nothing_is_believed() -> None:
    """A site that trusts nobody loads nothing."""
    with pytest.raises(SignatureError) as refusal:
        verify([], b"content", sign(PAIR.private_pem, b"content"))
    assert refusal.value.fault == "unknown_key"


def test_a_signature_on_the_bare_bytes_is_none_on_a_version() -> None:
    """What the key signed for another purpose does not pass: the purpose is signed too."""
    key = load_pem_private_key(PAIR.private_pem, None)
    assert isinstance(key, Ed25519PrivateKey)
    with pytest.raises(SignatureError):
        verify([PAIR.public], b"content", Signature(key_id(PAIR.public), key.sign(b"content").hex()))


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"secret words",
        generate_ec(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a pass phrase")
        ),
    ],
    ids=["empty", "no pem", "another algorithm", "with a pass phrase"],
)
def test_a_key_that_cannot_sign_says_why(pem: bytes) -> None:
    """A wrong key file is the operator's to mend, in words that hold nothing of the file."""
    with pytest.raises(SigningKeyError, match=r"key") as refusal:
        sign(pem, b"content")
    assert "secret words" not in str(refusal.value)
