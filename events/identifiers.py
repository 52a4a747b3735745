"""Ids that are derived from content, so that work done twice has the same name twice.

Owns the derivation: UUIDv5-shaped ids for records and outputs, 63-bit integers for results inside a patient's windows.
Must not know what is being named. No randomness, no clock, no builtin `hash()`.
"""

from __future__ import annotations

from hashlib import blake2b, sha1

_NAMESPACE = bytes.fromhex("6ba7b8129dad11d180b400c04fd430c8")
"""RFC 9562's OID namespace, kept as the one namespace of all our derived ids."""

_BORDER = "\x1f"
_SEPARATOR = _BORDER.encode()
_ESCAPE = b"\x1e"


def join_parts(parts: tuple[str | bytes, ...]) -> bytes:
    r"""Join parts so that no text inside one can pass for a border between two.

    >>> join_parts(("a\x1fb", "c")) == join_parts(("a", "b\x1fc"))
    False
    """
    try:
        text = _BORDER.join(parts)  # type: ignore[arg-type] # nearly always all text
    except TypeError:
        pass
    else:
        if text.count(_BORDER) == len(parts) - 1 and "\x1e" not in text:
            return text.encode()
    data = [part.encode() if isinstance(part, str) else part for part in parts]
    joined = _SEPARATOR.join(data)
    if joined.count(_SEPARATOR) >= len(data) or _ESCAPE in joined:  # rare: a part holds a control character itself
        data = [part.replace(_ESCAPE, b"\x1e0").replace(_SEPARATOR, b"\x1e1") for part in data]
        joined = _SEPARATOR.join(data)
    return joined


def content_id(*parts: str | bytes) -> str:
    """Name content by a UUIDv5 (RFC 9562 section 5.5) over its parts, in order.

    >>> content_id("alert", "p1", "e1") == content_id("alert", "p1", "e1")
    True
    >>> content_id("ab", "c") == content_id("a", "bc")
    False
    >>> len(content_id("x"))
    36
    """
    data = join_parts(parts)
    raw = bytearray(sha1(_NAMESPACE + data, usedforsecurity=False).digest()[:16])
    raw[6] = raw[6] & 0x0F | 0x50
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def observation_id(*parts: str | bytes) -> int:
    """Name a result within its source by a 63-bit integer (collisions within one patient's day: below 1 in 10^12).

    >>> observation_id("LAB", "order-1", "8867-4") == observation_id("LAB", "order-1", "8867-4")
    True
    >>> 0 <= observation_id("LAB") < 2**63
    True
    """
    data = join_parts(parts)
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big") >> 1


def uuid_text(digest: bytes) -> str:
    """Write the first 16 bytes of a digest as a UUID of version 8 (RFC 9562 section 5.8: content of our own).

    >>> uuid_text(bytes(16))
    '00000000-0000-8000-8000-000000000000'
    """
    text = digest[:16].hex()
    return f"{text[:8]}-{text[8:12]}-8{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:]}"


_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
"""A hexadecimal digit with its upper two bits made 10."""
