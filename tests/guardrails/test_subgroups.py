"""The subgroup filter: what is known and declared of a patient's groups decides, and nobody is silenced by default."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.chain import decision, judge
from guardrails.configuration import POLICIES, GuardrailSettings, Policy, SubgroupRules, VersionSettings
from guardrails.subgroups import PLACES, UNSAID, Subgroups
from models.drift.served import Served
from models.groups import GROUP_NAMES, NOT_RECORDED
from tests.guardrails.test_filters import (
    CANDIDATES,
    HOUR,
    MAN,
    SETTINGS,
    V1,
    WOMAN,
    WORSE_FOR_WOMEN,
    Candidate,
    candidate_of,
    prediction_of,
    rules_of,
)

KINDS = {"trust": "pass", "annotate": "annotate", "review": "defer", "abstain": "abstain"}
SUBGROUPS = Subgroups()


def said(groups: Any, settings: GuardrailSettings = SETTINGS, served: Served | None = WORSE_FOR_WOMEN) -> Any:
    verdict = SUBGROUPS.check(candidate_of(groups=groups, settings=settings, served=served))
    return None if verdict is None else (verdict.verdict, verdict.reason, verdict.detail)


def test_by_default_a_group_that_is_served_worse_is_told_with_a_remark() -> None:
    """A woman is told of as a man is, and the alert says by which figure the version is less to be trusted for her."""
    woman, man = (judge(candidate_of(groups=groups, served=WORSE_FOR_WOMEN)) for groups in (WOMAN, MAN))
    assert decision(woman) == decision(man) == "tell"
    assert said(WOMAN) == ("annotate", "served_worse", "sex female (sensitivity)")
    assert said(MAN) == ("pass", "not_worse", "")


@given(candidate=CANDIDATES)
def test_no_default_keeps_anything_from_a_ward(candidate: Candidate) -> None:
    """Whatever a version's figures are, without a word of the site's the filter never stops a score."""
    plain = msgspec.structs.replace(candidate, settings=SETTINGS)
    verdict = SUBGROUPS.check(plain)
    assert verdict is None or verdict.proceeds


@pytest.mark.parametrize("policy", POLICIES)
def test_too_few_is_by_declared_policy(policy: Policy) -> None:
    """Of whom too few were seen to know, the site's word holds; `trust` says nothing of it."""
    verdict = said((("sex", "other"),), rules_of(too_few=policy))
    expected = ("pass", "not_worse", "") if policy == "trust" else (KINDS[policy], "too_few_seen", "sex other")
    assert verdict == expected


@pytest.mark.parametrize("attribute", sorted(PLACES))
def test_a_ward_of_which_too_few_were_seen_has_its_own_policy(attribute: str) -> None:
    """Nearly every ward is such a one: by default it is not remarked on each alert."""
    served = Served(frozenset({attribute}), frozenset(), {})
    assert said(((attribute, "W9"),), served=served) == ("pass", "not_worse", "")
    assert said(((attribute, "W9"),), rules_of(too_few_places="abstain"), served)[:2] == ("abstain", "too_few_seen")


@pytest.mark.parametrize("policy", POLICIES)
def test_a_version_without_figures_is_by_declared_policy(policy: Policy) -> None:
    """By default it is silent, as its card says what it does not know; else each score says so."""
    verdict = said(MAN, rules_of(no_figures=policy), None)
    assert verdict == (None if policy == "trust" else (KINDS[policy], "no_figures", ""))


def test_who_is_not_recorded_is_a_group_like_any_other() -> None:
    """A version that was shown to know those of unknown sex knows the patient at hand; one that was not says so."""
    known = Served(frozenset({"sex"}), frozenset({("sex", NOT_RECORDED)}), {})
    assert said((("sex", ""),), served=known) == ("pass", "not_worse", "")
    assert said((("sex", ""),)) == ("annotate", "too_few_seen", f"sex {NOT_RECORDED}")


def test_an_attribute_that_the_version_does_not_tell_apart_says_nothing() -> None:
    """A version made where ethnicity is not recorded has no figures of it, and none is missed."""
    assert said((*MAN, ("ethnicity", "black"))) == ("pass", "not_worse", "")


def test_what_a_person_declared_outranks_the_figures() -> None:
    """Milder or stricter: who looked at the live figures of a group may declare what follows."""
    trusted = rules_of(groups={"sex": {"female": "trust"}})
    assert said(WOMAN, trusted) == ("pass", "declared", "sex female")
    assert said(WOMAN, rules_of(groups={"sex": {"female": "abstain"}})) == ("abstain", "declared", "sex female")
    assert said(MAN, trusted) == ("pass", "not_worse", "")


def test_a_declaration_under_a_version_outranks_the_one_for_all_versions() -> None:
    """And holds under no other version."""
    rules = SubgroupRules(groups={"sex": {"female": "annotate"}})
    own = {V1: VersionSettings(groups={"sex": {"female": "abstain"}})}
    settings = msgspec.structs.replace(SETTINGS, subgroups=rules, versions=own)
    assert said(WOMAN, settings)[:2] == ("abstain", "declared")
    other = candidate_of(groups=WOMAN, settings=settings, served=None)
    other = msgspec.structs.replace(other, prediction=msgspec.structs.replace(prediction_of(0.6), version="f" * 12))
    verdict = SUBGROUPS.check(other)
    assert verdict is not None
    assert (verdict.verdict, verdict.reason) == ("annotate", "declared")


@given(policies=st.lists(st.sampled_from(POLICIES), min_size=2, max_size=2))
def test_the_strictest_of_a_patients_groups_counts(policies: list[Policy]) -> None:
    """Whatever the order in which they stand."""
    groups = {"sex": {"female": policies[0]}, "age": {"65-79": policies[1]}}
    verdict = said(WOMAN, rules_of(groups=groups))
    strictest = max(policies, key=POLICIES.index)
    assert verdict[0] == KINDS[strictest]
    named = [f"{name} {one}" for (name, one), policy in zip(WOMAN, policies, strict=True) if policy == strictest]
    assert verdict[2] == "; ".join(named)


def test_a_person_lets_a_reviewed_patient_be_told() -> None:
    """While the answer lasts; afterwards the next score waits again."""
    settings = rules_of(worse="review")
    for until, expected in ((101 * HOUR, "annotate"), (100 * HOUR, "defer"), (None, "defer")):
        candidate = candidate_of(groups=WOMAN, served=WORSE_FOR_WOMEN, settings=settings, reviewed_until=until)
        verdict = SUBGROUPS.check(candidate)
        assert verdict is not None
        assert verdict.verdict == expected


@given(policy=st.sampled_from(POLICIES), group=st.sampled_from([*GROUP_NAMES["ethnicity"], ""]))
def test_no_verdict_names_an_ethnicity(policy: Policy, group: str) -> None:
    """A verdict goes out with scores and alerts: it says the attribute, whatever the reason, and never the group."""
    declared = rules_of(groups={"ethnicity": {group or NOT_RECORDED: policy}})
    for settings in (rules_of(worse=policy, too_few=policy), declared):
        for worse in ({}, {("ethnicity", group or NOT_RECORDED): "ppv"}):
            verdict = said((("ethnicity", group),), settings, Served(frozenset(UNSAID), frozenset(), worse))
            assert verdict[2] in ("", "ethnicity", "ethnicity (ppv)")


def test_without_a_probability_nothing_is_said() -> None:
    """There is nothing to be trusted or not."""
    assert SUBGROUPS.check(candidate_of(None, groups=WOMAN, served=WORSE_FOR_WOMEN)) is None
