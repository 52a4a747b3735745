"""Which version of each resource was taken in: what comes again, by polling or by a hook, is not handed on again.

Owns the memory, and which of two versions is the newer. Must not know how a resource came. Kept in memory alone: after
a restart what comes again is handed on once more, and [parse] knows it by its content.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from connectors.fhir_sources.pages import Found
from events import Millis

KNOWN_MAX = 200_000
"""Resources remembered: what a large hospital changes in some hours; the overlap asks for minutes again."""

Judgement = Literal["new", "known", "outdated"]


class Known:
    """Remembers the newest version of each of the last resources."""

    def __init__(self, limit: int = KNOWN_MAX) -> None:
        self._limit = limit
        self._versions: OrderedDict[bytes, tuple[str, Millis | None]] = OrderedDict()
        self.skipped = 0
        """Versions that were never seen: the server had a newer one by the time it was looked at."""

    def judge(self, one: Found) -> Judgement:
        """Say whether a resource is to be handed on. An older version than one taken in would undo it.

        >>> known, one = Known(), Found("Flag", "f", "1", 5, b"{}")
        >>> known.judge(one), known.add(one), known.judge(one)
        ('new', None, 'known')
        >>> known.judge(Found("Flag", "f", "0", 4, b"{}"))
        'outdated'
        >>> known.judge(Found("Flag", "f", "2", 4, b"{}"))  # corrected after the clock was set back
        'new'
        """
        before = self._versions.get(one.name) if one.kind and one.id else None
        if before is None:
            return "new"
        version, changed = before
        old, new = _number(version), _number(one.version)
        if one.changed is not None and changed is not None and one.changed != changed:
            # A server that was set up anew begins its numbers again, one whose clock was set back its times: either
            # that says newer is believed.
            newer = one.changed > changed or (old is not None and new is not None and new > old)
            return "new" if newer else "outdated"
        if one.version == version:
            return "known" if one.version or one.changed is not None else "new"
        return "outdated" if old is not None and new is not None and new < old else "new"

    def add(self, one: Found) -> None:
        """Remember a resource that is taken in."""
        if not (one.kind and one.id):
            return
        before = self._versions.pop(one.name, None)
        if before is not None:
            old, new = _number(before[0]), _number(one.version)
            if old is not None and new is not None and new > old + 1:
                self.skipped += new - old - 1
        self._versions[one.name] = (one.version, one.changed)
        if len(self._versions) > self._limit:
            self._versions.popitem(last=False)


def _number(version: str) -> int | None:
    return int(version) if version.isascii() and version.isdigit() and len(version) < 18 else None
