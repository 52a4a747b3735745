"""The evidence: every claim names something that is there, and nothing that is lacking goes unsaid."""

from __future__ import annotations

import msgspec
import pytest

from tests.evidence.page import ITEMS_REQUIRED, PAGE, Item, evidence_page, faults, leads_somewhere, read_lists


def test_every_claim_leads_somewhere_and_every_item_is_there() -> None:
    """A list that lost an item, or a link to what was moved, fails here."""
    lists = read_lists()
    assert {one.id for one in lists} == set(ITEMS_REQUIRED)
    assert list(faults(lists)) == []


def test_the_page_is_written_from_the_lists() -> None:
    """Edited by hand it would drift from them: `python -m tests.evidence.page > docs/evidence.md`."""
    assert PAGE.read_text() == evidence_page(read_lists())


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"where": ("docs/no_such.md",)}, "docs/no_such.md is not there"),
        ({"where": ("models/version.py:no_such",)}, "models/version.py:no_such is not there"),
        ({"where": ("docs/safety.md#no-such",)}, "docs/safety.md#no-such is not there"),
        ({"where": ()}, "nothing shows it"),
        ({"lacks": "much"}, "met, and lacks much"),
        ({"status": "partly"}, "partly, and lacks nothing"),
        ({"id": "99"}, "its items are"),
    ],
)
def test_a_claim_that_does_not_hold_is_named(change: dict[str, object], fault: str) -> None:
    """The check can fail: each way of claiming too much is found."""
    first, *rest = read_lists()
    good = Item("1", "asked", "met", "so", ("docs/safety.md",))
    spoiled = msgspec.structs.replace(first, item=(msgspec.structs.replace(good, **change), *first.item[1:]))
    assert any(fault in said for said in faults((spoiled, *rest)))


def test_links_are_of_four_kinds() -> None:
    """A file, a heading, a piece of code, a test."""
    for link in ("LICENSE", "docs/safety.md#h01", "models/version.py:load", f"{__name__.replace('.', '/')}.py"):
        assert leads_somewhere(link)
