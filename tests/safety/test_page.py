"""The hazard log: every control names code that is there and something CI runs that shows it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.safety.page import PAGE, Control, faults, leads_somewhere, read_log, safety_page


def test_every_link_of_the_log_leads_somewhere() -> None:
    """No control of the log names code, a test or a scenario that is not there."""
    assert list(faults(read_log())) == []


def test_the_page_is_what_the_log_says() -> None:
    """docs/safety.md is the one that the log writes."""
    assert PAGE.read_text() == safety_page(read_log()), "run: python -m tests.safety.page > docs/safety.md"


@pytest.mark.parametrize(
    "link",
    [
        "guardrails/floor.py:no_such_thing",
        "guardrails/no_such_file.py:assess_floor",
        "guardrails/floor.py",
        "tests/guardrails/test_floor.py::test_no_such_test",
        "scenarios/no_such_story.yaml",
    ],
)
def test_a_link_that_leads_nowhere_is_found(link: str) -> None:
    """A planted link to what is not there is named as a fault."""
    assert not leads_somewhere(link)
    first, *others = read_log()
    planted = msgspec.structs.replace(first, control=(*first.control, Control("planted", link, (link,))))
    assert list(faults((planted, *others))) == [f"H01: {link} is not there"] * 2


def test_a_control_that_nothing_shows_is_found() -> None:
    """A control without a test or scenario is a fault."""
    first, *others = read_log()
    bare = Control("hope", "guardrails/floor.py:assess_floor", ())
    assert list(faults((msgspec.structs.replace(first, control=(bare,)), *others))) == ["H01: nothing shows: hope"]


def test_a_log_with_a_word_that_is_none_is_refused(tmp_path: Path) -> None:
    """A severity outside the scale is refused with its place."""
    path = tmp_path / "hazards.toml"
    path.write_text(
        '[[hazard]]\nid = "H01"\nhazard = "x"\ncauses = []\neffect = "y"\ninitial = { severity = "mild" }\n'
    )
    with pytest.raises(msgspec.ValidationError, match="initial"):
        read_log(path)
