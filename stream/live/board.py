"""The ward board of the live service: states from the online feature store, scores and alerts as they were put out.

Owns which patients are shown and the documents, which are those of the embedded service's board. Must not know HTTP or
a broker: it is told of scores, withheld alerts and alert events, and reads states from Redis when somebody looks.

A patient who is in the store but whose last score was put out before this process began to listen is shown by his state
alone: NEWS2 as of now, without what the model said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from alerts.contract import to_json
from connectors.redis.layout import PATIENT_STAGE, Client, partition_of
from connectors.redis.partition_store import RedisPartitionStore
from events import Millis, to_iso
from features.catalogue import Catalogue
from stream.board import Board, Row
from stream.board_rows import in_order, render_patient, render_row, review_queue
from stream.catalogues import catalogue_for
from stream.effects import Effect
from stream.live.canary import WARD as CANARY
from stream.records import NO_PATIENT, PatientRecord
from stream.settings import Settings
from stream.standing import StandingSignals

KEPT_S = 2.0
"""How long states read from the store are shown again: as long as a board waits between two looks."""
PRUNE_EVERY = 100
"""Readings between two prunings: a score may be heard a moment before its state can be read."""

_encode = msgspec.json.Encoder(order="deterministic").encode


class StoredRecords:
    """Every patient's record as it was when last read. Decoded anew only where its bytes have changed."""

    def __init__(self, client: Client, prefix: str, partitions: int, settings: Settings) -> None:
        self._stores = [RedisPartitionStore(client, prefix, PATIENT_STAGE, number) for number in range(partitions)]
        self._catalogue: Catalogue = catalogue_for(settings)
        self._second_scale = frozenset(settings.news2_scale_2)
        self._data: dict[str, bytes] = {}
        self._records: dict[str, PatientRecord] = {}
        self._watched: set[str] = set()

    def find(self, patient: str) -> PatientRecord | None:
        """Give a patient's record as of the last reading, or None."""
        return self._records.get(patient)

    def watch(self) -> set[str]:
        """Give whose record there is, and note into the same set whose was read anew."""
        self._watched = set(self._records)
        return self._watched

    def read_all(self) -> None:
        """Read all partitions; blocks. Raises `features.store.StoreFault` where the store cannot be had."""
        data: dict[str, bytes] = {}
        for store in self._stores:
            data |= {key: state for key, state in store.items() if _is_patient(key)}
        records = {key: self._decoded(key, state) for key, state in data.items()}
        anew = {key for key, record in records.items() if self._records.get(key) is not record}
        self._data, self._records = data, records
        self._watched |= anew  # At once and after the records: somebody may look at this moment, on another thread.

    def read_one(self, patient: str) -> PatientRecord | None:
        """Read one patient's record now; blocks."""
        if not _is_patient(patient):
            return None
        store = self._stores[partition_of(patient, len(self._stores))]
        state = store.load([patient]).get(patient)
        return None if state is None else PatientRecord.decode(state, self._catalogue)

    def watermarks(self) -> list[int]:
        """Give each partition's last folded record; blocks."""
        return [store.watermark() for store in self._stores]

    def scale(self, patient: str, record: PatientRecord) -> Any:
        """Give the NEWS2 SpO2 scale of a patient."""
        return 2 if record.scale_2 or patient in self._second_scale else 1

    def _decoded(self, key: str, state: bytes) -> PatientRecord:
        known = self._records.get(key)
        return (
            known
            if known is not None and self._data.get(key) == state
            else PatientRecord.decode(state, self._catalogue)
        )


def _is_patient(key: str) -> bool:
    return key[:1] not in NO_PATIENT


class LiveBoard:
    """The board of one gateway. Used on the event loop; states are read beside it."""

    def __init__(self, records: StoredRecords) -> None:
        self._records = records
        self._board = Board(records)
        self._reading = asyncio.Lock()
        self._read_at = float("-inf")
        self._reads = 0
        self.present = 0
        """How many were here when somebody last looked."""
        self.behind_records = 0
        """Records of the log that are not folded yet, as the gateway last heard."""

    def take(self, effects: Sequence[Effect]) -> None:
        """Hear of what was put out."""
        self._board.take(effects)

    @property
    def signals(self) -> StandingSignals:
        """What the monitoring says is not heard, or is otherwise."""
        return self._board.signals

    def forget_counts(self) -> None:
        """Begin counting anew: what was heard so far was said before we were here."""
        self._board.forget_counts()

    async def patients(self, now: Millis, ward: str | None) -> bytes:
        """Give everybody who is here, the sickest first. Raises `features.store.StoreFault`."""
        await self._refresh()
        here = self._here()
        self.present = len(here)
        head = {
            "as_of": to_iso(now),
            "clock": to_iso(self._board.clock()),
            "behind_records": self.behind_records,
            "wards": sorted({row.location.ward for row in here}),
            "withheld": dict(self._board.withheld.most_common()),
            "signals": self._board.signals.shown(*(() if ward is None else (ward,))),
        }
        shown = [row for row in here if ward is None or row.location.ward == ward]
        # Beside the event loop: of a large hospital it takes longer than a sender should wait for his answer.
        return await asyncio.to_thread(self._render, head, shown, now)

    async def patient(self, key: str, now: Millis) -> bytes | None:
        """Give one patient as the store has him at this moment; None where unknown."""
        record = await asyncio.to_thread(self._records.read_one, key)
        if record is None:
            return None
        row = next((row for row in self._board.rows() if row.patient == key), None)
        document = {} if row is None else self._row(msgspec.structs.replace(row, record=record), now)
        return _encode(document | render_patient(key, record, self._board.open_alerts(), now))

    def open_alerts(self, now: Millis) -> bytes:
        """Give the newest event of every open alert, the gravest and oldest first."""
        alerts = [msgspec.Raw(to_json(event)) for event in self._board.open_alerts()]
        return _encode({"as_of": to_iso(now), "alerts": alerts})

    async def _refresh(self) -> None:
        loop = asyncio.get_running_loop()
        async with self._reading:
            if loop.time() - self._read_at < KEPT_S:
                return
            await asyncio.to_thread(self._records.read_all)
            self._read_at = loop.time()
            self._reads += 1
            if self._reads % PRUNE_EVERY == 0:
                self._board.prune()

    def _here(self) -> list[Row]:
        """Give who is here, from what is known at this moment; the canary is nobody."""
        return [row for row in self._board.rows() if row.location.ward != CANARY]

    def _render(self, head: dict[str, Any], here: Sequence[Row], now: Millis) -> bytes:
        rows = in_order(self._row(row, now) for row in here)
        return _encode(head | {"reviews": review_queue(rows), "patients": rows})

    def _row(self, row: Row, now: Millis) -> dict[str, Any]:
        scale = self._records.scale(row.patient, row.record)
        return render_row(row.patient, row.record, row.score, row.alert, row.retracted, scale, now, row.also)
