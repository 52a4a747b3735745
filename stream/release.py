"""What a host is started with, and what of it is new to a log.

Owns the release and the control events it makes. Must not know how they are stored; both hosts do that.
"""

from __future__ import annotations

import msgspec

from events import CodeVersion, Configuration, Millis, Promotion
from stream.catalogues import catalogue_for
from stream.control import Control
from stream.settings import Settings, configuration_hash, configuration_text

ReleaseEvent = CodeVersion | Configuration | Promotion


class Release(msgspec.Struct, frozen=True):
    """What a host is started with: these enter the log as control events where they differ from what is in force."""

    settings: Settings
    code_version: str
    version: str = ""
    """The model version's content hash; empty for NEWS2 alone."""
    enabled: bool = False
    """False: the version scores in shadow."""


def changes(release: Release, control: Control, at: Millis) -> list[ReleaseEvent]:
    """Give the events that put a release into force, each only where it changes something.

    Raises `ConfigurationError` where the settings cannot be put into force.
    """
    catalogue_for(release.settings)
    events: list[ReleaseEvent] = []
    if control.code_version != release.code_version:
        events.append(CodeVersion(at, release.code_version))
    name = configuration_hash(release.settings)
    if not control.configuration_content or control.configuration_hash != name:
        events.append(Configuration(at, name, configuration_text(release.settings)))
    if (control.version, control.enabled) != (release.version, release.enabled):
        events.append(Promotion(at, release.version, release.enabled))
    return events
