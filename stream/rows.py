"""Training rows: what was known at each score, and the label it got, in the order they are learned in.

Owns running the pipeline for rows, and the Parquet file. Must not know a source, nor who learns from the rows, nor how
they are joined with labels (stream/row_recorder.py).

A row is what the pipeline computed at the score, before anything later was received: nobody computes it anew
afterwards, so nothing later can enter it (docs/rows.md). Only its label comes from later, and says when: `matured_at`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from connectors.memory import MemoryJournal
from connectors.sources.arrival import Arrival
from features.store import MemoryStateStore
from models.inputs import LEARNING_INPUTS, schema_hash_of
from stream.host import EmbeddedHost
from stream.identity import IdentityMap, Pseudonyms
from stream.parse import Parser, RecentMessages
from stream.release import Release
from stream.row_recorder import RowRecorder, TrainingRow

BATCH = 500
"""Messages taken in between two folds."""
GROUP_ROWS = 16_384
"""Rows a row group of the file: 18 MB of 32-bit floats in memory, whatever the file's length."""

LABEL_COLUMNS = ("label", "at", "matured_at", "after_action", "patient", "row", "sex", "ethnicity", "ward_type",
                 "unit_of_origin", "news2_total")  # fmt: skip
"""After one column an input."""


class RowFile:
    """A Parquet file of training rows, written a row group at a time; it appears when all of it is there.

    Inputs are 32-bit floats, NaN where unknown; texts are dictionary-encoded. `note` goes into the file's metadata.
    """

    def __init__(self, path: Path, note: dict[str, str]) -> None:
        inputs = LEARNING_INPUTS
        text = pa.dictionary(pa.int32(), pa.string())
        types = [pa.bool_(), pa.int64(), pa.int64(), pa.bool_(), pa.int32(), pa.int64(), text, text, text, text]
        fields = [(name, pa.float32()) for name in inputs.names]
        fields += list(zip(LABEL_COLUMNS, [*types, pa.float32()], strict=True))
        about = {"schema_hash": schema_hash_of(inputs), "indicators": ",".join(inputs.indicators), **note}
        self._schema = pa.schema(fields).with_metadata(about)
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._writer = parquet.ParquetWriter(self._part, self._schema, compression="zstd")
        self._matrix = np.empty((GROUP_ROWS, len(inputs.names)), np.float32)
        self._rows: list[TrainingRow] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        if kind is None:
            self._write()
        self._writer.close()
        if kind is None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)

    def write(self, rows: Iterable[TrainingRow]) -> None:
        """Take rows, in their order."""
        for row in rows:
            self._matrix[len(self._rows)] = row.vector
            self._rows.append(msgspec.structs.replace(row, vector=()))
            if len(self._rows) == GROUP_ROWS:
                self._write()

    def add_note(self, note: dict[str, str]) -> None:
        """Add what is known only at the end to the file's metadata."""
        self._writer.add_key_value_metadata(note)

    def _write(self) -> None:
        rows, self._rows = self._rows, []
        if not rows:
            return
        matrix = self._matrix[: len(rows)]
        columns = [pa.array(np.ascontiguousarray(matrix[:, place])) for place in range(matrix.shape[1])]
        columns += [
            pa.array([row.label for row in rows]),
            pa.array([row.at for row in rows], pa.int64()),
            pa.array([row.matured_at for row in rows], pa.int64()),
            pa.array([row.after_action for row in rows]),
            pa.array([row.patient for row in rows], pa.int32()),
            pa.array([row.row for row in rows], pa.int64()),
            *(_texts(texts) for texts in _facts(rows)),
            columns[LEARNING_INPUTS.names.index("news2.total")],
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema), row_group_size=GROUP_ROWS)


def _facts(rows: Sequence[TrainingRow]) -> Iterator[list[str]]:
    yield [row.facts.sex for row in rows]
    yield [row.facts.ethnicity for row in rows]
    yield [row.facts.ward_type for row in rows]
    yield [row.facts.unit_of_origin for row in rows]


def _texts(texts: list[str]) -> pa.Array:
    return pa.array(texts, pa.string()).dictionary_encode()


def record_rows(
    arrivals: Iterable[Arrival],
    release: Release,
    recorder: RowRecorder,
    pseudonyms: Pseudonyms,
    on_progress: Callable[[int], None] = lambda _done: None,
) -> dict[str, int]:
    """Fold messages through the real pipeline, with NEWS2 alone in force; give the message counts.

    `on_progress` is called with the number of messages done after every batch.
    """
    journal = MemoryJournal()
    host = EmbeddedHost(
        journal,
        MemoryStateStore(),
        Parser(IdentityMap(pseudonyms), RecentMessages()),
        versions={},
        carry_out=lambda _effects, _offsets: None,
        learner=recorder,
        durable=False,
    )
    host.release(release, 0)
    iterator, done = iter(arrivals), 0
    while batch := list(islice(iterator, BATCH)):
        host.accept(batch)
        host.fold()
        done += len(batch)
        on_progress(done)
    recorder.finish()
    return journal.counts()
