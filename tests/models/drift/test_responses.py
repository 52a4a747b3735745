"""The table of responses is whole, and says no less of the serious than of the rest."""

from __future__ import annotations

import pytest

from models.drift.labels import LEVELS
from models.drift.responses import MONITORS, RESPONSES, RULES, Rule, response_to


def test_every_monitor_and_level_has_one_rule():
    """None is missing, and none is said twice."""
    named = [(rule.monitor, rule.level) for rule in RULES]
    assert sorted(named) == sorted((monitor, level) for monitor in MONITORS for level in LEVELS)


@pytest.mark.parametrize("monitor", MONITORS)
def test_the_serious_is_answered_no_more_mildly(monitor):
    """The levels are in order."""
    mild, hard = (RESPONSES.index(response_to(monitor, level)) for level in LEVELS)
    assert mild <= hard


def test_a_site_s_own_table_counts():
    """Milder or stricter, in any line; what it leaves out is annotated."""
    rules = (Rule("alert_flood", "notice", "demote", "as this site has it"),)
    assert response_to("alert_flood", "notice", rules) == "demote"
    assert response_to("calibration", "serious", rules) == "annotate"
