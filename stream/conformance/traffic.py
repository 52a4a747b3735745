"""Who sends, how much, when, and how its times are to be read.

Owns the counting by sender, and of times. Must not know what a message says beyond its times. A sender's name is told
only where a message's header could be read: what stands in another may be anything, a patient's name too.
"""

from __future__ import annotations

from hashlib import blake2b

from connectors.decoded import Decoded, Refusal, RefusalReason
from connectors.hl7v2.settings import Hl7Settings
from connectors.sources.arrival import Arrival
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, MILLIS_PER_SECOND, Millis, to_iso
from features import FUTURE_TOLERANCE_MS
from stream.conformance.counting import Counted, Spread
from stream.conformance.er7 import Look, route_for
from stream.conformance.shape import Sender, Times

SENDERS_MAX = 200
"""Senders told apart: many times a hospital's."""
SENDER_CHARS_MAX = 80
CONTROL_IDS_MAX = 200_000
"""Messages among which a control id that is used again is noticed: a day of a mid-sized hospital."""
OTHER_SENDERS = "(other)"
UNREADABLE = "(header not readable)"
_NO_HEADER = frozenset(
    {RefusalReason.GARBAGE, RefusalReason.TRUNCATED, RefusalReason.OVERSIZED, RefusalReason.WRONG_ENCODING}
)
OWN_ZONE = "its own zone in the configuration"
HEADER_OFFSET = "the offset of MSH-7"
EACH_OFFSET = "an offset in every time"
GENERAL_ZONE = "[hl7] zone"


class _Feed:
    """What is known of one sender."""

    __slots__ = ("first", "last", "messages", "minute", "peak", "refused", "silence", "this_minute", "zone")

    def __init__(self) -> None:
        self.messages = 0
        self.refused = 0
        self.first: Millis | None = None
        self.last: Millis | None = None
        self.minute = 0
        self.this_minute = 0
        self.peak = 0
        self.silence = 0
        self.zone = ""

    def hear(self, at: Millis) -> None:
        """Count a message by its time; they come in order of it."""
        if self.first is None or self.last is None:
            self.first = self.last = at
        self.silence = max(self.silence, at - self.last)
        self.last = max(self.last, at)
        minute = at // MILLIS_PER_MINUTE
        self.this_minute = self.this_minute + 1 if minute == self.minute else 1
        self.minute = minute
        self.peak = max(self.peak, self.this_minute)


class Traffic:
    """All senders of a sample, and its times."""

    def __init__(self, hl7: Hl7Settings, now: Millis) -> None:
        self._hl7 = hl7
        self._now = now
        self._feeds: dict[str, _Feed] = {}
        self._zoneless = Counted()
        self._delays = Spread()
        self._control_ids: dict[bytes, bytes] = {}
        self._ahead = self._untimed = 0
        self._ahead_example = ""
        self.repeated = 0
        self.repeated_example = ""

    def take(self, arrival: Arrival, seen: Look, *, refused: bool, duplicate: bool) -> None:
        """Count one message."""
        decoded = arrival.decoded
        feed = self._feed(decoded, seen, arrival.format)
        feed.messages += 1
        feed.refused += refused
        sent = decoded.sent_time
        if sent is None:
            self._untimed += not isinstance(decoded, Refusal)
        else:
            feed.hear(sent)
            if sent > self._now + FUTURE_TOLERANCE_MS:
                self._ahead += 1
                self._ahead_example = self._ahead_example or arrival.position
        if isinstance(decoded, Refusal):
            return
        self._read_zones(decoded, feed, seen, arrival)
        if sent is not None and decoded.event_time is not None and decoded.events:
            self._delays.add((sent - decoded.event_time) / MILLIS_PER_SECOND)
        if arrival.format == "hl7v2" and decoded.message_id and not duplicate:
            self._know_again(decoded, arrival.position)

    def _feed(self, decoded: Decoded | Refusal, seen: Look, written: str) -> _Feed:
        name = decoded.feed[:SENDER_CHARS_MAX]
        if isinstance(decoded, Refusal) and written == "hl7v2" and name not in self._feeds:
            # A header whose type is one is a header; what stands in another may be anything.
            name = name if seen.kind and decoded.reason not in _NO_HEADER else UNREADABLE
        if name not in self._feeds and len(self._feeds) >= SENDERS_MAX:
            name = OTHER_SENDERS
        return self._feeds.setdefault(name, _Feed())

    def _read_zones(self, decoded: Decoded, feed: _Feed, seen: Look, arrival: Arrival) -> None:
        """Say where the zone of a sender's local times comes from; the weakest that was needed counts."""
        if arrival.format != "hl7v2" or not seen.kind:
            return
        if not seen.zoneless:
            feed.zone = feed.zone or EACH_OFFSET
        elif decoded.feed in self._hl7.zones or route_for(arrival.data or b"", self._hl7).zone:
            feed.zone = OWN_ZONE
        elif not seen.unzoned_header:
            feed.zone = HEADER_OFFSET if feed.zone != GENERAL_ZONE else feed.zone
        else:
            feed.zone = GENERAL_ZONE
            for field in seen.zoneless:
                self._zoneless.add(field, arrival.position)

    def _know_again(self, decoded: Decoded, example: str) -> None:
        """Notice a control id that a sender used for another message before."""
        name = blake2b(f"{decoded.feed}\x1f{decoded.message_id}".encode(), digest_size=8).digest()
        if len(self._control_ids) < CONTROL_IDS_MAX or name in self._control_ids:
            known = self._control_ids.setdefault(name, decoded.content_hash)
            if known != decoded.content_hash:
                self.repeated += 1
                self.repeated_example = self.repeated_example or example

    def senders(self) -> tuple[Sender, ...]:
        """Give the senders, the busiest first."""
        ranked = sorted(self._feeds.items(), key=lambda item: (-item[1].messages, item[0]))
        return tuple(_told(name, feed) for name, feed in ranked)

    def times(self, future: int, future_example: str) -> Times:
        """Give what the times are like; `future` results were dated ahead of their message."""
        return Times(
            zoneless=self._zoneless.told(),
            future=future,
            future_example=future_example,
            ahead=self._ahead,
            ahead_example=self._ahead_example,
            untimed=self._untimed,
            delay_s_p50=self._delays.quantile(0.5),
            delay_s_p95=self._delays.quantile(0.95),
        )


def _told(name: str, feed: _Feed) -> Sender:
    span = 0 if feed.first is None or feed.last is None else feed.last - feed.first
    return Sender(
        name=name,
        messages=feed.messages,
        refused=feed.refused,
        first_time="" if feed.first is None else to_iso(feed.first),
        last_time="" if feed.last is None else to_iso(feed.last),
        per_hour=round(feed.messages * MILLIS_PER_HOUR / span, 1) if span else None,
        peak_per_minute=feed.peak,
        longest_silence_s=feed.silence // MILLIS_PER_SECOND,
        zone=feed.zone,
    )
