"""A version of format 3 in the whole service: promoted, scored with, explained, and the same on a second run."""

from __future__ import annotations

import msgspec

from alerts.contract import AlertEvent
from connectors.memory import MemoryJournal
from events import Envelope, Promotion, content_id
from features.store import MemoryStateStore
from models.checks_ensemble import random_version
from models.explaining.words import feature_of
from models.inputs import LEARNING_INPUTS, schema_hash_of
from models.rows import Inputs
from models.version import dump, load
from stream.effects import Effect, Score
from stream.host import EmbeddedHost
from stream.identity import IdentityMap, Pseudonyms
from stream.parse import Parser, RecentMessages
from stream.settings import Settings
from stream.simulation import arrivals_of, hospital_stream

SOME = Inputs(LEARNING_INPUTS.names[::3], LEARNING_INPUTS.indicators[:6])
"""Inputs of its own choice and order: every third that this release computes."""


def risky_version():
    version = random_version(5, Inputs(SOME.names, ()), schema_hash_of(Inputs(SOME.names, ())), trees=40, pairs=30)
    weights = msgspec.structs.replace(version.ensemble, intercept=version.ensemble.intercept + 2.0)
    return load(dump(msgspec.structs.replace(version, ensemble=weights)))


VERSION = risky_version()


def run() -> list[Effect]:
    effects: list[Effect] = []
    host = EmbeddedHost(
        MemoryJournal(),
        MemoryStateStore(),
        Parser(IdentityMap(Pseudonyms()), RecentMessages()),
        versions={VERSION.version: VERSION},
        carry_out=lambda found, _offsets: effects.extend(found),
        durable=False,
    )
    arrivals = list(arrivals_of(hospital_stream(seed=11, beds=24, hours=24), Settings()))
    start = arrivals[0].received_time
    promotion = Promotion(start, VERSION.version, True)
    host.enter([Envelope(content_id("test", "promotion"), "", start, start, (promotion,), message_id="control")])
    host.accept(arrivals)
    host.fold()
    assert host.pipeline.tally.unfoldable == 0
    return effects


def test_an_ensemble_scores_and_explains_in_the_service():
    """Patients are scored with the version's own row, its alerts name features, and a second run says the same."""
    effects = run()
    scores = [one for one in effects if isinstance(one, Score)]
    scored = [one for one in scores if one.probability is not None]
    assert len(scored) > 100
    assert {one.model for one in scored} == {VERSION.version}
    assert len({one.probability for one in scored}) > 50
    assert not [one for one in scores if any(each.reason.startswith("model_failed") for each in one.verdicts)]
    told = [one for one in effects if isinstance(one, AlertEvent) and one.trigger == "model" and one.contributions]
    assert told
    features = {feature_of(name) for name in SOME.names}
    for event in told:
        named = [one.feature for one in event.contributions]
        assert set(named) <= features
        assert len(set(named)) == len(named)
    assert run() == effects
