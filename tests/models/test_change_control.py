"""The gates: what passes, what stops a version and what is lacking, with the envelope and a poisoned stretch."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.change_control import (
    GATE_NAMES,
    Judgement,
    MonitorFinding,
    Pedigree,
    judge,
    outside_envelope,
)
from models.change_plan import ChangePlan
from models.evidence import Evidence, Paired
from models.learning import Learner
from models.rows import Inputs
from models.weighing import Rows
from tests.models.change_cases import CHALLENGER, CHAMPION, LEARNED_UNTIL, START, cohort, pedigree, weighed

HOUR = 3_600_000
PLAN = ChangePlan()
AUTOMATIC = ChangePlan(automatic=True)


@pytest.fixture(scope="module")
def good() -> Evidence:
    """Give the evidence on a challenger that is a little better, from enough rows."""
    return weighed(cohort(patients=1_500), rounds=100)


def judged(
    evidence: Evidence, plan: ChangePlan = PLAN, findings: tuple[MonitorFinding, ...] = (), **changed: Any
) -> Judgement:
    """Judge the challenger; `changed` is of its pedigree."""
    return judge(plan, evidence, pedigree(CHAMPION), pedigree(**changed), findings)


def states(judgement: Judgement) -> dict[str, str]:
    """Give what did not pass."""
    return {gate.name: gate.state for gate in judgement.gates if gate.state != "passed"}


def test_a_better_challenger_awaits_a_person_and_goes_by_itself_only_where_the_plan_says_so(good: Evidence) -> None:
    """Every gate passes; whether a person is needed is the plan's to say."""
    assert tuple(gate.name for gate in judged(good).gates) == GATE_NAMES
    assert states(judged(good)) == {}
    assert judged(good).verdict == "awaits_signature"
    assert judged(good, AUTOMATIC).verdict == "automatic"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("inputs", ("rr",)), ("schema_hash", "t"), ("horizon_h", 24), ("outcome", "p"), ("kind", "trees"),
        ("cost_of_miss", 4.0), ("code_commit", "e"), ("lock_digest", "m"), ("configuration_hash", "g"),
        ("data_digest", ""), ("code_commit", ""), ("outcome", ""),
    ],
)  # fmt: skip
def test_anything_but_other_weights_is_a_persons_to_decide(good: Evidence, field: str, value: Any) -> None:
    """Each other difference, and each unknown of its making, lies outside the envelope, though every gate passes."""
    changed: dict[str, Any] = {field: value}
    found = judged(good, AUTOMATIC, **changed)
    assert found.passed
    assert found.outside
    assert found.verdict == "awaits_signature"


def test_a_first_version_is_a_persons_to_decide(good: Evidence) -> None:
    """With NEWS2 alone in force nothing is inside the envelope."""
    alone = msgspec.structs.replace(good, champion="news2")
    found = judge(AUTOMATIC, alone, None, pedigree())
    assert (found.verdict, found.passed) == ("awaits_signature", True)
    assert outside_envelope(None, pedigree())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"learned_until": START + 12 * HOUR}, "before the last"),
        ({"learned_until": START + 13 * HOUR}, "before the last"),
        ({"learned_until": None}, "up to when it learned"),
        ({"version": "c" * 12}, "not on"),
    ],
)
def test_evidence_that_the_challenger_had_learned_is_refused(
    good: Evidence, changed: dict[str, Any], said: str
) -> None:
    """Its first label must be newer than the last one learned, and it must be on these two versions."""
    found = judged(good, **changed)
    assert states(found) == {"unlearned": "failed"}
    assert said in found.gates[0].words
    assert found.verdict == "stopped"


def test_the_very_data_that_it_learned_is_no_evidence(good: Evidence) -> None:
    """Evidence with the digest of the challenger's own data, or none, is refused."""
    assert states(judged(good, data_digest=good.data_digest)) == {"unlearned": "failed"}
    assert states(judged(msgspec.structs.replace(good, data_digest=""))) == {"unlearned": "failed"}


@given(gap=st.integers(-(10**9), 10**9))
def test_no_evidence_passes_that_begins_before_its_learning_ended(good: Evidence, gap: int) -> None:
    """Whatever the gap, only evidence after the last label learned passes."""
    found = judged(good, learned_until=good.first_matured - gap)
    assert found.passed == (gap > 0)


@pytest.mark.parametrize(
    ("plan", "lacking"),
    [
        (ChangePlan(rows_min=40_000), "36,000 of 40,000 rows"),
        (ChangePlan(patients_min=2_000), "1,500 of 2,000 patients"),
        (ChangePlan(positive_patients_min=800), "of 800 patients with the outcome"),
        (ChangePlan(days_min=200), "of 200 days"),
    ],
)
def test_too_little_is_lacking_and_says_how_much(good: Evidence, plan: ChangePlan, lacking: str) -> None:
    """Rows, patients, outcomes and days short of the plan are named with what there is."""
    found = judged(good, plan)
    assert states(found) == {"enough": "lacking"}
    assert lacking in found.gates[1].words
    assert found.verdict == "lacking"


def paired(champion: float, difference: float, half: float) -> Paired:
    """Give a pair whose interval is `half` to each side."""
    return Paired(champion, champion + difference, difference, difference - half, difference + half)


@pytest.mark.parametrize(
    ("auroc", "state"),
    [
        (paired(0.80, 0.02, 0.01), None),
        (paired(0.80, -0.005, 0.004), None),
        (paired(0.80, 0.005, 0.030), "lacking"),
        (paired(0.80, -0.005, 0.030), "failed"),
        (paired(0.80, -0.05, 0.01), "failed"),
        (paired(0.60, 0.02, 0.01), "failed"),
    ],
)
def test_a_loss_of_ranking_must_be_ruled_out(good: Evidence, auroc: Paired, state: str | None) -> None:
    """Worse is stopped, as good with too few rows is lacking, and a low AUROC is stopped whatever the champion's."""
    assert states(judged(msgspec.structs.replace(good, auroc=auroc))).get("discrimination") == state


@pytest.mark.parametrize(
    "field", [{"slope": 0.7}, {"slope": 1.4}, {"calibration_error": 0.02}, {"brier_skill": -0.01}, {"slope": 0.0}]
)
def test_probabilities_that_promise_wrongly_are_stopped(good: Evidence, field: dict[str, float]) -> None:
    """Slope, calibration error and skill each stop by themselves."""
    calibration = msgspec.structs.replace(good.calibration, **field)
    assert states(judged(msgspec.structs.replace(good, calibration=calibration))) == {"calibration": "failed"}


def test_a_subgroup_that_loses_sensitivity_stops_it_and_a_small_one_is_named(good: Evidence) -> None:
    """One group that may have lost more than allowed is enough; one with too few is not judged, and that is said."""
    first, *others = good.subgroups
    lost = msgspec.structs.replace(first, sensitivity=paired(0.6, -0.05, 0.08))
    found = judged(msgspec.structs.replace(good, subgroups=(lost, *others)))
    assert states(found) == {"subgroups": "failed"}
    small = msgspec.structs.replace(lost, positive_patients=PLAN.subgroup_patients_min - 1)
    found = judged(msgspec.structs.replace(good, subgroups=(small, *others)))
    assert states(found) == {}
    assert f"too few to be judged: {first.dimension} {first.group}" in found.gates[5].words
    assert states(judged(msgspec.structs.replace(good, subgroups=(small,)))) == {"subgroups": "lacking"}
    assert states(judged(msgspec.structs.replace(good, subgroups=()))) == {"subgroups": "lacking"}


def test_more_alerts_and_too_many_changes_of_side_are_stopped(good: Evidence) -> None:
    """Burden is bounded against the champion and in all; flips by their share."""
    more = msgspec.structs.replace(good, alerts_per_patient_day=good.champion_alerts_per_patient_day * 1.2)
    assert states(judged(more)) == {"burden": "failed"}
    assert states(judged(good, ChangePlan(alerts_per_patient_day_max=0.1))) == {"burden": "failed"}
    assert states(judged(msgspec.structs.replace(good, flips=0.06))) == {"agreement": "failed"}


@pytest.mark.parametrize(
    ("finding", "state"),
    [
        ({"version": "", "response": "hold_promotion"}, "failed"),
        ({"version": CHAMPION, "response": "hold_promotion"}, "failed"),
        ({"version": CHALLENGER, "response": "demote"}, "failed"),
        ({"version": CHALLENGER, "response": "annotate"}, None),
        ({"version": "c" * 12, "response": "demote"}, None),
    ],
)
def test_nothing_is_promoted_while_a_monitor_is_in_alarm(
    good: Evidence, finding: dict[str, str], state: str | None
) -> None:
    """An alarm of the data or of either version stops it; a remark, or one of another version, does not."""
    alarm = MonitorFinding(monitor="label rate", at=START, **finding)  # type: ignore[arg-type]
    assert states(judged(good, AUTOMATIC, (alarm,))).get("monitors") == state


def test_a_plan_that_asks_for_nothing_cannot_be_automatic() -> None:
    """Automatic with no rows, patients or days is refused as a configuration."""
    with pytest.raises(ValueError, match="automatic"):
        ChangePlan(automatic=True, days_min=0)


# -- a poisoned stretch ------------------------------------------------------------------------------------------------


def flipped(rows: Rows, begin: float, end: float) -> Rows:
    """Turn every label of a stretch round."""
    count = len(rows.labels)
    labels = rows.labels.copy()
    labels[int(begin * count) : int(end * count)] ^= True
    return msgspec.structs.replace(rows, labels=labels)


def exchanged(rows: Rows, begin: float, end: float) -> Rows:
    """Give the labels of a stretch to other rows: as many are positive, and they belong to nobody."""
    count = len(rows.labels)
    labels = rows.labels.copy()
    part = slice(int(begin * count), int(end * count))
    labels[part] = np.random.default_rng(1).permutation(labels[part])
    return msgspec.structs.replace(rows, labels=labels)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("length", [0.1, 0.3, 1.0])
def test_flipped_labels_in_the_evidence_are_stopped(length: float, seed: int) -> None:
    """A tenth of the labels turned round, or all of them, never pass, however the challenger does on them."""
    found = judged(weighed(flipped(cohort(patients=1_500, seed=seed), 0.4, min(0.4 + length, 1.0)), rounds=10))
    assert states(found)["labels"] == "failed"
    assert found.verdict == "stopped"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("length", [0.1, 0.2, 0.4])
def test_labels_that_belong_to_other_rows_are_stopped(length: float, seed: int) -> None:
    """A stretch with the usual share of positives, given to the wrong rows, is found by how the champion ranks it."""
    poisoned = exchanged(cohort(patients=1_500, seed=seed), 0.5, 0.5 + length)
    assert states(judged(weighed(poisoned, rounds=10)))["labels"] == "failed"


@pytest.mark.parametrize("seed", range(6))
def test_clean_labels_are_not_taken_for_poisoned(seed: int) -> None:
    """Six cohorts, none of them stopped for its labels."""
    assert "labels" not in states(judged(weighed(cohort(patients=1_500, seed=seed), rounds=10)))


def test_all_labels_exchanged_are_stopped_by_how_the_champion_ranked_before() -> None:
    """Where every stretch is poisoned alike, only the champion's own history tells."""
    evidence = weighed(exchanged(cohort(patients=1_500), 0.0, 1.0))
    known = msgspec.structs.replace(evidence, usual_auroc=0.8)
    assert states(judged(known))["labels"] == "failed"


def test_a_challenger_that_learned_a_poisoned_stretch_is_stopped_on_clean_evidence() -> None:
    """Two learners on the same rows, one of whose labels were turned round for a while: the gates tell them apart."""
    draw = np.random.default_rng(5)
    inputs = Inputs(("one", "two", "three"))
    matrix = draw.normal(size=(40_000, 3))
    truth = matrix @ np.array([1.2, 0.8, -0.6]) - 3.6
    labels = draw.random(40_000) < 1 / (1 + np.exp(-truth))
    half, poison = 20_000, slice(15_000, 18_000)
    turned = labels.copy()
    turned[poison] ^= True
    champion, clean, poisoned = Learner(inputs, 0.05), Learner(inputs, 0.05), Learner(inputs, 0.05)
    for at in range(half):
        row = matrix[at].tolist()
        if at < 12_000:
            champion.learn_one(row, bool(labels[at]))
        clean.learn_one(row, bool(labels[at]))
        poisoned.learn_one(row, bool(turned[at]))

    def rows(challenger: Learner) -> Rows:
        number = np.arange(half) // 10
        at = START + number * HOUR
        said = [
            np.array([one.predict_proba_one(row) or 0.0 for row in matrix[half:].tolist()])
            for one in (champion, challenger)
        ]
        return Rows(
            labels=labels[half:], champion=said[0], challenger=said[1], patients=number, at=at, matured_at=at + HOUR,
            subgroups={"sex": np.where(number % 2, "F", "M")},
        )  # fmt: skip

    usual = float(labels[:half].mean())
    found = {name: judged(weighed(rows(one), usual)) for name, one in (("clean", clean), ("poisoned", poisoned))}
    assert states(found["clean"]) == {}
    assert "calibration" in states(found["poisoned"])
    assert found["poisoned"].verdict == "stopped"


@given(
    st.builds(
        Pedigree, version=st.just(CHALLENGER), inputs=st.just(("rr", "hr")), schema_hash=st.sampled_from(["s", "t"]),
        horizon_h=st.sampled_from([12, 24]),
        outcome=st.sampled_from(["o", ""]), kind=st.sampled_from(["logistic", "y"]),
        cost_of_miss=st.sampled_from([9.0, 1.0]),
        learned_until=st.sampled_from([LEARNED_UNTIL, None, START * 2]),
        data_digest=st.sampled_from(["d" * 64, ""]), code_commit=st.sampled_from(["c", ""]),
        lock_digest=st.sampled_from(["l", ""]), configuration_hash=st.sampled_from(["f", ""]),
    ),
    st.booleans(),
)  # fmt: skip
def test_automatic_means_inside_the_envelope_and_every_gate_passed(
    good: Evidence,
    challenger: Pedigree,
    on: bool,  # noqa: FBT001 - drawn
) -> None:
    """Whatever the pedigree: automatic only where it is configured, nothing lies outside, and nothing failed."""
    found = judge(ChangePlan(automatic=on), good, pedigree(CHAMPION), challenger)
    allowed = on and found.passed and not found.outside
    assert (found.verdict == "automatic") == allowed


@pytest.mark.parametrize("until", [LEARNED_UNTIL + HOUR, None])
def test_a_version_that_learned_less_far_than_the_champion_is_a_persons_to_decide(
    good: Evidence, until: int | None
) -> None:
    """Only weights learned on from newer labels go by themselves: an older version never comes back so."""
    found = judge(AUTOMATIC, good, pedigree(CHAMPION, learned_until=until), pedigree())
    assert found.verdict == "awaits_signature"
    assert found.outside == ("it did not surely learn on from where the champion had got to",)
