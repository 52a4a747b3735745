"""What the floor tells of patients who are let go, taken in, joined, and heard of by two clocks."""

from __future__ import annotations

from alerts.ward import EventWards
from events import Admission, Discharge, Limit, Location, Merge, Observation, Retirement, Tick
from models.version import ModelVersion
from stream.effects import Forward
from tests.stream.test_alert_orders import CODES, HOUR, MINUTE, UNITS, WELL, World, version_of

MEDIUM_HALF = {"rr": 22.0, "temp": 39.5}
OTHER_HALF = {"spo2": 93.0, "hr": 112.0}
"""4 points each, none red."""


def begun(shipped: ModelVersion) -> World:
    """Give a world in which the patient was admitted, and is well."""
    world = World(version_of(shipped))
    world.write("a", Admission(world.at, Location("W1", "1", "a")))
    world.at += HOUR
    world.chart("a", "well", 0)
    world.at += HOUR
    return world


def chart(world: World, values: dict[str, float]) -> None:
    """Chart some values of the patient."""
    made = [Observation(90 + n, (("loinc", CODES[n_]),), v, UNITS[n_], world.at) for n, (n_, v) in _numbered(values)]
    world.write("a", *made)


def _numbered(values: dict[str, float]) -> list[tuple[int, tuple[str, float]]]:
    return [(sorted(WELL).index(name), (name, value)) for name, value in values.items()]


def floor(world: World) -> list[tuple[str, str, str, str]]:
    """Give what the floor said."""
    return [
        (one.reason, one.disposition, one.priority, one.ward) for one in world.alerts() if one.trigger == "news2_floor"
    ]


def test_two_gateways_whose_clocks_are_apart_hide_no_emergency(shipped: ModelVersion) -> None:
    """Half of the values stored two seconds "before" the other half: their sum, 8, interrupts at once."""
    world = begun(shipped)
    chart(world, MEDIUM_HALF)
    world.at -= 2_000
    chart(world, OTHER_HALF)
    assert floor(world) == [("band_rise", "told", "interrupt", "W1")]


def test_an_emergency_that_is_let_go_and_taken_in_is_told_to_the_new_ward(shipped: ModelVersion) -> None:
    """A03 of the emergency department, A01 of the ward a minute later: the ward hears of what stands at once."""
    world = begun(shipped)
    world.chart("a", "sick", 0)
    world.at += 5 * MINUTE
    world.write("a", Discharge(world.at))
    world.at += MINUTE
    world.write("a", Admission(world.at, Location("W2", "2", "a")))
    assert floor(world)[-1] == ("band_rise", "told", "interrupt", "W2")


def test_who_is_back_after_hours_is_judged_by_what_is_observed_then(shipped: ModelVersion) -> None:
    """The evening's admission raises nothing on the morning's values."""
    world = begun(shipped)
    world.chart("a", "sick", 0)
    world.at += 5 * MINUTE
    world.write("a", Discharge(world.at))
    world.at += 3 * HOUR
    world.write("a", Admission(world.at, Location("W2", "2", "a")))
    assert floor(world)[-1][0] == "discharged"


def test_a_merge_that_tells_another_ward_takes_the_alert_there(shipped: ModelVersion) -> None:
    """The retired record knew the newer bed: the former ward's board loses the alert, the new ward hears of it."""
    world = begun(shipped)
    world.write("b", Admission(world.at, Location("W2", "2", "b")))
    world.chart("a", "sick", 0)
    world.at += MINUTE
    world.one("merge")
    wards, states = EventWards(), {}
    for event in world.alerts():
        for output in wards.take(event):
            states[output.state_key.partition("|")[0]] = output.state
    assert floor(world)[-1] == ("transferred", "told", "interrupt", "W2")
    assert states["W1"] is None
    assert states["W2"] is not None


def test_a_withdrawal_by_a_clock_that_is_behind_counts(shipped: ModelVersion) -> None:
    """Set by a clock that is ahead, withdrawn by one that is behind, stored in that order: the limit is no more."""
    world = begun(shipped)
    until = world.at + 48 * HOUR
    world.write("a", Limit(world.at + 4 * MINUTE, "l", "end_of_life", until, "doctor"))
    world.at += MINUTE
    world.write("a", Limit(world.at - 4 * MINUTE, "l", "end_of_life", world.at, "doctor", withdrawn=True))
    world.at += MINUTE
    world.chart("a", "sick", 0)
    world.write("", Tick(world.at))
    assert floor(world) == [("band_rise", "told", "interrupt", "W1")]
    assert world.acts() == {"limit_set": 1, "limit_withdrawn": 1}


def test_a_withdrawal_that_overtakes_its_limit_in_a_merge_counts(shipped: ModelVersion) -> None:
    """The survivor's fold hears that b's limit is withdrawn before b's record, which has it, is handed over."""
    one, other = begun(shipped), begun(shipped)
    other.write("b", Limit(other.at, "l", "end_of_life", other.at + 48 * HOUR, "doctor"))
    other.at = one.at = other.at + MINUTE
    other.write("b", Retirement(other.at, "a"))
    (handed,) = [effect.envelope for effect in other.effects if type(effect) is Forward]
    one.write("a", Merge(one.at, "b"))
    one.merged = True
    one.write("b", Limit(one.at + 1, "l", "end_of_life", one.at, "doctor", withdrawn=True))
    one.write("a", *handed.events)
    one.at += MINUTE
    one.chart("a", "sick", 0)
    assert floor(one)[-1] == ("band_rise", "told", "interrupt", "W1")
