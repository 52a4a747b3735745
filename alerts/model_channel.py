"""The model's alerts: what the chain let pass, said, held or kept in shadow.

Owns the model's open alert, what the ward was last told by it, and the calm that resolves it. Must not know any filter:
it reads the chain's decision. An abstention is said once and never resolves an alert: not knowing is no improvement.
"""

from __future__ import annotations

import msgspec

from alerts.channel import Channel
from alerts.contract import AlertEvent, Disposition, Reason, place
from alerts.grounds import changed_among, grounds_of
from alerts.open_alert import (
    CONTRIBUTIONS_KEPT_MAX,
    FURTHER_IDS_KEPT_MAX,
    OpenAlert,
    Saying,
    Subject,
    begin,
    say,
)
from alerts.scored import ScoredContext
from events import MILLIS_PER_HOUR, Millis
from guardrails.candidate import Told
from guardrails.chain import Decision, decision
from guardrails.floor import CALM_SCORINGS_MIN, RESOLVE_AFTER_MS

_DISPOSITIONS: dict[Decision, Disposition] = {"tell": "told", "hold": "held", "shadow": "shadow"}
"""How a decision to speak is delivered; any other decision does not speak."""

_UPDATE_REASONS: dict[str, Reason] = {
    "risen": "risk_risen",
    "refractory_over": "risk_persists",
    "first_audible": "now_audible",
    "first": "risk_threshold",
}
"""The event's reason for each reason the refractory gate passes with."""


HISTORY_WHOLE_MS = MILLIS_PER_HOUR
"""The model looks back 24 h and the state keeps 25: as of a longer time ago a low risk may be only forgetting."""


class ModelChannel(Channel, array_like=True):
    """The model's voice for one patient."""

    told: tuple[float, Millis, bool] | None = None
    """What was last said of the open alert: probability, received time, and whether silently."""
    calm_since: Millis | None = None
    calm_newest: Millis = 0
    calm_scorings: int = 0
    shadow: bool = False

    def forget(self) -> None:
        """Forget what was told: after "resolved", silence about a new rise would mislead."""
        self.told = None
        self._restless()

    def last_told(self) -> Told | None:
        """Give what the refractory filter asks for."""
        return None if self.told is None else Told(*self.told)

    def loudness(self, *, kill_switch: bool) -> Disposition:
        """Hold under the kill switch, whisper in shadow, and put on the board the end of what was never told."""
        if kill_switch:
            return "held"
        if self.shadow:
            return "shadow"
        return "told" if self.open is not None and self.open.was_told else "board"

    def rested_on(self, changed: frozenset[int], at: Millis) -> bool:
        """Whether the open alert cited one of the changed readings, and all that it saw is still kept.

        What it saw and did not cite (laboratory values, if the caller does not give them; trends) is unknown here. A
        correction of that retracts nothing: the next score says what is so now, and calm resolves what no longer is.
        """
        alert = self.open
        if alert is None or at - alert.raised_at > HISTORY_WHOLE_MS:
            return False
        return bool(changed_among(alert.grounds, changed)) or not changed.isdisjoint(alert.further_ids)

    def assess(self, scored: ScoredContext, subject: Subject) -> list[AlertEvent]:
        """Say what the chain decided about this moment."""
        decided = decision(scored.verdicts)
        if scored.prediction is None or scored.prediction.probability is None:
            # Whatever the chain let pass: without a number there is nothing to say, and the floor must not fail of it.
            decided = "withheld"
        alert = self.open
        if alert is None:
            disposition = None if scored.departed else _DISPOSITIONS.get(decided)
            return [] if disposition is None else [self._raise(scored, subject, disposition)]
        self.shadow = alert.shadow = scored.shadow
        if decided == "below_threshold":
            return self._below(alert, scored, subject)
        self._restless()
        if decided == "withheld":
            return self._withheld(alert, scored, subject)
        was_indeterminate = alert.indeterminate
        self._renew(alert, scored)
        alert.expires_at = scored.at + scored.settings.expire_ms
        disposition = _DISPOSITIONS.get(decided)
        if disposition is not None:
            return [self._update(alert, scored, subject, disposition)]
        if was_indeterminate:
            _explain(alert, scored)
            saying = Saying("updated", "risk_persists", self._quiet(scored), "board", verdicts=scored.verdicts)
            return [say(alert, subject, scored.at, saying)]
        return []

    def _raise(self, scored: ScoredContext, subject: Subject, disposition: Disposition) -> AlertEvent:
        alert_id, episode_id, number = begin("model", self.past, scored)
        alert = self.open = OpenAlert(
            trigger="model",
            alert_id=alert_id,
            episode_id=episode_id,
            episode_alerts=number,
            priority="notify",
            place=place(scored.location),
            raised_at=scored.at,
            expires_at=scored.at + scored.settings.expire_ms,
            raised_ward=scored.location.ward,
            grounds=grounds_of(scored.news2, scored.readings()),
            further_ids=_ids(scored),
            shadow=scored.shadow,
        )
        self.shadow = scored.shadow
        self._renew(alert, scored)
        self._told_now(alert, scored, disposition, anew=True)
        saying = Saying(
            "raised", "risk_threshold", disposition, verdicts=scored.verdicts, evidence=scored.evidence_of_model()
        )
        return say(alert, subject, scored.at, saying)

    def _update(
        self, alert: OpenAlert, scored: ScoredContext, subject: Subject, disposition: Disposition
    ) -> AlertEvent:
        gate = next(
            (verdict.reason for verdict in scored.verdicts if verdict.filter == "refractory"), "refractory_over"
        )
        reason = _UPDATE_REASONS.get(gate, "risk_persists")
        # Risen, or heard for the first time: whoever took the old news has not taken this.
        self._told_now(alert, scored, disposition, anew=reason != "risk_persists")
        saying = Saying("updated", reason, disposition, verdicts=scored.verdicts, evidence=scored.evidence_of_model())
        return say(alert, subject, scored.at, saying)

    def _told_now(self, alert: OpenAlert, scored: ScoredContext, disposition: Disposition, *, anew: bool) -> None:
        assert alert.probability is not None, "a decision to speak without a probability"
        self.told = (alert.probability, scored.at, disposition != "told")
        _explain(alert, scored)
        if disposition != "told":
            # Nobody can answer what nobody heard.
            alert.escalate_at = None
        elif anew:
            alert.untake(scored.at, scored.settings.escalate_notify_ms)

    def _below(self, alert: OpenAlert, scored: ScoredContext, subject: Subject) -> list[AlertEvent]:
        """Count a calm scoring on newer readings; resolve once calm has lasted."""
        self._renew(alert, scored)
        newest = alert.observed_time
        if self.calm_since is None:
            self.calm_since = self.calm_newest = newest
            self.calm_scorings = 1
            return []
        if newest <= self.calm_newest:
            return []
        self.calm_newest = newest
        self.calm_scorings += 1
        if self.calm_scorings < CALM_SCORINGS_MIN or newest - self.calm_since < RESOLVE_AFTER_MS:
            return []
        _explain(alert, scored)
        saying = Saying(
            "resolved",
            "risk_below_threshold",
            self.loudness(kill_switch=scored.kill_switch),
            verdicts=scored.verdicts,
            evidence=scored.evidence_of_model(),
        )
        return [self.end(subject, scored.at, saying)]

    def _withheld(self, alert: OpenAlert, scored: ScoredContext, subject: Subject) -> list[AlertEvent]:
        last = scored.verdicts[-1] if scored.verdicts else None
        if last is not None and last.reason in ("deceased", "discharged"):
            reason: Reason = "deceased" if last.reason == "deceased" else "discharged"
            return self.ended(subject, scored.at, "expired", reason, kill_switch=scored.kill_switch)
        if alert.indeterminate:
            return []
        self._renew(alert, scored)
        alert.probability, alert.indeterminate, alert.contributions, alert.explanation = None, True, (), None
        if last is None or last.filter != "uncertainty":
            # An interval is told where it is the reason; of a patient unlike all others it says nothing.
            alert.probability_low = alert.probability_high = None
        loudness = self.loudness(kill_switch=scored.kill_switch)
        return [say(alert, subject, scored.at, Saying("updated", "abstained", loudness, verdicts=scored.verdicts))]

    def _renew(self, alert: OpenAlert, scored: ScoredContext) -> None:
        """Bring the open alert up to this moment, said or not."""
        prediction = scored.prediction
        alert.place = place(scored.location)
        alert.news2 = msgspec.structs.astuple(scored.news2)
        alert.observed_time = scored.observed_time()
        alert.evidence_time = alert.observed_time
        alert.horizon_h = scored.horizon_h
        alert.indeterminate = False
        if prediction is not None:
            alert.probability = prediction.probability
            alert.probability_low, alert.probability_high = prediction.low, prediction.high
            alert.model_version = prediction.version

    def _quiet(self, scored: ScoredContext) -> Disposition:
        loudness = self.loudness(kill_switch=scored.kill_switch)
        return "board" if loudness == "told" else loudness

    def _restless(self) -> None:
        self.calm_since, self.calm_newest, self.calm_scorings = None, 0, 0


def _explain(alert: OpenAlert, scored: ScoredContext) -> None:
    """Keep why the score is what it is of which something is said; what follows repeats it."""
    why = scored.why()
    alert.contributions = why.contributions[:CONTRIBUTIONS_KEPT_MAX]
    alert.explanation = None if why.explanation is None else why.explanation.pack()


def _ids(scored: ScoredContext) -> tuple[int, ...]:
    further = () if scored.further_evidence is None else scored.further_evidence()
    return tuple(item.observation_id for item in further[:FURTHER_IDS_KEPT_MAX])
