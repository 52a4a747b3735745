"""The shape of evaluation.json, version 1.

Owns the structs it is written from and can be read back into, and its JSON schema. Must not know how a figure is
computed. Fields are added, never renamed: `outcomes`, `horizon_h`, `patients`, `labels`, `refused`, `figures`, `digest`
and `limits` are what the first version had.
"""

from __future__ import annotations

import json
from typing import Literal

import msgspec

from events import Millis
from models.evaluation import Figures
from models.figures.bootstrap import Difference
from models.figures.calibration import CalibrationFigures
from models.figures.decision_curve import DecisionPoint
from models.figures.operating_points import AlertPoint, HourPoint, Matched
from models.figures.proportions import Interval, Measured
from models.figures.rolling import WindowPoint
from models.figures.subgroups import SubgroupFigures
from models.labels import JoinCounts
from stream.evaluating.provenance import MadeOf

Kind = Literal["learner", "champion", "stock", "rule", "outside"]
Part = Literal["prequential", "hold-out"]


class Discrimination(msgspec.Struct, frozen=True):
    """Whether those with the outcome score above those without, by row and by stay; intervals draw whole stays."""

    rows: int
    positives: int
    stays: int
    positive_stays: int
    auroc: Measured | None
    average_precision: Measured | None
    stay_auroc: Measured | None
    """A stay is scored by its highest row, positive where any of its rows is."""
    stay_average_precision: Measured | None
    stay_last_auroc: Measured | None
    """A stay is scored by its last row instead."""


class UtilityFigures(msgspec.Struct, frozen=True):
    """The 2019 challenge's normalised utility: 1 is the best possible, 0 is never to flag, below 0 does harm."""

    threshold: float
    """Chosen on earlier stays."""
    earlier_stays: int
    stays: int
    measured: Measured | None
    """On the later stays, at that threshold."""
    curve: tuple[tuple[float, float], ...]
    """(threshold, utility) over all stays: its highest point is chosen with hindsight."""


class ModelFigures(msgspec.Struct, frozen=True):
    """Everything of one model on the rows that all were asked of."""

    name: str
    title: str
    kind: Kind
    discrimination: Discrimination
    auroc_beyond: Difference | None
    """By how much the evaluated learner's AUROC exceeds this one's, on the same rows."""
    average_precision_beyond: Difference | None
    calibration: CalibrationFigures | None
    """None for a rule: its totals are no probabilities."""
    curve: tuple[HourPoint, ...]
    alerts: tuple[AlertPoint, ...]
    utility: UtilityFigures | None
    over_time: tuple[WindowPoint, ...]
    """AUROC in rolling windows; the evaluated learner's with intervals."""
    like_news2: Matched | None
    """Rows flagged at the sensitivity that NEWS2 of 5 or more has."""
    like_news2_interval: Interval | None
    """Of its share of NEWS2's rows."""
    alerts_like_news2: Matched | None
    """Alerts raised at the sensitivity that NEWS2 of 5 or more has."""
    net_benefit: tuple[float, ...] = ()
    """At the thresholds of `Evaluation.decision`; none for a rule, whose flags are there by name."""


class Evaluation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """All that an evaluation found."""

    schema: Literal["evaluation.v1"] = "evaluation.v1"
    outcomes: tuple[str, ...]
    horizon_h: int
    whole_stay: bool = False
    """The outcome counts at any time of the stay; `horizon_h` is then that of alerts alone."""
    patients: int
    labels: JoinCounts
    refused: dict[str, int]
    """Labelled rows that the learner did not learn, by reason."""
    figures: dict[str, Figures]
    digest: str
    """Of the replay's outputs."""
    limits: dict[str, float | int | None] | None = None
    """With a hold-out: what was measured of the limits that a version made of it would state."""
    made_of: MadeOf
    made_of_digest: str
    """Names this evaluation: another of the same digest is the same byte for byte."""
    learner: str
    part: Part
    """What the figures below are of: all rows, each predicted before it was learned; or the rows held out."""
    rows: int
    """Scores of the whole run, labelled or not."""
    stays: int
    """That the figures below are of: of the part, those of which every model from outside said anything."""
    began: Millis | None
    ended: Millis | None
    patient_days: float
    news2_is_partial: bool
    """No score had a level of consciousness: NEWS2, and what rests on it, is then of six signs."""
    threshold: float
    """The probability at which the configuration has an alert raised."""
    rounds: int
    """Of the bootstrap, and its seed."""
    seed: int
    window_h: int
    """Of the figures over time."""
    models: tuple[ModelFigures, ...]
    at_threshold: AlertPoint | None
    """The evaluated learner's alerts at `threshold`."""
    news2_alerts: AlertPoint | None
    """Of NEWS2 of 5 or more."""
    decision: tuple[DecisionPoint, ...]
    promised_by_time: tuple[WindowPoint, ...]
    """The outcomes that happened over those promised by the learner, in rolling windows: 1 is well calibrated."""
    group_threshold: float
    """What the subgroups are measured at: as many outcomes told as by NEWS2 of 5 or more; else `threshold`."""
    subgroups: dict[str, tuple[SubgroupFigures, ...]]


def encode(evaluation: Evaluation) -> bytes:
    """Give the text of evaluation.json."""
    return msgspec.json.format(msgspec.json.encode(evaluation), indent=2) + b"\n"


def decode(text: bytes) -> Evaluation:
    """Read evaluation.json back; raises `msgspec.ValidationError` where it is not of this shape."""
    return msgspec.json.decode(text, type=Evaluation)


def schema_text() -> str:
    """Write the JSON schema of evaluation.json as the checked-in file holds it (docs/schemas/evaluation.v1.json).

    >>> '"evaluation.v1"' in schema_text()
    True
    """
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://wardstream.invalid/schemas/evaluation.v1.json",
        "title": "What an evaluation found",
        **msgspec.json.schema(Evaluation),
    }
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"
