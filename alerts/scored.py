"""A scored moment: what the pipeline hands to a patient's alert book.

Owns that shape. Must not know how scores or verdicts come about. The readings are a function,
called only if an alert is open or opens: most moments say nothing, and gathering them costs more than judging.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from alerts.configuration import AlertSettings
from alerts.contract import Evidence
from events import Location, Millis
from features.catalogue import default_catalogue
from features.reading import Reading
from guardrails.floor import Applicability
from guardrails.limits import ClinicianLimit
from guardrails.verdict import Verdict
from models.explaining.told import ToldExplanation
from models.news2 import News2
from models.scorer import Prediction


def evidence_of(readings: Iterable[Reading]) -> tuple[Evidence, ...]:
    """Cite readings as evidence, in their features' canonical units (UCUM)."""
    unit_of = default_catalogue().by_name
    return tuple(Evidence.of(reading, unit_of(reading.feature).unit) for reading in readings)


class Why(msgspec.Struct, frozen=True):
    """What moved a score."""

    contributions: tuple[tuple[str, float], ...] = ()
    """(name, logits), the largest first."""
    explanation: ToldExplanation | None = None
    """The same in words; None where nobody could say."""


NO_WHY = Why()


class ScoredContext(msgspec.Struct, frozen=True):
    """One patient, scored after one envelope. `patient` and `encounter` are the pseudonyms that outputs carry.

    `envelope_id` names the cause, and so the alert if this moment raises one. `applies` is empty where NEWS2 applies.
    """

    patient: str
    encounter: str
    location: Location
    envelope_id: str
    at: Millis
    """Received time."""
    event_time: Millis
    news2: News2
    prediction: Prediction | None
    verdicts: tuple[Verdict, ...]
    settings: AlertSettings
    readings: Callable[[], tuple[Reading, ...]]
    """Gives the readings that `news2` rests on."""
    configuration_hash: str = ""
    horizon_h: int | None = None
    shadow: bool = False
    kill_switch: bool = False
    applies: Applicability = ""
    limit: ClinicianLimit | None = None
    departed: bool = False
    """Whether the patient was discharged and nothing in this envelope is true of a time after that: nobody is there."""
    further_evidence: Callable[[], tuple[Evidence, ...]] | None = None
    """Gives what else the model's alert rests on (laboratory values), if the caller can say."""
    board_only: bool = False
    """Whether a clinician's limit keeps what the floor finds on the board."""
    escalate_from: Millis = 0
    """Nothing escalates before then: a clinician's limit."""
    limit_reason: str = ""
    """The codes of all limits in force; those of `limit` alone where it is empty."""
    explain: Callable[[], Why] | None = None
    """Gives why the prediction is what it is; called only where something is said of it: it is dear."""

    def evidence(self) -> tuple[Evidence, ...]:
        """Cite what NEWS2 rests on."""
        return evidence_of(self.readings())

    def evidence_of_model(self) -> tuple[Evidence, ...]:
        """Cite what NEWS2 rests on, then what else the model saw."""
        return self.evidence() if self.further_evidence is None else self.evidence() + self.further_evidence()

    def why(self) -> Why:
        """Give what moved the prediction: as the caller explains it, else what it came with."""
        if self.explain is not None:
            return self.explain()
        return NO_WHY if self.prediction is None else Why(self.prediction.contributions)

    def observed_time(self) -> Millis:
        """When the newest reading behind NEWS2 was true of the patient; without any, the envelope's own event time."""
        return max((reading.event_time for reading in self.readings()), default=self.event_time)
