"""The ward board: who lies where, how they score, how old that is, and what was said. Built from effects and records.

Owns the board's rows and their order. Must not know a terminal or a browser, nor decide anything.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from alerts.contract import AlertEvent
from alerts.monitoring.signal import Signal
from alerts.waiting import places
from events import MILLIS_PER_HOUR, Location, Millis
from stream.effects import Effect, Score, Suppression
from stream.records import PatientRecord
from stream.standing import StandingSignals

RECENT_EVENTS_MAX = 12
"""What a person can take in at a glance; the rest is in the outputs."""
RETRACTION_SHOWN_MS = 12 * MILLIS_PER_HOUR
"""A retraction that nobody acknowledges stays for the longest shift: who comes on duty sees it once."""
GRAVITY = {"board": 0, "notify": 1, "interrupt": 2}
LIVE_STATES = frozenset({"raised", "updated", "acknowledged", "escalated"})


HEARD = frozenset({"told", "board"})
"""Dispositions that a ward hears of by the alert's state. Any other (`shadow`, `held`, `waiting`) names the event
instead, so that who listens for `raised` is not paged by a version that may not speak, nor past a ward's budget."""


def event_name(state: str, disposition: str) -> str:
    """Name an alert event for those who listen.

    >>> event_name("raised", "told"), event_name("raised", "shadow")
    ('raised', 'shadow')
    """
    return state if disposition in HEARD else disposition


class Records(Protocol):
    """Where the patients' records are found: a host's shelf, or what was read of a store."""

    def find(self, patient: str) -> PatientRecord | None:
        """Give a patient's record, or None where there is none."""
        ...

    def watch(self) -> set[str]:
        """Give whose record there is, and note into the same set whose may have changed since it was emptied."""
        ...


class Row(msgspec.Struct, frozen=True):
    """One patient on the board.

    `alert` is the gravest open alert, else the newest retraction; `also` the other open ones, of which there is one at
    the most; `retracted` all retractions nobody has seen yet. `score` is None of whom only a census or an admission has
    told, or whose last score was put out before anybody listened.
    """

    patient: str
    record: PatientRecord
    score: Score | None
    alert: AlertEvent | None
    retracted: tuple[AlertEvent, ...] = ()
    also: tuple[AlertEvent, ...] = ()

    @property
    def location(self) -> Location:
        """Where the patient lies."""
        return self.record.state.location


class Board:
    """The latest score and alert of each patient who is here, and who is here without a score."""

    def __init__(self, shelf: Records) -> None:
        self._shelf = shelf
        self._touched = shelf.watch()
        self._scores: dict[str, Score] = {}
        self._unscored: set[str] = set()
        self._alerts: dict[str, AlertEvent] = {}
        self._retracted: dict[str, AlertEvent] = {}
        self._now: Millis = 0
        self.signals = StandingSignals()
        """What the monitoring says is not heard, or is otherwise."""
        self.recent: deque[AlertEvent] = deque(maxlen=RECENT_EVENTS_MAX)
        self.withheld: Counter[str] = Counter()
        self.said: Counter[str] = Counter()

    def take(self, effects: Sequence[Effect]) -> None:
        """Take in what was carried out."""
        for effect in effects:
            self._now = max(self._now, effect.received_time)
            if type(effect) is Score:
                self._scores[effect.patient] = effect
                self._unscored.discard(effect.patient)
            elif type(effect) is Signal:
                self.signals.take(effect)
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
            return
        self._alerts.pop(event.alert_id, None)
        if event.state == "retracted" and event.disposition in ("told", "board"):
            # What was only held or in shadow nobody saw; its taking back would be the first they hear of it.
            self._retracted[event.alert_id] = event

    def open_alerts(self) -> list[AlertEvent]:
        """Give the newest event of every open alert: the gravest first, of equals the longest known."""
        return sorted(self._standing(), key=lambda event: (-GRAVITY[event.priority], event.received_time))

    def open_by_patient(self) -> dict[str, list[AlertEvent]]:
        """Give the same by patient."""
        found: dict[str, list[AlertEvent]] = {}
        for event in self.open_alerts():
            found.setdefault(event.patient, []).append(event)
        return found

    def _standing(self) -> list[AlertEvent]:
        """Give the newest event of every open alert, of one that waits with its place as it is now."""
        now = places(self._alerts.values())
        return [
            msgspec.structs.replace(event, waiting_place=now[event.alert_id]) if event.alert_id in now else event
            for event in self._alerts.values()
        ]

    def forget_counts(self) -> None:
        """Begin counting anew: what was taken in so far was said before, by another process."""
        self.recent.clear()
        self.withheld.clear()
        self.said.clear()

    def seen(self, alert_ids: Iterable[str]) -> None:
        """Take the named retractions off: somebody acknowledged them. Unknown ids change nothing."""
        for alert_id in alert_ids:
            self._retracted.pop(alert_id, None)

    def _still_shown(self) -> dict[str, list[AlertEvent]]:
        """Drop the retractions shown for long enough; give the others by patient, the newest first."""
        by_patient: dict[str, list[AlertEvent]] = {}
        for alert_id, event in list(self._retracted.items()):
            if self._now - event.received_time > RETRACTION_SHOWN_MS:
                del self._retracted[alert_id]
            else:
                by_patient.setdefault(event.patient, []).insert(0, event)
        return by_patient

    def prune(self) -> int:
        """Forget those of whom there is no record any more; give how many are left."""
        for patient in [patient for patient in self._scores if self._shelf.find(patient) is None]:
            del self._scores[patient]
        self._note_unscored()
        self._unscored = {patient for patient in self._unscored if self._shelf.find(patient) is not None}
        return len(self._scores)

    def _note_unscored(self) -> None:
        """Look at those whose records have changed: who is in hospital is shown before anything is measured of him."""
        while self._touched:  # One after another: with a store that is read beside us, more may come meanwhile.
            patient = self._touched.pop()
            if patient not in self._scores and self._is_expected(self._shelf.find(patient)):
                self._unscored.add(patient)
            else:
                self._unscored.discard(patient)

    @staticmethod
    def _is_expected(record: PatientRecord | None) -> bool:
        """Say whether somebody is to be shown without a score: admitted, or measured. Not who is only registered."""
        if record is None or not record.is_here:
            return False
        return record.state.admitted or record.state.is_measured

    def rows(self) -> list[Row]:
        """Give the patients who are here, the sickest first; who is discharged is not shown until he comes back."""
        standing = self.open_by_patient()
        retracted = self._still_shown()
        self._note_unscored()
        rows = []
        for patient in (*self._scores, *self._unscored):
            score, record = self._scores.get(patient), self._shelf.find(patient)
            if record is None or not record.is_here:
                self.seen(event.alert_id for event in retracted.get(patient, ()))
                continue
            taken_back = tuple(retracted.get(patient, ()))
            known = standing.get(patient) or taken_back[:1]
            alert, also = (known[0], tuple(known[1:])) if known else (None, ())
            rows.append(Row(patient, record, score, alert, taken_back, also))
        return sorted(rows, key=_sickest_first)

    def clock(self) -> Millis:
        """Give the newest received time on the board."""
        return max((score.received_time for score in self._scores.values()), default=0)


def _sickest_first(row: Row) -> tuple[int, float, str]:
    score = row.score
    return (0, 0.0, row.patient) if score is None else (-score.news2.total, -(score.probability or 0.0), row.patient)
