"""Codes of a feed that stop, and codes that begin and mean nothing here.

Owns the two rules. Must not know how a message is heard, nor where a signal is carried. Both are looked at each
sixteenth message of a feed, whose number is stored with it: so they say the same however the log is cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alerts.monitoring.signal import words_for
from alerts.monitoring.voice import Key
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
UNMAPPED_TOLD_MAX = 20
"""Codes of one feed that are told at once: a device that brings a hundred new ones is one piece of news, and signals of
patients must not want for room by it. The others wait; `wardstream codes report` has all."""
USUAL_AFTER_MS = 24 * MILLIS_PER_HOUR
"""After that it is one of the codes that a site has decided not to map."""


def look_at_codes(feed: Feed, at: Millis, desk: Desk, said: list[Any]) -> None:
    """Tell of vital signs that a feed has stopped to send, and of new codes that come often and mean nothing here."""
    by_feature: dict[str, list[Channel]] = {}
    newcomers: dict[str, list[Channel]] = {}
    for channel in feed.channels.values():
        if channel.vital:
            by_feature.setdefault(channel.feature, []).append(channel)
        if channel.newcomer:
            newcomers.setdefault(channel.first_code, []).append(channel)
    stand = sum(("code_unmapped", f"feed|{feed.name}|{code}") in desk.voice.standing for code in newcomers)
    for code, channels in newcomers.items():
        stand += _look_at_newcomer(feed, code, channels, at, desk, said, room=stand < UNMAPPED_TOLD_MAX)
    for feature, channels in by_feature.items():
        _look_at_vital(feed, feature, channels, at, desk, said)


def _look_at_vital(feed: Feed, feature: str, channels: list[Channel], at: Millis, desk: Desk, said: list[Any]) -> None:
    """Look at a vital sign, whatever codes it comes by: one of them that came seldom must not hide the usual one."""
    subject = f"feed|{feed.name}|{feature}"
    last = max(channels, key=lambda one: one.last)
    if last.index in feed.lost:
        desk.voice.clear("code_silent", subject, at, said, f"{last.code} is told as remapped")
        return
    if at - last.last_time < SILENT_MS:
        desk.voice.clear("code_silent", subject, at, said, f"{feature} is heard again, by {last.code}")
        return
    usual = [one for one in channels if one.seen >= READINGS_MIN and last.last_time - one.last_time < SILENT_MS]
    most = max(usual, key=lambda one: one.missed(feed.messages), default=last)
    missed = most.missed(feed.messages)
    if usual and missed >= MISSED_MIN and feed.settled(at, desk.settings):
        desk.voice.tell(
            "code_silent", subject, at, last.last_time, said,
            feed=feed.name, code=most.code, feature=feature, wards=feed.wards_heard(),
            detail=f"no {feature} is heard since {words_for(at - last.last_time)}; {missed} readings of {most.code} "
            "were to be expected among what else the feed sends",
        )  # fmt: skip


def _look_at_newcomer(
    feed: Feed, code: str, channels: list[Channel], at: Millis, desk: Desk, said: list[Any], *, room: bool
) -> int:
    """Look at a new code in all its units; give 1 where it is told, if there is `room`.

    Until it is told, its readings are counted anew each hour: what came of it in a test, the week before, makes it
    neither slow nor usual.
    """
    subject = f"feed|{feed.name}|{code}"
    unknown = [channel for channel in channels if channel.index < 0]
    if not unknown:
        desk.voice.clear("code_unmapped", subject, at, said, f"it is mapped to {channels[0].feature}")
        return 0
    count = sum(channel.count - channel.passed for channel in unknown)
    since = min(channel.first_time for channel in unknown)
    age = at - since
    key: Key = ("code_unmapped", subject)
    often = count >= UNMAPPED_READINGS and count * MILLIS_PER_HOUR >= UNMAPPED_PER_HOUR * age
    told = key in desk.voice.standing or key in desk.voice.told
    if not told and (not often or age >= USUAL_AFTER_MS):
        if age >= MILLIS_PER_HOUR:
            for channel in unknown:
                channel.passed, channel.first_time = channel.count, at
    elif told and age >= USUAL_AFTER_MS:
        desk.voice.clear(*key, at, said, f"{count} readings of it: it is usual now")
    elif at - max(channel.last_time for channel in unknown) >= MILLIS_PER_HOUR:
        desk.voice.clear(*key, at, said, "not heard for an hour")
    elif often and room and key not in desk.voice.standing:
        desk.voice.tell(
            *key, at, since, said,
            feed=feed.name, code=code, wards=feed.wards_heard(),
            detail=f"{count} readings of {code} within {words_for(age)}, which no table has: not used until somebody "
            "maps it",
        )  # fmt: skip
        return 1
    return 0
