"""[ward] in the embedded host: one fold over all candidates in the order of the log, between pipeline and outputs.

Owns what becomes of the alert events among a record's effects, and the fold's stored form. Must not know where effects
are carried. An event that simply passes goes on as it is: it is encoded once, by whoever stores it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from alerts.contract import AlertEvent
from alerts.ward import EventWards, UnreadableWardStateError
from events import Envelope, Millis
from stream.control import Control
from stream.effects import Effect, Unfoldable
from stream.tally import Tally

WARDS_KEY = "~wards"
"""The fold lies in the store under this key, beside the patients: none of their keys begins so."""


class EmbeddedWards:
    """The wards of one journal."""

    def __init__(self, control: Control, tally: Tally) -> None:
        """Follow what is in force in `control`, and count into `tally`."""
        self._control = control
        self._tally = tally
        self._fold = EventWards()

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

    def encode(self) -> bytes:
        """Encode the fold for the store."""
        return msgspec.msgpack.encode(self._fold.encode_whole())

    def restore(self, data: bytes | None) -> None:
        """Take over what `encode` wrote; where there is none, no ward has been told anything yet.

        Raises `UnreadableWardStateError`.
        """
        if data is None:
            return
        try:
            states = msgspec.msgpack.decode(data, type=dict[str, bytes])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnreadableWardStateError(type(error).__name__) from None
        self._fold.restore(states.items())
