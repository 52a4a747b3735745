"""Predictions: each contender is asked of every score, and told each outcome when it came to be known.

Owns that order (prequential, with the true delay of labels), the checkpoints within it, and the files of predictions,
ours and outsiders'. Must not know how a contender learns. `Labels.before_row` has the order; nothing here looks at a
label before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from events import Millis
from stream.evaluating.contenders import Contender
from stream.evaluating.parts import Parts
from stream.evaluating.scores import BATCH, Labels, read_columns, read_names, read_vectors

CHECKPOINT_ROWS = 6 * BATCH
"""How much is lost by a kill at the most: some seconds of asking, against a state and 400 KB to write."""
PREDICTIONS_MAX = 20_000_000
"""Rows of an outside file: as many as an evaluation holds."""


class PredictionsError(ValueError):
    """The operator's: a file of predictions that does not fit. The text says what would."""


class _Midway(msgspec.Struct):
    """A contender on its way: asked of so many rows, told so many labels."""

    rows: int
    told: int
    refused: dict[str, int]
    said: bytes
    """The answers so far, float64."""
    notes: bytes
    """What it noted of each, likewise."""
    state: bytes


class Predicted(msgspec.Struct):
    """What came of a contender beside its answers."""

    rows: int
    told: int
    refused: dict[str, int]
    """Labelled rows it did not learn, by reason."""


def predicted(
    parts: Parts,
    name: str,
    contender: Callable[[Sequence[str]], Contender],
    labels: Labels,
    rows: int,
    *,
    border: Millis | None = None,
    leave_out_acted: bool = False,
    advance: Callable[[int], None] = lambda _rows: None,
) -> tuple[NDArray[np.float64], Predicted]:
    """Give a contender's answer to every row (NaN: none), from the parts where it has been asked before.

    From `border` on nothing more is learned; with `leave_out_acted` no row in whose window somebody acted on an alert
    ever is. `advance` hears how many rows have been asked.
    """
    file, summary = f"predictions-{name}.parquet", f"predictions-{name}.msgpack"
    found = parts.read(summary, Predicted) if parts.has(file) else None
    if found is not None:
        return pq.read_table(parts.path(file), columns=["probability"]).column(0).to_numpy(), found
    taught = np.ones(len(labels.row), dtype=bool) if border is None else labels.matured_at < border
    if leave_out_acted:
        taught &= ~labels.after_action
    said, found = _ask(parts, name, contender(read_names(parts)), labels, taught, rows, advance)
    of_row = read_columns(parts, ("row", "patient", "at"))
    with parts.making(file) as path:
        pq.write_table(pa.table({**of_row, "probability": said}), path, compression="zstd")
    parts.write(summary, found)
    parts.drop(_midway(name))
    return said, found


def _midway(name: str) -> str:
    return f"midway-{name}.msgpack"


def _ask(
    parts: Parts,
    name: str,
    contender: Contender,
    labels: Labels,
    taught: NDArray[np.bool_],
    rows: int,
    advance: Callable[[int], None],
) -> tuple[NDArray[np.float64], Predicted]:
    said, notes = np.full(rows, np.nan), np.full(rows, np.nan)
    refused: Counter[str] = Counter()
    done = told = 0
    midway = parts.read(_midway(name), _Midway)
    if midway is not None:
        done, told, refused = midway.rows, midway.told, Counter(midway.refused)
        said[:done], notes[:done] = np.frombuffer(midway.said), np.frombuffer(midway.notes)
        contender.go_on(midway.state)
    place_of = np.full(rows, -1, dtype=np.int64)
    place_of[labels.row] = np.arange(len(labels.row))
    waiting: dict[int, NDArray[np.float64]] = {}
    names = read_names(parts)

    def tell(until_row: int) -> None:
        nonlocal told
        upto = int(np.searchsorted(labels.before_row, until_row, side="right"))
        if upto == told:
            return
        due = np.arange(told, upto)
        vectors = np.array([waiting.pop(row) for row in labels.row[due].tolist()])
        chosen, told = taught[due], upto
        if chosen.any():
            due = due[chosen]
            refusals = contender.tell(vectors[chosen], labels.label[due], notes[labels.row[due]])
            refused.update(refusal for refusal in refusals if refusal)

    saved = done
    for number, matrix in read_vectors(parts, names, min(done, int(labels.row[told:].min(initial=done)))):
        end = number + len(matrix)
        for place in np.flatnonzero(place_of[number:end] >= told).tolist():
            waiting[number + place] = matrix[place]
        row = max(number, done)
        while row < end:
            tell(row)
            # Until the next label is told nothing changes: so many rows are asked at once.
            stop = min(end, int(labels.before_row[told])) if told < len(labels.row) else end
            said[row:stop], notes[row:stop] = contender.ask(matrix[row - number : stop - number])
            row = stop
        advance(end)
        if end - saved >= CHECKPOINT_ROWS and (state := contender.keep()) is not None:
            parts.write(
                _midway(name), _Midway(end, told, dict(refused), said[:end].tobytes(), notes[:end].tobytes(), state)
            )
            saved = end
    tell(rows)
    return said, Predicted(rows, int(taught.sum()), dict(refused))


def read_predictions(path: Path, parts: Parts, rows: int) -> NDArray[np.float64]:
    """Read an outside model's probabilities, as one a row of this evaluation; NaN where it has none.

    A Parquet or CSV file with a column `probability`, matched by a column `row` (the number of the score), else by
    `patient` and `at` as in rows.parquet, else in order where there are just as many. Raises `PredictionsError`.
    """
    table = _table(path)
    if "probability" not in table.column_names:
        raise PredictionsError(f"{path.name}: no column `probability`; it has {', '.join(table.column_names[:9])}")
    if table.num_rows > PREDICTIONS_MAX:
        raise PredictionsError(f"{path.name}: more than {PREDICTIONS_MAX} rows")
    try:
        values = table.column("probability").cast(pa.float64()).to_numpy(zero_copy_only=False)
        places = _places(table, parts, rows, path.name)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise PredictionsError(f"{path.name}: `probability` wants numbers; `row`, `patient`, `at` whole ones") from None
    known = ~np.isnan(values)
    if not ((values[known] >= 0) & (values[known] <= 1)).all():
        raise PredictionsError(f"{path.name}: a probability lies outside 0 to 1")
    said = np.full(rows, np.nan)
    said[places[known]] = values[known]
    return said


def _table(path: Path) -> pa.Table:
    try:
        if path.suffix == ".parquet":
            return pq.read_table(path)
        if path.suffix == ".csv":
            from pyarrow import csv

            return csv.read_csv(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise PredictionsError(f"{path.name}: not readable as {path.suffix[1:]} ({type(error).__name__})") from None
    raise PredictionsError(f"{path.name}: give a .parquet or a .csv")


def _places(table: pa.Table, parts: Parts, rows: int, name: str) -> NDArray[np.int64]:
    columns = set(table.column_names)
    if "row" in columns:
        places: NDArray[np.int64] = table.column("row").cast(pa.int64()).to_numpy(zero_copy_only=False)
    elif {"patient", "at"} <= columns:
        places = _places_by_patient(table, parts)
    elif table.num_rows == rows:
        places = np.arange(rows)
    else:
        raise PredictionsError(f"{name}: {table.num_rows} rows for {rows} scores, and no `row`, nor `patient` and `at`")
    if len(places) and (places.min() < 0 or places.max() >= rows):
        raise PredictionsError(f"{name}: a row that this evaluation does not have; is it of the same source?")
    if len(np.unique(places)) != len(places):
        raise PredictionsError(f"{name}: two probabilities of one row")
    return places


def _places_by_patient(table: pa.Table, parts: Parts) -> NDArray[np.int64]:
    """Give the row of each (patient, at), -1 where there is none; of several scores at one instant the first."""
    ours = read_columns(parts, ("patient", "at"))
    row_of: dict[tuple[int, int], int] = {}
    for row, key in enumerate(zip(ours["patient"].tolist(), ours["at"].tolist(), strict=True)):
        row_of.setdefault(key, row)
    theirs = (table.column(name).cast(pa.int64()).to_pylist() for name in ("patient", "at"))
    found = (row_of.get(key, -1) for key in zip(*theirs, strict=True))
    return np.fromiter(found, dtype=np.int64)
