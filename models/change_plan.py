"""The plan of change control as data: what stops a version, within which bounds, and whether any may go by itself.

Owns the shape of `[change_control]` and its defaults, each with its reason. Must not know how a gate judges by them
(models/change_control.py), nor the text of the plan: docs/change-control.md says it in words, and a test holds the two
together.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
Factor = Annotated[float, msgspec.Meta(ge=1, le=1_000)]


class ChangePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a challenger must show before it may speak. Differences are the challenger's less the champion's.

    The bounds of an interval are those of 95 %: a loss is ruled out, not merely not seen.

    >>> ChangePlan().automatic
    False
    """

    automatic: bool = False
    """Whether a version within the envelope that passes every gate is put in force without a person."""
    days_between_min: Annotated[float, msgspec.Meta(ge=0, le=3_660)] = 7.0
    """Between two promotions that nobody signed: monitors need a while to see what the last one did."""
    rows_min: Count = 20_000
    """Scored and matured rows: a hundred beds for some nine days at an hourly score."""
    patients_min: Count = 500
    positive_patients_min: Annotated[int, msgspec.Meta(ge=2)] = 50
    """Patients with the outcome. Below this an AUROC's interval is wider than any loss worth naming."""
    days_min: Annotated[float, msgspec.Meta(ge=0, le=3_660)] = 14.0
    """Two whole weeks: every shift and weekday twice."""
    auroc_loss_max: Share = 0.01
    """How much worse the AUROC may be at its interval's lower end."""
    average_precision_loss_max: Share = 0.1
    """The same of average precision, as a share of the champion's."""
    auroc_min: Annotated[float, msgspec.Meta(ge=0.5, le=1)] = 0.65
    """Below this no version is put in force by itself, whatever the champion is: many small losses add up."""
    slope_min: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.8
    slope_max: Annotated[float, msgspec.Meta(ge=1, le=10)] = 1.25
    """Of the outcome's log-odds on the challenger's: one that is too sure of itself has less than 1."""
    calibration_error_max: Share = 0.01
    """Expected calibration error, over bins of equal count."""
    brier_skill_min: Annotated[float, msgspec.Meta(ge=-1, le=1)] = 0.0
    """Over always answering the base rate."""
    subgroup_loss_max: Share = 0.1
    """How much sensitivity a subgroup may lose at its interval's lower end."""
    subgroup_patients_min: Annotated[int, msgspec.Meta(ge=2)] = 20
    """Patients with the outcome in a subgroup before it can be judged; a smaller one is named as not judged."""
    alerts_factor_max: Factor = 1.1
    """Alerts per patient-day, as a multiple of the champion's."""
    alerts_per_patient_day_max: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Where a site declares what its wards can go to, in the place of the multiple."""
    flips_max: Share = 0.05
    """Rows on which one of the two would alert and the other would not."""
    label_rate_factor_max: Annotated[float, msgspec.Meta(gt=1, le=1_000)] = 3.0
    """How far the share of positives of any stretch may lie from the usual one, as a multiple, up or down."""
    stretch_auroc_loss_max: Share = 0.2
    """How much worse than over the other stretches the champion may rank one stretch: below that its labels do not
    belong to its rows."""
    stretch_positive_patients_min: Annotated[int, msgspec.Meta(ge=2)] = 8
    """Patients with the outcome in a stretch, or expected in it, before it is judged."""
    monitor_demotes: bool = True
    """Whether the learner's process takes a version out of force by itself when a live monitor breaks its limit."""

    def __post_init__(self) -> None:
        """Refuse an automatic plan that asks for nothing."""
        if self.automatic and not (self.rows_min and self.patients_min and self.days_min):
            raise ValueError("automatic: rows_min, patients_min and days_min must be above 0 for it")
