"""The ward board: who lies where, how they score, how old that is, and what was said. Built from effects and records.

Owns the board's rows and their order. Must not know a terminal or a browser, nor decide anything.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

import msgspec

from alerts.contract import AlertEvent
from events import Location, Millis
from stream.effects import Effect, Score, Suppression
from stream.records import RecordShelf

RECENT_EVENTS_MAX = 12
"""What a person can take in at a glance; the rest is in the outputs."""
LIVE_STATES = frozenset({"raised", "updated", "acknowledged", "escalated"})


class Row(msgspec.Struct, frozen=True):
    """One patient on the board."""

    patient: str
    location: Location
    score: Score
    alert: AlertEvent | None


class Board:
    """The latest score and alert of each patient who is here."""

    def __init__(self, shelf: RecordShelf) -> None:
        self._shelf = shelf
        self._scores: dict[str, Score] = {}
        self._alerts: dict[str, AlertEvent] = {}
        self.recent: deque[AlertEvent] = deque(maxlen=RECENT_EVENTS_MAX)
        self.withheld: Counter[str] = Counter()
        self.said: Counter[str] = Counter()

    def take(self, effects: Sequence[Effect]) -> None:
        """Take in what was carried out."""
        for effect in effects:
            if type(effect) is Score:
                self._scores[effect.patient] = effect
            elif type(effect) is Suppression:
                self.withheld[effect.withheld_by.reason] += 1
            elif type(effect) is AlertEvent:
                self._take_alert(effect)

    def _take_alert(self, event: AlertEvent) -> None:
        self.said[f"{event.trigger} {event.state}"] += 1
        if event.disposition == "told":
            self.recent.append(event)
        if event.state in LIVE_STATES:
            self._alerts[event.alert_id] = event
        else:
            self._alerts.pop(event.alert_id, None)

    def rows(self) -> list[Row]:
        """Give the patients who are here, the sickest first; the discharged leave the board."""
        worst: dict[str, AlertEvent] = {}
        for event in self._alerts.values():
            known = worst.get(event.patient)
            if known is None or (event.priority == "interrupt" and known.priority != "interrupt"):
                worst[event.patient] = event
        rows = []
        for patient, score in list(self._scores.items()):
            record = self._shelf.find(patient)
            if record is None or record.state.discharged_time is not None:
                del self._scores[patient]
                continue
            rows.append(Row(patient, record.state.location, score, worst.get(patient)))
        return sorted(rows, key=lambda row: (-row.score.news2.total, -(row.score.probability or 0.0), row.patient))

    def clock(self) -> Millis:
        """Give the newest received time on the board."""
        return max((score.received_time for score in self._scores.values()), default=0)
