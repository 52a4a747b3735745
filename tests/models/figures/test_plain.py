"""What the figures are to a report: plain values that JSON carries there and back, named in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import numpy as np
import pytest

from models.criteria import CriteriaScore
from models.figures import alert_episodes, bootstrap, calibration, challenge_utility, decision_curve, rolling, subgroups
from models.figures import operating_points as points
from models.figures.discrimination import auroc
from models.figures.subgroups import Minimums
from models.groups import AGE_BANDS

ROOT = Path(__file__).resolve().parents[3]
HOUR = 3_600_000


def every_result():
    """Give one of each struct that a figure comes as, of 300 stays of eight hours."""
    generator = np.random.default_rng(1)
    groups = np.repeat(np.arange(300), 8)
    times = np.tile(np.arange(8) * HOUR, 300)
    chances = np.clip(np.repeat(generator.random(300), 8) + generator.normal(0, 0.05, 2400), 0, 1)
    labels = generator.random(2400) < chances**3
    onsets = alert_episodes.onsets_of(labels, groups, times + 4 * HOUR)
    named = np.where(groups % 2 == 0, "a", "b")
    point = points.alert_point(chances, groups, times, onsets, 0.8, 0.6)
    drawn = np.random.default_rng(2)
    return [
        calibration.calibration_figures(labels, chances, groups),
        bootstrap.paired_difference(auroc, labels, chances, chances[::-1], groups, drawn, rounds=20),
        point,
        points.operating_curve(labels, chances, patient_days=100.0)[0],
        points.hours_at_sensitivity_of(labels, chances, chances[::-1] > 0.5),
        points.alerts_at_sensitivity_of(chances, groups, times, onsets, point),
        challenge_utility.challenge_utility(labels, chances > 0.5, groups),
        challenge_utility.utility_curve(labels, chances, groups)[0],
        decision_curve.decision_curve(labels, chances, {"rule": chances > 0.5})[0],
        rolling.rolling(auroc, labels, chances, times, 4 * HOUR, 4 * HOUR, groups=groups, generator=drawn, rounds=20)[
            0
        ],
        subgroups.subgroup_figures(labels, chances, groups, named, times, 0.8)[0],
        CriteriaScore(1, 0, 2, ("a",), ("b",), (), ("a",)),
    ]


@pytest.mark.parametrize("found", every_result(), ids=lambda found: type(found).__name__)
def test_figures_go_through_json_and_back(found):
    """A result holds plain values only: JSON gives it back equal."""
    assert msgspec.json.decode(msgspec.json.encode(found), type=type(found)) == found


def test_every_module_of_figures_is_documented():
    """The figures page names each module of the package, and no other."""
    page = (ROOT / "docs" / "figures.md").read_text(encoding="utf-8")
    named = {name.split(".")[0] for name in re.findall(r"^\|.*\| `([a-z_.]+)` \|", page, re.MULTILINE)}
    there = {path.stem for path in (ROOT / "models" / "figures").glob("*.py")} - {"__init__", "scored_rows"}
    assert named | {"alert_episodes"} == there


def test_the_pages_minimums_are_the_codes():
    """The least counts and the age bands on the figures page are those in force."""
    page = (ROOT / "docs" / "figures.md").read_text(encoding="utf-8")
    least = Minimums()
    assert f"| any | {least.stays} stays |" in page
    assert f"| sensitivity | {least.positive_stays} stays with the outcome |" in page
    assert f"| PPV | {least.positive_stays} flagged stays |" in page
    assert f"| slope, ECE | {least.calibration_positive_stays} stays with the outcome (" in page
    assert f"Age bands are {', '.join(name for _, name in AGE_BANDS)}." in page
