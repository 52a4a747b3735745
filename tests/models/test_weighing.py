"""Evidence from rows: the figures are those of the metrics, the digest is the rows', and what cannot be is refused."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np
import pytest

from models.evidence import Evidence, EvidenceError, dump_evidence, evidence_digest, load_evidence
from models.figures.discrimination import auroc
from models.weighing import Levels, digest_of, weigh
from tests.models.change_cases import LEVELS, cohort, weighed

HOUR = 3_600_000


def test_figures_are_of_the_rows() -> None:
    """AUROC, counts, alerts and flips are what a plain count over the same rows gives."""
    rows = cohort(patients=120, seed=1)
    found = weighed(rows)
    assert found.auroc.challenger == auroc(rows.labels, rows.challenger)
    assert found.auroc.low <= found.auroc.difference <= found.auroc.high
    assert (found.rows, found.positives) == (len(rows.labels), int(rows.labels.sum()))
    assert found.positive_patients == len({int(one) for one in rows.patients[rows.labels]})
    raised = 0
    standing: dict[int, bool] = {}
    for patient, score in zip(rows.patients.tolist(), rows.challenger.tolist(), strict=True):
        on = standing.get(patient, False)
        raised += score >= LEVELS.raise_at and not on
        standing[patient] = score >= (LEVELS.clear_at if on else LEVELS.raise_at)
    days = len(rows.labels) / 24
    assert found.alerts_per_patient_day == pytest.approx(raised / days)


def test_a_version_beside_itself_differs_in_nothing() -> None:
    """Where both scores are one, every difference and its interval are 0, and nothing flips."""
    rows = cohort(patients=80, seed=2)
    found = weighed(msgspec.structs.replace(rows, challenger=rows.champion))
    for pair in (found.auroc, found.average_precision, *(one.sensitivity for one in found.subgroups)):
        assert pair is not None
        assert (pair.difference, pair.low, pair.high) == (0, 0, 0)
    assert found.flips == 0


def test_the_same_rows_give_the_same_evidence_and_one_label_another_digest() -> None:
    """Evidence is a function of rows and seed; its data digest changes with any label."""
    rows = cohort(patients=60, seed=3)
    assert dump_evidence(weighed(rows)) == dump_evidence(weighed(rows))
    labels = rows.labels.copy()
    labels[5] = not labels[5]
    assert weighed(msgspec.structs.replace(rows, labels=labels)).data_digest != weighed(rows).data_digest
    assert digest_of(rows.labels, rows.patients, rows.at, rows.matured_at) == weighed(rows).data_digest


def test_stretches_are_all_of_the_rows_in_the_order_of_their_labels() -> None:
    """The stretches partition the rows, the earlier labels first."""
    found = weighed(cohort(patients=200, seed=4)).stretches
    assert len(found) > 1
    assert all(one.last_matured <= other.first_matured for one, other in pairwise(found))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": np.zeros(60 * 24, dtype=bool)}, "nothing can be said"),
        ({"challenger": np.full(60 * 24, np.nan)}, "not finite"),
        ({"challenger": np.full(60 * 24, 1.5)}, "outside"),
        ({"champion": np.full(3, 0.5)}, "beside"),
        ({"patients": np.zeros(3, dtype=np.int64)}, "beside"),
        ({"subgroups": {"sex": ["F"]}}, "groups of sex"),
        ({"subgroups": {"bed": [str(n) for n in range(60 * 24)]}}, "subgroups, more than"),
    ],
)
def test_rows_that_cannot_be_weighed_are_refused(change: dict[str, object], said: str) -> None:
    """One class only, scores that are none and columns that do not fit are named, not worked around."""
    with pytest.raises(EvidenceError, match=said):
        weighed(msgspec.structs.replace(cohort(patients=60, seed=5), **change))


def test_news2_is_weighed_by_its_own_levels() -> None:
    """A champion whose scores are totals has no calibration and alerts at its own level."""
    rows = cohort(patients=60, seed=6)
    totals = np.minimum(np.round(rows.champion * 40), 20.0)
    found = weigh(
        msgspec.structs.replace(rows, champion=totals),
        champion="news2",
        challenger="b" * 12,
        levels=LEVELS,
        champion_levels=Levels(5, 5),
        source="made",
        usual_rate=0.02,
    )
    assert found.champion_calibration is None
    assert found.champion_alerts_per_patient_day > 0


def test_evidence_survives_its_file_and_is_found_in_an_evaluation() -> None:
    """What is written is read back with the same name, by itself or under `change_control`."""
    found = weighed(cohort(patients=60, seed=7))
    assert load_evidence(dump_evidence(found)) == found
    within = b'{"auroc": 1, "change_control": ' + dump_evidence(found) + b"}"
    assert evidence_digest(load_evidence(within)) == evidence_digest(found)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2}, {"positives": 0}, {"positive_patients": 10**9}, {"first_matured": -1}, {"raise_at": 1.5},
        {"clear_at": 0.9}, {"flips": 1.1}, {"usual_rate": -0.1}, {"alerts_per_patient_day": -1.0}, {"rows": 10**9},
    ],
    ids=str,
)  # fmt: skip
def test_impossible_evidence_is_refused(change: dict[str, object]) -> None:
    """A document whose figures cannot be is no evidence."""
    found: Evidence = msgspec.structs.replace(weighed(cohort(patients=60, seed=8)), **change)
    with pytest.raises(EvidenceError, match="impossible"):
        load_evidence(dump_evidence(found))


def test_a_file_that_is_none_is_refused() -> None:
    """No JSON, too long, and numbers beyond all floats."""
    good = dump_evidence(weighed(cohort(patients=60, seed=9)))
    for data in (
        b"",
        b"{",
        b"[" * 100_000,
        b"{}",
        b" " * (1024 * 1024 + 1),
        good.replace(b'"flips":0.', b'"flips":1e999'),
    ):
        with pytest.raises(EvidenceError):
            load_evidence(data)


def test_rows_given_twice_are_no_more_evidence() -> None:
    """A file joined to itself is refused: its rows would pass for enough."""
    rows = cohort(patients=60, seed=10)
    columns = {name: np.tile(getattr(rows, name), 2) for name in ("labels", "champion", "challenger", "patients", "at")}
    twice = msgspec.structs.replace(rows, **columns, matured_at=np.tile(rows.matured_at, 2), subgroups={})
    with pytest.raises(EvidenceError, match="given twice"):
        weighed(twice)


def test_evidence_that_contradicts_itself_is_refused() -> None:
    """One draw, no digest, more skill than there is, and stretches from before the evidence."""
    found = weighed(cohort(patients=60, seed=11))
    early = tuple(msgspec.structs.replace(one, first_matured=1) for one in found.stretches)
    skilled = msgspec.structs.replace(found.calibration, brier_skill=5.0)
    for change in ({"rounds": 1}, {"data_digest": "x"}, {"calibration": skilled}, {"stretches": early}):
        with pytest.raises(EvidenceError, match="impossible"):
            load_evidence(dump_evidence(msgspec.structs.replace(found, **change)))
