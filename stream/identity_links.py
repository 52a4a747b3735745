"""The links of the identity map as a host keeps them, and which of them a part of the map must hold.

Owns their shape. Must not know how they are stored, nor what a message does to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from connectors.decoded import Identifier
from stream.pseudonyms import Pseudonyms

KEYS_BETWEEN = ","
"""Between the former keys of a link; a key is of hexadecimal digits."""
SERVER_IDS = "/Patient"
"""How the authority ends that a FHIR server's own ids have (`connectors.fhir.references.local_identifier`)."""
FORMER_MAX = 8
"""Former keys remembered of one identifier, the newest of them: nobody is merged so often and then unmerged."""


class Link(NamedTuple):
    """An identifier, the patient key it leads to, and the keys that led there through merges (the first one first)."""

    authority: str
    value: str
    patient: str
    former: str = ""
    """Parted by `KEYS_BETWEEN`."""


def keys_to_load(pseudonyms: Pseudonyms, names: Iterable[Identifier], links: Mapping[Identifier, Link]) -> set[str]:
    """Give the patient keys whose every link a part of the map must hold, to answer of these names as the whole does.

    `links` are those of the names that have one.
    """
    keys: set[str] = set()
    for name in names:
        link = links.get(name)
        if link is None:
            keys.add(pseudonyms.of("patient", name.authority, name.value))
        else:
            keys.update((link.patient, *split_keys(link.former)))
    return keys


def split_keys(former: str) -> tuple[str, ...]:
    """Give the former keys of a link, the first one first.

    >>> split_keys("a,b"), split_keys("")
    (('a', 'b'), ())
    """
    return tuple(former.split(KEYS_BETWEEN)) if former else ()


def way_by_server(
    identifiers: Iterable[Identifier],
    key: str,
    key_of: Mapping[tuple[str, str], str],
    former: Mapping[tuple[str, str], str],
) -> tuple[str, ...]:
    """Give the keys that a FHIR server's own id among these had before a merge into `key`; empty where none had.

    A server gives an id once: what a link said of it holds for every number that its resource names, also where the
    link came first.
    """
    for one in identifiers:
        name = (one.authority, one.value)
        if one.authority.endswith(SERVER_IDS) and name in former and key_of.get(name) == key:
            return split_keys(former[name])
    return ()
