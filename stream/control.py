"""What is in force: configuration, champion version, kill switch, code version, and the core's clock.

Owns how control events change it, and its stored form. Must not know who decided, nor how a version was loaded:
versions are handed in by content hash, and one that is missing leaves NEWS2 alone.

A version's standing (good, held, demoted) is kept by the version, not by the place in force: promoted again or come
back to by a rollback, a held version is still held, until somebody restores it.

A decision that has a `sequence` (those of the live service) counts once: one that is not above the highest applied is
ignored, however often it was appended. A version promoted by such a decision scores only while the log says that it is
available (`Availability`), so that a replay, which may have it, does what live did without it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from events import (
    Availability,
    ChangeStep,
    CodeVersion,
    Configuration,
    Event,
    KillSwitch,
    Millis,
    Promotion,
    Standing,
)
from features.catalogue import Catalogue
from guardrails import configuration as guardrail_configuration
from guardrails.configuration import VERSION_ID, GuardrailSettings
from models.drift.served import Served, served_of
from models.inputs import computes, row_spec_of
from models.news2_table import Scale
from models.scorer import Prediction, Scorer
from models.version import ModelVersion
from stream.catalogues import catalogue_for
from stream.settings import Settings, configuration_hash, parse_json

DECISIONS = (Promotion, Configuration, KillSwitch, Standing, ChangeStep)
AVAILABLE_MAX = 16
"""Versions that the log called available and that are remembered: those in force before, for a rollback."""
STANDINGS_MAX = 64
"""Versions that are held back and remembered, the newest word last: a service has a handful in a year. One that is
forgotten here would be good again, so an older one in force is never the one that is dropped."""
CONTROL_SCHEMA = 2
"""Of the stored form. Form 1 had no number and no standings, and is read; a higher one is of a later release."""


class StoredControl(msgspec.Struct, frozen=True, array_like=True):
    """The stored form of the control state."""

    clock: Millis
    configuration: str
    version: str
    enabled: bool
    kill_switch: bool
    code_version: str
    journal: str
    sequence: int = 0
    awaits: bool = False
    available: tuple[str, ...] = ()
    availabilities: int = 0
    schema: int = 1
    standings: tuple[tuple[str, guardrail_configuration.Standing], ...] = ()
    """The versions that are not in good standing."""
    written: Millis = 0


class ForeignStateError(ValueError):
    """The stored states are of another journal or of a later release: they must be refolded from this one."""


class Control:
    """The control state of one partition."""

    def __init__(self, versions: Mapping[str, ModelVersion], journal: str = "") -> None:
        """Begin with the defaults; `journal` names the log that this state stands for."""
        self.journal = journal
        self.clock: Millis = 0
        self.written: Millis = 0
        """The newest time at which the log's broker wrote a record of this partition; 0 where it is no broker's log."""
        self.settings = Settings()
        self.catalogue: Catalogue = catalogue_for(self.settings)
        """The catalogue in force: the shipped one with the local codes of the *recorded* configuration."""
        self.configuration_hash = configuration_hash(self.settings)
        self.configuration_content = ""
        self.version = ""
        self.enabled = False
        self.kill_switch = False
        self.code_version = ""
        self.sequence = 0
        """The highest sequence of a decision that was applied."""
        self.awaits = False
        """Whether the version in force was promoted by a sequenced decision: then it waits to be called available."""
        self.available: tuple[str, ...] = ()
        """The versions that the log calls available, the newest last."""
        self.availabilities = 0
        """How many times the log has said so, or the contrary: names the next one."""
        self.standings: dict[str, guardrail_configuration.Standing] = {}
        """The versions that are not in good standing by the log, the newest word last."""
        self.scorer: Scorer | None = None
        self.guardrails: GuardrailSettings
        """The guardrails in force: the configuration's, with shadow, kill switch and standing as control events say."""
        self.served: Served | None = None
        """How the version in force served each group while it was made; None where it brings no figures."""
        self.asks_of_groups = False
        """Whether anything depends on a patient's groups: else nobody gathers them."""
        self.silenced = False
        """Whether nothing that the version in force says is told: by the kill switch, or as it is held."""
        self._versions = versions
        self._refresh()

    def scale(self, patient: str, *, merged: bool = False) -> Scale:
        """Give the NEWS2 SpO2 scale of a patient: 2 only by name, or for a record `merged` from one."""
        return 2 if merged or patient in self._on_second_scale else 1

    def apply(self, event: Event) -> None:
        """Let a control event take effect; other events change nothing here."""
        if isinstance(event, DECISIONS) and event.sequence and event.sequence <= self.sequence:
            return
        if type(event) is Configuration:
            # Read first: one that this release cannot read must not be half in force, nor stored, nor called applied.
            settings = parse_json(event.content)
            self.catalogue = catalogue_for(settings)
            self.settings, self.configuration_content = settings, event.content
            self.configuration_hash = event.configuration_hash
        elif type(event) is Promotion:
            self.version, self.enabled = event.version, event.enabled
            self.awaits = event.sequence > 0
        elif type(event) is Availability:
            others = tuple(name for name in self.available if name != event.version)
            self.available = (*others, event.version)[-AVAILABLE_MAX:] if event.available else others
            self.availabilities += 1
        elif type(event) is KillSwitch:
            self.kill_switch = event.engaged
        elif type(event) is Standing:
            self._stand(event.version, event.standing)
        elif type(event) is CodeVersion:
            self.code_version = event.version
        if isinstance(event, DECISIONS) and event.sequence:
            self.sequence = event.sequence
        self._refresh()

    def _stand(self, version: str, standing: guardrail_configuration.Standing) -> None:
        """Remember a version's standing; what is no version's id is no version's standing."""
        if not VERSION_ID.fullmatch(version):
            return
        self.standings.pop(version, None)
        if standing == "good":
            return
        self.standings[version] = standing
        if len(self.standings) > STANDINGS_MAX:
            del self.standings[next(name for name in self.standings if name != self.version)]

    @property
    def lacks(self) -> str:
        """Name the version that the log calls available and that is not at hand here, or nothing.

        A fold that went on so would say other things than its log: the host sees to it first.
        """
        called = self.awaits and self.version in self.available
        return self.version if called and usable(self._versions, self.version) is None else ""

    def reload(self) -> None:
        """Look again which versions are at hand: one may have come since the last control event."""
        self._refresh()

    def _refresh(self) -> None:
        version = usable(self._versions, self.version)
        if self.awaits and self.version not in self.available:
            version = None
        guardrails = self.settings.guardrails.with_standing(self.version, self.standings.get(self.version, "good"))
        reason = "version_not_loaded" if self.version else "no_version"
        if guardrails.standing_of(self.version) == "demoted":
            version, reason = None, "demoted"
        self.scorer = Scorer(version) if version is not None else None
        self.row_spec = row_spec_of(version.inputs) if version is not None else None
        self.no_prediction = Prediction(None, (), self.version, reason)
        self.horizon_h = version.horizon_h if version is not None else None
        self.guardrails = guardrails.with_shadow(shadow=not self.enabled).with_kill_switch(
            engaged=self.kill_switch or guardrails.kill_switch
        )
        self.silenced = self.guardrails.silences(self.version)
        self.served = served_of(version.groups) if version is not None else None
        self.asks_of_groups = self.served is not None or self.guardrails.asks_of_groups(self.version)
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
                self.sequence,
                self.awaits,
                self.available,
                self.availabilities,
                CONTROL_SCHEMA,
                tuple(self.standings.items()),
                self.written,
            )
        )

    def restore(self, data: bytes) -> None:
        """Take over what `encode` wrote; raises `ForeignStateError` where it is none, or another journal's."""
        stored = read_control(data)
        if stored.journal != self.journal:
            raise ForeignStateError("the states are of another journal")
        self.clock, self.written = stored.clock, stored.written
        self.configuration_content = stored.configuration
        if stored.configuration:
            self.settings = parse_json(stored.configuration)
            self.catalogue = catalogue_for(self.settings)
            self.configuration_hash = configuration_hash(self.settings)
        self.version, self.enabled = stored.version, stored.enabled
        self.kill_switch, self.code_version = stored.kill_switch, stored.code_version
        self.sequence, self.awaits = stored.sequence, stored.awaits
        self.available, self.availabilities = stored.available, stored.availabilities
        self.standings = dict(stored.standings)
        self._refresh()


def read_control(data: bytes) -> StoredControl:
    """Read what `Control.encode` wrote, whatever log it is of; raises `ForeignStateError` where it is none of ours.

    A later release's form may mean other things by the same places: it is refused, not guessed at.
    """
    try:
        stored = msgspec.msgpack.decode(data, type=StoredControl)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ForeignStateError(type(error).__name__) from None
    if not 1 <= stored.schema <= CONTROL_SCHEMA:
        raise ForeignStateError(f"a control state of form {stored.schema}, this release reads up to {CONTROL_SCHEMA}")
    return stored


def goes_by(stored: StoredControl) -> tuple[object, ...]:
    """Give what decisions have made of a partition: of two that applied the same, the same.

    >>> goes_by(read_control(Control({}).encode()))[-1]
    0
    """
    standings = tuple(sorted(stored.standings))
    return (stored.configuration, stored.version, stored.enabled, stored.kill_switch, standings, stored.sequence)


def usable(versions: Mapping[str, ModelVersion], name: str) -> ModelVersion | None:
    """Give the version of that name, if it is at hand and takes inputs that this release computes, as it means them."""
    version = versions.get(name)
    return version if version is not None and computes(version.inputs, version.schema_hash) else None
