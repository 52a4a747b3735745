"""Training rows: what was known at each score, and the label it got, in the order they are learned in.

Owns the recorder that hears the pipeline as a learner does, the facts of a patient that are no inputs (for subgroups),
and the Parquet file. Must not know a source, nor who learns from the rows.

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
from events import Admission, Demographics, Discharge, Envelope, Millis, Transfer
from features.store import MemoryStateStore
from models.inputs import LEARNING_INPUTS, schema_hash_of
from models.labels import PATIENTS_MAX, Example
from stream.host import EmbeddedHost
from stream.identity import IdentityMap, Pseudonyms
from stream.outcomes import OutcomeDefinition, OutcomeJoin
from stream.parse import Parser, RecentMessages
from stream.release import Release

BATCH = 500
"""Messages taken in between two folds."""
GROUP_ROWS = 16_384
"""Rows a row group of the file: 18 MB of 32-bit floats in memory, whatever the file's length."""
WORDS_MAX = 4_096
"""Distinct wards and sexes that get a number; the rest are unknown. A hospital has some hundreds of wards."""
UNKNOWN = ""

LABEL_COLUMNS = ("label", "at", "matured_at", "after_action", "patient", "row", "sex", "ethnicity", "ward_type",
                 "unit_of_origin", "news2_total")  # fmt: skip
"""After one column an input."""


class PatientFacts(msgspec.Struct, frozen=True):
    """What is known of a patient that figures are given by and nothing is predicted from; empty where unknown."""

    sex: str = UNKNOWN
    ward_type: str = UNKNOWN
    """The ward where he lies."""
    unit_of_origin: str = UNKNOWN
    """The ward that he was admitted to."""


NO_FACTS = PatientFacts()


class Facts:
    """The facts of every patient in hospital, of `PATIENTS_MAX` at most: then the longest known are forgotten.

    >>> facts = Facts()
    >>> facts.hear(Envelope("e", "p", 0, 0, (Demographics(0, sex="female"),)))
    >>> facts.of("p").sex, facts.of("q").sex
    ('female', '')
    """

    def __init__(self) -> None:
        self._facts: dict[str, PatientFacts] = {}

    def of(self, patient: str) -> PatientFacts:
        """Give what is known of a patient now."""
        return self._facts.get(patient, NO_FACTS)

    def hear(self, envelope: Envelope) -> None:
        """Hear of what happened, before the score of the same message."""
        patient = envelope.patient
        for event in envelope.events:
            if type(event) is Demographics and event.sex is not None:
                self._facts[patient] = msgspec.structs.replace(self.of(patient), sex=event.sex)
            elif type(event) is Admission:
                ward = event.location.ward
                self._facts[patient] = msgspec.structs.replace(self.of(patient), ward_type=ward, unit_of_origin=ward)
            elif type(event) is Transfer and not event.incidental:
                self._facts[patient] = msgspec.structs.replace(self.of(patient), ward_type=event.location.ward)
            elif type(event) is Discharge:
                self._facts.pop(patient, None)
        if len(self._facts) > PATIENTS_MAX:
            del self._facts[next(iter(self._facts))]


class TrainingRow(msgspec.Struct, frozen=True, gc=False):
    """One labelled row."""

    vector: tuple[float, ...]
    """In the order of `LEARNING_INPUTS`; NaN where unknown."""
    label: bool
    at: Millis
    matured_at: Millis
    after_action: bool
    patient: int
    """Counted by first score."""
    row: int
    """Counted over all scores of the run, those without a label too."""
    facts: PatientFacts


class RowRecorder:
    """A `stream.scoring.Learner` that learns nothing: it joins rows with labels and gives them in learning order.

    `keep` is given rows in the order of (matured_at, at, patient), some at a time.

    >>> kept: list[TrainingRow] = []
    >>> recorder = RowRecorder(OutcomeDefinition(settle_min=0), kept.extend)
    >>> recorder.scored("p", 0, [0.0] * len(LEARNING_INPUTS.names)); recorder.finish()
    >>> [(row.label, row.patient, row.matured_at // 3_600_000) for row in kept]
    [(False, 0, 12)]
    """

    def __init__(self, definition: OutcomeDefinition, keep: Callable[[list[TrainingRow]], None]) -> None:
        self.join = OutcomeJoin(definition)
        self.facts = Facts()
        self.rows = 0
        self.positives = 0
        self.scores = 0
        self._keep = keep
        self._patients: dict[str, int] = {}
        self._words: list[str] = [UNKNOWN]
        self._numbers: dict[str, int] = {UNKNOWN: 0}
        self._held: list[Example] = []
        self._clock: Millis = 0
        self._given: Millis = 0

    @property
    def patients(self) -> int:
        """How many patients were scored."""
        return len(self._patients)

    def scored(
        self,
        patient: str,
        at: Millis,
        vector: list[float],
        probability: float | None = None,  # noqa: ARG002 - what was said is no input
        version: str = "",  # noqa: ARG002 - likewise
    ) -> None:
        """Hear of a score's row."""
        self._advance(at)
        self._patients.setdefault(patient, len(self._patients))
        facts = self.facts.of(patient)
        beside = (self.scores, *(self._number(word) for word in msgspec.structs.astuple(facts)))
        self.scores += 1
        self.join.joiner.scored(patient, at, (*vector, *map(float, beside)))

    def happened(self, envelope: Envelope) -> None:
        """Hear of what happened to a patient."""
        self._clock = max(envelope.received_time, self._clock)
        self.facts.hear(envelope)
        self.join.happened(envelope)

    def finish(self) -> None:
        """Let the horizon of the last score pass."""
        joiner = self.join.joiner
        end = self._clock + joiner.horizon_ms + joiner.settle_ms + 1
        self._advance(end)
        self._advance(end + 1)

    def _number(self, word: str) -> int:
        number = self._numbers.get(word)
        if number is None:
            if len(self._words) >= WORDS_MAX:
                return 0
            number = self._numbers[word] = len(self._words)
            self._words.append(word)
        return number

    def _advance(self, now: Millis) -> None:
        """Give out what matured before now: of the present instant more may come, which belongs between."""
        self._clock = now = max(now, self._clock)
        self._held += self.join.joiner.advance(now)
        due = [example for example in self._held if example.matured_at < now]
        if not due:
            return
        self._held = [example for example in self._held if example.matured_at >= now]
        rows = [self._row(example) for example in due]
        rows.sort(key=lambda row: (row.matured_at, row.at, row.patient))
        self._given = rows[-1].matured_at
        self.rows += len(rows)
        self.positives += sum(row.label for row in rows)
        self._keep(rows)

    def _row(self, example: Example) -> TrainingRow:
        width = len(LEARNING_INPUTS.names)
        number, *words = (int(entry) for entry in example.vector[width:])
        return TrainingRow(
            example.vector[:width],
            example.label,
            example.at,
            # Of a log whose records come out of order: never before what has been given out already.
            max(example.matured_at, self._given),
            example.after_action,
            self._patients[example.patient],
            number,
            PatientFacts(*(self._words[word] for word in words)),
        )


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
    yield [UNKNOWN for _ in rows]  # ethnicity: no event says it
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
