"""The loop over a message's observations is held to `PatientState.observe`, one at a time."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from events import Observation
from features.state import PatientState

CODES = (("8867-4", "/min"), ("8310-5", "Cel"), ("8310-5", "furlong"), ("0-0", ""))
OBSERVATIONS = st.builds(
    lambda identity, code, value, time, status, comparator, resource: Observation(
        identity, (("loinc", code[0]),), value, code[1], time, status, comparator, resource=resource
    ),
    st.integers(1, 12),
    st.sampled_from(CODES),
    st.sampled_from((None, 36.5, 38.0, 72.0, 7_000.0)),
    st.integers(0, 40).map(lambda step: step * 3_600_000),
    st.sampled_from(("final", "final", "final", "preliminary", "corrected", "withdrawn")),
    st.sampled_from(("", "", "", "<")),
    st.sampled_from(("", "", "Observation/1")),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(OBSERVATIONS, min_size=1, max_size=6), max_size=20))
def test_a_run_leaves_the_state_and_says_what_one_by_one_does(messages: list[list[Observation]]) -> None:
    """Whatever a message holds, the loop leaves the same state, and gives every intake but the accepted ones."""
    together, apart = PatientState(), PatientState()
    for number, message in enumerate(messages):
        received, name = (20 + number) * 3_600_000, f"m{number}"
        at, odd = together.observe_run(tuple(message), 0, received, name)
        intakes = [apart.observe(one, received, one.resource or name) for one in message]
        assert at == len(message)
        assert [intake for intake, _ in odd] == [intake for intake in intakes if intake.outcome != "accepted"]
        assert together.encode() == apart.encode()


def test_a_run_fills_buckets_as_one_by_one_does() -> None:
    """Far more readings than are kept in full leave the same state as one by one."""
    together, apart = PatientState(), PatientState()
    for minute in range(3_000):
        time = minute * 60_000
        one = Observation(minute + 1, (("loinc", "8867-4"),), 60.0 + minute % 50, "/min", time)
        assert together.observe_run((one,), 0, time, "m") == (1, [])
        apart.observe(one, time, "m")
    assert together.encode() == apart.encode()
