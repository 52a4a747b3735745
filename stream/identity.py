"""Who is meant: from a sender's identifiers to one pseudonymous patient key.

Owns the map (authority, value) -> patient key, the keyed pseudonyms, and what a merge does to them. Must not know how
the map is kept: a host hands in what it has stored and stores what `resolve` reports as new.
"""

from __future__ import annotations

import hmac
from hashlib import sha256

from connectors.decoded import Identifier
from events.identifiers import join_parts

PSEUDONYM_HEX_DIGITS = 32
"""128 bits of HMAC-SHA-256: no two of a billion patients share a key but with probability below 10^-20."""

REPLAY_PSEUDONYM_KEY = b"wardstream-replay-pseudonyms-v1"
"""The key where a site has configured none: replays of one file agree everywhere. It hides nothing from its holder."""


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


class IdentityMap:
    """The identifiers we have met and the patient key each resolves to.

    >>> people = IdentityMap(Pseudonyms(b"key"))
    >>> key = people.resolve((Identifier("MRN", "1"), Identifier("NHS", "9")))
    >>> people.resolve((Identifier("NHS", "9"),)) == key
    True
    """

    __slots__ = ("_key_of", "_names", "_pseudonyms", "_unsaved")

    def __init__(
        self,
        pseudonyms: Pseudonyms,
        known: dict[Identifier, str] | None = None,
        names: dict[str, Identifier] | None = None,
    ) -> None:
        """Begin with the links known; `names`, where given, is filled with each new key's own identifier."""
        self._pseudonyms = pseudonyms
        self._names = names
        self._key_of: dict[tuple[str, str], str] = {
            (name.authority, name.value): key for name, key in (known or {}).items()
        }
        self._unsaved: list[tuple[str, str, str]] = []

    def resolve(self, identifiers: tuple[Identifier, ...]) -> str:
        """Give the patient key: the first identifier already known decides; else a new key from the best one.

        Identifiers met for the first time join that key. One that is known under another key keeps it: only a merge
        message joins two patients.
        """
        key_of = self._key_of
        key = ""
        unknown = False
        for name in identifiers:
            found = key_of.get((name.authority, name.value))
            if found is None:
                unknown = True
            elif not key:
                key = found
        if not unknown:
            return key
        if not key:
            best = identifiers[0]
            key = self._pseudonyms.of("patient", best.authority, best.value)
            if self._names is not None:
                self._names[key] = best
        for name in identifiers:
            if (name.authority, name.value) not in key_of:
                self._link(name, key)
        return key

    def merge(self, survivor: str, retired: tuple[Identifier, ...]) -> str:
        """Point the retired identifiers (and all that shared their key) at the survivor; give the retired key."""
        retired_key = self.resolve(retired)
        if retired_key != survivor:
            for (authority, value), key in list(self._key_of.items()):
                if key == retired_key:
                    self._link(Identifier(authority, value), survivor)
        return retired_key

    def encounter(self, patient: str, number: str) -> str:
        """Give the pseudonym of a patient's visit, the same from whichever feed; empty stays empty."""
        if not number:
            return ""
        key = self._pseudonyms.of("encounter", patient, number)
        if self._names is not None:
            self._names[key] = Identifier(patient, number)
        return key

    def take_unsaved(self) -> list[tuple[str, str, str]]:
        """Give the (authority, value, key) links made since the last call, for the host to store."""
        links, self._unsaved = self._unsaved, []
        return links

    def _link(self, name: Identifier, key: str) -> None:
        self._key_of[name.authority, name.value] = key
        self._unsaved.append((name.authority, name.value, key))
