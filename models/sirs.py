"""SIRS of a patient as of an instant: a comparator for evaluation, not told to wards.

Owns the table of the systemic inflammatory response syndrome. Must not know how criteria are counted
(`models.criteria`), nor any model.

Source: Bone and others, "Definitions for sepsis and organ failure and guidelines for the use of innovative therapies in
sepsis" (ACCP/SCCM consensus conference), Chest 101 (1992) 1644-1655: temperature above 38 or below 36 degrees Celsius;
heart rate above 90 a minute; respiratory rate above 20 a minute or PaCO2 below 32 mmHg; white cells above 12,000 or
below 4,000 a cubic millimetre (12 and 4 x 10^9/L) or more than 10 % immature forms. Two or more are positive.

Immature forms are in no feed we know and are not counted. Where the respiratory rate is known, a PaCO2 that was not
measured leaves nothing open: nobody draws a blood gas for SIRS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from events import Millis
from features.state import PatientState
from models.criteria import CriteriaScore, Criterion, Limit, count_criteria, score_criteria

SIRS: tuple[Criterion, ...] = (
    Criterion("temperature", (Limit("temperature", below=36.0, above=38.0),)),
    Criterion("heart_rate", (Limit("heart_rate", above=90.0),)),
    Criterion("respiration", (Limit("respiration_rate", above=20.0), Limit("paco2", below=32.0))),
    Criterion("white_cells", (Limit("white_cells", below=4.0, above=12.0),)),
)


def score_sirs(state: PatientState, at: Millis) -> CriteriaScore:
    """Score a patient as of `at` (ms) from what `state` holds.

    >>> score = score_sirs(PatientState(), 0)
    >>> score.total, score.low, score.high, score.missing
    (0, 0, 4, ('temperature', 'heart_rate', 'respiration', 'white_cells'))
    """
    return score_criteria(SIRS, state, at)


def sirs_totals(columns: Mapping[str, Sequence[float] | NDArray[np.float64]]) -> NDArray[np.float64]:
    """Count SIRS over training rows (`models.criteria.count_criteria`); NaN where nothing is known.

    >>> sirs_totals({"temperature.last": [38.1, 38.0], "heart_rate.last": [91.0, 90.0]})
    array([2., 0.])
    """
    return count_criteria(SIRS, columns)
