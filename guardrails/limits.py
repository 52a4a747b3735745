"""A clinician's own recorded limit for one patient: the only thing that changes what the floor tells.

Owns the limit's shape and when it is in force. Must not know who may record one (an authenticated event in the log) or
how it is shown. Scale 2 and sedation are not here: they change the score itself, not what is told of it.
"""

from __future__ import annotations

from typing import Self

import msgspec

from events import Millis

NOTIFY_AT = 5
"""NEWS2 at which the RCP asks for an urgent response (2017, chart 4: aggregate 5-6)."""
INTERRUPT_AT = 7
"""NEWS2 at which the RCP asks for an emergency response (2017, chart 4: aggregate 7 or more)."""


class ClinicianLimit(msgspec.Struct, frozen=True):
    """NEWS2 totals from which this patient's ward is told, as one clinician recorded them until `expires_at`.

    `reason` is a code (`end_of_life`, `known_baseline`), `recorded_by` a role or pseudonym; the board shows both.
    """

    notify_at: int
    interrupt_at: int
    expires_at: Millis
    tell_red: bool = True
    reason: str = ""
    recorded_by: str = ""

    def __post_init__(self) -> None:
        """Refuse a limit that contradicts itself."""
        if not 0 < self.notify_at <= self.interrupt_at:
            raise ValueError(f"notify_at {self.notify_at} must be above 0 and at most interrupt_at {self.interrupt_at}")

    def in_force(self, at: Millis) -> Self | None:
        """Give the limit while it lasts, None from `expires_at` on.

        >>> ClinicianLimit(notify_at=7, interrupt_at=9, expires_at=100).in_force(100) is None
        True
        """
        return self if at < self.expires_at else None
