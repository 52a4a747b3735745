"""Scoring one patient at one moment: NEWS2, the model, the chain's verdicts, and what the alert book needs to know.

Owns the order of the three and what is passed between them. Must not know alerts' state beyond the book's own
questions, nor anything outside the core.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from alerts.contract import Evidence
from alerts.limits import InForce
from alerts.scored import NO_WHY, ScoredContext, Why, evidence_of
from events import Envelope, Millis
from features import PatientState, Reading
from features.intake import Intake
from features.pregnancy import is_pregnant
from guardrails.candidate import Candidate
from guardrails.chain import judge
from guardrails.floor import Applicability, applicability, floor_verdict
from guardrails.verdict import Verdict
from models.explaining.explanation import hours_since, tell
from models.groups import groups_of_stay
from models.inputs import LABORATORY, LEARNING_ROW
from models.news2 import SOURCES, News2, news2_evidence, score_news2
from models.scorer import Prediction
from stream.control import Control
from stream.effects import Score
from stream.records import PatientRecord
from stream.tally import Tally


class Learner(Protocol):
    """Hears of every score and event, in log order, and says nothing back: scoring never learns."""

    def scored(
        self, patient: str, at: Millis, vector: list[float], probability: float | None = None, version: str = ""
    ) -> None:
        """Hear of a score: the row of `LEARNING_INPUTS`, and what the version in force said of it (None: nothing)."""
        ...

    def happened(self, envelope: Envelope) -> None:
        """Hear of what happened to a patient."""
        ...


def score_patient(
    cause: Envelope,
    record: PatientRecord,
    intakes: tuple[Intake, ...],
    control: Control,
    tally: Tally,
    learner: Learner | None,
) -> tuple[Score, ScoredContext | None]:
    """Score a patient as of the cause's received time; give the score to publish and the moment for the book.

    There is no moment where the book has nothing open and nothing to open.
    """
    state, book = record.state, record.book
    stay, model_open = state.stay, book.model.open is not None
    at = cause.received_time
    limits = record.limits_at(at)
    news2 = score_news2(state, at, control.scale(cause.patient, merged=record.scale_2 or limits.scale_2))
    # Whoever is dying is out of scope for learning (clinical.md). A timer's score says nothing new, and when timers
    # fire follows from the alerts: what is learned must not.
    hears = None if limits.end_of_life or not cause.events else learner
    prediction, vector = _predict(cause.patient, state, at, news2, control, hears)
    age_years = state.age_years(at)
    said_pregnant = is_pregnant(state, at)
    applies = _applies(state, age_years, limits, said_pregnant=said_pregnant)
    verdicts = judge(
        Candidate(
            at,
            cause.event_time,
            stay.location.ward,
            news2,
            prediction,
            control.guardrails,
            intakes,
            age_years,
            stay.admitted,
            stay.discharged_time,
            stay.deceased,
            model_open,
            book.told,
            book.review.told_until or None,
            limits.pregnancy or said_pregnant,
            limits.end_of_life,
            groups_of_stay(stay, age_years) if control.asks_of_groups else (),
            control.served,
        )
    )
    if book.review.waiting is not None or verdicts[-1].verdict == "defer":
        _hear_review(cause.envelope_id, record, control, at, prediction, verdicts[-1])
    tally.scores += 1
    tally.count_verdicts(verdicts)
    score = Score(
        cause.envelope_id,
        cause.patient,
        cause.encounter,
        cause.position,
        cause.message_id,
        cause.event_time,
        at,
        news2,
        prediction.probability,
        (floor_verdict(applies), *verdicts) if applies else verdicts,
        prediction.version,
    )
    if limits.thresholds is None and book.is_still(news2, verdicts):
        return score, None
    explain = partial(_why, control, vector, state, at, tally)
    return score, _moment(cause, state, score, prediction, verdicts, applies, control, limits, explain)


def _applies(state: PatientState, age_years: float | None, limits: InForce, *, said_pregnant: bool) -> Applicability:
    """Say why NEWS2 does not apply, or nothing where it does.

    A clinician who set totals for her, or the end of life, has spoken of the floor: no feed silences it after that.
    """
    floor_is_set = limits.thresholds is not None or limits.board_only
    pregnant = limits.pregnancy or (said_pregnant and not floor_is_set)
    return applicability(age_years, pregnant=pregnant, deceased=state.stay.deceased)


def _moment(
    cause: Envelope,
    state: PatientState,
    score: Score,
    prediction: Prediction,
    verdicts: tuple[Verdict, ...],
    applies: Applicability,
    control: Control,
    limits: InForce,
    explain: Callable[[], Why],
) -> ScoredContext:
    """Put together what the alert book needs to know of a score."""
    at, settings = score.received_time, control.guardrails
    return ScoredContext(
        cause.patient,
        cause.encounter,
        state.stay.location,
        cause.envelope_id,
        at,
        cause.event_time,
        score.news2,
        prediction,
        verdicts,
        control.settings.alerts,
        partial(news2_evidence, state, at, scale=score.news2.scale),
        control.configuration_hash,
        control.horizon_h,
        settings.shadow,
        control.silenced,
        applies,
        limits.thresholds,
        _departed(state, at),
        partial(_cited, state, at, _beside_news2(control)),
        board_only=limits.board_only,
        escalate_from=limits.escalate_from,
        limit_reason=limits.reason,
        explain=explain,
    )


def _hear_review(
    score_id: str, record: PatientRecord, control: Control, at: Millis, prediction: Prediction, last: Verdict
) -> None:
    """Let a score wait for a person if its filter deferred it, and it would be told were it not for that."""
    book, settings, probability = record.book, control.guardrails, prediction.probability
    raise_at, clear_at = settings.thresholds_of(record.state.stay.location.ward, prediction.version)
    would_be_told = (
        probability is not None
        and probability >= (raise_at if book.model.open is None else clear_at)
        and not settings.shadow
        and not settings.silences(prediction.version)
    )
    book.review.hear(score_id, at, probability if would_be_told else None, last, settings.rise_step)


NEWS2_FEATURES = frozenset(name for names in SOURCES.values() for name in names)


def _beside_news2(control: Control) -> tuple[str, ...]:
    """Give the features that the version in force sees and NEWS2 does not."""
    spec = control.row_spec
    return LABORATORY if spec is None else tuple(name for name in spec.features if name not in NEWS2_FEATURES)


def _cited(state: PatientState, at: Millis, names: tuple[str, ...]) -> tuple[Evidence, ...]:
    """Cite the values that the model saw beside NEWS2's inputs: one corrected may take its word back."""
    features = state.catalogue.by_name
    latest = (state.latest(name, at) for name in names)
    return evidence_of(
        reading
        for reading in latest
        if reading is not None and at - reading.event_time <= (features(reading.feature).max_age_ms or at)
    )


def _departed(state: PatientState, at: Millis) -> bool:
    """Say whether the patient had left before everything the score rests on; a later reading shows presence."""
    discharged = state.stay.discharged_time
    return discharged is not None and not any(reading.event_time > discharged for reading in news2_evidence(state, at))


def _predict(
    patient: str, state: PatientState, at: Millis, news2: News2, control: Control, learner: Learner | None
) -> tuple[Prediction, list[float]]:
    """Give the model's probability, without contributions, and the vector it rests on."""
    scorer, spec = control.scorer, control.row_spec
    vector: list[float] = []
    prediction = control.no_prediction
    # The whole row only where somebody learns; the version's own is then a part of it.
    whole = None if learner is None else LEARNING_ROW.row(state, at, news2)
    if scorer is not None and spec is not None:
        vector = spec.row(state, at, news2) if whole is None else spec.pick(whole)
        prediction = scorer.score(vector, explain=False)
    if learner is not None and whole is not None:
        learner.scored(patient, at, whole, prediction.probability, prediction.version)
    return prediction, vector


def _why(control: Control, vector: list[float], state: PatientState, at: Millis, tally: Tally) -> Why:
    """Say why the score of a row is what it is; nothing, and counted, where our own code fails."""
    scorer = control.scorer
    if scorer is None:
        return NO_WHY
    try:
        contributions = scorer.logits(vector)
        return Why(scorer.largest(contributions), tell(scorer, contributions, vector, hours_since(state, at), at))
    except Exception:  # noqa: BLE001 - whatever it is, the alert must not be lost with its reasons
        tally.unexplained += 1
        return NO_WHY


def readings_now(state: PatientState, at: Millis) -> dict[str, Reading]:
    """Give every feature's latest reading up to `at`, however old."""
    found = {feature.name: state.latest(feature.name, at) for feature in state.catalogue.features}
    return {name: reading for name, reading in found.items() if reading is not None}
