"""The NEWS2 floor: what is always told, once, and what expiry, quarantine and correction may not do."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.reading import Reading
from guardrails.floor import (
    LATE_AFTER_MS,
    NO_MEMORY,
    QUIET,
    FloorFinding,
    FloorMemory,
    applicability,
    assess_floor,
    corrected,
    floor_verdict,
    rank_of,
)
from guardrails.limits import ClinicianLimit
from models.news2 import PARAMETERS, SOURCES, News2, band_of

MINUTE = 60_000
HOUR = 60 * MINUTE
Points = tuple[int | None, ...]
WELL: Points = (0, 0, 0, 0, 0, 0, 0)


def news2_of(points: Points, quarantined: tuple[str, ...] = ()) -> News2:
    total = sum(value for value in points if value)
    missing = tuple(name for name, value in zip(PARAMETERS, points, strict=True) if value is None)
    red = 3 in points
    return News2(
        total,
        total,
        min(20, total + 3 * len(missing)),
        band_of(total, red=red),
        red,
        1,
        *points,
        missing,
        (),
        quarantined,
    )


def readings_of(points: Points, event_time: int, received_time: int) -> tuple[Reading, ...]:
    return tuple(
        Reading(SOURCES[name][0], 1.0, event_time, received_time, 1, "m")
        for name, value in zip(PARAMETERS, points, strict=True)
        if value is not None
    )


def moment(
    memory: FloorMemory, points: Points, at: int, age: int = 0, quarantined: tuple[str, ...] = ()
) -> FloorFinding:
    return assess_floor(memory, news2_of(points, quarantined), at, lambda: readings_of(points, at - age, at))


def course(*moments: tuple[Points, int]) -> list[tuple[str, str]]:
    memory, told = NO_MEMORY, []
    for points, at in moments:
        finding = moment(memory, points, at)
        memory = finding.memory
        if finding.change:
            told.append((finding.change, finding.priority))
    return told


POINTS = st.tuples(*[st.integers(0, 3)] * 7)
PARTIAL = st.tuples(*[st.one_of(st.none(), st.integers(0, 3))] * 7)


def test_nothing_to_tell_costs_nothing() -> None:
    """A low score with no open episode asks for no readings and keeps no memory."""
    assert (
        assess_floor(NO_MEMORY, news2_of((1, 1, 1, 1, 0, 0, 0)), 0, lambda: pytest.fail("readings asked for")) is QUIET
    )


@pytest.mark.parametrize(
    ("points", "change", "priority"),
    [
        ((2, 2, 1, 0, 0, 0, 0), "band_rise", "notify"),
        ((2, 2, 2, 1, 0, 0, 0), "band_rise", "interrupt"),
        ((3, 0, 0, 0, 0, 0, 0), "new_red", "notify"),
        ((3, 2, 2, 0, 0, 0, 0), "band_rise", "interrupt"),
    ],
)
def test_each_band_is_told_at_its_priority(points: Points, change: str, priority: str) -> None:
    """7 and more interrupts; 5-6 and a red parameter notify."""
    assert course((points, 0)) == [(change, priority)]


@given(courses=st.lists(POINTS, min_size=1, max_size=12))
def test_every_rise_of_band_and_every_new_red_is_told(courses: list[tuple[int, ...]]) -> None:
    """On complete scores: told exactly when the rank rises or a parameter turns red, however the course runs."""
    memory, rank, before = NO_MEMORY, 0, (0,) * 7
    for number, points in enumerate(courses):
        finding = moment(memory, points, number * MINUTE)
        new_rank = rank_of(sum(points), red=3 in points)
        turned_red = any(new == 3 and old != 3 for new, old in zip(points, before, strict=True))
        assert (finding.change in ("band_rise", "new_red")) == (new_rank > rank or turned_red)
        memory, rank, before = finding.memory, new_rank, points


@given(courses=st.lists(PARTIAL, min_size=1, max_size=12))
def test_a_rise_over_what_was_told_is_told_on_partial_scores_too(courses: list[Points]) -> None:
    """Whatever is missing: a score whose own rank exceeds the rank held is told, and the held rank covers it."""
    memory = NO_MEMORY
    for number, points in enumerate(courses):
        finding = moment(memory, points, number * MINUTE)
        rank = rank_of(sum(value for value in points if value), red=3 in points)
        if rank > memory.rank:
            assert finding.change in ("band_rise", "new_red")
            assert finding.priority == ("interrupt" if rank == 3 else "notify")
        assert finding.memory.rank >= rank
        memory = finding.memory


@given(first=PARTIAL, lost=st.sets(st.integers(0, 6)), minutes=st.integers(0, 3000))
def test_an_input_that_expires_lowers_nothing(first: Points, lost: set[int], minutes: int) -> None:
    """Whichever inputs go missing and however long: the rank is held and nothing resolves."""
    opened = moment(NO_MEMORY, first, 0)
    then = tuple(None if number in lost else value for number, value in enumerate(first))
    finding = moment(opened.memory, then, minutes * MINUTE, age=minutes * MINUTE)
    assert finding.memory.rank == opened.memory.rank
    assert finding.change in ("", "input_expired")


def test_an_expired_input_is_told_once() -> None:
    """The loss of an input the alert rests on notifies; the loss of a normal one is the board's; both once."""
    high = (3, 2, 2, 0, 0, 0, 0)
    without = (None, 2, 2, 0, 0, 0, 0)
    no_temperature = (None, 2, 2, 0, 0, 0, None)
    assert course((high, 0), (without, HOUR), (without, 2 * HOUR), (no_temperature, 3 * HOUR)) == [
        ("band_rise", "interrupt"),
        ("input_expired", "notify"),
        ("input_expired", "board"),
    ]


def test_a_quarantined_input_is_told_and_holds_the_episode_open() -> None:
    """A newer impossible value during an episode is told, and nothing resolves while it stands."""
    memory = moment(NO_MEMORY, (3, 2, 2, 0, 0, 0, 0), 0).memory
    finding = moment(memory, (3, 2, 2, 0, 0, 0, 0), HOUR, quarantined=("respiration_rate",))
    assert (finding.change, finding.parameters) == ("input_quarantined", ("respiration_rate",))
    memory = finding.memory
    for hour in range(2, 6):
        finding = moment(memory, WELL, hour * HOUR, quarantined=("respiration_rate",))
        assert finding.change != "resolved"
        memory = finding.memory


def test_a_band_is_told_once_and_again_after_it_fell_and_rose() -> None:
    """Steady scores say nothing more; after a fall by fresh evidence the same band is news again."""
    seven, six, steady = (2, 2, 2, 1, 0, 0, 0), (2, 2, 2, 0, 0, 0, 0), (2, 2, 2, 2, 0, 0, 0)
    assert course((seven, 0), (steady, 1), (steady, 2), (six, 3), (six, 4), (seven, 5)) == [
        ("band_rise", "interrupt"),
        ("band_fall", "board"),
        ("band_rise", "interrupt"),
    ]


def test_calm_must_last_on_newer_readings() -> None:
    """Two calm scorings half an hour of readings apart resolve; the same readings scored twice do not."""
    memory = moment(NO_MEMORY, (2, 2, 2, 1, 0, 0, 0), 0).memory
    memory = moment(memory, WELL, HOUR).memory
    again = moment(memory, WELL, 3 * HOUR, age=2 * HOUR)
    assert again.change == ""
    assert moment(again.memory, WELL, HOUR + 20 * MINUTE).change == ""
    done = moment(again.memory, WELL, 3 * HOUR + MINUTE)
    assert done.change == "resolved"
    assert done.memory == NO_MEMORY


def test_calm_that_breaks_starts_anew() -> None:
    """A rise between two calm scorings makes the first of them count for nothing."""
    told = course(((2, 2, 2, 0, 0, 0, 0), 0), (WELL, HOUR), ((2, 2, 2, 0, 0, 0, 0), HOUR + MINUTE), (WELL, 2 * HOUR))
    assert told == [("band_rise", "notify"), ("band_rise", "notify")]


def test_calm_on_too_few_parameters_resolves_nothing() -> None:
    """Three normal parameters are not a recovery."""
    memory = moment(NO_MEMORY, (2, 2, 2, None, None, None, None), 0).memory
    for hour in range(1, 5):
        finding = moment(memory, (0, 0, 0, None, None, None, None), hour * HOUR)
        assert finding.change == ""
        memory = finding.memory


def test_a_late_emergency_is_told_as_late_with_its_age() -> None:
    """An emergency whose making readings are older than LATE_AFTER is told at its priority, marked late."""
    finding = moment(NO_MEMORY, (3, 2, 2, 0, 0, 0, 0), 10 * HOUR, age=LATE_AFTER_MS + 1)
    assert (finding.change, finding.priority, finding.late, finding.age_ms) == (
        "band_rise",
        "interrupt",
        True,
        LATE_AFTER_MS + 1,
    )
    assert not moment(NO_MEMORY, (3, 2, 2, 0, 0, 0, 0), 10 * HOUR, age=LATE_AFTER_MS).late


def test_lateness_is_that_of_the_reading_that_came_late() -> None:
    """A late respiration that makes an emergency among fresh readings is late by its own age."""
    points = (3, 2, 2, 0, 0, 0, 0)
    fresh = readings_of(points, 9 * HOUR, 9 * HOUR)[1:]
    late = Reading("respiration_rate", 30.0, 7 * HOUR, 10 * HOUR, 1, "m")
    finding = assess_floor(NO_MEMORY, news2_of(points), 10 * HOUR, lambda: (late, *fresh))
    assert (finding.late, finding.age_ms) == (True, 3 * HOUR)


def test_a_correction_may_lower_what_expiry_may_not() -> None:
    """The points of a withdrawn value are not carried, those of a corrected one are the new; no others change."""
    memory = moment(NO_MEMORY, (3, 3, 2, 0, 0, 0, 0), 0).memory
    assert corrected(memory, {"respiration_rate": None}, HOUR).rank == 2
    assert corrected(memory, {"respiration_rate": 2}, HOUR).rank == 3
    assert corrected(memory, {"temperature": None}, HOUR).rank == 3
    expired = moment(memory, (None, 3, 2, 0, 0, 0, 0), HOUR).memory
    assert corrected(expired, {}, HOUR).rank == 3


def test_quarantined_inputs_open_a_watch() -> None:
    """The board's with four usable parameters, the ward's with three; an input good but in doubt is not usable."""
    four, three = PARAMETERS[:3], PARAMETERS[:4]
    assert moment(NO_MEMORY, WELL, 0, quarantined=four).priority == "board"
    assert moment(NO_MEMORY, WELL, 0, quarantined=three).priority == "notify"
    few: Points = (0, 0, 0, None, None, None, None)
    assert moment(NO_MEMORY, few, 0, quarantined=("temperature",)).priority == "notify"


def test_a_watch_names_each_input_once_and_ends_when_all_are_good() -> None:
    """The same artefact again is silence; gone without a value is not yet good; good values end it."""
    first = moment(NO_MEMORY, (None, 0, 0, 0, 0, 0, 0), 0, quarantined=("respiration_rate",))
    assert (first.change, first.parameters) == ("input_quarantined", ("respiration_rate",))
    again = moment(first.memory, (None, 0, 0, 0, 0, 0, 0), MINUTE, quarantined=("respiration_rate",))
    assert (again.change, again.memory) == ("", first.memory)
    gone = moment(again.memory, (None, 0, 0, 0, 0, 0, 0), HOUR)
    assert gone.change == ""
    good = moment(gone.memory, WELL, HOUR)
    assert (good.change, good.memory) == ("inputs_usable", NO_MEMORY)


@given(first=PARTIAL, then=PARTIAL, doubt=st.sets(st.sampled_from(PARAMETERS), min_size=1))
def test_a_watch_hides_no_rank(first: Points, then: Points, doubt: set[str]) -> None:
    """Whatever is watched, a score with a rank is told at that rank's priority."""
    names = tuple(name for name in PARAMETERS if name in doubt)
    watched = moment(NO_MEMORY, first, 0, quarantined=names)
    finding = moment(watched.memory, then, HOUR, quarantined=names)
    rank = rank_of(sum(value for value in then if value), red=3 in then)
    if not watched.memory.rank and rank:
        assert finding.change in ("band_rise", "new_red")
        assert finding.priority == ("interrupt" if rank == 3 else "notify")
        assert finding.memory.watch == 0


def test_an_input_that_expires_opens_no_watch() -> None:
    """Missing is the board's to show."""
    assert moment(NO_MEMORY, (None, None, None, 0, 0, 0, 0), HOUR) == QUIET


def test_only_an_unexpired_limit_changes_what_is_told() -> None:
    """A clinician's limit raises the level until it expires, and not a moment longer."""
    limit = ClinicianLimit(notify_at=8, interrupt_at=10, expires_at=HOUR, tell_red=False)
    news2 = news2_of((3, 2, 2, 0, 0, 0, 0))
    assert assess_floor(NO_MEMORY, news2, HOUR - 1, tuple, limit) == QUIET
    assert assess_floor(NO_MEMORY, news2, HOUR, tuple, limit).change == "band_rise"
    with pytest.raises(ValueError, match="notify_at"):
        ClinicianLimit(notify_at=8, interrupt_at=7, expires_at=0)


def test_a_red_that_a_limit_covered_is_told_when_the_limit_ends() -> None:
    """In an open episode a limit that expires leaves no standing red parameter untold."""
    limit = ClinicianLimit(notify_at=6, interrupt_at=8, expires_at=2 * HOUR, tell_red=False)
    medium, red = (3, 2, 1, 0, 0, 0, 0), (3, 0, 0, 0, 0, 0, 0)
    memory = assess_floor(NO_MEMORY, news2_of(medium), 0, lambda: readings_of(medium, 0, 0), limit).memory
    memory = assess_floor(memory, news2_of(red), HOUR, lambda: readings_of(red, HOUR, HOUR), limit).memory
    assert memory.rank == 0
    finding = assess_floor(memory, news2_of(red), 2 * HOUR, lambda: readings_of(red, HOUR, HOUR), limit)
    assert (finding.change, finding.priority) == ("new_red", "notify")


def test_where_news2_does_not_apply_that_is_said() -> None:
    """Children, pregnant women and the dead are named; unknown age counts as adult."""
    assert [applicability(10.0), applicability(30.0, pregnant=True), applicability(90.0, deceased=True)] == [
        "under_16",
        "pregnancy",
        "deceased",
    ]
    assert applicability(16.0) == applicability(None) == ""
    assert floor_verdict(applicability(10.0)).reason == "under_16"


@given(courses=st.lists(PARTIAL, max_size=8))
def test_the_memory_survives_its_encoding(courses: list[Points]) -> None:
    """A floor memory stored and read back is the same."""
    memory = NO_MEMORY
    for number, points in enumerate(courses):
        memory = moment(memory, points, number * HOUR).memory
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(memory), type=FloorMemory) == memory
