"""One open alert of one patient, and the one way in which anything is said about it.

Owns the open alert's state (what a tick, an acknowledgement or a retraction needs without a new score) and `say`, which
takes the next `seq`, checks the transition table and builds the event. Must not know why something is said.
"""

from __future__ import annotations

from typing import Any

import msgspec

from alerts.contract import (
    AlertEvent,
    Contribution,
    Disposition,
    Evidence,
    News2Summary,
    Reason,
    Trigger,
    name_event,
)
from alerts.grounds import Grounds
from alerts.lifecycle import State, may_follow
from alerts.scored import ScoredContext
from events import Millis, content_id
from guardrails.floor import Priority
from guardrails.late import LateNews
from guardrails.verdict import Verdict
from models.explaining.told import ToldExplanation

CONTRIBUTIONS_KEPT_MAX = 5
"""A ward reads five reasons, not forty; and the stored state stays small."""


FURTHER_IDS_KEPT_MAX = 48
"""More laboratory features than the catalogue has; bounds the stored state."""


class Subject(msgspec.Struct, array_like=True):
    """Whom a patient's alerts concern, by pseudonyms, and the configuration last in force."""

    patient: str = ""
    encounter: str = ""
    configuration_hash: str = ""
    limit_reason: str = ""
    escalate_from: Millis = 0
    """Nothing escalates before then: a clinician's limit. Of schema 3, as is all that stands last in these structs."""


class Episode(msgspec.Struct, array_like=True, frozen=True):
    """The last alert that ended: a new one that follows soon belongs to its episode."""

    episode_id: str
    ended_at: Millis
    alerts: int
    """How many alerts the episode has had, so that two raised by one message have two names."""
    watch_told: bool = False


class OpenAlert(msgspec.Struct, array_like=True):
    """An alert that has not ended. Array-like and without evidence: it is stored with every patient that has one."""

    trigger: Trigger
    alert_id: str
    episode_id: str
    episode_alerts: int
    priority: Priority
    place: tuple[str, str, str, str]
    raised_at: Millis
    expires_at: Millis
    raised_ward: str = ""
    """Whose threshold it was raised by; `place` moves with the patient."""
    grounds: Grounds = ()
    """What it rested on when it was raised: a correction is held against this, not against what is left of history."""
    resting: Grounds = ()
    """What the floor's alert rests on now."""
    further_ids: tuple[int, ...] = ()
    """The observation ids that a model's alert cited beside NEWS2's readings."""
    seq: int = 0
    state: State | None = None
    was_told: bool = False
    """Whether any event of it was told aloud: what was never said needs no loud ending."""
    watch_told: bool = False
    """Whether the ward was told, in this episode, that most inputs are unusable: once is enough."""
    acknowledged: bool = False
    escalate_at: Millis | None = None
    review_at: Millis | None = None
    """When the oldest reading behind it is due to expire: score again then."""
    shadow: bool = False
    observed_time: Millis = 0
    late: bool = False
    evidence_time: Millis = 0
    """What the age of the evidence is counted from: the event time of the reading that made the score."""
    news2: tuple[Any, ...] | None = None
    """The fields of a `News2Summary`, in order."""
    probability: float | None = None
    indeterminate: bool = False
    horizon_h: int | None = None
    contributions: tuple[tuple[str, float], ...] = ()
    model_version: str = ""
    quiet: bool = False
    """Whether a clinician's limit keeps it on the board."""
    unheard: bool = False
    """Whether such a limit kept from the ward what it would have been told."""
    probability_low: float | None = None
    probability_high: float | None = None
    """The interval around the probability; where that is indeterminate, why it is."""
    late_news: LateNews | None = None
    """Late news of the floor's that waits for newer values before the ward is told."""
    explanation: tuple[Any, ...] | None = None
    """What a `ToldExplanation` packs: of the score that the model last told of. Schema 3, like all that stands last."""

    def next_deadline(self, escalate_from: Millis) -> Millis:
        """Give the first moment at which time alone changes something; nothing escalates before `escalate_from`."""
        deadline = self.expires_at
        if self.escalate_at is not None and max(self.escalate_at, escalate_from) < deadline:
            deadline = max(self.escalate_at, escalate_from)
        if self.review_at is not None and self.review_at < deadline:
            deadline = self.review_at
        return deadline if self.late_news is None else min(deadline, self.late_news.until)

    def untake(self, at: Millis, within: Millis) -> None:
        """Ask for an answer to new danger, within a time. What was due before stays due: to worsen is no answer."""
        due = at + within
        self.escalate_at = due if self.escalate_at is None else min(self.escalate_at, due)
        self.acknowledged = False


def begin(trigger: Trigger, past: Episode | None, scored: ScoredContext) -> tuple[str, str, int]:
    """Name a new alert: alert id, episode id, its number in the episode; from content only, no offset, no clock."""
    if past is not None and scored.at - past.ended_at <= scored.settings.episode_gap_ms:
        episode_id, number = past.episode_id, past.alerts + 1
    else:
        episode_id, number = content_id("episode", scored.patient, trigger, scored.envelope_id), 1
    return content_id("alert", episode_id, trigger, scored.envelope_id, str(number)), episode_id, number


class Saying(msgspec.Struct, frozen=True):
    """What is to be said: the state entered, why, and what of it is not already on the alert."""

    state: State
    reason: Reason
    disposition: Disposition = "told"
    priority: Priority | None = None
    """None: the alert's own."""
    parameters: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    actor: str = ""
    answer_code: str = ""
    former_ward: str | None = None


def say(alert: OpenAlert, subject: Subject, at: Millis, saying: Saying) -> AlertEvent:
    """Take the next seq and say it; an illegal transition is our bug and asserts."""
    before = alert.state or "none"
    assert may_follow(before, saying.state), f"{saying.state} may not follow {before}"
    alert.state = saying.state
    alert.seq += 1
    alert.was_told = alert.was_told or saying.disposition == "told"
    facility, ward, room, bed = alert.place
    return AlertEvent(
        event_id=name_event(alert.alert_id, alert.seq),
        alert_id=alert.alert_id,
        episode_id=alert.episode_id,
        seq=alert.seq,
        state=saying.state,
        reason=saying.reason,
        trigger=alert.trigger,
        priority=saying.priority or alert.priority,
        disposition=saying.disposition,
        shadow=alert.shadow,
        patient=subject.patient,
        encounter=subject.encounter,
        facility=facility,
        ward=ward,
        room=room,
        bed=bed,
        observed_time=alert.observed_time,
        received_time=at,
        expires_at=alert.expires_at,
        late=alert.late,
        age_ms=max(0, at - alert.evidence_time),
        news2=None if alert.news2 is None else News2Summary(*alert.news2),
        probability=alert.probability,
        probability_low=alert.probability_low,
        probability_high=alert.probability_high,
        indeterminate=alert.indeterminate,
        horizon_h=alert.horizon_h,
        contributions=tuple(Contribution(feature, value) for feature, value in alert.contributions),
        parameters=saying.parameters,
        verdicts=saying.verdicts,
        evidence=saying.evidence,
        actor=saying.actor,
        answer_code=saying.answer_code,
        model_version=alert.model_version,
        configuration_hash=subject.configuration_hash,
        limit_reason=subject.limit_reason,
        explanation=None if alert.explanation is None else ToldExplanation.unpack(alert.explanation),
        former_ward=saying.former_ward,
    )
