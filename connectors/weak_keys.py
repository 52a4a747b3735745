"""Public keys of Ed25519 that are nobody's: for a point of small order anybody at all can make up a signature.

Owns their list. Must not know what is signed: it is asked where a key is declared, and where a signature is checked.
"""

from __future__ import annotations

SMALL_ORDER = frozenset(
    bytes.fromhex(digits)
    for digits in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
)
"""The encodings, without the sign, of the curve's eight points of small order: as a public key anybody can sign for
them, and OpenSSL lets them pass. No private key gives one."""
SIGN_MASK = 0x7F


def signs_for_nobody(public: str) -> bool:
    """Whether anybody at all can sign for a public key (64 hexadecimal digits): its point is of small order.

    >>> signs_for_nobody("01" + "00" * 31), signs_for_nobody("a5" * 32)
    (True, False)
    """
    raw = bytes.fromhex(public)
    return raw[:-1] + bytes([raw[-1] & SIGN_MASK]) in SMALL_ORDER
