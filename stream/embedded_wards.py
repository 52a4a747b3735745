"""[ward] in the embedded host: one fold over all candidates in the order of the log, between pipeline and outputs.

Owns what becomes of the alert events among a record's effects, and the fold's stored form. Must not know where effects
are carried. An event that simply passes goes on as it is: it is encoded once, by whoever stores it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from alerts.contract import AlertEvent
from alerts.ward import EventWards, UnreadableWardStateError
from events import Envelope, Millis
from stream.control import Control
from stream.effects import Effect, Unfoldable
from stream.tally import Tally

WARDS_KEY = "~wards"
"""Where an earlier release kept the whole fold as one record; it is read, and goes with the next states stored."""
WARD_PREFIX = f"{WARDS_KEY}/"
"""The fold's records lie in the store under this and their own keys, beside the patients: none of theirs begins so."""


class EmbeddedWards:
    """The wards of one journal."""

    def __init__(self, control: Control, tally: Tally) -> None:
        """Follow what is in force in `control`, and count into `tally`."""
        self._control = control
        self._tally = tally
        self._fold = EventWards()
        self._owed: dict[str, bytes | None] = {}
        """Encoded, and not stored yet."""

    def tell(self, envelope: Envelope, effects: Sequence[Effect]) -> Sequence[Effect]:
        """Take a record's effects; give what is carried out, with what there is room for by now."""
        if not (self._fold.queued and self._is_due()):  # hot path: most records have no alert, and nothing waits
            for effect in effects:
                if type(effect) is AlertEvent:
                    break
            else:
                return effects
        self._fold.gate(self._control.silenced)
        self._fold.use(self._control.settings.wards)
        said: list[Effect] = []
        for effect in effects:
            if type(effect) is AlertEvent:
                self._take(effect, envelope, said)
            else:
                said.append(effect)
        if self._fold.queued and self._is_due():
            for output in self._fold.pass_time(self._control.clock, envelope.envelope_id):
                if output.alert is not None:
                    self._tally.count_queue(output.queue)
                    said.append(output.alert)
        return said

    def _take(self, event: AlertEvent, envelope: Envelope, said: list[Effect]) -> None:
        try:
            outputs = self._fold.take(event)
        except Exception as fault:  # noqa: BLE001 - a bug of ours must keep no alert from a ward: it goes out as it is
            self._tally.unfoldable += 1
            name, at = envelope.envelope_id, envelope.received_time
            said += [event, Unfoldable(name, envelope.message_id, at, type(fault).__name__)]
            return
        for output in outputs:
            if output.alert is not None:
                self._tally.count_queue(output.queue)
                said.append(output.alert)

    def _is_due(self) -> bool:
        due = self.due()
        return due is not None and due <= self._control.clock

    def due(self) -> Millis | None:
        """Give when time alone lets something be told, or None."""
        self._fold.use(self._control.settings.wards)
        return None if self._control.silenced else self._fold.due()

    def take_changes(self) -> dict[str, bytes | None]:
        """Give what changed since the last call, by store key: of a ward nothing came for, nothing is encoded."""
        changed = {WARD_PREFIX + key: data for key, data in self._fold.encode_changes().items()}
        changes, self._owed = {**self._owed, **changed}, {}
        return changes

    def put_back(self, changes: dict[str, bytes | None]) -> None:
        """Take changes back that the store could not commit; what has changed since is newer."""
        self._owed = {**changes, **self._owed}

    def restore(self, stored: Mapping[str, bytes]) -> None:
        """Take over what was stored over time; where there is nothing, no ward has been told anything yet.

        Raises `UnreadableWardStateError`.
        """
        self._fold.restore((key.removeprefix(WARD_PREFIX), stored[key]) for key in ward_keys(stored))
        if (whole := stored.get(WARDS_KEY)) is None:
            return
        try:
            states = msgspec.msgpack.decode(whole, type=dict[str, bytes])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnreadableWardStateError(type(error).__name__) from None
        self._fold.restore(states.items())
        self._owed = {WARDS_KEY: None, **{WARD_PREFIX + key: data for key, data in states.items()}}


def ward_keys(keys: Iterable[str]) -> list[str]:
    """Give those of a store's keys under which the fold's records lie.

    >>> ward_keys(["~wards", "~wards/w/W1", "a patient's"])
    ['~wards/w/W1']
    """
    return [key for key in keys if key.startswith(WARD_PREFIX)]
