"""What became of one value that was offered to a patient's state.

Owns the outcomes and reasons, each of which is counted. Must not know how the state keeps what it accepted.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Outcome = Literal[
    "accepted",
    "corrected",
    "withdrawn",
    "duplicate",
    "quarantined",
    "unmapped",
    "absent",
    "too_old",
    "unmatched_correction",
    "superseded",
    "thinned",
]


class Intake(msgspec.Struct, frozen=True, gc=False):
    """One value's fate.

    `reason` is empty, or for a quarantine: impossible_value, unknown_unit, unit_mismatch, missing_unit, not_a_number,
    unknown_answer, future_time, unreliable (the device does not vouch for it), replaced_by_nothing (a correction
    without a value; the old one stays); for others: `updated` (the same result came again with another value), `coarse`
    (the target lies in an hourly bucket and can no longer be told apart), `unmatched_correction` (a replacement for a
    result that was never seen, taken as a reading), `corrected` or `withdrawn` (of a superseded value: what had been
    done to it before it came), or the sender's own reason of absence; `kept` (thinned: this device's reading stays, and
    others of its quarter of an hour were let go for it) or `gone` (it was let go itself). `observation_id` of what was
    corrected or withdrawn is that of the entry which was removed. `value` is in the feature's unit, or as sent where it
    could not be converted.

    >>> Intake("quarantined", "temperature", "impossible_value", 7, 0, 6932.0).outcome
    'quarantined'
    """

    outcome: Outcome
    feature: str
    reason: str
    observation_id: int
    event_time: int
    value: float | None
