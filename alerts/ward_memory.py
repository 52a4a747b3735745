"""What [ward]'s fold remembers: each ward's count, its alerts, what it was told that counts, and what waits.

Owns that memory, what of it is forgotten and when, and its way to the store and back. Must not know why something is
told or waits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from alerts.telling import Form
from alerts.waiting import Waiting, rank
from alerts.ward_state import (
    FOLD_KEY,
    WAITING_KEY,
    WARD_KEY,
    Known,
    Phase,
    StoredFold,
    StoredWaiting,
    StoredWard,
    seal,
    unseal,
    waiting_key,
    ward_and_alert,
)
from events import MILLIS_PER_HOUR, Millis
from events.times import INSTANT_MAX

ENDED_REMEMBERED_MS = 24 * MILLIS_PER_HOUR
"""A repeat of an ended alert's event comes within batches done again, or a Redis restored from yesterday."""
UNHEARD_REMEMBERED_MS = 90 * 24 * MILLIS_PER_HOUR
"""An open alert of which nothing is heard for longer has lost its end: longer than a stay whose NEWS2 never changes."""
WARD_REMEMBERED_MS = 366 * 24 * MILLIS_PER_HOUR
"""A ward's name that nobody has used for a year (often a sender's mistake); used again, it is counted from 1."""
SWEEP_MS = MILLIS_PER_HOUR
"""How often, by the fold's clock, what may be forgotten is looked for: one pass over all alerts."""
ALERTS_REMEMBERED_MAX = 200_000
"""Of one partition: some 20 MB. Past it those that ended first are forgotten at the next sweep."""

Content = TypeVar("Content")


class Ward(Generic[Content]):
    """One ward."""

    __slots__ = ("alerts", "heard", "name", "seq", "told", "waiting")

    def __init__(self, name: str) -> None:
        self.name = name
        self.seq = 0
        self.heard: Millis = 0
        self.alerts: dict[str, Known] = {}
        self.told: list[Millis] = []
        """When it was told what counts, in order."""
        self.waiting: dict[str, Waiting[Content]] = {}

    def in_rank(self, alert_id: str) -> tuple[float, Millis, str]:
        """Give what an alert that waits here is sorted by."""
        entry = self.waiting[alert_id]
        return rank(entry.risk, entry.received, alert_id)


class WardMemory(Generic[Content]):
    """The memory of one partition's fold."""

    def __init__(self, form: Form[Content]) -> None:
        """Begin with no ward and an open gate."""
        self.clock: Millis = 0
        self.believed_until: Millis = INSTANT_MAX
        """How far the next record may move the clock."""
        self.closed = False
        self.queues: dict[str, Ward[Content]] = {}
        """The wards on which something waits."""
        self._form = form
        self._wards: dict[str, Ward[Content]] = {}
        self._swept = 0
        self._changed: set[str] = set()
        self._changed_waiting: set[tuple[str, str]] = set()
        self._fold_changed = False

    def gate(self, closed: bool) -> None:  # noqa: FBT001 - the gate has two positions
        """Note where the gate stands."""
        if closed != self.closed:
            self.closed = closed
            self._fold_changed = True

    def find(self, name: str) -> Ward[Content] | None:
        """Give a ward that is known."""
        return self._wards.get(name)

    def open(self, name: str) -> Ward[Content]:
        """Give a ward, a new one where it is not known."""
        ward = self._wards.get(name)
        if ward is None:
            ward = self._wards[name] = Ward(name)
        return ward

    def remember(self, ward: Ward[Content], alert_id: str, seq: int, phase: Phase) -> None:
        """Note an event of an alert."""
        ward.heard = self.clock
        ward.alerts[alert_id] = Known(seq, phase, self.clock)
        self._changed.add(ward.name)

    def number(self, ward: Ward[Content]) -> int:
        """Give the ward's next number."""
        ward.seq += 1
        self._changed.add(ward.name)
        return ward.seq

    def newest(self) -> list[tuple[str, int]]:
        """Give each ward that was told anything, by name, with its number."""
        return sorted((name, ward.seq) for name, ward in self._wards.items() if ward.seq)

    def queue(self, ward: Ward[Content], alert_id: str, entry: Waiting[Content]) -> None:
        """Have an alert wait, or the newest event of one that does."""
        ward.waiting[alert_id] = entry
        self.queues[ward.name] = ward
        self._changed_waiting.add((ward.name, alert_id))

    def release(self, ward: Ward[Content], alert_id: str) -> None:
        """Have an alert wait no more, if it did."""
        if ward.waiting.pop(alert_id, None) is not None:
            self._changed_waiting.add((ward.name, alert_id))
            if not ward.waiting:
                del self.queues[ward.name]

    # -- forgetting --------------------------------------------------------------------------------------------------

    def advance(self, at: Millis) -> list[tuple[str, str, Phase]]:
        """Move the clock; once an hour of it, forget what is past. Give which alerts: ward, id, what they were."""
        at = min(at, self.believed_until)
        if at > self.clock:
            self.clock = at
            self._fold_changed = True
        if self.clock // SWEEP_MS == self._swept:
            return []
        self._swept = self.clock // SWEEP_MS
        self._fold_changed = True
        gone: list[tuple[str, str, Phase]] = []
        for name, alert_id in self._past():
            ward = self._wards[name]
            gone.append((name, alert_id, ward.alerts.pop(alert_id).phase))
            self.release(ward, alert_id)
            self._changed.add(name)
        for name in [name for name, ward in self._wards.items() if not ward.alerts]:
            if self._wards[name].heard + WARD_REMEMBERED_MS <= self.clock:
                del self._wards[name]
                self._changed.add(name)
        return gone

    def _past(self) -> list[tuple[str, str]]:
        """Give the alerts to forget, in an order that no restart changes."""
        every = sorted(
            (known.heard + (UNHEARD_REMEMBERED_MS if known.phase == "open" else ENDED_REMEMBERED_MS), name, alert_id)
            for name, ward in self._wards.items()
            for alert_id, known in ward.alerts.items()
        )
        excess = len(every) - ALERTS_REMEMBERED_MAX
        return [
            (name, alert_id)
            for number, (due, name, alert_id) in enumerate(every)
            if due <= self.clock or number < excess
        ]

    # -- stored form -------------------------------------------------------------------------------------------------

    def encode_changes(self) -> dict[str, bytes | None]:
        """Give what changed since the last call, by store key; None for what is forgotten."""
        changes: dict[str, bytes | None] = {}
        for name in sorted(self._changed):
            ward = self._wards.get(name)
            changes[WARD_KEY + name] = None if ward is None else seal(_stored_ward(ward))
        for name, alert_id in sorted(self._changed_waiting):
            waiting = self._wards[name].waiting if name in self._wards else {}
            entry = waiting.get(alert_id)
            changes[waiting_key(name, alert_id)] = None if entry is None else seal(self._stored_entry(entry))
        if self._fold_changed or changes:
            changes[FOLD_KEY] = seal(StoredFold(self.clock, self._swept, self.closed))
        self._changed.clear()
        self._changed_waiting.clear()
        self._fold_changed = False
        return changes

    def encode_whole(self) -> dict[str, bytes]:
        """Give all of it, by store key, and leave what has changed as it is."""
        whole = {WARD_KEY + name: seal(_stored_ward(ward)) for name, ward in self._wards.items()}
        for name, ward in self.queues.items():
            for alert_id, entry in ward.waiting.items():
                whole[waiting_key(name, alert_id)] = seal(self._stored_entry(entry))
        whole[FOLD_KEY] = seal(StoredFold(self.clock, self._swept, self.closed))
        return whole

    def _stored_entry(self, entry: Waiting[Content]) -> StoredWaiting:
        content = self._form.encode(entry.content)
        return StoredWaiting(entry.event_id, entry.risk, entry.received, entry.since, content, entry.unheard)

    def restore(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Take over what was encoded over time; other keys are none of ours. Raises `UnreadableWardStateError`."""
        for key, data in items:
            if key == FOLD_KEY:
                fold = unseal(data, StoredFold)
                self.clock, self._swept, self.closed = fold.clock, fold.swept, fold.closed
            elif key.startswith(WARD_KEY):
                stored = unseal(data, StoredWard)
                ward = self.open(key.removeprefix(WARD_KEY))
                ward.seq, ward.heard, ward.alerts = stored.seq, stored.heard, stored.alerts
                ward.told = list(stored.told)
            elif key.startswith(WAITING_KEY):
                name, alert_id = ward_and_alert(key)
                kept = unseal(data, StoredWaiting)
                content = self._form.decode(kept.content)
                ward = self.queues[name] = self.open(name)
                ward.waiting[alert_id] = Waiting(
                    content, kept.event_id, kept.risk, kept.received, kept.since, kept.unheard
                )


def _stored_ward(ward: Ward[Content]) -> StoredWard:
    return StoredWard(ward.seq, ward.heard, dict(ward.alerts), tuple(ward.told))
