"""Rows of a Parquet file for the benchmark of learners: matrix, labels, times and stays; and which stays are learned.

Owns the reading. Must not know a learner. Stays are numbered in order of admission (docs/rows.md).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pyarrow.parquet import ParquetFile

from models.rows import Inputs

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Rows(NamedTuple):
    """Rows in the order in which they mature."""

    inputs: Inputs
    matrix: NDArray[np.float32]
    labels: Bools
    at: Ints
    matured_at: Ints
    stay: Ints
    unit: NDArray[np.str_]
    news2: Floats

    def only(self, chosen: Bools) -> Self:
        """Give the chosen rows."""
        return self._replace(**{name: getattr(self, name)[chosen] for name in self._fields if name != "inputs"})

    def admitted(self, share: float) -> Bools:
        """Tell which rows belong to the first share of stays."""
        return np.less(self.stay, share * (int(self.stay.max()) + 1))


def read_rows(path: Path, every: int = 1) -> Rows:
    """Read the rows of every n-th stay, a row group at a time."""
    file = ParquetFile(path)
    columns = file.schema_arrow.names
    names = tuple(columns[: columns.index("label")])
    indicators = tuple((file.schema_arrow.metadata or {}).get(b"indicators", b"").decode().split(","))
    parts: list[tuple[NDArray[np.float32], Floats, NDArray[np.str_]]] = []
    for batch in file.iter_batches():
        stay = batch["patient"].to_numpy(zero_copy_only=False)
        chosen = stay % every == 0
        plain = ("label", "at", "matured_at", "patient", "news2_total")
        parts.append(
            (
                np.column_stack([batch[name].to_numpy(zero_copy_only=False) for name in names])[chosen].astype(
                    np.float32
                ),
                np.column_stack([batch[name].to_numpy(zero_copy_only=False).astype(np.float64) for name in plain])[
                    chosen
                ],
                np.array(batch["unit_of_origin"].to_pylist(), dtype=np.str_)[chosen],
            )
        )
    matrix, plain_columns, unit = (np.concatenate([part[at] for part in parts]) for at in range(3))
    label, at, matured_at, stay, news2 = plain_columns.T
    inputs = Inputs(names, tuple(name for name in indicators if name))
    times = at.astype(np.int64), matured_at.astype(np.int64)
    return Rows(inputs, matrix, label > 0.5, *times, stay.astype(np.int64), unit, news2)
