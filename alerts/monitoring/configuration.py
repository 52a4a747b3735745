"""When silence is told, and from how much evidence a change upstream.

Owns the settings of the monitoring and their validation. Must not know who is told. Nothing here touches a score.
"""

from __future__ import annotations

import msgspec

from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE
from guardrails.configuration import ConfigurationError

GRACE_MS_DEFAULT = 105 * MILLIS_PER_MINUTE
"""The upper quartile of the delay between a vital sign and its chart, 104 min (Metitiri et al. 2023): an observation
made in time may be charted so much later."""


class MonitoringSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Times in milliseconds; raises `ConfigurationError` naming the key that cannot be.

    >>> MonitoringSettings(feed_silence_ms_min=0)
    Traceback (most recent call last):
    ...
    guardrails.configuration.ConfigurationError: feed_silence_ms_min: 0 is not positive
    """

    enabled: bool = True
    """False: nothing is watched and no signal given. A recorded decision like any other."""
    feed_silence_ms_first: int = 90 * MILLIS_PER_MINUTE
    """A feed's silence that is told before a day of it was heard."""
    feed_silence_ms_min: int = 10 * MILLIS_PER_MINUTE
    """However often a feed speaks, a shorter silence is not told."""
    feed_silence_ms_max: int = 12 * MILLIS_PER_HOUR
    """However seldom it speaks, a longer one is."""
    ward_silence_ms_first: int = 4 * MILLIS_PER_HOUR
    ward_silence_ms_min: int = 30 * MILLIS_PER_MINUTE
    ward_silence_ms_max: int = 16 * MILLIS_PER_HOUR
    patient_interval_low_ms: int = 12 * MILLIS_PER_HOUR
    """Between two observations of a patient whose NEWS2 is 0 (RCP 2017: at least 12-hourly)."""
    patient_interval_some_ms: int = 6 * MILLIS_PER_HOUR
    """The same at 1 to 4 (at least 4- to 6-hourly)."""
    patient_interval_high_ms: int = MILLIS_PER_HOUR
    """The same at 5 and more, or with a red parameter (at least hourly)."""
    patient_grace_ms: int = GRACE_MS_DEFAULT
    """Beyond the interval, before an observation is called overdue: it may be made and not charted yet."""
    patient_silence_ms_max: int = 16 * MILLIS_PER_HOUR
    """However late a ward usually charts, a longer silence is told."""
    learning_ms: int = 24 * MILLIS_PER_HOUR
    """How long a feed or ward is heard before what is usual for it counts."""
    change_readings: int = 12
    """Readings of a code that must be missed, and of an unknown one that came instead, before a remapping is told."""
    unit_readings: int = 3
    """Readings in another unit than usual before that is told."""
    scale_readings: int = 8
    """Readings in succession that are unlike all usual ones, of three patients, before a change of scale is told."""
    frozen_messages: int = 20
    """Messages in succession with nothing new in them, of three patients, before a feed is called frozen."""
    false_alarm_digits: int = 6
    """Flat lines: how many zeros the chance of one by accident has, 0.000001 by default."""
    unwatched_feeds: tuple[str, ...] = ()
    """Feeds whose silence says nothing (a clinic that is shut at weekends)."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        for key in self.__struct_fields__:
            value = getattr(self, key)
            if type(value) is int and value <= 0:
                raise ConfigurationError(key, f"{value} is not positive")
        for subject in ("feed", "ward"):
            least, most = getattr(self, f"{subject}_silence_ms_min"), getattr(self, f"{subject}_silence_ms_max")
            if least > most:
                raise ConfigurationError(f"{subject}_silence_ms_min", f"{least} is above the maximum, {most}")
            first = getattr(self, f"{subject}_silence_ms_first")
            if not least <= first <= most:
                raise ConfigurationError(f"{subject}_silence_ms_first", f"{first} is not within {least} and {most}")
        longest = self.patient_interval_low_ms + self.patient_grace_ms
        if self.patient_silence_ms_max < longest:
            raise ConfigurationError(
                "patient_silence_ms_max",
                f"{self.patient_silence_ms_max} is below the longest interval with its grace, {longest}",
            )
        if self.patient_interval_high_ms > self.patient_interval_some_ms:
            raise ConfigurationError("patient_interval_high_ms", "the sicker must not wait longer than the others")
        if self.patient_interval_some_ms > self.patient_interval_low_ms:
            raise ConfigurationError("patient_interval_some_ms", "the sicker must not wait longer than the others")
        if not 1 <= self.false_alarm_digits <= 12:
            raise ConfigurationError("false_alarm_digits", f"{self.false_alarm_digits} is not within 1 and 12")
