"""Late news waits a minute: what waits, how long, and what is told before."""

from __future__ import annotations

import pytest

from features.reading import Reading
from guardrails.floor import LATE_AFTER_MS, NO_MEMORY, FloorFinding, FloorMemory, assess_floor
from guardrails.late import LATE_HELD_MS, LateNews, is_late_news, let_wait, still_stands, tell_now
from guardrails.limits import ClinicianLimit
from models.news2 import PARAMETERS, SOURCES, News2, band_of

HOUR = 3_600_000
AT = 10 * HOUR
Points = tuple[int, ...]
HIGH: Points = (3, 2, 2, 0, 0, 0, 0)


def news2_of(points: Points) -> News2:
    total, red = sum(points), 3 in points
    return News2(total, total, total, band_of(total, red=red), red, 1, *points)


def readings_of(ages: tuple[int, ...], received_time: int = AT) -> tuple[Reading, ...]:
    return tuple(
        Reading(SOURCES[name][0], 1.0, AT - age, received_time, number, "m")
        for number, (name, age) in enumerate(zip(PARAMETERS, ages, strict=True))
    )


def rise(age: int, *, received_time: int = AT) -> FloorFinding:
    return assess_floor(NO_MEMORY, news2_of(HIGH), AT, lambda: readings_of((age,) * 7, received_time))


@pytest.mark.parametrize(
    ("age", "received_time", "waits"),
    [(LATE_AFTER_MS + 1, AT, True), (LATE_AFTER_MS, AT, False), (3 * HOUR, AT - HOUR, False)],
    ids=["late", "young enough", "known before"],
)
def test_only_late_values_that_came_just_now_wait(age: int, received_time: int, waits: bool) -> None:  # noqa: FBT001
    """A rise by values that are too old and came at this moment waits; by younger or known ones it does not."""
    assert is_late_news(rise(age, received_time=received_time)) is waits


def test_more_late_news_does_not_put_the_end_off() -> None:
    """What comes while something waits waits with it, up to the first one's end, over the rank that was told."""
    first = let_wait(None, FloorMemory(1), rise(3 * HOUR), AT)
    second = let_wait(first, FloorMemory(3), rise(2 * HOUR), AT + 50_000)
    assert (first.until, second.until, second.rank) == (AT + LATE_HELD_MS, AT + LATE_HELD_MS, 1)


def test_it_stands_while_its_rank_or_its_red_does() -> None:
    """Over the told rank it stands; at it only while what turned red is red yet."""
    news = LateNews(AT, 0, 2, ("respiration_rate",))
    assert still_stands(news, FloorMemory(3, (2, 2, 3, 0, 0, 0, 0)), None)
    assert still_stands(news, FloorMemory(2, (3, 2, 0, 0, 0, 0, 0)), None)
    assert not still_stands(news, FloorMemory(2, (2, 2, 1, 0, 0, 0, 0)), None)
    assert not still_stands(news, NO_MEMORY, None)


def test_a_limit_that_keeps_red_untold_keeps_this_too() -> None:
    """Where a clinician's limit tells no red parameter, one that is red yet lets nothing stand by itself."""
    news, limit = LateNews(AT, 0, 2, ("respiration_rate",)), ClinicianLimit(5, 7, AT + HOUR, tell_red=False)
    memory = FloorMemory(2, (3, 2, 0, 0, 0, 0, 0))
    assert (still_stands(news, memory, None), still_stands(news, memory, limit)) == (True, False)


def test_what_stands_at_the_end_is_told_as_late() -> None:
    """Not a millisecond before its end; then at the priority of what stands, as late, from its own time."""
    finding = rise(3 * HOUR)
    news = let_wait(None, NO_MEMORY, finding, AT - LATE_HELD_MS)
    readings = readings_of((3 * HOUR,) * 7)
    assert tell_now(news, finding.memory, news2_of(HIGH), readings, AT - 1, None) is None
    told = tell_now(news, finding.memory, news2_of(HIGH), readings, AT, None)
    assert told is not None
    assert (told.reason, told.priority, told.late, told.event_time) == (
        "late_stands",
        "interrupt",
        True,
        news.event_time,
    )


def test_fresh_readings_that_say_the_same_tell_at_once() -> None:
    """With fresh values of a rank of their own nothing waits on, and what is told is not late."""
    finding = rise(3 * HOUR)
    news = let_wait(None, NO_MEMORY, finding, AT)
    told = tell_now(news, finding.memory, news2_of(HIGH), readings_of((0,) * 7), AT + 1, None)
    assert told is not None
    assert (told.reason, told.late) == ("band_rise", False)


def test_a_fresh_value_beside_a_late_one_confirms_nothing() -> None:
    """The late respiration makes the rank; a fresh pulse that has two points does not say the same."""
    finding = rise(3 * HOUR)
    news = let_wait(None, NO_MEMORY, finding, AT)
    ages = (3 * HOUR, 3 * HOUR, 0, 0, 0, 0, 0)
    assert tell_now(news, finding.memory, news2_of(HIGH), readings_of(ages), AT + 1, None) is None
