"""How a trouble goes over time: it comes, is treated or not, and passes.

Owns severity as a function of time. Must not know what severity does to a body.
"""

from __future__ import annotations

import math

import msgspec

from connectors.hospital.troubles import Treatment, Trouble
from events import MILLIS_PER_HOUR, Millis

FORGOTTEN_BELOW = 0.004
"""A severity below this moves no charted number; the course is over."""


class Course(msgspec.Struct, frozen=True):
    """One trouble of one patient: since when, how fast, how bad at most, and when it is treated with what.

    `treated_time` None: never, or not in time.

    >>> from connectors.hospital.troubles import SEPSIS
    >>> course = Course(SEPSIS, SEPSIS.treatments[0], onset_time=0, ramp_h=10.0)
    >>> course.severity(20 * MILLIS_PER_HOUR), course.strength(5 * MILLIS_PER_HOUR)
    (1.0, (0.5, 0.25))
    """

    trouble: Trouble
    treatment: Treatment
    onset_time: Millis
    ramp_h: float
    treated_time: Millis | None = None
    peak: float = 1.0

    def severity(self, at: Millis) -> float:
        """Give the severity of the early signs at a time: 0 well, 1 as bad as it gets."""
        return self.strength(at)[0]

    def strength(self, at: Millis) -> tuple[float, float]:
        """Give how strong the early and the late signs are at a time, each from 0 to 1."""
        if at <= self.onset_time:
            return 0.0, 0.0
        treated = self.treated_time
        if treated is None or at <= treated:
            return self._rise(at)
        early, late = self._rise(treated)
        hours = (at - treated) / MILLIS_PER_HOUR
        return (
            early * math.exp2(-hours / self.treatment.cause_half_life_h),
            late * math.exp2(-hours / self.treatment.circulation_half_life_h),
        )

    def _rise(self, at: Millis) -> tuple[float, float]:
        hours = (at - self.onset_time) / MILLIS_PER_HOUR
        slow = _smooth(hours / self.ramp_h)
        early_h = self.trouble.early_h
        fast = slow if early_h is None else _smooth(hours / early_h)
        late = self.peak * slow
        return self.peak * fast, late * late


def _smooth(share: float) -> float:
    return 1.0 if share >= 1.0 else share * share * (3.0 - 2.0 * share)
