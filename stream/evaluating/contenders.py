"""What is laid side by side: our learners, River's models as they come, and the bedside rules.

Owns the names of all of them and how each is made. Must not know labels' order or files. A contender is asked for every
score, and told an outcome when it is known; a rule is a function of the row and is never told anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import isfinite, nan
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.inputs import CLINICAL_INPUTS, LEARNING_INPUTS
from models.learners import factory
from models.learners.classifier import Classifier, refusals_of
from models.learners.ensemble import CrossedBoosted
from models.qsofa import qsofa_totals
from models.rows import Inputs
from models.sirs import sirs_totals

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SEED = 20190101
"""Of the adaptive random forest, which draws at random."""
FOREST_TREES = 10
NEWS2_MAX = 20.0


class Contender(Protocol):
    """Something that is asked before it is told: rows of shape (rows, names), a figure a row."""

    def ask(self, matrix: Floats) -> tuple[Floats, Floats]:
        """Give the probabilities of the outcome (NaN: nothing can be said), and a note of each to be given back."""
        ...

    def tell(self, matrix: Floats, labels: Bools, notes: Floats) -> list[str]:
        """Learn labelled rows in order, with the notes of the answers to them; gives why each was refused, or ""."""
        ...

    def keep(self) -> bytes | None:
        """Give all that was learned, to go on from; None where it cannot be kept as plain numbers."""
        ...

    def go_on(self, kept: bytes) -> None:
        """Take up what `keep` gave."""
        ...


def _places(names: Sequence[str], inputs: Inputs) -> list[int] | slice:
    """Give where rows with these names have the inputs."""
    if tuple(names) == inputs.names:
        return slice(None)
    place = {name: at for at, name in enumerate(names)}
    return [place[name] for name in inputs.names]


class Ours:
    """A learner of `models.learners`, grown whenever it is due. Its notes are the log-odds before calibration."""

    def __init__(self, name: str, names: Sequence[str]) -> None:
        """Make the learner of that name; `names` are those of the rows it will be asked of."""
        short = name == "river-logistic" or len(names) == len(CLINICAL_INPUTS.names)
        inputs = CLINICAL_INPUTS if short else LEARNING_INPUTS
        self._places = _places(names, inputs)
        self._use(factory.LEARNERS[name](inputs))

    def _use(self, learner: Classifier) -> None:
        self._learner = learner
        self._mixed = learner if isinstance(learner, CrossedBoosted) else None

    def ask(self, matrix: Floats) -> tuple[Floats, Floats]:
        """Give the probabilities, NaN where a row is refused."""
        rows, nothing = matrix[:, self._places], np.full(len(matrix), np.nan)
        if self._mixed is None:
            return self._learner.predict_proba_many(rows), nothing
        said, notes = nothing, nothing.copy()
        usable = np.array([not refusal for refusal in refusals_of(self._mixed.inputs, rows)], dtype=bool)
        if usable.any():
            notes[usable] = self._mixed.raw_logits(rows[usable])
            said[usable] = self._mixed.mended(notes[usable])
        return said, notes

    def tell(self, matrix: Floats, labels: Bools, notes: Floats) -> list[str]:
        """Learn rows; gives for each the reason where it was refused."""
        return list(self._learner.learn_many(matrix[:, self._places], labels, notes))

    def keep(self) -> bytes:
        """Give its state."""
        return factory.to_bytes(self._learner)

    def go_on(self, kept: bytes) -> None:
        """Take up a state: this learner and the one it is of go on alike, bit for bit."""
        self._use(factory.from_bytes(kept))


class StockRiver:
    """A model of River's, given what is known of each row by name, and nothing else done for it.

    The rows that our learner refuses (nothing was measured, or not finite) are refused here too, so that all are asked
    of the same rows. It cannot be kept but by pickling, which nothing here does: a run that is killed asks it anew.
    """

    def __init__(self, model: Any, names: Sequence[str], inputs: Inputs = CLINICAL_INPUTS) -> None:
        """Wrap a model that has learned nothing; `names` are those of the rows it will be asked of."""
        self._model = model
        self._places = _places(names, inputs)
        self._inputs = inputs
        self._bare = Inputs(inputs.names)

    def ask(self, matrix: Floats) -> tuple[Floats, Floats]:
        """Give the probabilities; what is no probability counts as nothing said."""
        said = [self._ask(vector) for vector in matrix[:, self._places].tolist()]
        return np.clip(said, 0.0, 1.0), np.full(len(said), np.nan)

    def _ask(self, vector: Sequence[float]) -> float:
        if self._inputs.refusal(vector):
            return nan
        said = float(self._model.predict_proba_one(self._bare.dictionary(vector)).get(True, 0.0))
        return said if isfinite(said) else nan

    def tell(self, matrix: Floats, labels: Bools, notes: Floats) -> list[str]:  # noqa: ARG002 - it noted nothing
        """Learn the rows that are not refused."""
        refusals: list[str] = []
        for vector, label in zip(matrix[:, self._places].tolist(), labels.tolist(), strict=True):
            refusals.append(self._inputs.refusal(vector))
            if not refusals[-1]:
                self._model.learn_one(self._bare.dictionary(vector), label)
        return refusals

    def keep(self) -> None:
        """Nothing that could be kept as plain numbers."""

    def go_on(self, kept: bytes) -> None:  # pragma: no cover - `keep` gives nothing
        """Never called, for nothing was kept."""
        raise NotImplementedError


def _stock_logistic(names: Sequence[str]) -> Contender:
    from river import linear_model, preprocessing

    return StockRiver(preprocessing.StandardScaler() | linear_model.LogisticRegression(), names)


def _stock_tree(names: Sequence[str]) -> Contender:
    from river import tree

    return StockRiver(tree.HoeffdingTreeClassifier(), names)


def _forest(names: Sequence[str]) -> Contender:
    """Well set: majority leaves, and no detector, since rare positives look like 385 drifts (learning.md)."""
    from river import drift, forest

    still: Any = drift.NoDrift
    return StockRiver(
        forest.ARFClassifier(
            n_models=FOREST_TREES,
            leaf_prediction="mc",
            drift_detector=still(),
            warning_detector=still(),
            seed=SEED,
        ),
        names,
    )


LEARNERS: Mapping[str, Callable[[Sequence[str]], Contender]] = {name: partial(Ours, name) for name in factory.LEARNERS}
"""Ours, by the name `--learner` gives."""

STOCK: Mapping[str, Callable[[Sequence[str]], Contender]] = {
    "stock-logistic": _stock_logistic,
    "stock-hoeffding-tree": _stock_tree,
    "adaptive-random-forest": _forest,
}
"""River's, by the name `--beside` gives."""

TITLES: Mapping[str, str] = {
    "river-logistic": "logistic regression (River, guarded)",
    "crossed-boosted": "crossed logistic and boosting",
    "boosting": "incremental boosting",
    "crossed-logistic": "crossed logistic",
    "stock-logistic": "River as it comes: scaler, logistic",
    "stock-hoeffding-tree": "River as it comes: Hoeffding tree",
    "adaptive-random-forest": "River: adaptive random forest, set well",
}
"""What a reader is told each one is."""

RULES: Mapping[str, float] = {"NEWS2": NEWS2_MAX, "qSOFA": 3.0, "SIRS": 4.0}
"""The bedside rules and the highest total of each. They rank; a total is no probability."""
_RULE_FEATURES = ("respiration_rate", "systolic_bp", "gcs_total", "temperature", "heart_rate", "paco2", "white_cells")
RULE_INPUTS = (
    "news2.total",
    "news2.consciousness",
    *(f"{feature}.{statistic}" for feature in _RULE_FEATURES for statistic in ("last", "age_h")),
)
"""The columns that rules are computed from, where a run has them."""


def maker_of(name: str) -> Callable[[Sequence[str]], Contender]:
    """Give what makes a contender of that name, for rows of the given names, having learned nothing."""
    return LEARNERS.get(name) or STOCK[name]


def rule_totals(columns: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Give each rule's total by row, NaN where none of its signs was there.

    Where a site charts ACVPU and no Glasgow coma scale, NEWS2's sub-score says whether consciousness is altered.
    """
    totals = columns["news2.total"]
    of_acvpu = np.select(
        [columns["news2.consciousness"] > 0, columns["news2.consciousness"] == 0], [14.0, 15.0], np.nan
    )
    gcs = columns.get("gcs_total.last", np.full(len(totals), np.nan))
    signs = {**columns, "gcs_total.last": np.where(np.isnan(gcs), of_acvpu, gcs)}
    return {"NEWS2": totals, "qSOFA": qsofa_totals(signs), "SIRS": sirs_totals(signs)}
