"""The chain's configuration: refused at start, by the key that is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from guardrails.configuration import CLEAR_SHARE, ConfigurationError, GuardrailSettings, read_settings, threshold_of
from models import training

GOOD = {"raise_at": 0.5, "clear_at": 0.4}
V1, V2 = "0123456789ab", "ba9876543210"


@pytest.mark.parametrize(
    ("document", "key"),
    [
        ({"clear_at": 0.4}, "raise_at"),
        ({"raise_at": 0.4}, "clear_at"),
        ({"raise_at": 0.4, "clear_at": 0.5}, "clear_at"),
        ({"raise_at": 1.4, "clear_at": 0.5}, "raise_at"),
        ({"raise_at": float("nan"), "clear_at": 0.5}, "raise_at"),
        ({"raise_at": "half", "clear_at": 0.5}, "raise_at"),
        ({**GOOD, "rise_at": 0.5}, "rise_at"),
        ({**GOOD, "refractory_ms": -1}, "refractory_ms"),
        ({**GOOD, "rise_step": 0.0}, "rise_step"),
        ({**GOOD, "min_fresh": 8}, "min_fresh"),
        ({**GOOD, "wards": {"ICU": {"raise_at": 0.2, "clear_at": 0.3}}}, "wards.ICU.clear_at"),
        ({**GOOD, "wards": {"ICU": {"raise_at": 0.2}}}, "wards.ICU.clear_at"),
        ({**GOOD, "wards": {"ICU": {}}}, "wards.ICU.raise_at"),
        ({}, "raise_at"),
        ({**GOOD, "subgroups": {"groups": {"gender": {}}}}, "subgroups.groups.gender"),
        ({**GOOD, "subgroups": {"groups": {"sex": {"woman": "abstain"}}}}, "subgroups.groups.sex.woman"),
        ({**GOOD, "subgroups": {"groups": {"age": {"80+": "abstain"}}}}, "subgroups.groups.age.80+"),
        ({**GOOD, "subgroups": {"worse": "silence"}}, "subgroups"),
        ({**GOOD, "versions": {V1: {"groups": {"ward": {"": "abstain"}}}}}, f"versions.{V1}.groups.ward."),
        ({**GOOD, "cost_of_miss": 9.0}, "cost_of_miss"),
        ({**GOOD, "cost_of_false_alarm": 1.0}, "cost_of_false_alarm"),
        ({"cost_of_miss": 9.0}, "cost_of_false_alarm"),
        ({"cost_of_miss": 9.0, "cost_of_false_alarm": 0.0}, "cost_of_false_alarm"),
        ({"cost_of_miss": float("inf"), "cost_of_false_alarm": 1.0}, "cost_of_miss"),
        ({"cost_of_miss": 1e9, "cost_of_false_alarm": 1.0}, "cost_of_miss"),
        ({"cost_of_miss": 9.0, "cost_of_false_alarm": 1.0, "clear_at": 0.1}, "cost_of_miss"),
        ({**GOOD, "wards": {"ICU": {"raise_at": 0.2, "cost_of_miss": 9.0}}}, "wards.ICU.cost_of_miss"),
        ({**GOOD, "versions": {"abc": {}}}, "versions.abc"),
        ({**GOOD, "versions": {V1: {"raise_at": 0.2}}}, f"versions.{V1}.clear_at"),
        ({**GOOD, "versions": {V1: {"wards": {"ICU": {}}}}}, f"versions.{V1}.wards.ICU.raise_at"),
        ({**GOOD, "versions": {V1: {"standing": "poor"}}}, "versions"),
    ],
)
def test_a_wrong_configuration_names_its_key(document: dict[str, Any], key: str) -> None:
    """A missing, unknown, ill-typed or contradictory setting is refused with its key."""
    with pytest.raises(ConfigurationError) as caught:
        read_settings(document)
    assert caught.value.key == key
    assert str(caught.value).startswith(f"{key}: ")


def test_a_version_is_in_shadow_until_it_is_promoted() -> None:
    """Nothing said about shadow means shadow, and the kill switch is not engaged."""
    settings = read_settings(GOOD)
    assert settings == GuardrailSettings(raise_at=0.5, clear_at=0.4)
    assert settings.shadow
    assert not settings.kill_switch


def test_a_ward_override_is_read() -> None:
    """A ward's thresholds are read as written."""
    settings = read_settings({**GOOD, "wards": {"ICU": {"raise_at": 0.9, "clear_at": 0.8}}})
    assert settings.wards["ICU"].raise_at == 0.9


def test_a_threshold_follows_from_the_costs() -> None:
    """Costs of 24 and 1 are the levels 0.04 and 0.7 of it, whatever the unit (Elkan 2001), for everybody or a ward."""
    costs = {"cost_of_miss": 24.0, "cost_of_false_alarm": 1.0}
    assert read_settings(costs).thresholds_of("W1") == (0.04, 0.028)
    doubled = {key: 2 * value for key, value in costs.items()}
    assert read_settings({**GOOD, "wards": {"W1": doubled}}).thresholds_of("W1") == (0.04, 0.028)
    assert read_settings({**GOOD, "wards": {"W1": doubled}}).thresholds_of("W2") == (0.5, 0.4)


def test_the_costs_mean_here_what_they_mean_to_a_version() -> None:
    """A threshold that a version recommends is the one that its cost comes to when it is declared here."""
    for cost in (1.0, 9.0, 25.0):
        assert threshold_of(cost, 1.0) == training.threshold_of(cost)
    assert CLEAR_SHARE == training.RELEASE_SHARE


def test_the_most_particular_declaration_counts() -> None:
    """A ward under a version, then the ward, then the version, then everybody."""
    settings = read_settings(
        {
            **GOOD,
            "wards": {"W1": {"raise_at": 0.6, "clear_at": 0.4}, "W2": {"raise_at": 0.61, "clear_at": 0.4}},
            "versions": {
                V1: {"raise_at": 0.7, "clear_at": 0.4, "wards": {"W1": {"raise_at": 0.8, "clear_at": 0.4}}},
                V2: {"standing": "held"},
            },
        }
    )
    raised = {
        (ward, version): settings.thresholds_of(ward, version)[0] for ward in ("W1", "W2", "W3") for version in (V1, V2)
    }
    assert raised == {
        ("W1", V1): 0.8, ("W2", V1): 0.61, ("W3", V1): 0.7, ("W1", V2): 0.6, ("W2", V2): 0.61, ("W3", V2): 0.5,
    }  # fmt: skip
    assert settings.thresholds_of("W3") == (0.5, 0.4)


def test_the_worse_standing_counts() -> None:
    """What the configuration holds back the log cannot lift, nor the other way round."""
    settings = read_settings({**GOOD, "versions": {V1: {"standing": "held", "raise_at": 0.9, "clear_at": 0.8}}})
    assert settings.with_standing(V1, "good").standing_of(V1) == "held"
    demoted = settings.with_standing(V1, "demoted")
    assert demoted.standing_of(V1) == "demoted"
    assert demoted.thresholds_of("W1", V1) == (0.9, 0.8)
    assert (settings.silences(V1), settings.silences(V2)) == (True, False)
