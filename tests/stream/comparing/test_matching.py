"""Laws of the pairs: everybody is in exactly one, and the other way round the words are the other way round."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE
from stream.comparing.matching import APART_MAX_MS, pairs
from stream.comparing.runs import Life

OTHER_WAY = {"appeared": "vanished", "vanished": "appeared"}


def life(name: str, raised: int, told: int | None, patient: str = "p", priority: str = "notify") -> Life:
    return Life(name, patient, "news2_floor", "W", "1", raised, told, "" if told else "shadow", priority, "resolved")


@st.composite
def lives(draw: st.DrawFn) -> dict[str, Life]:
    """Draw alerts of two patients over two days, some under names that the other run may have too."""
    found = {}
    for name in draw(st.sets(st.integers(0, 12), max_size=8)):
        raised = draw(st.integers(0, 48)) * MILLIS_PER_HOUR + 1
        told = draw(st.none() | st.integers(0, 90).map(lambda minutes, at=raised: at + minutes * MILLIS_PER_MINUTE))
        found[str(name)] = life(
            str(name), raised, told, patient=f"p{name % 2}", priority=draw(st.sampled_from(("notify", "interrupt")))
        )
    return found


@given(lives(), lives())
def test_everybody_is_in_one_pair(first: dict[str, Life], second: dict[str, Life]) -> None:
    """No alert is lost or counted twice, and those of one name are together."""
    found = pairs(first, second)
    assert sorted(one.first.alert_id for one in found if one.first) == sorted(first)
    assert sorted(one.second.alert_id for one in found if one.second) == sorted(second)
    for one in found:
        if one.first and one.second and one.first.alert_id != one.second.alert_id:
            assert one.first.alert_id not in second
            assert one.second.alert_id not in first
            assert one.first.patient == one.second.patient
            assert abs(one.first.raised - one.second.raised) <= APART_MAX_MS


@given(lives(), lives())
def test_the_other_way_round_the_words_are_too(first: dict[str, Life], second: dict[str, Life]) -> None:
    """What has vanished the one way has appeared the other; all else is called the same."""
    there = sorted(OTHER_WAY.get(one.kind, one.kind) for one in pairs(first, second))
    assert there == sorted(one.kind for one in pairs(second, first))


@given(lives())
def test_a_run_beside_itself_differs_in_nothing(run: dict[str, Life]) -> None:
    """All are the same, or were heard by nobody."""
    assert {one.kind for one in pairs(run, run)} <= {"same", "unheard"}


def test_the_nearest_are_one() -> None:
    """Of two that may be the same the nearer one is, and the other stands alone; out of reach nobody is."""
    first = {"a": life("a", 10 * MILLIS_PER_HOUR, 10 * MILLIS_PER_HOUR)}
    second = {name: life(name, hour * MILLIS_PER_HOUR, hour * MILLIS_PER_HOUR) for name, hour in (("b", 7), ("c", 11))}
    kinds = {one.shown.alert_id if one.first is None else "a": one.kind for one in pairs(first, second)}
    assert kinds == {"a": "moved", "b": "appeared"}
    far = {"d": life("d", 40 * MILLIS_PER_HOUR, 40 * MILLIS_PER_HOUR)}
    assert sorted(one.kind for one in pairs(first, far)) == ["appeared", "vanished"]


def test_priority_and_end_change_without_moving() -> None:
    """Told at one time and place, and graver: it has changed."""
    one, other = (life("a", 1, 1, priority=priority) for priority in ("notify", "interrupt"))
    assert [pair.kind for pair in pairs({"a": one}, {"a": other})] == ["changed"]
