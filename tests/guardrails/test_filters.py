"""Each filter of the chain, found by listing the package, against the laws and its own claims."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import guardrails
from features.intake import Intake
from guardrails import checks
from guardrails.candidate import Candidate, Told
from guardrails.chain import CHAIN, decision, judge, judge_with
from guardrails.configuration import (
    POLICIES,
    STANDINGS,
    GuardrailSettings,
    SubgroupRules,
    VersionSettings,
    WardThresholds,
)
from guardrails.verdict import Verdict
from models.drift.served import Served
from models.groups import GROUP_NAMES
from models.news2 import PARAMETERS, News2, band_of
from models.scorer import FAILED, Prediction

HOUR = 3_600_000
V1 = "0123456789ab"
"""A version's id."""
SETTINGS = GuardrailSettings(raise_at=0.5, clear_at=0.3, shadow=False)


def news2_of(points: tuple[int | None, ...] = (0,) * 7, quarantined: tuple[str, ...] = ()) -> News2:
    total = sum(value for value in points if value)
    missing = tuple(name for name, value in zip(PARAMETERS, points, strict=True) if value is None)
    red = 3 in points
    high = total + 3 * len(missing)
    return News2(total, total, high, band_of(total, red=red), red, 1, *points, missing, (), quarantined)


def prediction_of(probability: float | None, **said: Any) -> Prediction:
    """Give what a version of format 2 says of a patient like those it was made on, the interval narrow."""
    if probability is None:
        return Prediction(None, (), V1, "no_usable_input")
    said = {"low": probability, "high": probability, "unlikeness": 0.2, **said}
    return Prediction(probability, (), V1, **said)


def candidate_of(probability: float | None = 0.6, **changes: Any) -> Candidate:
    base = Candidate(
        at=100 * HOUR,
        event_time=100 * HOUR,
        ward="W1",
        news2=news2_of(),
        prediction=prediction_of(probability),
        settings=SETTINGS,
        age_years=70.0,
    )
    return msgspec.structs.replace(base, **changes)


POINTS = st.tuples(*[st.one_of(st.none(), st.integers(0, 3))] * 7)
ANY_NUMBER = st.one_of(st.none(), st.floats(), st.floats(0, 1))
PREDICTIONS = st.one_of(
    st.none(),
    st.builds(
        Prediction,
        ANY_NUMBER,
        st.just(()),
        st.sampled_from(["", V1]),
        st.sampled_from(["", "not_finite", f"{FAILED} KeyError"]),
        ANY_NUMBER,
        ANY_NUMBER,
        ANY_NUMBER,
        st.sampled_from(["", "spo2.last"]),
    ),
)
LEVELS = st.sampled_from(
    [
        {"raise_at": 0.8, "clear_at": 0.7},
        {"raise_at": 0.5, "clear_at": 0.5},
        {"cost_of_miss": 9.0, "cost_of_false_alarm": 1.0},
        {"cost_of_miss": 1.0, "cost_of_false_alarm": 3.5},
    ]
)
WARDS = st.one_of(st.just({}), LEVELS.map(lambda levels: {"W1": WardThresholds(**levels)}))
POLICY = st.sampled_from(POLICIES)
NAMED = {"sex": ("female", "not recorded"), "age": ("80 and over",), "ward": ("W1",), "ethnicity": ("black",)}
GROUPS = st.fixed_dictionaries(
    {}, optional={name: st.dictionaries(st.sampled_from(of), POLICY) for name, of in NAMED.items()}
)
RULES = st.builds(SubgroupRules, POLICY, POLICY, POLICY, POLICY, GROUPS)
PATIENT_GROUPS = st.one_of(
    st.just(()),
    st.tuples(*(st.sampled_from([(name, one) for one in ("", *NAMED.get(name, ()))]) for name in GROUP_NAMES)),
)
EACH_GROUP = [(name, one) for name, of in NAMED.items() for one in of]
SERVED = st.one_of(
    st.none(),
    st.builds(
        Served,
        st.frozensets(st.sampled_from(tuple(GROUP_NAMES))),
        st.frozensets(st.sampled_from(EACH_GROUP)),
        st.dictionaries(st.sampled_from(EACH_GROUP), st.sampled_from(["sensitivity", "ppv", "calibration"])),
    ),
)
VERSIONS = st.one_of(
    st.just({}),
    st.builds(
        lambda levels, wards, standing, groups: {
            V1: VersionSettings(**levels, wards=wards, standing=standing, groups=groups)
        },
        st.one_of(st.just({}), LEVELS),
        WARDS,
        st.sampled_from(STANDINGS),
        GROUPS,
    ),
)
INTAKES = st.lists(
    st.builds(
        Intake,
        st.sampled_from(["accepted", "quarantined", "unmapped"]),
        st.sampled_from(["", "spo2", "temperature"]),
        st.just(""),
        st.just(1),
        st.just(0),
        ANY_NUMBER,
    ),
    max_size=3,
).map(tuple)
SETTINGS_STRATEGY = st.builds(
    lambda levels, **others: GuardrailSettings(**levels, **others),
    levels=LEVELS,
    refractory_ms=st.integers(0, 5 * HOUR),
    rise_step=st.floats(0.01, 1.0),
    min_fresh=st.integers(0, 7),
    shadow=st.booleans(),
    kill_switch=st.booleans(),
    wards=WARDS,
    versions=VERSIONS,
    subgroups=RULES,
)
CANDIDATES = st.builds(
    Candidate,
    at=st.integers(0, 10 * HOUR),
    event_time=st.integers(0, 10 * HOUR),
    ward=st.sampled_from(["", "W1", "W2"]),
    news2=st.builds(news2_of, POINTS, st.sampled_from([(), ("spo2",)])),
    prediction=PREDICTIONS,
    settings=SETTINGS_STRATEGY,
    intakes=INTAKES,
    age_years=st.one_of(st.none(), st.floats()),
    admitted=st.booleans(),
    discharged_time=st.one_of(st.none(), st.integers(0, HOUR)),
    deceased=st.booleans(),
    model_alert_open=st.booleans(),
    told=st.one_of(st.none(), st.builds(Told, st.floats(), st.integers(0, HOUR), st.booleans())),
    reviewed_until=st.one_of(st.none(), st.integers(0, 10 * HOUR)),
    pregnant=st.booleans(),
    end_of_life=st.booleans(),
    groups=PATIENT_GROUPS,
    served=SERVED,
)


WOMAN, MAN = (("sex", "female"), ("age", "65-79")), (("sex", "male"), ("age", "65-79"))
WORSE_FOR_WOMEN = Served(
    frozenset({"sex", "age"}),
    frozenset({("sex", "female"), ("sex", "male"), ("age", "65-79")}),
    {("sex", "female"): "sensitivity"},
)


def rules_of(**rules: Any) -> GuardrailSettings:
    return msgspec.structs.replace(SETTINGS, subgroups=SubgroupRules(**rules))


def filters_found() -> dict[str, type]:
    found = {}
    for module in pkgutil.iter_modules(guardrails.__path__):
        for thing in vars(importlib.import_module(f"guardrails.{module.name}")).values():
            if (
                isinstance(thing, type)
                and hasattr(thing, "REASONS")
                and hasattr(thing, "check")
                and hasattr(thing, "name")
            ):
                found[thing.name] = thing
    return found


FOUND = [one for one in filters_found().values() if one.__name__ != "Filter"]


def test_every_filter_found_stands_in_the_chain() -> None:
    """A filter that is written is a filter that is asked."""
    assert {one.name for one in CHAIN} == {one.name for one in FOUND}


@pytest.mark.parametrize("law", checks.FILTER_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("one", FOUND, ids=lambda one: one.name)
@given(candidate=CANDIDATES)
def test_every_filter_obeys_every_law(law: Any, one: Any, candidate: Candidate) -> None:
    """Each filter is pure, speaks for itself with declared reasons, and never raises, on any candidate."""
    law(one(), candidate)


@pytest.mark.parametrize("one", FOUND, ids=lambda one: one.name)
@settings(max_examples=40)
@given(candidate=CANDIDATES, others=SETTINGS_STRATEGY)
def test_every_filter_keeps_to_the_keys_it_names(one: Any, candidate: Candidate, others: GuardrailSettings) -> None:
    """What the table in docs/guardrails.md says is configured of a filter is all that is."""
    checks.keeps_to_its_keys(one(), candidate, others)


def test_no_two_filters_share_a_name() -> None:
    """Counting verdicts by filter name mixes nothing."""
    checks.names_are_unique(CHAIN)


class Contrary:
    """A filter that says whatever it is told to."""

    REASONS = ("contrary", "shadow")

    def __init__(self, kind: Any, reason: str) -> None:
        self.name = "contrary"
        self.verdict = Verdict("contrary", kind, reason)

    def check(self, _candidate: Candidate) -> Verdict:
        """Say it."""
        return self.verdict


@given(
    candidate=CANDIDATES,
    kind=st.sampled_from(["pass", "annotate", "abstain", "defer", "suppress"]),
    reason=st.sampled_from(["contrary", "shadow"]),
    place=st.integers(0, len(CHAIN)),
)
def test_adding_any_filter_anywhere_never_raises_an_alert(
    candidate: Candidate, kind: Any, reason: str, place: int
) -> None:
    """Whatever an added filter says, wherever it stands, nothing is told that was not told without it."""
    checks.adding_never_raises_an_alert(CHAIN, Contrary(kind, reason), place, candidate)


@pytest.mark.parametrize("left_out", range(len(CHAIN)))
@given(candidate=CANDIDATES)
def test_each_shipped_filter_only_takes_away(left_out: int, candidate: Candidate) -> None:
    """Each shipped filter, put back where it stands, raises nothing."""
    rest = CHAIN[:left_out] + CHAIN[left_out + 1 :]
    checks.adding_never_raises_an_alert(rest, CHAIN[left_out], left_out, candidate)


@given(candidate=CANDIDATES)
def test_judge_is_the_chain_and_stops_at_the_first_stop(candidate: Candidate) -> None:
    """The quick chain is the plain one, asks nothing after a stop, and is never silent without a reason."""
    verdicts = judge(candidate)
    assert verdicts == judge_with(CHAIN, candidate)
    checks.stops_at_first_stop(verdicts)
    checks.silence_has_a_reason(verdicts)
    checks.the_chain_is_pure(CHAIN, candidate)


@given(candidate=CANDIDATES)
def test_a_version_that_is_held_back_tells_nothing(candidate: Candidate) -> None:
    """Held, demoted, in shadow or under the kill switch: whatever the score, no ward hears of it."""
    checks.holding_back_never_raises_an_alert(CHAIN, candidate)


def test_the_chain_stands_in_the_order_of_the_design() -> None:
    """The eight filters of design section 5, subgroups before the version's standing, then the delivery gate."""
    assert [one.name for one in CHAIN] == [
        "plausibility", "freshness", "scope", "out_of_distribution", "uncertainty", "subgroups", "version_status",
        "threshold", "refractory", "delivery",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "name", "kind", "reason"),
    [
        ({"news2": news2_of(quarantined=("spo2",))}, "plausibility", "annotate", "quarantined_input"),
        ({"news2": news2_of((0, 0, 0, 0, 0, None, 0))}, "freshness", "annotate", "some_missing"),
        ({"age_years": None}, "scope", "annotate", "age_unknown"),
        ({"admitted": False}, "scope", "annotate", "admission_unknown"),
        ({"settings": SETTINGS.with_shadow(shadow=True)}, "version_status", "annotate", "shadow"),
        ({"news2": news2_of((0, 0, 0, None, None, None, None))}, "freshness", "abstain", "too_little_fresh_evidence"),
        ({"age_years": 15.99}, "scope", "abstain", "under_16"),
        ({"deceased": True}, "scope", "suppress", "deceased"),
        ({"admitted": False, "discharged_time": 5}, "scope", "suppress", "discharged"),
        ({"prediction": None}, "version_status", "abstain", "no_version"),
        ({"prediction": Prediction(0.5, (), "", low=0.5, high=0.5)}, "version_status", "abstain", "no_version"),
        ({"prediction": prediction_of(0.6, unlikeness=1.01)}, "out_of_distribution", "defer", "unlike"),
        ({"prediction": prediction_of(0.6, unlikeness=float("nan"))}, "out_of_distribution", "defer", "unlike"),
        ({"prediction": prediction_of(0.6, unlikeness=None)}, "out_of_distribution", "annotate", "no_summary"),
        ({"prediction": prediction_of(0.6, low=None)}, "uncertainty", "annotate", "no_summary"),
        ({"prediction": prediction_of(0.6, low=0.4)}, "uncertainty", "abstain", "indeterminate"),
        ({"prediction": prediction_of(0.4, high=0.6)}, "uncertainty", "abstain", "indeterminate"),
        ({"groups": WOMAN, "served": WORSE_FOR_WOMEN}, "subgroups", "annotate", "served_worse"),
        ({"groups": MAN, "served": WORSE_FOR_WOMEN}, "subgroups", "pass", "not_worse"),
        ({"groups": (("sex", ""),), "served": WORSE_FOR_WOMEN}, "subgroups", "annotate", "too_few_seen"),
        ({"groups": MAN, "settings": rules_of(no_figures="abstain")}, "subgroups", "abstain", "no_figures"),
        ({"groups": MAN, "settings": rules_of(groups={"sex": {"male": "review"}})}, "subgroups", "defer", "declared"),
        (
            {"groups": MAN, "settings": rules_of(groups={"sex": {"male": "review"}}), "reviewed_until": 101 * HOUR},
            "subgroups",
            "annotate",
            "reviewed",
        ),
        ({"settings": SETTINGS.with_standing(V1, "held")}, "version_status", "annotate", "held"),
        ({"settings": SETTINGS.with_standing(V1, "demoted")}, "version_status", "abstain", "demoted"),
        ({"prediction": Prediction(None, (), "v", f"{FAILED} E")}, "version_status", "abstain", "model_failed"),
        ({"prediction": Prediction(None, (), "v", "why")}, "version_status", "abstain", "no_probability"),
        ({"prediction": Prediction(float("nan"), (), "v")}, "version_status", "abstain", "not_finite"),
        ({"prediction": Prediction(1.5, (), "v")}, "version_status", "abstain", "not_finite"),
        ({"prediction": prediction_of(0.49)}, "threshold", "suppress", "below_threshold"),
        ({"told": Told(0.6, 99 * HOUR), "model_alert_open": True}, "refractory", "suppress", "same_episode"),
        ({"settings": SETTINGS.with_kill_switch(engaged=True)}, "delivery", "suppress", "kill_switch"),
    ],
)
def test_a_filter_says_its_reason(changes: Any, name: str, kind: str, reason: str) -> None:
    """Each reason not to speak plainly is given by its own filter for its own cause."""
    verdicts = judge(candidate_of(**changes))
    assert (name, kind, reason) in [(one.filter, one.verdict, one.reason) for one in verdicts]
    if kind not in ("pass", "annotate"):
        assert verdicts[-1].filter == name


def test_an_ordinary_high_risk_is_told() -> None:
    """A fresh, adult, enabled, high and new risk of a group that is known and served alike passes the whole chain."""
    verdicts = judge(candidate_of(groups=MAN, served=WORSE_FOR_WOMEN))
    assert [one.filter for one in verdicts] == [one.name for one in CHAIN]
    assert decision(verdicts) == "tell"


def test_plausibility_names_what_it_saw() -> None:
    """The annotation names this message's and NEWS2's quarantined features, in order, once each."""
    intakes = tuple(Intake("quarantined", name, "impossible_value", 1, 0, 6932.0) for name in ("temperature", "spo2"))
    verdict = judge(candidate_of(intakes=intakes, news2=news2_of(quarantined=("spo2",))))[0]
    assert verdict.detail == "spo2,temperature"


def test_an_open_alert_is_held_between_the_thresholds() -> None:
    """Between clear_at and raise_at an open alert stands and a new one is not raised."""
    between = prediction_of(0.4)
    assert decision(judge(candidate_of(prediction=between))) == "below_threshold"
    held = judge(candidate_of(prediction=between, model_alert_open=True, told=Told(0.6, 99 * HOUR)))
    assert decision(held) == "same_episode"
    low = judge(candidate_of(prediction=prediction_of(0.29), model_alert_open=True))
    assert decision(low) == "below_threshold"


def test_a_risen_risk_is_an_update_within_the_refractory_time() -> None:
    """A rise by rise_step is told at once, the passing of the refractory time tells an unchanged one."""
    told = Told(0.55, 99 * HOUR)
    assert judge(candidate_of(0.66, told=told, model_alert_open=True))[-2].reason == "risen"
    assert decision(judge(candidate_of(0.60, told=told, model_alert_open=True))) == "same_episode"
    long_ago = Told(0.55, 96 * HOUR)
    assert judge(candidate_of(0.60, told=long_ago, model_alert_open=True))[-2].reason == "refractory_over"


def test_what_was_only_held_is_said_when_the_switch_is_released() -> None:
    """An episode that was held under the kill switch is told at the first chance."""
    held = Told(0.6, 99 * HOUR, silent=True)
    killed = SETTINGS.with_kill_switch(engaged=True)
    assert decision(judge(candidate_of(told=held, model_alert_open=True, settings=killed))) == "same_episode"
    assert decision(judge(candidate_of(told=held, model_alert_open=True))) == "tell"


def test_a_ward_may_have_its_own_thresholds() -> None:
    """A ward's override replaces both thresholds for that ward only."""
    own = msgspec.structs.replace(SETTINGS, wards={"W1": WardThresholds(0.8, 0.7)})
    assert decision(judge(candidate_of(0.6, settings=own))) == "below_threshold"
    assert decision(judge(candidate_of(0.6, settings=own, ward="W2"))) == "tell"


def test_a_reviewed_patient_is_told_though_unlike() -> None:
    """After a clinician's word a deferred patient's scores pass, named as reviewed, until it ends."""
    unlike = prediction_of(0.6, unlikeness=4.0, unlike_in="spo2.last")
    until = candidate_of(prediction=unlike, reviewed_until=100 * HOUR + 1)
    assert ("annotate", "reviewed", "spo2.last") in [(one.verdict, one.reason, one.detail) for one in judge(until)]
    assert decision(judge(until)) == "tell"
    over = judge(candidate_of(prediction=unlike, reviewed_until=100 * HOUR))
    assert (over[-1].verdict, over[-1].detail, decision(over)) == ("defer", "spo2.last", "withheld")


@pytest.mark.parametrize(
    ("low", "high", "is_open", "reason"),
    [
        (0.49, 0.5, False, "indeterminate"),
        (0.5, 0.9, False, "determinate"),
        (0.1, 0.49, False, "determinate"),
        (0.31, 0.9, True, "determinate"),
        (0.29, 0.3, True, "indeterminate"),
        (0.0, 0.29, True, "determinate"),
    ],
)
def test_the_interval_is_held_against_the_decision_at_hand(low: float, high: float, is_open: bool, reason: str) -> None:  # noqa: FBT001
    """The raising threshold decides where no alert is open, the clearing one where one is; never a clear case."""
    verdicts = judge(
        candidate_of(
            prediction=prediction_of((low + high) / 2, low=low, high=high),
            model_alert_open=is_open,
            told=Told(0.6, 99 * HOUR) if is_open else None,
        )
    )
    assert next(one.reason for one in verdicts if one.filter == "uncertainty") == reason


def test_held_is_what_would_have_been_told() -> None:
    """A held version's high risk comes to `hold`, its low one stays below the threshold, as under the kill switch."""
    held = SETTINGS.with_standing(V1, "held")
    assert decision(judge(candidate_of(settings=held))) == "hold"
    assert decision(judge(candidate_of(0.1, settings=held))) == "below_threshold"
    silent = Told(0.6, 99 * HOUR, silent=True)
    assert decision(judge(candidate_of(settings=held, told=silent, model_alert_open=True))) == "same_episode"
    assert decision(judge(candidate_of(told=silent, model_alert_open=True))) == "tell"


def test_the_standing_of_another_version_is_no_matter() -> None:
    """Only the version whose score it is can be held by its standing."""
    assert decision(judge(candidate_of(settings=SETTINGS.with_standing("ba9876543210", "demoted")))) == "tell"


@given(candidate=CANDIDATES)
def test_without_a_probability_the_filters_of_numbers_say_nothing(candidate: Candidate) -> None:
    """NEWS2 alone has the verdicts it had before there were such filters, so old logs give the bytes they gave."""
    nothing = msgspec.structs.replace(candidate, prediction=Prediction(None, (), "", "no_version"))
    assert {one.filter for one in judge(nothing)}.isdisjoint({"out_of_distribution", "uncertainty"})
