"""The NEWS2 floor's alerts: what the floor finds, said.

Owns the floor's open alert and its memory. Must not know the model: a floor event carries nothing of it, so that its
bytes are the same whatever the model, its version, the filters or the kill switch do.
"""

from __future__ import annotations

import msgspec

from alerts.channel import Channel
from alerts.contract import AlertEvent, Disposition, Reason, place
from alerts.grounds import Grounds, changed_among, grounds_of, rank_of_grounds, rebuilt
from alerts.open_alert import OpenAlert, Saying, Subject, begin, say
from alerts.scored import ScoredContext
from events import Millis
from features.intake import Intake
from guardrails.floor import (
    NO_MEMORY,
    RANK_HIGH,
    WATCH_WARD,
    FloorFinding,
    FloorMemory,
    assess_floor,
    corrected,
    standing_priority,
)
from guardrails.late import LateTelling, is_late_news, let_wait, still_stands, tell_now, tell_with
from guardrails.limits import ClinicianLimit
from guardrails.parameters import points_of
from models.news2 import PARAMETERS, News2

INPUT_AGE_MS_MAX = 12 * 3_600_000
"""A NEWS2 input expires after the RCP's longest observation interval (the catalogue's `max_age_ms` for them)."""

_REASONS: dict[str, Reason] = {
    "band_rise": "band_rise",
    "new_red": "new_red",
    "band_fall": "band_fall",
    "input_expired": "input_expired",
    "input_quarantined": "input_quarantined",
    "inputs_usable": "inputs_usable",
    "resolved": "calm",
}
"""The event's reason for each change the floor finds."""
_RISES = ("band_rise", "new_red")


class Recomputed(msgspec.Struct, frozen=True):
    """What a correction made of the scores: NEWS2 as of now and as of the raising, by today's knowledge of both."""

    now: News2
    then: News2
    changed: frozenset[int]
    """The observation ids that the correction changed."""
    intakes: tuple[Intake, ...] = ()
    """What became of the envelope's values: a corrected one says its own new points."""


class FloorChannel(Channel, array_like=True):
    """The floor of one patient. A memory without an open alert does not exist between calls, nor the reverse."""

    memory: FloorMemory = NO_MEMORY

    def forget(self) -> None:
        """Forget the episode: whatever still stands is then raised anew."""
        self.memory = NO_MEMORY

    def loudness(self, *, kill_switch: bool) -> Disposition:
        """Say it aloud, unless all that was said was the board's: who was told of an alert is told of its end."""
        del kill_switch
        return "told" if self.open is None or self.open.was_told else "board"

    def assess(self, scored: ScoredContext, subject: Subject, *, watch: bool = True) -> list[AlertEvent]:
        """Say what the floor finds in this moment; where NEWS2 does not apply, take back what was said.

        Of a patient who is gone nothing new is said. Not `watch`: no watch over doubtful inputs opens now.
        """
        if scored.applies:
            if scored.applies == "deceased":
                return self.ended(subject, scored.at, "expired", "deceased")
            return self.ended(subject, scored.at, "retracted", "not_applicable")
        alert = self.open
        if alert is None and scored.departed:
            return []
        finding = assess_floor(self.memory, scored.news2, scored.at, scored.readings, scored.limit)
        if alert is None:
            if not finding.change or (finding.memory.watch and not watch):
                return []
            self.memory = finding.memory
            return [self._raise(scored, subject, finding)]
        return self._go_on(alert, scored, subject, finding)

    def _go_on(
        self, alert: OpenAlert, scored: ScoredContext, subject: Subject, finding: FloorFinding
    ) -> list[AlertEvent]:
        """Bring the open alert up to this moment, and say what is new of it."""
        before, self.memory = self.memory, finding.memory
        became_episode = before.watch and not finding.memory.watch and finding.memory.rank > 0
        self._renew(alert, scored, finding)
        heard_now = self._is_heard_now(alert)
        telling = self._weigh_late(alert, scored, before, finding, heard_now=heard_now)
        if not finding.change and not heard_now and telling is None:
            return []
        if finding.change in ("resolved", "inputs_usable"):
            loudness = self.loudness(kill_switch=False)
            ending = Saying("resolved", _REASONS[finding.change], loudness, evidence=scored.evidence())
            return [self.end(subject, scored.at, ending)]
        if became_episode:
            # From here on it is held against the score that had a rank, not against the artefact before it.
            alert.raised_at, alert.grounds = scored.at, alert.resting
        if telling is not None:
            return [self._tell_late(alert, scored, subject, telling)]
        disposition = "told" if heard_now else self._disposition(alert, finding)
        is_news = finding.change in _RISES and disposition == "told"
        if is_news or heard_now or (finding.memory.watch and disposition == "told"):
            # New danger in a taken alert is untaken: the clock of its answer starts again.
            alert.untake(scored.at, _answer_within(alert, scored))
        priority = finding.priority if finding.priority != "board" else alert.priority
        saying = Saying(
            "updated",
            _REASONS[finding.change] if finding.change else "now_audible",
            disposition,
            priority if disposition == "told" else "board",
            parameters=finding.parameters,
            evidence=scored.evidence(),
        )
        return [say(alert, subject, scored.at, saying)]

    def _weigh_late(
        self, alert: OpenAlert, scored: ScoredContext, before: FloorMemory, finding: FloorFinding, *, heard_now: bool
    ) -> LateTelling | None:
        """Let late news wait, forget what newer values superseded, and give what is told now after waiting."""
        news = alert.late_news
        alert.late_news = None
        limit = None if scored.limit is None else scored.limit.in_force(scored.at)
        if alert.quiet:
            alert.unheard = alert.unheard or (news is not None and still_stands(news, finding.memory, limit))
            return None
        if heard_now or (news is None and not is_late_news(finding)):
            return None
        if is_late_news(finding):
            news = let_wait(news, before, finding, scored.at)
        elif news is not None and finding.change in _RISES:
            return tell_with(news, finding, scored.at)
        if news is None or not still_stands(news, finding.memory, limit):
            return None
        told = tell_now(news, finding.memory, scored.news2, scored.readings(), scored.at, limit)
        if told is None:
            alert.late_news = news
        return told

    def _tell_late(self, alert: OpenAlert, scored: ScoredContext, subject: Subject, telling: LateTelling) -> AlertEvent:
        """Tell late news after it waited; the time for its answer begins now."""
        alert.late, alert.evidence_time = telling.late, telling.event_time
        alert.untake(scored.at, _answer_within(alert, scored))
        parameters, evidence = telling.parameters, scored.evidence()
        saying = Saying("updated", telling.reason, "told", telling.priority, parameters, evidence=evidence)
        return say(alert, subject, scored.at, saying)

    def _is_heard_now(self, alert: OpenAlert) -> bool:
        """Whether a limit that kept something from the ward is over, and what it kept still stands."""
        if alert.quiet or not alert.unheard:
            return False
        alert.unheard = False
        return self.memory.rank > 0 or self.memory.watch == WATCH_WARD

    def correct(
        self, subject: Subject, at: Millis, scores: Recomputed, limit: ClinicianLimit | None
    ) -> list[AlertEvent]:
        """Hold the open alert's grounds against today's knowledge of the moment it was raised.

        A parameter whose ground was changed takes its points from `then`, every other keeps those it was raised on:
        what the state has forgotten takes nothing back. With no rank left the alert should never have been said:
        retracted. With a lower rank, then or now, the ward is told that its ground was corrected.
        """
        alert = self.open
        if alert is None or not scores.changed:
            return []
        if self.memory.watch:
            return self._correct_watch(alert, subject, at, scores.now)
        in_force = None if limit is None else limit.in_force(at)
        grounds = rebuilt(alert.grounds, scores.then, scores.changed, scores.intakes)
        # Both by the same limit, so that it is the correction which lowers, not a limit recorded since.
        rank_raised, rank_then = rank_of_grounds(alert.grounds, in_force), rank_of_grounds(grounds, in_force)
        if rank_then == 0 < rank_raised:
            alert.news2 = msgspec.structs.astuple(scores.now)
            return self.ended(subject, at, "retracted", "correction")
        rank_before = self.memory.rank
        replaced = self._replaced(alert, grounds, scores)
        alert.grounds = grounds
        if replaced:
            self.memory = corrected(self.memory, replaced, at, limit)
        if rank_then >= rank_raised and self.memory.rank >= rank_before:
            return []
        alert.priority = "interrupt" if self.memory.rank == RANK_HIGH else "notify"
        alert.news2 = msgspec.structs.astuple(scores.now)
        loudness: Disposition = "board" if alert.quiet else self.loudness(kill_switch=False)
        return [say(alert, subject, at, Saying("updated", "correction", loudness))]

    def _replaced(self, alert: OpenAlert, grounds: Grounds, scores: Recomputed) -> dict[str, int | None]:
        """Give the points now of the parameters whose present reading was changed, None where it left none.

        One that had expired has no points now: they are known only if the alert was raised on that very reading.
        """
        points = points_of(scores.now)
        replaced: dict[str, int | None] = {}
        for number in changed_among(alert.resting, scores.changed):
            name = PARAMETERS[number]
            if points[number] is not None or name not in self.memory.lost:
                replaced[name] = points[number]
            elif number < len(grounds) and grounds[number].observation_id == alert.resting[number].observation_id:
                replaced[name] = grounds[number].points
        return replaced

    def _correct_watch(self, alert: OpenAlert, subject: Subject, at: Millis, now: News2) -> list[AlertEvent]:
        """Take a watch back where the doubtful value was withdrawn and left none; else `assess` ends it."""
        points = dict(zip(PARAMETERS, points_of(now), strict=True))
        if now.quarantined or all(points[name] is not None for name in self.memory.quarantined):
            return []
        alert.news2 = msgspec.structs.astuple(now)
        return self.ended(subject, at, "retracted", "correction", kill_switch=False)

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
            raised_ward=scored.location.ward,
            watch_told=number > 1 and self.past is not None and self.past.watch_told,
        )
        self._renew(alert, scored, finding)
        alert.grounds = alert.resting
        if is_late_news(finding) and not alert.quiet:
            alert.late_news = let_wait(None, NO_MEMORY, finding, scored.at)
        disposition = self._disposition(alert, finding)
        if disposition == "told":
            alert.untake(scored.at, _answer_within(alert, scored))
        saying = Saying(
            "raised",
            _REASONS[finding.change],
            disposition,
            finding.priority if disposition == "told" else "board",
            parameters=finding.parameters,
            evidence=scored.evidence(),
        )
        return say(alert, subject, scored.at, saying)

    def _disposition(self, alert: OpenAlert, finding: FloorFinding) -> Disposition:
        """Tell all but the board's; that most inputs are in doubt is told aloud once an episode."""
        if finding.priority == "board":
            return "board"
        if alert.quiet:
            alert.unheard = True
            return "board"
        if alert.late_news is not None and is_late_news(finding):
            return "board"
        if not alert.was_told and not finding.memory.watch and finding.change not in _RISES:
            return "board"  # Of what the ward never heard, because newer values superseded it or it waits yet.
        if finding.memory.watch:
            if alert.watch_told:
                return "board"
            alert.watch_told = True
        return "told"

    def _renew(self, alert: OpenAlert, scored: ScoredContext, finding: FloorFinding) -> None:
        """Bring the open alert up to this moment, said or not."""
        readings = scored.readings()
        alert.news2 = msgspec.structs.astuple(scored.news2)
        alert.place = place(scored.location)
        alert.priority = standing_priority(finding.memory)
        alert.quiet = scored.board_only
        if scored.limit is not None and not finding.memory.watch and finding.memory.rank == 0:
            # By the limit there is nothing to answer; what rises again is told, and asks anew.
            alert.escalate_at = None
        observed_time = scored.observed_time()
        is_newer, alert.observed_time = observed_time > alert.observed_time, observed_time
        if is_newer or finding.age_ms:
            # Not at a timer's scoring: when that comes depends on what else is open for the patient.
            alert.late, alert.evidence_time = finding.late, min(observed_time, scored.at - finding.age_ms)
        if readings and not finding.memory.watch:
            alert.resting = _carried_on(alert.resting, grounds_of(scored.news2, readings))
        oldest = min((reading.event_time for reading in readings), default=scored.at)
        alert.review_at = oldest + INPUT_AGE_MS_MAX + 1
        if finding.standing and is_newer:
            # Only a newer reading with a rank by itself keeps an alert alive; carried points do not, nor does a timer.
            alert.expires_at = scored.at + scored.settings.expire_ms


def _carried_on(before: Grounds, now: Grounds) -> Grounds:
    """Keep the reading of a parameter that is missing now: its points are carried on."""
    if not before:
        return now
    return tuple(new if new.observation_id is not None else old for new, old in zip(now, before, strict=True))


def _answer_within(alert: OpenAlert, scored: ScoredContext) -> Millis:
    settings = scored.settings
    return settings.escalate_interrupt_ms if alert.priority == "interrupt" else settings.escalate_notify_ms
