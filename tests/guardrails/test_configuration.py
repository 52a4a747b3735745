"""The chain's configuration: refused at start, by the key that is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from guardrails.configuration import ConfigurationError, GuardrailSettings, read_settings

GOOD = {"raise_at": 0.5, "clear_at": 0.4}


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
        ({**GOOD, "wards": {"ICU": {"raise_at": 0.2}}}, "wards"),
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
