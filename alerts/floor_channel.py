"""The NEWS2 floor's alerts: what the floor finds, said.

Owns the floor's open alert and its memory. Must not know the model: a floor event carries nothing of it, so that its
bytes are the same whatever the model, its version, the filters or the kill switch do.
"""

from __future__ import annotations

import msgspec

from alerts.channel import Channel
from alerts.contract import AlertEvent, Reason, place
from alerts.open_alert import OpenAlert, Saying, Subject, begin, say
from alerts.scored import ScoredContext
from events import Millis
from guardrails.floor import (
    NO_MEMORY,
    RANK_HIGH,
    FloorFinding,
    FloorMemory,
    assess_floor,
    corrected,
    rank_of,
)
from guardrails.limits import ClinicianLimit
from models.news2 import News2

INPUT_AGE_MS_MAX = 12 * 3_600_000
"""A NEWS2 input expires after the RCP's longest observation interval (the catalogue's `max_age_ms` for them)."""

_REASONS: dict[str, Reason] = {
    "band_rise": "band_rise",
    "new_red": "new_red",
    "band_fall": "band_fall",
    "input_expired": "input_expired",
    "input_quarantined": "input_quarantined",
    "resolved": "calm",
}
"""The event's reason for each change the floor finds."""


class FloorChannel(Channel, array_like=True):
    """The floor of one patient. A memory without an open alert does not exist between calls, nor the reverse."""

    memory: FloorMemory = NO_MEMORY

    def forget(self) -> None:
        """Forget the episode: whatever still stands is then raised anew."""
        self.memory = NO_MEMORY

    def assess(self, scored: ScoredContext, subject: Subject) -> list[AlertEvent]:
        """Say what the floor finds in this moment; where NEWS2 does not apply, take back what was said."""
        if scored.applies:
            if scored.applies == "deceased":
                return self.ended(subject, scored.at, "expired", "deceased")
            return self.ended(subject, scored.at, "retracted", "not_applicable")
        finding = assess_floor(self.memory, scored.news2, scored.at, scored.readings, scored.limit)
        self.memory = finding.memory
        alert = self.open
        if alert is None:
            return [self._raise(scored, subject, finding)] if finding.change else []
        self._renew(alert, scored, finding)
        if not finding.change:
            return []
        if finding.change == "resolved":
            return [self.end(subject, scored.at, Saying("resolved", "calm", evidence=scored.evidence()))]
        if finding.change in ("band_rise", "new_red"):
            # New danger in a taken alert is untaken: the clock of its answer starts again.
            alert.acknowledged = False
            alert.escalate_at = scored.at + _answer_within(alert, scored)
        saying = Saying(
            "updated",
            _REASONS[finding.change],
            "board" if finding.priority == "board" else "told",
            finding.priority,
            parameters=finding.parameters,
            evidence=scored.evidence(),
        )
        return [say(alert, subject, scored.at, saying)]

    def correct(
        self, subject: Subject, at: Millis, now: News2, then: News2, limit: ClinicianLimit | None
    ) -> list[AlertEvent]:
        """Hold the open alert against today's knowledge of the moment it was raised.

        `then` is NEWS2 as of `open.raised_at`, `now` as of `at`. With no rank left then, it should never have been
        said: retracted. With a lower rank, then or now, the ward is told that its ground was corrected.
        """
        alert = self.open
        if alert is None:
            return []
        in_force = None if limit is None else limit.in_force(at)
        rank_then = rank_of(then.total, red=then.red, limit=in_force)
        if rank_then == 0:
            alert.news2 = msgspec.structs.astuple(now)
            return self.ended(subject, at, "retracted", "correction")
        rank_before = self.memory.rank
        self.memory = corrected(self.memory, now, at, limit)
        if rank_then >= alert.raised_rank and self.memory.rank >= rank_before:
            return []
        alert.raised_rank = min(alert.raised_rank, rank_then)
        alert.priority = "interrupt" if self.memory.rank == RANK_HIGH else "notify"
        alert.news2 = msgspec.structs.astuple(now)
        return [say(alert, subject, at, Saying("updated", "correction"))]

    def _raise(self, scored: ScoredContext, subject: Subject, finding: FloorFinding) -> AlertEvent:
        alert_id, episode_id, number = begin("news2_floor", self.past, scored)
        alert = self.open = OpenAlert(
            trigger="news2_floor",
            alert_id=alert_id,
            episode_id=episode_id,
            episode_alerts=number,
            priority=finding.priority,
            place=place(scored.location),
            raised_at=scored.at,
            expires_at=scored.at + scored.settings.expire_ms,
            raised_rank=finding.memory.rank,
        )
        self._renew(alert, scored, finding)
        alert.escalate_at = scored.at + _answer_within(alert, scored)
        saying = Saying("raised", _REASONS[finding.change], parameters=finding.parameters, evidence=scored.evidence())
        return say(alert, subject, scored.at, saying)

    def _renew(self, alert: OpenAlert, scored: ScoredContext, finding: FloorFinding) -> None:
        """Bring the open alert up to this moment, said or not."""
        readings = scored.readings()
        alert.news2 = msgspec.structs.astuple(scored.news2)
        alert.place = place(scored.location)
        alert.priority = "interrupt" if finding.memory.rank == RANK_HIGH else "notify"
        alert.observed_time = scored.observed_time()
        alert.late, alert.age_ms = finding.late, max(finding.age_ms, scored.at - alert.observed_time)
        oldest = min((reading.event_time for reading in readings), default=scored.at)
        alert.review_at = oldest + INPUT_AGE_MS_MAX + 1
        if finding.standing:
            # Only a score that has a rank by itself keeps an alert alive; carried points do not.
            alert.expires_at = scored.at + scored.settings.expire_ms


def _answer_within(alert: OpenAlert, scored: ScoredContext) -> Millis:
    settings = scored.settings
    return settings.escalate_interrupt_ms if alert.priority == "interrupt" else settings.escalate_notify_ms
