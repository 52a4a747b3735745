"""What the floor's and the model's alerts have in common: one may be open, it can be answered, and it ends.

Owns answers, escalation, expiry, retraction and transfer of one channel's open alert. Must not know scores:
what raises and resolves is each channel's own.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from alerts.contract import AlertEvent, Disposition, Reason
from alerts.lifecycle import State
from alerts.open_alert import Episode, OpenAlert, Saying, Subject, say
from events import Millis


class Answer(msgspec.Struct, frozen=True):
    """What somebody said to an alert: took it, dismissed it with a `code`, or saw it and disagrees."""

    reason: Literal["acknowledged", "dismissed", "disagreed"] = "acknowledged"
    actor: str = ""
    """A role or a pseudonym, never a name."""
    code: str = ""
    """The coded reason."""


WARD = 1
"""Where the ward stands in a place (`alerts.contract.place`)."""


class Channel(msgspec.Struct, array_like=True):
    """One channel of one patient. `open` is the alert that has not ended, `past` the one that ended last."""

    open: OpenAlert | None = None
    past: Episode | None = None

    def forget(self) -> None:
        """Drop what the channel remembers of the episode; called as its alert ends."""

    def loudness(self, *, kill_switch: bool) -> Disposition:
        """Say how an event that no score caused is delivered: the floor's always aloud."""
        del kill_switch
        return "told"

    def end(self, subject: Subject, at: Millis, saying: Saying) -> AlertEvent:
        """Say the last word of the open alert and close it."""
        alert = self.open
        assert alert is not None, "no alert is open"
        event = say(alert, subject, at, saying)
        self.past = Episode(alert.episode_id, at, alert.episode_alerts, alert.watch_told)
        self.open = None
        self.forget()
        return event

    def ended(
        self, subject: Subject, at: Millis, state: State, reason: Reason, *, kill_switch: bool = False
    ) -> list[AlertEvent]:
        """End the open alert, if there is one, in `state` for `reason`."""
        if self.open is None:
            self.forget()
            return []
        return [self.end(subject, at, Saying(state, reason, self.loudness(kill_switch=kill_switch)))]

    def tick(self, subject: Subject, at: Millis, *, kill_switch: bool) -> list[AlertEvent]:
        """Fire what is due at `at`: expiry, else escalation of what nobody answered."""
        alert = self.open
        if alert is None:
            return []
        if at >= alert.expires_at:
            return self.expire(subject, at, kill_switch=kill_switch)
        if alert.escalate_at is None or at < max(alert.escalate_at, subject.escalate_from):
            return []
        alert.escalate_at = None
        loudness = self.loudness(kill_switch=kill_switch)
        return [say(alert, subject, at, Saying("escalated", "unanswered", loudness))]

    def expire(self, subject: Subject, at: Millis, *, kill_switch: bool) -> list[AlertEvent]:
        """End the open alert if it rests on nothing fresh any more."""
        if self.open is None or at < self.open.expires_at:
            return []
        return self.ended(subject, at, "expired", "no_fresh_evidence", kill_switch=kill_switch)

    def answer(self, subject: Subject, at: Millis, answer: Answer, *, kill_switch: bool) -> list[AlertEvent]:
        """Let somebody answer the open alert; an answer to what is answered says nothing.

        None ends it: a dismissed alert stands, waits for nobody, and is untaken by the next rise like any other.
        """
        alert = self.open
        if alert is None or alert.acknowledged:
            return []
        alert.acknowledged = True
        alert.escalate_at = None
        loudness = self.loudness(kill_switch=kill_switch)
        saying = Saying("acknowledged", answer.reason, loudness, actor=answer.actor, answer_code=answer.code)
        return [say(alert, subject, at, saying)]

    def transfer(
        self, subject: Subject, at: Millis, place: tuple[str, str, str, str], *, kill_switch: bool
    ) -> list[AlertEvent]:
        """Move the open alert to where the patient lies now."""
        alert = self.open
        if alert is None or alert.place == place:
            return []
        former_ward = alert.place[WARD] if alert.place[WARD] != place[WARD] else None
        alert.place = place
        saying = Saying("updated", "transferred", self.loudness(kill_switch=kill_switch), former_ward=former_ward)
        return [say(alert, subject, at, saying)]
