"""The catalogue's page."""

from __future__ import annotations

from pathlib import Path

from features.catalogue import default_catalogue
from features.tables import catalogue_page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "catalogue.md"


def test_the_page_is_what_the_catalogue_says():
    """docs/catalogue.md is the one that the catalogue writes."""
    assert PAGE.read_text() == catalogue_page(default_catalogue()), "run: python -m features.tables > docs/catalogue.md"


def test_every_feature_has_a_row():
    """Each feature of the catalogue stands in the page, once."""
    rows = [line.split(" | ")[0].removeprefix("| ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    assert rows[2:] == [feature.name for feature in default_catalogue().features]
