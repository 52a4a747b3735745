"""The laws of the chain in the flow: what the floor tells is unmoved, and each verdict is published and counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.contract import AlertEvent
from alerts.ward_settings import WardSettings
from connectors.memory import MemoryJournal
from events import Configuration, Envelope, Event, KillSwitch, Promotion, Standing, content_id
from features.store import MemoryStateStore
from guardrails import checks
from guardrails.candidate import Candidate
from guardrails.chain import CHAIN, Filter, judge, judge_with
from guardrails.configuration import POLICIES, STANDINGS, GuardrailSettings, SubgroupRules
from guardrails.verdict import Verdict
from models.drift.served import GroupCounts
from models.scorer import Scorer
from models.version import ModelVersion
from stream.effects import Effect, Score, Suppression
from stream.host import EmbeddedHost
from stream.identity import IdentityMap, Pseudonyms
from stream.parse import Parser, RecentMessages
from stream.pipeline import QUIET_REASONS
from stream.settings import Settings, configuration_hash, configuration_text
from stream.simulation import arrivals_of, hospital_stream
from stream.versions import load_versions

SHIPPED = next(iter(load_versions()[0].values()))
ALWAYS, NEVER = 6.0, -6.0
OF_THE_RUN = ("configuration_hash",)
"""What a floor event says of the run it came about in, not of the patient."""


def answering(logit: float) -> ModelVersion:
    return msgspec.structs.replace(SHIPPED, weights=(0.0,) * len(SHIPPED.weights), intercept=logit)


WORSE_FOR_WOMEN = msgspec.structs.replace(
    answering(ALWAYS),
    groups=(
        GroupCounts("sex", "female", 900, 90, 100, 30, 90.0),
        GroupCounts("sex", "male", 900, 90, 140, 80, 90.0),
    ),
)
VERSIONS = {
    one.version: one for one in (SHIPPED, answering(ALWAYS), answering(NEVER), answering(math.nan), WORSE_FOR_WOMEN)
}
NAMES = (*VERSIONS, "ffffffffffff", "")


class Run:
    """One fold of a log, and what came of it."""

    def __init__(self, log: Sequence[Envelope]) -> None:
        self.effects: list[Effect] = []
        host = EmbeddedHost(
            MemoryJournal(),
            MemoryStateStore(),
            Parser(IdentityMap(Pseudonyms()), RecentMessages()),
            versions=VERSIONS,
            carry_out=lambda effects, _offsets: self.effects.extend(effects),
            durable=False,
        )
        host.enter(list(log))
        self.tally = host.pipeline.tally

    def told_by_the_floor(self) -> list[dict[str, Any]]:
        """Give the floor's events, without what names the run."""
        return [
            {name: value for name, value in msgspec.structs.asdict(one).items() if name not in OF_THE_RUN}
            for one in self.effects
            if isinstance(one, AlertEvent) and one.trigger == "news2_floor"
        ]

    def told_by_the_model(self) -> list[AlertEvent]:
        """Give the model's events."""
        return [one for one in self.effects if isinstance(one, AlertEvent) and one.trigger == "model"]


class Log(MemoryJournal):
    """A journal that keeps what was appended."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Envelope] = []

    def append(self, batch: Any) -> int:
        """Keep the envelopes as well."""
        self.kept += [record.envelope for record in batch.records]
        return super().append(batch)


def hospital_log() -> list[Envelope]:
    journal = Log()
    host = EmbeddedHost(
        journal,
        MemoryStateStore(),
        Parser(IdentityMap(Pseudonyms()), RecentMessages()),
        versions={},
        carry_out=lambda _effects, _offsets: None,
        durable=False,
    )
    host.accept(list(arrivals_of(hospital_stream(seed=11, beds=60, hours=48), Settings())))
    host.fold()
    return journal.kept


LOG = hospital_log()
START = LOG[0].received_time
ALONE = Run(LOG).told_by_the_floor()


def control(event: Event, at: int) -> Envelope:
    return Envelope(content_id("test", repr(event), str(at)), "", at, at, (event,), message_id="control")


def configuration(guardrails: GuardrailSettings, budget: int) -> Configuration:
    site = Settings(guardrails=guardrails, wards=WardSettings(budget=budget))
    return Configuration(START, configuration_hash(site), configuration_text(site))


CONTROLS: st.SearchStrategy[Event] = st.one_of(
    st.builds(Promotion, st.just(START), st.sampled_from(NAMES), st.booleans()),
    st.builds(Standing, st.just(START), st.sampled_from(NAMES), st.sampled_from(STANDINGS)),
    st.builds(KillSwitch, st.just(START), st.booleans()),
    st.builds(
        lambda level, share, budget, **others: configuration(
            GuardrailSettings(raise_at=level, clear_at=level * share, **others), budget
        ),
        st.floats(0.001, 1.0),
        st.floats(0.1, 1.0),
        st.integers(1, 9),
        min_fresh=st.integers(0, 7),
        refractory_ms=st.integers(0, 10**8),
        rise_step=st.floats(0.01, 1.0),
        kill_switch=st.booleans(),
        subgroups=st.builds(
            SubgroupRules,
            worse=st.sampled_from(POLICIES),
            too_few=st.sampled_from(POLICIES),
            no_figures=st.sampled_from(POLICIES),
            groups=st.fixed_dictionaries(
                {}, optional={"sex": st.dictionaries(st.sampled_from(["female", "male"]), st.sampled_from(POLICIES))}
            ),
        ),
    ),
)
DECIDED = st.lists(st.tuples(st.integers(0, len(LOG)), CONTROLS), min_size=1, max_size=8)


def among(log: Sequence[Envelope], decided: Sequence[tuple[int, Event]]) -> list[Envelope]:
    """Put control events between the records of a log, each at the clock of its place."""
    result, clock = [], START
    for place, envelope in enumerate(log):
        result += [control(event, clock) for at, event in decided if at == place]
        clock = max(clock, envelope.received_time)
        result.append(envelope)
    return result


class Contrary:
    """A filter that decides by a hash of what it sees: as good as random, and pure."""

    METHOD = ("none", "none")
    KEYS = ()
    REASONS = ("contrary", "held", "shadow", "below_threshold", "deceased")
    KINDS = ("pass", "annotate", "abstain", "defer", "suppress")

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.name = f"contrary_{seed}"

    def check(self, candidate: Candidate) -> Verdict:
        """Say something."""
        drawn = (candidate.at // 1000 * 2_654_435_761 + self.seed * 40_503) >> 7
        return Verdict(self.name, self.KINDS[drawn % 5], self.REASONS[drawn // 5 % 5])  # type: ignore[arg-type]


CHAINS = st.one_of(
    st.just(CHAIN),
    st.lists(st.one_of(st.sampled_from(CHAIN), st.builds(Contrary, st.integers(0, 99))), max_size=9).map(tuple),
)


def test_the_log_has_emergencies() -> None:
    """The log that the laws are tried on has the floor tell of many, and the model let speak tells of some."""
    assert len(ALONE) > 40
    beside = Run([control(Promotion(START, SHIPPED.version, enabled=True), START), *LOG])
    assert "told" in {event.disposition for event in beside.told_by_the_model()}


@settings(max_examples=25, deadline=None)
@given(decided=DECIDED, chain=CHAINS)
def test_what_the_floor_tells_is_unmoved(decided: list[tuple[int, Event]], chain: tuple[Filter, ...]) -> None:
    """Whatever the filters and budgets are, and whoever promotes, holds, demotes, configures or throws the switch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stream.scoring.judge", lambda candidate: judge_with(chain, candidate) or judge(candidate))
        beside = Run(among(LOG, decided))
    checks.the_floor_is_unmoved(ALONE, beside.told_by_the_floor())


@settings(max_examples=15, deadline=None)
@given(decided=DECIDED)
def test_every_verdict_is_published_and_counted(decided: list[tuple[int, Event]]) -> None:
    """Each stop that is not below the threshold is an output of its own; each verdict but a pass is counted."""
    run = Run(among(LOG, decided))
    checks.every_verdict_is_published_and_counted(
        [
            tuple(verdict for verdict in one.verdicts if verdict.filter != "news2_floor")
            for one in run.effects
            if isinstance(one, Score)
        ],
        [one.withheld_by for one in run.effects if isinstance(one, Suppression)],
        run.tally.verdict_counts(),
        QUIET_REASONS,
    )


def spoken(run: Run, start: int) -> set[str]:
    return {event.disposition for event in run.told_by_the_model() if event.received_time > start}


def promoted(*more: tuple[int, Event]) -> Run:
    version = answering(ALWAYS).version
    return Run(among(LOG, [(0, Promotion(START, version, enabled=True)), *more]))


@pytest.mark.parametrize(
    ("standing", "dispositions"),
    [("good", {"told", "waiting"}), ("held", {"held"}), ("demoted", {"told", "board", "waiting"})],
)
def test_a_standing_takes_effect_at_its_place_in_the_log(standing: Any, dispositions: set[str]) -> None:
    """Held: published as held. Demoted: what is open is said to be abstained from, and nothing new is raised."""
    half = len(LOG) // 2
    clock = max(envelope.received_time for envelope in LOG[:half])
    run = promoted((half, Standing(START, answering(ALWAYS).version, standing)))
    after = [event for event in run.told_by_the_model() if event.received_time > clock]
    assert spoken(run, clock) <= dispositions
    assert after
    if standing == "demoted":
        assert {event.reason for event in after if event.state == "updated"} >= {"abstained"}
        assert "raised" not in {event.state for event in after}


def test_a_model_that_raises_loses_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in the model is an abstention with its kind; nothing is unfoldable, and the floor says all it says."""

    def fail(_scorer: Scorer, _vector: Sequence[float]) -> list[float]:
        raise KeyError("a bug")

    monkeypatch.setattr(Scorer, "logits", fail)
    run = promoted()
    assert run.tally.unfoldable == 0
    assert run.tally.verdict_counts()["version_status:abstain:model_failed"] > 100
    checks.the_floor_is_unmoved(ALONE, run.told_by_the_floor())
