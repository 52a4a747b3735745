"""Feed health: when each sender was last heard, and what became of what it sent.

Owns the counters of the running process. Must not know what silence means: that depends on the feed and the hour.
Written on the commit thread, read on the event loop's.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from connectors.decoded import Decoded
from connectors.hl7v2.tolerated import tolerated_type
from connectors.intake import Receipt
from connectors.sources.arrival import Arrival
from events import MILLIS_PER_SECOND, Millis, to_iso, uuid_text
from stream.control_ids import ControlIds, Numbering, sequence_number

FEEDS_MAX = 200
"""Feeds told apart: many times a hospital's. A sender chooses the name, so a fault could send a new one each time."""
OTHER_FEEDS = "(other)"
FEED_CHARS_MAX = 80
"""As much of a feed's name as is shown."""


class FeedCounts(msgspec.Struct):
    """What came of one feed."""

    messages: int = 0
    accepted: int = 0
    dead_letters: int = 0
    duplicates: int = 0
    last_received: Millis = 0
    tolerated: dict[str, int] = {}
    """Of the accepted those that were let pass by their type (orders), by MSH-9.1."""


class Feeds:
    """Every feed heard since the process began.

    A name becomes known by a message that could be used: what stands in the header of one that could not be may be
    anything, a patient's name too, so it counts with the others.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, FeedCounts] = {}
        self._ids: dict[str, ControlIds] = {}
        """Of the feeds that are known."""

    def count(self, arrivals: Sequence[Arrival], receipts: Sequence[Receipt], at: Millis) -> None:
        """Count messages that are durable."""
        with self._lock:
            for arrival, receipt in zip(arrivals, receipts, strict=True):
                if arrival.format == "act":
                    continue  # Nobody's silence is a fault: an act is of no feed.
                counts = self._of(arrival.decoded.feed, usable=receipt.outcome != "refused")
                if arrival.format == "hl7v2":
                    self._number(arrival)
                parts = arrival.decoded.parts if isinstance(arrival.decoded, Decoded) else 1
                counts.messages += parts
                counts.last_received = at
                if receipt.outcome == "accepted":
                    counts.accepted += parts
                    if passed := tolerated_type(arrival.decoded):
                        counts.tolerated[passed] = counts.tolerated.get(passed, 0) + parts
                elif receipt.outcome == "duplicate":
                    counts.duplicates += parts
                else:
                    counts.dead_letters += parts

    def _of(self, feed: str, *, usable: bool) -> FeedCounts:
        name = feed[:FEED_CHARS_MAX]
        known = self._counts.get(name)
        if known is None:
            if not usable or len(self._counts) >= FEEDS_MAX:
                name = OTHER_FEEDS
            known = self._counts.setdefault(name, FeedCounts())
        return known

    def _number(self, arrival: Arrival) -> None:
        decoded = arrival.decoded
        ids = self._ids.get(decoded.feed[:FEED_CHARS_MAX])
        if ids is None:
            if not isinstance(decoded, Decoded) or len(self._ids) >= FEEDS_MAX:
                return
            ids = self._ids[decoded.feed[:FEED_CHARS_MAX]] = ControlIds()
        number = sequence_number(arrival.data)
        if isinstance(decoded, Decoded):
            ids.take(decoded.message_id, uuid_text(decoded.content_hash), number)
        else:
            ids.pass_by(number)

    def recall(self, messages: Iterable[tuple[str, str, str, bytes]]) -> None:
        """Take up where an earlier process was: its newest messages as (feed, control id, content, bytes), in order;
        an empty content is of one that could not be used. Nothing of them is counted.
        """
        with self._lock:
            for feed, control_id, content, data in messages:
                name = feed[:FEED_CHARS_MAX]
                if name not in self._ids and (not content or len(self._ids) >= FEEDS_MAX):
                    continue
                ids = self._ids.setdefault(name, ControlIds())
                if content:
                    ids.take(control_id, content, sequence_number(data))
                else:
                    ids.pass_by(sequence_number(data))
            for ids in self._ids.values():
                ids.numbering = Numbering()

    def numbering(self) -> dict[str, Numbering]:
        """Give what each sender's message numbers have shown, of those where that is anything."""
        with self._lock:
            found = {name: msgspec.structs.replace(ids.numbering) for name, ids in sorted(self._ids.items())}
        return {name: numbering for name, numbering in found.items() if numbering != Numbering()}

    def snapshot(self) -> dict[str, FeedCounts]:
        """Give every feed's counts, as they are now."""
        with self._lock:
            return {
                name: msgspec.structs.replace(counts, tolerated=dict(sorted(counts.tolerated.items())))
                for name, counts in sorted(self._counts.items())
            }

    def document(self, now: Millis, signals: Mapping[str, Sequence[object]] | None = None) -> bytes:
        """Give them as JSON, with how long each has been silent, and what the monitoring says of each (`signals`)."""
        said = signals or {}
        numbering = self.numbering()
        feeds: list[dict[str, Any]] = [
            {
                "feed": name,
                **{field: getattr(counts, field) for field in ("messages", "accepted", "dead_letters", "duplicates")},
                "last_received": to_iso(counts.last_received),
                "silent_s": max(0, now - counts.last_received) // MILLIS_PER_SECOND,
                **({"tolerated": counts.tolerated} if counts.tolerated else {}),
                **({"numbering": numbering[name]} if name in numbering else {}),
                "signals": said.get(name, ()),
            }
            for name, counts in self.snapshot().items()
        ]
        return msgspec.json.encode({"as_of": to_iso(now), "feeds": feeds})
