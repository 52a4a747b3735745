"""The version that ships."""

from __future__ import annotations

from pathlib import Path

from models.card import model_card
from models.inputs import SCHEMA_HASH
from models.version import load

SHIPPED = Path(__file__).resolve().parents[2] / "models" / "shipped"


def test_one_version_ships_under_its_own_name():
    """There is one shipped version; its file is named by its content, and it takes the inputs this release computes."""
    (path,) = SHIPPED.glob("*.json")
    assert load(path.read_bytes(), schema_hash=SCHEMA_HASH, version=path.stem).version == path.stem


def test_its_card_says_what_it_is():
    """The card beside it is written from it, and says what it was trained on and that it is not for clinical use."""
    (path,) = SHIPPED.glob("*.json")
    card = path.with_suffix(".md").read_text()
    assert card == model_card(load(path.read_bytes()))
    assert "Not for clinical use" in card
    assert "simulated hospital" in card
