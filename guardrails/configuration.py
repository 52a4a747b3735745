"""The configuration of the chain: thresholds and limits as data, refused at start where they contradict.

Owns the settings of the model's filters and their validation. Must not know where the text lies. Nothing here reaches
the NEWS2 floor: its limits are constants of `guardrails.floor`, changed only by a clinician's own recorded limit.

A threshold is declared by itself (`raise_at`, `clear_at`) or by what it follows from (`cost_of_miss`,
`cost_of_false_alarm`): for everybody, for a ward, for a version, or for a ward under a version. The most particular
declaration counts, a ward's before a version's, for what a miss costs is the ward's to say. Each is whole, so that
nothing is inherited into a contradiction, and none says both.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from events import MILLIS_PER_HOUR
from models.groups import GROUP_NAMES

REFRACTORY_MS_DEFAULT = 4 * MILLIS_PER_HOUR
"""Within this time an unchanged risk is not told again: the RCP's interval for a score of 1-4."""
RISE_STEP_DEFAULT = 0.1
"""A risk that rose by this much (absolute probability) since it was told is news before the refractory time ends."""
MIN_FRESH_DEFAULT = 4
"""Of the seven NEWS2 parameters: with fewer, most of what the model was fitted on would be imputed."""
NEWS2_PARAMETERS = 7
CLEAR_SHARE = 0.7
"""Where costs are declared, an alert is let go below this share of the threshold: as the model cards recommend it."""

LEVEL_DECIMALS = 6
"""A level that follows from costs is as fine as the probability it is held against (models/scorer.py)."""

Standing = Literal["good", "held", "demoted"]
"""How a version stands: it may speak; it is computed and published and not told; NEWS2 alone."""
STANDINGS: tuple[Standing, ...] = ("good", "held", "demoted")
"""From the best to the worst."""

Policy = Literal["trust", "annotate", "review", "abstain"]
"""What is done for a patient of a group: nothing; a remark; a person decides; the model says nothing, NEWS2 does."""
POLICIES: tuple[Policy, ...] = ("trust", "annotate", "review", "abstain")
"""From the mildest to the strictest."""
Groups = dict[str, dict[str, Policy]]
"""Policy by attribute and group."""

VERSION_ID = re.compile(r"[0-9a-f]{12}")
"""As models/version.py makes it of the content's hash."""


class ConfigurationError(ValueError):
    """The operator's configuration is wrong; `key` names the offending key."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}")
        self.key = key


class WardThresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds of a ward's own: both levels, or both costs that they follow from."""

    raise_at: float | None = None
    clear_at: float | None = None
    cost_of_miss: float | None = None
    cost_of_false_alarm: float | None = None


class VersionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What holds under one model version: its own thresholds, its wards' under it, and how it stands."""

    raise_at: float | None = None
    clear_at: float | None = None
    cost_of_miss: float | None = None
    cost_of_false_alarm: float | None = None
    wards: dict[str, WardThresholds] = {}
    standing: Standing = "good"
    """Worse than good, it holds the version back, whatever the log says; better than the log's, it changes nothing."""
    groups: Groups = {}
    """Policies by group under this version: what a person made of what its monitors found."""


class SubgroupRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is done where a version is less to be trusted for a patient's group, or has not shown that it is.

    The default says it and silences nobody: decisions/0039.
    """

    worse: Policy = "annotate"
    """Of a group that the version was shown to serve worse than the rest."""
    too_few: Policy = "annotate"
    """Of a sex, an age band or an ethnicity of which too few were seen to know."""
    too_few_places: Policy = "trust"
    """Of such a ward or unit of origin: nearly every ward is one, and a remark on each alert is read by nobody."""
    no_figures: Policy = "trust"
    """Under a version that brings no figures by group at all, as formats 1 and 2 do; its card says so."""
    groups: Groups = {}
    """By attribute and group, whatever the figures say, under every version: `[guardrails.subgroups.groups.sex]`."""


class GuardrailSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the operator declares. Thresholds have no default: levels (probabilities) or costs, either for everybody.

    Raises `ConfigurationError` naming the key.

    >>> GuardrailSettings(raise_at=0.5, clear_at=0.6)
    Traceback (most recent call last):
    ...
    guardrails.configuration.ConfigurationError: clear_at: 0.6 is above raise_at 0.5; it would clear as it is raised
    """

    raise_at: float | None = None
    clear_at: float | None = None
    refractory_ms: int = REFRACTORY_MS_DEFAULT
    rise_step: float = RISE_STEP_DEFAULT
    min_fresh: int = MIN_FRESH_DEFAULT
    """How many of the seven NEWS2 parameters must be fresh, within the catalogue's maximum age."""
    shadow: bool = True
    """True until a person's signed promotion enables the version."""
    kill_switch: bool = False
    """True cuts the model's voice; the NEWS2 floor speaks on."""
    wards: dict[str, WardThresholds] = {}
    cost_of_miss: float | None = None
    """What a missed deterioration costs, in any unit; instead of `raise_at` and `clear_at`."""
    cost_of_false_alarm: float | None = None
    """What a false alarm costs, in the same unit."""
    versions: dict[str, VersionSettings] = {}
    """By a version's id, as `wardstream models list` has it."""
    subgroups: SubgroupRules = SubgroupRules()

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        _check_levels("", self, needed=True)
        for ward in sorted(self.wards):
            _check_levels(f"wards.{ward}.", self.wards[ward], needed=True)
        for name in sorted(self.versions):
            version = self.versions[name]
            if not VERSION_ID.fullmatch(name):
                raise ConfigurationError(f"versions.{name}", "is no version's id: 12 hexadecimal digits")
            _check_levels(f"versions.{name}.", version, needed=False)
            for ward in sorted(version.wards):
                _check_levels(f"versions.{name}.wards.{ward}.", version.wards[ward], needed=True)
            _check_groups(f"versions.{name}.groups", version.groups)
        _check_groups("subgroups.groups", self.subgroups.groups)
        if self.refractory_ms < 0:
            raise ConfigurationError("refractory_ms", f"{self.refractory_ms} is negative")
        if not 0.0 < self.rise_step <= 1.0:
            raise ConfigurationError("rise_step", f"{self.rise_step} is not within (0, 1]")
        if not 0 <= self.min_fresh <= NEWS2_PARAMETERS:
            raise ConfigurationError("min_fresh", f"{self.min_fresh} is not within 0 and {NEWS2_PARAMETERS}")

    def thresholds_of(self, ward: str, version: str = "") -> tuple[float, float]:
        """Give the probabilities at which a ward's alert is raised and let go under a version.

        >>> GuardrailSettings(raise_at=0.5, clear_at=0.4).thresholds_of("W1")
        (0.5, 0.4)
        >>> GuardrailSettings(cost_of_miss=9.0, cost_of_false_alarm=1.0).thresholds_of("W1")
        (0.1, 0.07)
        """
        own = self.versions.get(version) if self.versions else None
        if own is not None and ward in own.wards:
            return _levels(own.wards[ward])
        if self.wards and ward in self.wards:
            return _levels(self.wards[ward])
        return _levels(self if own is None or _declares_nothing(own) else own)

    def standing_of(self, version: str) -> Standing:
        """Say how a version stands.

        >>> GuardrailSettings(raise_at=0.5, clear_at=0.4).standing_of("4f1c02aa91be")
        'good'
        """
        own = self.versions.get(version) if self.versions else None
        return "good" if own is None else own.standing

    def policy_of(self, version: str, attribute: str, group: str) -> Policy | None:
        """Give what is declared of a group: under a version, else at all; None where nothing is.

        >>> rules = SubgroupRules(groups={"sex": {"other": "review"}})
        >>> GuardrailSettings(raise_at=0.5, clear_at=0.4, subgroups=rules).policy_of("4f1c02aa91be", "sex", "other")
        'review'
        """
        own = self.versions.get(version) if self.versions else None
        declared = None if own is None or not own.groups else own.groups.get(attribute, {}).get(group)
        if declared is None and self.subgroups.groups:
            declared = self.subgroups.groups.get(attribute, {}).get(group)
        return declared

    def declares_groups(self, version: str) -> bool:
        """Say whether any group is declared, under a version or at all."""
        own = self.versions.get(version) if self.versions else None
        return bool(self.subgroups.groups) or (own is not None and bool(own.groups))

    def asks_of_groups(self, version: str) -> bool:
        """Say whether a version that brings no figures of its own is asked by its patients' groups all the same."""
        return self.subgroups.no_figures != "trust" or self.declares_groups(version)

    def silences(self, version: str) -> bool:
        """Whether nothing that this version says is told: the kill switch, or the version is held."""
        return self.kill_switch or self.standing_of(version) == "held"

    def with_standing(self, version: str, standing: Standing) -> GuardrailSettings:
        """Give the settings with a version standing so; what it stood worse by stays.

        >>> GuardrailSettings(raise_at=0.5, clear_at=0.4).with_standing("4f1c02aa91be", "held").silences("4f1c02aa91be")
        True
        """
        before = self.versions.get(version, VersionSettings())
        worst = max(before.standing, standing, key=STANDINGS.index)
        if worst == before.standing:
            return self
        return msgspec.structs.replace(
            self, versions={**self.versions, version: msgspec.structs.replace(before, standing=worst)}
        )

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


_Levels = WardThresholds | VersionSettings | GuardrailSettings


def threshold_of(cost_of_miss: float, cost_of_false_alarm: float) -> float:
    """Give the probability at which telling costs as much as staying silent, for a calibrated model.

    Silence costs p * cost_of_miss, telling (1 - p) * cost_of_false_alarm (Elkan 2001).

    >>> threshold_of(24.0, 1.0)
    0.04
    """
    return cost_of_false_alarm / (cost_of_false_alarm + cost_of_miss)


def _levels(declared: _Levels) -> tuple[float, float]:
    if declared.raise_at is not None and declared.clear_at is not None:
        return declared.raise_at, declared.clear_at
    assert declared.cost_of_miss is not None, "checked when it was declared"
    assert declared.cost_of_false_alarm is not None, "checked when it was declared"
    raise_at = threshold_of(declared.cost_of_miss, declared.cost_of_false_alarm)
    return round(raise_at, LEVEL_DECIMALS), round(raise_at * CLEAR_SHARE, LEVEL_DECIMALS)


def _declares_nothing(declared: _Levels) -> bool:
    return declared.raise_at is None and declared.cost_of_miss is None


def _check_levels(prefix: str, declared: _Levels, *, needed: bool) -> None:
    """Refuse a declaration that is missing, half, double or contradictory, by the key at fault."""
    levels = {"raise_at": declared.raise_at, "clear_at": declared.clear_at}
    costs = {"cost_of_miss": declared.cost_of_miss, "cost_of_false_alarm": declared.cost_of_false_alarm}
    given = [key for key, value in (levels | costs).items() if value is not None]
    if not given:
        if needed:
            raise ConfigurationError(f"{prefix}raise_at", "is missing (with clear_at; or declare the two costs)")
        return
    kind, other = (levels, costs) if given[0] in levels else (costs, levels)
    for key, value in other.items():
        if value is not None:
            raise ConfigurationError(prefix + key, f"stands beside {given[0]}: declare levels or costs, not both")
    for key, value in kind.items():
        if value is None:
            raise ConfigurationError(prefix + key, "is missing")
        if kind is costs and not 0.0 < value < math.inf:
            raise ConfigurationError(prefix + key, f"{value} is no cost above 0")
        if kind is levels and not 0.0 < value <= 1.0:
            raise ConfigurationError(prefix + key, f"{value} is not a probability within (0, 1]")
    raise_at, clear_at = _levels(declared)
    if clear_at > raise_at:
        raise ConfigurationError(
            f"{prefix}clear_at", f"{clear_at} is above raise_at {raise_at}; it would clear as it is raised"
        )
    if not clear_at > 0.0:
        raise ConfigurationError(f"{prefix}cost_of_miss", "is so high beside a false alarm that everything is raised")


def _check_groups(prefix: str, groups: Groups) -> None:
    """Refuse a policy for what is no attribute, or no group of it."""
    for attribute in sorted(groups):
        names = GROUP_NAMES.get(attribute)
        if names is None:
            raise ConfigurationError(f"{prefix}.{attribute}", f"is no attribute; expected {', '.join(GROUP_NAMES)}")
        for group in sorted(groups[attribute]):
            if not group or (names and group not in names):
                expected = ", ".join(names) or "a ward's name"
                raise ConfigurationError(f"{prefix}.{attribute}.{group}", f"is no group of it; expected {expected}")


def read_settings(document: Mapping[str, Any]) -> GuardrailSettings:
    """Read the settings from a parsed document (a TOML table); raises `ConfigurationError` naming the key.

    >>> read_settings({"raise_at": 0.3, "clear_at": 0.2}).raise_at
    0.3
    >>> read_settings({"raise_at": 0.3})
    Traceback (most recent call last):
    ...
    guardrails.configuration.ConfigurationError: clear_at: is missing
    """
    for key in document:
        if key not in GuardrailSettings.__struct_fields__:
            raise ConfigurationError(key, "is not a known key")
    # Key by key first, so that a wrong type is named by its key; contradictions are `__post_init__`'s.
    fields = {}
    for field in msgspec.structs.fields(GuardrailSettings):
        if field.name in document:
            try:
                fields[field.name] = msgspec.convert(document[field.name], field.type)
            except msgspec.ValidationError as error:
                raise ConfigurationError(field.name, str(error)) from None
    return GuardrailSettings(**fields)
