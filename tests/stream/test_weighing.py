"""Weighing two versions on a file of rows: what is left out, what each is judged by, and files that are none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from models.evidence import EvidenceError
from models.scorer import Scorer
from models.version import ModelVersion
from models.weighing import Levels
from stream.cli.evidence_file import read_evidence, signer_of_evidence
from stream.settings import ConfigurationError, Settings
from stream.weighing import RowsError, weigh_file
from tests.models.change_cases import HOUR, START
from tests.stream.signed_cases import OFFICER_KEY, Log
from tests.stream.test_promotion_cli import ensemble, kept

ROWS = 2_000
LEVELS = Levels(0.1, 0.07)
LEARNED = START + 500 * HOUR
Drop = Callable[[dict[str, Any]], None]


def columns(version: ModelVersion) -> dict[str, Any]:
    """Make training rows: two hours apart, known twelve hours later; the first 490 of them were learned."""
    draw = np.random.default_rng(3)
    found: dict[str, Any] = {name: draw.normal(80, 10, ROWS).astype(np.float32) for name in version.inputs.names}
    at = START + np.arange(ROWS) * HOUR
    labels = draw.random(ROWS) < 0.1
    found |= {
        "label": labels, "at": at, "matured_at": at + 12 * HOUR, "patient": (np.arange(ROWS) // 10).astype(np.int32),
        "news2_total": (3.0 * labels + draw.integers(0, 4, ROWS)).astype(np.float32), "age_years": np.full(ROWS, 70.0),
        "sex": np.where(np.arange(ROWS) % 20 < 10, "F", "M"), "ethnicity": np.full(ROWS, ""),
        "ward_type": np.full(ROWS, "medical"), "unit_of_origin": np.full(ROWS, "ED"),
    }  # fmt: skip
    return found


def written(path: Path, found: dict[str, Any]) -> Path:
    """Write rows as `wardstream rows` does."""
    table = pa.table({name: pa.array(column) for name, column in found.items()})
    parquet.write_table(table.replace_schema_metadata({"source": "made"}), path)
    return path


@pytest.fixture
def versions(shipped: ModelVersion) -> tuple[ModelVersion, ModelVersion]:
    """Give a champion and a challenger that learned until a known time."""
    return ensemble(shipped, -3.0), ensemble(shipped, -2.0, learned_until=LEARNED)


def test_rows_that_the_challenger_may_have_learned_are_left_out(
    versions: tuple[ModelVersion, ModelVersion], tmp_path: Path
) -> None:
    """Only rows whose label was known after the last one learned are weighed; the rest is counted."""
    champion, challenger = versions
    found = weigh_file(written(tmp_path / "r.parquet", columns(challenger)), challenger, champion, LEVELS)
    assert (found.learned, found.unusable) == (489, 0)
    assert found.evidence.first_matured == LEARNED + HOUR
    assert found.evidence.rows == ROWS - 489
    assert found.evidence.source == "made"
    assert {one.dimension for one in found.evidence.subgroups} == {
        "age_band", "sex", "ethnicity", "ward_type", "unit_of_origin",
    }  # fmt: skip


def test_each_version_is_judged_by_what_its_scorer_says(
    versions: tuple[ModelVersion, ModelVersion], tmp_path: Path
) -> None:
    """The challenger is above the level and the champion below it, as their scorers say: everything flips."""
    champion, challenger = versions
    found = weigh_file(written(tmp_path / "r.parquet", columns(challenger)), challenger, champion, LEVELS).evidence
    row = [80.0] * len(champion.inputs.names)
    assert Scorer(champion).probability(row) < LEVELS.clear_at < LEVELS.raise_at < Scorer(challenger).probability(row)
    assert (found.flips, found.champion_alerts_per_patient_day) == (1.0, 0.0)


def test_without_a_champion_it_is_weighed_beside_news2(
    versions: tuple[ModelVersion, ModelVersion], tmp_path: Path
) -> None:
    """NEWS2's totals rank the rows, at its own level."""
    _, challenger = versions
    found = weigh_file(written(tmp_path / "r.parquet", columns(challenger)), challenger, None, LEVELS).evidence
    assert found.champion == "news2"
    assert found.auroc.champion > 0.8
    assert found.auroc.challenger == 0.5
    assert found.champion_calibration is None


@pytest.mark.parametrize(
    ("drop", "said"),
    [
        (lambda found: found.pop("label"), "lacks 1 columns, such as label"),
        (lambda found: found.update(label=np.zeros(ROWS, dtype=bool)), "nothing can be said"),
        (lambda found: found.update(matured_at=found["at"] * 0), "nothing can be said"),
    ],
)
def test_rows_that_cannot_serve_are_refused_in_words(
    versions: tuple[ModelVersion, ModelVersion], tmp_path: Path, drop: Drop, said: str
) -> None:
    """A column that is missing, no positive row, and nothing that is new: named."""
    found = columns(versions[1])
    drop(found)
    with pytest.raises((RowsError, EvidenceError), match=said):
        weigh_file(written(tmp_path / "r.parquet", found), versions[1], versions[0], LEVELS)


def test_a_version_of_unknown_learning_and_a_file_that_is_none_are_refused(
    shipped: ModelVersion, versions: tuple[ModelVersion, ModelVersion], tmp_path: Path
) -> None:
    """Where nobody knows what a version learned, no row is surely new to it."""
    path = tmp_path / "r.parquet"
    path.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(RowsError, match="no Parquet file"):
        weigh_file(path, versions[1], None, LEVELS)
    with pytest.raises(EvidenceError, match="up to when it learned"):
        weigh_file(path, shipped, None, LEVELS)


def test_the_command_writes_what_propose_reads(
    cli: Any, versions: tuple[ModelVersion, ModelVersion], tmp_path: Path
) -> None:
    """The file is evidence on the two versions; what cannot be weighed ends with 2 and writes nothing."""
    for one in versions:
        kept(tmp_path / "models", one)
    rows = written(tmp_path / "r.parquet", columns(versions[1]))
    out = tmp_path / "e.json"
    place = ("--rows", rows, "--models-dir", tmp_path / "models", "--out", out)
    done = cli("models", "weigh", versions[1].version, "--champion", versions[0].version, *place)
    assert done.code == 0, done.err
    assert "left out 489" in done.out
    assert json.loads(out.read_text())["challenger"] == versions[1].version
    out.unlink()
    assert cli("models", "weigh", "a60d", *place).code == 2
    assert not out.exists()


def test_evidence_is_signed_beside_its_file(
    cli: Any, versions: tuple[ModelVersion, ModelVersion], tmp_path: Path
) -> None:
    """With --key the signature is on the figures; weighed anew without one, the former signature is gone."""
    for one in versions:
        kept(tmp_path / "models", one)
    (tmp_path / "key.pem").write_bytes(OFFICER_KEY.private_pem)
    rows, out = written(tmp_path / "r.parquet", columns(versions[1])), tmp_path / "e.json"
    weigh = (
        "models", "weigh", versions[1].version, "--champion", versions[0].version,
        "--rows", rows, "--models-dir", tmp_path / "models", "--out", out,
    )  # fmt: skip
    log = Log()
    assert cli(*weigh, "--key", tmp_path / "key.pem").code == 0
    assert signer_of_evidence(out, read_evidence(out), log.decisions) == "officer"
    assert cli(*weigh).code == 0
    with pytest.raises(ConfigurationError, match=r"there is no e\.json\.sig"):
        signer_of_evidence(out, read_evidence(out), log.decisions)
    assert signer_of_evidence(out, read_evidence(out), Log(Settings()).decisions) == ""
    out.unlink()
    (tmp_path / "key.pem").write_text("no key")
    assert cli(*weigh, "--key", tmp_path / "key.pem").code == 2
    assert not out.exists()
