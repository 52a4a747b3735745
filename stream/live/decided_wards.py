"""What people decided that reaches [ward] at once: whether the gate is closed, and the ward settings.

Owns that reading of the decisions. Must not know a partition. Before any configuration is decided the defaults are in
force in [patient], and so they are here.
"""

from __future__ import annotations

from alerts.ward_settings import write_wards
from events import Configuration
from stream.decisions import Decided, Decisions
from stream.settings import Settings, parse_json


class DecidedWards:
    """The newest word on each, kept up as the decisions come.

    >>> DecidedWards(Decisions()).wards == write_wards(Settings().wards)
    True
    """

    def __init__(self, decisions: Decisions) -> None:
        """Begin with the defaults."""
        self._decisions = decisions
        self._seen: tuple[Decided, ...] = ()
        self._configured_closed = False
        self._wards = write_wards(Settings().wards)
        self._wards_sequence = 0

    @property
    def wards(self) -> str:
        """The ward settings, as text."""
        self._look()
        return self._wards

    @property
    def closed(self) -> bool:
        """Whether the model's voice is cut: by the kill switch, or by the configuration."""
        self._look()
        return self._decisions.kill_switch or self._configured_closed

    @property
    def sequence(self) -> int:
        """The newest decision that either follows; 0 before any."""
        self._look()
        return max(self._wards_sequence, self._decisions.kill_switch_sequence)

    def _look(self) -> None:
        kept = self._decisions.kept()
        if kept is self._seen:
            return
        self._seen = kept
        for decided in reversed(kept):
            event = decided.decision.event
            if type(event) is not Configuration:
                continue
            if decided.sequence == self._wards_sequence:
                return
            settings = parse_json(event.content)
            self._wards, self._wards_sequence = write_wards(settings.wards), decided.sequence
            self._configured_closed = settings.guardrails.kill_switch
            return
