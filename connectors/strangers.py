"""Whether numbers that lead to a patient are somebody else's: of a placeholder that many have, one message is no proof.

Owns the two questions. Must not know the map of identities, nor what follows from an answer.
"""

from __future__ import annotations

from collections.abc import Iterable

from connectors.decoded import Identifier


def contradicts(owned: Iterable[tuple[str, str]], identifiers: Iterable[Identifier]) -> bool:
    """Say whether one of the identifiers is of an authority by which somebody has only other numbers.

    >>> theirs = (Identifier("MRN", "1"), Identifier("MRN", "2"))
    >>> [contradicts([("MRN", number)], theirs) for number in ("1", "7")], contradicts([("LAB", "7")], theirs)
    ([True, True], False)
    """
    values = _by_authority(owned)
    return any(one.authority in values and one.value not in values[one.authority] for one in identifiers)


def is_another(owned: Iterable[tuple[str, str]], identifiers: Iterable[Identifier]) -> bool:
    """Say whether somebody has, of an authority that the identifiers name, numbers and none of theirs.

    >>> theirs = (Identifier("MRN", "1"), Identifier("MRN", "2"))
    >>> [is_another([("MRN", number)], theirs) for number in ("1", "7")], is_another([("LAB", "7")], theirs)
    ([False, True], False)
    """
    named = _by_authority((one.authority, one.value) for one in identifiers)
    return any(authority in named and named[authority].isdisjoint(v) for authority, v in _by_authority(owned).items())


def _by_authority(names: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    values: dict[str, set[str]] = {}
    for authority, value in names:
        values.setdefault(authority, set()).add(value)
    return values
