"""Whether the values of a feature still come from a feed as they did: each feed and feature by itself.

Owns a monitor for each feed and feature, its own reference and the bounds on both. Must not know codes or units: values
come in the feature's own. What the version reads may stay near its reference while one of two analysers has moved; here
that one is told, by name.

The reference is the first `REFERENCE_VALUES` values of a patient each that the feed sent, for a version knows no feeds;
after that both tests of models/drift/inputs.py hold what comes against it. A new habit is made the reference by a
person (`forget`), never by itself: what drifts slowly would take its reference with it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from events import Millis
from models.drift.inputs import InputLimits, InputMonitor, InputState, Shift
from models.drift.summary import InputSummary, summary_of
from models.drift.thinning import PERIOD_MS, Thinned, ThinnedState

REFERENCE_VALUES = 500
"""Ten tenths of fifty."""
SUBJECTS_MAX = 256
"""Feeds and features watched at once: a dozen feeds of twenty. Those heard first are watched; the rest are counted."""
LIMITS = InputLimits(rows_between_alarms=500_000.0)
"""For one feed's feature: `SUBJECTS_MAX` of them have a false step once in some 2,000 values each."""

Subject = tuple[str, str]
"""Feed and feature."""


class SubjectState(msgspec.Struct, frozen=True):
    """One feed's feature: the values of the reference until it is made, then the monitor."""

    feed: str
    feature: str
    values: tuple[tuple[float, str], ...]
    thinned: ThinnedState
    summary: InputSummary | None
    monitor: InputState | None


class FeedValues:
    """The monitors of all feeds' features.

    >>> values = FeedValues(InputLimits(settling_ms=0))
    >>> for number in range(500): values.hear("LAB", "lactate", str(number), 0, 1.0 + number % 10)
    >>> for number in range(300): values.hear("LAB", "lactate", f"n{number}", number * 360_000, 9.0 * (1 + number % 10))
    >>> [(feed, feature, shift.at_once, shift.direction > 0) for (feed, feature), shift in values.shifted()]
    [('LAB', 'lactate', True, True), ('LAB', 'lactate', False, True)]
    """

    def __init__(self, limits: InputLimits = LIMITS) -> None:
        self._limits = limits
        self._values: dict[Subject, list[tuple[float, str]]] = {}
        self._thinned: dict[Subject, Thinned] = {}
        self._monitors: dict[Subject, InputMonitor] = {}
        self.unwatched = 0
        """Values of feeds and features beyond `SUBJECTS_MAX`."""

    def hear(self, feed: str, feature: str, patient: str, at: Millis, value: float) -> None:
        """Take in a value in the feature's own unit; what is not finite is not heard."""
        if not np.isfinite(value):
            return
        subject = (feed, feature)
        monitor = self._monitors.get(subject)
        if monitor is not None:
            monitor.hear(patient, at, (value,))
            return
        if subject not in self._values:
            if len(self._values) + len(self._monitors) >= SUBJECTS_MAX:
                self.unwatched += 1
                return
            self._values[subject], self._thinned[subject] = [], Thinned(PERIOD_MS)
        if self._thinned[subject].take(patient, at):
            self._values[subject].append((value, patient))
            if len(self._values[subject]) >= REFERENCE_VALUES:
                self._settle(subject)

    def _settle(self, subject: Subject) -> None:
        values = self._values.pop(subject)
        del self._thinned[subject]
        numbers: dict[str, int] = {}
        patients = np.array([numbers.setdefault(patient, len(numbers)) for _, patient in values])
        matrix = np.array([[value] for value, _ in values])
        self._monitors[subject] = InputMonitor(summary_of((subject[1],), matrix, patients), self._limits)

    def advance(self, at: Millis) -> None:
        """Let time reach `at`."""
        for monitor in self._monitors.values():
            monitor.advance(at)

    def shifted(self) -> Iterator[tuple[Subject, Shift]]:
        """Give what has shifted and not come back, of which feed and feature."""
        for subject, monitor in self._monitors.items():
            for shift in monitor.shifted():
                yield subject, shift

    def forget(self, feed: str, feature: str) -> None:
        """Let what comes from here on be the reference of a feed's feature."""
        self._monitors.pop((feed, feature), None)
        self._values.pop((feed, feature), None)
        self._thinned.pop((feed, feature), None)

    def state(self) -> tuple[SubjectState, ...]:
        """Give everything as plain numbers and names."""
        waiting = tuple(
            SubjectState(*subject, tuple(values), self._thinned[subject].state(), None, None)
            for subject, values in self._values.items()
        )
        watched = tuple(
            SubjectState(*subject, (), (), monitor.summary, monitor.state())
            for subject, monitor in self._monitors.items()
        )
        return waiting + watched

    @classmethod
    def restored(cls, state: tuple[SubjectState, ...], limits: InputLimits = LIMITS) -> FeedValues:
        """Go on from a state, alike."""
        made = cls(limits)
        for one in state:
            subject = (one.feed, one.feature)
            if one.summary is not None and one.monitor is not None:
                made._monitors[subject] = InputMonitor.restored(one.summary, one.monitor, limits)
            else:
                made._values[subject] = list(one.values)
                made._thinned[subject] = Thinned(PERIOD_MS)
                made._thinned[subject].restore(one.thinned)
        return made
