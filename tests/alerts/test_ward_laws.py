"""[ward]'s laws, over traffic of any kind in any order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts import checks
from alerts.checks import LawBrokenError, Run, Sent, Stand, run
from alerts.ward import WardOutput
from alerts.ward_settings import WardSettings
from tests.alerts.test_ward import candidate
from tests.alerts.ward_traffic import MINUTE, SETTINGS, START, WARDS, interleaved, traffic

FREE = Stand(closed=False, settings=None)


def under(declared: WardSettings | None, closed: tuple[int, int] = (0, 0)) -> Callable[[int], Stand]:
    """Have settings stand throughout, and the gate closed from one record to another."""
    return lambda number: Stand(closed[0] <= number < closed[1], declared)


@given(traffic(), SETTINGS, st.tuples(st.integers(0, 10), st.integers(0, 20)))
def test_the_floor_is_told_whatever_stands(records: list[Sent], declared: WardSettings, shut: tuple[int, int]) -> None:
    """What the floor tells is the same bytes under any budget and any gate as under none."""
    done = run(records, under(declared, shut))
    checks.check_floor_is_unchanged(done, run(records, under(None)))


@given(traffic(), st.data(), SETTINGS, st.tuples(st.integers(0, 10), st.integers(0, 20)))
def test_nothing_is_dropped(records: list[Sent], data: Any, declared: WardSettings, shut: tuple[int, int]) -> None:
    """In any order each candidate goes out once at once, and what waits is told, followed, moved or still there."""
    done = run(data.draw(interleaved(records)), under(declared, shut))
    checks.check_all_go_out(done)
    checks.check_nothing_is_dropped(done)
    checks.check_tellings_say_what_waited(done)
    checks.check_the_rest_passes(done)
    checks.check_counts_are_gapless(done)
    checks.check_queue_is_bounded(done, WARDS)


@given(traffic(lives_max=14), SETTINGS)
def test_no_shift_is_told_more_than_its_budget(records: list[Sent], declared: WardSettings) -> None:
    """What could have waited is told no oftener than budget and flood control allow."""
    checks.check_budget_is_kept(run(records, under(declared)), declared)


@given(traffic(), st.data(), SETTINGS)
def test_within_its_limits_the_order_is_nothing(records: list[Sent], data: Any, declared: WardSettings) -> None:
    """A ward that never has to wait is told the same however partitions are interleaved."""
    roomy = msgspec.structs.replace(declared, budget=20, budgets={}, flood_count=20)
    other = data.draw(interleaved(records))
    for each in (declared, roomy):
        checks.check_order_is_nothing_within_limits(run(records, under(each)), run(other, under(each)))


@given(traffic(), st.data(), SETTINGS, st.lists(st.integers(0, 40), max_size=6), st.integers(0, 20))
def test_a_restart_changes_no_byte(
    records: list[Sent], data: Any, declared: WardSettings, cuts: list[int], shut: int
) -> None:
    """Stored and restored anywhere, with gate and settings changing, the same goes out."""
    sent = data.draw(interleaved(records))
    other = msgspec.structs.replace(declared, budget=1, budgets={})

    def stand(number: int) -> Stand:
        return Stand(shut <= number < shut + 5, declared if number % 10 < 7 else other)

    checks.check_restarts_change_nothing(sent, stand, cuts)


@settings(max_examples=20)
@given(traffic(lives_max=14), st.integers(1, 3))
def test_a_full_queue_tells(records: list[Sent], bound: int) -> None:
    """Past the bound of a queue the riskiest is told, whatever the budget; nothing is dropped."""
    tight = WardSettings(budget=1, flood_count=1, shift_starts=("01:30",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("alerts.ward.WAITING_MAX", bound)
        patch.setattr("alerts.checks.WAITING_MAX", bound)
        done = run(records, under(tight))
        checks.check_queue_is_bounded(done, WARDS)
        checks.check_nothing_is_dropped(done)
        checks.check_all_go_out(done)


# -- the laws can fail ------------------------------------------------------------------------------------------------


def three_in_one_shift(declared: WardSettings | None) -> Run:
    """Three alerts of the model within a minute."""
    records = [
        ("W1", candidate(f"a{n}", 1, "raised", at=START + n, trigger="model", reason="risk_threshold"))
        for n in range(3)
    ]
    return run(records, under(declared))


def without(done: Run, *queues: str) -> Run:
    """Leave out what went out in some way."""
    steps = [
        step._replace(outputs=[output for output in step.outputs if output.queue not in queues]) for step in done.steps
    ]
    return done._replace(steps=steps)


ONE = WardSettings(budget=1)


@pytest.mark.parametrize(
    "law",
    [
        lambda: checks.check_budget_is_kept(three_in_one_shift(None), ONE),
        lambda: checks.check_all_go_out(without(three_in_one_shift(ONE), "waits")),
        lambda: checks.check_counts_are_gapless(without(three_in_one_shift(ONE), "passes")),
        lambda: checks.check_nothing_is_dropped(three_in_one_shift(ONE)._replace(fold=three_in_one_shift(None).fold)),
        lambda: checks.check_floor_is_unchanged(
            three_in_one_shift(ONE), run([("W1", candidate("f", 1, "raised"))], under(None))
        ),
    ],
)
def test_a_breach_of_a_law_is_found(law: Callable[[], None]) -> None:
    """Each law says so where it is broken."""
    with pytest.raises(LawBrokenError):
        law()


def test_a_telling_that_waited_for_nothing_is_found() -> None:
    """A telling of what never waited breaks its law."""
    done = three_in_one_shift(None)
    (first, *_rest) = done.outputs
    assert isinstance(first, WardOutput)
    forged = done._replace(steps=[done.steps[0]._replace(outputs=[first._replace(queue="told")])])
    with pytest.raises(LawBrokenError):
        checks.check_tellings_say_what_waited(forged)


def test_traffic_waits() -> None:
    """Three at once and a budget of one: two wait, with places one and two, the riskier first."""
    done = three_in_one_shift(ONE)
    assert [output.queue for output in done.outputs] == ["passes", "waits", "waits"]
    assert done.fold.due() == done.fold.due() > START + MINUTE
