"""The signals of the monitoring that stand, as a board and the list of feeds show them.

Owns which stand and the documents of them. Must not know why one was raised. Written on one thread and read on any: who
reads has a whole list.
"""

from __future__ import annotations

from typing import Any

from alerts.monitoring.signal import Signal
from events import to_iso

SHOWN_MAX = 100
"""Signals in one document: the newest; a board names a dozen and counts the rest."""

Key = tuple[int, str, str]


class StandingSignals:
    """What was raised and not cleared.

    >>> from alerts.monitoring.signal import make_signal
    >>> signals = StandingSignals()
    >>> signals.take(make_signal("feed_silent", "feed|LAB", "raised", 1, 60_000, 0, 0, feed="LAB", wards=("W3",)))
    >>> [one["kind"] for one in signals.shown("W3")], signals.shown("W4"), list(signals.by_feed())
    (['feed_silent'], [], ['LAB'])
    """

    def __init__(self) -> None:
        self._standing: dict[Key, Signal] = {}
        self.all: tuple[Signal, ...] = ()
        """The newest last."""

    def take(self, signal: Signal) -> None:
        """Hear a signal."""
        key = (signal.partition, signal.kind, signal.subject)
        if signal.state == "raised":
            self._standing[key] = signal
        elif signal.state == "cleared":
            self._standing.pop(key, None)
        else:
            return
        self.all = tuple(self._standing.values())

    def shown(self, *wards: str) -> list[dict[str, Any]]:
        """Give what some wards should know, the newest first; of all wards where none is named.

        A signal that names no ward is for everybody.
        """
        named = frozenset(wards)
        chosen = [one for one in self.all if not named or not one.wards or not named.isdisjoint(one.wards)]
        return [_render(one) for one in reversed(chosen[-SHOWN_MAX:])]

    def by_feed(self) -> dict[str, list[dict[str, Any]]]:
        """Give what is said of each feed."""
        found: dict[str, list[dict[str, Any]]] = {}
        for one in self.all:
            if one.feed and not one.patient:
                found.setdefault(one.feed, []).append(_render(one))
        return found


def _render(signal: Signal) -> dict[str, Any]:
    return {
        "kind": signal.kind,
        "since": to_iso(signal.since),
        "told": to_iso(signal.received_time),
        "feed": signal.feed,
        "ward": signal.ward,
        "patient": signal.patient,
        "feature": signal.feature,
        "code": signal.code,
        "detail": signal.detail,
    }
