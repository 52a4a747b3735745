"""The events that join patients' records and part them, folded: what is said of it, stored, and passed on.

Owns the order of these steps on one shelf. Must not know what becomes of a record (`stream.merging`), nor how one is
scored: the pipeline hands that in.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from events import Envelope, Handover, Merge, Retirement, Unmerge, content_id
from stream.control import Control
from stream.effects import Effect, Unfoldable
from stream.merging import (
    HOPS_MAX,
    come_home,
    destination,
    file_apart,
    join,
    keep_here,
    note_restored,
    part,
    passed_on,
    recall,
    retire,
    send_home,
    strays,
)
from stream.parts import MERGED
from stream.reconsidering import reconsider
from stream.records import UNHEARD_RETENTION_MS, PatientRecord, RecordShelf
from stream.tally import Tally
from stream.timers import Timers

JoiningEvent = Merge | Unmerge | Retirement | Handover
JOINING = (Merge, Unmerge, Retirement, Handover)
"""The same for `isinstance`; named once, because a union of types is built anew wherever it is written out."""
SECOND_SCALE = 2
"""NEWS2's SpO2 scale 2, by a recorded clinical decision alone."""


class Joining:
    """Joins and parts the records of one shelf."""

    def __init__(
        self,
        shelf: RecordShelf,
        control: Control,
        timers: Timers,
        tally: Tally,
        judge: Callable[[Envelope, PatientRecord, list[Effect]], None],
    ) -> None:
        self._shelf = shelf
        self._control = control
        self._timers = timers
        self._tally = tally
        self._judge = judge

    def pass_on(self, envelope: Envelope, record: PatientRecord, effects: list[Effect]) -> bool:
        """Pass on what came under a key that leads elsewhere; say whether it was, else it is to be folded here."""
        patient, received = envelope.patient, envelope.received_time
        to, home = destination(envelope, record)
        first = envelope.events[0]
        if type(first) is Handover and not first.record and to == first.retired:
            return True  # What recalls a key's own has come round to it.
        if to and envelope.hops >= HOPS_MAX:
            self._tally.unfoldable += 1
            effects.append(Unfoldable(envelope.envelope_id, envelope.message_id, received, "ForwardedTooOften"))
            keep_here(record, envelope)
            to = ""
        if not to:
            if envelope.named and not (type(first) is Handover and (first.retired == patient or not first.record)):
                file_apart(record, envelope)
            return False
        for event in envelope.events:
            # Merged into a key that itself leads on: the retired record may lie here, and its survivor there.
            if type(event) is Merge and event.retired != to and self._shelf.find(event.retired) is not None:
                passed = Retirement(event.event_time, to, event.provisional)
                effects.extend(self._retire(envelope, event.retired, self._shelf.open(event.retired), passed))
        if type(first) is Handover and first.record:
            given = PatientRecord.decode(first.record, self._control.catalogue)
            if self._send_strays(envelope, first, record, given, effects):
                rest = msgspec.structs.replace(first, record=given.encode())
                envelope = msgspec.structs.replace(envelope, events=(rest,))
        effects.append(passed_on(envelope, to, home=home))
        if not record.heard:
            self._timers.set(received + UNHEARD_RETENTION_MS, patient)
        record.heard = max(record.heard, received)
        return True

    def take(self, event: JoiningEvent, envelope: Envelope, record: PatientRecord, effects: list[Effect]) -> bool:
        """Fold one of these events; say whether what is known of the envelope's patient must be judged anew."""
        if type(event) is Merge:
            effects.extend(self._merge(event, envelope, record))
            self._move(envelope, record, effects)
            return True
        if type(event) is Unmerge:
            effects.extend(self._unmerge(event, envelope, record))
            self._move(envelope, record, effects)
            return True
        if type(event) is Retirement:
            effects.extend(self._retire(envelope, envelope.patient, record, event))
            return False
        assert type(event) is Handover
        if not event.record:
            return self._recall(event, envelope, record, effects)
        given = PatientRecord.decode(event.record, self._control.catalogue)
        self._send_strays(envelope, event, record, given, effects)
        if event.retired == envelope.patient:
            come_home(record, given)
        else:
            self._join(record, event, given, into="".join(envelope.named[:1]))
        self._move(envelope, record, effects)
        return True

    def _recall(self, event: Handover, envelope: Envelope, record: PatientRecord, effects: list[Effect]) -> bool:
        """Make a key a patient's own again and recall what went before; or send home what is recalled from here."""
        if event.retired == envelope.patient:
            if record.away:
                effects.append(recall(envelope, event.retired, record.away))
            come_home(record, None)
            return False
        parted = part(record, event.retired, envelope.received_time, self._on_second)
        if parted is None:
            return False
        effects.extend(reconsider(envelope, record, self._control, [], parted.gone))
        effects.append(send_home(envelope, event.retired, parted.record))
        self._move(envelope, record, effects)
        return True

    def _send_strays(
        self, envelope: Envelope, event: Handover, record: PatientRecord, given: PatientRecord, effects: list[Effect]
    ) -> bool:
        """Send home what lies in a record handed over and was restored from this one meanwhile; say whether any did."""
        path = () if event.retired == envelope.patient else (event.retired, *envelope.named)
        found = strays(record, given, path)
        for key in found:
            stray = part(given, key, envelope.received_time, self._on_second)
            if stray is not None:
                effects.append(send_home(envelope, key, stray.record))
        return bool(found)

    def _move(self, envelope: Envelope, record: PatientRecord, effects: list[Effect]) -> None:
        """Move the open alerts to where the patient turns out to lie."""
        book, kill_switch = record.book, self._control.silenced
        effects.extend(book.transferred(envelope.received_time, record.state.location, kill_switch=kill_switch))

    def _merge(self, event: Merge, envelope: Envelope, record: PatientRecord) -> list[Effect]:
        """Take over the retired patient's readings; their open alerts are taken back, and rise anew if they stand.

        A record that lies elsewhere is handed over by its own fold.
        """
        if record.merges is not None:
            record.merges.note(MERGED, event.retired)
        retired = self._shelf.find(event.retired)
        if retired is None or retired.away or event.retired == envelope.patient:
            return []
        kill_switch = self._control.silenced
        effects: list[Effect] = [*retired.book.merged(envelope.received_time, kill_switch=kill_switch)]
        changes = () if retired.merges is None else retired.merges.changes
        self._join(record, event, retired)
        if record.merges is not None:
            record.merges.inherit(changes, envelope.patient)
        self._shelf.drop(event.retired)
        return effects

    def _join(self, record: PatientRecord, event: Merge | Handover, retired: PatientRecord, *, into: str = "") -> None:
        on_second = self._on_second(event.retired, retired.scale_2)
        join(record, event.retired, retired, into=into, on_second=on_second, provisional=event.provisional)

    def _retire(self, cause: Envelope, key: str, record: PatientRecord, event: Retirement) -> list[Effect]:
        """Hand a patient's record over to the survivor's fold; the open alerts are taken back."""
        survivor = event.survivor
        if survivor in {key, record.away}:
            return []
        kill_switch = self._control.silenced
        effects: list[Effect] = [*record.book.merged(cause.received_time, kill_switch=kill_switch)]
        effects.extend(retire(cause, key, record, survivor, provisional=event.provisional))
        return effects

    def _unmerge(self, event: Unmerge, envelope: Envelope, record: PatientRecord) -> list[Effect]:
        """Give the restored patient what is his own; alerts that stood on it here are taken back or put right."""
        at, restored = envelope.received_time, event.restored
        note_restored(record, restored)
        parted = part(record, restored, at, self._on_second)
        if parted is None:
            return []
        effects: list[Effect] = [*reconsider(envelope, record, self._control, [], parted.gone)]
        if event.apart:
            effects.append(send_home(envelope, restored, parted.record))
            return effects
        there = self._shelf.open(restored)
        come_home(there, parted.record)
        self._timers.set(at + UNHEARD_RETENTION_MS, restored)
        name = content_id("restored", envelope.envelope_id, restored)
        self._judge(msgspec.structs.replace(envelope, envelope_id=name, patient=restored, events=()), there, effects)
        return effects

    def _on_second(self, patient: str, merged: bool) -> bool:  # noqa: FBT001 -- a function of its two arguments
        return self._control.scale(patient, merged=merged) == SECOND_SCALE
