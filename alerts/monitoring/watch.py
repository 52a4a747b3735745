"""One patient as the monitoring knows him: when he was last observed, and what his values were.

Owns what is kept of a patient and how long he may go unobserved. Must not know anything clinical beside NEWS2.
"""

from __future__ import annotations

from typing import Literal

from alerts.monitoring.configuration import MonitoringSettings
from alerts.monitoring.silence import NEVER
from alerts.monitoring.usual import Usual
from events import Millis

Acuity = Literal[0, 1, 2]
"""Which of the RCP's intervals is a patient's: 12-hourly, 4- to 6-hourly, hourly."""

LEARNED_EIGHTHS = 10
"""Eighths of what is usual for a ward's patients of one acuity that are let pass: a quarter more than usual."""


class Watch:
    """What is kept of one patient. `ward` is empty, and nothing overdue, while he is not here."""

    __slots__ = (
        "acuity", "chunk", "deadline", "entry", "event_time", "heard", "here", "runs", "since", "told", "values",
        "vital", "ward",
    )  # fmt: skip

    def __init__(self, chunk: int = 0) -> None:
        self.chunk = chunk
        self.ward = ""
        self.here = False
        self.acuity: Acuity = 0
        self.heard: Millis = 0
        """When vital signs were last received."""
        self.since: Millis = 0
        """From when on his silence counts."""
        self.deadline: Millis = NEVER
        self.entry: Millis = NEVER
        self.told = False
        self.event_time: Millis = -(1 << 62)
        """Of the newest message."""
        self.vital = False
        """Whether the message at hand held a vital sign. Not part of what is stored."""
        self.values: dict[int, float] = {}
        """By feature: the newest number, as sent."""
        self.runs: dict[int, tuple[int, Millis]] = {}
        """By feature: how often in succession it was that, and since when; only where more than once."""


def acuity_of(total: int, *, red: bool) -> Acuity:
    """Give which interval a NEWS2 asks for (RCP 2017, chart 4).

    >>> acuity_of(0, red=False), acuity_of(3, red=False), acuity_of(3, red=True), acuity_of(7, red=False)
    (0, 1, 2, 2)
    """
    if red or total >= 5:
        return 2
    return 1 if total else 0


def interval_of(settings: MonitoringSettings, acuity: Acuity) -> Millis:
    """Give the interval that an acuity asks for."""
    return (
        settings.patient_interval_low_ms,
        settings.patient_interval_some_ms,
        settings.patient_interval_high_ms,
    )[acuity]


def patience(settings: MonitoringSettings, acuity: Acuity, usual: Usual | None) -> Millis:
    """Say how long a patient may go without an observation that is heard of.

    The interval and the grace; longer, up to twice the interval and the grace, where his ward is usually that late.

    >>> patience(MonitoringSettings(), 2, None) // 60_000
    165
    """
    interval = interval_of(settings, acuity)
    least = interval + settings.patient_grace_ms
    bound = None if usual is None else usual.bound(0, 0)
    if bound is None:
        return least
    most = min(interval + least, max(settings.patient_silence_ms_max, least))
    return min(max(least, bound * LEARNED_EIGHTHS // 8), most)
