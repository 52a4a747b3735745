"""Weighing two versions on a file of training rows: each scores every row, and the labels that matured later judge.

Owns reading the rows (docs/rows.md) a part at a time, scoring them, and leaving out what the challenger may have
learned. Must not know what evidence comes to. A row is scored by the version's own scorer, so the figures are of what a
ward would have been told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from events import Millis
from models.evidence import Evidence, EvidenceError
from models.figures.subgroups import age_band
from models.scorer import Scorer
from models.version import ModelVersion
from models.weighing import ROWS_MAX, Levels, Rows, weigh_versions

PART_ROWS = 4_096
DIMENSIONS = ("sex", "ethnicity", "ward_type", "unit_of_origin")
"""Columns that subgroups are made of, beside the age band."""


class Weighed(msgspec.Struct, frozen=True):
    """Evidence, and how many rows entered it or did not."""

    evidence: Evidence
    learned: int
    """Left out, for their labels were known while the challenger learned."""
    unusable: int
    """Left out, for one of the two gives no probability."""


class RowsError(ValueError):
    """A file that holds no training rows for these versions: the operator's, who named it."""


def weigh_file(
    path: Path,
    challenger: ModelVersion,
    champion: ModelVersion | None,
    levels: Levels,
    advance: Callable[[int], None] = lambda _rows: None,
) -> Weighed:
    """Weigh a challenger beside the champion, or beside NEWS2's totals where there is none.

    Raises `RowsError` where the file has no such columns, `EvidenceError` where its rows cannot be weighed.
    """
    until = challenger.lineage.learned_until
    if until is None:
        raise EvidenceError(f"version {challenger.version} does not say up to when it learned: no row is surely new")
    try:
        file = parquet.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise RowsError(f"{path.name}: no Parquet file ({type(error).__name__})") from None
    names = file.schema_arrow.names
    wanted = dict.fromkeys((*challenger.inputs.names, *(champion.inputs.names if champion else ()), *_OTHERS))
    if missing := [name for name in wanted if name not in names]:
        raise RowsError(
            f"{path.name} lacks {len(missing)} columns, such as {missing[0]}: `wardstream rows` writes them"
        )
    if file.metadata.num_rows > ROWS_MAX:
        raise RowsError(f"{path.name}: {file.metadata.num_rows} rows, more than {ROWS_MAX}")
    scorers = (None if champion is None else Scorer(champion), Scorer(challenger))
    parts = [_scored(part, scorers, until, advance) for part in file.iter_batches(PART_ROWS, columns=[*wanted])]
    if not parts:
        raise RowsError(f"{path.name} has no rows")
    rows = _joined([part.rows for part in parts])
    evidence = weigh_versions(rows, champion, challenger, levels, _source_of(file, path))
    return Weighed(evidence, sum(part.learned for part in parts), sum(part.unusable for part in parts))


_OTHERS = ("label", "at", "matured_at", "patient", "news2_total", "age_years", *DIMENSIONS)


class _Part(msgspec.Struct, frozen=True):
    rows: Rows
    learned: int
    unusable: int


def _scored(
    part: pa.RecordBatch, scorers: tuple[Scorer | None, Scorer], until: Millis, advance: Callable[[int], None]
) -> _Part:
    """Score one part of the file; keep the rows that are new to the challenger and that both can score."""
    matured = part.column("matured_at").to_numpy(zero_copy_only=False).astype(np.int64)
    new = matured > until
    champion, challenger = scorers
    former = (
        part.column("news2_total").to_numpy(zero_copy_only=False).astype(np.float64)
        if champion is None
        else _probabilities(part, champion, new)
    )
    scores = _probabilities(part, challenger, new)
    kept = new & np.isfinite(former) & np.isfinite(scores)
    advance(part.num_rows)
    ages = part.column("age_years").to_numpy(zero_copy_only=False).astype(np.float64)
    groups = {name: np.array(part.column(name).to_pylist(), dtype=object) for name in DIMENSIONS}
    groups = {name: np.where(column == None, "", column).astype(np.str_) for name, column in groups.items()}  # noqa: E711 - by element
    rows = Rows(
        labels=part.column("label").to_numpy(zero_copy_only=False).astype(bool)[kept],
        champion=former[kept],
        challenger=scores[kept],
        patients=part.column("patient").to_numpy(zero_copy_only=False).astype(np.int64)[kept],
        at=part.column("at").to_numpy(zero_copy_only=False).astype(np.int64)[kept],
        matured_at=matured[kept],
        subgroups={name: column[kept] for name, column in {**groups, "age_band": age_band(ages)}.items()},
    )
    return _Part(rows, int((~new).sum()), int(new.sum() - kept.sum()))


def _probabilities(part: pa.RecordBatch, scorer: Scorer, wanted: np.ndarray) -> np.ndarray:
    """Give a version's probabilities; NaN for rows that are not wanted or that it refuses."""
    columns = [part.column(name).to_numpy(zero_copy_only=False) for name in scorer.model.inputs.names]
    matrix = np.column_stack(columns).astype(np.float64)
    found = np.full(part.num_rows, np.nan)
    for place in np.flatnonzero(wanted):
        probability = scorer.score(matrix[place].tolist(), explain=False).probability
        found[place] = np.nan if probability is None else probability
    return found


def _joined(parts: Sequence[Rows]) -> Rows:
    return Rows(
        labels=np.concatenate([part.labels for part in parts]),
        champion=np.concatenate([part.champion for part in parts]),
        challenger=np.concatenate([part.challenger for part in parts]),
        patients=np.concatenate([part.patients for part in parts]),
        at=np.concatenate([part.at for part in parts]),
        matured_at=np.concatenate([part.matured_at for part in parts]),
        subgroups={
            name: np.concatenate([np.asarray(part.subgroups[name]) for part in parts]) for name in parts[0].subgroups
        },
    )


def _source_of(file: parquet.ParquetFile, path: Path) -> str:
    note = file.schema_arrow.metadata or {}
    return str(note.get(b"source", path.name.encode()).decode("utf-8", "replace"))
