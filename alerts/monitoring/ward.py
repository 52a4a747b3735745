"""One ward as the monitoring knows it.

Owns what is kept of it. Must not know who lies there.
"""

from __future__ import annotations

from alerts.monitoring.silence import Silence
from alerts.monitoring.usual import Usual
from events import Millis


class Ward:
    """One ward: its silence, how many lie on it, and how late its patients' observations usually come."""

    __slots__ = ("present", "silence", "usual")

    def __init__(self, at: Millis) -> None:
        self.silence = Silence(at)
        self.present = 0
        self.usual = (Usual(), Usual(), Usual())
        """By acuity."""
