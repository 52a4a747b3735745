"""A verdict: what one filter says of one candidate, with a reason that is counted.

Owns the verdict's shape and the words it may use. Must not know any filter. Filters build their verdicts once, at
import, and hand out the same frozen objects: building one costs more than most checks do.
"""

from __future__ import annotations

from typing import Literal

import msgspec

VerdictKind = Literal["pass", "annotate", "abstain", "defer", "suppress"]

PROCEEDING: frozenset[str] = frozenset({"pass", "annotate"})
"""The kinds after which the chain goes on to the next filter; any other kind ends it."""


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, cache_hash=True):
    """What `filter` says: one kind, one reason out of the filter's declared `REASONS`.

    `detail` names what is meant (features, limits), never a patient; it is not counted by.

    >>> Verdict("scope", "abstain", "under_16").proceeds
    False
    """

    filter: str
    verdict: VerdictKind
    reason: str
    detail: str = ""

    @property
    def proceeds(self) -> bool:
        """Whether the next filter is asked."""
        return self.verdict in PROCEEDING
