"""Whether a version's alerts come as often as they used to at this hour of the day.

Owns the habit of the first days, and the evidence that it has gone. Must not know what an alert is, nor what is done.

The habit is learned in the first `reference_h` hours under a version: alerts and patients heard, by the hour of the day
(UTC), each hour drawn towards the mean of all by `PRIOR_ALERTS` alerts. After that each hour's count is held against
Poisson's law with the patients heard in that hour (models/drift/sequential.py). A patient counts once in `PERIOD_MS`: a
version that flickers over one patient is no flood on the ward, and Poisson's law is of independent events.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from events import MILLIS_PER_HOUR, Millis
from models.drift.sequential import Detector, DetectorState, rate_bets
from models.drift.thinning import Thinned, ThinnedState

HOURS = 24
PRIOR_ALERTS = 3.0
"""So many alerts at the mean rate are added to each hour of the day: of a few alerts a day an hour has seen one."""
ALERTS_MIN = 10
"""With fewer in the reference hours its end is put off: a rate that rests on nothing would make any alert a flood."""
PERIOD_MS = 4 * MILLIS_PER_HOUR
"""The RCP's interval of observation at a score of 1-4, and the chain's own refractory time."""
RATIOS_BEYOND = (1.4, 2.5)
"""Rates that are looked for: the tolerated one times these, and its inverse by these."""
HEARD_MAX = 100_000
"""Patients of one hour that are told apart."""

Level = Literal["notice", "serious"]
LEVELS: tuple[Level, ...] = ("notice", "serious")


class AlertLimits(msgspec.Struct, frozen=True):
    """What is tolerated, as (notice, serious)."""

    ratios: tuple[float, float] = (1.5, 2.0)
    reference_h: int = 7 * HOURS
    hours_between_alarms: float = 20_000.0
    """Two years and more between two false findings, at the least."""


class AlertFinding(msgspec.Struct, frozen=True):
    """The rate stands beyond its tolerance."""

    level: Level
    above: bool


class AlertState(msgspec.Struct, frozen=True):
    """All that `AlertRate` knows, as plain numbers."""

    began: int
    """The first hour heard; -1 before any."""
    hour: int
    heard: tuple[str, ...]
    alerts: int
    reference_alerts: tuple[int, ...]
    reference_heard: tuple[int, ...]
    settled: bool
    thinned: ThinnedState
    detector: DetectorState
    recent: tuple[tuple[int, float], ...]


class AlertRate:
    """The alert rate of one version.

    >>> rate = AlertRate(AlertLimits(reference_h=48))
    >>> for hour in range(96):
    ...     for patient in range(20):
    ...         rate.scored(f"{hour}/{patient}", hour * MILLIS_PER_HOUR)
    ...     for number in range(1 if hour < 72 else 6): rate.alerted(f"{hour}/{number}", hour * MILLIS_PER_HOUR)
    >>> [finding.level for finding in rate.findings() if finding.above]
    ['notice', 'serious']
    """

    def __init__(self, limits: AlertLimits | None = None) -> None:
        self.limits = limits or AlertLimits()
        self._detector = Detector(len(LEVELS), 2 * len(RATIOS_BEYOND), self.limits.hours_between_alarms * len(LEVELS))
        self._thinned = Thinned(PERIOD_MS)
        self._began, self._hour = -1, -1
        self._heard: dict[str, None] = {}
        self._alerts = 0
        self._reference_alerts = [0] * HOURS
        self._reference_heard = [0] * HOURS
        self._settled = False
        self._recent: list[tuple[int, float]] = []
        """Of the newest day's hours: alerts, and how many were to be expected."""

    def scored(self, patient: str, at: Millis) -> None:
        """Hear that a patient was scored."""
        self.advance(at)
        if len(self._heard) < HEARD_MAX:
            self._heard[patient] = None

    def alerted(self, patient: str, at: Millis) -> None:
        """Hear that the version raised an alert about a patient."""
        self.advance(at)
        self._alerts += self._thinned.take(patient, at)

    def advance(self, at: Millis) -> None:
        """Let time reach `at`: an hour that has ended is held against the habit."""
        hour = at // MILLIS_PER_HOUR
        if hour <= self._hour:
            return
        if self._hour >= 0:
            self._close()
        self._thinned.forget(at)
        self._hour = hour
        self._began = hour if self._began < 0 else self._began
        enough = sum(self._reference_alerts) >= ALERTS_MIN
        self._settled = self._settled or (enough and hour - self._began >= self.limits.reference_h)

    def _close(self) -> None:
        """End the hour: it is learned from, or held against what was."""
        of_day, heard, alerts = self._hour % HOURS, len(self._heard), self._alerts
        self._heard.clear()
        self._alerts = 0
        if not self._settled:
            self._reference_alerts[of_day] += alerts
            self._reference_heard[of_day] += heard
            return
        expected = self.expected(of_day, heard)
        if not expected > 0.0:
            return
        self._recent = [*self._recent, (alerts, expected)][-HOURS:]
        rows = []
        for ratio in self.limits.ratios:
            looked_for = tuple(by for beyond in RATIOS_BEYOND for by in (ratio * beyond, 1.0 / (ratio * beyond)))
            rows.append(rate_bets(alerts, expected, ratio, looked_for))
        self._detector.step(np.stack(rows))

    def expected(self, hour_of_day: int, heard: int) -> float:
        """Give how many alerts are usual of so many patients heard in an hour of the day."""
        patients = sum(self._reference_heard)
        if not patients:
            return 0.0
        mean = sum(self._reference_alerts) / patients
        if not mean:
            return 0.0
        own = self._reference_alerts[hour_of_day] + PRIOR_ALERTS
        return heard * own / (self._reference_heard[hour_of_day] + PRIOR_ALERTS / mean)

    def findings(self) -> tuple[AlertFinding, ...]:
        """Give what stands beyond its tolerance now."""
        strongest = self._detector.strongest()
        return tuple(
            AlertFinding(level, above=int(strongest[place]) % 2 == 0)
            for place, level in enumerate(LEVELS)
            if self._detector.raised[place]
        )

    def recent(self) -> tuple[int, float]:
        """Give the newest day's alerts, and how many were to be expected."""
        return sum(alerts for alerts, _ in self._recent), sum(expected for _, expected in self._recent)

    def state(self) -> AlertState:
        """Give everything as plain numbers."""
        return AlertState(
            self._began,
            self._hour,
            tuple(self._heard),
            self._alerts,
            tuple(self._reference_alerts),
            tuple(self._reference_heard),
            self._settled,
            self._thinned.state(),
            self._detector.state(),
            tuple(self._recent),
        )

    @classmethod
    def restored(cls, state: AlertState, limits: AlertLimits | None = None) -> AlertRate:
        """Go on from a state, alike."""
        made = cls(limits)
        made._began, made._hour = state.began, state.hour
        made._heard = dict.fromkeys(state.heard)
        made._alerts = state.alerts
        made._reference_alerts, made._reference_heard = list(state.reference_alerts), list(state.reference_heard)
        made._settled = state.settled
        made._thinned.restore(state.thinned)
        made._detector = Detector.restored(state.detector)
        made._recent = list(state.recent)
        return made
