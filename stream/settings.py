"""The service's configuration: one frozen tree, read from `wardstream.toml`, named by its hash.

Owns the shape, the defaults and the errors that say which key is wrong. Must not know files: a caller reads the bytes.
"""

from __future__ import annotations

import tomllib
from hashlib import sha256

import msgspec

from alerts.configuration import AlertSettings
from connectors.fhir.settings import FhirSettings
from connectors.hl7v2.settings import Hl7Settings
from guardrails.configuration import GuardrailSettings

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
    """Local codes by the sender's system: `[codes."SIMHOSP"]`, `"tt-0005-09" = "temperature"`."""
    news2_scale_2: tuple[str, ...] = ()
    """Patient keys with confirmed hypercapnic failure and a prescribed 88-92 % target; never a diagnosis code."""


def configuration_text(settings: Settings) -> str:
    """Write a configuration as canonical JSON, as it stands in the log."""
    return msgspec.json.encode(settings, order="sorted").decode()


def configuration_hash(settings: Settings) -> str:
    """Name a configuration by its content.

    >>> configuration_hash(Settings()) == configuration_hash(Settings())
    True
    """
    return sha256(configuration_text(settings).encode()).hexdigest()[:16]


def parse_toml(text: str, name: str = "wardstream.toml") -> Settings:
    r"""Read `wardstream.toml`; raises `ConfigurationError` naming the line or the key at fault.

    >>> parse_toml("").codes
    {}
    >>> parse_toml("[guardrails]\nraise_it = 1")
    Traceback (most recent call last):
    ...
    stream.settings.ConfigurationError: wardstream.toml: Object contains unknown field `raise_it` - at `$.guardrails`
    """
    if len(text) > CONFIGURATION_BYTES_MAX:
        raise ConfigurationError(f"{name}: longer than {CONFIGURATION_BYTES_MAX} characters")
    try:
        return msgspec.convert(tomllib.loads(text), Settings)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, ValueError) as error:
        raise ConfigurationError(f"{name}: {error}") from None


def parse_json(text: str) -> Settings:
    """Read a configuration as it stands in the log."""
    try:
        return msgspec.json.decode(text, type=Settings)
    except (msgspec.DecodeError, ValueError) as error:
        raise ConfigurationError(f"recorded configuration: {error}") from None
