"""What scoring and explaining one row cost, beside LightGBM and River in the same run, and whether they agree.

Owns the measurement and its table. Each side is made from the same rows: ours of formats 2 and 3 (a logistic; crossed
logistic and boosting), a LightGBM of as many trees with as many leaves, River's own scaler and logistic regression. A
row is given to each as its caller has it: ours a list, LightGBM a matrix of one row, River a dictionary. Counted is the
processor's time on one core. The sides take turns, round by round, and the best round of each counts, for on a shared
machine the others are noise.

Then LightGBM's trees are put into our format: the log-odds must be LightGBM's, and our contributions its own TreeSHAP
(`pred_contrib`), which nobody here wrote.

Run: `.venv/bin/python benchmarks/scoring.py ROWS.parquet` on a file that `wardstream rows` wrote, or with none on
simulated rows. LightGBM is a benchmark's dependency only (`pip install lightgbm`).
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import lightgbm
import numpy as np
from numpy.typing import NDArray

from models.explaining.background import Background, background_of
from models.explaining.explanation import explain
from models.explaining.importance import importance_of
from models.explaining.shapley import Shapley
from models.inputs import CLINICAL_INPUTS, CLINICAL_ROW, LEARNING_INPUTS, SCHEMA_HASH, schema_hash_of
from models.learners.ensemble import CrossedBoosted
from models.learning import Learner
from models.scorer import Scorer
from models.training import freeze
from models.version import ENSEMBLE_FORMAT, Lineage, ModelVersion, dump, load
from models.weights import Ensemble, Tree, Trees, ensemble_logits

ROWS = 125_000
"""Enough labels for a full ring of trees: one grows every 400."""
ROWS_OF_RIVER = 5_000
"""Rows that River's pipelines learn: what they cost to score does not depend on it."""
TIMED = 400
"""Rows of a round, the last there are: none was learned."""
ROUNDS = 15
TREES, LEAVES = 300, 15
TARGET_US = 100.0
BYTES_MAX = 5_000_000

Matrix = np.ndarray[Any, np.dtype[np.float64]]
Side = tuple[Callable[[Any], object], list[Any]]
Bools = NDArray[np.bool_]


def read_rows(path: Path | None, count: int) -> tuple[Matrix, Bools]:
    """Give inputs (rows, inputs) and labels: of a file, or simulated from a seed."""
    if path is None:
        draw = np.random.default_rng(7)
        matrix = draw.normal(size=(count, len(LEARNING_INPUTS.names)))
        matrix[draw.random(matrix.shape) < 0.4] = np.nan
        logits = np.nansum(matrix[:, :8], axis=1) - 4.0
        return matrix, draw.random(count) < 1.0 / (1.0 + np.exp(-logits))
    import pyarrow.parquet as pq

    read: list[tuple[Matrix, Matrix]] = []
    for batch in pq.ParquetFile(path).iter_batches(columns=[*LEARNING_INPUTS.names, "label"]):
        columns = [batch.column(name).to_numpy(zero_copy_only=False) for name in LEARNING_INPUTS.names]
        read.append((np.array(columns, dtype=np.float64).T, batch.column("label").to_numpy(zero_copy_only=False)))
        if sum(len(labels) for _, labels in read) >= count:
            break
    matrix, labels = (np.concatenate([part[place] for part in read])[:count] for place in (0, 1))
    return matrix, labels.astype(bool)


def clinical(matrix: Matrix) -> list[list[float]]:
    """Give the rows of the shipped version's inputs."""
    return [CLINICAL_ROW.pick(row) for row in matrix.tolist()]


def ensemble_version(matrix: Matrix, labels: Bools) -> ModelVersion:
    """Learn in one pass and freeze, explained against the rows learned last."""
    learner = CrossedBoosted(LEARNING_INPUTS)
    learner.learn_many(matrix, labels)
    weights, reference = learner.weights(), matrix[-5_000:]
    background = background_of(weights, reference)
    return ModelVersion(
        format=ENSEMBLE_FORMAT, inputs=LEARNING_INPUTS, schema_hash=schema_hash_of(LEARNING_INPUTS), ensemble=weights,
        background=background, importance=importance_of(weights, background, reference), horizon_h=12, threshold=0.04,
        threshold_release=0.03, cost_of_miss=24.0, lineage=Lineage("benchmark", learner.rows, learner.positives),
        river_version="",
    )  # fmt: skip


def logistic_version(matrix: Matrix, labels: Bools) -> tuple[ModelVersion, Learner]:
    """Learn the shipped kind on its own inputs; give it frozen, and River's pipeline that it is of."""
    learner = Learner(CLINICAL_INPUTS)
    for row, label in zip(clinical(matrix[:ROWS_OF_RIVER]), labels[:ROWS_OF_RIVER].tolist(), strict=True):
        learner.learn_one(row, label)
    return freeze(learner, Lineage("benchmark", 0, 0), schema_hash=SCHEMA_HASH), learner


def from_lightgbm(booster: lightgbm.Booster, width: int) -> tuple[Ensemble, tuple[tuple[int, ...], ...]]:
    """Put LightGBM's trees into our format, with the rows that it counted in each leaf."""
    trees = [one["tree_structure"] for one in booster.dump_model()["tree_info"]]
    thresholds: list[set[float]] = [set() for _ in range(width)]

    def note(node: dict[str, Any]) -> None:
        if "split_feature" in node:
            thresholds[node["split_feature"]].add(node["threshold"])
            note(node["left_child"])
            note(node["right_child"])

    for tree in trees:
        note(tree)
    cuts = tuple(tuple(sorted(own)) for own in thresholds)
    made = [_tree_of(tree, cuts) for tree in trees]
    parts = Trees(cuts, tuple(tree for tree, _ in made), 0.0)
    return Ensemble(None, parts, (0.0, 1.0)), tuple(cover for _, cover in made)


def _tree_of(root: dict[str, Any], cuts: tuple[tuple[float, ...], ...]) -> tuple[Tree, tuple[int, ...]]:
    nodes: list[list[Any]] = []
    leaves: list[float] = []
    covers: list[int] = []

    def walk(node: dict[str, Any]) -> int:
        if "split_feature" not in node:
            leaves.append(node["leaf_value"])
            covers.append(node["leaf_count"])
            return -len(leaves)
        assert node["decision_type"] == "<="
        # A feature that was never unknown in training: LightGBM takes a NaN for 0.
        missing = node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0.0
        feature = node["split_feature"]
        own = [feature, cuts[feature].index(node["threshold"]) + 1, missing, 0, 0]
        number = len(nodes)
        nodes.append(own)
        own[3], own[4] = walk(node["left_child"]), walk(node["right_child"])
        return number

    walk(root)
    feature, code, missing_left, left, right = zip(*nodes, strict=True) if nodes else ((),) * 5
    return Tree(feature, code, missing_left, left, right, tuple(leaves)), tuple(covers)


def take_turns(sides: dict[str, Side]) -> dict[str, float]:
    """Give the microseconds of processor time a row of each side in its best round."""
    best = dict.fromkeys(sides, float("inf"))
    for _ in range(ROUNDS):
        for name, (score, given) in sides.items():
            begin = process_time()
            for row in given:
                score(row)
            best[name] = min(best[name], (process_time() - begin) / len(given) * 1e6)
    return best


def agreement(booster: lightgbm.Booster, matrix: Matrix) -> dict[str, float]:
    """Give how far our log-odds and contributions of LightGBM's trees are from LightGBM's own, at the most."""
    width = matrix.shape[1]
    weights, covers = from_lightgbm(booster, width)
    theirs = np.asarray(booster.predict(matrix, pred_contrib=True))
    logits = np.asarray(booster.predict(matrix, raw_score=True))
    shapley = Shapley(weights, Background(1, (), (), covers), width)
    ours = np.array([shapley.contributions(row) for row in matrix.tolist()])
    return {
        "log-odds": float(np.abs(ensemble_logits(weights, matrix) - logits).max()),
        "contributions": float(np.abs(ours - theirs[:, :-1]).max()),
        "base": float(np.abs(shapley.base - theirs[:, -1]).max()),
        "largest contribution": float(np.abs(theirs[:, :-1]).max()),
    }


def main() -> None:
    """Learn, measure, print and, where asked, write as JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("rows", type=Path, nargs="?", help="a file of `wardstream rows`")
    arguments.add_argument("--count", type=int, default=ROWS)
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    matrix, labels = read_rows(given.rows, given.count)
    learned, told, timed = matrix[:-TIMED], labels[:-TIMED], matrix[-TIMED:]
    version = ensemble_version(learned, told)
    logistic, learner = logistic_version(learned, told)
    booster = lightgbm.train(
        {"objective": "binary", "num_leaves": LEAVES, "num_threads": 1, "verbose": -1, "seed": 1},
        lightgbm.Dataset(learned, label=told.astype(int)),
        TREES,
    )
    begin = process_time()
    scorer, small = Scorer(load(dump(version))), Scorer(logistic)
    ready_ms = (process_time() - begin) * 1e3
    rows, few = timed.tolist(), clinical(timed)
    usable = [row for row in rows if not LEARNING_INPUTS.refusal(row)]
    single = [np.array([row]) for row in rows]
    pipeline = learner.pipeline.predict_proba_one
    us = take_turns(
        {
            "wardstream, ensemble (format 3)": (lambda row: scorer.score(row, explain=False), rows),
            "wardstream, logistic (format 2)": (lambda row: small.score(row, explain=False), few),
            "LightGBM, predict of one row": (lambda row: booster.predict(row, num_threads=1), single),
            "River, scaler and logistic": (pipeline, [CLINICAL_INPUTS.dictionary(row) for row in few]),
        }
    )
    explaining = take_turns(
        {
            "wardstream, contributions": (scorer.logits, usable[:50]),
            "wardstream, in words": (lambda row: explain(scorer, row).sentences(), usable[:50]),
            "LightGBM, pred_contrib of one row": (
                lambda row: booster.predict(row, pred_contrib=True, num_threads=1), single[:50]
            ),
        }
    )  # fmt: skip
    ensemble = version.ensemble
    assert ensemble is not None and ensemble.trees is not None and ensemble.crossed is not None  # noqa: PT018
    facts: dict[str, float] = {
        "rows learned": len(learned),
        "inputs": len(LEARNING_INPUTS.names),
        "trees": len(ensemble.trees.trees),
        "pairs": len(ensemble.crossed.pairs),
        "bytes of the version": len(dump(version)),
        "load and make ready, ms": round(ready_ms, 1),
    }
    agreed = agreement(booster, timed[:100])
    print("| one row | µs |\n| --- | ---: |")
    for name, value in {**us, **explaining}.items():
        print(f"| {name} | {value:.1f} |")
    print("\n| LightGBM's trees in our format | largest difference |\n| --- | ---: |")
    for name, value in agreed.items():
        print(f"| {name} | {value:.2g} |")
    print("\n".join(f"{name}: {value:,g}" for name, value in facts.items()))
    first = us["wardstream, ensemble (format 3)"]
    print(f"targets: {first:.1f} of {TARGET_US:g} µs a row, {facts['bytes of the version']:,g} of {BYTES_MAX:,} bytes")
    if given.json:
        given.json.write_text(json.dumps({"us": us, "explaining_us": explaining, "agreement": agreed, **facts}) + "\n")


if __name__ == "__main__":
    main()
