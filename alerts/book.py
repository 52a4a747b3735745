"""The alert book of one patient: every alert that is open, and all that may happen to it.

Owns the book, its bytes and the order in which the two channels speak (the floor first). Must not know transport, nor
when it is called. Every method is a function of the book and its arguments; it gives the events to publish, in order.

The pipeline's duties: call `tick` for a patient whose `next_deadline` has come, after scoring the patient anew and
calling `assess` (an input may have expired); where `changed_by` an envelope's intakes is not empty, score as of
`floor_raised_at` and `model_raised_at` and call `correct_floor` and `correct_model` with it; and call `assess` after
any of the others that changed what is known.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Self

import msgspec

from alerts.channel import Answer
from alerts.contract import AlertEvent, place
from alerts.floor_channel import FloorChannel, Recomputed
from alerts.grounds import changed_ids
from alerts.model_channel import ModelChannel
from alerts.open_alert import OpenAlert, Subject
from alerts.review import ReviewDesk
from alerts.scored import ScoredContext
from events import Acknowledgement, Feedback, Location, Millis
from features.intake import Intake
from guardrails.candidate import Told
from guardrails.floor import rank_of
from guardrails.limits import ClinicianLimit
from guardrails.verdict import Verdict
from models.news2 import News2

BOOK_SCHEMA_VERSION, BEFORE_LIMITS = 3, 2
"""First byte of the stored form; another one means refold. Release 0.1 wrote 2, which is 3 without the fields that
came since, each the last of its struct. A book that needs none of them is still written so, byte for byte: an upgrade
refolds nobody, nor does going back from one, and what a log holds of a record comes out of its replay again."""
SUBJECT_FIELDS, ALERT_FIELDS = 4, 29
"""How many fields a `Subject` and an `OpenAlert` had then."""


class UnreadableBookError(ValueError):
    """The stored bytes are no alert book of this release: ours; the patient is refolded from the log."""


class AlertBook(msgspec.Struct, array_like=True):
    """A patient's alerts. Mutable, small, and bytes by `encode`."""

    subject: Subject = msgspec.field(default_factory=Subject)
    floor: FloorChannel = msgspec.field(default_factory=FloorChannel)
    model: ModelChannel = msgspec.field(default_factory=ModelChannel)
    review: ReviewDesk = msgspec.field(default_factory=ReviewDesk)

    @property
    def idle(self) -> bool:
        """Whether nothing is open.

        >>> AlertBook().idle
        True
        """
        return self.floor.open is None and self.model.open is None

    def open_alert_ids(self) -> set[str]:
        """Give the ids of the alerts that are open."""
        return {channel.open.alert_id for channel in (self.floor, self.model) if channel.open is not None}

    @property
    def next_deadline(self) -> Millis | None:
        """The first moment at which time alone changes something: an answer due, an expiry, an input that ages out."""
        floor, model, escalate_from = self.floor.open, self.model.open, self.subject.escalate_from
        if floor is None:
            return None if model is None else model.next_deadline(escalate_from)
        first = floor.next_deadline(escalate_from)
        return first if model is None else min(first, model.next_deadline(escalate_from))

    @property
    def told(self) -> Told | None:
        """What the model last told of its open alert: the candidate's `told`."""
        return self.model.last_told()

    @property
    def floor_raised_at(self) -> Millis | None:
        """As of when `correct` wants NEWS2 scored again."""
        return None if self.floor.open is None else self.floor.open.raised_at

    @property
    def model_raised_at(self) -> Millis | None:
        """As of when `correct` wants the model asked again."""
        return None if self.model.open is None else self.model.open.raised_at

    @property
    def model_raised_ward(self) -> str:
        """The ward whose raising threshold `correct_model` wants; empty without an open alert."""
        return "" if self.model.open is None else self.model.open.raised_ward

    def changed_by(self, intakes: Iterable[Intake]) -> frozenset[int]:
        """Give the observation ids that these intakes corrected or withdrew; empty too where nothing is open.

        >>> AlertBook().changed_by([Intake("withdrawn", "spo2", "", 7, 0, 82.0)])
        frozenset()
        """
        return frozenset() if self.idle else changed_ids(intakes)

    def is_still(self, news2: News2, verdicts: tuple[Verdict, ...]) -> bool:
        """Whether nothing is open and this score and these verdicts open nothing, so that `assess` would say nothing.

        Most moments are such. Only for a patient without a limit of his own, which may have the floor speak earlier.
        """
        return (
            self.floor.open is None
            and self.model.open is None
            and rank_of(news2.total, red=news2.red) == 0
            and not news2.quarantined
            and verdicts[-1].reason == "below_threshold"
        )

    def assess(self, scored: ScoredContext) -> list[AlertEvent]:
        """Take a scored moment: the floor first, then what the chain decided. What had expired is ended before."""
        subject = self.subject
        if subject.configuration_hash != scored.configuration_hash or subject.encounter != scored.encounter:
            subject.configuration_hash, subject.encounter = scored.configuration_hash, scored.encounter
        subject.patient = scored.patient
        limit = None if scored.limit is None else scored.limit.in_force(scored.at)
        subject.limit_reason = scored.limit_reason or ("" if limit is None else limit.reason)
        subject.escalate_from = scored.escalate_from
        events: list[AlertEvent] = []
        expired: list[AlertEvent] = []
        if not self.idle:
            # Expiry only: an escalation waits for its tick, so that none is said of what this very moment resolves.
            expired = self.floor.expire(subject, scored.at, kill_switch=scored.kill_switch)
            events += expired
            events += self.model.expire(subject, scored.at, kill_switch=scored.kill_switch)
            readings = scored.readings()  # gathered once: both channels ask, the floor twice
            scored = msgspec.structs.replace(scored, readings=lambda: readings)
        # A doubtful input that outlasted an alert waits for the next envelope: time alone would raise it for ever.
        events += self.floor.assess(scored, subject, watch=not expired)
        events += self.model.assess(scored, subject)
        return events

    def tick(self, at: Millis, *, kill_switch: bool = False) -> list[AlertEvent]:
        """Fire the timers that are due at `at`."""
        return [
            *self.floor.tick(self.subject, at, kill_switch=kill_switch),
            *self.model.tick(self.subject, at, kill_switch=kill_switch),
        ]

    def why_unanswerable(self, alert_id: str) -> Literal["", "unknown_alert", "already_answered"]:
        """Say why nobody can answer an alert: it is none of the open ones, or was answered. Empty where one can.

        >>> AlertBook().why_unanswerable("a")
        'unknown_alert'
        """
        for channel in (self.floor, self.model):
            if channel.open is not None and channel.open.alert_id == alert_id:
                return "already_answered" if channel.open.acknowledged else ""
        return "unknown_alert"

    def acknowledge(self, event: Acknowledgement, at: Millis, *, kill_switch: bool = False) -> list[AlertEvent]:
        """Let somebody take the named alert. An unknown, ended or already taken one changes nothing: no events."""
        return self._answer(event.alert_id, at, Answer("acknowledged", event.actor), kill_switch=kill_switch)

    def judge(self, event: Feedback, at: Millis, *, kill_switch: bool = False) -> list[AlertEvent]:
        """Let somebody say what he thinks of the named alert: an answer like any other, which ends nothing."""
        answer = Answer(_ANSWERS[event.verdict], event.actor, event.reason)
        return self._answer(event.alert_id, at, answer, kill_switch=kill_switch)

    def _answer(self, alert_id: str, at: Millis, answer: Answer, *, kill_switch: bool) -> list[AlertEvent]:
        for channel in (self.floor, self.model):
            if channel.open is not None and channel.open.alert_id == alert_id:
                return channel.answer(self.subject, at, answer, kill_switch=kill_switch)
        return []

    def correct_floor(
        self,
        at: Millis,
        *,
        now: News2,
        then: News2,
        changed: frozenset[int],
        intakes: Iterable[Intake] = (),
        limit: ClinicianLimit | None = None,
    ) -> list[AlertEvent]:
        """After a correction: `then` is NEWS2 as of `floor_raised_at`, `now` as of `at`, both by today's knowledge.

        `changed` is `changed_by` the envelope's `intakes`: where the alert rests on none of them, nothing happens. A
        corrected value among the intakes is scored by itself, where `then` may have lost its neighbours.
        """
        return self.floor.correct(self.subject, at, Recomputed(now, then, changed, tuple(intakes)), limit)

    def correct_model(
        self,
        at: Millis,
        *,
        probability_then: float | None,
        threshold: float,
        changed: frozenset[int],
        kill_switch: bool = False,
    ) -> list[AlertEvent]:
        """After a correction: the probability as of `model_raised_at` by today's knowledge, and the raising threshold.

        `threshold` is `GuardrailSettings.thresholds_of(model_raised_ward)[0]`. An unknown probability, or NaN, takes
        nothing back, nor does a correction of what the alert did not cite.
        """
        if probability_then is None or not probability_then < threshold or not self.model.rested_on(changed, at):
            return []
        return self.model.ended(self.subject, at, "retracted", "correction", kill_switch=kill_switch)

    def transferred(self, at: Millis, location: Location, *, kill_switch: bool = False) -> list[AlertEvent]:
        """Move the open alerts to the new ward."""
        where = place(location)
        return [
            *self.floor.transfer(self.subject, at, where, kill_switch=kill_switch),
            *self.model.transfer(self.subject, at, where, kill_switch=kill_switch),
        ]

    def discharged(self, at: Millis, *, deceased: bool = False, kill_switch: bool = False) -> list[AlertEvent]:
        """End the open alerts because the patient left or died: nobody here can answer them any more."""
        reason: Literal["deceased", "discharged"] = "deceased" if deceased else "discharged"
        return [
            *self.floor.ended(self.subject, at, "expired", reason),
            *self.model.ended(self.subject, at, "expired", reason, kill_switch=kill_switch),
        ]

    def admission_cancelled(self, at: Millis, *, kill_switch: bool = False) -> list[AlertEvent]:
        """Take back the open alerts of a stay that never was (ADT A11)."""
        return self._retracted(at, "admission_cancelled", kill_switch=kill_switch)

    def merged(self, at: Millis, *, kill_switch: bool = False) -> list[AlertEvent]:
        """Take back the open alerts of a retired patient (ADT A40): the surviving one's fold raises what stands."""
        return self._retracted(at, "merge", kill_switch=kill_switch)

    def _retracted(
        self, at: Millis, reason: Literal["admission_cancelled", "merge"], *, kill_switch: bool
    ) -> list[AlertEvent]:
        return [
            *self.floor.ended(self.subject, at, "retracted", reason),
            *self.model.ended(self.subject, at, "retracted", reason, kill_switch=kill_switch),
        ]

    def encode(self) -> bytes:
        """Write the book; an empty one takes a few bytes, one with two open alerts stays near 1 KB.

        >>> AlertBook.decode(AlertBook().encode()) == AlertBook()
        True
        """
        before = _as_before(self)
        if before is not None:
            return bytes((BEFORE_LIMITS,)) + _encoder.encode(before)
        return bytes((BOOK_SCHEMA_VERSION,)) + _encoder.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what `encode` wrote; raises `UnreadableBookError`, whose text holds nothing of the data."""
        if not data or data[0] not in (BEFORE_LIMITS, BOOK_SCHEMA_VERSION):
            raise UnreadableBookError(f"schema version {data[0] if data else 'none'}, not {BOOK_SCHEMA_VERSION}")
        try:
            return msgspec.msgpack.decode(data[1:], type=cls)
        except msgspec.DecodeError as error:
            raise UnreadableBookError(type(error).__name__) from None


_AFTER_ALERT = msgspec.structs.astuple(OpenAlert("model", "", "", 0, "board", ("", "", "", ""), 0, 0))[ALERT_FIELDS:]
_NO_REVIEW = ReviewDesk()


def _as_before(book: AlertBook) -> tuple[Any, ...] | None:
    """Give a book as schema 2 had it; None where a field that came since says something."""
    subject = msgspec.structs.astuple(book.subject)
    if subject[SUBJECT_FIELDS:] != (0,) or book.review != _NO_REVIEW:
        return None
    channels: list[tuple[Any, ...]] = []
    for channel in (book.floor, book.model):
        alert = None if channel.open is None else msgspec.structs.astuple(channel.open)
        if alert is not None and alert[ALERT_FIELDS:] != _AFTER_ALERT:
            return None
        _, *rest = msgspec.structs.astuple(channel)
        channels.append((alert and alert[:ALERT_FIELDS], *rest))
    return subject[:SUBJECT_FIELDS], *channels


_ANSWERS: dict[str, Literal["acknowledged", "dismissed", "disagreed"]] = {
    "agree": "acknowledged",
    "dismissed": "dismissed",
    "disagree": "disagreed",
}
_encoder = msgspec.msgpack.Encoder()
