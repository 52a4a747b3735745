"""Resources that polling found and no subscription has told: past a grace, they show that one is broken in silence.

Owns the waiting. Must not know a subscription's state, nor what is done about it. In memory alone.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from connectors.fhir_sources.pages import Found

WAITING_MAX = 10_000
"""Resources waited for; of more at a time those that have waited longest count as missed."""
GRACE_S = 60.0
"""How long a delivery may be on its way until it counts as missed: HAPI's takes up to ten seconds, with retries."""


class Untold:
    """Waits for the server to tell what polling found first."""

    def __init__(self, grace_s: float = GRACE_S, elapsed_s: Callable[[], float] = time.monotonic) -> None:
        self._grace_s = grace_s
        self._elapsed_s = elapsed_s
        self._waiting: OrderedDict[bytes, float] = OrderedDict()

    def found(self, one: Found) -> None:
        """Wait for a resource to be told."""
        self._waiting.setdefault(one.name, self._elapsed_s())

    def told(self, resources: Iterable[Found]) -> None:
        """Wait for these no more."""
        for one in resources:
            self._waiting.pop(one.name, None)

    def forget(self) -> None:
        """Wait for nothing: the subscriptions are others now."""
        self._waiting.clear()

    def missed(self) -> int:
        """Give how many were not told within the grace, each once.

        >>> untold = Untold(grace_s=0)
        >>> untold.found(Found("Flag", "f", "1", None, b"{}")), untold.missed(), untold.missed()
        (None, 1, 0)
        """
        missed = 0
        while self._waiting:
            name, since_s = next(iter(self._waiting.items()))
            if self._elapsed_s() - since_s < self._grace_s and len(self._waiting) <= WAITING_MAX:
                break
            del self._waiting[name]
            missed += 1
        return missed
