"""The patients' records of one partition, over a store that keeps an index beside the states.

Owns what goes into the store beside a state: its deadline, the readable view, and when it may go. Must not know Redis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from alerts.book import UnreadableBookError
from events import MILLIS_PER_HOUR, Millis
from features.catalogue import Catalogue
from features.encoding import CorruptStateError, UnknownStateVersionError
from features.store import Entry, PartitionStore
from stream.features_view import features_view
from stream.live.stage import UnusableStateError
from stream.pipeline import DISCHARGED_RETENTION_MS
from stream.records import LIVE_RECORDS_MAX, UNHEARD_RETENTION_MS, PatientRecord, RecordShelf, UnreadableRecordError

EXPIRY_MARGIN_MS = 7 * 24 * MILLIS_PER_HOUR
"""A discharged patient's state goes by itself this long after the fold would have dropped it: a safety net for what a
partition that nobody works leaves behind, long enough for a worker that was away over a weekend."""

UNUSABLE = (UnreadableRecordError, UnreadableBookError, CorruptStateError, UnknownStateVersionError, UnicodeDecodeError)
"""What says that a stored record is of no use; the log remakes it."""


class LiveShelf(RecordShelf):
    """A shelf that remembers of each changed record what the store's index needs."""

    def __init__(
        self,
        store: PartitionStore,
        catalogue: Catalogue,
        now: Callable[[], Millis],
        live_max: int = LIVE_RECORDS_MAX,
    ) -> None:
        super().__init__(store, catalogue, live_max)
        self._indexed = store
        self._now = now
        self._aside: dict[str, Entry] = {}
        """Of changed records that are no longer live: what is to be committed."""

    def prefetch(self, patients: Iterable[str]) -> None:
        """Read the records of these patients that are not live, in one call."""
        missing = [patient for patient in set(patients) if patient not in self._live and patient not in self._changed]
        if not missing:
            return
        for patient, data in self._indexed.load(missing).items():
            self._keep(patient, self._decode(data))

    def _decode(self, data: bytes) -> PatientRecord:
        """Decode a record; one that is of no use is no fault of the record of the log that is being folded."""
        try:
            return super()._decode(data)
        except UNUSABLE as fault:
            raise UnusableStateError(type(fault).__name__) from None

    def deadlines(self) -> list[tuple[Millis, str]]:
        """Give (deadline, patient) of every stored record, from the index."""
        return self._indexed.deadlines()

    def use(self, catalogue: Catalogue) -> None:
        """Read every record by another catalogue from here on."""
        if catalogue is not self._catalogue:
            for patient in sorted(self._dirty):
                self._set_aside(patient, self._live[patient])
            self._dirty.clear()
        super().use(catalogue)

    def drop(self, patient: str) -> None:
        """Forget a patient."""
        self._aside.pop(patient, None)
        super().drop(patient)

    def take_entries(self) -> dict[str, Entry | None]:
        """Give what has changed since the last call (None for dropped records), for the store to commit."""
        entries: dict[str, Entry | None] = {
            patient: None if data is None else self._aside[patient] for patient, data in self._changed.items()
        }
        for patient in sorted(self._dirty):
            entries[patient] = self._entry(patient, self._live[patient])
        self._dirty.clear()
        self._changed.clear()
        self._aside.clear()
        return entries

    def _set_aside(self, patient: str, record: PatientRecord) -> None:
        """Keep a changed record that is no longer live until it is committed."""
        entry = self._aside[patient] = self._entry(patient, record)
        self._changed[patient] = entry.state

    def _entry(self, patient: str, record: PatientRecord) -> Entry:
        unheard = record.heard + UNHEARD_RETENTION_MS
        deadline = unheard if record.deadline is None else min(record.deadline, unheard)
        discharged = record.state.discharged_time
        expire_at = None
        if discharged is not None:
            # In the machine's time, for Redis's clock is that; the log's may be of another day (a log read anew).
            left = max(discharged + DISCHARGED_RETENTION_MS - record.heard, 0)
            expire_at = self._now() + left + EXPIRY_MARGIN_MS
        return Entry(record.encode(), deadline, features_view(patient, record, self._now()), expire_at)
