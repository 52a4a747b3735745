"""Why a model's alert is said, in words: where it stands, as of when, at what cost; the floor has none of it."""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal

import msgspec
import pytest

import stream.scoring
from alerts.contract import AlertEvent, from_json, to_json
from models.checks_ensemble import random_version
from models.inputs import LEARNING_INPUTS, schema_hash_of
from models.rows import Inputs
from models.version import dump, load
from stream.partition_fold import PartitionFold
from tests.live.parity import hospital_log

SOME = Inputs(LEARNING_INPUTS.names[::3], ())
FRESH = {"risk_threshold", "risk_risen", "now_audible", "risk_below_threshold"}
"""Reasons of events that rest on a new score: the explanation is that score's."""


def ensemble():
    version = random_version(5, SOME, schema_hash_of(SOME), trees=40, pairs=30)
    weights = msgspec.structs.replace(version.ensemble, intercept=version.ensemble.intercept + 2.0)
    return load(dump(msgspec.structs.replace(version, ensemble=weights)))


def loud(shipped):
    """Have the shipped version tell more than it does: that much is said is what is tried here, not what."""
    return load(dump(msgspec.structs.replace(shipped, intercept=shipped.intercept + 4.0, likeness=None, venn=None)))


@pytest.fixture(scope="module", params=["logistic, format 2", "ensemble, format 3"])
def version(request, shipped):
    return loud(shipped) if request.param.startswith("logistic") else ensemble()


@pytest.fixture(scope="module")
def log(version):
    """Record a hospital under the version, told aloud."""
    versions = {version.version: version}
    return hospital_log(1, beds=24, hours=30, version=version.version, enabled=True, versions=versions)


def run(version, log):
    """Give what a hospital's log comes to under a version in force, and the fold."""
    fold = PartitionFold(0, 1, {version.version: version})
    return [effect for envelope in log.partitions[0] for effect in fold.fold(envelope)], fold


def events_of(effects):
    return [effect for effect in effects if isinstance(effect, AlertEvent)]


def test_a_model_alert_says_why_and_it_adds_up(version, log):
    """Every event of the model that has a probability has the reasons, which are the probability; no other has."""
    events = events_of(run(version, log)[0])
    model = [event for event in events if event.trigger == "model"]
    assert Counter(event.reason for event in model)["risk_threshold"] > 10
    for event in events:
        told = event.explanation
        if event.trigger != "model" or event.probability is None:
            assert told is None
            assert b'"explanation"' not in to_json(event)
            continue
        assert told is not None
        parts = (told.base, *(one.log_odds for one in told.reasons), told.others_log_odds)
        assert sum(map(Decimal, map(str, parts))) == Decimal(str(told.log_odds))
        assert 1 <= len(told.reasons) <= 5
        assert all(one.text and "_" not in one.text and "nan" not in one.text for one in told.reasons)
        if event.reason in FRESH:
            assert told.as_of == event.received_time
            assert 1 / (1 + math.exp(-told.log_odds)) == pytest.approx(event.probability, abs=1.2e-6)
        assert from_json(to_json(event)) == msgspec.structs.replace(event, former_ward=None)


def test_what_follows_repeats_why_it_was_told(version, log):
    """An event that rests on no new score has the explanation of the event before it, with its time."""
    before, repeated = {}, 0
    for event in events_of(run(version, log)[0]):
        known = before.get(event.alert_id)
        if event.trigger == "model" and event.reason in ("escalated", "unanswered", "transferred", "no_fresh_evidence"):
            assert event.explanation == known
            repeated += known is not None
        before[event.alert_id] = event.explanation
    assert repeated > 0


def test_values_and_ages_are_as_of_the_alert(version, log):
    """A reason's value is one that the event cites as evidence, and as old as that was when the alert was said."""
    compared = 0
    for event in events_of(run(version, log)[0]):
        if event.trigger != "model" or event.reason not in FRESH or event.explanation is None:
            continue
        cited = {one.feature: one for one in event.evidence}
        for one in event.explanation.reasons:
            if one.value is not None and one.feature in cited:
                assert one.value == pytest.approx(cited[one.feature].value)
                assert one.age_ms == event.received_time - cited[one.feature].event_time
                compared += 1
    assert compared > 10


def test_only_what_is_said_is_explained(version, log, monkeypatch):
    """Words are found once for an event that rests on a new score, and for no other score."""
    found = []

    def counted(*arguments):
        found.append(arguments[-1])
        return tell(*arguments)

    tell = stream.scoring.tell
    monkeypatch.setattr(stream.scoring, "tell", counted)
    effects, fold = run(version, log)
    fresh = [one for one in events_of(effects) if one.explanation and one.explanation.as_of == one.received_time]
    assert sorted(found) == sorted(one.received_time for one in fresh)
    assert len(found) < fold.pipeline.tally.scores / 2


def test_an_alert_goes_out_though_its_words_fail(version, log, monkeypatch):
    """A fault in our words costs the alert its words, is counted, and changes nothing else that is said."""
    whole, _ = run(version, log)

    def fail(*_arguments):
        raise KeyError

    monkeypatch.setattr(stream.scoring, "tell", fail)
    bare, fold = run(version, log)
    unexplained = [
        msgspec.structs.replace(one, explanation=None, contributions=()) if isinstance(one, AlertEvent) else one
        for one in whole
    ]
    assert unexplained == bare
    assert fold.pipeline.tally.unexplained > 10
