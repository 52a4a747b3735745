"""Rows as arrays: the challenge's hours are the data set's own, and rows are chosen by patient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from connectors.datasets.physionet2019 import COLUMNS, HEADER
from models.figures.challenge_utility import challenge_utility
from stream.cli.options import make_release
from stream.cli.replay import merge_sources, open_sources
from stream.evaluating.evaluation import record
from stream.evaluating.parts import Parts
from stream.evaluating.scored_set import SILENT, ScoredSet, choose, covered, hours_of, read_scored
from stream.outcomes import OutcomeDefinition
from stream.replay import Replay
from stream.settings import Settings

LABEL = HEADER.index("SepsisLabel")


def stay(hours: int, septic_from: int | None, silent: tuple[int, ...] = ()) -> list[list[str]]:
    """Write the rows of a stay: a pulse each hour but the silent ones; labelled from the given hour on."""
    rows = []
    for hour in range(hours):
        pulse = "NaN" if hour in silent else str(70 + hour)
        label = "1" if septic_from is not None and hour >= septic_from else "0"
        measured = [pulse, *["NaN"] * (len(COLUMNS) - 1)]
        rows.append([*measured, "63", "1", "1", "0", "-1", str(hour + 1), label])
    return rows


STAYS = {
    "p000001": stay(30, None, silent=(0, 1, 7)),
    "p000002": stay(25, 12, silent=(11, 12, 24)),
    "p000003": stay(9, 0),
    "p000004": stay(14, 11),
}


@pytest.fixture
def run(tmp_path: Path):
    """Replay the stays and read them back."""
    folder = tmp_path / "set"
    folder.mkdir()
    for name, rows in STAYS.items():
        text = "\n".join(["|".join(HEADER), *("|".join(row) for row in rows)]) + "\n"
        (folder / f"{name}.psv").write_text(text)
    release, versions = make_release(Settings(), None, None)
    parts = Parts(tmp_path, "0" * 64)

    def replay(recorder) -> str:
        one = Replay(tmp_path / "out", release, versions, learner=recorder)
        one.messages(merge_sources(open_sources([f"physionet2019:{folder}"], Settings())))
        return one.finish(0.0).digest

    return read_scored(parts, record(parts, OutcomeDefinition(kinds=("sepsis",)), replay))


def in_file_order(run: ScoredSet) -> list[int]:
    """Give the stays' numbers in order of their admission: they are numbered by their first score."""
    return sorted(range(len(run.stays)), key=lambda number: run.stays[number].began)


def test_the_hours_and_labels_are_those_of_the_files(run):
    """Every row of a stay's file is an hour, silent ones too, with the label that the file has."""
    hours = hours_of(run, choose(run, None, "prequential"))
    for number, rows in zip(in_file_order(run), STAYS.values(), strict=True):
        ours = hours.septic[hours.stay == number]
        assert ours.tolist() == [row[LABEL] == "1" for row in rows]


def test_a_silent_hour_is_scored_by_what_was_said_last(run):
    """Hours without a message carry the newest score of their stay; before the first there is none."""
    hours = hours_of(run, choose(run, None, "prequential"))
    said = np.arange(len(run.at), dtype=np.float64)
    first = hours.scores(said)[hours.stay == in_file_order(run)[0]]
    assert first[0] == first[1] == SILENT
    assert first[7] == first[6] > SILENT
    assert (np.diff(first[2:]) >= 0).all()


def test_the_utility_of_knowing_the_labels_is_that_of_the_files(run):
    """The challenge's utility over our hours is the one over the files' own rows."""
    hours = hours_of(run, choose(run, None, "prequential"))
    truth = np.array([row[LABEL] == "1" for rows in STAYS.values() for row in rows])
    groups = np.repeat(np.arange(len(STAYS)), [len(rows) for rows in STAYS.values()])
    ours = challenge_utility(hours.septic, hours.septic, hours.stay)
    theirs = challenge_utility(truth, truth, groups)
    assert ours.normalised == pytest.approx(theirs.normalised, abs=1e-12)
    assert ours.best == pytest.approx(theirs.best, abs=1e-12)
    assert theirs.normalised > 0.4


def test_held_out_rows_are_of_patients_first_seen_after_the_border(run):
    """A patient scored before the border is in neither part after it; the two parts share nobody's labels."""
    border = run.stays[1].began + 20 * 3_600_000
    before, after = choose(run, border, "prequential"), choose(run, border, "hold-out")
    assert (run.at[before.labelled] < border).all()
    assert (run.at[after.labelled] >= border).all()
    old = set(run.patient[run.at < border].tolist())
    assert not old & set(run.patient[after.scored].tolist())
    assert not after.stays[: max(old) + 1].any()


def test_a_model_from_outside_is_measured_on_the_stays_it_was_asked_of(run):
    """Stays it says nothing of are left out for all, with labels, alerts and hours; unsaid hours of the others stay."""
    seen = in_file_order(run)[1]
    scores = np.where(run.stay == seen, 0.5, np.nan)
    scores[np.flatnonzero(run.stay == seen)[0]] = np.nan
    whole = choose(run, None, "prequential")
    kept = covered(run, whole, [scores])
    np.testing.assert_array_equal(kept.scored, run.stay == seen)
    assert set(run.stay[kept.labelled].tolist()) == {seen}
    assert set(hours_of(run, kept).stay.tolist()) == {seen}
    assert covered(run, whole, []).labelled.tolist() == whole.labelled.tolist()
