"""The evaluation from end to end: what it was made of, what it goes on from, what it equals."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import click
import jsonschema
import numpy as np
import pyarrow.parquet as pq
import pytest

from connectors.sqlite.journal import JournalError
from connectors.sqlite.locks import lock_folder
from stream.cli.options import make_release
from stream.cli.replay import merge_sources, open_sources
from stream.cli.rows import command as rows_command
from stream.evaluating import predicting, scores
from stream.evaluating.shape import Evaluation, decode, encode, schema_text
from stream.learning import LearnerFold
from stream.outcomes import OutcomeDefinition
from stream.replay import Replay
from stream.settings import Settings
from tests.stream.evaluating.conftest import WARD

SCHEMA = Path(__file__).resolve().parents[3] / "docs" / "schemas" / "evaluation.v1.json"


def read(folder: Path) -> Evaluation:
    return decode((folder / "evaluation.json").read_bytes())


def part(folder: Path, name: str) -> Path:
    return next((folder / "parts").glob(f"*/{name}"))


def test_evaluation_json_is_read_back_whole_and_keeps_to_its_schema(evaluated):
    """What is written is what the type says: read and written again it is the same, and the published schema holds."""
    text = (evaluated / "evaluation.json").read_bytes()
    assert encode(decode(text)) == text
    assert SCHEMA.read_text(encoding="utf-8") == schema_text(), "write it anew: see docs/evaluation.md"
    jsonschema.Draft202012Validator(json.loads(schema_text())).validate(json.loads(text))


def test_the_keys_of_the_first_version_are_there(evaluated):
    """Whoever read evaluation.json before finds every key where it was."""
    found = json.loads((evaluated / "evaluation.json").read_text())
    assert {"outcomes", "horizon_h", "patients", "labels", "refused", "figures", "digest"} <= found.keys()
    assert {"learner, prequential", "NEWS2, same rows"} <= found["figures"].keys()
    assert found["digest"] == (evaluated / "digest.txt").read_text().strip()


def test_it_says_of_a_learner_what_the_live_fold_says(tmp_path, feed, evaluate):
    """Asked from the kept rows, the learner gives the very figures of the fold that learns beside the service."""
    assert evaluate("--learner", "river-logistic", "--out", tmp_path / "out") == 0
    fold = LearnerFold(OutcomeDefinition(critical_care_wards=frozenset({"Critical Care"})))
    release, versions = make_release(Settings(), None, None)
    Replay(tmp_path / "fold", release, versions, learner=fold).messages(
        merge_sources(open_sources([str(feed)], Settings()))
    )
    fold.finish()
    found = read(tmp_path / "out")
    assert found.figures["learner, prequential"] == fold.prequential.accumulator.figures()
    assert found.figures["NEWS2, same rows"] == fold.news2.figures()
    assert found.labels == fold.joiner.counts


def test_its_rows_are_those_that_the_rows_command_writes(tmp_path, feed, evaluated):
    """What a batch model learned from is laid beside by `row`: number, patient, time, label and inputs agree."""
    path = tmp_path / "rows.parquet"
    arguments = [feed, *WARD, "--out", path]
    assert not rows_command.main([str(argument) for argument in arguments], standalone_mode=False)
    theirs = pq.read_table(path).to_pydict()
    labels = pq.read_table(part(evaluated, "labels.parquet")).to_pydict()
    ours = pq.read_table(part(evaluated, "rows.parquet")).to_pydict()
    assert len(theirs["row"]) > 100
    assert sorted(theirs["row"]) == sorted(labels["row"])
    label_of = dict(zip(labels["row"], labels["label"], strict=True))
    for place, row in enumerate(theirs["row"]):
        assert (theirs["patient"][place], theirs["at"][place]) == (ours["patient"][row], ours["at"][row])
        assert theirs["label"][place] == label_of[row]
    for name in ("heart_rate.last", "lactate.age_h", "news2.total"):
        np.testing.assert_allclose(theirs[name], np.array(ours[name])[theirs["row"]], rtol=1e-6)


def test_the_same_inputs_give_the_same_bytes(tmp_path, evaluated, evaluate):
    """Two runs in two folders write the same evaluation.json and the same page."""
    assert evaluate("--beside", "river-logistic", "--out", tmp_path) == 0
    for name in ("evaluation.json", "report.html", "report.md"):
        assert (tmp_path / name).read_bytes() == (evaluated / name).read_bytes(), name


def run_until_killed(folder: Path, evaluate, after: int) -> bool:
    """Run in a child that is killed when so many parts have been put in their place; say whether it was."""
    child = os.fork()
    if child == 0:
        placed = 0
        replace = Path.replace

        def count(self: Path, target: Path) -> Path:
            nonlocal placed
            found = replace(self, target)
            placed += "parts" in target.parts
            if placed == after:
                os.kill(os.getpid(), signal.SIGKILL)
            return found

        Path.replace = count
        os._exit(evaluate("--beside", "river-logistic", "--out", folder))
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_a_run_that_is_killed_goes_on_to_the_same_bytes(tmp_path, evaluated, evaluate, monkeypatch):
    """Killed again and again, in every stage and within one, it comes to the evaluation of an undisturbed run."""
    monkeypatch.setattr(scores, "BATCH", 128)
    monkeypatch.setattr(predicting, "CHECKPOINT_ROWS", 128)
    kills, midway = 0, set()
    while run_until_killed(tmp_path, evaluate, after=3):
        kills += 1
        midway |= {path.name for path in (tmp_path / "parts").glob("*/midway-*")}
        assert kills < 40, "each run got further than the one before"
    assert kills >= 4
    assert midway == {"midway-crossed-boosted.msgpack", "midway-river-logistic.msgpack"}
    assert not list((tmp_path / "parts").glob("*/*.making"))
    for name in ("evaluation.json", "report.html"):
        assert (tmp_path / name).read_bytes() == (evaluated / name).read_bytes(), name


def test_a_second_call_replays_and_asks_nothing_again(tmp_path, evaluated, evaluate):
    """What is kept is taken up: the outputs of the replay are not written again, nor the predictions."""
    folder = tmp_path / "again"
    shutil.copytree(evaluated, folder)
    (folder / "scores.ndjson").unlink()
    predictions = part(folder, "predictions-crossed-boosted.parquet")
    before = predictions.stat().st_mtime_ns
    assert evaluate("--beside", "river-logistic", "--out", folder) == 0
    assert not (folder / "scores.ndjson").exists()
    assert predictions.stat().st_mtime_ns == before
    assert (folder / "evaluation.json").read_bytes() == (evaluated / "evaluation.json").read_bytes()


def test_an_outside_model_that_says_the_same_is_neither_better_nor_worse(tmp_path, evaluated, evaluate):
    """Laid beside for half of the stays, the report is of that half, and the paired difference is nothing at all."""
    folder = tmp_path / "beside"
    shutil.copytree(evaluated, folder)
    said = pq.read_table(part(folder, "predictions-crossed-boosted.parquet"))
    stays = pq.read_table(part(folder, "rows.parquet"), columns=["stay"]).column(0).to_numpy()
    labels = pq.read_table(part(folder, "labels.parquet")).to_pydict()
    half = stays % 2 == stays[labels["row"][labels["label"].index(True)]] % 2
    pq.write_table(said.filter(half), tmp_path / "same.parquet")
    assert evaluate("--predictions", f"theirs={tmp_path / 'same.parquet'}", "--out", folder) == 0
    found = read(folder)
    ours, theirs = found.models[0], found.models[-1]
    assert (theirs.name, theirs.kind) == ("theirs", "outside")
    assert found.stays == len(np.unique(stays[half]))
    assert theirs.discrimination == ours.discrimination
    assert (theirs.auroc_beyond.estimate, theirs.auroc_beyond.interval) == (0.0, (0.0, 0.0))
    assert found.figures == read(evaluated).figures, "of the whole run, whoever is laid beside"
    assert found.made_of_digest != read(evaluated).made_of_digest


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NEWS2={}", "taken"),
        ("river-logistic={}", "taken"),
        ("{}.csv", "no such file"),
        ("{}", "no column `probability`"),
    ],
)
def test_a_file_of_predictions_that_does_not_fit_is_wrong_usage(tmp_path, evaluated, evaluate, name, words):
    """Its name is taken, it is not there, or it holds something else: exit code 2, and what would be right."""
    folder = tmp_path / "beside"
    shutil.copytree(evaluated, folder)
    (tmp_path / "other.csv").write_text("row,p\n0,0.5\n")
    with pytest.raises(click.UsageError, match=words) as wrong:
        evaluate("--predictions", name.format(tmp_path / "other.csv"), "--out", folder)
    assert wrong.value.exit_code == 2


def test_two_evaluations_do_not_share_a_folder(tmp_path, evaluate):
    """While one works in a folder another is turned away, and touches nothing."""
    (tmp_path / "parts").mkdir()
    with lock_folder(tmp_path / "parts"), pytest.raises(JournalError, match="another process"):
        evaluate("--out", tmp_path)
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["lock"]


def test_other_inputs_make_other_parts(tmp_path, evaluated, evaluate):
    """Another horizon is another question: nothing kept for the first one answers it, and what was kept goes."""
    folder = tmp_path / "other"
    shutil.copytree(evaluated, folder)
    before = part(folder, "labels.parquet")
    assert evaluate("--horizon-h", "6", "--out", folder) == 0
    assert not before.exists()
    assert read(folder).made_of_digest != read(evaluated).made_of_digest


def test_the_source_is_named_by_its_content_and_not_by_its_name(tmp_path, feed, evaluated):
    """A file's name may name a patient: only what is in it enters the evaluation."""
    text = (evaluated / "evaluation.json").read_text() + (evaluated / "report.html").read_text()
    assert feed.name not in text
    assert str(feed.parent) not in text
    source = read(evaluated).made_of.sources[0]
    assert (source.kind, source.files, source.bytes) == ("file", 1, feed.stat().st_size)


def test_nothing_is_learned_after_the_border(tmp_path, evaluated, evaluate):
    """With a hold-out the learner says the same up to the border, and its figures are of patients first seen after."""
    found = read(evaluated)
    border = (found.began + found.ended) // 2
    instant = np.datetime64(border, "ms").astype(str) + "Z"
    assert evaluate("--hold-out-from", instant, "--out", tmp_path) == 0
    held = read(tmp_path)
    assert held.part == "hold-out"
    assert held.began >= border
    assert held.figures["learner, hold-out"].rows == held.models[0].discrimination.rows
    assert held.limits is not None
    labels = pq.read_table(part(tmp_path, "labels.parquet")).to_pydict()
    first_unlearned = min(
        before for before, matured in zip(labels["before_row"], labels["matured_at"], strict=True) if matured >= border
    )
    ours, whole = (
        pq.read_table(part(folder, name), columns=["probability"]).column(0).to_numpy()
        for folder, name in (
            (tmp_path, f"predictions-crossed-boosted-until-{border}.parquet"),
            (evaluated, "predictions-crossed-boosted.parquet"),
        )
    )
    np.testing.assert_array_equal(ours[:first_unlearned], whole[:first_unlearned])
    assert (ours[first_unlearned:] != whole[first_unlearned:]).any()


def test_every_model_is_measured_on_the_same_rows(evaluated):
    """Rules, the version that ran and the learners have as many rows and outcomes; only models promise."""
    models = read(evaluated).models
    assert [model.name for model in models] == [
        "crossed-boosted",
        "NEWS2",
        "river-logistic",
        "qSOFA",
        "SIRS",
        "champion",
    ]
    assert len({(m.discrimination.rows, m.discrimination.positives, m.discrimination.stays) for m in models}) == 1
    assert all((model.calibration is None) == (model.kind == "rule") for model in models)
    assert models[0].auroc_beyond is None
    gap = models[0].discrimination.auroc.value - models[1].discrimination.auroc.value
    assert models[1].auroc_beyond.estimate == pytest.approx(gap, abs=1e-12)
