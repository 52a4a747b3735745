"""The floor beside the model: whatever the model does, the ward is told the same NEWS2 emergencies."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from msgspec.structs import replace

from alerts.contract import AlertEvent
from connectors.decoded import Identifier
from events import KillSwitch, Promotion
from guardrails.configuration import GuardrailSettings
from models.version import ModelVersion
from stream.effects import Effect
from stream.release import Release
from stream.service import EmbeddedService
from stream.settings import Settings
from stream.simulation import arrivals_of, hospital_stream

ALWAYS, NEVER = 6.0, -6.0
"""Logits of a model that always, or never, sees a deterioration coming."""
OF_THE_RUN = ("configuration_hash",)
"""What a floor event says of the run it came about in, not of the patient."""


def story_of_a_night(ward):
    """Play one patient's ups and downs, with a transfer, a correction, a late set, a merge and silence."""
    ward.admit("1")
    ward.admit("2", 1)
    for minute in range(10, 250, 30):
        ward.chart("1", minute, ward.SICK if minute % 60 == 10 else ward.WELL)
    ward.adt("A02", "1", 255, ward="Ward B")
    ward.chart("1", 260, {**ward.SICK, "temp": 6932.0})
    ward.chart("1", 270, {"rr": 20.0}, observed=259, status="C")
    ward.chart("1", 280, ward.WELL, observed=100)
    ward.adt("A40", "2", 300, retired=Identifier("MRN", "1"))
    ward.pass_time(340)
    ward.pass_time(1500)


def floor_events(ward) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in alert.items() if name not in OF_THE_RUN}
        for alert in ward.alerts(trigger="news2_floor")
    ]


def assert_gapless(alerts: list[dict[str, Any]]) -> None:
    by_alert: dict[str, list[int]] = {}
    for alert in alerts:
        by_alert.setdefault(alert["alert_id"], []).append(alert["seq"])
    assert by_alert
    for numbers in by_alert.values():
        assert numbers == list(range(1, len(numbers) + 1))


def thresholds(at: float) -> Settings:
    return Settings(guardrails=GuardrailSettings(raise_at=at, clear_at=at))


@pytest.mark.parametrize("logit", [ALWAYS, NEVER, math.nan, math.inf])
def test_every_floor_event_is_the_same_whatever_the_model_answers(new_ward, constant_version, logit):
    """A model that cries wolf, sleeps, or gives no number changes no byte of what the floor says."""
    alone, beside = new_ward(), new_ward(version=constant_version(logit), enabled=True)
    story_of_a_night(alone)
    story_of_a_night(beside)
    assert floor_events(alone) == floor_events(beside)
    assert len(floor_events(alone)) > 8


@pytest.mark.parametrize("at", [0.001, 1.0])
def test_every_floor_event_is_the_same_whatever_the_threshold(new_ward, shipped, at):
    """The lowest and the highest threshold leave every floor event as it is."""
    alone, beside = new_ward(), new_ward(settings=thresholds(at), version=shipped, enabled=True)
    story_of_a_night(alone)
    story_of_a_night(beside)
    assert floor_events(alone) == floor_events(beside)


def test_seq_is_gapless_for_each_alert(new_ward, constant_version):
    """Across corrections, transfers, merges, ticks and two channels, each alert counts 1, 2, 3."""
    ward = new_ward(version=constant_version(ALWAYS), enabled=True)
    story_of_a_night(ward)
    assert_gapless(ward.alerts())
    assert {alert["trigger"] for alert in ward.alerts()} == {"news2_floor", "model"}


def test_seq_is_gapless_in_a_whole_hospital(tmp_path, shipped):
    """A day and a half of a simulated hospital: each alert counts without a gap and nothing follows its end."""
    release = Release(Settings(), "test", shipped.version, enabled=True)
    heard: list[Effect] = []
    service = EmbeddedService(tmp_path, release, {shipped.version: shipped}, listen=heard.extend)
    service.accept(list(arrivals_of(hospital_stream(seed=11, beds=60, hours=36), Settings())))
    alerts = [effect for effect in heard if isinstance(effect, AlertEvent)]
    numbers: dict[str, int] = {}
    ended: set[str] = set()
    for alert in alerts:
        assert alert.alert_id not in ended
        assert alert.seq == numbers.get(alert.alert_id, 0) + 1
        numbers[alert.alert_id] = alert.seq
        if alert.state in ("resolved", "retracted", "expired"):
            ended.add(alert.alert_id)
    assert len(numbers) > 9


def test_the_kill_switch_holds_the_model_and_spares_the_floor(new_ward, constant_version):
    """With the switch thrown the floor says the same, and each model event is published as held, none as told."""
    free, killed = (new_ward(version=constant_version(ALWAYS), enabled=True) for _ in range(2))
    killed.enter(KillSwitch(killed.at(0), engaged=True, reason="test"), 0)
    story_of_a_night(free)
    story_of_a_night(killed)
    assert floor_events(free) == floor_events(killed)
    assert {alert["disposition"] for alert in killed.alerts(trigger="model")} == {"held"}
    assert "told" in {alert["disposition"] for alert in free.alerts(trigger="model")}


def of_news2(shipped: ModelVersion) -> ModelVersion:
    """A version whose risk is NEWS2's total and nothing else."""
    names = shipped.inputs.all_names()
    return replace(shipped, weights=tuple(float(name == "news2.total") * 4 for name in names), intercept=-4.0)


def test_a_retraction_by_correction_is_held_too(new_ward, shipped):
    """What the model takes back while the switch is thrown is held as well: the ward hears nothing of the model."""
    ward = new_ward(settings=thresholds(0.5), version=of_news2(shipped), enabled=True)
    ward.admit("1")
    ward.chart("1", 10, ward.SICK)
    assert [alert["disposition"] for alert in ward.alerts("1", "model")] == ["told"]
    ward.enter(KillSwitch(ward.at(11), engaged=True), 11)
    ward.chart("1", 12, {name: ward.WELL[name] for name in ("rr", "spo2", "sbp", "hr")}, observed=9, status="C")
    taken_back = [alert for alert in ward.alerts("1", "model") if alert["state"] == "retracted"]
    assert [alert["disposition"] for alert in taken_back] == ["held"]


def test_a_corrected_laboratory_value_takes_back_what_rested_on_it(new_ward, shipped):
    """The model told of a lactate that was a slip: the alert cites it, and is taken back with its correction."""
    names = shipped.inputs.all_names()
    weights = tuple(float(name == "lactate.last") * 4 for name in names)
    version = replace(shipped, weights=weights, intercept=-4.0, likeness=None, venn=None)
    ward = new_ward(version=version, enabled=True)
    ward.admit("1")
    ward.chart("1", 10, {**ward.WELL, "lactate": 4.0})
    (raised,) = ward.alerts("1", "model")
    assert ("lactate", 4.0) in [(item["feature"], item["value"]) for item in raised["evidence"]]
    ward.chart("1", 20, {"lactate": 1.0}, observed=9, status="C")
    assert ward.story("1", "model") == ["raised risk_threshold", "retracted correction"]


def test_the_switch_given_back_gives_the_model_its_voice(new_ward, constant_version):
    """After the switch is released the held risk is told at the next score."""
    ward = new_ward(version=constant_version(ALWAYS), enabled=True)
    ward.admit("1")
    ward.enter(KillSwitch(ward.at(1), engaged=True), 1)
    ward.chart("1", 10, ward.WELL)
    ward.enter(KillSwitch(ward.at(11), engaged=False), 11)
    ward.chart("1", 20, ward.WELL)
    assert [alert["disposition"] for alert in ward.alerts("1", "model")] == ["held", "told"]


def test_a_version_in_shadow_tells_nobody(new_ward, constant_version):
    """Until a promotion enables it a version's alerts are published as shadow only."""
    ward = new_ward(version=constant_version(ALWAYS))
    story_of_a_night(ward)
    assert {alert["disposition"] for alert in ward.alerts(trigger="model")} == {"shadow"}


def test_a_promotion_in_the_log_enables_from_there_on(new_ward, constant_version):
    """A promotion takes effect at its place in the log, not before."""
    version = constant_version(ALWAYS)
    ward = new_ward(version=version)
    ward.admit("1")
    ward.chart("1", 10, ward.WELL)
    ward.enter(Promotion(ward.at(11), version.version, enabled=True), 11)
    ward.chart("1", 20, ward.WELL)
    assert [alert["disposition"] for alert in ward.alerts("1", "model")] == ["shadow", "told"]


def test_a_model_that_gives_no_number_leaves_news2_alone(new_ward, constant_version):
    """NaN becomes an abstention with its reason; the floor still interrupts."""
    ward = new_ward(version=constant_version(math.nan), enabled=True)
    ward.admit("1")
    ward.chart("1", 10, ward.SICK)
    assert ward.alerts("1", "model") == []
    assert ward.story("1") == ["raised band_rise"]
    score = ward.score("1")
    assert score["probability"] is None
    assert score["verdicts"][-1]["filter"] == "version_status"
    assert score["verdicts"][-1]["verdict"] == "abstain"


def test_a_version_that_is_not_there_leaves_news2_alone(new_ward):
    """A promotion of a version that cannot be loaded is said with each score, and the floor still interrupts."""
    ward = new_ward(version="feedfacecafe", enabled=True)
    ward.admit("1")
    ward.chart("1", 10, ward.SICK)
    assert ward.alerts("1", "model") == []
    assert ward.story("1") == ["raised band_rise"]
    last = ward.score("1")["verdicts"][-1]
    assert (last["verdict"], last["detail"]) == ("abstain", "version_not_loaded")
    assert ward.score("1")["model"] == "feedfacecafe"


def test_a_version_of_other_inputs_is_not_used(new_ward, shipped):
    """A version trained on other inputs than ours scores nobody."""
    ward = new_ward(version=replace(shipped, schema_hash="sha256:other"), enabled=True)
    ward.admit("1")
    ward.chart("1", 10, ward.SICK)
    assert ward.score("1")["probability"] is None
    assert ward.story("1") == ["raised band_rise"]


def test_too_little_evidence_makes_the_model_abstain(new_ward, constant_version):
    """With fewer than four fresh parameters the model says nothing, and a red one is told all the same."""
    ward = new_ward(version=constant_version(ALWAYS), enabled=True)
    ward.admit("1")
    ward.chart("1", 10, {"rr": 40.0, "hr": 80.0})
    assert ward.alerts("1", "model") == []
    assert ward.score("1")["verdicts"][-1]["reason"] == "too_little_fresh_evidence"
    assert ward.story("1") == ["raised new_red"]


def test_a_model_alert_is_told_once_within_the_refractory_time(new_ward, constant_version):
    """An unchanged risk is told, and told again after four hours; each score in between is a suppression."""
    ward = new_ward(version=constant_version(ALWAYS), enabled=True)
    ward.admit("1")
    for minute in range(10, 310, 30):
        ward.chart("1", minute, ward.WELL)
    told = [alert for alert in ward.alerts("1", "model") if alert["state"] in ("raised", "updated")]
    assert [alert["reason"] for alert in told] == ["risk_threshold", "risk_persists"]
    reasons = {line["withheld_by"]["reason"] for line in ward.outputs("suppressed")}
    assert reasons == {"same_episode"}
    assert len(ward.outputs("suppressed")) == len(ward.outputs("scores")) - len(told)


def test_what_is_said_does_not_depend_on_who_lies_beside(new_ward):
    """A patient's alerts are the same with and without other patients' traffic between."""
    alone, among = new_ward(), new_ward()
    for ward, others in ((alone, ()), (among, ("7", "8", "9"))):
        for mrn in others:
            ward.admit(mrn)
        ward.admit("1")
        for minute, other in zip(range(10, 200, 10), itertools.cycle(others or ("",)), strict=False):
            ward.chart("1", minute, ward.SICK if minute < 60 else ward.WELL)
            if other:
                ward.chart(other, minute + 3, ward.SICK)

    def said(ward):
        return [(alert["state"], alert["reason"], alert["seq"], alert["news2"]) for alert in ward.alerts("1")]

    # Timers fire on whole minutes that have passed by a record: the last record is the patient's own in both.
    assert said(alone) == said(among)
