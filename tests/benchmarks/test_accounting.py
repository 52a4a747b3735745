"""The account of the shared corpora: the page is the one that the code writes, and every dead letter is justified."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def accounting(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import the program from its folder: benchmarks are no package."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import accounting as module

    return module


def test_the_page_is_the_account(accounting: ModuleType, shared_data: Path) -> None:
    """docs/conformance.md is what `make accounting` writes now, no letter lacks its line, and no line its letter."""
    text, wrong = accounting.write(shared_data)
    assert wrong == []
    assert text == accounting.PAGE.read_text(encoding="utf-8"), "run `make accounting`"


def test_a_letter_without_a_line_is_told(accounting: ModuleType) -> None:
    """What has no justification, and a justification of nothing, are both named."""
    justify = accounting.Justifications('[types]\n"A^B" = "x"\n[causes]\n[letters]\n')
    assert justify.why("c/f#1", "garbage at byte", "(no type)") == "NOT JUSTIFIED"
    assert (justify.missing, justify.unused) == (["c/f#1: garbage at byte, (no type)"], ["A^B"])
