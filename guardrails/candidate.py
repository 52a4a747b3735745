"""The candidate: everything a filter may look at before the model's score is said aloud.

Owns the shape of that context. Must not know how it is gathered (the pipeline does it) or what becomes of it (alerts).
A candidate holds plain values, not the patient's state, so that a filter is pure by construction.
"""

from __future__ import annotations

import msgspec

from events import Millis
from features.intake import Intake
from guardrails.configuration import GuardrailSettings
from models.drift.served import Served
from models.groups import Group
from models.news2 import News2
from models.scorer import Prediction


class Told(msgspec.Struct, frozen=True, gc=False):
    """What the ward was last told by the model in this episode; `silent` if it was only held or in shadow."""

    probability: float
    at: Millis
    silent: bool = False


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """One scored moment of one patient, as the chain sees it. Times are milliseconds, ages are years.

    `prediction` is None where no model version is loaded. `admitted` is what the feed said last; `discharged_time` is
    None unless a discharge was seen. `model_alert_open`, `told` and `reviewed_until` are of the patient's alert book.
    """

    at: Millis
    """Received time: the core's clock."""
    event_time: Millis
    ward: str
    news2: News2
    prediction: Prediction | None
    settings: GuardrailSettings
    intakes: tuple[Intake, ...] = ()
    """Of this envelope's values: what was not simply accepted, at least."""
    age_years: float | None = None
    admitted: bool = True
    discharged_time: Millis | None = None
    deceased: bool = False
    model_alert_open: bool = False
    told: Told | None = None
    reviewed_until: Millis | None = None
    """A clinician reviewed a deferred score of this patient: until then, being unlike keeps nothing back."""
    pregnant: bool = False
    """By a clinician's limit in force, or by what a feed said of this stay."""
    end_of_life: bool = False
    """By a clinician's limit in force."""
    groups: tuple[Group, ...] = ()
    """The patient's, an empty name where it is not recorded; none where the version and the settings ask of none."""
    served: Served | None = None
    """How the version served each group while it was made; None where it brings no figures."""
