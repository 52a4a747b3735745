"""Holes in the offsets: what a second reading proves is passed over, and nothing else ever is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.faults import UnreachableError
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from stream.live import progress, stage_app
from stream.live.holes import Look, Seen, in_turn, look_again
from stream.live.progress import Place, ProgressWatch, Standing
from stream.live.stage import GapError, LogItem, LogRange, StagePartition, following
from stream.live.stage_app import StageApp
from tests.stream.live.partitions import START, UNTIL_S, until
from tests.stream.live.test_stage_app import SETTINGS, Heard, Plain, beside, item

PLACE = TP("t", 0)
HERE: Place = PLACE
NOTHING = LogRange(0, 0)


def offsets(items: Sequence[LogItem]) -> list[int]:
    return [one.offset for one in items]


# -- the law ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.booleans(), max_size=12), st.lists(st.integers(0, 11), max_size=12), st.integers(0, 11), st.data())
def test_no_record_is_ever_passed_over(log: list[bool], came: list[int], at: int, data: st.DataObject) -> None:
    """Whatever came, lost, stale or twice: what is taken is the log's own records from `at` on, none left out."""
    records = [offset for offset, stands in enumerate(log) if stands]
    begin = data.draw(st.integers(0, len(log)))
    end = data.draw(st.integers(begin, len(log)))
    seen = Seen(begin, end, tuple(offset for offset in records if begin <= offset < end))
    taken = in_turn([item(offset) for offset in came if offset in records], at, seen)
    wanted = [offset for offset in records if offset >= at]
    assert offsets(taken) == wanted[: len(taken)]
    assert offsets(list(following(taken, at - 1, 0, "t/0"))) == offsets(taken)


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_what_came_whole_is_taken_whole(log: list[bool]) -> None:
    """Nothing lost: with a second reading that was given the same, every record is taken, whatever the holes are."""
    records = [offset for offset, stands in enumerate(log) if stands]
    taken = in_turn([item(offset) for offset in records], 0, Seen(0, len(log), tuple(records)))
    assert offsets(taken) == records
    assert sum(one.skips for one in taken) == (records[-1] + 1 - len(records) if records else 0)


@given(st.lists(st.integers(0, 11), max_size=12), st.integers(0, 11))
def test_without_a_second_reading_every_hole_is_a_loss(came: list[int], at: int) -> None:
    """What is taken follows offset by offset."""
    taken = in_turn([item(offset) for offset in came], at)
    assert offsets(taken) == list(range(at, at + len(taken)))


def test_a_fold_still_refuses_what_skips_too_little() -> None:
    """The partition's own guard: a record that says it skips one offset does not come after two."""
    with pytest.raises(GapError, match="t/0: 7 came after 4"):
        list(following([item(7)._replace(skips=1)], 4, 0, "t/0"))


# -- the host ---------------------------------------------------------------------------------------------------------


class Second:
    """A second reading that is given these records of the log, and notes what it was asked."""

    def __init__(self, *records: int) -> None:
        self.records = records
        self.asked: list[tuple[int, int | None]] = []

    async def __call__(self, _topic: str, _partition: int, begin: int, until: int | None) -> Seen:
        """Give what stands there."""
        self.asked.append((begin, until))
        end = 20 if until is None else until
        return Seen(begin, end, tuple(offset for offset in self.records if begin <= offset < end))


async def unproved(_topic: str, _partition: int, _begin: int, _until: int | None) -> None:
    """Prove nothing: the log begins later."""


async def unanswered(_topic: str, _partition: int, _begin: int, _until: int | None) -> None:
    """Nobody answers."""
    raise UnreachableError("away")


class Away(Second):
    """A second reading whose broker is away at first."""

    away = True

    async def __call__(self, topic: str, partition: int, begin: int, until: int | None) -> Seen:
        """Give what stands there, once somebody answers."""
        found = await super().__call__(topic, partition, begin, until)
        if self.away:
            raise UnreachableError("no broker answered")
        return found


async def taken(_partition: StagePartition, _records: Sequence[Record]) -> None:
    """Write nothing."""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once, and call a gap one at once: nobody waits for a test."""
    monkeypatch.setattr(stage_app, "RETRY_S_MIN", 0.02)
    monkeypatch.setattr(stage_app, "RETRY_S_MAX", 0.05)
    monkeypatch.setattr(progress, "GAP_S_MAX", 0.0)


async def opened(look: Look, end: int = 0) -> tuple[StageApp, Plain]:
    """Give an app that nothing is read for, with one partition, which is open."""
    partition = Plain(0)
    app = StageApp(SETTINGS, lambda _t, _n: partition, taken, Heard(), lambda: START, lambda _t, _n: end, look)
    await app._open(PLACE, NOTHING)
    return app, partition


@pytest.mark.asyncio
async def test_a_proved_hole_is_passed_with_one_look_a_batch() -> None:
    """Two holes in a batch, before it and within: one second reading, and all of it is folded."""
    second = Second(0, 3, 4, 7)
    app, partition = await opened(second)
    await app._work(PLACE, [item(0)])
    await app._work(PLACE, [item(3), item(4), item(7)])
    assert (partition.folded, second.asked) == (7, [(1, 8)])
    app.watch()


@pytest.mark.asyncio
async def test_records_that_follow_each_other_are_not_looked_at() -> None:
    """The way of every other feed: no second reading, also where what came was folded already."""
    second = Second()
    app, partition = await opened(second)
    await app._work(PLACE, [item(0), item(1)])
    await app._work(PLACE, [item(1), item(2)])
    await app._work(PLACE, [item(0), item(1)])
    assert (partition.folded, second.asked) == (2, [])


@pytest.mark.parametrize("look", [Second(0, 1, 2, 3, 4, 5), unproved], ids=["records-stand-there", "no-proof"])
@pytest.mark.asyncio
async def test_a_hole_that_is_not_proved_is_refused(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes behind it is not folded, and the process ends where the record that is next does not come."""
    app, partition = await opened(look)
    await app._work(PLACE, [item(0), item(3), item(4)])
    await app._work(PLACE, [item(5)])
    assert partition.folded == 0
    app.watch()
    monkeypatch.setattr(progress, "GAP_S_MAX", 0.0)
    with pytest.raises(GapError, match="t/0: record 1 does not come, later ones do"):
        app.watch()


@pytest.mark.asyncio
async def test_a_hole_waits_for_a_broker_that_is_away(quick: None) -> None:
    """However long nobody answers, that is told and no reason to end; then the hole is passed, and nothing is told."""
    second = Away(0, 3, 4)
    app, partition = await opened(second)
    async with beside(app._work(PLACE, [item(0), item(3), item(4)])) as batch:
        await until(lambda: len(second.asked) > 3)
        assert app.problems() == ["patient: second reading of t/0 fails: no broker answered"]
        assert (partition.folded, app.dead()) == (-1, [])
        app.watch()
        second.away = False
        await batch
    assert (partition.folded, app.problems(), second.asked[0]) == (4, [], (1, 5))
    app.watch()


@pytest.mark.asyncio
async def test_who_lost_a_partition_waits_no_longer_for_its_broker(
    quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It went to another worker while nobody answered: the batch is let go of, and others of the stage go on."""
    second = Away(0, 3)
    app, partition = await opened(second)
    async with beside(app._work(PLACE, [item(0), item(3)])) as batch:
        await until(lambda: second.asked)
        monkeypatch.setattr(partition, "still_ours", lambda: False)
        async with asyncio.timeout(UNTIL_S):
            await batch
    assert (partition.folded, app.problems()) == (-1, [])


@pytest.mark.asyncio
async def test_records_that_come_late_after_a_refused_hole_are_folded() -> None:
    """The consumer was sent back: what was refused comes again, in its turn, and the gap is forgotten."""
    app, partition = await opened(Second(0, 1, 2, 3))
    await app._work(PLACE, [item(0), item(3)])
    await app._work(PLACE, [item(1), item(2), item(3)])
    assert (partition.folded, app._progress._gaps) == (3, {})


@pytest.mark.parametrize(("look", "lag"), [(Second(0, 1), 0), (Second(0, 1, 5), 18), (unproved, 18), (unanswered, 18)])
@pytest.mark.asyncio
async def test_the_log_s_end_is_reached_where_nothing_is_proved_to_stand_before_it(
    look: Callable[..., Awaitable[Seen | None]], lag: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty offsets, two folded: caught up where the others are empty; behind where a record is there, or no word."""
    monkeypatch.setattr(stage_app, "IDLE_LOOK_S", 0.01)
    monkeypatch.setattr(progress, "TAIL_S", 0.0)
    asked: list[int] = []

    async def noted(topic: str, partition: int, begin: int, end: int | None) -> Seen | None:
        asked.append(begin)
        return await look(topic, partition, begin, end)

    app, partition = await opened(noted, 20)
    await app._work(PLACE, [item(0), item(1)])
    app.watch()
    idle = asyncio.ensure_future(app._idle_forever())
    await until(lambda: asked)
    await until(lambda: partition.idled > 1)
    app.watch()
    idle.cancel()
    [one] = app.progress()
    assert (one.lag, one.still_s > 0, asked[0]) == (lag, lag > 0, 2)


# -- the clocks -------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give a clock that a test turns."""
    at = [100.0]
    monkeypatch.setattr("stream.live.progress.time.monotonic", lambda: at[0])
    return at


def test_an_open_transaction_is_told_and_not_called_ours(clock: list[float]) -> None:
    """Held back for longer than a partition may stand still: said with its age, and no partition is stuck."""
    watch = ProgressWatch("parse", 30.0)
    standing = {HERE: Standing(4, 5, 3)}
    watch.look(standing)
    clock[0] += 29
    assert watch.held(standing) == []
    clock[0] += 16
    [said] = watch.held(standing)
    assert "a writer's transaction is open since 45 s" in said
    assert watch.stuck(standing) == []
    watch.look({HERE: Standing(4, 6, 2)})
    assert watch.held({HERE: Standing(4, 6, 2)}) == []


def test_an_empty_end_that_grows_is_looked_at_again_and_never_stuck(clock: list[float]) -> None:
    """A writer that aborts all it writes: each new hole is proved in its turn, whatever time it takes in all."""
    watch = ProgressWatch("parse", 30.0)
    end = 5
    for _ in range(20):
        standing = {HERE: Standing(4, end, 0)}
        watch.look(standing)
        clock[0] += progress.TAIL_S + 1
        begin = watch.unproved_from(HERE, standing[HERE])
        assert begin == (None if end == 5 else end - 3)
        watch.emptied(HERE, 4, end)
        assert watch.stuck(standing) == []
        end += 3


def test_an_empty_end_says_nothing_of_what_is_folded_later(clock: list[float]) -> None:
    """Proved for a partition that stood at 4; it stands at 9 and has records to fold again."""
    watch = ProgressWatch("parse", 30.0)
    watch.emptied(HERE, 4, 9)
    [one] = watch.progress({HERE: Standing(9, 12, 0)})
    assert one.lag == 2


def test_a_gap_of_a_partition_that_is_no_longer_ours_ends_nothing(clock: list[float]) -> None:
    """It went to another worker while the second reading was under way: he reads what we lacked."""
    watch = ProgressWatch("parse", 30.0)
    watch.missing(HERE, 5)
    clock[0] += progress.GAP_S_MAX + 1
    watch.look({})
    with pytest.raises(GapError):
        watch.look({HERE: Standing(4, 9, 0)})


@pytest.mark.asyncio
@pytest.mark.parametrize("end", [-1, 30, 65], ids=["unanswered", "shorter", "as-long"])
@pytest.mark.parametrize("step", [10, 0])
async def test_a_reading_that_gets_on_is_gone_on_with(step: int, end: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was aborted is read too, however long it takes.

    One that stands still is no proof where the broker says that the log is shorter, and else no answer at all.
    """

    async def read_for_a_while(_settings: object, _password: str, _place: object, reading: Any, _until: object) -> None:
        reading.reached += step
        reading.end = end
        if reading.reached < 65:
            raise TimeoutError
        reading.offsets.append(64)

    monkeypatch.setattr("stream.live.holes._read", read_for_a_while)
    if step == 0 and end != 30:
        with pytest.raises(UnreachableError):
            await look_again(KafkaSettings(), "", "t", 0, 5, 65)
    else:
        assert await look_again(KafkaSettings(), "", "t", 0, 5, 65) == (Seen(5, 65, (64,)) if step else None)
