"""Quarantined values that are newer than the latest good one: what NEWS2 must say beside the score.

Owns which notice stands and what takes it down. Must not know how good values are kept.
"""

from __future__ import annotations

from events import Millis
from features.intake import Intake


class Notices(dict[int, tuple[Millis, Intake]]):
    """(time, quarantined intake) by feature index.

    `refused` is the id last quarantined of each feature, kept when its notice has gone: a correction of it never means
    a reading that another device took at that very time.

    >>> notices = Notices()
    >>> notices.hold(0, 5, Intake("quarantined", "heart_rate", "impossible_value", 7, 5, 7000.0), good_until=4)
    >>> notices.take_down(0, 7), notices.take_down(0, 7)
    (True, False)
    """

    __slots__ = ("refused",)

    def __init__(self, notices: dict[int, tuple[Millis, Intake]] | None = None) -> None:
        super().__init__(notices or {})
        self.refused: dict[int, int] = {}

    def hold(self, index: int, time: Millis, intake: Intake, good_until: Millis) -> None:
        """Keep a notice of after `good_until`, unless a newer one stands."""
        self.refused[index] = intake.observation_id
        held = self.get(index)
        if time > good_until and (held is None or time >= held[0]):
            self[index] = (time, intake)

    def names(self, index: int, identity: int) -> bool:
        """Say whether the notice of a feature is of this id."""
        held = self.get(index)
        return held is not None and held[1].observation_id == identity

    def settle(self, index: int, time: Millis, identity: int) -> None:
        """Take the notice of a feature down for a good value that is as new, or is its own mended."""
        held = self.get(index)
        if held is not None and (held[0] <= time or held[1].observation_id == identity):
            del self[index]

    def take_down(self, index: int, identity: int) -> bool:
        """Forget a result that is replaced or taken back; true if it had been quarantined."""
        known = self.refused.get(index) == identity
        if known:
            del self.refused[index]
        if self.names(index, identity):
            known = True
            del self[index]
        return known
