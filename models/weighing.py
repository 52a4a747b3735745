"""Weighing a challenger against the champion on the same rows: from labels and two scores to evidence.

Owns how the figures of `models.evidence` come from rows. Must not know where rows come from, nor what the figures come
to. The rows are those that the challenger had not learned. That it is so can be checked: the evidence names its data by
their digest, and says when the first of their labels was known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.evidence import SUBGROUPS_MAX, Calibration, Evidence, EvidenceError, Paired, Stretch, Subgroup
from models.figures.alert_episodes import alert_episodes, observed_days
from models.figures.bootstrap import BOOTSTRAP_ROUNDS, Metric, paired_difference, ratio_interval
from models.figures.calibration import brier_parts, expected_calibration_error
from models.figures.discrimination import auroc, average_precision
from models.figures.recalibration import logistic_recalibration
from models.figures.scored_rows import Bools, Floats, Ints, beside, checked, checked_probabilities
from models.version import ModelVersion

ROWS_MAX = 20_000_000
"""Some 1 GB of columns: a year of a large hospital."""
STRETCHES_MIN, STRETCHES_MAX = 6, 48
STRETCH_PATIENTS = 20
"""Patients with the outcome that a stretch has on average, where there are enough for more than the fewest stretches:
the shorter a stretch, the more a poisoned week stands out in it."""
UNKNOWN_GROUP = "not recorded"
NEWS2_LEVEL = 5.0
"""The total at which a ward is told: the RCP's urgent response."""
NEWS2_ALONE = "news2"
"""The champion where no version is in force."""


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """Scored and matured rows, one entry a row. Times are in ms, patients are numbers."""

    labels: Bools
    champion: Floats
    """Probabilities; of NEWS2 alone its totals."""
    challenger: Floats
    patients: Ints
    at: Ints
    matured_at: Ints
    subgroups: Mapping[str, Sequence[str] | NDArray[np.str_]] = {}
    """Each row's group, by dimension; empty where it is not recorded."""


class Levels(msgspec.Struct, frozen=True):
    """Where an alert is raised and let go."""

    raise_at: float
    clear_at: float


def weigh_versions(
    rows: Rows, champion: ModelVersion | None, challenger: ModelVersion, levels: Levels, source: str
) -> Evidence:
    """Give the evidence on a version beside the champion, or beside NEWS2's totals where there is none.

    The one road from rows to evidence: a file's (stream/weighing.py) and the contest's beside the champion
    (stream/live/contest.py). Raises `EvidenceError` as `weigh` does.
    """
    usual = challenger if champion is None else champion
    return weigh(
        rows,
        champion=NEWS2_ALONE if champion is None else champion.version,
        challenger=challenger.version,
        levels=levels,
        champion_levels=Levels(NEWS2_LEVEL, NEWS2_LEVEL) if champion is None else None,
        source=source,
        usual_rate=usual.lineage.positives / usual.lineage.rows if usual.lineage.rows else 0.0,
        usual_auroc=None if champion is None else champion.lineage.evaluation.get("auroc"),
    )


def weigh(
    rows: Rows,
    *,
    champion: str,
    challenger: str,
    levels: Levels,
    champion_levels: Levels | None = None,
    source: str,
    usual_rate: float,
    usual_auroc: float | None = None,
    rounds: int = BOOTSTRAP_ROUNDS,
    seed: int = 7,
) -> Evidence:
    """Give the evidence on a challenger. `champion_levels` only where its scores are no probabilities (NEWS2: 5, 5).

    Differences are drawn by patient, both versions on the same draws. Raises `EvidenceError` where the rows cannot be
    weighed: one class only, too many, columns of unequal length, a score that is not finite.
    """
    try:
        labels, scores = checked_probabilities(rows.labels, rows.challenger)
        _, former = checked(labels, rows.champion)
        patients, at, matured = (
            beside(len(labels), column, name)
            for column, name in ((rows.patients, "patients"), (rows.at, "times"), (rows.matured_at, "times"))
        )
    except ValueError as error:
        raise EvidenceError(str(error)) from None
    if not 0 < int(labels.sum()) < len(labels) <= ROWS_MAX:
        raise EvidenceError(f"{int(labels.sum())} of {len(labels)} rows are positive: nothing can be said of them")
    once = np.rec.fromarrays((patients, at, former, scores))
    if len(np.unique(once)) < len(labels):
        raise EvidenceError("a row is given twice, by patient, time and both scores: it would count as more evidence")
    beside_levels = champion_levels or levels
    draw = _Drawing(labels, former, scores, patients, rounds, seed)
    days = max(observed_days(patients, at), 1e-9)
    episodes = alert_episodes(scores, patients, at, levels.raise_at, levels.clear_at)
    others = alert_episodes(former, patients, at, beside_levels.raise_at, beside_levels.clear_at)
    return Evidence(
        champion=champion,
        challenger=challenger,
        source=source,
        data_digest=digest_of(labels, patients, at, matured),
        first_time=int(at.min()),
        last_time=int(at.max()),
        first_matured=int(matured.min()),
        rows=len(labels),
        positives=int(labels.sum()),
        patients=len(np.unique(patients)),
        positive_patients=len(np.unique(patients[labels])),
        raise_at=levels.raise_at,
        clear_at=levels.clear_at,
        auroc=draw.paired(auroc),
        average_precision=draw.paired(average_precision),
        champion_calibration=None if champion_levels else _calibration(labels, former),
        calibration=_calibration(labels, scores),
        champion_alerts_per_patient_day=len(others.started_at) / days,
        alerts_per_patient_day=len(episodes.started_at) / days,
        flips=float(np.mean(episodes.standing != others.standing)),
        subgroups=_subgroups(draw, former >= beside_levels.raise_at, scores >= levels.raise_at, rows.subgroups),
        stretches=_stretches(labels, former, patients, matured),
        usual_rate=usual_rate,
        usual_auroc=usual_auroc,
        rounds=rounds,
        seed=seed,
    )


def digest_of(labels: Bools, patients: Ints, at: Ints, matured_at: Ints) -> str:
    """Name rows with their labels, in their order: SHA-256 in hexadecimal."""
    digest = sha256()
    for column in (labels.astype(np.uint8), patients, at, matured_at):
        digest.update(np.ascontiguousarray(column.astype("<i8")).tobytes())
    return digest.hexdigest()


class _Drawing:
    """Two scores on the same rows, and intervals of their difference that draw whole patients, each from one seed."""

    def __init__(
        self, labels: Bools, champion: Floats, challenger: Floats, patients: Ints, rounds: int, seed: int
    ) -> None:
        self.labels, self.patients = labels, patients
        self._champion, self._challenger = champion, challenger
        self._rounds, self._seed = rounds, seed

    def paired(self, metric: Metric) -> Paired:
        """Give a figure of both."""
        generator = np.random.default_rng(self._seed)
        one, other = metric(self.labels, self._champion), metric(self.labels, self._challenger)
        found = paired_difference(
            metric, self.labels, self._challenger, self._champion, self.patients, generator, self._rounds
        )
        if found is None or found.interval is None or one is None or other is None:
            raise EvidenceError("too few patients with the outcome to draw an interval from")
        low, high = found.interval
        return Paired(one, other, found.estimate, float(low), float(high))

    def sensitivity(self, champion: Bools, challenger: Bools, where: Bools) -> Paired | None:
        """Give the sensitivity of both by row, over the positive rows of a group."""
        chosen = where & self.labels
        if not chosen.any():
            return None
        generator = np.random.default_rng(self._seed)
        here, there = challenger[chosen].astype(np.float64), champion[chosen].astype(np.float64)
        ends = ratio_interval(here - there, np.ones(len(here)), self.patients[chosen], generator, self._rounds)
        if ends is None:
            return None
        one, other = float(there.mean()), float(here.mean())
        return Paired(one, other, other - one, float(ends[0]), float(ends[1]))


def _calibration(labels: Bools, probabilities: Floats) -> Calibration:
    line = logistic_recalibration(labels, probabilities)
    parts, error = brier_parts(labels, probabilities), expected_calibration_error(labels, probabilities)
    if line is None or parts is None or parts.skill is None or error is None:
        raise EvidenceError("the calibration is undefined on these rows")
    # A score without any spread, or one that parts the classes, has no slope: 0 is outside every bound.
    return Calibration(line.slope if line.slope is not None else 0.0, error, parts.skill)


def _subgroups(
    draw: _Drawing,
    champion: Bools,
    challenger: Bools,
    dimensions: Mapping[str, Sequence[str] | NDArray[np.str_]],
) -> tuple[Subgroup, ...]:
    found: list[Subgroup] = []
    for dimension in sorted(dimensions):
        named = np.asarray(dimensions[dimension], dtype=np.str_)
        if named.shape != draw.labels.shape:
            raise EvidenceError(f"{len(named)} groups of {dimension} beside {len(draw.labels)} rows")
        for group in np.unique(named):
            where = named == group
            positive = len(np.unique(draw.patients[where & draw.labels]))
            pair = draw.sensitivity(champion, challenger, where)
            found.append(Subgroup(dimension, str(group) or UNKNOWN_GROUP, int(where.sum()), positive, pair))
    if len(found) > SUBGROUPS_MAX:
        raise EvidenceError(f"{len(found)} subgroups, more than {SUBGROUPS_MAX}: name fewer dimensions")
    return tuple(found)


def _stretches(labels: Bools, champion: Floats, patients: Ints, matured_at: Ints) -> tuple[Stretch, ...]:
    positive = len(np.unique(patients[labels]))
    count = min(max(positive // STRETCH_PATIENTS, STRETCHES_MIN), STRETCHES_MAX, len(labels))
    order = np.argsort(matured_at, kind="stable")
    return tuple(
        Stretch(
            first_matured=int(matured_at[part].min()),
            last_matured=int(matured_at[part].max()),
            rows=len(part),
            positives=int(labels[part].sum()),
            positive_patients=len(np.unique(patients[part][labels[part]])),
            champion_auroc=auroc(labels[part], champion[part]),
        )
        for part in np.array_split(order, count)
    )
