"""Keyed pseudonyms: names of patients and visits that name nobody.

Owns how one is derived. Must not know who is meant.
"""

from __future__ import annotations

import hmac
from hashlib import sha256

from events.identifiers import join_parts

PSEUDONYM_HEX_DIGITS = 32
"""128 bits of HMAC-SHA-256: no two of a billion patients share a key but with probability below 10^-20."""

REPLAY_PSEUDONYM_KEY = b"wardstream-replay-pseudonyms-v1"
"""The key where a site has configured none: replays of one file agree everywhere. It hides nothing from its holder."""


VISITS_REMEMBERED_MAX = 8_192
"""Visits whose pseudonym is remembered, some 2 MB: the inpatients of a very large hospital. When full, it starts anew;
a pseudonym is a function of its parts, so remembering it changes nothing but the time it takes."""


class Pseudonyms:
    """Keyed HMAC of identifiers, so that outputs can be joined without naming anybody.

    >>> names = Pseudonyms(b"key")
    >>> names.of("patient", "RAPP", "123") == names.of("patient", "RAPP", "123")
    True
    >>> names.of("patient", "RAPP", "123") == Pseudonyms(b"other").of("patient", "RAPP", "123")
    False
    """

    __slots__ = ("_key",)

    def __init__(self, key: bytes = REPLAY_PSEUDONYM_KEY) -> None:
        self._key = key

    def of(self, *parts: str) -> str:
        """Give the pseudonym of the parts, in order; no text inside one part passes for a border between two."""
        return hmac.digest(self._key, join_parts(parts), sha256).hex()[:PSEUDONYM_HEX_DIGITS]


class VisitKeys:
    """The pseudonyms of patients' visits, remembered while there is room.

    >>> keys = VisitKeys(Pseudonyms(b"key"))
    >>> keys.of("p", "V1") == keys.of("p", "V1") != keys.of("q", "V1")
    True
    """

    __slots__ = ("_known", "_pseudonyms")

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self._pseudonyms = pseudonyms
        self._known: dict[tuple[str, str], str] = {}

    def of(self, patient: str, number: str) -> str:
        """Give the pseudonym of a visit by its patient's key and its number."""
        known = self._known.get((patient, number))
        if known is None:
            known = self._pseudonyms.of("encounter", patient, number)
            if len(self._known) >= VISITS_REMEMBERED_MAX:
                self._known.clear()
            self._known[patient, number] = known
        return known
