"""Late news waits a minute: what nothing newer follows is told, and what newer values supersede is not.

Owns what is remembered of a rise that came late, and when the waiting is over. Must not know alerts or timers.

After a feed's outage its queue comes oldest first: for a second nothing newer than an old emergency is known, and in
the next the patient is well. So a rise whose values came just now and are older than `LATE_AFTER_MS` goes to the board
at once, and is told when `LATE_HELD_MS` are over and it stands. It is told at once where fresh readings say the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from events import Millis
from features.reading import Reading
from guardrails.floor import (
    LATE_AFTER_MS,
    RANK_RED,
    RED_POINTS,
    FloorFinding,
    FloorMemory,
    Priority,
    rank_of,
    standing_priority,
)
from guardrails.limits import ClinicianLimit
from guardrails.parameters import PARAMETER_OF_FEATURE, points_of
from models.news2 import PARAMETERS, News2

LATE_HELD_MS = 60_000
"""How long late news waits, before the whole minute at which timers fire: so less than two minutes in all. A queue of
two hours is through in seconds, and against an age of more than an hour a minute is nothing."""


class LateNews(msgspec.Struct, frozen=True, array_like=True):
    """Late news that waits."""

    until: Millis
    event_time: Millis
    """When the newest of the readings that made it was true."""
    rank: int
    """The rank that was told before."""
    parameters: tuple[str, ...] = ()
    """What turned red with it."""


class LateTelling(msgspec.Struct, frozen=True):
    """Late news that is told now: because it stands, or because fresh readings say the same."""

    reason: Literal["late_stands", "band_rise", "new_red"]
    priority: Priority
    parameters: tuple[str, ...]
    late: bool
    event_time: Millis


def is_late_news(finding: FloorFinding) -> bool:
    """Say whether a finding is a rise by values that came just now and are no news any more.

    What rises without them (a limit ended, newer values were withdrawn) waits for nothing: it is no flood.

    >>> is_late_news(FloorFinding(FloorMemory(3), "band_rise", late=True, came_now=True))
    True
    """
    return finding.late and finding.came_now and finding.change in ("band_rise", "new_red")


def let_wait(news: LateNews | None, before: FloorMemory, finding: FloorFinding, at: Millis) -> LateNews:
    """Let late news wait. What waits already waits no longer for it: a stream of old values must not put off an end."""
    event_time = at - finding.age_ms
    if news is None:
        return LateNews(at + LATE_HELD_MS, event_time, before.rank, finding.parameters)
    parameters = news.parameters + tuple(name for name in finding.parameters if name not in news.parameters)
    return LateNews(news.until, max(news.event_time, event_time), min(news.rank, before.rank), parameters)


def still_stands(news: LateNews, memory: FloorMemory, limit: ClinicianLimit | None) -> bool:
    """Say whether the rank is above the one that was told before, or something that turned red is red yet.

    The `limit` is the one in force; one may say that what is red is not told.
    """
    tell_red = memory.rank > 0 and (limit is None or limit.tell_red)
    return memory.rank > news.rank or bool(tell_red and _red_yet(news, memory))


def tell_now(
    news: LateNews,
    memory: FloorMemory,
    news2: News2,
    readings: Sequence[Reading],
    at: Millis,
    limit: ClinicianLimit | None,
) -> LateTelling | None:
    """Give what is to be told now of late news that stands, if its time has come or fresh readings alone say it."""
    red = _red_yet(news, memory)
    fresh = _fresh(news2, readings, at)
    fresh_red = RED_POINTS in fresh.values()
    rank = rank_of(sum(fresh.values()), red=fresh_red, limit=limit)
    tell_red = rank > 0 and (limit is None or limit.tell_red)
    if rank > news.rank or (tell_red and any(fresh.get(name) == RED_POINTS for name in red)):
        newest = max(reading.event_time for reading in readings)
        reason: Literal["band_rise", "new_red"] = "band_rise" if rank > max(news.rank, RANK_RED) else "new_red"
        return LateTelling(reason, standing_priority(memory), red, False, newest)
    if at < news.until:
        return None
    return LateTelling("late_stands", standing_priority(memory), red, True, news.event_time)


def tell_with(news: LateNews, finding: FloorFinding, at: Millis) -> LateTelling:
    """Give what is told of a rise that waits for nothing while late news does: all that stands, at once."""
    red = _red_yet(news, finding.memory)
    parameters = red + tuple(name for name in finding.parameters if name not in red)
    reason: Literal["band_rise", "new_red"] = "new_red" if finding.change == "new_red" else "band_rise"
    return LateTelling(reason, standing_priority(finding.memory), parameters, finding.late, at - finding.age_ms)


def _red_yet(news: LateNews, memory: FloorMemory) -> tuple[str, ...]:
    return tuple(name for name in news.parameters if memory.carried[PARAMETERS.index(name)] == RED_POINTS)


def _fresh(news2: News2, readings: Sequence[Reading], at: Millis) -> dict[str, int]:
    """Give the points of the parameters whose newest reading is no later than news may be."""
    newest: dict[str, Millis] = {}
    for reading in readings:
        name = PARAMETER_OF_FEATURE.get(reading.feature)
        if name is not None:
            newest[name] = max(newest.get(name, reading.event_time), reading.event_time)
    return {
        name: points
        for name, points in zip(PARAMETERS, points_of(news2), strict=True)
        if points and at - newest.get(name, 0) <= LATE_AFTER_MS
    }
