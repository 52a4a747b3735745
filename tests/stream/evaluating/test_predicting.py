"""Predictions: asked before told, and an outsider's laid onto the same rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from events import MILLIS_PER_HOUR
from models.inputs import CLINICAL_INPUTS
from models.learners.factory import from_bytes
from stream.cli import evaluate as evaluate_command
from stream.evaluating.contenders import LEARNERS, STOCK, TITLES, maker_of, rule_totals
from stream.evaluating.parts import Parts
from stream.evaluating.predicting import PredictionsError, predicted, read_predictions
from stream.evaluating.scores import ROWS, Labels, RowWriter, read_columns
from stream.evaluating.stays import Stay

HOUR = MILLIS_PER_HOUR
WIDTH = len(CLINICAL_INPUTS.names)


def parts_of(folder: Path, rows: int) -> Parts:
    """Write rows of two patients in turn, an hour apart; a row's inputs are all its number."""
    parts = Parts(folder, "0" * 64)
    with parts.making(ROWS) as path:
        writer = RowWriter(path, CLINICAL_INPUTS.names)
        for row in range(rows):
            writer.add(row, [float(row)] * WIDTH, row * HOUR, Stay(number=row % 2, patient=row % 2), None)
        writer.close()
    return parts


class Diary:
    """A contender that writes down in which order it was asked and told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def ask(self, matrix) -> tuple[np.ndarray, np.ndarray]:  # noqa: D102
        self.lines += [f"ask {vector[0]:.0f}" for vector in matrix]
        return np.full(len(matrix), 0.5), matrix[:, 0] / 10

    def tell(self, matrix, labels, notes) -> list[str]:  # noqa: D102
        rows = list(zip(matrix[:, 0], labels, notes, strict=True))
        self.lines += [f"tell {row:.0f} {label:d} {note:.1f}" for row, label, note in rows]
        return ["not_finite" if row == 1 else "" for row, _, _ in rows]

    def keep(self) -> None:
        """Nothing: this one is never killed."""

    def go_on(self, kept: bytes) -> None:
        """Never called, for nothing is kept."""


LABELS = Labels(
    row=np.array([1, 0, 3]),
    label=np.array([True, False, False]),
    matured_at=np.array([2, 3, 4]) * HOUR,
    after_action=np.array([False, False, True]),
    before_row=np.array([2, 4, 5]),
)


def ask_all(parts: Parts, rows: int, **how) -> tuple[list[str], dict[str, int]]:
    diaries: list[Diary] = []

    def make(_names: object) -> Diary:
        diaries.append(Diary())
        return diaries[-1]

    _, found = predicted(parts, "diary", make, LABELS, rows, **how)
    return diaries[0].lines, found.refused


def test_a_row_is_asked_before_anything_that_matured_later_is_told(tmp_path):
    """Each label is told when it had matured: before the row it says, with what was noted of its own row."""
    lines, refused = ask_all(parts_of(tmp_path, 5), 5)
    assert lines == ["ask 0", "ask 1", "tell 1 1 0.1", "ask 2", "ask 3", "tell 0 0 0.0", "ask 4", "tell 3 0 0.3"]
    assert refused == {"not_finite": 1}


def test_the_border_and_acts_end_learning_and_not_asking(tmp_path):
    """A label that matures at the border or later is told to nobody; nor, if so asked, one that an act touches."""
    lines, _ = ask_all(parts_of(tmp_path / "a", 5), 5, border=3 * HOUR)
    assert [line for line in lines if line.startswith("tell")] == ["tell 1 1 0.1"]
    lines, _ = ask_all(parts_of(tmp_path / "b", 5), 5, leave_out_acted=True)
    assert [line for line in lines if line.startswith("tell")] == ["tell 1 1 0.1", "tell 0 0 0.0"]


@pytest.mark.parametrize("columns", ["row", "patient and at", "in order"])
def test_an_outsiders_probabilities_find_their_rows(tmp_path, columns):
    """By number, by patient and time, or in order: each probability lies on the row it is of."""
    parts = parts_of(tmp_path, 6)
    order = np.arange(6) if columns == "in order" else np.array([4, 0, 5, 2])
    known = read_columns(parts, ("patient", "at"))
    keys = {
        "row": {"row": order},
        "patient and at": {name: values[order] for name, values in known.items()},
        "in order": {},
    }[columns]
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({**keys, "probability": order / 10}), path)
    expected = np.full(6, np.nan)
    expected[order] = order / 10
    np.testing.assert_array_equal(read_predictions(path, parts, 6), expected)


def test_a_csv_is_read_too(tmp_path):
    """The same in text, as anybody can write it."""
    path = tmp_path / "other.csv"
    path.write_text("row,probability\n2,0.25\n0,\n")
    np.testing.assert_array_equal(read_predictions(path, parts_of(tmp_path, 3), 3), [np.nan, np.nan, 0.25])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("row,p\n0,0.5\n", "no column `probability`"),
        ("row,probability\n0,1.5\n", "outside 0 to 1"),
        ("row,probability\n0,inf\n", "outside 0 to 1"),
        ("row,probability\n9,0.5\n", "does not have"),
        ("row,probability\n-1,0.5\n", "does not have"),
        ("row,probability\n0,0.5\n0,0.6\n", "two probabilities"),
        ("row,probability\n0,much\n", "wants numbers"),
        ("row,probability\nfirst,0.5\n", "whole ones"),
        ("patient,at,probability\n7,0,0.5\n", "does not have"),
        ("probability\n0.5\n", "no `row`"),
        ("", "not readable"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_words(tmp_path, text, words):
    """Each way in which a file cannot be laid onto the rows says what is wrong."""
    path = tmp_path / "other.csv"
    path.write_text(text)
    with pytest.raises(PredictionsError, match=words):
        read_predictions(path, parts_of(tmp_path, 3), 3)


def test_altered_consciousness_counts_for_qsofa_however_it_was_charted():
    """NEWS2's sub-score stands in where no Glasgow coma scale was charted; where one was, it decides."""
    nan = float("nan")
    columns = {
        "news2.total": np.array([3.0, 0.0, 3.0, nan]),
        "news2.consciousness": np.array([3.0, 0.0, 3.0, nan]),
        "gcs_total.last": np.array([nan, nan, 15.0, nan]),
        "respiration_rate.last": np.array([12.0, 12.0, 12.0, nan]),
        "systolic_bp.last": np.array([120.0, 120.0, 120.0, nan]),
        "temperature.last": np.array([nan, 37.0, 37.0, nan]),
    }
    np.testing.assert_array_equal(rule_totals(columns)["qSOFA"], [1.0, 0.0, 0.0, nan])


def test_the_command_offers_every_contender():
    """The names of --learner and --beside, which --help knows without River, are those there are; each has a title."""
    assert set(evaluate_command.LEARNERS) == set(LEARNERS)
    assert set(evaluate_command.BESIDE) == {*LEARNERS, *STOCK}
    assert {*LEARNERS, *STOCK} <= TITLES.keys()


@pytest.mark.parametrize("name", ["river-logistic", *STOCK])
def test_every_contender_learns_what_it_is_told_and_refuses_alike(name):
    """Told rows whose outcome follows their pulse, each puts the fast one higher; of nothing it says nothing."""
    names = CLINICAL_INPUTS.names
    contender = maker_of(name)(names)
    matrix = np.full((400, WIDTH), np.nan)
    matrix[:, names.index("heart_rate.last")] = np.tile([60.0, 140.0], 200)
    labels = matrix[:, names.index("heart_rate.last")] > 100
    assert contender.tell(matrix, labels, np.full(400, np.nan)) == [""] * 400
    empty, infinite = np.full(WIDTH, np.nan), matrix[0].copy()
    infinite[names.index("age_years")] = np.inf
    said, _ = contender.ask(np.array([matrix[0], matrix[1], empty, infinite]))
    assert 0 <= said[0] < said[1] <= 1
    assert np.isnan(said[2:]).all()
    assert contender.tell(np.array([empty, infinite]), np.array([True, True]), said[2:]) == [
        "no_usable_input",
        "not_finite",
    ]


@pytest.mark.parametrize("name", ["crossed-boosted", "boosting", "crossed-logistic"])
def test_a_contender_of_ours_says_what_its_learner_says(name):
    """Its answers are its learner's to the last bit, and its notes the log-odds before calibration, of all or none."""
    names = CLINICAL_INPUTS.names
    contender = maker_of(name)(names)
    matrix = np.random.default_rng(5).normal(60.0, 20.0, (1_200, WIDTH))
    contender.tell(matrix[:1_000], matrix[:1_000, 0] > 70, np.full(1_000, np.nan))
    learner = from_bytes(contender.keep())
    asked = matrix[1_000:]
    asked[3] = np.nan
    said, notes = contender.ask(asked)
    assert said.tobytes() == learner.predict_proba_many(asked).tobytes()
    known = ~np.isnan(said)
    assert not known[3]
    assert known.sum() == len(asked) - 1
    if name == "crossed-boosted":
        assert notes[known].tobytes() == learner.raw_logits(asked[known]).tobytes()
        assert np.isnan(notes[3])
    else:
        assert np.isnan(notes).all()
