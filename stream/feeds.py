"""Feed health: when each sender was last heard, and what became of what it sent.

Owns the counters of the running process. Must not know what silence means: that depends on the feed and the hour.
Written on the commit thread, read on the event loop's.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from connectors.decoded import Decoded
from connectors.intake import Receipt
from connectors.sources.arrival import Arrival
from events import MILLIS_PER_SECOND, Millis, to_iso

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


class Feeds:
    """Every feed heard since the process began.

    A name becomes known by a message that could be used: what stands in the header of one that could not be may be
    anything, a patient's name too, so it counts with the others.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, FeedCounts] = {}

    def count(self, arrivals: Sequence[Arrival], receipts: Sequence[Receipt], at: Millis) -> None:
        """Count messages that are durable."""
        with self._lock:
            for arrival, receipt in zip(arrivals, receipts, strict=True):
                if arrival.format == "act":
                    continue  # Nobody's silence is a fault: an act is of no feed.
                counts = self._of(arrival.decoded.feed, usable=receipt.outcome != "refused")
                parts = arrival.decoded.parts if isinstance(arrival.decoded, Decoded) else 1
                counts.messages += parts
                counts.last_received = at
                if receipt.outcome == "accepted":
                    counts.accepted += parts
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

    def snapshot(self) -> dict[str, FeedCounts]:
        """Give every feed's counts, as they are now."""
        with self._lock:
            return {name: msgspec.structs.replace(counts) for name, counts in sorted(self._counts.items())}

    def document(self, now: Millis, signals: Mapping[str, Sequence[object]] | None = None) -> bytes:
        """Give them as JSON, with how long each has been silent, and what the monitoring says of each (`signals`)."""
        said = signals or {}
        feeds: list[dict[str, Any]] = [
            {
                "feed": name,
                **{field: getattr(counts, field) for field in ("messages", "accepted", "dead_letters", "duplicates")},
                "last_received": to_iso(counts.last_received),
                "silent_s": max(0, now - counts.last_received) // MILLIS_PER_SECOND,
                "signals": said.get(name, ()),
            }
            for name, counts in self.snapshot().items()
        ]
        return msgspec.json.encode({"as_of": to_iso(now), "feeds": feeds})
