"""The benchmark of burden writes tables that can be read, of a small simulated hospital."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def burden(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import the benchmark from its folder: benchmarks are no package."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    return importlib.import_module("burden")


def test_each_row_of_the_table_has_a_cell_for_each_heading(burden: Any) -> None:
    """A day of ten beds: each rule has a row, and each of its figures stands under its own heading."""
    run = burden.of_hospital(3, 10, 1)
    table = [line.strip("| ").split(" | ") for line in burden.table(run.burdens)]
    assert {len(cells) for cells in table if not cells[0].startswith("-")} == {len(burden.COLUMNS)}
    assert [cells[0] for cells in table[2:]] == list(run.burdens)
    assert run.untold == run.duplicates == 0


def test_a_version_is_frozen_of_what_was_heard(burden: Any) -> None:
    """The learner that ships is heard, asked and frozen by the service's own path, whatever the learner."""
    definition = burden.OutcomeDefinition(kinds=("sepsis",))
    for name in burden.LEARNERS:
        heard = burden.Heard(definition, name)
        assert heard.prequential.learner.rows == 0
        with pytest.raises(burden.frozen.__globals__["TooFewExamplesError"]):
            burden.frozen(heard, burden.Lineage(source="nothing", rows=0, positives=0))
