"""The monitors beside the learner: scores are joined with what became of them, and a patient's groups with both.

Owns the join for the monitors. Must not know a monitor's rules (models/drift), how patients are told apart
(stream/facts.py), nor who acts on a finding. Like the learner it hears everything and is heard by nobody who scores.
"""

from __future__ import annotations

import msgspec

from events import Envelope, Millis
from guardrails.configuration import VERSION_ID
from models.inputs import LEARNING_INPUTS
from models.labels import PATIENTS_MAX
from stream.facts import Facts, Known
from stream.model_monitors import ModelMonitors, MonitorsState
from stream.outcomes import JoinState, OutcomeDefinition, OutcomeJoin

AGE_AT = LEARNING_INPUTS.names.index("age_years")


class MonitoredState(msgspec.Struct, frozen=True):
    """All that the fold knows. For MessagePack: a value may be NaN."""

    monitors: MonitorsState
    join: JoinState
    groups: dict[str, Known]
    above: tuple[str, ...]


class MonitoredVersion:
    """A `stream.scoring.Learner` that learns nothing: it watches the version in force.

    `groups` must be the facts that `monitors` were made with, for subgroups to be told apart.

    >>> groups = Facts()
    >>> monitored = MonitoredVersion(OutcomeDefinition(), ModelMonitors(LEARNING_INPUTS.names, facts=groups), groups)
    >>> monitored.scored("p", 0, [0.0] * len(LEARNING_INPUTS.names), 0.1, "4f1c02aa91be")
    >>> monitored.advance(14 * 3_600_000); monitored.monitors.label_figures().rows
    1
    """

    def __init__(
        self,
        definition: OutcomeDefinition,
        monitors: ModelMonitors,
        groups: Facts,
        *,
        alerts_by_threshold: bool = True,
    ) -> None:
        """With `alerts_by_threshold` a risk that rises to the threshold is an alert; else the host says `alerted`."""
        self.monitors, self.groups = monitors, groups
        self._alerts_by_threshold = alerts_by_threshold
        self._above: dict[str, None] = {}
        """Whose risk stands at the threshold or above it."""
        self._join = OutcomeJoin(definition)

    def scored(
        self, patient: str, at: Millis, vector: list[float], probability: float | None = None, version: str = ""
    ) -> None:
        """Hear of a score, what was said of it and by which version."""
        self.advance(at)
        self.groups.aged(patient, vector[AGE_AT])
        self.monitors.scored(patient, at, vector, probability, version)
        if self._alerts_by_threshold:
            self._hear_risk(patient, at, probability)
        if probability is not None and VERSION_ID.fullmatch(version):
            # What waits is numbers: an id of twelve hexadecimal digits is one that a float holds exactly.
            self._join.joiner.scored(patient, at, (probability, float(int(version, 16))))

    def _hear_risk(self, patient: str, at: Millis, probability: float | None) -> None:
        if probability is None or probability < self.monitors.threshold:
            self._above.pop(patient, None)
            return
        if patient not in self._above:
            self.monitors.alerted(patient, at)
            self._above[patient] = None
            if len(self._above) > PATIENTS_MAX:
                del self._above[next(iter(self._above))]

    def happened(self, envelope: Envelope) -> None:
        """Hear of what happened to a patient."""
        self.groups.hear(envelope)
        self.monitors.happened(envelope)
        self._join.happened(envelope)

    def advance(self, now: Millis) -> None:
        """Let time reach `now`: labels mature."""
        for example in self._join.joiner.advance(now):
            probability, number = example.vector
            version = f"{int(number):012x}"
            self.monitors.matured(example.patient, example.at, probability, version, now, label=example.label)
        self.monitors.advance(now)

    def state(self) -> MonitoredState:
        """Give everything as plain numbers and names."""
        return MonitoredState(self.monitors.state(), self._join.state(), self.groups.state(), tuple(self._above))

    def restore(self, state: MonitoredState) -> None:
        """Go on from a state, alike: of a fold made with the same arguments."""
        self.monitors.restore(state.monitors)
        self._join.restore(state.join)
        self.groups.restore(state.groups)
        self._above = dict.fromkeys(state.above)
