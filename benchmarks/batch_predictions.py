"""A batch LightGBM's probabilities for an evaluation, so that `wardstream evaluate` can lay it beside a learner.

    .venv/bin/wardstream evaluate physionet2019:DIR --outcome sepsis --out OUT
    .venv/bin/python benchmarks/batch_predictions.py OUT lightgbm.parquet
    .venv/bin/wardstream evaluate physionet2019:DIR --outcome sepsis --out OUT --predictions LightGBM=lightgbm.parquet

Owns the folds. Must not know a figure. Five folds by stay: each stay is told by a model of the others, earlier and
later ones alike, so that every score has a probability. It therefore knows patients of the future and has four fifths
of all labels from the first hour on, which no service has: it is what batch training could reach, not a peer in time.
Needs `pip install -e '.[bench]'`. The settings are those of benchmarks/learning_runs.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from learning_runs import LIGHTGBM, LIGHTGBM_TREES
from numpy.typing import NDArray
from rich.progress import track

from stream.evaluating.parts import FOLDER
from stream.evaluating.scores import LABELS, OF_ROW, ROWS

FOLDS = 5


def fold_of(stays: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give each row the fold of its stay: stays are drawn into folds, with a seed.

    >>> folds = fold_of(np.repeat(np.arange(10), 3))
    >>> bool((folds.reshape(10, 3) == folds[::3, None]).all()), np.bincount(folds[::3]).tolist()
    (True, [2, 2, 2, 2, 2])
    """
    numbers, place = np.unique(stays, return_inverse=True)
    return (np.random.default_rng(5).permutation(len(numbers)) % FOLDS)[place]


def read_matrix(path: Path) -> NDArray[np.float32]:
    """Read the inputs of every score, a row group at a time: some 800 MB of all of hospital A."""
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names[: -len(OF_ROW)]
        parts = [
            np.column_stack([one.column(name).to_numpy(zero_copy_only=False) for name in names]).astype(np.float32)
            for one in file.iter_batches(columns=names)
        ]
    return np.concatenate(parts)


def predict(folder: Path) -> NDArray[np.float64]:
    """Give each score the probability that a model of the other folds' labelled rows says."""
    import lightgbm

    matrix = read_matrix(folder / ROWS)
    table = pq.read_table(folder / LABELS, columns=["row", "label"])
    rows, labels = (table.column(name).to_numpy() for name in ("row", "label"))
    folds = fold_of(pq.read_table(folder / ROWS, columns=["stay"]).column("stay").to_numpy())
    said = np.full(len(matrix), np.nan)
    for fold in track(range(FOLDS), "folds"):
        learned = rows[folds[rows] != fold]
        of_row = labels[folds[rows] != fold]
        model = lightgbm.train(dict(LIGHTGBM), lightgbm.Dataset(matrix[learned], of_row), LIGHTGBM_TREES)
        asked = folds == fold
        said[asked] = model.predict(matrix[asked])
    return said


def main() -> None:
    """Write a file of predictions for the one evaluation that a folder holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evaluation", type=Path, help="the --out of `wardstream evaluate`")
    parser.add_argument("out", type=Path, help="the file of predictions to write (.parquet)")
    asked = parser.parse_args()
    (folder,) = (asked.evaluation / FOLDER).iterdir()
    said = predict(folder)
    pq.write_table(pa.table({"row": np.arange(len(said)), "probability": said}), asked.out, compression="zstd")


if __name__ == "__main__":
    main()
