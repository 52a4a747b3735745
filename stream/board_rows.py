"""A patient as the board shows him: the score, the age of each input, his alerts, as a JSON object.

Owns the row's fields. Must not know a host, a store or who looks: both hosts make their boards of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from alerts.contract import AlertEvent, to_json
from alerts.limits import KeptLimit
from events import MILLIS_PER_SECOND, Millis, to_iso
from features.reading import Reading
from guardrails.subgroups import Subgroups
from models.news2 import SOURCES, score_news2
from models.news2_table import Scale
from stream.effects import Score
from stream.pipeline import QUIET_REASONS
from stream.records import PatientRecord
from stream.scoring import readings_now

SHOWN_FEATURES = tuple(source for sources in SOURCES.values() for source in sources)
"""What NEWS2 reads: the inputs whose age a ward is shown. Everything else is in the patient's own document."""


def render_row(
    patient: str,
    record: PatientRecord,
    score: Score | None,
    alert: AlertEvent | None,
    retracted: Sequence[AlertEvent],
    scale: Scale,
    now: Millis,
    also: Sequence[AlertEvent] = (),
) -> dict[str, Any]:
    """Give a patient's row; `also` are his open alerts beside `alert`.

    Without a score at hand the row still has NEWS2 as of now, from the patient's state.
    """
    state = record.state
    place = state.location
    limits = () if record.limits is None else record.limits.standing(now)
    if record.is_on_scale_2(now):
        scale = 2
    latest = (state.latest(name, now) for name in SHOWN_FEATURES)
    at = record.heard if score is None else score.received_time
    return {
        "patient": patient,
        "encounter": "" if score is None else score.encounter,
        "facility": place.facility,
        "ward": place.ward,
        "room": place.room,
        "bed": place.bed,
        # As of now, not as of the last message: an input that has expired since is shown as missing.
        "news2": score_news2(state, now, scale),
        "scored_total": None if score is None else score.news2.total,
        "scored_at": to_iso(at),
        "age_s": seconds(now - at),
        "probability": None if score is None else score.probability,
        "model": "" if score is None else score.model,
        "inputs": render_inputs(record, (reading for reading in latest if reading is not None), now),
        "alert": None if alert is None else msgspec.Raw(to_json(alert)),
        # One may be answered and the other wait: each is somebody's to answer.
        "also": [msgspec.Raw(to_json(event)) for event in also],
        "retracted": [msgspec.Raw(to_json(event)) for event in retracted],
        "held_back": [] if score is None else held_back(score),
        "remarks": [] if score is None else remarks(score),
        # Nothing else changes what the floor tells: whoever looks must see it.
        "limits": [_render_limit(one) for one in limits],
        "review": _render_review(record, now),
    }


def _render_limit(one: KeptLimit) -> dict[str, Any]:
    """Say which limit, by whom, why and until when; the totals where it names any."""
    totals = {"notify_at": one.notify_at, "interrupt_at": one.interrupt_at, "tell_red": one.tell_red}
    return {
        "limit_id": one.limit_id,
        "kind": one.kind,
        "reason": one.reason,
        "by": one.actor,
        "since": to_iso(one.since),
        "until": to_iso(one.expires_at),
        **(totals if one.notify_at else {}),
    }


def _render_review(record: PatientRecord, now: Millis) -> dict[str, Any] | None:
    """Say what waits for a person: the newest deferred score, since when and why."""
    waiting = record.book.review.waiting_at(now)
    if waiting is None:
        return None
    return {
        "score_id": waiting.score_ids[-1],
        "since": to_iso(waiting.since),
        "waits_s": seconds(now - waiting.since),
        "probability": waiting.probability,
        "filter": waiting.filter,
        "reason": waiting.reason,
        "detail": waiting.detail,
    }


def in_order(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort the rows of a board, the sickest first: by the last score, where there is none by NEWS2 as of now."""
    return sorted(rows, key=_sickness)


def _sickness(row: dict[str, Any]) -> tuple[int, float, str]:
    total = row["news2"].total if row["scored_total"] is None else row["scored_total"]
    return -total, -(row["probability"] or 0.0), row["patient"]


def review_queue(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give who waits for a review among the rows of a board, the longest first.

    >>> review_queue([{"patient": "p", "ward": "W", "bed": "1", "review": None}])
    []
    """
    queue = [
        {"patient": row["patient"], "ward": row["ward"], "bed": row["bed"], **row["review"]}
        for row in rows
        if row["review"] is not None
    ]
    return sorted(queue, key=lambda one: (one["since"], one["patient"]))


def render_patient(
    patient: str, record: PatientRecord, open_alerts: Iterable[AlertEvent], now: Millis
) -> dict[str, Any]:
    """Give what a patient's own document has beside the row: every feature with its age, and all open alerts."""
    return {
        "as_of": to_iso(now),
        "patient": patient,
        "admitted": record.state.admitted,
        "inputs": render_inputs(record, readings_now(record.state, now).values(), now),
        "open_alerts": [msgspec.Raw(to_json(event)) for event in open_alerts if event.patient == patient],
    }


def render_inputs(record: PatientRecord, readings: Iterable[Reading], now: Millis) -> list[dict[str, Any]]:
    """Give readings with their ages, and whether they are too old to count."""
    by_name = record.state.catalogue.by_name
    inputs = []
    for reading in readings:
        feature = by_name(reading.feature)
        age = now - reading.event_time
        inputs.append(
            {
                "feature": reading.feature,
                "value": reading.value,
                "unit": feature.unit,
                "event_time": to_iso(reading.event_time),
                "age_s": seconds(age),
                "stale": feature.max_age_ms is not None and age > feature.max_age_ms,
            }
        )
    return inputs


REMARKED = frozenset({Subgroups.name})
"""Filters whose remarks the board shows; those of the others stand beside the scores."""


def seconds(millis: Millis) -> int:
    """Give whole seconds, never below zero.

    >>> seconds(1_999), seconds(-5)
    (1, 0)
    """
    return max(0, millis) // MILLIS_PER_SECOND


def held_back(score: Score) -> list[dict[str, str]]:
    """Say by which filters the model's word was kept back, where it was; and first why the floor is silent, if it is.

    The chain stops at its first word, and the floor speaks before it: a pregnancy must be shown though too little is
    charted for the model as well.
    """
    shown: dict[str, Any] = {}
    for verdict in (*score.verdicts[:1], *score.verdicts[-1:]):
        if not verdict.proceeds and verdict.reason not in QUIET_REASONS:
            shown.setdefault(verdict.reason, verdict)
    return [{"filter": one.filter, "verdict": one.verdict, "reason": one.reason} for one in shown.values()]


def remarks(score: Score) -> list[dict[str, str]]:
    """Say where what the version says is less to be trusted for the patient's group, though it is told.

    >>> from guardrails.verdict import Verdict
    >>> said = Verdict("subgroups", "annotate", "too_few_seen", "sex other")
    >>> remarks(Score("s", "p", "", "", "", 0, 0, None, 0.5, (said,), ""))[0]["detail"]
    'sex other'
    """
    return [
        {"filter": one.filter, "verdict": one.verdict, "reason": one.reason, "detail": one.detail}
        for one in score.verdicts
        if one.verdict == "annotate" and one.filter in REMARKED
    ]
