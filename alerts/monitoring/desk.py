"""What the feeds of one partition share.

Owns settings, catalogue and voice in one place, where patients lie, and what a catalogue says of a channel. Must not
know a rule.
"""

from __future__ import annotations

from alerts.monitoring.channel import Channel
from alerts.monitoring.configuration import MonitoringSettings
from alerts.monitoring.voice import Voice
from alerts.monitoring.watch import Watch
from events import Coding
from features.catalogue import Catalogue


class Desk:
    """What the feeds of one partition share: settings, the catalogue, the voice, and where patients lie."""

    __slots__ = ("catalogue", "patients", "settings", "voice")

    def __init__(self, settings: MonitoringSettings, catalogue: Catalogue, voice: Voice) -> None:
        self.settings, self.catalogue, self.voice = settings, catalogue, voice
        self.patients: dict[str, Watch] = {}

    def meet(self, channel: Channel, qualifiers: tuple[Coding, ...]) -> None:
        """Let a channel know what its code means, and keep the qualifier that makes it mean another feature, if any."""
        plain = self.catalogue.resolve(channel.codings)
        for one in qualifiers:
            if self.catalogue.resolve(channel.codings, (one,)) is not plain:
                channel.qualifiers = (one,)
                break
        self.resolve(channel)

    def resolve(self, channel: Channel) -> None:
        """Let a channel know what its code means."""
        resolution = self.catalogue.resolutions[channel.codings, channel.unit, channel.qualifiers]
        code = channel.first_code
        if resolution is not None:
            known = [one for one in channel.codings if self.catalogue.resolve((one,)) is not None]
            code = "|".join(known[0]) if known else code
        channel.resolve(resolution, code)

    def fault_of(self, channel: Channel) -> str:
        """Say what becomes of values in a unit that cannot be used."""
        resolution = self.catalogue.resolutions[channel.codings, channel.unit, channel.qualifiers]
        return "; they are quarantined" if resolution is not None and resolution.fault else ""

    def explain(self, channel: Channel, middle: float, numbers: list[float]) -> str:
        """Say what would make values what they are: a unit, or that none of them can be."""
        resolution = self.catalogue.resolutions[channel.codings, channel.unit, channel.qualifiers]
        if resolution is None:
            return ""
        unit = channel.explain(resolution, middle)
        if unit:
            return f"as if they were in {unit} and not in {channel.unit or 'the usual unit'}"
        possible = any(
            resolution.low <= number * resolution.factor + resolution.offset < resolution.high + 1 for number in numbers
        )
        return "" if possible else "none of them can be"

    def ward_of(self, patient: str) -> str:
        """Give where a patient lies."""
        watch = self.patients.get(patient)
        return "" if watch is None else watch.ward

    def wards_of(self, patient: str) -> tuple[str, ...]:
        """Give the same as those concerned."""
        ward = self.ward_of(patient)
        return (ward,) if ward else ()
