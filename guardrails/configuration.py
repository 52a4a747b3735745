"""The configuration of the chain: thresholds and limits as data, refused at start where they contradict.

Owns the settings of the model's filters and their validation. Must not know where the text lies. Nothing here reaches
the NEWS2 floor: its limits are constants of `guardrails.floor`, changed only by a clinician's own recorded limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from events import MILLIS_PER_HOUR

REFRACTORY_MS_DEFAULT = 4 * MILLIS_PER_HOUR
"""Within this time an unchanged risk is not told again: the RCP's interval for a score of 1-4."""
RISE_STEP_DEFAULT = 0.1
"""A risk that rose by this much (absolute probability) since it was told is news before the refractory time ends."""
MIN_FRESH_DEFAULT = 4
"""Of the seven NEWS2 parameters: with fewer, most of what the model was fitted on would be imputed."""
NEWS2_PARAMETERS = 7


class ConfigurationError(ValueError):
    """The operator's configuration is wrong; `key` names the offending key."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}")
        self.key = key


class WardThresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A ward's own thresholds: both stated, so that neither is inherited into contradiction."""

    raise_at: float
    clear_at: float


class GuardrailSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the operator declares. `raise_at` and `clear_at` are probabilities and have no default: they follow from a
    declared cost of a miss and of a false alarm, and belong to a version.

    Raises `ConfigurationError` naming the key.

    >>> GuardrailSettings(raise_at=0.5, clear_at=0.6)
    Traceback (most recent call last):
    ...
    guardrails.configuration.ConfigurationError: clear_at: 0.6 is above raise_at 0.5; it would clear as it is raised
    """

    raise_at: float
    clear_at: float
    refractory_ms: int = REFRACTORY_MS_DEFAULT
    rise_step: float = RISE_STEP_DEFAULT
    min_fresh: int = MIN_FRESH_DEFAULT
    """How many of the seven NEWS2 parameters must be fresh, within the catalogue's maximum age."""
    shadow: bool = True
    """True until a person's signed promotion enables the version."""
    kill_switch: bool = False
    """True cuts the model's voice; the NEWS2 floor speaks on."""
    wards: dict[str, WardThresholds] = {}

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        _check_thresholds("", self.raise_at, self.clear_at)
        for ward in sorted(self.wards):
            _check_thresholds(f"wards.{ward}.", self.wards[ward].raise_at, self.wards[ward].clear_at)
        if self.refractory_ms < 0:
            raise ConfigurationError("refractory_ms", f"{self.refractory_ms} is negative")
        if not 0.0 < self.rise_step <= 1.0:
            raise ConfigurationError("rise_step", f"{self.rise_step} is not within (0, 1]")
        if not 0 <= self.min_fresh <= NEWS2_PARAMETERS:
            raise ConfigurationError("min_fresh", f"{self.min_fresh} is not within 0 and {NEWS2_PARAMETERS}")

    def thresholds_of(self, ward: str) -> tuple[float, float]:
        """Give the probabilities at which a ward's alert is raised and let go: its own, else everybody's.

        >>> GuardrailSettings(raise_at=0.5, clear_at=0.4).thresholds_of("W1")
        (0.5, 0.4)
        """
        thresholds = self.wards.get(ward, self) if self.wards else self
        return thresholds.raise_at, thresholds.clear_at

    def with_kill_switch(self, *, engaged: bool) -> GuardrailSettings:
        """Give the settings with the model's voice cut or given back.

        >>> GuardrailSettings(raise_at=0.5, clear_at=0.4).with_kill_switch(engaged=True).kill_switch
        True
        """
        return msgspec.structs.replace(self, kill_switch=engaged)

    def with_shadow(self, *, shadow: bool) -> GuardrailSettings:
        """Give the settings with the version in shadow or enabled (a promotion).

        >>> GuardrailSettings(raise_at=0.5, clear_at=0.4).with_shadow(shadow=False).shadow
        False
        """
        return msgspec.structs.replace(self, shadow=shadow)


def _check_thresholds(prefix: str, raise_at: float, clear_at: float) -> None:
    for key, value in (("raise_at", raise_at), ("clear_at", clear_at)):
        if not 0.0 < value <= 1.0:
            raise ConfigurationError(prefix + key, f"{value} is not a probability within (0, 1]")
    if clear_at > raise_at:
        raise ConfigurationError(
            f"{prefix}clear_at", f"{clear_at} is above raise_at {raise_at}; it would clear as it is raised"
        )


def read_settings(document: Mapping[str, Any]) -> GuardrailSettings:
    """Read the settings from a parsed document (a TOML table); raises `ConfigurationError` naming the key.

    >>> read_settings({"raise_at": 0.3, "clear_at": 0.2}).raise_at
    0.3
    >>> read_settings({"raise_at": 0.3})
    Traceback (most recent call last):
    ...
    guardrails.configuration.ConfigurationError: clear_at: is missing
    """
    for key in ("raise_at", "clear_at"):
        if key not in document:
            raise ConfigurationError(key, "is missing")
    for key in document:
        if key not in GuardrailSettings.__struct_fields__:
            raise ConfigurationError(key, "is not a known key")
    # Key by key first, so that a wrong type is named by its key; contradictions are `__post_init__`'s.
    for field in msgspec.structs.fields(GuardrailSettings):
        if field.name in document:
            try:
                msgspec.convert(document[field.name], field.type)
            except msgspec.ValidationError as error:
                raise ConfigurationError(field.name, str(error)) from None
    fields = dict(document)
    fields["wards"] = msgspec.convert(fields.get("wards", {}), dict[str, WardThresholds])
    return GuardrailSettings(**fields)
