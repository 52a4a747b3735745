"""Cohorts made for change control: patients at risk, seen by a champion and a challenger."""

from __future__ import annotations

import numpy as np

from models.change_control import Pedigree
from models.evidence import Evidence
from models.figures.recalibration import logistic_recalibration
from models.figures.scored_rows import Bools, Floats
from models.weighing import Levels, Rows, weigh

HOUR = 3_600_000
START = 1_767_225_600_000
LEVELS = Levels(0.1, 0.07)
CHAMPION, CHALLENGER = "a" * 12, "b" * 12
LEARNED_UNTIL = START
USUAL_RATE = 0.04


def cohort(*, patients: int = 600, seed: int = 0, noise: float = 0.7, hours: int = 24) -> Rows:
    """Make rows: both versions see the true log-odds through the same noise, the challenger through `noise` of it.

    Both are calibrated. Some 4 % of the rows are positive.
    """
    draw = np.random.default_rng(seed)
    shape = (patients, hours)
    truth = -4.6 + 1.4 * draw.normal(size=(patients, 1)) + 0.7 * draw.normal(size=shape)
    blur = 0.9 * draw.normal(size=(patients, 1)) + 0.5 * draw.normal(size=shape)
    labels = (draw.random(shape) < 1 / (1 + np.exp(-truth))).ravel()
    number = np.repeat(np.arange(patients), hours)
    at = START + (number * 2 + np.tile(np.arange(hours), patients)) * HOUR
    return Rows(
        labels=labels,
        champion=_calibrated(labels, (truth + blur).ravel()),
        challenger=_calibrated(labels, (truth + noise * blur).ravel()),
        patients=number,
        at=at,
        matured_at=at + 12 * HOUR,
        subgroups={
            "age": np.repeat(np.where(draw.random(patients) < 0.5, "65 and over", "18-64"), hours),
            "sex": np.repeat(np.where(draw.random(patients) < 0.5, "F", "M"), hours),
        },
    )


def _calibrated(labels: Bools, logits: Floats) -> Floats:
    line = logistic_recalibration(labels, 1 / (1 + np.exp(-logits)))
    assert line is not None
    assert line.slope is not None
    assert line.intercept is not None
    return 1 / (1 + np.exp(-(line.intercept + line.slope * logits)))


def weighed(rows: Rows, usual_rate: float = USUAL_RATE, rounds: int = 100) -> Evidence:
    """Weigh a cohort."""
    return weigh(
        rows,
        champion=CHAMPION,
        challenger=CHALLENGER,
        levels=LEVELS,
        source="made",
        usual_rate=usual_rate,
        rounds=rounds,
    )


def pedigree(version: str = CHALLENGER, **changed: object) -> Pedigree:
    """Give the pedigree of a version whose making is wholly known."""
    fields: dict[str, object] = {
        "version": version, "inputs": ("rr", "hr"), "schema_hash": "s", "horizon_h": 12, "outcome": "o",
        "kind": "logistic", "cost_of_miss": 9.0, "learned_until": LEARNED_UNTIL, "data_digest": "d" * 64,
        "code_commit": "c", "lock_digest": "l", "configuration_hash": "f",
    }  # fmt: skip
    return Pedigree(**{**fields, **changed})  # type: ignore[arg-type] # msgspec would refuse a wrong one on decoding
