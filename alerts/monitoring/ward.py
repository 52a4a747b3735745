"""One ward as the monitoring knows it.

Owns what is kept of it. Must not know who lies there.
"""

from __future__ import annotations

from alerts.monitoring.configuration import MonitoringSettings
from alerts.monitoring.silence import Silence
from alerts.monitoring.usual import Usual
from alerts.monitoring.watch import Acuity, patience
from events import MILLIS_PER_HOUR, Millis


class Ward:
    """One ward: its silence, how many lie on it, and how late its patients' observations usually come."""

    __slots__ = ("chunk", "patience", "present", "silence", "usual")

    def __init__(self, at: Millis, chunk: int = 0) -> None:
        self.chunk = chunk
        self.silence = Silence(at)
        self.present = 0
        self.usual = (Usual(hours=1), Usual(hours=1), Usual(hours=1))
        """By acuity."""
        self.patience: list[tuple[int, Millis]] = [(-1, 0)] * len(self.usual)
        """By acuity: the hour in which it was last reckoned how long a patient may go unobserved, and how long."""

    def patient_may_wait(self, settings: MonitoringSettings, acuity: Acuity, at: Millis) -> Millis:
        """Say how long a patient may go without an observation that is heard of; reckoned anew each hour."""
        hour, found = self.patience[acuity]
        if hour != at // MILLIS_PER_HOUR:
            found = patience(settings, acuity, self.usual[acuity])
            self.patience[acuity] = (at // MILLIS_PER_HOUR, found)
        return found
