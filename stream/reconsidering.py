"""Whether what was said would still have been said, on what is known now: of open alerts, after a correction.

Owns which alerts are asked, and as of when. Must not know what changed, nor how an alert is taken back: the book does.
"""

from __future__ import annotations

from alerts.contract import AlertEvent
from events import Envelope
from features.intake import Intake
from models.news2 import score_news2
from stream.control import Control
from stream.records import PatientRecord


def reconsider(
    envelope: Envelope, record: PatientRecord, control: Control, intakes: list[Intake], changed: frozenset[int]
) -> list[AlertEvent]:
    """Ask of each open alert whether it would still have been raised on what we know now.

    `changed` are the results that are no longer what they were, or no longer this patient's. The floor's only where an
    input of NEWS2 changed: a corrected sodium is no reason to look back.
    """
    book, state = record.book, record.state
    at = envelope.received_time
    limits = record.limits_at(at)
    scale = control.scale(envelope.patient, merged=record.scale_2 or limits.scale_2)
    events: list[AlertEvent] = []
    if not changed or book.idle:
        return events
    if (raised := book.floor_raised_at) is not None:
        then, now = score_news2(state, raised, scale), score_news2(state, at, scale)
        limit = limits.thresholds
        events += book.correct_floor(at, now=now, then=then, changed=changed, intakes=intakes, limit=limit)
    if (raised := book.model_raised_at) is not None and control.scorer is not None:
        probability = control.scorer.predict(state, raised, score_news2(state, raised, scale)).probability
        events += book.correct_model(
            at,
            probability_then=probability,
            threshold=control.guardrails.thresholds_of(book.model_raised_ward, control.version)[0],
            changed=changed,
            kill_switch=control.silenced,
        )
    return events
