"""What an alert rests on: per NEWS2 parameter the points it had, and the reading that gave them.

Owns the grounds an open alert keeps, and how a correction is held against them. Must not know what follows from it: the
channels decide.

Why they are kept: the patient's state forgets. Scoring as of the raising from what is left would take the forgotten
readings for healthy ones and take back a true alert. So only a parameter whose own reading was changed is scored anew;
for every other the points stand as they were.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from events import Millis
from features.intake import Intake
from features.reading import Reading
from guardrails.floor import RED_POINTS, rank_of
from guardrails.limits import ClinicianLimit
from guardrails.parameters import PARAMETER_OF_FEATURE, points_of
from models.news2 import PARAMETERS, News2
from models.news2_table import ALERT, ALTERED_POINTS, consciousness_points_from_gcs
from models.news2_table import points as chart_points

CHANGING = frozenset({"corrected", "withdrawn"})
"""The outcomes by which something we knew is no longer so. A replacement that was itself quarantined, or one that found
nothing to replace, is not among them: what the true value was is unknown, and not knowing takes nothing back."""

_OXYGEN, _SPO2 = PARAMETERS.index("oxygen"), PARAMETERS.index("spo2")


class Ground(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One parameter's sub-score (None: missing) and the reading it came from (None: no reading)."""

    points: int | None = None
    observation_id: int | None = None
    event_time: Millis = 0


Grounds = tuple[Ground, ...]
"""In the order of `PARAMETERS`; empty where an alert rests on no score."""


def grounds_of(news2: News2, readings: Iterable[Reading]) -> Grounds:
    """Take the grounds of a score from it and the readings it rests on."""
    by_parameter = {PARAMETER_OF_FEATURE.get(reading.feature, ""): reading for reading in readings}
    return tuple(
        Ground(points)
        if (reading := by_parameter.get(name)) is None
        else Ground(points, reading.observation_id, reading.event_time)
        for name, points in zip(PARAMETERS, points_of(news2), strict=True)
    )


def changed_among(grounds: Grounds, changed: frozenset[int]) -> tuple[int, ...]:
    """Give the places of the parameters whose reading is among the changed ones.

    >>> changed_among((Ground(3, 7), Ground(), Ground(1, 8)), frozenset({8}))
    (2,)
    """
    return tuple(place for place, ground in enumerate(grounds) if ground.observation_id in changed)


def rebuilt(grounds: Grounds, then: News2, changed: frozenset[int], intakes: Iterable[Intake] = ()) -> Grounds:
    """Give the grounds with the sub-scores of `then` (NEWS2 as of the raising, by today's knowledge) where changed.

    A reading that was corrected at its own time speaks for itself, by the value in `intakes`: what is left around it
    may be hourly extremes, from which its time cannot be scored. On scale 2 a saturation is judged by whether there was
    oxygen, so it is judged anew where the oxygen changed.
    """
    # At its own time: one that was moved to another is judged by what is known as of the raising.
    values = {(intake.observation_id, intake.event_time): intake for intake in intakes if intake.outcome == "corrected"}
    places = changed_among(grounds, changed)
    if then.scale == 2 and _OXYGEN in places:
        places = (*places, _SPO2)
    points = list(points_of(then))
    for place in places:
        intake = values.get((grounds[place].observation_id or -1, grounds[place].event_time))
        if intake is not None and intake.value is not None:
            points[place] = _points_of_value(intake.feature, intake.value, then, points[place])
    return tuple(
        msgspec.structs.replace(ground, points=points[place]) if place in places else ground
        for place, ground in enumerate(grounds)
    )


def _points_of_value(feature: str, value: float, then: News2, otherwise: int | None) -> int | None:
    """Score one corrected value by itself; `otherwise` where other readings decide too (oxygen, scale 2)."""
    parameter = PARAMETER_OF_FEATURE[feature]
    if feature == "gcs_total":
        return consciousness_points_from_gcs(value)
    if feature == "consciousness":
        return ALTERED_POINTS if value > ALERT else 0
    if parameter == "oxygen" or (parameter == "spo2" and then.scale != 1):
        return otherwise
    return chart_points(parameter, value)


def rank_of_grounds(grounds: Grounds, limit: ClinicianLimit | None) -> int:
    """Rank the total and the red parameters of the grounds, as the floor does."""
    points = [ground.points or 0 for ground in grounds]
    return rank_of(sum(points), red=RED_POINTS in points, limit=limit)


def changed_ids(intakes: Iterable[Intake]) -> frozenset[int]:
    """Give the ids of the readings that these intakes corrected or withdrew: of the entries that were removed.

    >>> changed_ids([Intake("withdrawn", "spo2", "", 7, 0, 82.0), Intake("accepted", "spo2", "", 8, 0, 97.0)])
    frozenset({7})
    """
    return frozenset(intake.observation_id for intake in intakes if intake.outcome in CHANGING)
