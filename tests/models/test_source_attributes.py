"""The source attributes of a version: none is missing, and what is not known is said."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from models.drift.served import GroupCounts
from models.source_attributes import ATTRIBUTES_REQUIRED, SourceAttribute, source_attributes
from models.version import ModelVersion, load

SHIPPED = Path(__file__).resolve().parents[2] / "models" / "shipped"


@pytest.fixture
def version() -> ModelVersion:
    """Give the version that ships."""
    [path] = SHIPPED.glob("*.json")
    return load(path.read_bytes())


def answers(version: ModelVersion) -> dict[str, str]:
    return {one.attribute: one.answer for one in source_attributes(version)}


def test_every_attribute_of_the_rule_has_an_answer_in_nine_categories(version: ModelVersion) -> None:
    """HTI-1 has 31 in nine categories; an empty answer would be read as met."""
    found = source_attributes(version)
    assert len(found) == ATTRIBUTES_REQUIRED
    assert len({one.attribute for one in found}) == ATTRIBUTES_REQUIRED
    assert len({one.category for one in found}) == 9
    assert all(one.answer.strip().endswith(".") for one in found), [one for one in found if one.answer[-1] != "."]


def test_what_the_version_holds_is_said_and_what_it_lacks_is_called_unknown(version: ModelVersion) -> None:
    """Figures, counts and inputs come from the version; of one without them it says so."""
    said = answers(version)
    assert str(version.lineage.rows) in said["who was included and excluded"]
    assert f"within {version.horizon_h} hours" in said["value given as output"]
    assert said["inputs that are demographic or social"].startswith("age_years;")
    assert f"AUROC {version.lineage.evaluation['prequential_auroc']}" in said["validity on data of the training source"]
    bare = msgspec.structs.replace(
        version,
        lineage=msgspec.structs.replace(
            version.lineage, evaluation={}, patients=None, first_time=None, note="", outcome_kinds=()
        ),
    )
    lacking = answers(bare)
    assert lacking["validity on data of the training source"] == "No figures were recorded."
    assert "an unknown number of patients" in lacking["who was included and excluded"]
    assert "of an unknown time" in lacking["who was included and excluded"]
    assert "the configured outcome" in lacking["value given as output"]


def test_figures_by_subgroup_are_told_where_the_version_has_them(version: ModelVersion) -> None:
    """Recorded at training as `subgroup_…`; without them nothing is claimed."""
    assert answers(version)["fairness on data of the training source"] == "Not recorded in the version."
    measured = {**version.lineage.evaluation, "subgroup_sex_F_sensitivity": 0.71}
    with_groups = msgspec.structs.replace(
        version, lineage=msgspec.structs.replace(version.lineage, evaluation=measured)
    )
    assert answers(with_groups)["fairness on data of the training source"] == "sex_F_sensitivity 0.71."


def test_counts_by_group_are_told_with_their_intervals(version: ModelVersion) -> None:
    """Of a version of the learner: outcomes and rows of each group, and figures where enough was seen."""
    groups = (GroupCounts("sex", "female", 900, 90, 100, 30, 90.0), GroupCounts("sex", "other", 30, 2, 1, 1, 2.0))
    said = answers(msgspec.structs.replace(version, groups=groups))["fairness on data of the training source"]
    assert "sex female: 90 outcomes in 900 rows, sensitivity 0.33 (0.24 to 0.44), PPV 0.30" in said
    assert said.endswith("sex other: 2 outcomes in 30 rows.")


def test_nobody_has_validated_it_and_it_says_so(version: ModelVersion) -> None:
    """Until somebody has, the card may not read as if."""
    external = [one for one in source_attributes(version) if one.category == "External validation"]
    assert [type(one) for one in external] == [SourceAttribute] * 4
    assert answers(version)["who did the external validation"] == "Nobody yet."
