"""How long an alert waits: for an answer, and for evidence.

Owns the timers' settings and their validation. Must not know thresholds (guardrails') or who answers.
"""

from __future__ import annotations

import msgspec

from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE
from guardrails.configuration import ConfigurationError

ESCALATE_INTERRUPT_MS_DEFAULT = 15 * MILLIS_PER_MINUTE
"""NEWS2 of 7 or more asks for an emergency response; unanswered for this long, somebody else must know."""
ESCALATE_NOTIFY_MS_DEFAULT = 60 * MILLIS_PER_MINUTE
"""NEWS2 of 5-6 or a red parameter asks for reobservation at least hourly (RCP 2017)."""
EXPIRE_MS_DEFAULT = 13 * MILLIS_PER_HOUR
"""An hour past the RCP's longest observation interval: an alert whose ground nobody saw for so long speaks of the past,
and the ward has heard by then that its inputs have expired."""
EPISODE_GAP_MS_DEFAULT = 6 * MILLIS_PER_HOUR
"""An alert that follows the last one's end within this time belongs to the same episode."""


class AlertSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Timers in milliseconds; raises `ConfigurationError` naming the key of a time that is not positive.

    >>> AlertSettings(expire_ms=0)
    Traceback (most recent call last):
    ...
    guardrails.configuration.ConfigurationError: expire_ms: 0 is not positive
    """

    escalate_interrupt_ms: int = ESCALATE_INTERRUPT_MS_DEFAULT
    escalate_notify_ms: int = ESCALATE_NOTIFY_MS_DEFAULT
    expire_ms: int = EXPIRE_MS_DEFAULT
    episode_gap_ms: int = EPISODE_GAP_MS_DEFAULT

    def __post_init__(self) -> None:
        """Refuse a timer that could never wait."""
        for key in self.__struct_fields__:
            if getattr(self, key) <= 0:
                raise ConfigurationError(key, f"{getattr(self, key)} is not positive")
