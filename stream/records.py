"""The patients' records: live ones in memory, the rest encoded in the state store.

Owns the shape of one patient's whole state, its encoding, and which records are live, changed or dropped. Must not know
a patient's clinical content, nor which store holds it.
"""

from __future__ import annotations

from collections import OrderedDict
from zlib import crc32

import msgspec

from alerts.book import AlertBook
from alerts.limits import NO_LIMITS, InForce, PatientLimits
from events import MILLIS_PER_HOUR, Millis
from features.catalogue import Catalogue
from features.state import PatientState
from features.store import StateStore
from stream.parts import Merges

LIVE_RECORDS_MAX = 4_000
"""Records kept decoded: the patients of a very large hospital; the least recently used beyond go to the store."""
RECORD_SCHEMA, MERGED_SCHEMA, LIMITED_SCHEMA = 1, 2, 3
"""A record with clinicians' limits is of schema 3, else one that merges left something on of schema 2; every other is,
byte for byte, what release 0.1 wrote and reads, so that an upgrade refolds nobody."""
NO_PATIENT = ("", "~")
"""How the store's keys begin that are no patient's: the control state's, which is empty, and those of other folds."""
UNHEARD_RETENTION_MS = 30 * 24 * MILLIS_PER_HOUR
"""A patient of whom nothing was heard for so long, and who has no open alert, is not here any more, though nobody sent
a discharge. The longest maximum age of a value is 72 h: nothing that could be scored goes."""


class StoredRecord(msgspec.Struct, frozen=True, array_like=True):
    """The stored form of a record."""

    schema: int
    state: bytes
    book: bytes
    deadline: Millis | None
    heard: Millis
    scale_2: bool
    checksum: int
    """CRC-32 of all four: a damaged store is found when it is opened, not in the middle of a night."""
    merges: bytes = b""
    """What merges left on it (`stream.parts`); only from schema 2 on."""
    limits: bytes = b""
    """The clinicians' limits (`alerts.limits`); only in schema 3."""


class UnreadableRecordError(ValueError):
    """A stored record is damaged or of another schema: the states must be refolded from the log."""


class PatientRecord:
    """All that is kept of one patient: what we know, and what was said."""

    __slots__ = ("book", "deadline", "heard", "limits", "merges", "scale_2", "state")

    def __init__(
        self,
        state: PatientState,
        book: AlertBook,
        deadline: Millis | None = None,
        heard: Millis = 0,
        *,
        scale_2: bool = False,
    ) -> None:
        self.state = state
        self.book = book
        self.deadline = deadline
        self.heard = heard
        self.scale_2 = scale_2
        """Whether a record merged into this one was on NEWS2's second scale: the decision follows the person."""
        self.merges: Merges | None = None
        """What merges left on it; None where there were none."""
        self.limits: PatientLimits | None = None
        """What clinicians set for the patient; None where nobody ever did."""

    @property
    def away(self) -> str:
        """The key that this one is retired into, in whose record all that was known is; empty for a patient."""
        return "" if self.merges is None else self.merges.away

    @property
    def is_here(self) -> bool:
        """Whether it is of somebody who has not gone: neither retired nor discharged."""
        return not self.away and self.state.discharged_time is None

    def limits_at(self, at: Millis) -> InForce:
        """Give what clinicians' limits come to at a moment."""
        return NO_LIMITS if self.limits is None else self.limits.at(at)

    def is_on_scale_2(self, at: Millis) -> bool:
        """Whether it is on NEWS2's second scale by a limit, or by what was merged into it."""
        return self.scale_2 or self.limits_at(at).scale_2

    def encode(self) -> bytes:
        """Encode the record for the store."""
        state, book = self.state.encode(), self.book.encode()
        checksum = crc32(book, crc32(state))
        outer = (state, book, self.deadline, self.heard, self.scale_2)
        merges = b"" if self.merges is None or self.merges.empty else self.merges.encode()
        checksum = crc32(merges, checksum)
        if self.limits is not None and self.limits.kept:
            limits = self.limits.encode()
            return msgspec.msgpack.encode((LIMITED_SCHEMA, *outer, crc32(limits, checksum), merges, limits))
        if merges:
            return msgspec.msgpack.encode((MERGED_SCHEMA, *outer, checksum, merges))
        return msgspec.msgpack.encode((RECORD_SCHEMA, *outer, checksum))

    @classmethod
    def decode(cls, data: bytes, catalogue: Catalogue) -> PatientRecord:
        """Decode what `encode` wrote; raises `UnreadableRecordError` for damage or any other schema."""
        stored = read_stored(data)
        state = PatientState.decode(stored.state, catalogue)
        record = cls(state, AlertBook.decode(stored.book), stored.deadline, stored.heard, scale_2=stored.scale_2)
        try:
            if stored.merges:
                record.merges = Merges.decode(stored.merges, catalogue)
            if stored.limits:
                record.limits = PatientLimits.decode(stored.limits)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnreadableRecordError(type(error).__name__) from None
        return record


def read_stored(data: bytes) -> StoredRecord:
    """Read a record's outer form and check it; raises `UnreadableRecordError`, whose text holds nothing of the data."""
    try:
        stored = msgspec.msgpack.decode(data, type=StoredRecord)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableRecordError(type(error).__name__) from None
    if stored.schema not in (RECORD_SCHEMA, MERGED_SCHEMA, LIMITED_SCHEMA):
        raise UnreadableRecordError(f"record schema {stored.schema}, this release reads up to {LIMITED_SCHEMA}")
    checksum = crc32(stored.book, crc32(stored.state))
    if crc32(stored.limits, crc32(stored.merges, checksum)) != stored.checksum:
        raise UnreadableRecordError("a record's checksum is wrong")
    return stored


class RecordShelf:
    """Finds, makes and drops records; remembers which have changed since they were last stored."""

    def __init__(self, store: StateStore, catalogue: Catalogue, live_max: int = LIVE_RECORDS_MAX) -> None:
        self._store = store
        self._catalogue = catalogue
        self._live: OrderedDict[str, PatientRecord] = OrderedDict()
        self._changed: dict[str, bytes | None] = {}
        self._dirty: set[str] = set()
        self._live_max = live_max
        self._watched: set[str] | None = None

    def watch(self) -> set[str]:
        """Give whose record there is, and note into the same set whose is opened from here on.

        Whoever watches empties the set as he looks. One watches at a time: the one who asked last.
        """
        self._watched = self.keys()
        return self._watched

    def find(self, patient: str) -> PatientRecord | None:
        """Give a patient's record, or None where there is none."""
        record = self._live.get(patient)
        if record is not None:
            self._live.move_to_end(patient)
            return record
        changed = patient in self._changed
        data = self._changed[patient] if changed else self._store.load([patient]).get(patient)
        if data is None:
            return None
        record = self._decode(data)
        self._keep(patient, record)
        return record

    def _decode(self, data: bytes) -> PatientRecord:
        return PatientRecord.decode(data, self._catalogue)

    def open(self, patient: str) -> PatientRecord:
        """Give a patient's record, a new one where there is none, and mark it changed."""
        record = self.find(patient)
        if record is None:
            record = PatientRecord(PatientState(self._catalogue), AlertBook())
            self._keep(patient, record)
        self._touch(patient)
        return record

    def put(self, patient: str, record: PatientRecord) -> None:
        """Take over a whole record in the place of what is known of a patient."""
        self._keep(patient, record)
        self._touch(patient)

    def _touch(self, patient: str) -> None:
        self._dirty.add(patient)
        if self._watched is not None:
            self._watched.add(patient)

    def use(self, catalogue: Catalogue) -> None:
        """Read every record by another catalogue from here on (a configuration brought other local codes)."""
        if catalogue is self._catalogue:
            return
        for patient in sorted(self._dirty):
            self._changed[patient] = self._live[patient].encode()
        self._dirty.clear()
        self._live.clear()
        self._catalogue = catalogue

    def drop(self, patient: str) -> None:
        """Forget a patient."""
        self._live.pop(patient, None)
        self._dirty.discard(patient)
        self._changed[patient] = None

    def take_changes(self) -> dict[str, bytes | None]:
        """Give the encoded records changed since the last call (None for dropped ones), for the store to commit."""
        for patient in sorted(self._dirty):
            self._changed[patient] = self._live[patient].encode()
        self._dirty.clear()
        changes, self._changed = self._changed, {}
        return changes

    def put_back(self, changes: dict[str, bytes | None]) -> None:
        """Take changes back that the store could not commit; what has changed since is newer."""
        self._changed = {**changes, **self._changed}

    def keys(self) -> set[str]:
        """Give everybody who has a record, stored or not yet."""
        stored = {key for key in self._store.keys() if key[:1] not in NO_PATIENT}  # noqa: SIM118 - a store is no dict
        return {key for key in stored | self._live.keys() | self._changed.keys() if self._has(key, stored)}

    def _has(self, patient: str, stored: set[str]) -> bool:
        if patient in self._live:
            return True
        return self._changed[patient] is not None if patient in self._changed else patient in stored

    def deadlines(self) -> list[tuple[Millis, str]]:
        """Give (deadline, patient) of every stored record: read once, when a host opens.

        A record that waits for nothing has the deadline of one that nobody is heard of any more.

        Checks every record on the way; raises `UnreadableRecordError`.
        """
        waiting = []
        for patient, data in self._store.items():
            if patient[:1] not in NO_PATIENT:
                stored = read_stored(data)
                unheard = stored.heard + UNHEARD_RETENTION_MS
                deadline = stored.deadline
                waiting.append((unheard if deadline is None else min(deadline, unheard), patient))
        return waiting

    def trim(self) -> None:
        """Let the least recently used records go to the store: between two steps, for one step may hold many at once.

        What a step changes after its record had gone would be lost.
        """
        while len(self._live) > self._live_max:
            oldest, evicted = self._live.popitem(last=False)
            if oldest in self._dirty:
                self._dirty.discard(oldest)
                self._set_aside(oldest, evicted)

    def _keep(self, patient: str, record: PatientRecord) -> None:
        self._live[patient] = record

    def _set_aside(self, patient: str, record: PatientRecord) -> None:
        """Keep a changed record that is no longer live until it is committed."""
        self._changed[patient] = record.encode()
