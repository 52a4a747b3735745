"""What is in force: configuration, champion version, kill switch, code version, and the core's clock.

Owns how control events change it, and its stored form. Must not know who decided, nor how a version was loaded:
versions are handed in by content hash, and one that is missing leaves NEWS2 alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from events import CodeVersion, Configuration, Event, KillSwitch, Millis, Promotion
from features.catalogue import Catalogue
from guardrails.configuration import GuardrailSettings
from models.inputs import SCHEMA_HASH
from models.news2_table import Scale
from models.scorer import Prediction, Scorer
from models.version import ModelVersion
from stream.catalogues import catalogue_for
from stream.settings import Settings, configuration_hash, parse_json


class StoredControl(msgspec.Struct, frozen=True, array_like=True):
    """The stored form of the control state."""

    clock: Millis
    configuration: str
    version: str
    enabled: bool
    kill_switch: bool
    code_version: str
    journal: str


class ForeignStateError(ValueError):
    """The stored states are of another journal: they must be refolded from this one."""


class Control:
    """The control state of one partition."""

    def __init__(self, versions: Mapping[str, ModelVersion], journal: str = "") -> None:
        """Begin with the defaults; `journal` names the log that this state stands for."""
        self.journal = journal
        self.clock: Millis = 0
        self.settings = Settings()
        self.catalogue: Catalogue = catalogue_for(self.settings)
        """The catalogue in force: the shipped one with the local codes of the *recorded* configuration."""
        self.configuration_hash = configuration_hash(self.settings)
        self.configuration_content = ""
        self.version = ""
        self.enabled = False
        self.kill_switch = False
        self.code_version = ""
        self.scorer: Scorer | None = None
        self.guardrails: GuardrailSettings
        """The guardrails in force: the configuration's, with shadow and kill switch as control events set them."""
        self._versions = versions
        self._refresh()

    def scale(self, patient: str, *, merged: bool = False) -> Scale:
        """Give the NEWS2 SpO2 scale of a patient: 2 only by name, or for a record `merged` from one."""
        return 2 if merged or patient in self._on_second_scale else 1

    def apply(self, event: Event) -> None:
        """Let a control event take effect; other events change nothing here."""
        if type(event) is Configuration:
            self.configuration_content = event.content
            self.settings = parse_json(event.content)
            self.catalogue = catalogue_for(self.settings)
            self.configuration_hash = event.configuration_hash
        elif type(event) is Promotion:
            self.version, self.enabled = event.version, event.enabled
        elif type(event) is KillSwitch:
            self.kill_switch = event.engaged
        elif type(event) is CodeVersion:
            self.code_version = event.version
        self._refresh()

    def _refresh(self) -> None:
        version = self._versions.get(self.version)
        usable = version is not None and version.schema_hash == SCHEMA_HASH
        self.scorer = Scorer(version) if version is not None and usable else None
        reason = "version_not_loaded" if self.version else "no_version"
        self.no_prediction = Prediction(None, (), self.version, reason)
        self.horizon_h = version.horizon_h if version is not None and usable else None
        self.guardrails = self.settings.guardrails.with_shadow(shadow=not self.enabled).with_kill_switch(
            engaged=self.kill_switch or self.settings.guardrails.kill_switch
        )
        self._on_second_scale = frozenset(self.settings.news2_scale_2)

    def encode(self) -> bytes:
        """Encode the control state for the store."""
        return msgspec.msgpack.encode(
            StoredControl(
                self.clock,
                self.configuration_content,
                self.version,
                self.enabled,
                self.kill_switch,
                self.code_version,
                self.journal,
            )
        )

    def restore(self, data: bytes) -> None:
        """Take over what `encode` wrote; raises `ForeignStateError` where it is none, or another journal's."""
        try:
            stored = msgspec.msgpack.decode(data, type=StoredControl)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ForeignStateError(type(error).__name__) from None
        if stored.journal != self.journal:
            raise ForeignStateError("the states are of another journal")
        self.clock = stored.clock
        self.configuration_content = stored.configuration
        if stored.configuration:
            self.settings = parse_json(stored.configuration)
            self.catalogue = catalogue_for(self.settings)
            self.configuration_hash = configuration_hash(self.settings)
        self.version, self.enabled = stored.version, stored.enabled
        self.kill_switch, self.code_version = stored.kill_switch, stored.code_version
        self._refresh()
