"""The service's configuration: one frozen tree, read from `wardstream.toml`, named by its hash.

Owns the shape, the defaults and the errors that say which key is wrong. Must not know files: a caller reads the bytes.
"""

from __future__ import annotations

import re
import tomllib
from difflib import get_close_matches
from hashlib import sha256
from typing import Any

import msgspec

from alerts.configuration import AlertSettings
from alerts.monitoring import MonitoringSettings
from alerts.ward_settings import WardSettings
from connectors.acts.people import PeopleSettings
from connectors.batches.settings import BatchSettings
from connectors.fhir.settings import FhirSettings
from connectors.fhir_sources.settings import FhirSources
from connectors.hl7v2.settings import Hl7Settings
from connectors.kafka.settings import KafkaSettings
from connectors.mllp.settings import MllpSettings
from connectors.redis.settings import RedisSettings
from connectors.terminology.rows import CodeMapError
from connectors.terminology.settings import TerminologySettings
from guardrails.configuration import GuardrailSettings, SubgroupRules
from models.change_plan import ChangePlan
from stream.code_maps import ReadMap, joined, read_maps
from stream.decision_keys import DecisionKeys
from stream.live_settings import LiveSettings
from stream.outcomes import OutcomeDefinition
from stream.service_settings import ServiceSettings

CONFIGURATION_BYTES_MAX = 256 * 1024
"""A longer file is no configuration of ours."""


RAISE_AT_DEFAULT = 0.1
CLEAR_AT_DEFAULT = 0.07
"""One missed deterioration weighed as nine false alarms (1 / (1 + 9), Elkan 2001), until a ward declares its own costs;
hysteresis as the model cards recommend it, at 0.7 of that."""


class ConfigurationError(ValueError):
    """The configuration is wrong: the operator's to mend; the text names the key and what is expected."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything a site may set. Nothing here is secret: keys and passwords come from the environment of a host.

    >>> Settings().guardrails.raise_at >= Settings().guardrails.clear_at
    True
    """

    guardrails: GuardrailSettings = GuardrailSettings(raise_at=RAISE_AT_DEFAULT, clear_at=CLEAR_AT_DEFAULT)
    alerts: AlertSettings = AlertSettings()
    hl7: Hl7Settings = Hl7Settings()
    fhir: FhirSettings = FhirSettings(server="fhir")
    codes: dict[str, dict[str, str]] = {}
    """Local codes by the sender's system, each a feature or a LOINC code that it has: `[codes."SIMHOSP"]`,
    `"tt-0005-09" = "temperature"`. What is applied of the maps of `[terminology]` stands here too."""
    news2_scale_2: tuple[str, ...] = ()
    """Patient keys with confirmed hypercapnic failure and a prescribed 88-92 % target; never a diagnosis code."""
    wards: WardSettings = WardSettings()
    """The budget of the model's alerts on each ward, shifts, and who hears of a ward."""
    monitoring: MonitoringSettings = MonitoringSettings()
    """When silence is told, and from how much evidence a change upstream."""
    change_control: ChangePlan = ChangePlan()
    """What a model version must show before it may speak, and whether any may without a person."""
    decision_keys: DecisionKeys = {}
    """Whose signature a decision needs that may make the model say more; none: nobody's."""

    def __post_init__(self) -> None:
        for route in self.hl7.routes:
            if route.codes and route.codes not in self.codes:
                raise ValueError(f'hl7.routes."{route.name}".codes: there is no table [codes."{route.codes}"]')


USUAL = Settings()
NEWER_KEYS: dict[str, tuple[str, ...]] = {
    "hl7": ("pregnancy_from_visits", "acknowledgement", "routes", "ethnicity", "tolerated_types", "visit_number"),
    "fhir": ("ethnicity", "limits", "limit_authors", "pregnancy_conditions"),
}
"""Keys that earlier releases did not have, by table: they are left out while they say the usual."""


def configuration_text(settings: Settings) -> str:
    """Write a configuration as canonical JSON, as it stands in the log.

    A table or key that earlier releases did not have is left out while it says the defaults: what was decided then
    keeps its name, and with it every alert that carries the name its bytes.

    >>> '"wards":{"budget"' in configuration_text(Settings(wards=WardSettings(budget=4)))
    True
    >>> chosen = [Settings(hl7=Hl7Settings(pregnancy_from_visits=on)) for on in (False, True)]
    >>> ["pregnancy_from_visits" in configuration_text(one) for one in chosen]
    [False, True]
    >>> plans = [ChangePlan(days_min=30.0), ChangePlan(monitor_demotes=False)]
    >>> ["monitor_demotes" in configuration_text(Settings(change_control=plan)) for plan in plans]
    [False, True]
    """
    document = msgspec.to_builtins(settings, order="sorted")
    if settings.wards == WardSettings():
        del document["wards"]
    if settings.monitoring == MonitoringSettings():
        del document["monitoring"]
    if settings.change_control == ChangePlan():
        del document["change_control"]
    elif settings.change_control.monitor_demotes:
        del document["change_control"]["monitor_demotes"]
    if not settings.decision_keys:
        del document["decision_keys"]
    for table, keys in NEWER_KEYS.items():
        said, usual = getattr(settings, table), getattr(USUAL, table)
        for key in keys:
            if getattr(said, key) == getattr(usual, key):
                del document[table][key]
    for route in document["hl7"].get("routes", ()):
        if not route["devices"]:
            del route["devices"]
    if settings.guardrails.subgroups == SubgroupRules():
        del document["guardrails"]["subgroups"]
    document["guardrails"] = _declared(document["guardrails"])
    return msgspec.json.encode(document, order="sorted").decode()


def _declared(guardrails: Any) -> Any:
    """Leave out of the guardrails' table what nobody declared: levels or costs, versions' own settings, and groups."""
    if not isinstance(guardrails, dict):
        return guardrails
    return {
        key: _declared(value)
        for key, value in guardrails.items()
        if value is not None and not (key in {"versions", "groups"} and not value)
    }


def configuration_hash(settings: Settings) -> str:
    """Name a configuration by its content.

    >>> configuration_hash(Settings()) == configuration_hash(Settings())
    True
    """
    return sha256(configuration_text(settings).encode()).hexdigest()[:16]


class SiteFile(msgspec.Struct, frozen=True):
    """What a `wardstream.toml` says: what is decided by (enters the log), and how this machine runs (does not)."""

    settings: Settings = Settings()
    service: ServiceSettings = ServiceSettings()
    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    live: LiveSettings = LiveSettings()
    people: PeopleSettings = PeopleSettings()
    mllp: MllpSettings = MllpSettings()
    batch: BatchSettings = BatchSettings()
    fhir_sources: FhirSources = FhirSources()
    outcome: OutcomeDefinition = OutcomeDefinition()
    """What deterioration means here: for learning and its figures. No alert depends on it."""
    terminology: TerminologySettings = TerminologySettings()
    """Files of code maps; what they say is in `settings.codes`."""
    not_applied: tuple[str, ...] = ()
    """What of the code maps is not applied, and why, in words."""


MACHINE_TABLES: dict[str, type[msgspec.Struct]] = {
    "service": ServiceSettings,
    "kafka": KafkaSettings,
    "redis": RedisSettings,
    "live": LiveSettings,
    "people": PeopleSettings,
    "mllp": MllpSettings,
    "batch": BatchSettings,
    "fhir_sources": FhirSources,
    "outcome": OutcomeDefinition,
    "terminology": TerminologySettings,
}
"""The tables that say how a machine runs, what is learned, or in which files code maps lie, by name; every other key is
of what is decided by."""


def parse_toml(text: str, name: str = "wardstream.toml") -> Settings:
    """Read what a `wardstream.toml` says of decisions; raises `ConfigurationError` as `parse_site` does.

    >>> parse_toml("").codes
    {}
    """
    return parse_site(text, name).settings


def parse_site(text: str, name: str = "wardstream.toml", read_map: ReadMap | None = None) -> SiteFile:
    r"""Read a `wardstream.toml`; raises `ConfigurationError` naming the line and the key at fault.

    `read_map` gives the bytes of a code map by its name; without it a configuration that names any is refused.

    >>> parse_site("[service]\nhttp_port = 8081").service.http_port
    8081
    >>> parse_site("[guardrails]\nraise_it = 1", "w.toml")
    Traceback (most recent call last):
    ...
    stream.settings.ConfigurationError: w.toml, line 2: guardrails.raise_it: unknown key; did you mean raise_at?
    """
    document = _document(text, name)
    tables = {name: document.pop(name, {}) for name in MACHINE_TABLES}
    try:
        converted = {name: _convert(name, table) for name, table in tables.items()}
        document, not_applied = _with_maps(document, converted["terminology"], read_map)
        return SiteFile(msgspec.convert(document, Settings), **converted, not_applied=not_applied)
    except CodeMapError as error:
        raise ConfigurationError(str(error)) from None
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigurationError(_explained(str(error), text, name)) from None


def _with_maps(
    document: dict[str, Any], terminology: TerminologySettings, read_map: ReadMap | None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Put the site's code maps beside its `[codes]`; give what of them is not applied, too."""
    if not terminology.maps:
        return document, ()
    if read_map is None:
        raise ValueError("code maps cannot be read here - at `$.terminology.maps`")
    maps = read_maps(terminology.maps, read_map)
    codes = joined(msgspec.convert(document.get("codes", {}), dict[str, dict[str, str]]), maps)
    if len(msgspec.json.encode(codes)) > CONFIGURATION_BYTES_MAX:
        raise ValueError(f"more codes than {CONFIGURATION_BYTES_MAX} bytes hold - at `$.terminology.maps`")
    return {**document, "codes": codes}, tuple(line for one in maps for line in one.told(whole=False))


def parse_people(text: str, name: str = "wardstream.toml") -> PeopleSettings:
    r"""Read of a `wardstream.toml` who may act, and nothing else; raises `ConfigurationError` as `parse_site` does.

    >>> parse_people("[service]\nhttp_port = 'none'").configured
    False
    """
    try:
        people: PeopleSettings = _convert("people", _document(text, name).get("people", {}))
    except ConfigurationError:
        raise
    except ValueError as error:
        raise ConfigurationError(_explained(str(error), text, name)) from None
    return people


def _document(text: str, name: str) -> dict[str, Any]:
    if len(text) > CONFIGURATION_BYTES_MAX:
        raise ConfigurationError(f"{name}: longer than {CONFIGURATION_BYTES_MAX} characters")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{name}: {error}") from None


def _convert(name: str, table: Any) -> Any:
    try:
        return msgspec.convert(table, MACHINE_TABLES[name])
    except msgspec.ValidationError as error:
        message = str(error)
        at = f"`$.{name}" if "`$" in message else f" - at `$.{name}`"
        raise ValueError(message.replace("`$", at, 1) if "`$" in message else message + at) from None


def _explained(fault: str, text: str, name: str) -> str:
    """Say a fault with its line, its key as it is written, and the key that was probably meant."""
    unknown = re.search(r"unknown field `([^`]+)`", fault)
    place = re.search(r" - at `\$\.?([^`]*)`$", fault)
    # `[...]` stands for a key that the site chose, or a number: unnamed, it may be any.
    path = [key for key in (re.sub(r"\[[^\]]*\]", ".*", place.group(1)).split(".") if place else []) if key]
    said = fault.partition(" - at `$")[0].replace(" | null", "")  # TOML has no null: a key is there or it is not.
    if unknown:
        path.append(unknown.group(1))
    keys = [key for key in path if key != "*"]
    if not keys:
        return f"{name}: {fault}"
    # What contradicts itself is found where the table is whole; the fault begins with the key within it.
    within = re.match(r"[a-z_0-9]+", said)
    if within and within.group() in _keys_at(keys):
        path += said.partition(":")[0].split(".") if re.match(r"[^ :]+\.[^:]+:", said) else [within.group()]
    where = _line_of(path, text)
    if unknown:
        likely = get_close_matches(keys[-1], _keys_at(keys[:-1]), n=1)
        said = "unknown key" + (f"; did you mean {likely[0]}?" if likely else "")
    return f"{name}{f', line {where}' if where else ''}: {'.'.join(keys)}: {said}"


def _line_of(path: list[str], text: str) -> int | None:
    """Give the line on which a key stands, or the innermost table around it that the text has; `*` is any key."""
    found: tuple[int, int] | None = None
    table: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[+([^\[\]]+)\]+", line)
        key = re.match(r"\s*([^=#\[\]]+?)\s*=", line)
        if header:
            here = table = _path_of(header.group(1))
        elif key:
            here = [*table, *_path_of(key.group(1))]
        else:
            continue
        fits = len(here) <= len(path) and all(key in (name, "*") for name, key in zip(here, path, strict=False))
        if fits and (found is None or len(here) > found[0]):
            found = (len(here), number)
    return None if found is None else found[1]


def _path_of(dotted: str) -> list[str]:
    """Read a key as TOML has it: bare or quoted parts between dots."""
    return [bare or quoted for quoted, bare in re.findall(r"[\"']([^\"']*)[\"']|([\w-]+)", dotted)]


def _keys_at(path: list[str]) -> list[str]:
    """Give the keys that are known at a place of the tree."""
    tree: Any = msgspec.to_builtins(Settings())
    tree |= {name: msgspec.to_builtins(table()) for name, table in MACHINE_TABLES.items()}
    for key in path:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return list(tree) if isinstance(tree, dict) else []


def parse_json(text: str) -> Settings:
    """Read a configuration as it stands in the log."""
    try:
        return msgspec.json.decode(text, type=Settings)
    except (msgspec.DecodeError, ValueError) as error:
        raise ConfigurationError(f"recorded configuration: {error}") from None
