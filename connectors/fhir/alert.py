"""An alert event to FHIR R4B: RiskAssessment, NEWS2 Observation, Provenance.

Owns the rendering. Must not know who receives it. All three keep one id per alert, so that a server which is told `PUT`
replaces what an earlier `seq` said and keeps the history; a retraction makes the first two `entered-in-error`. The
patient is the pseudonym the event carries, as a logical reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from alerts.contract import AlertEvent, Evidence, News2Summary
from connectors.fhir import alert_codes as codes
from connectors.fhir.render import render_bundle
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, content_id, to_iso

EVIDENCE_MAX = 100
"""References written at the most: NEWS2 rests on seven values, a model on some forty."""

_encode = msgspec.json.Encoder().encode

Json = dict[str, Any]


def render_alert(event: AlertEvent) -> bytes:
    """Write the whole alert as a collection Bundle: RiskAssessment, NEWS2 Observation if there is one, Provenance."""
    observation = render_news2(event)
    scored = [observation] if observation is not None else []
    parts = [render_risk_assessment(event), *scored, render_provenance(event)]
    return render_bundle(parts)


def render_risk_assessment(event: AlertEvent) -> bytes:
    """Write a RiskAssessment (https://hl7.org/fhir/R4B/riskassessment.html); its id is the alert's.

    `probabilityDecimal` is a percentage, as R4's invariant ras-2 has it. The NEWS2 band is a qualitative risk of
    its own.
    """
    resource: Json = {
        **_head("RiskAssessment", event.alert_id, event),
        "extension": _extensions(event),
        "identifier": [
            {"system": codes.ALERT_SYSTEM, "value": event.alert_id},
            {"system": codes.EVENT_SYSTEM, "value": event.event_id},
        ],
        "status": codes.STATUSES.get(event.state, codes.STATUS_LATER),
        "method": _method(event),
        "code": {"text": "Risk of clinical deterioration"},
        **_about(event),
        "occurrenceDateTime": to_iso(event.observed_time),
        "performer": _device(event),
        "prediction": _predictions(event),
        "note": [{"text": _summary(event)}],
    }
    basis = _basis(event.evidence)
    if event.news2 is not None:
        basis.insert(0, {"reference": f"Observation/{_news2_id(event)}"})
    if basis:
        resource["basis"] = basis
    return _encode(resource)


def render_news2(event: AlertEvent) -> bytes | None:
    """Write the NEWS2 Observation with a component for each sub-score, or None where the event has no NEWS2.

    A total that lacks a sub-score is `preliminary`. An absent sub-score says why: `error` quarantined, `temp-unknown`
    stale, `unknown` missing.
    """
    news2 = event.news2
    if news2 is None:
        return None
    status = "preliminary" if news2.missing else "final"
    resource: Json = {
        **_head("Observation", _news2_id(event), event),
        "status": "entered-in-error" if event.state == "retracted" else status,
        "category": [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "survey"}]}
        ],
        "code": _concept(codes.SNOMED, *codes.TOTAL),
        **_about(event),
        "effectiveDateTime": to_iso(event.observed_time),
        "issued": to_iso(event.received_time),
        "device": _device(event),
        "valueInteger": news2.total,
        "interpretation": [{"text": f"{news2.band}{', a red parameter' if news2.red else ''}"}],
        "component": [*_sub_scores(news2), *_bounds(news2)],
    }
    evidence = _basis(event.evidence)
    if evidence:
        resource["derivedFrom"] = evidence
    return _encode(resource)


def render_provenance(event: AlertEvent) -> bytes:
    """Write the Provenance: which device, model and configuration made the two resources, from which sources."""
    targets = [{"reference": f"RiskAssessment/{event.alert_id}"}]
    if event.news2 is not None:
        targets.append({"reference": f"Observation/{_news2_id(event)}"})
    versions = [value for value in (event.model_version, event.configuration_hash) if value]
    sources = [{"identifier": {"system": codes.VERSION_SYSTEM, "value": value}} for value in versions]
    resource: Json = {
        **_head("Provenance", content_id("provenance", event.alert_id), event),
        "target": targets,
        "occurredDateTime": to_iso(event.observed_time),
        "recorded": to_iso(event.received_time),
        "agent": [
            {
                "type": _concept(
                    "http://terminology.hl7.org/CodeSystem/provenance-participant-type", "assembler", "Assembler"
                ),
                "who": _device(event),
            }
        ],
    }
    entities = [{"role": "source", "what": what} for what in [*sources, *_basis(event.evidence)]]
    if entities:
        resource["entity"] = entities
    return _encode(resource)


def _head(kind: str, resource_id: str, event: AlertEvent) -> Json:
    return {"resourceType": kind, "id": resource_id, "meta": {"lastUpdated": to_iso(event.received_time)}}


def _about(event: AlertEvent) -> Json:
    about: Json = {
        "subject": {"type": "Patient", "identifier": {"system": codes.PATIENT_SYSTEM, "value": event.patient}}
    }
    if event.encounter:
        identifier = {"system": codes.ENCOUNTER_SYSTEM, "value": event.encounter}
        about["encounter"] = {"type": "Encounter", "identifier": identifier}
    return about


def _news2_id(event: AlertEvent) -> str:
    return content_id("news2_observation", event.alert_id)


def _device(event: AlertEvent) -> Json:
    identifier = {"system": codes.DEVICE_SYSTEM, "value": event.model_version or "news2"}
    return {"type": "Device", "identifier": identifier, "display": "Wardstream"}


def _concept(system: str, code: str, display: str) -> Json:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _method(event: AlertEvent) -> Json:
    by_model = event.trigger == "model"
    text = f"model {event.model_version}" if by_model else "NEWS2 (Royal College of Physicians, 2017)"
    return {"coding": [{"system": codes.TRIGGER_SYSTEM, "code": event.trigger}], "text": text}


def _extensions(event: AlertEvent) -> list[Json]:
    words = {
        "state": event.state,
        "reason": event.reason,
        "priority": event.priority,
        "disposition": event.disposition,
    }
    extensions: list[Json] = [{"url": codes.EXTENSION + name, "valueCode": value} for name, value in words.items()]
    extensions.append({"url": codes.EXTENSION + "seq", "valuePositiveInt": event.seq})
    extensions.append({"url": codes.EXTENSION + "shadow", "valueBoolean": event.shadow})
    extensions.append({"url": codes.EXTENSION + "late", "valueBoolean": event.late})
    extensions.append({"url": codes.EXTENSION + "expires-at", "valueInstant": to_iso(event.expires_at)})
    return extensions


def _predictions(event: AlertEvent) -> list[Json]:
    outcome = {"text": "Clinical deterioration"}
    predictions: list[Json] = []
    if event.probability is not None or event.indeterminate:
        prediction: Json = {"outcome": outcome}
        if event.probability is not None and not event.indeterminate:
            prediction["probabilityDecimal"] = round(event.probability * 100, 4)
        else:
            prediction["qualitativeRisk"] = {"text": "indeterminate"}
        if event.horizon_h is not None:
            end = event.received_time + event.horizon_h * MILLIS_PER_HOUR
            prediction["whenPeriod"] = {"start": to_iso(event.received_time), "end": to_iso(end)}
        if event.probability_low is not None and event.probability_high is not None:
            low, high = round(event.probability_low * 100, 1), round(event.probability_high * 100, 1)
            prediction["rationale"] = f"interval {low} to {high} %; {_why(event)}".rstrip("; ")
        elif why := _why(event):
            prediction["rationale"] = why
        predictions.append(prediction)
    if event.news2 is not None:
        risk = codes.RISKS[event.news2.band]
        predictions.append(
            {
                "outcome": outcome,
                "qualitativeRisk": {"coding": [{"system": codes.RISK_SYSTEM, "code": risk}]},
                "whenPeriod": {
                    "start": to_iso(event.observed_time),
                    "end": to_iso(max(event.expires_at, event.observed_time)),
                },
            }
        )
    return predictions or [{"outcome": outcome, "qualitativeRisk": {"text": "indeterminate"}}]


def _why(event: AlertEvent) -> str:
    """Say why in words; of an event that has none, by the names of what moved the score most."""
    if (told := event.explanation) is not None:
        head = f"as of {to_iso(told.as_of)}, log-odds {told.log_odds:.2f} from {told.base:.2f}: "
        return head + "; ".join(told.sentences())
    return ("log-odds: " if event.contributions else "") + ", ".join(
        f"{one.feature} {one.log_odds:+.2f}" for one in event.contributions
    )


def _summary(event: AlertEvent) -> str:
    parts = [f"{event.state} ({event.reason}), {event.priority}, {event.disposition}"]
    if event.waiting_place is not None:
        parts.append(f"place {event.waiting_place} of what waits on the ward")
    if event.waited_ms is not None:
        parts.append(f"told after waiting {event.waited_ms // MILLIS_PER_MINUTE} min")
    if event.ward or event.bed:
        parts.append(f"ward {event.ward or 'unknown'}, bed {event.bed or 'unknown'}")
    if event.parameters:
        parts.append(f"about {', '.join(event.parameters)}")
    if event.news2 is not None:
        parts.append(f"NEWS2 {event.news2.total} (between {event.news2.low} and {event.news2.high})")
    return "; ".join(parts)


def _basis(evidence: Sequence[Evidence]) -> list[Json]:
    return [_source(one) for one in evidence[:EVIDENCE_MAX]]


def _source(one: Evidence) -> Json:
    display = f"{one.feature} {one.value:g} {one.unit} at {to_iso(one.event_time)}"
    if one.message_id.startswith("Observation/"):
        return {"reference": one.message_id, "display": display}
    value = f"{one.message_id}#{one.observation_id}"
    identifier = {"system": codes.MESSAGE_SYSTEM, "value": value}
    return {"type": "Observation", "identifier": identifier, "display": display}


def _sub_scores(news2: News2Summary) -> list[Json]:
    parts: list[Json] = []
    for name, code in codes.SUB_SCORES.items():
        chosen = codes.SPO2_SCALE_2 if name == "spo2" and news2.scale == 2 else code
        part: Json = {"code": _concept(codes.SNOMED, *chosen)}
        points = getattr(news2, name)
        if points is None:
            part["dataAbsentReason"] = {"coding": [{"system": codes.ABSENT_SYSTEM, "code": _absence(name, news2)}]}
        else:
            part["valueInteger"] = points
        parts.append(part)
    return parts


def _absence(name: str, news2: News2Summary) -> str:
    if name in news2.quarantined:
        return codes.ABSENT_QUARANTINED
    return codes.ABSENT_STALE if name in news2.stale else codes.ABSENT_MISSING


def _bounds(news2: News2Summary) -> list[Json]:
    return [
        {"code": _concept(codes.BOUND_SYSTEM, bound, f"NEWS2 total, {bound} bound"), "valueInteger": value}
        for bound, value in (("low", news2.low), ("high", news2.high))
    ]
