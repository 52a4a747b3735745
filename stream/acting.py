"""What people decide of one patient, folded: answers to alerts, reviews of deferred scores, limits.

Owns what each of these changes and how it is counted. Must not know who may decide (`stream.parse` and the gateways
have seen to that), nor how a patient is scored: the pipeline is told where one must be judged anew.

All are idempotent. What names no alert, score or limit that we know, or comes too late for it, changes nothing and is
counted by its reason in `tally.acts`: a log may hold it, because whoever wrote it could not know better. Of a limit it
is put out too (`stream.effects.Unheeded`): else somebody would believe it in force, or gone.
"""

from __future__ import annotations

from alerts.limits import PatientLimits
from events import Acknowledgement, Envelope, Feedback, Limit, Review, content_id
from stream.control import Control
from stream.effects import Effect, Unheeded
from stream.records import PatientRecord
from stream.tally import Tally

Act = Acknowledgement | Feedback | Review | Limit
ACTS = (Acknowledgement, Feedback, Review, Limit)
"""The same for `isinstance`; see `stream.joining.JOINING`."""

ANSWERS = (Acknowledgement, Feedback, Review)
"""Those that answer what was said of a patient: of one of whom nothing was ever said they change nothing. A limit may
come before the first chart."""
ANSWERED = {"agree": "agreed", "disagree": "disagreed", "dismissed": "dismissed"}
"""How an answer is counted, by the feedback's verdict."""
CHANGED_LIMITS = frozenset({"limit_set", "limit_replaced", "limit_withdrawn"})
REPEATED = "limit_repeated"
"""What it asks for is so already."""


class Acting:
    """Folds people's decisions into one partition's records."""

    __slots__ = ("_control", "_tally")

    def __init__(self, control: Control, tally: Tally) -> None:
        self._control = control
        self._tally = tally

    def take(self, event: Act, envelope: Envelope, record: PatientRecord, effects: list[Effect]) -> bool:
        """Fold one of them; say whether the patient must be judged anew, so that nobody waits for new values."""
        if type(event) is Review:
            return self._review(event, envelope, record)
        if type(event) is Limit:
            return self._limit(event, envelope, record, effects)
        assert type(event) is Acknowledgement or type(event) is Feedback
        self._answer(event, envelope, record, effects)
        return False

    def _answer(
        self, event: Acknowledgement | Feedback, envelope: Envelope, record: PatientRecord, effects: list[Effect]
    ) -> None:
        """Let somebody answer an alert. What he thinks of it goes to the learner as well, whatever stands here."""
        book = record.book
        why_not = book.why_unanswerable(event.alert_id)
        if why_not:
            self._tally.acts[why_not] += 1
            return
        at, kill_switch = envelope.received_time, self._control.silenced
        if type(event) is Feedback:
            self._tally.acts[ANSWERED[event.verdict]] += 1
            effects.extend(book.judge(event, at, kill_switch=kill_switch))
        else:
            assert type(event) is Acknowledgement
            self._tally.acts["acknowledged"] += 1
            effects.extend(book.acknowledge(event, at, kill_switch=kill_switch))

    def _review(self, event: Review, envelope: Envelope, record: PatientRecord) -> bool:
        """Take an answer about a deferred score; with `tell` the patient is judged anew at once."""
        tell = event.decision == "tell"
        if not record.book.review.decide(event.score_id, envelope.received_time, tell=tell):
            self._tally.acts["unknown_score"] += 1
            return False
        self._tally.acts["review_told" if tell else "review_withheld"] += 1
        return tell

    def _limit(self, event: Limit, envelope: Envelope, record: PatientRecord, effects: list[Effect]) -> bool:
        """Keep, replace or withdraw a limit; what stands by the new ones is told at once."""
        limits = record.limits or PatientLimits()
        source = "" if record.merges is None else record.merges.source_of(envelope.named)
        became = limits.take(event, envelope.received_time, source)
        self._tally.acts[became] += 1
        if limits.kept:
            record.limits = limits
        if became not in CHANGED_LIMITS:
            if became != REPEATED:
                effects.append(_unheeded(event, envelope, became))
            return False
        return record.heard > 0


def _unheeded(event: Limit, envelope: Envelope, fault: str) -> Unheeded:
    return Unheeded(
        content_id("unheeded", envelope.envelope_id, event.limit_id),
        envelope.patient,
        envelope.message_id,
        envelope.received_time,
        event.actor,
        event.kind,
        event.limit_id,
        fault,
    )
