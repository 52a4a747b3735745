"""The page that shows the simulated hospital beside published figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.hospital.figures_of_traffic import Figures
from connectors.hospital.published import ROWS, SOURCES, Row, measure, write_tables

PAGE = Path(__file__).resolve().parents[3] / "docs" / "hospital.md"
ALL_ROWS = [row for rows in ROWS.values() for row in rows]


@pytest.fixture(scope="module")
def figures() -> Figures:
    """Measure once, as the page was: some seconds."""
    return measure()


def test_the_page_is_what_the_code_measures(figures: Figures) -> None:
    """The tables of docs/hospital.md are those that the hospital of this tree gives (else: `make hospital`)."""
    assert PAGE.read_text(encoding="utf-8").startswith(write_tables(figures))


@pytest.mark.parametrize("row", ALL_ROWS, ids=lambda row: row.figure)
def test_each_figure_lies_as_near_as_its_row_says(figures: Figures, row: Row) -> None:
    """Simulated and published differ by no more than the row's bound."""
    assert abs(figures[row.figure] - row.published) <= row.within


def test_each_row_names_a_source_and_each_source_is_used() -> None:
    """No figure is without its source, and no source is listed for nothing."""
    assert {row.source for row in ALL_ROWS} == set(SOURCES)


def test_sicker_toward_the_event(figures: Figures) -> None:
    """In the day before critical care or a death heart, breath and NEWS rise from window to window, pressure falls."""
    for name, sign in (("heart_rate", 1), ("respiration_rate", 1), ("news", 1), ("systolic_bp", -1), ("spo2", -1)):
        far, near, last = (sign * figures[f"event.{name}.{window}"] for window in ("24", "12", "4"))
        assert far < near < last
