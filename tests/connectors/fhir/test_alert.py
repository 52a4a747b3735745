"""Claims about alerts as FHIR R4B."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.provenance import Provenance
from fhir.resources.R4B.riskassessment import RiskAssessment

from alerts.contract import AlertEvent, Contribution, Evidence, News2Summary
from connectors.fhir.alert import render_alert, render_news2, render_provenance, render_risk_assessment
from events import MILLIS_PER_HOUR, content_id
from models.explaining.told import ToldExplanation, ToldReason

NEWS2 = News2Summary(
    total=8,
    low=8,
    high=13,
    band="high",
    red=True,
    scale=1,
    respiration_rate=3,
    spo2=2,
    oxygen=None,
    systolic_bp=None,
    pulse=3,
    consciousness=None,
    temperature=0,
    missing=("oxygen", "systolic_bp", "consciousness"),
    stale=("systolic_bp",),
    quarantined=("consciousness",),
)
EVENT = AlertEvent(
    event_id=content_id("event"),
    alert_id=content_id("alert"),
    episode_id=content_id("episode"),
    seq=1,
    state="raised",
    reason="band_rise",
    trigger="news2_floor",
    priority="interrupt",
    disposition="told",
    shadow=False,
    patient="pseudonym",
    encounter="stay",
    facility="",
    ward="W1",
    room="",
    bed="7",
    observed_time=1_000,
    received_time=2_000,
    expires_at=12 * MILLIS_PER_HOUR,
    late=False,
    age_ms=1_000,
    news2=NEWS2,
    probability=0.25,
    probability_low=0.1,
    probability_high=0.3,
    indeterminate=False,
    horizon_h=12,
    contributions=(Contribution("heart_rate", 0.5),),
    parameters=("respiration_rate",),
    verdicts=(),
    evidence=(
        Evidence("heart_rate", 132.0, "/min", 1_000, "Observation/o1", 7),
        Evidence("respiration_rate", 30.0, "/min", 1_000, "MSG00001", 8),
    ),
    model_version="abc123",
    configuration_hash="def456",
)


def changed(**fields: Any) -> AlertEvent:
    return msgspec.structs.replace(EVENT, **fields)


EXPLANATION = ToldExplanation(
    1_900,
    -3.9,
    -1.098612,
    (
        ToldReason("respiration_rate", "respiration rate 30 /min, just measured", "raises", 2.1, 30.0, "/min", 900),
        ToldReason("lactate", "lactate never measured", "lowers", -0.12, None, "mmol/L", None),
    ),
    49,
    0.821388,
)
EXPLAINED = changed(trigger="model", explanation=EXPLANATION)

EVENTS = [
    EVENT,
    changed(state="retracted", seq=2, reason="correction"),
    changed(state="updated", seq=2, encounter="", evidence=(), parameters=(), model_version=""),
    changed(news2=None, trigger="model"),
    changed(news2=None, probability=None, indeterminate=True, horizon_h=None, probability_low=None, contributions=()),
    changed(probability=None, contributions=(), model_version="", configuration_hash=""),
    changed(news2=None, probability=None),
    EXPLAINED,
    changed(news2=msgspec.structs.replace(NEWS2, scale=2, missing=())),
]


@pytest.mark.parametrize("event", EVENTS)
def test_valid(event: AlertEvent) -> None:
    """Every form of alert event gives resources that validate under fhir.resources.R4B."""
    RiskAssessment.model_validate_json(render_risk_assessment(event))
    Provenance.model_validate_json(render_provenance(event))
    news2 = render_news2(event)
    if news2 is not None:
        Observation.model_validate_json(news2)
    bundle = Bundle.model_validate_json(render_alert(event))
    assert len(bundle.entry) == 2 + (event.news2 is not None)


def test_probability_is_a_percentage() -> None:
    """R4 reads probabilityDecimal as per cent; its period is the horizon; the band is a risk of its own."""
    by_model, by_band = msgspec.json.decode(render_risk_assessment(EVENT))["prediction"]
    assert by_model["probabilityDecimal"] == 25.0
    assert by_model["whenPeriod"] == {"start": "1970-01-01T00:00:02Z", "end": "1970-01-01T12:00:02Z"}
    assert "10.0 to 30.0 %" in by_model["rationale"]
    assert by_band["qualitativeRisk"]["coding"][0]["code"] == "high"


def test_why_is_said_in_words() -> None:
    """The rationale gives reasons in clinical words with age and direction, all others as one, and the whole sum, as of
    when; the bare contributions are not said beside them.
    """
    risk = msgspec.json.decode(render_risk_assessment(EXPLAINED))
    assert risk["prediction"][0]["rationale"] == (
        "interval 10.0 to 30.0 %; as of 1970-01-01T00:00:01.900Z, log-odds -1.10 from -3.90: "
        "respiration rate 30 /min, just measured: raises risk (+2.10); lactate never measured: lowers risk (-0.12); "
        "49 others together: raises risk (+0.82)"
    )
    assert "mitigation" not in risk, "what moved a score is no advice"
    alone = msgspec.structs.replace(EXPLAINED, probability_low=None)
    rationale = msgspec.json.decode(render_risk_assessment(alone))["prediction"][0]["rationale"]
    assert rationale.startswith("as of 1970-01-01T00:00:01.900Z, log-odds")


def test_indeterminate_is_said() -> None:
    """Where the model may not answer, no probability is sent."""
    prediction = msgspec.json.decode(render_risk_assessment(changed(indeterminate=True)))["prediction"][0]
    assert "probabilityDecimal" not in prediction
    assert prediction["qualitativeRisk"] == {"text": "indeterminate"}


def test_sub_scores() -> None:
    """Every sub-score is a component; an absent one says why it is absent."""
    resource = msgspec.json.decode(render_news2(EVENT) or b"")
    parts = {part["code"]["coding"][0]["code"]: part for part in resource["component"]}
    assert (resource["valueInteger"], resource["status"]) == (8, "preliminary")
    assert parts["1104301000000104"]["valueInteger"] == 3
    reasons = {
        code: part["dataAbsentReason"]["coding"][0]["code"]
        for code, part in parts.items()
        if "valueInteger" not in part
    }
    assert reasons == {
        "1104331000000105": "unknown",
        "1104341000000101": "temp-unknown",
        "1104361000000100": "error",
    }
    assert (parts["low"]["valueInteger"], parts["high"]["valueInteger"]) == (8, 13)


def test_scale_2_has_its_own_code() -> None:
    """A saturation scored on scale 2 is coded as such."""
    data = render_news2(changed(news2=msgspec.structs.replace(NEWS2, scale=2))) or b""
    assert b"1104321000000108" in data
    assert b"1104311000000102" not in data


def test_retraction() -> None:
    """A retraction is entered-in-error under the ids that the alert had."""
    for render in (render_risk_assessment, render_news2):
        before, after = (msgspec.json.decode(render(event) or b"") for event in EVENTS[:2])
        assert before["id"] == after["id"]
        assert after["status"] == "entered-in-error"


def test_basis() -> None:
    """Evidence from FHIR is a reference; evidence from elsewhere is named by its message."""
    score, by_reference, by_message = msgspec.json.decode(render_risk_assessment(EVENT))["basis"]
    assert score["reference"].startswith("Observation/")
    assert by_reference["reference"] == "Observation/o1"
    assert by_message["identifier"]["value"] == "MSG00001#8"
