"""The fold of the monitoring: hears each record of one partition of the log, and says what is no longer heard.

Owns the order of a record's steps, the feeds that are watched, and what is kept. Must not know hosts or stores: time is
the running maximum of the received times, and a silence is told at the whole minute in which it grew too long.

A silence is the feed's only where the log could have been heard: a tick that says `behind` (records wait before the
log, or nobody listened) tells of no silence, and every silence counts anew from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alerts.monitoring import stored
from alerts.monitoring.configuration import MonitoringSettings
from alerts.monitoring.deadlines import Deadlines, Subject
from alerts.monitoring.desk import Desk
from alerts.monitoring.feed import Feed
from alerts.monitoring.residents import Record, Residents, Scored
from alerts.monitoring.signal import Signal, words_for
from alerts.monitoring.silence import Bounds, Silence
from alerts.monitoring.stored import FEED_CHUNKS, MONITOR_KEY, chunk_for, monitor_keys
from alerts.monitoring.usual import DAY_MS
from alerts.monitoring.voice import Voice
from alerts.monitoring.watch import Watch
from events import Envelope, Handover, Merge, Millis, Tick
from features.catalogue import Catalogue, default_catalogue

__all__ = ["MONITOR_KEY", "Monitor", "monitor_keys"]

FEEDS_MAX = 200
"""Feeds watched, as many as /feeds tells apart. Beyond, a feed is not watched, and `monitor_full` says so."""
FORGOTTEN_MS = 30 * DAY_MS
"""A feed that was silent so long has been switched off: its signals are cleared, and it is new when it speaks again."""


class Monitor:
    """The monitoring of one partition; see the module.

    >>> from events import Observation
    >>> monitor = Monitor()
    >>> pulse = Observation(1, (("loinc", "8867-4"),), 72.0, "/min", event_time=0)
    >>> monitor.hear(Envelope("e", "p", 0, 0, (pulse,), feed="CHART"))
    []
    >>> after = Envelope("t", "", 7_200_000, 7_200_000, (Tick(7_200_000),))
    >>> [(one.kind, one.received_time) for one in monitor.hear(after)]
    [('feed_silent', 5400000)]
    """

    def __init__(self, partition: int = 0, catalogue: Catalogue | None = None) -> None:
        self.clock: Millis = 0
        self._kept_clock: Millis = 0
        """What the clock was when changes were taken last: it moves by ticks that touch nothing else."""
        self.faults = 0
        """Bugs of ours, by which no patient's fold may suffer."""
        self._voice = Voice(partition)
        self._desk = Desk(MonitoringSettings(), catalogue or default_catalogue(), self._voice)
        self._feeds: dict[str, Feed] = {}
        self._changed: set[str] = set()
        self._deadlines = Deadlines(self._subject)
        self._residents = Residents(self._desk, self._deadlines, self._changed)
        self._set_bounds()

    # -- what it is told --------------------------------------------------------------------------------------------

    def use(self, catalogue: Catalogue, settings: MonitoringSettings) -> None:
        """Go by this catalogue and these settings from here on."""
        desk = self._desk
        if settings != desk.settings:
            desk.settings = settings
            self._set_bounds()
            self._residents.set_bounds(settings)
        if catalogue is not desk.catalogue:
            desk.catalogue = catalogue
            for feed in self._feeds.values():
                for channel in feed.channels.values():
                    desk.resolve(channel)

    def _set_bounds(self) -> None:
        ours = self._desk.settings
        self._bounds = Bounds(
            ours.feed_silence_ms_first, ours.feed_silence_ms_min, ours.feed_silence_ms_max, ours.learning_ms
        )
        self._unwatched = frozenset(ours.unwatched_feeds)
        self._enabled = ours.enabled

    def hear(self, envelope: Envelope) -> list[Any]:
        """Hear one record of the log; give the signals that it, and the time until it, come to (hot path)."""
        said: list[Any] = []
        if self._enabled:
            try:
                self._hear(envelope, said)
            except Exception as fault:  # noqa: BLE001 - a bug of ours here must not silence a patient
                self._failed(fault, said)
        return said

    def _hear(self, envelope: Envelope, said: list[Any]) -> None:
        at = envelope.received_time
        if not envelope.patient:
            self._hear_control(envelope)
        if at > self.clock:
            if self._deadlines.earliest <= at:
                self._pass(at, said)
            self.clock = at
        if not envelope.patient or not envelope.events:
            return
        first = envelope.events[0]
        if type(first) is Merge or type(first) is Handover:
            self._residents.forget(first.retired, self.clock, said)
        name = envelope.feed
        if not name:
            return  # A fold's own record, or a sender without a name.
        feed = self._feeds.get(name) or self._meet(name, said)
        if feed is None:
            return
        silence = feed.silence
        silence.hear(at, self._bounds)
        if silence.told:
            silence.told = False
            self._voice.clear("feed_silent", f"feed|{name}", self.clock, said, "heard again")
        self._deadlines.wait("f" + name, silence)
        self._changed.add(stored.feed_key(feed.chunk))
        patient = envelope.patient
        watch = self._desk.patients.get(patient) or self._residents.watch(patient, self.clock, said)
        if watch is not None:
            if feed.full:
                feed.make_room(at, self._desk, said)
            feed.take(envelope, watch, self._desk, said)
            if watch.ward:
                feed.place(watch.ward, at)
            self._changed.add(stored.patient_key(watch.chunk))

    def follow(self, envelope: Envelope, record: Record, news2: Scored | None, said: list[Any]) -> None:
        """Hear where a patient is and how he scored, after his record was folded; add signals to `said`."""
        if not self._enabled:
            return
        try:
            self._residents.follow(envelope, record, news2, self.clock, said)
        except Exception as fault:  # noqa: BLE001 - as in `hear`
            self._failed(fault, said)

    def _hear_control(self, envelope: Envelope) -> None:
        if any(type(event) is Tick and event.behind for event in envelope.events):
            at = max(envelope.received_time, self.clock)
            self._changed.add(MONITOR_KEY)
            for feed in self._feeds.values():
                feed.silence.excuse(at)
                self._changed.add(stored.feed_key(feed.chunk))
            self._residents.excuse(at)

    def _meet(self, name: str, said: list[Any]) -> Feed | None:
        """Get to know a feed."""
        if len(self._feeds) >= FEEDS_MAX:
            self._residents.too_many("feeds", FEEDS_MAX, self.clock, said)
            return None
        feed = self._feeds[name] = Feed(name, self.clock, chunk_for(name, FEED_CHUNKS))
        return feed

    def _failed(self, fault: Exception, said: list[Any]) -> None:
        self.faults += 1
        self._voice.tell(
            "monitor_failed", "partition|fold", self.clock, self.clock, said,
            detail=f"a bug of ours ({type(fault).__name__}): what was to be said may be missing",
        )  # fmt: skip

    # -- time -------------------------------------------------------------------------------------------------------

    def due(self, now: Millis) -> bool:
        """Say whether a silence may have grown too long by `now`: a host enters a tick then."""
        return self._enabled and self._deadlines.earliest <= now

    def _subject(self, name: str) -> Subject | None:
        sort, key = name[0], name[1:]
        if sort == "p":
            return self._desk.patients.get(key)
        found = self._feeds.get(key) if sort == "f" else self._residents.wards.get(key)
        return None if found is None else found.silence

    def _pass(self, at: Millis, said: list[Any]) -> None:
        """Let time pass up to an instant: tell each silence that grew too long."""
        for entry, name, subject in self._deadlines.take(at):
            self.clock = max(self.clock, entry)
            key = name[1:]
            if isinstance(subject, Watch):
                self._residents.patient_due(key, subject, entry, said)
            elif isinstance(subject, Silence):
                if name[0] == "f":
                    self._feed_due(key, subject, entry, said)
                else:
                    self._residents.ward_due(key, subject, entry, said)

    def _feed_due(self, name: str, silence: Silence, at: Millis, said: list[Any]) -> None:
        feed = self._feeds[name]
        self._changed.add(stored.feed_key(feed.chunk))
        if silence.told or name in self._unwatched:
            silence.deadline = silence.heard + FORGOTTEN_MS
            if silence.deadline <= at:
                self._drop_feed(name, at, said)
            return
        if not silence.lasts(at, self._bounds):
            return
        silence.told = True
        silence.deadline = silence.heard + FORGOTTEN_MS
        self._voice.tell(
            "feed_silent", f"feed|{name}", at, silence.since, said, feed=name, wards=feed.wards_heard(),
            detail=f"nothing is heard since {words_for(at - silence.since)}, longer than usual at this hour",
        )  # fmt: skip

    def _drop_feed(self, name: str, at: Millis, said: list[Any]) -> None:
        for kind, subject in list(self._voice.standing):
            if f"{subject}|".startswith(f"feed|{name}|"):
                self._voice.clear(kind, subject, at, said, "not heard for 30 days: no longer watched")
        del self._feeds[name]
        self._residents.room_again("feeds", at, said)

    # -- what is kept -----------------------------------------------------------------------------------------------

    @property
    def hears(self) -> bool:
        """Whether there is a feed whose silence would be told."""
        return bool(self._feeds)

    def standing(self) -> list[Signal]:
        """Give the signals that stand, the longest told first."""
        return list(self._voice.standing.values())

    def take_changes(self) -> dict[str, bytes | None]:
        """Give what has changed since the last call, by key, for the store to commit."""
        self._changed.update(map(stored.voice_key, self._voice.changed))
        self._voice.changed.clear()
        if not self._changed and self.clock == self._kept_clock:
            return {}
        self._kept_clock = self.clock
        changes = {key: self._encode(key) for key in sorted({*self._changed, MONITOR_KEY})}
        self._changed.clear()
        return changes

    def put_back(self, changes: Mapping[str, bytes | None]) -> None:
        """Take changes back that the store could not commit."""
        self._changed.update(changes)

    def _encode(self, key: str) -> bytes | None:
        if key == MONITOR_KEY:
            return stored.pack_head(self.clock, self._residents.excused, self._voice)
        if key == stored.RETIRED_KEY:
            return None
        number = stored.chunk_of(key)
        if key == stored.feed_key(number):
            return stored.pack_feeds([feed for feed in self._feeds.values() if feed.chunk == number])
        if key == stored.ward_key(number):
            return stored.pack_wards(self._residents.ward_members[number])
        if key == stored.voice_key(number):
            return stored.pack_voice(self._voice, number)
        return stored.pack_patients(self._residents.members[number])

    def restore(self, found: Mapping[str, bytes]) -> bool:
        """Take over what was kept; say whether it could be.

        Where it is missing, damaged or of another release, all is begun anew: no clinical output differs by it. What
        lies there goes with the next commit, or the next release to read it would mix old and new. `found` may hold
        other keys too.
        """
        try:
            kept = stored.unpack(found)
        except stored.UnreadableMonitorError:
            self._changed.update(key for key in monitor_keys() if key in found)
            return False
        residents = self._residents
        self.clock, residents.excused, self._feeds = kept.clock, kept.excused, kept.feeds
        self._voice.restore(kept.said, kept.place, kept.unsaid)
        for feed in self._feeds.values():
            for channel in feed.channels.values():
                self._desk.resolve(channel)
            self._deadlines.wait("f" + feed.name, feed.silence)
        for name, ward in kept.wards.items():
            residents.wards[name] = residents.ward_members[ward.chunk][name] = ward
            self._deadlines.wait("w" + name, ward.silence)
        for chunk in kept.patients:
            for patient, watch in chunk.items():
                residents.patients[patient] = residents.members[watch.chunk][patient] = watch
                self._deadlines.wait("p" + patient, watch)
        return True
