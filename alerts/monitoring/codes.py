"""Codes of a feed that stop, and codes that begin and mean nothing here.

Owns the two rules. Must not know how a message is heard, nor where a signal is carried. Both are looked at each
sixteenth message of a feed, whose number is stored with it: so they say the same however the log is cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alerts.monitoring.signal import words_for
from events import MILLIS_PER_HOUR, Millis

if TYPE_CHECKING:
    from alerts.monitoring.channel import Channel
    from alerts.monitoring.desk import Desk
    from alerts.monitoring.feed import Feed

LOOK_MASK = 16 - 1
"""One message in sixteen: a look goes over all codes of the feed."""
SILENT_MS = 12 * MILLIS_PER_HOUR
"""By then every patient of a ward was due for each vital sign (RCP 2017: at least 12-hourly), nights and all."""
MISSED_MIN = 30
"""Readings that were to be expected meanwhile. By chance none of so many comes once in 10 to the 13th, and those of few
patients, who may have left, are no habit of a feed."""
READINGS_MIN = 50
"""A code that came less often was no habit."""
UNMAPPED_READINGS = 100
UNMAPPED_PER_HOUR = 100
"""A new code that no table has is told from so many readings at such a rate; slower ones are counted, and listed by
`wardstream codes report`."""
USUAL_AFTER_MS = 24 * MILLIS_PER_HOUR
"""After that it is one of the codes that a site has decided not to map."""


def look_at_codes(feed: Feed, at: Millis, desk: Desk, said: list[Any]) -> None:
    """Tell of vital signs that a feed has stopped to send, and of new codes that come often and mean nothing here."""
    by_feature: dict[str, list[Channel]] = {}
    settled = feed.settled(at, desk.settings)
    for channel in feed.channels.values():
        if channel.vital:
            by_feature.setdefault(channel.feature, []).append(channel)
        if channel.newcomer and channel.count >= UNMAPPED_READINGS:
            _look_at_newcomer(feed, channel, at, desk, said)
    for feature, channels in by_feature.items():
        subject = f"feed|{feed.name}|{feature}"
        last = max(channels, key=lambda one: one.last)
        if at - last.last_time < SILENT_MS or last.index in feed.lost:
            desk.voice.clear("code_silent", subject, at, said, f"{feature} is heard again, by {last.code}")
        elif settled and last.seen >= READINGS_MIN and last.missed(feed.messages) >= MISSED_MIN:
            desk.voice.tell(
                "code_silent", subject, at, last.last_time, said,
                feed=feed.name, code=last.code, feature=feature, wards=feed.wards_heard(),
                detail=f"no {feature} is heard since {words_for(at - last.last_time)}; {last.missed(feed.messages)} "
                f"readings of {last.code} were to be expected among what else the feed sends",
            )  # fmt: skip


def _look_at_newcomer(feed: Feed, channel: Channel, at: Millis, desk: Desk, said: list[Any]) -> None:
    code = "|".join(channel.codings[0])[:80] if channel.codings else ""
    subject = f"feed|{feed.name}|{code}"
    age = at - channel.first_time
    if channel.index >= 0:
        desk.voice.clear("code_unmapped", subject, at, said, f"it is mapped to {channel.feature}")
    elif age >= USUAL_AFTER_MS:
        desk.voice.clear("code_unmapped", subject, at, said, f"{channel.count} readings of it: it is usual now")
    elif at - channel.last_time >= MILLIS_PER_HOUR:
        desk.voice.clear("code_unmapped", subject, at, said, "not heard for an hour")
    elif channel.count * MILLIS_PER_HOUR >= UNMAPPED_PER_HOUR * age:
        desk.voice.tell(
            "code_unmapped", subject, at, channel.first_time, said,
            feed=feed.name, code=code, wards=feed.wards_heard(),
            detail=f"{channel.count} readings of {code} within {words_for(age)}, which no table has: not used until "
            "somebody maps it",
        )  # fmt: skip
