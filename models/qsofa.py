"""qSOFA of a patient as of an instant: a comparator for evaluation, not told to wards.

Owns qSOFA's table. Must not know how criteria are counted (`models.criteria`), nor any model.

Source: Seymour and others, "Assessment of clinical criteria for sepsis", JAMA 315 (2016) 762-774; as adopted by Singer
and others, "The third international consensus definitions for sepsis and septic shock (Sepsis-3)", JAMA 315 (2016)
801-810: respiratory rate of 22 a minute or more, altered mentation, systolic pressure of 100 mmHg or less; two or more
are positive.

Altered mentation is a GCS below 15, as Singer's box 4 has it (Seymour's derivation had 13 or less, and found the
simpler one no worse), or any coded answer but Alert; the newer of the two decides, and at equal times the worse.
Sedation excludes it, as it does in NEWS2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from events import Millis
from features.state import PatientState
from models.criteria import CriteriaScore, Criterion, Limit, count_criteria, score_criteria
from models.news2_table import ALERT, GCS_ALERT

ALTERED_MENTATION = "altered_mentation"

QSOFA: tuple[Criterion, ...] = (
    Criterion("respiration_rate", (Limit("respiration_rate", above=21.0),)),
    Criterion(
        ALTERED_MENTATION,
        (Limit("gcs_total", below=float(GCS_ALERT)), Limit("consciousness", above=float(ALERT))),
        decided_by="newest",
    ),
    Criterion("systolic_bp", (Limit("systolic_bp", below=101.0),)),
)
"""Rates and pressures are charted whole, so 22 or more is above 21, and 100 or less is below 101."""


def score_qsofa(state: PatientState, at: Millis, *, sedated: bool = False) -> CriteriaScore:
    """Score a patient as of `at` (ms) from what `state` holds; `sedated` excludes mentation.

    >>> score = score_qsofa(PatientState(), 0)
    >>> score.total, score.low, score.high, score.missing
    (0, 0, 3, ('respiration_rate', 'altered_mentation', 'systolic_bp'))
    """
    return score_criteria(QSOFA, state, at, (ALTERED_MENTATION,) if sedated else ())


def qsofa_totals(columns: Mapping[str, Sequence[float] | NDArray[np.float64]]) -> NDArray[np.float64]:
    """Count qSOFA over training rows (`models.criteria.count_criteria`); NaN where nothing is known.

    The 2019 data have no consciousness: their qSOFA is at most 2 of 3, and every figure from it says so.

    >>> qsofa_totals({"respiration_rate.last": [22.0], "systolic_bp.last": [100.0]})
    array([2.])
    """
    return count_criteria(QSOFA, columns)
