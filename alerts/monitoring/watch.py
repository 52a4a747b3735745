"""One patient as the monitoring knows him: when he was last observed, and what his values were.

Owns what is kept of a patient and how long he may go unobserved. Must not know anything clinical beside NEWS2.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from alerts.monitoring.configuration import MonitoringSettings
from alerts.monitoring.silence import NEVER
from alerts.monitoring.usual import Usual
from events import Millis

Acuity = Literal[0, 1, 2]
"""Which of the RCP's intervals is a patient's: 12-hourly, 4- to 6-hourly, hourly."""

LEARNED_EIGHTHS = 10
"""Eighths of what is usual for a ward's patients of one acuity that are let pass: a quarter more than usual."""


class Watch(msgspec.Struct, array_like=True, gc=False):
    """What is kept of one patient, as it is stored. `ward` is empty, and nothing overdue, while he is not here."""

    chunk: int = 0
    ward: str = ""
    here: bool = False
    acuity: Acuity = 0
    heard: Millis = 0
    """When vital signs were last received."""
    since: Millis = 0
    """From when on his silence counts, unless all were excused since (`Residents.excuse`)."""
    deadline: Millis = NEVER
    told: bool = False
    event_time: Millis = -(1 << 62)
    """Of the newest message."""
    vital: bool = False
    """Whether the message at hand held a vital sign."""
    values: dict[int, float] = msgspec.field(default_factory=dict)
    """By feature: the newest number, as sent."""
    runs: dict[int, tuple[int, Millis]] = msgspec.field(default_factory=dict)
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
