"""What the deterioration model is given: which statistics of which features, and NEWS2's own sub-scores.

Owns the list of inputs, its hash, and computing a row of them for a patient. Must not know what a model makes of them.

The list is short on purpose (the hot path pays for each window), and its shape is clinical: for each vital sign the
last value, its age, the worst and the mean of the recent past, its trend and its distance from the patient's own
baseline; for each laboratory value the last one and its age. A straight line through a vital sign cannot say that both
ends are bad, NEWS2's sub-scores can, so they are inputs too (the ones the ward is shown, on the patient's own scale).

A value older than the catalogue's maximum age is not an input: it and its age become unknown, as NEWS2 treats them.
"""

from __future__ import annotations

from hashlib import sha256
from math import nan

import msgspec

from events import Millis
from features.catalogue import default_catalogue
from features.state import PatientState
from features.vector import VectorSpec
from models.news2 import News2, score_news2
from models.rows import Inputs

VITALS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("heart_rate", ("last", "age_h", "mean_6h", "max_6h", "slope_6h", "delta_baseline")),
    ("respiration_rate", ("last", "age_h", "mean_6h", "max_6h", "slope_6h", "delta_baseline")),
    ("spo2", ("last", "age_h", "mean_6h", "min_6h", "delta_baseline")),
    ("systolic_bp", ("last", "age_h", "mean_6h", "min_6h", "slope_6h", "delta_baseline")),
    ("temperature", ("last", "age_h", "max_24h", "delta_baseline")),
    ("fio2", ("last", "age_h")),
    ("o2_flow", ("last", "age_h")),
)

LABORATORY = ("lactate", "white_cells", "creatinine", "urea", "platelets", "bicarbonate")

OF_STAY = ("age_years", "hours_since_admission")

NEWS2_PARTS = ("respiration_rate", "spo2", "oxygen", "systolic_bp", "pulse", "consciousness", "temperature", "total")

VECTOR_NAMES: tuple[str, ...] = (
    *(f"{feature}.{statistic}" for feature, statistics in VITALS for statistic in statistics),
    *(f"{feature}.{statistic}" for feature in LABORATORY for statistic in ("last", "age_h")),
    *OF_STAY,
)
"""The inputs that `features` computes."""

CLINICAL_INPUTS = Inputs(
    names=(*VECTOR_NAMES, *(f"news2.{part}" for part in NEWS2_PARTS)),
    indicators=tuple(f"{feature}.last" for feature in (*(feature for feature, _ in VITALS), *LABORATORY)),
)
"""The shipped model's row: names in order, and which of them also tell that they are missing."""

INPUTS_MEANING = 1
"""Raised when a name comes to mean something else (a window's edge, a rounding): old versions are then refused."""


def _schema_hash() -> str:
    units = {name: default_catalogue().by_name(name.partition(".")[0]).unit for name in VECTOR_NAMES if "." in name}
    content = msgspec.json.encode((INPUTS_MEANING, CLINICAL_INPUTS, units), order="sorted")
    return "sha256:" + sha256(content).hexdigest()


SCHEMA_HASH = _schema_hash()
"""Hash of what the inputs mean: names, order, indicators, units. A version trained on another is refused."""

_SPEC = VectorSpec(VECTOR_NAMES, carried=True)


def _expiry(feature: str) -> tuple[int, int, float]:
    max_age_ms = default_catalogue().by_name(feature).max_age_ms
    hours = float("inf") if max_age_ms is None else max_age_ms / 3_600_000
    return VECTOR_NAMES.index(f"{feature}.last"), VECTOR_NAMES.index(f"{feature}.age_h"), hours


_EXPIRY = tuple(_expiry(feature) for feature in (*(feature for feature, _ in VITALS), *LABORATORY))


def clinical_vector(state: PatientState, at: Millis, news2: News2 | None = None) -> list[float]:
    """Compute the model's row for a patient as of `at` (ms); NaN where unknown. Hot path.

    `news2` is the score for the same `at` where it has been computed already; without it scale 1 is computed here.

    >>> row = clinical_vector(PatientState(), 0)
    >>> len(row) == len(CLINICAL_INPUTS.names), row[0], row[-1]
    (True, nan, nan)
    """
    row = state.vector(at, _SPEC)
    for last, age, hours in _EXPIRY:
        if row[age] > hours:
            row[last] = row[age] = nan
    if news2 is None:
        news2 = score_news2(state, at)
    parts = (
        news2.respiration_rate,
        news2.spo2,
        news2.oxygen,
        news2.systolic_bp,
        news2.pulse,
        news2.consciousness,
        news2.temperature,
    )
    row += [nan if part is None else float(part) for part in parts]
    # A total over nothing is no total.
    row.append(nan if len(news2.missing) == len(parts) else float(news2.total))
    return row
