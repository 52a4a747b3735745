"""The digest of a run: one content per id, sorted, hashed. Two runs are equal when their digests are.

Owns the comparison of outputs as a set. Must not know what an output says, where it was in its source, or when it came.
"""

from __future__ import annotations

from hashlib import sha256

import numpy as np

_ID_BYTES = 16
_CONTENT_BYTES = 32
_ENTRY_BYTES = _ID_BYTES + _CONTENT_BYTES


class DivergedOutputError(RuntimeError):
    """One id came with two contents: our bug; a replay that shows it is void."""


class RunDigest:
    """Collects (kind, id, content) and digests them as a set; 48 bytes of memory an output.

    >>> a, b = RunDigest(), RunDigest()
    >>> a.add("scores", "1", b"x"); a.add("alerts", "2", b"y")
    >>> b.add("alerts", "2", b"y"); b.add("scores", "1", b"x"); b.add("scores", "1", b"x")
    >>> a.hexdigest() == b.hexdigest()
    True
    >>> b.add("scores", "1", b"other"); b.hexdigest()
    Traceback (most recent call last):
    ...
    stream.digest.DivergedOutputError: 1 id(s) came with two contents
    """

    def __init__(self) -> None:
        self._entries = bytearray()

    def add(self, kind: str, name: str, content: bytes) -> None:
        """Take one output."""
        self._entries += sha256(f"{kind}\x1f{name}".encode()).digest()[:_ID_BYTES]
        self._entries += sha256(content).digest()

    def hexdigest(self) -> str:
        """Give the digest; raises `DivergedOutputError` where one id has two contents."""
        entries = np.unique(np.frombuffer(bytes(self._entries), dtype=f"S{_ENTRY_BYTES}"))
        ids = np.unique(entries.astype(f"S{_ID_BYTES}"))
        if len(ids) != len(entries):
            raise DivergedOutputError(f"{len(entries) - len(ids)} id(s) came with two contents")
        return sha256(entries.tobytes()).hexdigest()
