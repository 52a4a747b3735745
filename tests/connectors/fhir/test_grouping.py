"""Claims about Observations that are one moment."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.decoded import Decoded, Identifier
from connectors.fhir.grouping import combine, drop_parts
from events import Correction, Observation


def part(number: int) -> Decoded:
    """Make the result of one Observation; every third is a correction, every fifth holds nothing."""
    observation = Observation(number, (("loinc", "8867-4"),), float(number), "/min", number)
    event = Correction(observation) if number % 3 == 0 else observation
    return Decoded(
        "ehr",
        f"Observation/{number}",
        number.to_bytes(16, "big"),
        5,
        number,
        (Identifier("ehr/Patient", "p"),),
        () if number % 5 == 0 else (event,),
        kind="Observation",
        notes=(f"note {number}",),
    )


PARTS = st.lists(st.integers(1, 40), min_size=1, max_size=8).map(lambda numbers: [part(number) for number in numbers])


@given(PARTS, st.data())
def test_joining_does_not_depend_on_how_it_was_done(parts: list[Decoded], data: st.DataObject) -> None:
    """A moment joined in two steps, cut anywhere, is the moment joined at once."""
    cut = data.draw(st.integers(0, len(parts)))
    halves = [combine(half) for half in (parts[:cut], parts[cut:]) if half]
    assert combine(halves) == combine(parts)


@given(PARTS, st.data())
def test_dropped_parts_leave_what_the_others_are(parts: list[Decoded], data: st.DataObject) -> None:
    """A moment without some of its parts is the moment of the others: same id, events, time and notes."""
    drop = data.draw(st.lists(st.booleans(), min_size=len(parts), max_size=len(parts)))
    kept = [one for one, dropped in zip(parts, drop, strict=True) if not dropped]
    assert drop_parts(combine(parts), drop) == (combine(kept) if kept else None)


def test_a_moment_knows_its_parts() -> None:
    """Hashes of the parts stand in their order, and a single message has none but its own."""
    parts = [part(1), part(2), part(1)]
    joined = combine(parts)
    assert joined.part_hashes == tuple(one.content_hash for one in parts)
    assert (joined.parts, part(1).part_hashes) == (3, ())
    assert combine([part(1)]) == part(1)


def test_one_flag_for_each_part() -> None:
    """Flags that do not match the parts are a mistake of ours, told at once."""
    with pytest.raises(ValueError, match="argument 2"):
        drop_parts(combine([part(1), part(2)]), [True])


def test_a_part_may_be_read_back() -> None:
    """A joined moment survives being written and read."""
    joined = combine([part(1), part(2)])
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(joined), type=Decoded) == joined
