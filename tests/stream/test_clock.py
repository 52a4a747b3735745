"""The service's clock against a machine's clock that jumps."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from stream.clock import DRIFT_MS_MAX, FOLLOWED_STEP_MS_MAX, ClockMemory, ServiceClock

HOUR = 3_600_000


class Machine:
    """A machine's two clocks, moved by hand."""

    def __init__(self) -> None:
        self.wall, self.elapsed = 1_000_000_000, 0

    def pass_time(self, millis: int) -> None:
        """Let both go on."""
        self.wall += millis
        self.elapsed += millis

    def clock(self, log_clock: int = 0) -> ServiceClock:
        """Give a service's clock on this machine."""
        return ServiceClock(log_clock, wall=lambda: self.wall, elapsed=lambda: self.elapsed)


def test_it_goes_with_a_clock_that_drifts() -> None:
    """A slewed clock is followed, and is no step."""
    machine = Machine()
    clock = machine.clock()
    for _ in range(100):
        machine.pass_time(1_000)
        machine.wall -= 5
    assert clock.now() == machine.wall
    assert (clock.steps, clock.trouble) == (0, "")


def test_a_small_jump_ahead_is_followed_and_counted() -> None:
    """Ten minutes ahead are followed at once."""
    machine = Machine()
    clock = machine.clock()
    machine.wall += 600_000
    assert clock.now() == machine.wall
    assert (clock.steps, clock.trouble) == (1, "")


def test_a_great_jump_ahead_is_not_believed_until_it_is_undone() -> None:
    """A year ahead moves nothing: time goes on by what has passed, and the trouble ends with the jump."""
    machine = Machine()
    clock = machine.clock()
    machine.wall += 365 * 24 * HOUR
    machine.pass_time(5_000)
    assert clock.now() == 1_000_005_000
    assert (clock.trouble, clock.steps) == ("ahead", 1)
    machine.wall -= 365 * 24 * HOUR
    machine.pass_time(5_000)
    assert clock.now() == machine.wall
    assert clock.trouble == ""


def test_a_jump_back_halves_its_speed_until_it_is_caught_up() -> None:
    """An hour back: two hours later both agree, and ours neither ran backward nor stood still."""
    machine = Machine()
    clock = machine.clock()
    machine.wall -= HOUR
    seen = [clock.now()]
    for _ in range(2 * 60):
        machine.pass_time(60_000)
        seen.append(clock.now())
    assert all(later - earlier >= 30_000 for earlier, later in pairwise(seen))
    machine.pass_time(60_000)
    assert clock.now() == machine.wall
    assert (clock.trouble, clock.steps) == ("", 1)


def test_it_begins_where_the_log_ends() -> None:
    """A log that is ahead of the machine's clock is gone on with, and the trouble is told."""
    machine = Machine()
    clock = machine.clock(machine.wall + HOUR)
    machine.pass_time(10_000)
    assert clock.now() == 1_000_000_000 + HOUR + 5_000
    assert clock.trouble == "behind"


def test_a_restart_within_one_boot_believes_no_more_than_before(tmp_path: Path) -> None:
    """Started again by a supervisor, the clock goes on where it was; after a boot the machine's clock is believed."""
    machine = Machine()
    clock = machine.clock()
    machine.wall += 24 * HOUR
    machine.pass_time(5_000)
    ClockMemory(tmp_path, "boot 1").keep(clock.now(), machine.elapsed)
    machine.pass_time(60_000)
    expected = ClockMemory(tmp_path, "boot 1").recall(machine.elapsed)
    again = ServiceClock(0, wall=lambda: machine.wall, elapsed=lambda: machine.elapsed, expected=expected)
    assert (again.now(), again.trouble) == (1_000_065_000, "ahead")
    assert ClockMemory(tmp_path, "boot 2").recall(machine.elapsed) is None
    machine.wall -= 24 * HOUR
    assert (again.now(), again.trouble) == (machine.wall, "")


def test_a_memory_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    """A damaged file, or none, leaves the machine's clock to be believed."""
    memory = ClockMemory(tmp_path, "boot 1")
    assert memory.recall(0) is None
    (tmp_path / "clock.json").write_bytes(b"\xff{")
    assert memory.recall(0) is None


@given(st.lists(st.tuples(st.integers(0, 100_000), st.integers(-2 * HOUR, 2 * HOUR)), max_size=30))
def test_it_never_runs_backward_nor_far_ahead(moves: list[tuple[int, int]]) -> None:
    """Whatever the machine's clock does, answers do not fall, and none leaps further than is believed."""
    machine = Machine()
    clock = machine.clock()
    last = clock.now()
    for passed, jump in moves:
        machine.pass_time(passed)
        machine.wall += jump
        now = clock.now()
        assert last + passed // 2 - DRIFT_MS_MAX <= now <= last + passed + FOLLOWED_STEP_MS_MAX
        assert now >= last
        last = now
