"""One feed: its codes, units and values as they usually come, and what of it is not as it was.

Owns the straight path of a message's observations, and the rules for a code remapped, a unit or a scale changed, a
sensor's flat line and a frozen feed. Must not know wards, stays or how signals are carried.

Nothing is judged before the feed was heard for `learning_ms` and `KNOWN_MESSAGES`: what begins in that time is usual.
"""

from __future__ import annotations

from math import log
from typing import Any

from alerts.monitoring.channel import RUN_MAX, RUN_MIN, SEEN_MAX, Channel
from alerts.monitoring.codes import LOOK_MASK, READINGS_MIN, look_at_codes
from alerts.monitoring.configuration import MonitoringSettings
from alerts.monitoring.desk import Desk
from alerts.monitoring.signal import words_for
from alerts.monitoring.silence import Silence
from alerts.monitoring.watch import Watch
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, Envelope, Millis, Observation

CHANNELS_MAX = 1_000
"""Codes and units of one feed that are told apart: more than any vocabulary in use; a sender chooses them."""
UNHEARD_MS = 30 * 24 * MILLIS_PER_HOUR
"""Where there are so many, one that was not heard for so long makes room, unless something is told of it."""
WARDS_MAX = 100
"""Wards of one feed that are named."""
KNOWN_MESSAGES = 200
"""Before so many messages nothing of a feed is unlike it."""
INTERVALS_MIN = 3
"""Mean intervals that a code must be missed for: a flood of messages without it makes it rare among them, not late."""
LOOKED_AT_EACH = 64
PATIENTS_MIN = 3
"""One patient's values may be unlike all others' for days; three patients' at once are not."""
WINDOW_MS = 15 * MILLIS_PER_MINUTE
SETTLED_MS = 24 * MILLIS_PER_HOUR
SETTLED_READINGS = 100
"""A new unit that has come so long and so often is the usual one."""
STANDING_READINGS = 8
"""Usual values in succession that clear a change of scale."""
SHARED_NEWS_MAX = 0.95
"""A feed of whose messages more than this share bring nothing new cannot be seen to freeze."""


class Feed:
    """What is known of one feed."""

    __slots__ = (
        "channels", "chunk", "frozen", "frozen_since", "full", "looked_hour", "lost", "messages", "name", "pairs",
        "silence", "stale", "stalled", "wards",
    )  # fmt: skip

    def __init__(self, name: str, at: Millis, chunk: int = 0) -> None:
        self.name = name
        self.chunk = chunk
        self.silence = Silence(at)
        self.messages = 0
        """With observations."""
        self.channels: dict[Any, Channel] = {}
        """By (codings, unit)."""
        self.lost: dict[int, Channel] = {}
        """Codes that are told as remapped, by feature."""
        self.wards: dict[str, Millis] = {}
        self.full = False
        self.looked_hour = -1
        """The hour in which room was last looked for."""
        self.pairs = self.stale = 0
        """Messages that could be compared with their patient's last one, and those of them without anything new."""
        self.stalled: list[str] = []
        """The patients of the messages in succession that brought nothing new."""
        self.frozen_since: Millis = 0
        self.frozen = 0
        """Messages in succession that brought nothing new."""

    def settled(self, at: Millis, settings: MonitoringSettings) -> bool:
        """Say whether it is known well enough for anything to be unlike it."""
        return self.messages > KNOWN_MESSAGES and at - self.silence.first >= settings.learning_ms

    # -- the straight path ------------------------------------------------------------------------------------------

    def take(  # noqa: C901, PLR0912, PLR0915 -- one loop, read from top to bottom: each call in it costs every observation
        self, envelope: Envelope, watch: Watch, desk: Desk, said: list[Any]
    ) -> None:
        """Hear a message's observations (hot path)."""
        self.messages = number = self.messages + 1
        at, channels, lost = envelope.received_time, self.channels, self.lost
        values, runs = watch.values, watch.runs
        event_time = min(envelope.event_time, at)
        fresh = event_time > watch.event_time
        compared = same = 0
        vital = False
        for event in envelope.events:
            if type(event) is not Observation:
                continue
            channel = channels.get((event.codings, event.unit))
            if channel is None:
                channel = self._meet(event, at, desk, said)
                if channel is None:
                    continue
            count = channel.count = channel.count + 1
            seen = channel.seen = channel.seen + 1
            channel.last, channel.last_time = number, at
            if seen >= SEEN_MAX:
                channel.forget_half()
            if channel.watched or lost:
                self._look(channel, at, desk, said)
            if channel.vital:
                vital = True
            value, index = event.value, channel.index
            if value is None or not fresh or index < 0:
                continue
            if not channel.low <= value <= channel.high:
                self._unlike(channel, event, envelope.patient, at, desk, said)
            elif channel.odd or channel.standing:
                self._alike(channel, at, desk, said)
            if not count & channel.sampled:
                channel.sample(value)
            before = values.get(index)
            if before == value:
                compared += 1
                same += 1
                channel.same += 1
                run, since = runs.get(index, (1, watch.event_time))
                runs[index] = (run + 1, since)
                if run + 1 >= channel.run_min:
                    self._flat(channel, envelope, run + 1, since, desk, said)
            else:
                values[index] = value
                compared += before is not None
                if index in runs:
                    self._moved(channel, runs.pop(index)[0], envelope, desk, said)
        watch.vital = vital
        if not number & LOOK_MASK:
            look_at_codes(self, at, desk, said)
        self._note_news(envelope, event_time, watch, compared, same, desk, said)

    def _meet(self, event: Observation, at: Millis, desk: Desk, said: list[Any]) -> Channel | None:
        """Get to know a code in a unit."""
        if len(self.channels) >= CHANNELS_MAX and not self.make_room(at, desk, said):
            if not self.full:
                self.full = True
                desk.voice.tell(
                    "monitor_full", f"feed|{self.name}", at, at, said, feed=self.name,
                    detail=f"{CHANNELS_MAX} codes and units are told apart, further ones of this feed are not watched",
                )  # fmt: skip
            return None
        channel = Channel(event.codings, event.unit, self.messages, at)
        if self.settled(at, desk.settings):
            channel.newcomer = True
        desk.meet(channel, event.qualifiers)
        self.channels[event.codings, event.unit] = channel
        return channel

    def make_room(self, at: Millis, desk: Desk, said: list[Any]) -> bool:
        """Forget what was not heard for long, looking once an hour; say whether there is room."""
        hour = at // MILLIS_PER_HOUR
        if hour > self.looked_hour:
            self.looked_hour = hour
            lost = {(channel.codings, channel.unit) for channel in self.lost.values()}
            for key, channel in list(self.channels.items()):
                if at - channel.last_time < UNHEARD_MS or channel.standing or key in lost:
                    continue
                subject = self._subject(f"{channel.feature}|{channel.unit}")
                gone = "not heard for 30 days: no longer watched"
                desk.voice.clear("unit_changed", subject, at, said, gone)
                desk.voice.clear("code_unmapped", self._subject(channel.first_code), at, said, gone)
                del self.channels[key]
        room = len(self.channels) < CHANNELS_MAX
        if room and self.full:
            self.full = False
            desk.voice.clear("monitor_full", f"feed|{self.name}", at, said, "there is room again")
        return room

    # -- codes and units --------------------------------------------------------------------------------------------

    def _look(self, channel: Channel, at: Millis, desk: Desk, said: list[Any]) -> None:
        """Look at a reading of an unknown code, of a newcomer, or of any code while one is told as remapped."""
        if channel.index < 0:
            # Looked at each time it comes, and each fourth time once it has come often without anything being lost.
            count = channel.count
            passed_over = count < desk.settings.change_readings or (count > LOOKED_AT_EACH and count & 3)
            if channel.newcomer and not passed_over:
                self._look_for_lost(channel, at, desk, said)
            return
        if channel.index in self.lost:
            gone = self.lost.pop(channel.index)
            desk.voice.clear(
                "code_remapped", self._subject(gone.code), at, said,
                f"{gone.feature} is heard again, by {channel.code}",
            )  # fmt: skip
        if channel.newcomer:
            self._look_at_unit(channel, at, desk, said)

    def _look_for_lost(self, unknown: Channel, at: Millis, desk: Desk, said: list[Any]) -> None:
        """Find the codes that stopped when this unknown one began."""
        needed = desk.settings.change_readings
        for gone in list(self.channels.values()):
            if (
                gone.index < 0
                or gone.index in self.lost
                or gone.seen < READINGS_MIN
                or gone.missed(self.messages) < needed
                or (at - gone.last_time) * gone.count < INTERVALS_MIN * (gone.last_time - gone.first_time)
                or gone.last < unknown.first - KNOWN_MESSAGES
                or self._heard_otherwise(gone)
            ):
                continue
            self.lost[gone.index] = gone
            desk.voice.tell(
                "code_remapped", self._subject(gone.code), at, gone.last_time, said,
                feed=self.name, code=gone.code, feature=gone.feature, wards=self._wards(),
                detail=f"{gone.missed(self.messages)} readings of {gone.code} ({gone.feature}) are missing since "
                f"{words_for(at - gone.last_time)}; {unknown.code}, which no table has, came {unknown.count} times "
                "instead",
            )  # fmt: skip

    def _heard_otherwise(self, gone: Channel) -> bool:
        """Whether another code of the feature has come since."""
        return any(other.index == gone.index and other.last > gone.last for other in self.channels.values())

    def _look_at_unit(self, channel: Channel, at: Millis, desk: Desk, said: list[Any]) -> None:
        """Tell of a new unit of a feature that had another; once it is the usual one, or gone again, no more."""
        subject = self._subject(f"{channel.feature}|{channel.unit}")
        if channel.count >= SETTLED_READINGS and at - channel.first_time >= SETTLED_MS:
            channel.newcomer = channel.watched = False
            desk.voice.clear("unit_changed", subject, at, said, f"{channel.count} readings in it: it is usual now")
            desk.voice.clear(
                "code_unmapped", self._subject(channel.first_code), at, said, f"it is mapped to {channel.feature}"
            )
        elif channel.count == desk.settings.unit_readings:
            usual = [
                other for other in self.channels.values()
                if other.index == channel.index and other.unit != channel.unit and other.seen >= READINGS_MIN
            ]  # fmt: skip
            if not usual:
                channel.newcomer = channel.watched = False
                return
            units = ", ".join(sorted({repr(other.unit) for other in usual}))
            desk.voice.tell(
                "unit_changed", subject, at, channel.first_time, said,
                feed=self.name, code=channel.code, feature=channel.feature, wards=self._wards(),
                detail=f"{channel.count} readings of {channel.feature} in {channel.unit!r}, which came in {units}"
                + desk.fault_of(channel),
            )  # fmt: skip

    # -- values -----------------------------------------------------------------------------------------------------

    def _unlike(
        self, channel: Channel, event: Observation, patient: str, at: Millis, desk: Desk, said: list[Any]
    ) -> None:
        """Note a value unlike the usual ones; tell of several in succession that a conversion explains."""
        value = event.value
        assert value is not None
        odd = channel.odd
        if odd and (odd[0][0] > channel.high) != (value > channel.high):
            odd.clear()
        needed = desk.settings.scale_readings
        channel.standing = min(channel.standing, 1)
        odd.append((value, patient))
        del odd[:-needed]
        if len(odd) < needed or len({who for _, who in odd}) < PATIENTS_MIN or not self.settled(at, desk.settings):
            return
        middle = sorted(number for number, _ in odd)[needed // 2]
        reason = desk.explain(channel, middle, [number for number, _ in odd])
        if not reason:
            return
        channel.standing = 1
        desk.voice.tell(
            "scale_changed", self._subject(f"{channel.code}|{channel.unit}"), at, at, said,
            feed=self.name, code=channel.code, feature=channel.feature, wards=self._wards(),
            detail=f"{needed} readings of {channel.feature} in succession, of {len({who for _, who in odd})} patients, "
            f"unlike all usual ones: {reason}",
        )  # fmt: skip

    def _alike(self, channel: Channel, at: Millis, desk: Desk, said: list[Any]) -> None:
        """Note a usual value after unusual ones."""
        channel.odd.clear()
        if channel.standing:
            channel.standing += 1
            if channel.standing > STANDING_READINGS:
                channel.standing = 0
                desk.voice.clear(
                    "scale_changed", self._subject(f"{channel.code}|{channel.unit}"), at, said,
                    f"{STANDING_READINGS} usual readings in succession",
                )  # fmt: skip

    # -- sameness ---------------------------------------------------------------------------------------------------

    def _flat(self, channel: Channel, envelope: Envelope, run: int, since: Millis, desk: Desk, said: list[Any]) -> None:
        """Tell of a run of equal values that chance does not give."""
        channel.run_min = needed = channel.repeats(desk.settings.false_alarm_digits)
        at = envelope.received_time
        if run < needed or needed > RUN_MAX or envelope.event_time - since < WINDOW_MS:
            return
        if not self.settled(at, desk.settings):
            return
        patient = envelope.patient
        desk.voice.tell(
            "flat_line", f"patient|{patient}|{channel.feature}", at, since, said,
            feed=self.name, patient=patient, ward=desk.ward_of(patient), code=channel.code, feature=channel.feature,
            wards=desk.wards_of(patient),
            detail=f"{run} readings of {channel.feature} in succession are the same; in this feed chance gives so many "
            f"once in {10**desk.settings.false_alarm_digits}",
        )  # fmt: skip

    def _moved(self, channel: Channel, run: int, envelope: Envelope, desk: Desk, said: list[Any]) -> None:
        """Note the end of a run, and learn from it: not while it lasts, or a flat line would make itself usual."""
        if run < RUN_MIN - 1:
            return
        if run < channel.run_min:
            channel.again += run - (RUN_MIN - 1)
            channel.breaks += 1
        channel.run_min = channel.repeats(desk.settings.false_alarm_digits)
        desk.voice.clear(
            "flat_line", f"patient|{envelope.patient}|{channel.feature}", envelope.received_time, said, "it moves again"
        )

    def _note_news(
        self,
        envelope: Envelope,
        event_time: Millis,
        watch: Watch,
        compared: int,
        same: int,
        desk: Desk,
        said: list[Any],
    ) -> None:
        """Note whether a message brought anything new of its patient."""
        if event_time > watch.event_time:
            watch.event_time = event_time
            if not compared:
                return
            stale = same == compared
        else:
            stale = event_time == watch.event_time
            if not stale:
                return  # Charted late, or out of order: neither news nor none.
        if not stale:
            if self.frozen >= desk.settings.frozen_messages:
                desk.voice.clear(
                    "feed_frozen", self._subject("news"), envelope.received_time, said, "it brings news again"
                )
            if self.frozen:
                self.pairs += self.frozen
                self.stale += self.frozen
                self.frozen = 0
                self.stalled.clear()
            self.pairs += 1
            if self.pairs >= 4_096:
                self.pairs >>= 1
                self.stale >>= 1
            return
        self.frozen += 1
        if self.frozen == 1:
            self.frozen_since = envelope.received_time
        if len(self.stalled) < PATIENTS_MIN and envelope.patient not in self.stalled:
            self.stalled.append(envelope.patient)
        if self.frozen >= desk.settings.frozen_messages and len(self.stalled) >= PATIENTS_MIN:
            self._look_frozen(envelope.received_time, desk, said)

    def _look_frozen(self, at: Millis, desk: Desk, said: list[Any]) -> None:
        settings = desk.settings
        share = (self.stale + 1) / (self.pairs + 2)
        if share > SHARED_NEWS_MAX or at - self.frozen_since < WINDOW_MS or not self.settled(at, settings):
            return
        if self.frozen * -log(share) < settings.false_alarm_digits * log(10):
            return
        desk.voice.tell(
            "feed_frozen", self._subject("news"), at, self.frozen_since, said, feed=self.name, wards=self._wards(),
            detail=f"{self.frozen} messages in succession, of {PATIENTS_MIN} patients or more, say nothing new",
        )  # fmt: skip

    # -- names ------------------------------------------------------------------------------------------------------

    def place(self, ward: str, at: Millis) -> None:
        """Note that it speaks of somebody on a ward."""
        if ward in self.wards or len(self.wards) < WARDS_MAX:
            self.wards[ward] = at

    def wards_heard(self) -> tuple[str, ...]:
        """Give the wards it has spoken of."""
        return self._wards()

    def _wards(self) -> tuple[str, ...]:
        return tuple(sorted(self.wards))

    def _subject(self, what: str) -> str:
        return f"feed|{self.name}|{what}"
