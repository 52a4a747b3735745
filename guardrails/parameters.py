"""The seven NEWS2 parameters as the guardrails count them.

Owns the way from a feature to its parameter. Must not know how any parameter is scored or
read (RCP 2017, `models.news2`).
"""

from __future__ import annotations

from models.news2 import PARAMETERS, SOURCES, News2

PARAMETER_OF_FEATURE: dict[str, str] = {
    feature: parameter for parameter in PARAMETERS for feature in SOURCES[parameter]
}
"""By catalogue name."""


def points_of(news2: News2) -> tuple[int | None, ...]:
    """Give the sub-scores in the order of `PARAMETERS`; None where missing."""
    return (
        news2.respiration_rate,
        news2.spo2,
        news2.oxygen,
        news2.systolic_bp,
        news2.pulse,
        news2.consciousness,
        news2.temperature,
    )
