"""Passes of learners over rows: one pass in order of maturing with the true delay, and the batch model beside them.

Owns the order of predicting and learning, what is measured on the way, and LightGBM's settings. Must not know a figure.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from learning_rows import Bools, Floats, Rows

from events import MILLIS_PER_HOUR
from models.learners.classifier import Classifier, refusals_of

CHUNK = 4_096
LIGHTGBM = {
    "objective": "binary", "num_leaves": 15, "learning_rate": 0.05, "min_child_samples": 200, "feature_fraction": 0.3,
    "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 20.0, "max_bin": 63, "num_threads": 1, "verbose": -1,
    "seed": 1,
}  # fmt: skip
"""The best of four settings on the third quarter of hospital A's stays, learned on the first half."""
LIGHTGBM_TREES = 150

Told = Callable[[int], None]


class Pass(NamedTuple):
    """One pass: what was said of each row at its time (NaN where it was not asked), and what it cost."""

    said: Floats
    raw: Floats
    """The log-odds before calibration; NaN where the learner has none."""
    learned: int
    learn_s: float
    longest_growth_s: float
    predicted: int
    predict_s: float


def run(learner: Classifier, rows: Rows, learns: Bools, asks: Bools, told: Told) -> Pass:
    """Learn and predict hour by hour: a row is told by what had matured before its hour, and learned when it matures.

    CPU seconds of this process; `told` hears of rows as they are learned.
    """
    to_learn = np.flatnonzero(learns)
    to_learn = to_learn[np.lexsort((rows.stay[to_learn], rows.at[to_learn], rows.matured_at[to_learn]))]
    to_ask = np.flatnonzero(asks)
    to_ask = to_ask[np.argsort(rows.at[to_ask], kind="stable")]
    said, raw = np.full(len(rows.labels), np.nan), np.full(len(rows.labels), np.nan)
    matured, asked = rows.matured_at[to_learn], rows.at[to_ask]
    begun_learning = begun_asking = 0
    learn_s = predict_s = longest = 0.0
    first, last = min(rows.at), max(rows.matured_at) + MILLIS_PER_HOUR
    for hour in range(int(first), int(last) + MILLIS_PER_HOUR, MILLIS_PER_HOUR):
        end = int(np.searchsorted(matured, hour, side="right"))
        if end > begun_learning:
            part = to_learn[begun_learning:end]
            began = time.process_time()
            longest = max(longest, _learn(learner, rows, part, raw[part]))
            learn_s += time.process_time() - began
            told(len(part))
            begun_learning = end
        until = int(np.searchsorted(asked, hour + MILLIS_PER_HOUR, side="left"))
        if until > begun_asking:
            part = to_ask[begun_asking:until]
            began = time.process_time()
            said[part], raw[part] = _ask(learner, rows, part)
            predict_s += time.process_time() - began
            begun_asking = until
    return Pass(said, raw, begun_learning, learn_s, longest, begun_asking, predict_s)


def _learn(learner: Classifier, rows: Rows, part: Any, raw: Floats) -> float:
    """Learn rows in their order; give the seconds of the longest growth."""
    learner.grow()
    longest = 0.0
    for start in range(0, len(part), CHUNK):
        some = part[start : start + CHUNK]
        began = time.process_time()
        learner.learn_many(rows.matrix[some].astype(np.float64), rows.labels[some], raw[start : start + CHUNK])
        longest = max(longest, time.process_time() - began)
    return longest


def _ask(learner: Any, rows: Rows, part: Any) -> tuple[Floats, Floats]:
    """Give probabilities, and the log-odds before calibration where the learner has any."""
    matrix = rows.matrix[part].astype(np.float64)
    if not hasattr(learner, "raw_logits"):
        return learner.predict_proba_many(matrix), np.full(len(part), np.nan)
    usable = np.array([not refusal for refusal in refusals_of(rows.inputs, matrix)], dtype=bool)
    raw = np.full(len(part), np.nan)
    raw[usable] = learner.raw_logits(matrix[usable])
    return learner.mended(raw), raw


def ask_frozen(learner: Classifier, rows: Rows) -> Floats:
    """Give what a learner says of rows now, without learning."""
    said = [
        learner.predict_proba_many(rows.matrix[start : start + CHUNK].astype(np.float64))
        for start in range(0, len(rows.labels), CHUNK)
    ]
    return np.concatenate(said)


def batch(rows: Rows) -> Callable[[Rows], Floats]:
    """Train LightGBM on all rows at once; gives its probabilities for others."""
    import lightgbm

    model = lightgbm.train(dict(LIGHTGBM), lightgbm.Dataset(rows.matrix, rows.labels), LIGHTGBM_TREES)
    return lambda others: np.asarray(model.predict(others.matrix), dtype=np.float64)


def run_refitted(old: Rows, new: Rows, every_stays: int, told: Told) -> Floats:
    """Refit LightGBM whenever so many more stays of the new stream have begun, on all rows matured until then."""
    starts = np.array([new.at[new.stay == stay].min() for stay in np.unique(new.stay)])
    edges = [int(edge) for edge in np.sort(starts)[every_stays::every_stays]]
    said = np.full(len(new.labels), np.nan)
    predict = batch(old)
    for begin, end in zip((int(new.at.min()), *edges), (*edges, int(new.at.max()) + 1), strict=True):
        if begin != int(new.at.min()):
            matured = new.matured_at <= begin
            both = [np.concatenate((getattr(old, name), getattr(new, name)[matured])) for name in ("matrix", "labels")]
            predict = batch(old._replace(matrix=both[0], labels=both[1]))
        asked = (new.at >= begin) & (new.at < end)
        said[asked] = predict(new.only(asked))
        told(int(asked.sum()))
    return said
