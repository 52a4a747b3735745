"""The external sort."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.decoded import Decoded, Identifier, Refusal, RefusalReason
from connectors.sources import sorting
from connectors.sources.arrival import Arrival
from connectors.sources.sorting import sort_arrivals
from events import Observation


def arrive(number: int, time: int | None) -> Arrival:
    if number % 3 == 0:
        refusal = Refusal(RefusalReason.GARBAGE, "byte 0", "nothing of use")
        return Arrival(f"f#{number}", time, None, "fhir", refusal)
    observation = Observation(number, (("loinc", "8867-4"),), float(number), "/min", number)
    subject = (Identifier("H", str(number)),)
    decoded = Decoded(
        "feed", str(number), bytes(16), time, time, subject, (observation,), "V", parts=2, notes=("note",)
    )
    return Arrival(f"f#{number}", time, b"MSH|%d" % number, "hl7v2", decoded)


@given(st.lists(st.integers(-5, 30), max_size=60), st.integers(1, 7))
def test_external_sort_equals_sort_in_memory(times: list[int], records_in_memory: int) -> None:
    """With runs of a few records the result is the stable sort by received time, each arrival unchanged."""
    arrivals = [arrive(number, time) for number, time in enumerate(times)]
    expected = sorted(arrivals, key=lambda arrival: arrival.received_time or 0)
    assert list(sort_arrivals(arrivals, records_in_memory)) == expected


def test_more_runs_than_files_allowed_are_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source in reverse order makes a run of each record; past the limit of runs the result is the same."""
    monkeypatch.setattr(sorting, "RUNS_MAX", 3)
    arrivals = [arrive(number, -number) for number in range(40)]
    assert list(sort_arrivals(arrivals, 1)) == arrivals[::-1]


def test_a_source_in_order_makes_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in order already is written to one run, whatever its length."""
    made: list[object] = []

    class Counted(sorting._Run):
        def __init__(self) -> None:
            made.append(self)
            super().__init__()

    monkeypatch.setattr(sorting, "_Run", Counted)
    arrivals = [arrive(number, number // 2) for number in range(200)]
    assert list(sort_arrivals(arrivals, 10)) == arrivals
    assert len(made) == 1


def test_memory_is_bounded() -> None:
    """Sorting 400 messages of 64 KiB (25 MiB) in runs of 1 MiB never holds 8 MiB."""
    body = 65_536

    def source() -> Iterator[Arrival]:
        for number in range(400):
            yield msgspec.structs.replace(arrive(number, -number), data=number.to_bytes(2, "big") * (body // 2))

    tracemalloc.start()
    try:
        count = sum(1 for _ in sort_arrivals(source(), bytes_in_memory=1024 * 1024))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 400
    assert most < 8 * 1024 * 1024


def test_files_are_closed_when_a_reader_stops_early() -> None:
    """Stopping in the middle closes every run."""
    stream = sort_arrivals([arrive(number, -number) for number in range(10)], 1)
    next(stream)
    stream.close()  # type: ignore[attr-defined] # a generator
    assert list(stream) == []
