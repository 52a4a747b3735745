"""A reading as it is handed out: a value with its time and its origin.

Owns the type. Must not know how it was kept.
"""

from __future__ import annotations

import msgspec

from events import Millis


class Reading(msgspec.Struct, frozen=True, gc=False):
    """A value with its time and origin; `value` is in the feature's unit.

    `received_time` and `message_id` are kept for the newest reading of a feature; 0 and "" elsewhere say "not kept".

    >>> Reading("heart_rate", 72.0, 1_000, 2_000, 7, "m1").value
    72.0
    """

    feature: str
    value: float
    event_time: Millis
    received_time: Millis
    observation_id: int
    message_id: str
