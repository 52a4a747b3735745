"""A patient in a bed, scored on demand: what the alert tests share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from alerts.book import AlertBook
from alerts.configuration import AlertSettings
from alerts.contract import AlertEvent
from alerts.scored import ScoredContext
from events import Location
from features.reading import Reading
from guardrails.candidate import Candidate
from guardrails.chain import judge
from guardrails.configuration import GuardrailSettings
from models.news2 import PARAMETERS, SOURCES, News2, band_of
from models.scorer import Prediction

Points = tuple[int | None, ...]
WELL: Points = (0, 0, 0, 0, 0, 0, 0)


class Bed:
    """One patient with a book; each call is one envelope, named by its time."""

    WELL = WELL
    MEDIUM: Points = (2, 2, 1, 0, 0, 0, 0)
    HIGH: Points = (3, 2, 2, 0, 0, 0, 0)
    HOUR = 3_600_000
    MINUTE = 60_000

    def __init__(self) -> None:
        self.book = AlertBook()
        self.alerts = AlertSettings()
        self.guardrails = GuardrailSettings(raise_at=0.5, clear_at=0.3, shadow=False)
        self.said: list[AlertEvent] = []

    def news2(self, points: Points, quarantined: tuple[str, ...] = ()) -> News2:
        """Make a score of sub-scores."""
        total = sum(value for value in points if value)
        missing = tuple(name for name, value in zip(PARAMETERS, points, strict=True) if value is None)
        red = 3 in points
        high = min(20, total + 3 * len(missing))
        return News2(total, total, high, band_of(total, red=red), red, 1, *points, missing, (), quarantined)

    def score(
        self,
        at: int,
        points: Points = WELL,
        probability: float | None = 0.0,
        *,
        age: int = 0,
        envelope_id: str = "",
        quarantined: tuple[str, ...] = (),
        **changes: Any,
    ) -> list[AlertEvent]:
        """Score the patient and let the book say what it has to; `changes` go to the scored context.

        Every parameter has a reading of its own, whose observation id is its place among `PARAMETERS`, from 1.
        """
        news2 = self.news2(points, quarantined)
        prediction = Prediction(probability, (("lactate.last", 0.7),), "v1")
        told, model_open = self.book.told, self.book.model.open is not None
        candidate = Candidate(
            at, at, "W1", news2, prediction, self.guardrails, age_years=70.0, model_alert_open=model_open, told=told
        )
        readings = tuple(
            Reading(SOURCES[name][0], 1.0, at - age, at, number, "m1")
            for number, (name, value) in enumerate(zip(PARAMETERS, points, strict=True), start=1)
            if value is not None
        )
        scored = ScoredContext(
            patient="patient-1",
            encounter="encounter-1",
            location=Location(ward="W1", bed="4"),
            envelope_id=envelope_id or f"envelope-{at}",
            at=at,
            event_time=at - age,
            news2=news2,
            prediction=prediction,
            verdicts=judge(candidate),
            settings=self.alerts,
            readings=lambda: readings,
            configuration_hash="cfg",
            horizon_h=12,
            shadow=self.guardrails.shadow,
            kill_switch=self.guardrails.kill_switch,
        )
        return self.keep(self.book.assess(msgspec.structs.replace(scored, **changes)))

    def keep(self, events: list[AlertEvent]) -> list[AlertEvent]:
        """Remember what was said, and store and load the book as a host would."""
        self.said += events
        self.book = AlertBook.decode(self.book.encode())
        return events


@pytest.fixture
def bed() -> Bed:
    """Give a patient of whom nothing is known."""
    return Bed()


@pytest.fixture(scope="session")
def new_bed() -> Callable[[], Bed]:
    """Give a maker of such patients, for properties that need many."""
    return Bed
