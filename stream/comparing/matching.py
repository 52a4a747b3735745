"""Which alert of one run is which of another, and what became of each.

Owns the pairs and the words for them. Must not know why. What counts is what a ward heard: an alert that was only in
shadow, or held, and is told in the other run has appeared there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from events import MILLIS_PER_HOUR
from stream.comparing.runs import Life

APART_MAX_MS = 12 * MILLIS_PER_HOUR
"""Two alerts of one patient and trigger are one that moved where they were raised within NEWS2's longest interval."""

Kind = Literal["same", "moved", "changed", "appeared", "vanished", "unheard"]


class Pair(NamedTuple):
    """One alert, as it was in either run; None where there is none."""

    first: Life | None
    second: Life | None

    @property
    def kind(self) -> Kind:
        """Say what became of it."""
        heard = [one is not None and one.told is not None for one in self]
        if not any(heard):
            return "unheard"
        if not all(heard):
            return "appeared" if heard[1] else "vanished"
        first, second = self.first, self.second
        assert first is not None
        assert second is not None
        if (first.told, first.ward) != (second.told, second.ward):
            return "moved"
        return "same" if (first.priority, first.end) == (second.priority, second.end) else "changed"

    @property
    def shown(self) -> Life:
        """Give the one that a ward heard, of two the first run's."""
        one = self.first if self.first is not None and (self.first.told is not None or self.second is None) else None
        found = one or self.second
        assert found is not None
        return found


def pairs(first: Mapping[str, Life], second: Mapping[str, Life]) -> list[Pair]:
    """Pair alerts: by id (content names it), then those of one patient and trigger that were raised near each other."""
    found = [Pair(first[name], second[name]) for name in first.keys() & second.keys()]
    left, right = _waiting(first, second), _waiting(second, first)
    for key in left.keys() | right.keys():
        found += _nearest(left.get(key, []), right.get(key, []))
    return sorted(found, key=lambda pair: (pair.shown.told or pair.shown.raised, pair.shown.alert_id))


def _waiting(own: Mapping[str, Life], other: Mapping[str, Life]) -> dict[tuple[str, str], list[Life]]:
    by: dict[tuple[str, str], list[Life]] = defaultdict(list)
    for name, one in own.items():
        if name not in other:
            by[one.patient, one.trigger].append(one)
    return by


def _nearest(first: Iterable[Life], second: Iterable[Life]) -> list[Pair]:
    """Pair the nearest first; what has none within reach is alone."""
    left, right = {one.alert_id: one for one in first}, {one.alert_id: one for one in second}
    apart = sorted(
        (abs(a.raised - b.raised), a.alert_id, b.alert_id)
        for a in left.values()
        for b in right.values()
        if abs(a.raised - b.raised) <= APART_MAX_MS
    )
    found = []
    for _, a, b in apart:
        if a in left and b in right:
            found.append(Pair(left.pop(a), right.pop(b)))
    return found + [Pair(one, None) for one in left.values()] + [Pair(None, one) for one in right.values()]
