"""Every score of a source, with its inputs, and of those whose outcome came to be known, its label.

Owns the recorder that hears the pipeline as a learner would, and the files it writes: rows in order of scoring, labels
in the order in which they were learned, stays. Must not know a learner: predictions are made of these files, for any.

A score without a label (its stay ended within the horizon, the outcome was over, it came half an hour after another) is
kept all the same: alerts are counted on every score, and the challenge's utility on every hour.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from events import Envelope, Millis, Outcome
from models.inputs import CLINICAL_INPUTS, LEARNING_INPUTS
from models.labels import JoinCounts, LabelJoiner
from stream.evaluating.parts import Parts
from stream.evaluating.stays import Stay, Stays
from stream.outcomes import OutcomeDefinition, OutcomeJoin

ROWS, LABELS, HEARD = "rows.parquet", "labels.parquet", "heard.msgpack"
BATCH = 8_192
"""Rows written and read at once: a few MB."""
NAMES_BY_WIDTH = {len(inputs.names): inputs.names for inputs in (CLINICAL_INPUTS, LEARNING_INPUTS)}
"""What the pipeline tells a learner of a score, by how much it tells."""
OF_ROW = ("row", "at", "patient", "stay", "sex", "ward", "origin", "ethnicity", "champion")
"""The columns beside the inputs; `champion` is what the version that ran said."""


class Heard(msgspec.Struct):
    """What a replay came to, beside its rows and labels."""

    digest: str
    """Of the replay's outputs."""
    rows: int
    patients: int
    counts: JoinCounts
    stays: list[Stay]
    versions: list[str]
    """The versions that ran, in order."""


class RowWriter:
    """Writes rows in batches; only one batch is in memory."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._names = names
        self._schema = pa.schema(
            [
                *((name, pa.float64()) for name in names),
                ("row", pa.int64()), ("at", pa.int64()), ("patient", pa.int32()), ("stay", pa.int32()),
                ("sex", pa.string()), ("ward", pa.string()), ("origin", pa.string()),
                ("ethnicity", pa.string()),
                ("champion", pa.float64()),
            ]
        )  # fmt: skip
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._vectors: list[Sequence[float]] = []
        self._of_row: list[tuple[Any, ...]] = []

    def add(self, row: int, vector: Sequence[float], at: Millis, stay: Stay, champion: float | None) -> None:
        """Write the row of that number."""
        self._vectors.append(vector)
        told = (stay.sex, stay.ward, stay.origin, stay.ethnicity)
        self._of_row.append((row, at, stay.patient, stay.number, *told, champion))
        if len(self._vectors) == BATCH:
            self._flush()

    def _flush(self) -> None:
        width = len(self._names)
        values = np.array(self._vectors, dtype=np.float64).reshape(-1, width)
        columns = [pa.array(values[:, place]) for place in range(width)]
        parts = list(zip(*self._of_row, strict=True)) or [()] * len(OF_ROW)
        columns += [pa.array(part, self._schema.field(width + at).type) for at, part in enumerate(parts)]
        self._writer.write_batch(pa.record_batch(columns, schema=self._schema))
        self._vectors, self._of_row = [], []

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        self._writer.close()


class _Overheard:
    """A joiner that does what it does, while the stays hear of each outcome that counts, and of one taken back."""

    def __init__(self, joiner: LabelJoiner, stays: Stays) -> None:
        self._joiner = joiner
        self._stays = stays

    def __getattr__(self, name: str) -> Any:
        return getattr(self._joiner, name)

    def outcome(self, patient: str, outcome: Outcome, received_time: Millis) -> None:
        """Take in an outcome as it is received."""
        self._joiner.outcome(patient, outcome, received_time)
        if outcome.onset and outcome.kind in self._joiner.kinds:
            self._stays.outcome(patient, outcome.event_time)

    def withdrawn(self, patient: str, kind: str, received_time: Millis) -> None:
        """Take one back."""
        self._joiner.withdrawn(patient, kind, received_time)
        if kind in self._joiner.kinds:
            self._stays.outcome(patient, None)


class Recorder:
    """Hears every score and event as a learner would, and learns nothing.

    The joiner carries the row's number in the place of its vector. A label's `before_row` says when it was learned:
    after the prediction of the row before that one, and before that one's.
    """

    def __init__(self, definition: OutcomeDefinition, path: Path) -> None:
        """Record by a definition of the outcome; rows are written to `path` as they come."""
        self.stays = Stays()
        self._join = OutcomeJoin(definition)
        self._join.joiner = cast("LabelJoiner", _Overheard(self._join.joiner, self.stays))
        self._path = path
        self._writer: RowWriter | None = None
        self._rows = 0
        self._clock: Millis = 0
        self._versions: dict[str, None] = {}
        self._labels = tuple(array(code) for code in ("q", "b", "q", "b", "q"))

    def scored(
        self, patient: str, at: Millis, vector: list[float], probability: float | None = None, version: str = ""
    ) -> None:
        """Write a score down; `probability` is what `version`, which ran, said."""
        if version:
            self._versions.setdefault(version)
        self._mature(at)
        self._clock = max(self._clock, at)
        if self._writer is None:
            self._writer = RowWriter(self._path, NAMES_BY_WIDTH[len(vector)])
        self._writer.add(self._rows, vector, at, self.stays.scored(patient, at), probability)
        self._join.joiner.scored(patient, at, (float(self._rows),))
        self._rows += 1

    def happened(self, envelope: Envelope) -> None:
        """Hear of what happened."""
        self._clock = max(self._clock, envelope.received_time)
        for event in envelope.events:
            self.stays.hear(envelope.patient, event)
        self._join.happened(envelope)

    def finish(self) -> None:
        """Let the horizon of the last score pass, and close the file of rows."""
        joiner = self._join.joiner
        self._mature(self._clock + joiner.horizon_ms + joiner.settle_ms + 1)
        if self._writer is None:
            self._writer = RowWriter(self._path, CLINICAL_INPUTS.names)
        self._writer.close()

    def _mature(self, now: Millis) -> None:
        for example in self._join.joiner.advance(now):
            row = int(example.vector[0])
            values = (row, example.label, example.matured_at, example.after_action, self._rows)
            for column, value in zip(self._labels, values, strict=True):
                column.append(value)

    def heard(self, digest: str) -> Heard:
        """Give what the run came to; `digest` is that of the replay's outputs."""
        return Heard(
            digest, self._rows, self.stays.patients, self._join.joiner.counts, self.stays.known, list(self._versions)
        )

    def write_labels(self, path: Path) -> None:
        """Write the labels, in the order in which they were learned."""
        names = ("row", "label", "matured_at", "after_action", "before_row")
        columns = [np.array(column) for column in self._labels]
        for place in (1, 3):
            columns[place] = columns[place].astype(bool)
        pq.write_table(pa.table(dict(zip(names, columns, strict=True))), path, compression="zstd")


class Labels(msgspec.Struct, frozen=True):
    """The labels in the order in which they were learned, as arrays of one length."""

    row: NDArray[np.int64]
    label: NDArray[np.bool_]
    matured_at: NDArray[np.int64]
    after_action: NDArray[np.bool_]
    before_row: NDArray[np.int64]


def read_labels(parts: Parts) -> Labels:
    """Read the labels of a run that is kept."""
    table = pq.read_table(parts.path(LABELS))
    return Labels(*(table.column(name).to_numpy() for name in Labels.__struct_fields__))


def read_names(parts: Parts) -> tuple[str, ...]:
    """Give the names of the inputs that a run's rows have."""
    return tuple(pq.read_schema(parts.path(ROWS)).names[: -len(OF_ROW)])


def read_columns(parts: Parts, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Read some columns of all rows; strings come as objects."""
    table = pq.read_table(parts.path(ROWS), columns=list(names))
    return {name: table.column(name).to_numpy(zero_copy_only=False) for name in names}


def read_vectors(parts: Parts, names: Sequence[str], first: int = 0) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Give (number of its first row, matrix of one row a score) in order, from the batch that row `first` is in."""
    with pq.ParquetFile(parts.path(ROWS)) as file:
        number = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if number + rows > first:
                table = file.read_row_group(group, columns=list(names))
                yield number, np.column_stack([table.column(name).to_numpy() for name in names])
            number += rows
